#!/usr/bin/python3
"""Workers as a container runs them: process 1, uid 10001, no capability and none to be had, a root that cannot be
written, a /tmp that can. Decoder children lock themselves up there as they do elsewhere."""

import contextlib
import os
import pathlib
import signal
import subprocess

import masking
import pictures
from lib import RUN, User, check, freeze, looped, main, own_environ, servers, skip, sql, thaw, wait

UID = "10001"
SETUP = """
mount -t tmpfs -o mode=1777,nosuid,nodev,size=1g tmpfs /tmp
mount -o remount,bind,ro /
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs \
    --bounding-set=-all --inh-caps=-all --ambient-caps=-all "$1"
"""


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.split() for key, value in (line.split(":", 1) for line in lines)}


def children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextlib.contextmanager
def contained(like):
    """A worker of its own in place of all of its kind. Gives the process that started it, and its name."""
    base, program = own_environ(f"{like}-1")
    others = [name for name in servers() if name.startswith(f"{like}-")]
    name = f"contained-{like}-{os.getpid()}"
    password = pathlib.Path(base["PGPASSFILE"]).read_text().strip().rsplit(":", 1)[1]
    env = {**base, "PGPASSWORD": password, "PGPASSFILE": "/nowhere", "MEDIA_TMPDIR": "/tmp", "MEDIA_HEALTH_FILE": "",
           "MEDIA_WORKER_NAME": name, "MEDIA_POLL_S": "1"}
    for other in others:
        freeze(other)
    with open(RUN / "log" / f"own-{like}.log", "ab") as log:
        process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-e", "-c", SETUP, "sh",
             program], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process, name
        first = children(process.pid)[0]
        os.kill(first, signal.SIGTERM)
        check(process.wait(60) == 0, f"{like}: process 1 ends in order")
    finally:
        process.kill()
        process.wait(30)
        for other in others:
            thaw(other)


def worker_of(media_id, step):
    return sql("SELECT state, worker FROM media.jobs WHERE media_id = %s AND step = %s", media_id, step)


def check_locked(process, what):
    """The worker's child at work."""
    def grandchild():
        for first in children(process.pid):
            for worker in children(first):
                for child in children(worker):
                    return status(child)
        return None

    now = wait(f"{what} at work", grandchild, 60)
    check(now["Uid"] == [UID] * 4 and now["Gid"] == [UID] * 4 and not now["Groups"], f"{what}: an ordinary user", now)
    check(now["NoNewPrivs"] == ["1"] and {*now["CapEff"], *now["CapPrm"], *now["CapBnd"], *now["CapAmb"]} == {"0" * 16},
          f"{what}: no privilege, none to be had", now)
    locked = wait("its filter", lambda: (lambda s: s and s["Seccomp"] == ["2"] and s)(grandchild()), 30)
    check(bool(locked), f"{what}: behind a filter of system calls")


def test_transcoder():
    """a video becomes an audio file"""
    user = User()
    with contained("transcoder") as (process, name):
        media_id = user.upload(looped(210), name="long.mp4")
        check_locked(process, "decoder")
        media = user.settled(media_id, 300)
        check(media["state"] == "ready", "ready", media)
        check(worker_of(media_id, "audio") == [("succeeded", name)], "by the contained one", worker_of(media_id, "audio"))


def test_anonymizer():
    """a photo is masked, by decoder and detector"""
    if not pictures.PHOTOS.is_dir():
        skip("a photo", f"there is no {pictures.PHOTOS}")
        return
    user = User()
    with contained("anonymizer") as (_, name):
        media, _, report = masking.anonymized(user, pictures.PHOTOS / "face_az_group6.jpg")
        check(report["counts"].get("face", 0) > 0, "faces are found", report["counts"])
        check(worker_of(media["id"], "anonymize") == [("succeeded", name)], "by the contained one",
              sql("SELECT step, state, worker FROM media.jobs WHERE media_id = %s", media["id"]))


if os.geteuid() != 0:
    skip("containers", "a mount namespace needs root")
    print("1..1")
else:
    main(test_transcoder, test_anonymizer)

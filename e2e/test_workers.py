#!/usr/bin/python3
"""Workers are killed, frozen and drained in mid-job: one output, one mail, nothing left running."""

import os
import signal
import subprocess
import time

from lib import (RUN, User, check, expire_leases, freeze, hasten, kill, looped, mail_of, mails, main,
                 note, nothing_left, objects, pids, servers, sql, thaw, up, value, wait)


def transcoders():
    return [name for name in servers() if name.startswith("transcoder-")]


def one_worker():
    """Leaves a single transcoder, so that the test knows who has the job."""
    up("workers", WORKERS="1")
    return "transcoder-1"


def running(media_id, progress=0.0):
    row = sql("SELECT id, fence FROM media.jobs WHERE media_id = %s AND step = 'audio' AND state = 'running' "
              "AND progress > %s", media_id, progress)
    return row[0] if row else None


def outputs(media_id):
    return [k for k in objects() if k.startswith(f"media/{media_id}/") and not k.endswith("/original")]


def test_kill_in_mid_job():
    """kill -9 of a worker in mid-job: the next one makes the only mp3"""
    worker = one_worker()
    user = User()
    media_id = user.upload(looped(210), name="long.mp4")
    wait("the job runs", lambda: running(media_id, 0.05), 60)
    kill(worker)
    check(user.media(media_id)["state"] == "processing", "still processing")
    expire_leases()
    up("workers", WORKERS="4")
    media = user.settled(media_id)
    check(media["state"] == "ready" and media["jobs"][0]["attempt"] == 2, "ready at the second attempt", media["jobs"])
    nothing_left()
    check(len(outputs(media_id)) == 1, "one mp3 in the bucket", outputs(media_id))
    mail_of(media_id)
    check(len(mails(media_id)) == 1, "one mail")


def test_frozen_worker_wakes_up():
    """a worker that was declared dead comes back: it changes nothing"""
    up("workers", WORKERS="4")
    worker, *others = transcoders()
    for name in others:
        freeze(name)
    user = User()
    media_id = user.upload(looped(210), name="zombie.mp4")
    wait("the job runs", lambda: running(media_id, 0.05), 60)
    freeze(worker)
    expire_leases()
    for name in others:
        thaw(name)
    media = user.settled(media_id)
    check(media["state"] == "ready", "another worker finished it", media["error"])
    first = outputs(media_id)
    digest = media["outputs"][0]["digest"]
    thaw(worker)
    other = user.upload(looped(30))
    check(user.settled(other)["state"] == "ready", "the queue goes on")
    log = RUN / "log" / (worker + ".log")
    wait("the zombie has noticed", lambda: any(
        media_id in line and '"end":"lost"' in line for line in log.read_text().splitlines()), 30)
    check(outputs(media_id) == first and user.media(media_id)["outputs"][0]["digest"] == digest,
          "the zombie overwrote nothing")
    nothing_left()
    check(len(outputs(media_id)) == 1, "one mp3 in the bucket", outputs(media_id))
    mail_of(media_id)
    check(len(mails(media_id)) == 1, "one mail")


def test_drain():
    """SIGTERM: the running job is finished or given back, no attempt is lost"""
    worker = one_worker()
    user = User()
    media_id = user.upload(looped(210), name="drain.mp4")
    # before the first word of progress: a short job may be over by then
    wait("the job runs", lambda: running(media_id, -1), 60, 0.01)
    victims = pids(worker)
    os.kill(victims[0], signal.SIGTERM)
    wait("it has gone", lambda: not os.path.exists(f"/proc/{victims[0]}"), 60)
    check(value("SELECT count(*) FROM media.jobs WHERE state = 'running' AND media_id = %s", media_id) == 0,
          "no job is left running")
    up("workers", WORKERS="4")
    media = user.settled(media_id)
    check(media["state"] == "ready" and media["jobs"][0]["attempt"] == 1, "ready at the first attempt", media["jobs"])


def test_child_dies():
    """the decoder child is killed: one attempt fails, the worker lives on"""
    worker = one_worker()
    user = User()
    top = pids(worker)[0]
    media_id = user.upload(looped(210), name="child.mp4")
    wait("the job runs", lambda: running(media_id, 0.05), 60)
    child = [p for p in pids(worker) if p != top]
    check(len(child) == 1, "one child at work", child)
    os.kill(child[0], signal.SIGKILL)
    # queued, or already at it again
    wait("the attempt has failed", lambda: value(
        "SELECT state = 'queued' OR attempt = 2 FROM media.jobs WHERE media_id = %s AND step = 'audio'", media_id), 30)
    hasten()
    media = user.settled(media_id)
    check(media["state"] == "ready" and media["jobs"][0]["attempt"] == 2, "ready at the second attempt", media["jobs"])
    check(pids(worker)[0] == top, "by the same worker")
    up("workers", WORKERS="4")


def test_cancel():
    """mediactl job cancel stops a running job"""
    user = User()
    media_id = user.upload(looped(210), name="cancel.mp4")
    job, _ = wait("the job runs", lambda: running(media_id, 0.02), 60)
    done = subprocess.run(["mediactl", "job", "cancel", str(job)], capture_output=True, text=True)
    check(done.returncode == 0, "mediactl job cancel", done.stderr)
    media = user.settled(media_id)
    check(media["state"] == "canceled", "the media is canceled", media["state"])
    nothing_left()
    check(not outputs(media_id), "no output is kept", outputs(media_id))
    done = subprocess.run(["mediactl", "job", "retry", str(job)], capture_output=True, text=True)
    check(done.returncode == 0 and user.settled(media_id)["state"] == "ready", "mediactl job retry", done.stderr)


def test_nothing_runs():
    """after all that nothing is stuck"""
    began = time.monotonic()
    wait("no job runs", lambda: value("SELECT count(*) FROM media.jobs WHERE state IN ('running', 'queued')") == 0,
         120, 0.2)
    note(f"idle after {time.monotonic() - began:.1f} s")
    check(True, "no job is stuck")


main(test_kill_in_mid_job, test_frozen_worker_wakes_up, test_drain, test_child_dies, test_cancel, test_nothing_runs)

#!/usr/bin/python3
"""Files made to hurt: each ends in bounded time and memory with a cause for people, and the child that reads it opens
nothing once it is locked down. A worker under strace takes all of them."""

import os
import pathlib
import re
import resource
import signal
import subprocess
import time

from lib import (BUCKET, ROOT, RUN, User, check, main, media_like, note, nothing_left, own_environ, pipeline_query, s3,
                 servers, skip, sql, stop, up, wait)

BROKEN = pathlib.Path(os.environ.get("MEDIA_SHARED") or ROOT / "../shared/media") / "broken"
# small, for what is asked is whether it ends
LADDER = {"rungs": [144], "preset": "ultrafast"}
SECONDS = 600  # of a machine that has other things to do; limits of a child are tested elsewhere
MEMORY = 1 << 30
# what a person cannot make sense of, or what only we could mend
OURS = {"internal", "decoder_crashed", "decoder_stalled", "sandbox_failed", "worker_lost", "worker_memory", "worker_storage",
        "protocol_error", "pipeline_stuck"}
OPENS = ("open", "openat", "openat2", "creat", "socket", "socketpair", "connect", "accept", "accept4", "bind",
         "listen", "memfd_create", "pipe", "pipe2", "dup", "dup2", "dup3", "eventfd2", "execve", "execveat", "ptrace",
         "process_vm_readv")


class Traced:
    """A worker of the test's own under strace."""

    def __init__(self, like, environ, program):
        self.log = RUN / "tmp" / f"hostile.{like}.strace"
        with open(RUN / "log" / f"hostile-{like}.log", "ab") as log:
            self.p = subprocess.Popen(
                ["strace", "-f", "--seccomp-bpf", "-qq", "-s", "64", "-o", self.log, "-e",
                 "trace=seccomp,clone,clone3," + ",".join(OPENS), program],
                env={**environ, "MEDIA_POLL_S": "1", "MEDIA_HEALTH_FILE": ""}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)

    def end(self):
        """Stops it; the most memory that it or a child of it had."""
        children = pathlib.Path(f"/proc/{self.p.pid}/task/{self.p.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        self.p.wait(60)
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10


def children_of(log):
    """Per decoder child of a trace: whether it was locked down, how often it opened something before that, and the calls
    that gave it anything afterwards."""
    group, found, open_calls = {}, {}, {}
    for line in log.read_text(errors="replace").splitlines():
        tid, _, said = line.partition(" ")
        said = said.strip()
        if said.endswith("<unfinished ...>"):
            open_calls[tid] = said[:-len("<unfinished ...>")]
            continue
        again = re.match(r"<\.\.\. \w+ resumed>(.*)", said)
        if again:
            said = open_calls.pop(tid, "") + again.group(1)
        call = re.match(r"(\w+)\(.*\)\s+= (-?\d+)", said)
        if not call:
            continue
        name, result = call.group(1), int(call.group(2))
        if name == "execve" and "--decoder-child" in said and result == 0:
            group[tid] = tid
            found[tid] = {"locked": False, "before": 0, "got": []}
        elif name in ("clone", "clone3") and result > 0 and tid in group:
            if "CLONE_THREAD" in said:
                group[str(result)] = group[tid]
            elif found[group[tid]]["locked"]:
                found[group[tid]]["got"].append(said)
        elif tid in group:
            child = found[group[tid]]
            if name == "seccomp" and "SECCOMP_SET_MODE_FILTER" in said and result == 0:
                child["locked"] = True
            elif name in OPENS and child["locked"]:
                child["got"] += [said] if result >= 0 else []
            elif name in OPENS:
                child["before"] += result >= 0
    return found


def send(user, path, pipeline, params):
    """The id of an upload of the file. What the door refuses comes in as another file and is exchanged behind it: the
    child is not to depend on the door."""
    query = pipeline_query(pipeline, **params)
    answer = user.put(path, name=path.name, query=query)
    if answer.status == 201:
        return answer.json["id"]
    check(answer.status == 415 and answer.json["code"] == "type_not_allowed",
          f"{pipeline}: {path.name}: refused at the door", answer)
    media_id = user.upload(media_like(4096), name=path.name, query=query)
    key, = sql("UPDATE media.media SET size_bytes = %s WHERE id = %s RETURNING object_key", path.stat().st_size, media_id)[0]
    s3().put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
    return media_id


def settled(user, pipeline, ids):
    """{name: media}, each within its time; that of those before it is not counted."""
    found, began = {}, time.monotonic()
    for name, media_id in ids.items():
        def probe():
            hurry()
            media = user.media(media_id)
            if media is None:  # the token has ended meanwhile
                user.login()
            return media if media and media["state"] != "processing" else None
        try:
            found[name] = wait(f"{name} settled", probe, SECONDS, 0.2)
        except TimeoutError:
            check(False, f"{pipeline}: {name}: ends within {SECONDS} s", user.media(media_id)["jobs"])
    note(f"{pipeline}: {len(ids)} files in {time.monotonic() - began:.0f} s")
    return found


def hurry():
    """Time passes for attempts that wait for their turn."""
    sql("UPDATE media.jobs SET not_before = now() WHERE state = 'queued' AND not_before > now()")


def judge(pipeline, found):
    for name, media in found.items():
        error = media["error"] or {"code": "", "detail": ""}
        note(f"{pipeline}: {name}: {media['state']} {error['code']}: {error['detail']}")
        if media["state"] == "ready":
            check(bool(media["outputs"]), f"{pipeline}: {name}: ready, with outputs")
        else:
            check(media["state"] == "failed" and error["code"] not in OURS and "passwd" not in error["detail"]
                  and re.fullmatch(r"[A-Z].{15,}[.?]", error["detail"]), f"{pipeline}: {name}: a cause for people", error)
            check(max(job["attempt"] for job in media["jobs"]) == 1, f"{pipeline}: {name}: not tried again",
                  media["jobs"])


def test_every_broken_file():
    """each file, each pipeline: a terminal state, a cause, nothing opened"""
    if not BROKEN.is_dir():
        skip("files made to hurt", f"there is no {BROKEN}")
        return
    user = User()
    like = {name: own_environ(name) for name in ("transcoder-1", "encoder-1")}
    for name in servers():
        if name.startswith(("transcoder-", "encoder-")):
            stop(name)
    ids = {pipeline: {path.name: send(user, path, pipeline, params) for path in sorted(BROKEN.iterdir())}
           for pipeline, params in (("audio", {}), ("video", LADDER))}
    workers = [Traced(name, *of) for name, of in like.items()]
    try:
        for pipeline in reversed(ids):  # that of the video goes first, says its priority
            judge(pipeline, settled(user, pipeline, ids[pipeline]))
    finally:
        memory = [w.end() for w in workers][-1]
        up("workers")
    note(f"most memory of a process: {memory >> 20} MiB")
    check(memory < MEMORY, f"no process had more than {MEMORY >> 20} MiB", memory)
    for w in workers:
        name, children = w.log.name, children_of(w.log)
        check(len(children) > 10, f"{name}: {len(children)} children were seen")
        check(all(c["locked"] and c["before"] > 10 for c in children.values()),
              f"{name}: each opened its libraries and was locked down", children)
        got = [call for c in children.values() for call in c["got"]]
        check(not got, f"{name}: 0 files and 0 sockets opened after lock-down", "\n".join(got[:20]))
        w.log.unlink()
    for media_id in [i for of in ids.values() for i in of.values()]:
        user.request("DELETE", f"/media/{media_id}")
    nothing_left()


main(test_every_broken_file)

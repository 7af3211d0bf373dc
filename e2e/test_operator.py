#!/usr/bin/python3
"""What an operator sets and sees: defaults of pipelines, limits of files, jobs at once, who works, and encoders that
are told to stop in mid-range."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.request

from lib import (RUN, User, check, clip, janitor_pass, looped, main, nothing_left, own_environ, pipeline_query, servers,
                 sql, stop, up, value, wait)

FAST = {"preset": "ultrafast", "rungs": [144, 240]}


def ctl(*words):
    done = subprocess.run(["mediactl", *words, "--json"], capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


@contextlib.contextmanager
def only(*wanted):
    """Transcoders of the test's own, each (like, environment), instead of those of the system."""
    # before theirs are stopped, whose environment they have
    like = {name: own_environ(name) for name in ("transcoder-1", "encoder-1")}
    for name in servers():
        if name.startswith(("transcoder-", "encoder-")):
            stop(name)
    made = []
    try:
        for name, env in wanted:
            base, program = like[name]
            health = RUN / "tmp" / f"own-{name}-{len(made)}.health"
            with open(RUN / "log" / f"own-{name}.log", "ab") as log:
                made.append(subprocess.Popen(
                    [program], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    env={**base, "MEDIA_POLL_S": "1", "MEDIA_HEALTH_FILE": str(health), **env}))
            made[-1].health = health
        yield made
    finally:
        for p in made:
            p.terminate()
            p.wait(60)
        up("workers")


def metrics(process):
    address = wait("its health port", lambda: process.health.exists() and process.health.read_text().strip(), 20)
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {line.split("{")[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def test_defaults_of_a_pipeline():
    """mediactl pipeline: new defaults hold for what comes, an upload's params go first, mistakes are told before the body"""
    user = User()
    code, steps = ctl("pipeline", "show", "video")
    check(code == 0 and [s["step"] for s in steps][0] == "index", "pipeline show", steps)
    code, done = ctl("pipeline", "set", "video", "index", json.dumps(FAST))
    check(code == 0 and done["params"] == FAST, "pipeline set", done)
    try:
        media = user.settled(user.upload(clip(), query="?pipeline=video"), 300)
        sizes = sorted(sql("SELECT name FROM media.tracks WHERE media_id = %s AND info ->> 'kind' = 'video'", media["id"]))
        check(media["state"] == "ready" and sizes == [("144p",), ("240p",)], "the ladder is that of the default",
              (media, sizes))
        own = {"rungs": [{"height": 200, "kbps": 90, "crf": 40}], "segment_s": 2, "threads": 2, "audio_kbps": 64}
        media = user.settled(user.upload(clip(), query=pipeline_query("video", **own)), 300)
        tracks = dict(sql("SELECT name, info FROM media.tracks WHERE media_id = %s", media["id"]))
        check(media["state"] == "ready" and sorted(tracks) == ["200p", "audio-1"], "a ladder of the upload's own",
              (media, tracks))
        spans = sql("SELECT range FROM media.jobs WHERE media_id = %s AND step = 'encode_first'", media["id"])[0][0]
        check(spans["threads"] == 2 and spans["preset"] == "ultrafast" and spans["rungs"][0]["crf"] == 40
              and spans["rungs"][0]["maxrate"] == 135000, "whose numbers the encoder gets", spans)
    finally:
        code, done = ctl("pipeline", "set", "video", "index", json.dumps(dict.fromkeys(FAST)))
        check(code == 0 and done["params"] == {}, "taken back", done)
    before = value("SELECT count(*) FROM media.objects")
    for params, said in (({"rungs": [500]}, "params.rungs[0]: 500 is not one of"),
                         ({"rungs": [{"height": 500}]}, "params.rungs[0].kbps: is missing"),
                         ({"crf": 99}, "params.crf: 99 is outside 0..51")):
        answer = user.put(clip(), query=pipeline_query("video", **params))
        check(answer.status == 422 and answer.json["code"] == "params_invalid" and said in answer.json["detail"],
              said, answer)
        answer = user.post_form(clip().read_bytes(), pipeline="video", params=json.dumps(params))
        check(answer.status == 422 and said in answer.json["detail"], f"in a form: {said}", answer)
    janitor_pass()
    check(value("SELECT count(*) FROM media.media WHERE owner_id = (SELECT id FROM media.users WHERE email = %s)",
                user.email) == 2, "none of them is a media", before)


LIMITS = ({"MEDIA_LIMIT_DURATION_S": "3"}, r"is 5 seconds long; the limit is 3 seconds", ("audio", "video")), \
         ({"MEDIA_LIMIT_PIXELS": "1000"}, r" pixels; the limit is 1000", ("video",)), \
         ({"MEDIA_LIMIT_FRAMES": "10"}, r" pictures; the limit is 10", ("video",)), \
         ({"MEDIA_LIMIT_STREAMS": "1"}, r"has 2 tracks; the limit is 1", ("audio", "video")), \
         ({"MEDIA_LIMIT_CODECS": "vp9,opus"}, r" is coded as \w+; allowed are: vp9,opus", ("audio", "video"))


def test_limits_of_files():
    """each limit refuses with what, limit and value, at the first attempt"""
    user = User()
    for env, said, pipelines in LIMITS:
        with only(("transcoder-1", env)):
            for pipeline in pipelines:
                media = user.settled(user.upload(clip(), query=f"?pipeline={pipeline}"), 60)
                error = media["error"] or {}
                attempts = [job["attempt"] for job in media["jobs"] if job["step"] in ("audio", "index")]
                check(media["state"] == "failed" and error["code"] == "limits" and re.search(said, error["detail"])
                      and attempts == [1], f"{pipeline}: {said}", media)
    with only(("transcoder-1", {"MEDIA_LIMIT_CODECS": "h264,aac,mp3,ac3", "MEDIA_LIMIT_STREAMS": "2"})):
        media = user.settled(user.upload(clip()), 60)
        check(media["state"] == "ready", "within the limits", media)


def test_child_from_outside():
    """the process that reads a client's bytes, looked at while it works: no secret, no file, no right, limits as set"""
    user = User()
    mib = 512
    memory = {"MEDIA_CHILD_MEMORY_MIB": str(mib)}
    for server, pipeline, params in (("transcoder-1", "audio", {}), ("encoder-1", "video", {"preset": "slow"})):
        with only(("transcoder-1", memory), ("encoder-1", memory)) as made:
            worker = made[server == "encoder-1"]
            media_id = user.upload(looped(210), name="long.mp4", query=pipeline_query(pipeline, **params))

            def locked():
                for pid in children(worker.pid):
                    status = status_of(pid)
                    if status.get("Seccomp") == "2":
                        return pid, status
                return None
            pid, status = wait("a child is locked down", locked, 60, 0.01)
            proc = pathlib.Path(f"/proc/{pid}")
            limits = {line[:26].strip(): line[26:].split()[:2] for line in (proc / "limits").read_text().splitlines()[1:]}
            fds = {int(fd.name): os.readlink(fd) for fd in (proc / "fd").iterdir()}
            environ = (proc / "environ").read_bytes()
            name = f"{server}'s child"
            check(environ == b"", f"{name}: empty environment", environ[:80])
            check(sorted(fds) == [0, 1, 2, 3] and fds[0] == "/dev/null" and fds[1].startswith("pipe:")
                  and fds[3].startswith("socket:"), f"{name}: nothing open but what its parent gave", fds)
            check(status["NoNewPrivs"] == "1" and set(status["CapEff"]) == {"0"} == set(status["CapPrm"]),
                  f"{name}: no rights", status)
            if os.getuid() == 0:
                check(status["Uid"].split() == ["65534"] * 4 and status["Gid"].split() == ["65534"] * 4
                      and status["Groups"].strip() == "", f"{name}: a user of its own", status)
            check(limits["Max data size"] == [str(mib << 20)] * 2 and limits["Max core file size"] == ["0", "0"]
                  and limits["Max file size"] == ["0", "0"] and limits["Max open files"] == ["16", "16"],
                  f"{name}: limits of memory, files, cores", limits)
            check(600 <= int(limits["Max cpu time"][0]) < 1000 * 120, f"{name}: CPU by the job's size", limits)
            user.request("DELETE", f"/media/{media_id}")
            wait("it ends with its job", lambda: not proc.exists(), 30)
    nothing_left()


def status_of(pid):
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {line.partition(":")[0]: line.partition(":")[2].strip() for line in lines}


def children(pid):
    return [int(p) for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()]


def test_several_jobs_at_once():
    """MEDIA_JOBS: two jobs run side by side in one process, which mediactl workers shows"""
    user = User()
    with only(("transcoder-1", {"MEDIA_JOBS": "2", "MEDIA_WORKER_NAME": "pair"})) as (worker,):
        wait("both are there", lambda: {w["name"] for w in ctl("workers")[1]} >= {"pair", "pair/2"}, 30)
        check(metrics(worker)["ngx_media_worker_slots"] == 2, "two slots")
        ids = [user.upload(looped(300), name=f"{i}.mp4") for i in range(2)]
        both = wait("two at work", lambda: [w for w in ctl("workers")[1] if w["job"] and w["name"].startswith("pair")][1:]
                    and ctl("workers")[1], 60)
        mine = [w for w in both if w["name"].startswith("pair")]
        check(metrics(worker)["ngx_media_worker_jobs_running"] == 2, "two at work, says /metrics")
        check({w["media_id"] for w in mine} == set(ids) and all(w["queue"] == "short" and w["step"] == "audio"
              and w["since"] <= w["job_since"] for w in mine), "who, what, since when", mine)
        for media_id in ids:
            media = user.settled(media_id, 200)
            check(media["state"] == "ready" and max(job["attempt"] for job in media["jobs"]) == 1, "done", media)
        seen = metrics(worker)
        check(seen["ngx_media_worker_jobs_succeeded_total"] == 2 and seen["ngx_media_worker_jobs_running"] == 0
              and seen["ngx_media_worker_job_milliseconds_total"] > 0, "counted", seen)
    check(not [w for w in ctl("workers")[1] if w["name"].startswith("pair")], "who has stopped is listed no more")


def test_drain_of_an_encoder():
    """SIGTERM in mid-range: with time it finishes its range, without it hands it back; no attempt is lost"""
    user = User()
    for drain_s, finishes in (("0", False), ("300", True)):
        with only(("transcoder-1", {}), ("encoder-1", {"MEDIA_DRAIN_S": drain_s})) as (_, encoder):
            media_id = user.upload(looped(40), name="drain.mp4",
                                   query=pipeline_query("video", preset="slower", rungs=[360], range_segments=5))
            job = wait("a range is half done", lambda: sql(
                "SELECT id FROM media.jobs WHERE media_id = %s AND step = 'encode_first' AND state = 'running'"
                " AND progress > 0.2", media_id), 120)[0][0]
            encoder.send_signal(signal.SIGTERM)
            began = time.monotonic()
            encoder.wait(300)
            state, attempt = sql("SELECT state, attempt FROM media.jobs WHERE id = %s", job)[0]
            check(encoder.returncode == 0 and value(
                "SELECT count(*) FROM media.jobs WHERE state = 'running' AND step ~ '^encode' "
                "AND media_id = %s", media_id) == 0, f"drain {drain_s}: gone, nothing is running", encoder.returncode)
            if finishes:
                check(state == "succeeded", "its range is done", state)
            else:
                check(time.monotonic() - began < 15 and (state, attempt) == ("queued", 0), "its range is given back",
                      (state, attempt))
        media = user.settled(media_id, 300)
        check(media["state"] == "ready" and max(j["attempt"] for j in media["jobs"]) == 1,
              f"drain {drain_s}: no attempt is lost", media["jobs"])
    nothing_left()


main(test_defaults_of_a_pipeline, test_limits_of_files, test_child_from_outside, test_several_jobs_at_once,
     test_drain_of_an_encoder)

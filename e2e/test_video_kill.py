#!/usr/bin/python3
"""An encoder dies or stalls when nine tenths of a ladder are made: its one job is done again, nothing else, and the
bytes are those that a lone encoder makes in peace."""

import os
import signal

from lib import (RUN, User, check, freeze, hasten, janitor_pass, looped, main, note, nothing_left, pids, pipeline_query,
                 segment_sums, servers, sql, thaw, up, value, wait)

SECONDS = int(os.environ.get("VIDEO_KILL_SECONDS", "60"))      # by hand: 600
WAIT = 60 + 20 * SECONDS
PARAMS = {"preset": "superfast", "segment_s": 2, "range_segments": 2} if SECONDS < 300 else {"preset": "veryfast"}
ENCODING = "step IN ('encode', 'encode_first')"
ALONE = {}


def start(user):
    return user.upload(looped(SECONDS), name="long.mp4", query=pipeline_query("video", **PARAMS))


def late_job(media_id):
    """A range being encoded when nine of ten are done: (job, step, ordinal, encoder)."""
    done, everything = sql(f"SELECT count(*) FILTER (WHERE state = 'succeeded'), count(*) FROM media.jobs "
                           f"WHERE media_id = %s AND {ENCODING}", media_id)[0]
    if not everything or done < 0.9 * everything - 1:
        return None
    at = {pids(name)[0]: name for name in servers() if name.startswith("encoder-")}
    for job, step, ordinal, worker in sql(f"SELECT id, step, ordinal, worker FROM media.jobs WHERE media_id = %s AND "
                                          f"{ENCODING} AND state = 'running' AND progress > 0 "
                                          "ORDER BY progress", media_id):
        name = at.get(int(worker.rsplit(":", 1)[1]))
        if name:
            return job, step, ordinal, name
    return None


def finished(user, media_id):
    """However long it takes: longer than a token lives."""
    wait("the media is settled", lambda: value("SELECT state <> 'processing' FROM media.media WHERE id = %s", media_id),
         WAIT, 0.2)
    user.login()
    return user.media(media_id)


def lapse(job):
    """Time passes: the lease of this job is over, and the pause before its next attempt."""
    if SECONDS < 300:
        sql("UPDATE media.jobs SET lease_until = now() - interval '1s' WHERE id = %s AND state = 'running'", job)
        janitor_pass()
        hasten()


def check_finished(user, media_id, step, ordinal):
    media = finished(user, media_id)
    check(media["state"] == "ready", "the media is ready", media["error"])
    again = sql("SELECT step, ordinal, attempt FROM media.jobs WHERE media_id = %s AND attempt > 1", media_id)
    check(again == [(step, ordinal, 2)], "its one job was done again, once", again)
    count = value(f"SELECT count(*) FROM media.jobs WHERE media_id = %s AND {ENCODING}", media_id)
    seconds = value("SELECT extract(epoch FROM max(finished_at) - min(created_at)) FROM media.jobs WHERE media_id = %s",
                    media_id)
    note(f"{count} ranges in {seconds:.0f} s, {step} {ordinal} made again")
    check(segment_sums(media_id) == ALONE["sums"], "the segments of a lone encoder")


def test_one_encoder():
    """one encoder alone: what all others have to make"""
    up("workers", WORKERS="1")
    user = User()
    media_id = start(user)
    media = finished(user, media_id)
    ALONE["sums"] = segment_sums(media_id)
    check(media["state"] == "ready" and len(ALONE["sums"]) > SECONDS / 2, "ready", media["error"])
    workers = value(f"SELECT count(DISTINCT worker) FROM media.jobs WHERE media_id = %s AND {ENCODING}", media_id)
    check(workers == 1, "by one encoder", workers)


def test_four_encoders_one_killed():
    """kill -9 late in the work of four"""
    up("workers", WORKERS="4")
    user = User()
    media_id = start(user)
    job, step, ordinal, name = wait("nine tenths are done", lambda: late_job(media_id), WAIT, 0.02)
    worker, *children = pids(name)
    os.kill(worker, signal.SIGKILL)
    wait("its decoder has gone, too", lambda: not any(os.path.exists(f"/proc/{p}") for p in [worker, *children]), 30)
    lapse(job)
    check_finished(user, media_id, step, ordinal)
    workers = value(f"SELECT count(DISTINCT worker) FROM media.jobs WHERE media_id = %s AND {ENCODING}", media_id)
    check(workers > 1, "by several encoders", workers)
    nothing_left("killed")
    up("workers", WORKERS="4")


def test_four_encoders_one_stopped():
    """SIGSTOP late in the work of four, SIGCONT when the media is ready"""
    up("workers", WORKERS="4")
    user = User()
    media_id = start(user)
    job, step, ordinal, name = wait("nine tenths are done", lambda: late_job(media_id), WAIT, 0.02)
    freeze(name)
    lapse(job)
    check_finished(user, media_id, step, ordinal)
    before = sql("SELECT object_key FROM media.segments WHERE media_id = %s ORDER BY 1", media_id)
    thaw(name)
    log = RUN / "log" / (name + ".log")
    wait("the stopped one has noticed", lambda: any(
        str(job) in line and '"end":"lost"' in line for line in log.read_text().splitlines()), 60)
    check(sql("SELECT object_key FROM media.segments WHERE media_id = %s ORDER BY 1", media_id) == before,
          "it has changed nothing")
    nothing_left("stopped")


main(test_one_encoder, test_four_encoders_one_killed, test_four_encoders_one_stopped)

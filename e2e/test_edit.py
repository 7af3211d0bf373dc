#!/usr/bin/python3
"""What an owner does to media while real workers are at it, and logins that end."""

import json

from lib import User, check, clip, kill, looped, main, mail_of, mails, request, sql, unowned, up, value, wait

JSON = {"Content-Type": "application/json"}


def run(user, media_id, **body):
    return user.request("POST", f"/media/{media_id}/jobs", json.dumps(body), JSON)


def names(media):
    return sorted(o["name"] for o in media["outputs"])


def running(media_id):
    return lambda: sql("SELECT 1 FROM media.jobs WHERE media_id = %s AND step = 'audio' AND state = 'running'", media_id)


def test_again():
    """The same pipeline with other params: the old output is served until the new one is there"""
    user = User("again")
    media_id = user.upload(clip())
    first = user.settled(media_id)
    check(first["state"] == "ready" and names(first) == ["audio.mp3"], "an mp3", first)
    answer = run(user, media_id, pipeline="audio", params={"format": "flac"})
    check(answer.status == 200 and answer.json["state"] == "processing", "runs again", answer)
    second = user.settled(media_id)
    check(second["state"] == "ready" and names(second) == ["audio.flac"], "a flac instead of it", second)
    body = user.request("GET", f"/download?fid={media_id}").body
    check(body[:4] == b"fLaC", "downloads as such", body[:16])
    check(user.request("GET", f"/media/{media_id}/audio.mp3").status == 404, "the mp3 is gone")
    wait("both mails", lambda: len(mails(media_id)) == 2)
    check(True, "a mail for each end")
    refused = run(user, media_id, pipeline="audio", params={"format": "exe"})
    check(refused.status == 422 and refused.json["code"] == "params_invalid", "params are checked", refused)
    wait("nothing without owner", lambda: not unowned(media_id), 180, 0.5)
    check(True, "the object of the mp3 goes, too")


def test_stop():
    """A job is stopped under its worker, then run to its end"""
    user = User("stop")
    media_id = user.upload(looped(1800))
    wait("at work", running(media_id))
    answer = user.request("POST", f"/media/{media_id}/cancel")
    check(answer.status == 200 and answer.json["state"] == "canceled", "is canceled at once", answer)
    wait("nothing without owner", lambda: not unowned(media_id), 180, 0.5)
    check(True, "the worker lets go, what it wrote is removed")
    check(user.media(media_id)["outputs"] == [] and not mails(media_id), "no output, no mail")
    answer = user.request("POST", f"/media/{media_id}/retry")
    check(answer.status == 200 and answer.json["state"] == "processing", "retry", answer)
    media = user.settled(media_id, 300)
    check(media["state"] == "ready" and names(media) == ["audio.mp3"], "is done", media)
    mail_of(media_id)
    check(True, "its owner is told")


def test_delete():
    """Media is deleted under its worker: gone for everybody at once, objects follow"""
    user = User("delete")
    done, busy = user.upload(clip()), None
    user.settled(done)
    busy = user.upload(looped(1800))
    wait("at work", running(busy))
    for media_id in (done, busy):
        check(user.request("DELETE", f"/media/{media_id}").status == 204, "delete")
        check(user.media(media_id) is None, "gone")
        check(user.request("GET", f"/media/{media_id}/original").status == 404, "its bytes, too")
    wait("nothing without owner", lambda: not unowned(done) and not unowned(busy), 180, 0.5)
    check(True, "no object is left")
    check(value("SELECT count(*) FROM media.jobs WHERE media_id IN (%s, %s)", done, busy) == 0, "no job is left")


def test_seen():
    """Public media is there for everybody, until it is private again"""
    user, other = User("seen"), User("other")
    media_id = user.upload(clip())
    user.settled(media_id)
    mine = user.request("GET", f"/media/{media_id}/audio.mp3").body
    for visibility, nobody, somebody in (("public", 200, 200), ("private", 401, 404)):
        answer = user.request("PATCH", f"/media/{media_id}", json.dumps({"visibility": visibility}), JSON)
        check(answer.status == 200, visibility, answer)
        seen = request("GET", f"/media/{media_id}/audio.mp3")
        check(seen.status == nobody and (nobody != 200 or seen.body == mine), f"{visibility}: nobody gets {nobody}", seen)
        seen = other.request("GET", f"/media/{media_id}/audio.mp3")
        check(seen.status == somebody, f"{visibility}: somebody gets {somebody}", seen)
    check(other.request("GET", "/media").json["items"] == [], "no list but the owner's names it")


def test_database_away():
    """Without PostgreSQL what has ended stays it, what is good stays good"""
    user, gone = User("stays"), User("gone")
    check(gone.request("POST", "/logout").status == 204, "logout")
    kill("postgres")
    try:
        for _ in range(20):
            if gone.request("POST", "/validate").status != 401 or user.request("POST", "/validate").status != 200:
                check(False, "every process remembers")
                break
        else:
            check(True, "every process remembers")
        lost = user.request("POST", "/logout")
        check(lost.status == 503 and lost.json["code"] == "database_unavailable", "nobody can log out", lost)
    finally:
        up()
    wait("back", lambda: user.request("POST", "/logout").status == 204, 60, 0.2)
    check(user.request("POST", "/validate").status == 401, "with it they can")


main(test_again, test_stop, test_delete, test_seen, test_database_away)

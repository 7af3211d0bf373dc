#!/usr/bin/python3
"""Servers go away and come back: nothing acknowledged is lost, nothing is half done."""

import json
import threading

from lib import (SlowUpload, User, check, clip, freeze, kill, mail_of, mails, main, media_like, ready, request,
                 servers, sql, stop, thaw, nothing_left, up, value, wait, wait_ready)


def test_rabbitmq_away():
    """uploads are accepted without RabbitMQ and processed once it is back"""
    user = User()
    stop("rabbitmq")
    status, text = wait("readyz sees it", lambda: (lambda s: s if "degraded" in s[1] else None)(ready()), 30, 0.2)
    check(status == 200, "readyz: 200, degraded", text)
    answer = user.put(clip())
    check(answer.status == 201, "the upload is accepted", answer)
    media_id = answer.json["id"]
    up("rabbitmq")
    media = user.settled(media_id)
    check(media["state"] == "ready", "it is processed once RabbitMQ is back", media["error"])
    mail_of(media_id)

    def published():
        sql("UPDATE media.outbox SET retry_at = now()")  # time passes: the janitor's hold is over
        return value("SELECT count(*) FROM media.outbox") == 0
    wait("the outbox is empty", published, 60, 0.5)
    wait_ready()
    check(len(mails(media_id)) == 1, "one mail")


def test_rabbitmq_loses_everything():
    """all messages are lost: the jobs run all the same"""
    user = User()
    workers = [name for name in servers() if name.startswith("transcoder-")]
    for name in workers:
        freeze(name)
    media_id = user.upload(clip())
    kill("rabbitmq")
    sql("DELETE FROM media.outbox")
    for name in workers:
        thaw(name)
    media = user.settled(media_id)
    check(media["state"] == "ready", "processed without its message", media["error"])
    up("rabbitmq")


def test_s3_away():
    """no S3: 503 with Retry-After, nothing kept, well again afterwards"""
    user = User()
    kill("s3")
    answer = user.put(media_like(200000))
    check(answer.status == 503 and answer.json["code"] == "storage_unavailable", "503 storage_unavailable", answer)
    check(answer.headers["Retry-After"], "Retry-After")
    answer = user.post_form(media_like(100000))
    check(answer.status == 503, "form: 503", answer)
    check(wait("readyz sees it", lambda: ready()[0] == 503, 30, 0.2), "readyz: 503")
    up("s3")
    wait_ready()
    check(user.put(media_like(200000)).status == 201, "uploads work again")

    nothing_left()


def test_s3_restarts_under_parts():
    """unknown length: a part is sent again when S3 comes back"""
    user = User()
    upload = SlowUpload(user, 0, headers={"Transfer-Encoding": "chunked"})
    body = media_like(20 << 20)
    for at in range(0, 12 << 20, 1 << 20):
        upload.send(body[at:at + (1 << 20)])
    wait("the multipart upload is open", lambda: value(
        "SELECT count(*) FROM media.objects WHERE s3_upload_id IS NOT NULL AND state = 'pending'"), 20)
    kill("s3")
    sender = threading.Thread(target=lambda: [upload.send(body[at:at + (1 << 20)])
                                              for at in range(12 << 20, 20 << 20, 1 << 20)] and upload.end())
    sender.start()
    up("s3")
    sender.join(60)
    answer = upload.answer()
    check(answer.status == 201 and answer.json["size"] == 20 << 20, "the upload survives", answer)


def test_postgres_away_before():
    """no database: 503 before a byte of the body"""
    user = User()
    kill("postgres")
    c = SlowUpload(user, 1000, headers={"Expect": "100-continue"})
    answer = c.answer()
    check(answer.status == 503 and answer.json["code"] == "database_unavailable", "503 database_unavailable", answer)
    check(answer.headers["Retry-After"], "Retry-After")
    login = request("POST", "/login", json.dumps({"email": user.email, "password": user.password}),
                    {"Content-Type": "application/json"})
    check(login.status == 503, "login: 503", login)
    up("postgres")
    wait_ready()
    check(user.put(media_like(5000)).status == 201, "uploads work again")


def test_postgres_restarts_in_mid_upload():
    """the database is away while the body flows, back before the commit"""
    user = User()
    body = media_like(3 << 20)
    upload = SlowUpload(user, len(body))
    upload.send(body[:1 << 20])
    wait("the intent row", lambda: value("SELECT count(*) FROM media.uploads"), 20)
    kill("postgres")
    upload.send(body[1 << 20:2 << 20])
    up("postgres")
    upload.send(body[2 << 20:])
    answer = upload.answer()
    check(answer.status == 201, "the upload survives", answer)
    wait_ready()


def test_postgres_dies_at_the_commit():
    """the outcome of the commit is unknown: it is asked again, the media exists once"""
    user = User()
    body = media_like(1 << 20)
    upload = SlowUpload(user, len(body))
    upload.send(body[:100000])
    wait("the intent row", lambda: value("SELECT count(*) FROM media.uploads"), 20)
    freeze("postgres")
    upload.send(body[100000:])
    box = []
    reader = threading.Thread(target=lambda: box.append(upload.answer()))
    reader.start()
    thaw("postgres")
    kill("postgres")
    up("postgres")
    reader.join(60)
    check(box and box[0].status == 201, "201 in the end", box)
    wait_ready()
    check(value("SELECT count(*) FROM media.media WHERE owner_id = (SELECT id FROM media.users WHERE email = %s)",
                user.email) == 1, "one media")


main(test_rabbitmq_away, test_rabbitmq_loses_everything, test_s3_away, test_s3_restarts_under_parts,
     test_postgres_away_before, test_postgres_restarts_in_mid_upload, test_postgres_dies_at_the_commit)

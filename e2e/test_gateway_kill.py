#!/usr/bin/python3
"""The gateway is killed at every point of an upload; after one pass of the janitor nothing is left that
nobody owns. The points are held by freezing what the gateway waits for."""

import threading

from lib import (SlowUpload, User, check, freeze, kill, main, media_like, multiparts, note, nothing_left, objects,
                 sql, thaw, up, value, wait)

PART = 8 << 20


def killed_at(name, arrange, expect_rows=1):
    """arrange(user) brings an upload to its point and returns what undoes the freeze."""
    user = User()
    before = objects()
    upload, frozen = arrange(user)
    keys = [r[0] for r in sql("SELECT object_key FROM media.objects WHERE state = 'pending'")] if not frozen or \
        "postgres" not in frozen else []
    kill("nginx")
    for server in frozen:
        thaw(server)
    up("nginx")
    nothing_left(name)
    check(not multiparts(keys), f"{name}: no multipart upload is left")
    check(objects() <= before or value("SELECT count(*) FROM media.media WHERE owner_id = "
                                       "(SELECT id FROM media.users WHERE email = %s)", user.email) == 1,
          f"{name}: no object, or a committed media")
    if upload is not None:
        upload.close()
    answer = user.put(media_like(70000))
    check(answer.status == 201, f"{name}: the gateway takes uploads again", answer)


def started(user, size, headers=None, first=100000):
    upload = SlowUpload(user, size, headers=headers)
    upload.send(media_like(first))
    return upload


def pending(count=1):
    return wait("the intent row", lambda: value("SELECT count(*) FROM media.uploads") >= count, 20)


def test_head_sent():
    """the intent is being written"""
    def arrange(user):
        freeze("postgres")
        return started(user, 1 << 20), ["postgres"]
    killed_at("intent", arrange)


def test_body_passing():
    """known length, in mid-body"""
    def arrange(user):
        upload = started(user, 4 << 20)
        pending()
        upload.send(b"x" * (1 << 20))
        return upload, []
    killed_at("pass-through body", arrange)


def test_s3_has_all():
    """known length, S3 has everything but does not answer"""
    def arrange(user):
        upload = started(user, 1 << 20)
        pending()
        freeze("s3")
        upload.send(b"x" * ((1 << 20) - 100000))
        return upload, ["s3"]
    killed_at("unanswered PUT", arrange)


def test_first_part_filling():
    """unknown length, nothing at S3 yet"""
    def arrange(user):
        upload = started(user, 0, {"Transfer-Encoding": "chunked"})
        pending()
        return upload, []
    killed_at("first part", arrange)


def test_multipart_created():
    """unknown length, parts at S3"""
    def arrange(user):
        upload = started(user, 0, {"Transfer-Encoding": "chunked"})
        for _ in range(20):
            upload.send(b"x" * (1 << 20))
        wait("the upload id is recorded", lambda: value(
            "SELECT count(*) FROM media.objects WHERE s3_upload_id IS NOT NULL AND state = 'pending'"), 20)
        return upload, []
    killed_at("multipart", arrange)


def test_multipart_unrecorded():
    """the multipart upload exists, its id was not written down"""
    def arrange(user):
        upload = started(user, 0, {"Transfer-Encoding": "chunked"})
        pending()
        upload.send(b"x" * (7 << 20))
        key = value("SELECT object_key FROM media.objects WHERE state = 'pending'")
        freeze("postgres")
        sender = threading.Thread(target=upload.send, args=(b"x" * (2 << 20),), daemon=True)
        sender.start()
        wait("S3 knows the multipart upload", lambda: multiparts([key]), 20)
        return upload, ["postgres"]
    killed_at("unrecorded multipart", arrange)


def test_commit_sent():
    """the commit is on its way"""
    def arrange(user):
        upload = started(user, 1 << 20)
        pending()
        key = value("SELECT object_key FROM media.objects WHERE state = 'pending'")
        freeze("postgres")
        upload.send(b"x" * ((1 << 20) - 100000))
        wait("the object is complete", lambda: key in objects(), 20)
        return upload, ["postgres"]
    killed_at("commit", arrange)


def test_client_gone():
    """not the gateway but the client goes away"""
    user = User()
    for headers, name in ((None, "known length"), ({"Transfer-Encoding": "chunked"}, "chunked")):
        upload = started(user, 64 << 20, headers)
        pending()
        for _ in range(12):
            upload.send(b"x" * (1 << 20))
        upload.close()
        wait("the intent is closed", lambda: value("SELECT count(*) FROM media.uploads") == 0, 20)
        nothing_left(f"client gone, {name}")


def test_no_worker_left():
    """the worker processes die, the master starts new ones"""
    user = User()
    upload = started(user, 4 << 20)
    pending()
    import os, signal
    from lib import nginx_workers
    workers = nginx_workers()
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    note(f"{len(workers)} worker processes killed")
    wait("new workers", lambda: nginx_workers() and user.put(media_like(5000)).status == 201, 20)
    nothing_left("killed workers")
    upload.close()


main(test_head_sent, test_body_passing, test_s3_has_all, test_first_part_filling, test_multipart_created,
     test_multipart_unrecorded, test_commit_sent, test_client_gone, test_no_worker_left)

#!/usr/bin/python3
"""By hand (make up; source .run/env; e2e/run.sh large.py): files of more than 5 GiB, for which S3 wants several parts.
Needs 11 GB of disk for MinIO and some minutes. GIB (5) says how large."""

import hashlib
import os
import time

from lib import BUCKET, User, check, main, media_like, note, s3, value

SIZE = (int(os.environ.get("GIB", 5)) << 30) + 12345
PIECE = 1 << 20
HEAD = media_like(PIECE)


def pieces(digest):
    """The file, from one piece of memory, and its digest."""
    zero = bytes(PIECE)
    for at in range(0, SIZE, PIECE):
        piece = (HEAD if at == 0 else zero)[:SIZE - at]
        digest.update(piece)
        yield piece


def large(name, headers):
    """http.client sends chunks unless it is told the length."""
    user, digest = User(), hashlib.sha256()
    began = time.monotonic()
    answer = user.request("PUT", f"/upload/{name}.mp4", pieces(digest), headers, timeout=1800)
    seconds = time.monotonic() - began
    media = answer.json
    check(answer.status == 201 and media["size"] == SIZE, f"{name}: 201", answer)
    check(media["digest"]["sha-256"] == digest.hexdigest(), f"{name}: its digest", media)
    key = value("SELECT object_key FROM media.media WHERE id = %s", media["id"])
    head = s3().head_object(Bucket=BUCKET, Key=key)
    check(head["ContentLength"] == SIZE, f"{name}: S3 has all of it", head)
    note(f"{name}: {SIZE / 2**30:.2f} GiB in {seconds:.0f} s, {SIZE / seconds / 2**20:.0f} MiB/s, ETag {head['ETag']}")
    s3().delete_object(Bucket=BUCKET, Key=key)


def test_known_length():
    """its parts pass through, one after the other"""
    large("known", {"Content-Length": str(SIZE)})


def test_unknown_length():
    """its parts are held"""
    large("unknown", {})


main(test_known_length, test_unknown_length)

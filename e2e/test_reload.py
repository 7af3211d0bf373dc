#!/usr/bin/python3
"""Reload and quit let running uploads finish; the old processes then leave."""

import os
import signal

from lib import SlowUpload, User, check, clip, main, media_like, nginx_workers as workers, pids, request, up, value, wait


def begun(user, chunked):
    upload = SlowUpload(user, 6 << 20, headers={"Transfer-Encoding": "chunked"} if chunked else None)
    upload.send(media_like(1 << 20))
    return upload


def finish(upload):
    for _ in range(5):
        upload.send(b"z" * (1 << 20))
    if upload.chunked:
        upload.end()
    return upload.answer()


def counter(name):
    text = request("GET", "/metrics").body.decode()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))


def test_reload():
    """SIGHUP with uploads in flight"""
    user = User()
    before = workers()
    committed = counter("ngx_media_uploads_committed_total")
    uploads = [begun(user, chunked) for chunked in (False, True)]
    wait("both intents", lambda: value("SELECT count(*) FROM media.uploads") >= 2, 20)
    os.kill(pids("nginx")[0], signal.SIGHUP)
    wait("new processes", lambda: set(workers()) - set(before), 20)
    check(user.put(clip()).status == 201, "the new processes take uploads")
    for upload, name in zip(uploads, ("known length", "chunked")):
        answer = finish(upload)
        check(answer.status == 201 and answer.json["size"] == 6 << 20, f"{name}: finished by the old process", answer)
        upload.close()
    wait("the old processes are gone", lambda: not set(before) & set(workers()), 30)
    check(True, "the old processes have left")
    check(counter("ngx_media_uploads_committed_total") >= committed + 3, "the counters went on over the reload")


def test_quit():
    """SIGQUIT with an upload in flight"""
    user = User()
    upload = begun(user, False)
    wait("the intent", lambda: value("SELECT count(*) FROM media.uploads"), 20)
    everybody = pids("nginx")
    os.kill(everybody[0], signal.SIGQUIT)
    answer = finish(upload)
    check(answer.status == 201, "the upload finished", answer)
    upload.close()
    wait("nginx is gone", lambda: not any(os.path.exists(f"/proc/{p}") for p in everybody), 30)
    check(True, "nginx has left")
    up("nginx")


main(test_reload, test_quit)

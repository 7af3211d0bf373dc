#!/usr/bin/python3
"""Clients that vanish at every moment of an upload, by the hundred: no worker process dies, nothing leaks; and
many uploads that want more memory than there is all end well."""

import concurrent.futures
import random
import socket
import struct

from lib import (URL, RUN, SlowUpload, User, check, clip, main, media_like, nginx_workers, note, nothing_left, request,
                 wait)

FORM = (b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp4\"\r\n\r\n", b"\r\n--b--\r\n")


def heads(user, body):
    """The same upload in its three shapes: (head, body)."""
    auth = f"Host: x\r\nAuthorization: Bearer {user.token}\r\n".encode()
    form = FORM[0] + body + FORM[1]
    yield (b"PUT /upload/a.mp4 HTTP/1.1\r\n" + auth + b"Content-Length: %d\r\n\r\n" % len(body), body)
    yield (b"PUT /upload/a.mp4 HTTP/1.1\r\n" + auth + b"Transfer-Encoding: chunked\r\n\r\n",
           b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    yield (b"POST /upload HTTP/1.1\r\n" + auth + b"Content-Type: multipart/form-data; boundary=b\r\n"
           b"Content-Length: %d\r\n\r\n" % len(form), form)


def vanish(head, body, rng):
    """Sends a part of a request, perhaps all of it, and resets the connection."""
    data = head + body
    cut = rng.choice([len(data), len(head), len(head) + 1, rng.randrange(len(data))])
    s = socket.create_connection((URL.hostname, URL.port), 10)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    try:
        step = rng.choice([len(data), 1000, 70000])
        for at in range(0, cut, step):
            s.sendall(data[at:min(at + step, cut)])
        if rng.random() < 0.3:
            s.settimeout(rng.choice([0.001, 0.01, 0.05]))
            s.recv(1)
    except OSError:
        pass
    finally:
        s.close()


def gauge(name):
    text = request("GET", "/metrics").body.decode()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))


def test_vanishing_clients():
    """1500 uploads cut off by a reset"""
    user = User()
    rng = random.Random(7)
    workers = nginx_workers()
    logged = len((RUN / "log/error.log").read_text(errors="replace"))
    jobs = []
    for size in (1, 500, 3000, 5000, 70000, 300000):
        for head, body in heads(user, media_like(size)):
            jobs += [(head, body, random.Random(rng.random())) for _ in range(84)]
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        list(pool.map(lambda job: vanish(*job), jobs))
    wait("no upload is left", lambda: gauge("ngx_media_uploads_active") == 0, 60)
    check(nginx_workers() == workers, f"the same processes after {len(jobs)} resets", (workers, nginx_workers()))
    check(gauge("ngx_media_memory_bytes") == 0, "all memory came back", gauge("ngx_media_memory_bytes"))
    check(user.put(clip()).status == 201, "uploads go on")
    log = (RUN / "log/error.log").read_text(errors="replace")[logged:]
    bad = [line for line in log.splitlines() if "[alert]" in line or "[emerg]" in line or "[crit]" in line]
    check(not bad, "no alert in the log", "\n".join(bad[:10]))

    nothing_left()


def test_more_than_the_memory():
    """80 chunked uploads of 9 MiB at once: more than media_memory holds"""
    user = User()
    body = media_like(9 << 20)

    def one(_):
        upload = SlowUpload(user, 0, headers={"Transfer-Encoding": "chunked"})
        try:
            upload.send(body[:5 << 20])
            upload.send(body[5 << 20:])
            upload.end()
            return upload.answer().status
        finally:
            upload.close()
    with concurrent.futures.ThreadPoolExecutor(80) as pool:
        statuses = list(pool.map(one, range(80)))
    note(f"statuses: {sorted(set(statuses))}")
    check(statuses.count(201) == 80, "all of them are accepted", statuses)
    check(gauge("ngx_media_memory_bytes") == 0, "all memory came back")


main(test_vanishing_clients, test_more_than_the_memory)

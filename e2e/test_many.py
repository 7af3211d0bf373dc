#!/usr/bin/python3
"""Many uploads at once: slow raw ones, forms, and clients that would keep the memory or the time of others to
themselves. MANY (500) says how many, SLOW_S (10) for how long the slow ones send 1 KB per second."""

import asyncio
import collections
import contextlib
import http.client
import multiprocessing
import os
import pathlib
import re
import resource
import socket
import subprocess
import tempfile
import time

from lib import (RUN, URL, User, check, main, media_like, nginx_workers as workers, note, nothing_left, pids, value, wait)

MANY = int(os.environ.get("MANY", 500))
SLOW_S = int(os.environ.get("SLOW_S", 10))
PSS_MAX = 640 << 20
FORM_SIZE = 100_000
FORM = (b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp4\"\r\n\r\n", b"\r\n--b--\r\n")

resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


def pss():
    """What the nginx workers hold in memory, shared pages by their share."""
    return sum(int(re.search(r"^Pss:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1))
               for pid in workers()) << 10


def gauge(name, port=URL.port):
    c = http.client.HTTPConnection(URL.hostname, port, timeout=60)
    c.request("GET", "/metrics")
    text = c.getresponse().read().decode()
    c.close()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"ngx_media_{name} "))


class Upload:
    """One upload on a connection of its own: its head is sent by begin(), its status is read by end()."""

    def __init__(self, user, line, *headers, port=URL.port):
        self.port = port
        self.head = "\r\n".join([f"{line} HTTP/1.1", "Host: x", f"Authorization: Bearer {user.token}", *headers,
                                 "", ""]).encode()

    async def begin(self):
        self.reader, self.writer = await asyncio.open_connection(URL.hostname, self.port)
        self.writer.write(self.head)
        await self.writer.drain()

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def end(self):
        try:
            line = await self.reader.readline()
            self.rest = await self.reader.read(4096)
            return int(line.split()[1]) if line else 0
        except OSError as error:
            return type(error).__name__
        finally:
            self.writer.close()


class Peak:
    """The largest Pss seen while it is entered."""

    async def __aenter__(self):
        self.most = pss()
        self.task = asyncio.create_task(self.watch())
        return self

    async def watch(self):
        while True:
            await asyncio.sleep(0.5)
            self.most = max(self.most, await asyncio.to_thread(pss))

    async def __aexit__(self, *_):
        self.task.cancel()


async def all_of(coroutines):
    return await asyncio.gather(*coroutines, return_exceptions=True)


def all_complete(statuses, what):
    check(statuses.count(201) == len(statuses), f"{what}: all of them complete", collections.Counter(map(str, statuses)))


def test_slow():
    """raw uploads at 1 KB/s"""
    user = User()
    before = pss()
    body = media_like(1024 * SLOW_S)

    async def one(ready):
        upload = Upload(user, "PUT /upload/slow.mp4", f"Content-Length: {len(body)}")
        await upload.begin()
        ready.append(1)
        for at in range(0, len(body), 1024):
            await asyncio.sleep(1)
            await upload.send(body[at:at + 1024])
        return await upload.end()

    async def run():
        ready = []
        async with Peak() as peak:
            tasks = []
            for _ in range(MANY):
                tasks.append(asyncio.create_task(one(ready)))
                if len(tasks) % 50 == 0:
                    await asyncio.sleep(0.05)
            while len(ready) < MANY:
                await asyncio.sleep(0.1)
            active = await asyncio.to_thread(gauge, "uploads_active")
            statuses = await all_of(tasks)
        return statuses, peak.most, active
    began = time.monotonic()
    statuses, most, active = asyncio.run(run())
    all_complete(statuses, f"{MANY} at 1 KB/s for {SLOW_S} s")
    check(active == MANY, "all of them were in flight at once", active)
    check(most < PSS_MAX, f"nginx held less than {PSS_MAX >> 20} MiB", most >> 20)
    note(f"{time.monotonic() - began:.1f} s; Pss {before / 2**20:.1f} MiB before, {most / 2**20:.1f} MiB at most: "
         f"{(most - before) / MANY / 1024:.1f} KiB for each upload")


def test_forms():
    """form-data uploads of 100 KB at once"""
    user = User()
    before = pss()
    body = FORM[0] + media_like(FORM_SIZE) + FORM[1]

    async def one():
        upload = Upload(user, "POST /upload", "Content-Type: multipart/form-data; boundary=b",
                        f"Content-Length: {len(body)}")
        await upload.begin()
        await upload.send(body)
        return await upload.end()

    async def run():
        async with Peak() as peak:
            return await all_of(one() for _ in range(MANY)), peak.most
    began = time.monotonic()
    statuses, most = asyncio.run(run())
    all_complete(statuses, f"{MANY} forms of 100 KB")
    check(most < PSS_MAX, f"nginx held less than {PSS_MAX >> 20} MiB", most >> 20)
    check(gauge("memory_bytes") == 0, "all memory came back", gauge("memory_bytes"))
    note(f"{time.monotonic() - began:.1f} s; Pss {before / 2**20:.1f} MiB before, {most / 2**20:.1f} MiB at most")


class Gateway:
    """An nginx of our own beside the one of make up, with its configuration changed."""

    def __init__(self, **directives):
        self.dir = pathlib.Path(tempfile.mkdtemp(dir=RUN / "tmp"))
        self.dir.chmod(0o777)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        text = (RUN / "conf/nginx.conf").read_text()
        for pattern, new in ((r"(?m)^pid .*;", f"pid {self.dir}/pid;"),
                             (r"_(temp|cache)_path \S+/", rf"_\1_path {self.dir}/"),
                             (r"listen \S+:\d+ http2;", ""), (r"listen \S+:\d+;", f"listen 127.0.0.1:{self.port};"),
                             *((rf"\b{name} [^;]*;", f"{name} {value};") for name, value in directives.items())):
            text = re.sub(pattern, new, text)
        (self.dir / "nginx.conf").write_text(text)
        environ = {**os.environ, "PGPASSFILE": str((RUN / "data").resolve() / "nginx/pgpass")}
        self.process = subprocess.Popen(
            [os.readlink(f"/proc/{pids('nginx')[0]}/exe"), "-p", self.dir, "-c", self.dir / "nginx.conf"],
            env=environ, stderr=subprocess.DEVNULL)
        wait("the other gateway", self.answers, 30)

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def close(self):
        self.process.terminate()
        self.process.wait(30)


class Held:
    """A gateway with 32 MiB for parts, 24 of them for whoever comes first, and clients that hold those."""

    def __init__(self, user, **limits):
        self.user = user
        self.gateway = Gateway(media_memory="32m", worker_processes=1, **limits)

    async def holder(self, size):
        upload = Upload(self.user, "PUT /upload/held.mp4", "Transfer-Encoding: chunked", port=self.gateway.port)
        await upload.begin()
        await upload.send(b"%x\r\n%s\r\n" % (size, media_like(size)))
        return upload

    async def finish(self, upload):
        await upload.send(b"0\r\n\r\n")
        return await upload.end()

    async def newcomer(self):
        """Status, head and what it took."""
        began = time.monotonic()
        upload = await self.holder(FORM_SIZE)
        status = await self.finish(upload)
        return status, time.monotonic() - began, upload.rest

    async def stand_still(self):
        holders = [await self.holder(4 << 20) for _ in range(6)]
        await asyncio.to_thread(wait, "the memory is held",
                                lambda: gauge("memory_bytes", self.gateway.port) >= 24 << 20)
        new = await asyncio.gather(self.newcomer(), self.newcomer())
        return [await self.finish(holder) for holder in holders], new

    async def trickle(self, upload):
        """500 bytes per second, until it is refused."""
        status = asyncio.create_task(upload.end())
        while not status.done():
            with contextlib.suppress(OSError):
                await upload.send(b"64\r\n" + b"x" * 100 + b"\r\n")
            await asyncio.sleep(0.2)
        return status.result()

    async def slow(self):
        slow = [asyncio.create_task(self.trickle(await self.holder((3 << 20) - (1 << 17)))) for _ in range(8)]
        await asyncio.sleep(13)
        rest = await self.holder(2 << 20)
        new = await asyncio.gather(self.newcomer(), self.newcomer())
        return await asyncio.gather(*slow), new, await self.finish(rest)


def test_held():
    """clients that hold all the memory: others get a slot, or 503 in time; the slow ones get 408"""
    user = User()
    held = Held(user, media_memory_wait="4s", media_min_rate="1k")
    try:
        holders, new = asyncio.run(held.stand_still())
        check(all(status == 503 and 3.9 < waited < 6 and b"\nRetry-After: " in rest for status, waited, rest in new),
              "all memory is held: 503 after media_memory_wait, with Retry-After", new)
        check(holders == [201] * 6, "the holders complete", holders)
    finally:
        held.gateway.close()
    held = Held(user, media_memory_wait="20s", media_min_rate="4k")
    try:
        holders, new, rest = asyncio.run(held.slow())
        check(all(status == 201 and waited < 10 for status, waited, _ in new), "it is held by slow ones: a slot", new)
        check(holders == [408] * 8, "the slow ones get 408", holders)
        check(rest == 201, "one that came just before does not", rest)
    finally:
        held.gateway.close()


def stream(port, token, name, piece, seconds, gate, out):
    """A process: a chunked upload as fast as it is taken; puts (name, bytes while all were at it, status)."""
    s = socket.create_connection(("127.0.0.1", port))
    if name == "fast":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
    s.sendall(f"PUT /upload/{name}.mp4 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
              "Transfer-Encoding: chunked\r\n\r\n".encode())
    chunk = b"%x\r\n%s\r\n" % (piece, media_like(piece))
    s.sendall(chunk)
    gate.wait()
    # neither the beginning nor the end counts: the one is quick, the other has fewer clients
    begin, end, taken = time.monotonic() + 0.5, time.monotonic() + 0.5 + seconds, 0
    while (now := time.monotonic()) < end:
        s.sendall(chunk)
        taken += piece if now > begin else 0
    s.sendall(b"0\r\n\r\n")
    out.put((name, taken, s.recv(64).split(b" ")[1].decode()))
    s.close()


def shares(gateway, user, count, seconds):
    """Bytes of `count` equal clients and of a fast one, that all sent for the same time."""
    gate, out = multiprocessing.Barrier(count + 1), multiprocessing.Queue()
    clients = [multiprocessing.Process(target=stream, args=(gateway.port, user.token, name, piece, seconds, gate, out))
               for name, piece in [(f"equal-{n}", 1 << 16) for n in range(count)] + [("fast", 1 << 22)]]
    for client in clients:
        client.start()
    results = [out.get(timeout=120) for _ in clients]
    for client in clients:
        client.join()
    check(all(status == "201" for _, _, status in results), "all of them complete", results)
    return {name: taken for name, taken, _ in results}


def test_fair():
    """equal clients beside a fast one, with more memory than they want, and with less"""
    user = User()
    for memory, seconds in (("256m", 3), ("30m", 8)):
        gateway = Gateway(media_memory=memory, media_s3_part_size="5m", worker_processes=1)
        try:
            taken = shares(gateway, user, 8, seconds)
        finally:
            gateway.close()
        even = sum(taken.values()) / len(taken)
        note(f"media_memory {memory}: even share {even / 2**20:.0f} MiB, " + " ".join(
            f"{name} {n / even:.2f}" for name, n in sorted(taken.items())))
        check(min(taken.values()) >= even / 2, f"media_memory {memory}: none below half its even share", taken)


def test_nothing_left():
    """rows and objects; and no work for the workers, who would be late for the next file of tests"""
    wait("all jobs are done", lambda: value("SELECT count(*) FROM media.jobs WHERE state IN ('queued', 'running')") == 0,
         600, 1)
    nothing_left()
    check(gauge("uploads_active") == 0, "no upload is active")


main(test_slow, test_forms, test_held, test_fair, test_nothing_left)

#!/usr/bin/python3
"""Two gateways on one database: keys, quotas and names are decided once."""

import collections
import contextlib
import http.client
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import uuid

from lib import RUN, URL, User, check, janitor_pass, main, media_like, nothing_left, pids, request, sql, value, wait

MIB = 1 << 20


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def second_gateway():
    """Another nginx with the configuration and environment of the first one, on a port of its own."""
    port = free_port()
    text = (RUN / "conf" / "nginx.conf").read_text()
    text = re.sub(r"listen 127\.0\.0\.1:\d+ http2;", "", text)
    text = text.replace(f"listen 127.0.0.1:{URL.port};", f"listen 127.0.0.1:{port};")
    text = re.sub(r"(pid \S+)/nginx\.pid;", r"\1/nginx-2.pid;", text)
    conf = RUN / "conf" / "nginx-2.conf"
    conf.write_text(text)
    first = pids("nginx")[0]
    title = pathlib.Path(f"/proc/{first}/cmdline").read_text()       # nginx writes it, over its environment
    prefix = re.search(r"-p (\S+)", title).group(1)
    environ = {name: text for name, text in os.environ.items() if name == "AMQP_URL" or name.startswith("AWS_")}
    process = subprocess.Popen([os.readlink(f"/proc/{first}/exe"), "-p", prefix, "-e", RUN / "log" / "error-2.log",
                                "-c", conf], env={**environ, "PGPASSFILE": prefix + "/pgpass"})
    try:
        def ready():
            with contextlib.suppress(OSError):
                return request("GET", "/readyz", port=port).status == 200
        wait("the second gateway", ready, 30)
        yield port, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def both(port, jobs):
    """Runs job(port) of each, in turn against one gateway and the other, all at once; their results."""
    results = [None] * len(jobs)
    gate = threading.Barrier(len(jobs))

    def run(i):
        gate.wait()
        try:
            results[i] = jobs[i](URL.port if i % 2 == 0 else port)
        except OSError as error:
            results[i] = error
    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return results


def put(user, body, port, name="a.mp4", headers=None):
    return user.request("PUT", f"/upload/{name}", body, headers, port=port)


def chunks(body, size=MIB):
    return iter([body[at:at + size] for at in range(0, len(body), size)])


def put_chunked(user, body, port):
    """A body without a length; the answer may come before its end."""
    c = http.client.HTTPConnection(URL.hostname, port, timeout=120)
    try:
        with contextlib.suppress(ConnectionError):
            c.request("PUT", "/upload/a.mp4", chunks(body), {"Authorization": "Bearer " + user.token}, encode_chunked=True)
        response = c.getresponse()
        return response.status, response.read()
    finally:
        c.close()


def tally(answers):
    return collections.Counter(a.status if hasattr(a, "status") else str(a) for a in answers)


def media_of(user):
    return sql("SELECT id, size_bytes FROM media.media WHERE owner_id = "
               "(SELECT id FROM media.users WHERE email = %s)", user.email)


def quota(user, *args):
    subprocess.run(["mediactl", "user", "quota", user.email, *args], check=True, stdout=subprocess.DEVNULL)


def test_one_key():
    """the same upload at both gateways, with one key: one media, and every attempt hears of it"""
    user = User()
    body = media_like(3 * MIB)
    with second_gateway() as (port, _):
        for n in range(5):
            key = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
            answers = both(port, [lambda p, k=key: put(user, body, p, headers=k)] * 8)
            statuses = tally(answers)
            check(set(statuses) <= {201, 409} and statuses[201] >= 1, f"round {n}: created, or still running", statuses)
            check(len(media_of(user)) == n + 1, f"round {n}: one media")
            ids = {a.json["id"] for a in answers if a.status == 201}
            check(len(ids) == 1, f"round {n}: all created ones are it", ids)
            check(all(a.headers["Retry-After"] for a in answers if a.status == 409), f"round {n}: or when to come back")
            late = both(port, [lambda p, k=key: put(user, body, p, headers=k)] * 4)
            check(tally(late) == {201: 4} and {a.json["id"] for a in late} == ids,
                  f"round {n}: later all get it", tally(late))
            check(len({a.body for a in late}) == 1, f"round {n}: word for word")
            other = both(port, [lambda p, k=key: put(user, body[:-1] + b"x", p, headers=k)] * 2)
            check(tally(other) == {422: 2}, f"round {n}: another file is refused", tally(other))


def test_killed_gateway():
    """the gateway of the first attempt dies: its key is free once the janitor has seen it"""
    user = User()
    body = media_like(MIB)
    key = {"Idempotency-Key": "after-the-crash"}
    with second_gateway() as (port, process):
        c = http.client.HTTPConnection(URL.hostname, port, timeout=60)
        c.putrequest("PUT", "/upload/a.mp4")
        for name, text in {"Authorization": "Bearer " + user.token, "Content-Length": str(len(body)), **key}.items():
            c.putheader(name, text)
        c.endheaders()
        c.send(body[:100000])
        wait("the intent", lambda: value("SELECT count(*) FROM media.uploads WHERE idempotency_key = 'after-the-crash'"), 20)
        answer = put(user, body, URL.port, headers=key)
        check(answer.status == 409, "while it runs: 409 at the other gateway", answer)
        for pid in [process.pid] + [int(p) for p in pathlib.Path(
                f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]:
            os.kill(pid, signal.SIGKILL)
        process.wait(30)
    answer = put(user, body, URL.port, headers=key)
    check(answer.status == 409, "nobody knows yet: 409", answer)
    sql("UPDATE media.uploads SET heartbeat_at = now() - interval '1h' WHERE idempotency_key = 'after-the-crash'")
    janitor_pass()
    answer = put(user, body, URL.port, headers=key)
    check(answer.status == 201, "then the other gateway takes it", answer)
    check(len(media_of(user)) == 1, "one media")


def test_last_bytes():
    """two uploads at two gateways for the last bytes of a quota: one gets them"""
    user = User()
    quota(user, "--bytes", "10m")
    body = media_like(6 * MIB)
    with second_gateway() as (port, _):
        for n in range(5):
            answers = both(port, [lambda p: put(user, body, p)] * 4)
            check(tally(answers) == {201: 1, 413: 3}, f"round {n}: one of four", tally(answers))
            refused = next(a for a in answers if a.status == 413).json
            check(refused["code"] == "quota_exceeded" and refused["limit"] == 10 * MIB,
                  f"round {n}: the others hear why", refused)
            sql("DELETE FROM media.media WHERE owner_id = (SELECT id FROM media.users WHERE email = %s)", user.email)
        quota(user, "--bytes", "100m")
        answers = both(port, [lambda p: put_chunked(user, media_like(80 * MIB), p)] * 2)
        statuses = sorted(a[0] if isinstance(a, tuple) else 0 for a in answers)
        check(statuses == [201, 413], "80 MiB each of 100, without a length: one ends, one is refused", answers)
        check(sum(m[1] for m in media_of(user)) == 80 * MIB, "what is stored is within the quota")
        used = user.request("GET", "/me", port=port).json["quota"]
        check(used["used"] == 80 * MIB and used["reserved"] == 0, "nothing stays reserved", used)


def test_open_uploads():
    """a limit of open uploads holds over both gateways"""
    user = User()
    quota(user, "--uploads", "3")
    with second_gateway() as (port, _):
        for n in range(5):
            answers = both(port, [lambda p: put(user, media_like(2 * MIB), p)] * 10)
            statuses = tally(answers)
            check(set(statuses) <= {201, 413} and statuses[201] >= 3, f"round {n}: at least three", statuses)
        check(user.request("GET", "/me").json["quota"]["uploads"] == 0, "none is open")


def test_one_name():
    """If-None-Match: * at both gateways: one 201, the others 412"""
    user = User()
    with second_gateway() as (port, _):
        for n in range(5):
            answers = both(port, [lambda p, n=n: put(user, media_like(MIB), p, f"{n}.mp4", {"If-None-Match": "*"})] * 6)
            check(tally(answers) == {201: 1, 412: 5}, f"round {n}: one of six", tally(answers))


def test_nothing_is_left():
    """of all that"""
    nothing_left()


main(test_one_key, test_killed_gateway, test_last_bytes, test_open_uploads, test_one_name, test_nothing_is_left)

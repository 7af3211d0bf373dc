#!/usr/bin/python3
"""An upload that is refused in mid-body: clients that send all of it before they listen can read why."""

import http.client
import json
import os
import subprocess
import tempfile

from lib import RUN, URL, User, check, main, media_like, skip, sql

SIZE = 48 << 20
JP2 = b"\0\0\0\x0cjP  \r\n\x87\n".ljust(SIZE, b"\0")
FORM = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n%s\r\n--b--\r\n"


def pieces(body):
    for at in range(0, len(body), 1 << 16):
        yield body[at:at + (1 << 16)]


def shapes(body):
    """(name, method, path, body, headers)"""
    yield "raw", "PUT", "/upload/a", body, {}
    yield "chunked", "PUT", "/upload/a", pieces(body), {}
    yield "a form", "POST", "/upload", FORM % body, {"Content-Type": "multipart/form-data; boundary=b"}


def test_http_client():
    """Python's http.client sends the whole body first"""
    user = User()
    auth = {"Authorization": "Bearer " + user.token}
    for name, method, path, body, headers in shapes(JP2):
        c = http.client.HTTPConnection(URL.hostname, URL.port, timeout=60)
        c.request(method, path, body, {**auth, **headers})
        answer = c.getresponse()
        problem = json.loads(answer.read())
        check((answer.status, problem["code"]) == (415, "type_not_allowed"), f"{name}: 415, readable", problem)
        c.close()
    for name, method, path, body, headers in shapes(JP2):
        c = http.client.HTTPConnection(URL.hostname, URL.port, timeout=60)
        c.request(method, path, body, headers)
        answer = c.getresponse()
        check(answer.status == 401 and json.loads(answer.read())["code"] == "token_missing", f"{name}: 401, readable")
        c.close()
    sql("UPDATE media.users SET quota_bytes = 1000000 WHERE email = %s", user.email)
    for name, method, path, body, headers in shapes(media_like(SIZE)):
        c = http.client.HTTPConnection(URL.hostname, URL.port, timeout=60)
        c.request(method, path, body, {**auth, **headers})
        answer = c.getresponse()
        problem = json.loads(answer.read())
        check((answer.status, problem["code"]) == (413, "quota_exceeded"), f"{name}: 413, readable", problem)
        c.close()


def curl(url, user, *arguments):
    done = subprocess.run(["curl", "-sS", "--max-time", "60", "-H", "Authorization: Bearer " + user.token,
                           "-w", "\n%{http_code}", *arguments, url], capture_output=True, text=True)
    body, _, status = done.stdout.rpartition("\n")
    return done, status, body


def test_curl():
    """curl, over HTTP/1.1 and HTTP/2, with and without Expect: 100-continue"""
    user = User()
    with tempfile.NamedTemporaryFile(dir=RUN / "tmp") as file:
        file.write(JP2)
        file.flush()
        kinds = {"raw": ("/upload/a", ["-T", file.name]),
                 "chunked": ("/upload/a", ["-T", file.name, "-H", "Transfer-Encoding: chunked"]),
                 "a form": ("/upload", ["-F", f"file=@{file.name};type=application/octet-stream"])}
        for version, base in (("--http1.1", os.environ["MEDIA_URL"]),
                              ("--http2-prior-knowledge", os.environ.get("MEDIA_H2C_URL"))):
            if not base:
                skip("HTTP/2", "MEDIA_H2C_PORT is not set")
                continue
            for expect in ("Expect: 100-continue", "Expect:"):
                for name, (path, arguments) in kinds.items():
                    done, status, body = curl(base + path, user, version, "-H", expect, *arguments)
                    check(status == "415" and json.loads(body)["code"] == "type_not_allowed",
                          f"{version}, {expect} {name}: 415, readable", (done.returncode, done.stderr, status, body[:200]))


main(test_http_client, test_curl)

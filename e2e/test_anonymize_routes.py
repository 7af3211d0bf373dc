#!/usr/bin/env python3
"""Anonymized media by every route that reads, as everybody there is, in every state: no byte and no word of the
original, nor of a masked copy that made way for another, reaches anybody who may not have it. The worker is played by
this file, so that it can be caught in every state: its pipeline has a step that no worker does."""

import json
import re
import uuid

from lib import BUCKET, ROOT, User, check, clip, janitor_pass, mail_of, main, request, s3, sha256, sql, unowned, value, wait

PIPELINE = "test-mask"
sql("INSERT INTO media.pipelines VALUES (%s, 'for tests', '{mask}', true) ON CONFLICT DO NOTHING", PIPELINE)
sql("INSERT INTO media.pipeline_steps (pipeline, step, queue, input, params, params_schema) "
    "VALUES (%s, 'mask', 'short', 'original', '{}', "
    """'{"keep_original_days": {"type": "integer", "min": 0, "max": 9}}') ON CONFLICT DO NOTHING""", PIPELINE)

OUTPUTS = ["original", "masked.mp4", "report.json", "hls/master.m3u8", "cmaf/1/masked/1.m4s",
           "cmaf/1/masked/init.mp4", "nothing"]
CACHE_READS = 2  # the second may come from the cache


def send(user, method, path, body):
    return user.request(method, path, json.dumps(body), {"Content-Type": "application/json"})


def refused(answer, status, code):
    return answer.status == status and answer.json["code"] == code


def marker(word):
    return f"{word}-{uuid.uuid4().hex}"


# ---- the routes ----

def read_routes():
    """The patterns of the gateway's table that a GET reaches."""
    text = (ROOT / "ngx_media_module/core/ngx_media_route.c").read_text()
    rows = re.findall(r'NGX_MEDIA_ROUTE\("([^"]+)",\s*(\w+),', text)
    assert len(rows) > 15, rows
    return [pattern for pattern, method in rows if method == "GET"]


def paths(pattern, film):
    """What a route leads to that has to do with the film; a route this does not know is a mistake of this file."""
    known = {
        "/me": ["/me"],
        "/media": ["/media", f"/media?limit=100&pipeline={PIPELINE}", f"/media?q={film.name[:12]}", "/media?state=failed"],
        "/media/*": [f"/media/{film.id}"],
        "/media/*/+": [f"/media/{film.id}/{name}" for name in OUTPUTS + [film.key, "../" + film.key]],
        "/download": [f"/download?fid={film.id}"],
        "/play/*/+": [f"/play/{token}/{name}" for token in film.tokens for name in OUTPUTS],
        "/.well-known/jwks.json": ["/.well-known/jwks.json"],
        "/healthz": ["/healthz"], "/readyz": ["/readyz"], "/metrics": ["/metrics"],
    }
    return known[pattern]


class Film:
    """One upload, the worker's part of its runs, and what must not be seen of it."""

    def __init__(self, owner, query=""):
        self.owner = owner
        self.word = marker("ORIGINAL")
        self.bytes = clip().read_bytes()[:4096] + self.word.encode() * 400
        self.name = marker("Name") + ".mp4"
        self.copies = []  # markers of masked copies, the newest last
        answer = owner.put(self.bytes, name=self.name, query=f"?pipeline={PIPELINE}&visibility=public{query}")
        assert answer.status == 201, answer
        check(self.word not in str(answer.body) and self.name not in str(answer.body),
              "the answer to the upload has no name", answer)
        self.id = answer.json["id"]
        self.key, self.etag = sql("SELECT object_key, etag FROM media.media WHERE id = %s", self.id)[0]
        self.tokens = []

    def claim(self):
        # the claim takes the best of all: this one goes first
        sql("UPDATE media.jobs SET priority = 1000, not_before = now() WHERE media_id = %s AND state = 'queued'", self.id)
        rows = sql("SELECT id, fence, object_key FROM media.job_claim('short', 'routes', 600, '{mask}') "
                   "WHERE media_id = %s", self.id)
        return rows[0] if rows else None

    def fail(self):
        job, fence, _ = self.claim()
        sql("SELECT code FROM media.job_fail(%s, %s, false, 'unreadable_media', %s)", job, fence, f"{self.name} {self.word}")

    def mask(self):
        job, fence, _ = self.claim()
        word = marker("MASKED")
        outputs = []
        for name, kind, content in (("masked.mp4", "video", clip().read_bytes()[:4096] + word.encode() * 400),
                                    ("report.json", "report", json.dumps({"word": word}).encode())):
            key = f"media/{self.id}/{job}/{fence}/{name}"
            sql("SELECT code FROM media.job_object(%s, %s, %s)", job, fence, key)
            etag = s3().put_object(Bucket=BUCKET, Key=key, Body=content)["ETag"].strip('"')
            outputs.append({"name": name, "kind": kind,
                            "content_type": "video/mp4" if kind == "video" else "application/json",
                            "size": len(content), "sha256": sha256(content), "etag": etag, "object_key": key})
        code = value("SELECT code FROM media.job_finish(%s, %s, %s)", job, fence,
                     json.dumps({"outputs": outputs, "probe": {"word": word}}))
        assert code == "ok", code
        self.copies.append(word)

    def token(self):
        self.tokens.append(self.owner.request("POST", f"/media/{self.id}/token").json["token"])


class Nobody:
    """Somebody without a token."""
    email = "nobody"

    def request(self, method, path, headers=None, **kw):
        return request(method, path, None, headers, **kw)


def words_of(answer):
    return answer.body + "\n".join(f"{k}: {v}" for k, v in answer.headers.items()).encode()


def walk(film, state, callers, serves):
    """Reads everything. `serves`: whether a masked copy is to be had."""
    owner, operator = callers[0], callers[-1]
    hidden = [word.encode() for word in (film.copies[:-1] if serves else film.copies)]
    leaks, reads, copies, originals = [], 0, 0, 0
    for pattern in read_routes():
        for path in paths(pattern, film):
            for caller in callers:
                for method in ("GET", "HEAD"):
                    for headers in ({}, {"Range": "bytes=4096-4200"}, {"If-None-Match": f'"{film.etag}"'}):
                        for _ in range(CACHE_READS if method == "GET" and not headers else 1):
                            answer = caller.request(method, path, headers=headers)
                            reads += 1
                            said = words_of(answer)
                            is_operator = caller is operator and path == f"/media/{film.id}/original"
                            sums = [] if caller in (owner, operator) else [sha256(film.bytes), film.etag]
                            secrets = hidden + ([] if is_operator else [film.word.encode()])
                            secrets += [] if caller is operator else [film.name.encode(), *(s.encode() for s in sums)]
                            found = [s for s in secrets if s in said]
                            if found:
                                leaks.append(f"{caller.email} {method} {path} {headers}: {answer.status} {found}")
                            if answer.status == 304 and path.endswith("/original") and not is_operator:
                                leaks.append(f"{caller.email} {method} {path}: 304 tells the original's etag")
                            copies += bool(film.copies) and film.copies[-1].encode() in answer.body
                            originals += film.word.encode() in answer.body
    check(not leaks, f"{state}: nobody gets what is not theirs in {reads} answers", "\n".join(leaks[:20]))
    check((copies > 0) == serves, f"{state}: the masked copy is {'to be had' if serves else 'not to be had'}", copies)
    return originals


def codes(film, path, callers):
    return [caller.request("GET", path).status for caller in callers]


def test_every_route_in_every_state():
    """An upload: masked, failed, masked again, changed, made anew, its original gone, deleted."""
    owner, other, operator = User("owner"), User("other"), User("op", "user", "operator")
    callers = [owner, other, Nobody(), operator]
    film = Film(owner)
    film.token()
    original = f"/media/{film.id}/original"
    check(walk(film, "processing", callers, False) > 0, "the operator gets the original")
    answer = owner.request("GET", original)
    check(refused(answer, 403, "insufficient_scope"), "its owner hears 403", answer)
    check(codes(film, original, callers) == [403, 404, 401, 200], "others 404, without a token 401",
          codes(film, original, callers))
    answer = send(owner, "POST", f"/media/{film.id}/jobs", {"pipeline": "audio"})
    check(refused(answer, 409, "anonymized"), "nothing else is made of it", answer)

    film.fail()
    walk(film, "failed", callers, False)
    media = owner.media(film.id)
    check(media["error"] == {"code": "unreadable_media", "detail": "The file cannot be read."},
          "failed: in our own words", media)
    mail = mail_of(film.id)[1]
    check(film.word.encode() not in mail and film.name.encode() not in mail, "failed: nor does the mail tell")
    answer = send(owner, "POST", f"/media/{film.id}/jobs", {"pipeline": "audio"})
    check(refused(answer, 409, "anonymized"), "failed: nothing else is made of it", answer)
    check(owner.request("POST", f"/media/{film.id}/retry").status == 200, "tried again")

    film.mask()
    walk(film, "ready", callers, True)
    check(codes(film, f"/media/{film.id}/masked.mp4", callers) == [200] * 4, "everybody may have the masked copy")
    for path in (f"/media/{film.id}/masked.mp4", f"/play/{film.tokens[0]}/masked.mp4"):
        answer = request("GET", path)
        check(answer.headers.get("Cache-Control") == "private, no-cache",
              "ready: no cache may show it without asking", answer.headers)
    check('filename="anonymized.mp4"' in request("GET", f"/download?fid={film.id}").headers.get("Content-Disposition", ""),
          "ready: it is called anonymized", request("GET", f"/download?fid={film.id}").headers)
    page = owner.request("GET", f"/media?pipeline={PIPELINE}").json["items"]
    links = {o["name"]: o["href"] for item in page if item["id"] == film.id for o in item["outputs"]}
    check(film.copies[-1].encode() in owner.request("GET", links["masked.mp4"]).body, "ready: the list has the links", page)

    answer = send(owner, "PATCH", f"/media/{film.id}/regions", {"add": [{"box": [0.1, 0.1, 0.5, 0.5]}]})
    check(answer.status == 202 and answer.json["state"] == "processing" and answer.json["outputs"] == [],
          "a region is added: 202", answer)
    walk(film, "changed, cached, not ready", callers, False)
    film.fail()
    walk(film, "changed, failed", callers, False)
    check(owner.request("POST", f"/media/{film.id}/retry").status == 200, "changed: tried again")
    film.mask()
    walk(film, "changed, ready", callers, True)

    answer = send(owner, "POST", f"/media/{film.id}/jobs", {"pipeline": PIPELINE, "params": {"keep_original_days": 0}})
    check(answer.status == 200, "made anew", answer)
    walk(film, "made anew, not ready", callers, False)
    film.mask()
    check(codes(film, original, callers) == [403, 404, 401, 404], "its original is gone", codes(film, original, callers))
    check(walk(film, "made anew, ready, original gone", callers, True) == 0, "the operator has no original either")
    answer = send(owner, "PATCH", f"/media/{film.id}/regions", {"keep": [1]})
    check(refused(answer, 409, "original_gone"), "gone: nothing can be unmasked", answer)
    answer = send(owner, "POST", f"/media/{film.id}/jobs", {"pipeline": PIPELINE})
    check(refused(answer, 409, "original_gone"), "gone: it cannot be made anew", answer)
    answer = send(owner, "PATCH", f"/media/{film.id}/regions", {"add": [{"box": [0, 0, 1, 1]}]})
    check(answer.status == 202, "gone: a region is added", answer)
    walk(film, "gone, changed, not ready", callers, False)
    key = value("SELECT o.object_key FROM media.outputs o WHERE o.media_id = %s AND name = 'masked.mp4'", film.id)
    job, fence, given = film.claim()
    check(given == key, "gone: the worker is given the masked copy that is withdrawn", given)
    sql("SELECT code FROM media.job_release(%s, %s)", job, fence)
    film.mask()
    walk(film, "gone, changed, ready", callers, True)

    check(owner.request("DELETE", f"/media/{film.id}").status == 204, "deleted")
    walk(film, "deleted", callers, False)
    janitor_pass()
    wait("its objects are gone", lambda: janitor_pass() or not unowned(film.id), 30)
    check(True, "deleted: nothing is left in S3")


def test_made_public_before():
    """Media that were there before: what was made of the original ends with the first run that masks them."""
    owner, other, operator = User("late"), User("other"), User("op", "user", "operator")
    film = Film.__new__(Film)
    film.owner, film.word, film.name, film.copies = owner, marker("ORIGINAL"), marker("Name") + ".mp4", []
    film.bytes = clip().read_bytes()[:4096] + film.word.encode() * 400
    film.id = owner.put(film.bytes, name=film.name, query="?pipeline=audio&visibility=public").json["id"]
    film.key, film.etag = sql("SELECT object_key, etag FROM media.media WHERE id = %s", film.id)[0]
    film.tokens = []
    owner.settled(film.id)  # it fails: there is no sound in it
    film.token()
    check(film.word.encode() in request("GET", f"/play/{film.tokens[0]}/original").body, "a token leads to the original")
    check(owner.request("GET", f"/media/{film.id}/original").status == 200, "and its owner has it")
    answer = send(owner, "POST", f"/media/{film.id}/jobs", {"pipeline": PIPELINE})
    check(answer.status == 200 and answer.json["name"] == "anonymized", "it is to be masked", answer)
    walk(film, "late, not ready", [owner, other, Nobody(), operator], False)
    film.mask()
    film.token()
    walk(film, "late, ready", [owner, other, Nobody(), operator], True)
    check(request("GET", f"/play/{film.tokens[0]}/masked.mp4").status == 404, "the old token has ended")


def test_refused_edits():
    """What a PATCH of regions may not say."""
    owner = User("editor")
    film = Film(owner)
    film.mask()
    for body, status, code, word in (
            ({"erase": [1]}, 400, "unknown_field", "erase"),
            ({"add": [{"box": [0, 0, 1, 1], "id": 1}]}, 400, "unknown_field", "add[0].id"),
            ({}, 400, "bad_request", "add, remove, keep"),
            ({"add": [{"box": [0.5, 0, 0.6, 1]}]}, 400, "bad_request", "add[0].box"),
            ({"remove": [1]}, 400, "bad_request", "region 1"), ({"keep": list(range(1, 9000))}, 413, "too_large", "bytes")):
        answer = send(owner, "PATCH", f"/media/{film.id}/regions", body)
        check(refused(answer, status, code) and word in answer.json["detail"], f"refused: {str(body)[:60]}", answer)
    answer = owner.request("PATCH", f"/media/{film.id}/regions", "{}", {"Content-Type": "text/plain"})
    check(answer.status == 415, "no JSON", answer)
    check(send(User("viewer", "viewer"), "PATCH", f"/media/{film.id}/regions", {}).status == 403, "by a viewer")
    check(send(User("thief"), "PATCH", f"/media/{film.id}/regions", {"keep": [1]}).status == 404, "somebody else's")
    check(owner.request("GET", f"/media/{film.id}/regions").status == 405, "there is nothing to read")
    check(owner.media(film.id)["state"] == "ready", "it is as it was")


main(test_every_route_in_every_state, test_made_public_before, test_refused_edits)

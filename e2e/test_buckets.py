#!/usr/bin/python3
"""Uploads in one bucket, outputs in another, users that may do in each what their program has to (make up
S3_OUTPUT=separate): everything works, and nothing lies where it does not belong."""

import contextlib
import os
import urllib.parse

import boto3
import botocore.config
import botocore.exceptions

from lib import (BUCKET, RUN, User, check, clip, connect, janitor_pass, link_of, mail_of, main, media_like, multiparts,
                 nothing_left, objects, own_environ, pipeline_query, ready, request, s3, sha256, sql, up, value, wait)

PREFIX = "made/"
OUTPUT = BUCKET[:56] + "-output"
STORES = {"input": BUCKET, "output": OUTPUT}
MIB = 1 << 20


@contextlib.contextmanager
def separate():
    """The running system with two buckets, and with one again afterwards; nothing is under way at either change."""
    nothing_left("before")
    up("s3", "nginx", "workers", S3_OUTPUT="separate", MEDIA_S3_OUTPUT_PREFIX=PREFIX)
    os.environ["MEDIA_S3_OUTPUT_BUCKET"] = OUTPUT
    try:
        yield
    finally:
        up("s3", "nginx", "workers", S3_OUTPUT="shared", MEDIA_S3_OUTPUT_PREFIX="")
        os.environ["MEDIA_S3_OUTPUT_BUCKET"] = BUCKET


def of(media_id):
    """A media's keys by bucket."""
    return {name: {key for key in objects(bucket) if media_id in key} for name, bucket in STORES.items()}


def apart(media_id, name):
    """Test points: the original alone in one bucket, all else in the other."""
    keys = of(media_id)
    check(keys["input"] == {f"media/{media_id}/original"}, f"{name}: the input bucket has the original alone", keys)
    check(keys["output"] and all(key.startswith(f"{PREFIX}media/{media_id}/") and not key.endswith("/original")
                                 for key in keys["output"]), f"{name}: the output bucket has what was made alone", keys)
    rows = {row[0] for row in sql("SELECT object_key FROM media.objects WHERE media_id = %s AND state = 'live'",
                                  media_id)}
    lost = rows - keys["input"] - keys["output"]
    check(rows and not lost, f"{name}: every row has its object", lost)


def sweep():
    """A pass of a janitor that has the keys of the running one."""
    environ, _ = own_environ("janitor-1")
    janitor_pass(**{name: text for name, text in environ.items() if name.startswith(("AWS_", "MEDIA_S3_"))})


def gone(user, media_id, name):
    """Deleted: the janitor, with the few rights it has, empties both buckets."""
    answer = user.request("DELETE", f"/media/{media_id}")
    check(answer.status == 204, f"{name}: deleted", answer)

    def probe():
        sweep()
        return not any(of(media_id).values())
    with contextlib.suppress(TimeoutError):
        wait("the buckets are empty", probe, 60, 0.5)
    check(not any(of(media_id).values()), f"{name}: both buckets are empty", of(media_id))


def fetch(user, path, **headers):
    answer = user.request("GET", path, headers=headers)
    assert answer.status in (200, 206), (path, answer)
    return answer


def ranges(user, path, body, name):
    for spec, want in (("0-99", body[:100]), ("100-", body[100:]), ("-7", body[-7:])):
        answer = user.request("GET", path, headers={"Range": "bytes=" + spec})
        check(answer.status == 206 and answer.body == want, f"{name}: bytes {spec}", answer)


def settled(user, media_id, seconds=300):
    media = user.settled(media_id, seconds)
    check(media["state"] == "ready", "ready", media)
    return media


def client_of(role, store):
    config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1})
    return boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=config,
                        aws_access_key_id=f"media-{role}-{store}", aws_session_token="",
                        aws_secret_access_key=(RUN / "secrets" / f"s3-{role}-{store}").read_text().strip())


def may(client, bucket):
    """What these keys let one do in a bucket."""
    allowed = set()
    calls = {"get": lambda: client.get_object(Bucket=bucket, Key="probe")["Body"].read(),
             "put": lambda: client.put_object(Bucket=bucket, Key="probe", Body=b"x"),
             "delete": lambda: client.delete_object(Bucket=bucket, Key="probe"),
             "head": lambda: client.head_bucket(Bucket=bucket)}
    for name, call in calls.items():
        s3().put_object(Bucket=bucket, Key="probe", Body=b"probe")
        try:
            call()
            allowed.add(name)
        except botocore.exceptions.ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error
    s3().delete_object(Bucket=bucket, Key="probe")
    return allowed


def test_rights():
    """each program's keys are good for its own work in one bucket"""
    rights = {("gateway", "input"): {"get", "put", "head"}, ("gateway", "output"): {"get", "head"},
              ("worker", "input"): {"get", "head"}, ("worker", "output"): {"get", "put", "head"},
              ("janitor", "input"): {"delete", "head"}, ("janitor", "output"): {"delete", "head"}}
    for (role, store), want in rights.items():
        client = client_of(role, store)
        got = may(client, STORES[store])
        check(got == want, f"{role}, {store}: may {sorted(want)}", got)
        other = STORES["output" if store == "input" else "input"]
        got = may(client, other)
        check(not got, f"{role}, {store}: nothing in the other bucket", got)
    status, text = ready()
    check(status == 200 and text.splitlines()[1:3] == ["s3 ok", "s3_output ok"], "/readyz speaks of both", text)


def test_audio():
    """upload, MP3, ranges, the mail's link, deletion"""
    user = User()
    media_id = user.upload(clip())
    media = settled(user, media_id)
    apart(media_id, "audio")
    original = fetch(user, f"/media/{media_id}/original").body
    check(original == clip().read_bytes(), "the original's bytes")
    ranges(user, f"/media/{media_id}/original", original, "the original")
    output = media["outputs"][0]
    made = fetch(user, output["href"]).body
    check(sha256(made) == output["digest"]["sha-256"], "the output's bytes")
    ranges(user, output["href"], made, "the output")
    again = fetch(user, output["href"])
    check(again.body == made and again.headers["ETag"], "once more, from the cache")
    check(fetch(user, f"/download?fid={media_id}").body == made, "/download")
    link = request("GET", link_of(mail_of(media_id)[2]))
    check(link.status == 200 and link.body == made, "the mail's link", link)
    gone(user, media_id, "audio")
    check(user.request("GET", output["href"]).status == 404, "its output is gone for clients")


def test_video():
    """a ladder's playlist and segments, a file made of them, deletion"""
    user = User()
    media_id = user.upload(clip(), query=pipeline_query("video", preset="veryfast", segment_s=2, range_segments=1))
    settled(user, media_id)
    base = f"/media/{media_id}/hls/master.m3u8"

    def lines(path):
        return [urllib.parse.urljoin(path, line) for line in fetch(user, path).body.decode().splitlines()
                if line and not line.startswith("#")]
    for playlist in lines(base):
        parts = lines(playlist)
        for part in parts:
            ranges(user, part, fetch(user, part).body, part.split("/cmaf/")[-1])
        check(parts, "segments", playlist)
    user.request("POST", f"/media/{media_id}/jobs", '{"pipeline": "mp4"}', {"Content-Type": "application/json"})
    media = settled(user, media_id)
    files = [o for o in media["outputs"] if o["name"].endswith(".mp4")]
    check(files and all(sha256(fetch(user, o["href"]).body) == o["digest"]["sha-256"] for o in files),
          "files made of segments", media["outputs"])
    apart(media_id, "video")
    gone(user, media_id, "video")


def test_anonymized():
    """a masked film, and its sound, made of the masked copy"""
    user = User()
    media_id = user.upload(clip(), query=pipeline_query("anonymize", detector="haar", preset="ultrafast", every=30,
                                                        regions=[{"box": [0.4, 0.4, 0.2, 0.2], "mode": "mask"}]))
    media = settled(user, media_id)
    check({"masked.mp4", "report.json"} <= {o["name"] for o in media["outputs"]}, "a masked film", media["outputs"])
    user.request("POST", f"/media/{media_id}/jobs", '{"pipeline": "audio"}', {"Content-Type": "application/json"})
    media = settled(user, media_id)
    check(all(sha256(fetch(user, o["href"]).body) == o["digest"]["sha-256"] for o in media["outputs"]),
          "outputs are served", media["outputs"])
    apart(media_id, "anonymized")
    gone(user, media_id, "anonymized")


def test_parts():
    """a file of unknown length, in parts; one whose client leaves"""
    user = User()
    body = media_like(12 * MIB)
    answer = user.post_form(body)
    media_id = answer.json["id"]
    check(answer.status == 201, "taken", answer)
    check(sha256(fetch(user, f"/media/{media_id}/original").body) == sha256(body), "its bytes")
    check(of(media_id) == {"input": {f"media/{media_id}/original"}, "output": set()}, "in the input bucket alone")
    user.settled(media_id)
    gone(user, media_id, "parts")

    # the janitor alone knows of what a client began and left
    c = connect()
    c.putrequest("PUT", "/upload/left.mp4")
    for header in ("Authorization", "Bearer " + user.token), ("Transfer-Encoding", "chunked"):
        c.putheader(*header)
    c.endheaders()
    c.send(b"%x\r\n%s\r\n" % (len(body), body))
    key = wait("parts are in S3", lambda: value(
        "SELECT max(object_key) FROM media.objects WHERE s3_upload_id IS NOT NULL AND state = 'pending'"), 30)
    check(len(multiparts([key])) == 1, "an upload in parts is open", key)
    c.close()

    def probe():
        sweep()
        return not multiparts([key])
    with contextlib.suppress(TimeoutError):
        wait("it is aborted", probe, 30, 0.5)
    check(not multiparts([key]) and key not in objects(), "what a client left is aborted", key)


def test_nothing_is_left():
    """every row and object of both buckets has an owner"""
    nothing_left()


with separate():
    main(test_rights, test_audio, test_video, test_anonymized, test_parts, test_nothing_is_left)

#!/usr/bin/env python3
"""The end of an original in a bucket that keeps versions: after the days an owner asked for, or with its media, nothing
of it is left under its key, no version and no delete marker; of media that nobody masks S3 keeps what it keeps. On a
server without versions the same by its only one."""

import json

import botocore.exceptions

from lib import BUCKET, User, check, janitor_pass, main, media_like, pipeline_query, s3, sql, value, wait

client = s3()


def versioned():
    """Whether the bucket keeps versions from here on."""
    try:
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    except botocore.exceptions.ClientError as e:
        print(f"# no versions: {e.response['Error']['Code']}")
        return False
    return client.get_bucket_versioning(Bucket=BUCKET).get("Status") == "Enabled"


def plain():
    """Back to a bucket that keeps nothing more; what it has kept of others stays."""
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})


def kept(key):
    """(versions, delete markers) of exactly this key."""
    page = client.list_object_versions(Bucket=BUCKET, Prefix=key)
    return tuple(len([v for v in page.get(kind, []) if v["Key"] == key]) for kind in ("Versions", "DeleteMarkers"))


def masked(media_id):
    """Plays the worker's part: the original's key, with more versions of it than one."""
    key = value("SELECT object_key FROM media.media WHERE id = %s", media_id)
    client.put_object(Bucket=BUCKET, Key=key, Body=client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    client.delete_object(Bucket=BUCKET, Key=key)  # a hand that did not know
    job = value("UPDATE media.jobs SET priority = 1000 WHERE media_id = %s AND step = 'mask' RETURNING id", media_id)
    fence = value("SELECT fence FROM media.job_claim('short', 'retention', 600, '{mask}') WHERE id = %s", job)
    copy = f"media/{media_id}/{job}/{fence}/masked.mp4"
    sql("SELECT code FROM media.job_object(%s, %s, %s)", job, fence, copy)
    etag = client.put_object(Bucket=BUCKET, Key=copy, Body=b"masked")["ETag"].strip('"')
    assert value("SELECT code FROM media.job_finish(%s, %s, %s)", job, fence, json.dumps({"outputs": [
        {"name": "masked.mp4", "kind": "video", "content_type": "video/mp4", "size": 6, "sha256": "0" * 64, "etag": etag,
         "object_key": copy}]})) == "ok"
    return key, copy


def upload(owner, days):
    return owner.upload(media_like(100_000), name="street.mp4",
                        query=pipeline_query("test-retention", keep_original_days=days))


def test_all_versions_of_an_original_go():
    """Due at once, due later, deleted with its media; and what is not anonymized."""
    sql("INSERT INTO media.pipelines VALUES ('test-retention', 'for tests', '{mask}', true) ON CONFLICT DO NOTHING")
    sql("INSERT INTO media.pipeline_steps (pipeline, step, queue, input, params_schema) "
        """VALUES ('test-retention', 'mask', 'short', 'original',
        '{"keep_original_days": {"type": "integer", "min": 0, "max": 9}}') ON CONFLICT DO NOTHING""")
    has_versions = versioned()
    try:
        owner = User("keeper")
        first = upload(owner, 0)
        key, copy = masked(first)
        check(not has_versions or kept(key) == (2, 1), "an original in two versions, with a delete marker", kept(key))
        wait("swept", lambda: janitor_pass() or kept(key) == (0, 0), 30)
        check(kept(key) == (0, 0), "0 days: no version of it is left", kept(key))
        check(kept(copy)[0] == 1, "its masked copy is", kept(copy))
        check(owner.media(first)["original_gone_at"] is not None, "its owner is told")

        second = upload(owner, 1)
        key2, copy2 = masked(second)
        janitor_pass()
        check(not has_versions or kept(key2) == (2, 1), "a day: it is kept", kept(key2))
        sql("UPDATE media.media SET original_due_at = now() WHERE id = %s", second)
        wait("swept", lambda: janitor_pass() or kept(key2) == (0, 0), 30)
        check(kept(key2) == (0, 0), "a day later: it is not", kept(key2))

        third = upload(owner, 9)
        key3, copy3 = masked(third)
        for media_id in (second, third):
            check(owner.request("DELETE", f"/media/{media_id}").status == 204, "deleted")
        wait("swept", lambda: janitor_pass() or [kept(k) for k in (key3, copy2, copy3)] == [(0, 0)] * 3, 30)
        check(True, "deleted: neither originals nor masked copies are left, in no version")

        ordinary = owner.upload(media_like(100_000), name="plain.mp4", query="?pipeline=audio")
        key4 = value("SELECT object_key FROM media.media WHERE id = %s", ordinary)
        owner.settled(ordinary)
        check(owner.request("DELETE", f"/media/{ordinary}").status == 204, "what nobody masks is deleted")
        wait("swept", lambda: janitor_pass() or not sql("SELECT 1 FROM media.objects WHERE object_key = %s", key4), 30)
        check(kept(key4) == ((1, 1) if has_versions else (0, 0)), "and S3 keeps of it what it keeps", kept(key4))
    finally:
        if has_versions:
            plain()


main(test_all_versions_of_an_original_go)

#!/usr/bin/python3
"""docker/ops: what its scripts make of the running system's PostgreSQL and S3, backups of it, and the restore of one
into an empty installation beside it (a PostgreSQL and an S3 of the test's own), compared by digest.

Others may have left jobs behind that still make objects and rows: what a backup has to hold is told by its manifest and
by this test's own media, and where rows are compared, whoever writes them stands still."""

import contextlib
import os
import re
import shutil
import subprocess

import boto3
import botocore.config
import botocore.exceptions
import psycopg2

from lib import (BUCKET, ROOT, RUN, User, check, clip, freeze, janitor_pass, main, media_like, objects, s3, sha256, skip,
                 sql, thaw_all, wait)

OPS = ROOT / "docker/ops"
TMP = RUN / "tmp/backup"
BACKUP = "media-backup"
PIECE = 5 << 20
ROLES = ("owner", "gateway", "worker", "notifier", "janitor", "ctl")


class Installation:
    """A system of `make up` as the scripts of the ops image see it: addresses and files of secrets."""

    def __init__(self, name, run):
        self.run, self.secrets = run, TMP / name
        shutil.rmtree(self.secrets, ignore_errors=True)
        text = subprocess.run(["bash", "-c", f". {run}/env && env -0"], check=True, capture_output=True, text=True).stdout
        self.env = dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)
        self.ops("secrets.sh", "--dir", self.secrets, PGHOST="127.0.0.1", PGPORT=self.env["PGPORT"])
        for role in ROLES:
            self.put(f"media-pg-{role}/password", self.secret(f"pg-media_{role}"))
        service = self.secrets / "media-pg-superuser/pg_service.conf"
        lines = service.read_text().splitlines()[:-1] + ["password=" + self.secret("pg-superuser")]
        self.put("media-pg-superuser/pg_service.conf", "\n".join(lines) + "\n")
        service = self.secrets / "media-pg-owner/pg_service.conf"
        lines = service.read_text().splitlines()[:-1] + ["password=" + self.secret("pg-media_owner")]
        self.put("media-pg-owner/pg_service.conf", "\n".join(lines) + "\n")
        self.put("media-s3-root/credentials", "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n".format(
            self.env["AWS_ACCESS_KEY_ID"], self.env["AWS_SECRET_ACCESS_KEY"]))

    def secret(self, name):
        return (self.run / "secrets" / name).read_text().strip()

    def put(self, name, text):
        path = self.secrets / name
        path.parent.chmod(0o700)
        path.unlink()
        path.write_text(text)

    def ops(self, script, *args, user="backup", **env):
        """What a script said, and how it ended."""
        base = {"PATH": os.environ["PATH"], "MEDIA_SECRETS_DIR": str(self.secrets), "MEDIA_SQL_DIR": str(ROOT / "sql"),
                "AWS_ENDPOINT_URL": self.env["AWS_ENDPOINT_URL"], "AWS_REGION": "us-east-1", "MEDIA_S3_BUCKET": BUCKET,
                "MEDIA_BACKUP_BUCKET": BACKUP, "MEDIA_BACKUP_PIECE": str(PIECE), "TMPDIR": str(TMP),
                "AWS_SHARED_CREDENTIALS_FILE": str(self.secrets / f"media-s3-{user}/credentials")}
        done = subprocess.run([OPS / script, *args], env={**base, **env}, capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout + done.stderr

    def client(self, user=None):
        key, secret = self.env["AWS_ACCESS_KEY_ID"], self.env["AWS_SECRET_ACCESS_KEY"]
        if user:
            lines = (self.secrets / f"media-s3-{user}/credentials").read_text().splitlines()
            key, secret = (line.split(" = ")[1] for line in lines[1:3])
        config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2})
        return boto3.client("s3", endpoint_url=self.env["AWS_ENDPOINT_URL"], config=config, aws_access_key_id=key,
                            aws_secret_access_key=secret, aws_session_token="")

    def sql(self, text):
        password = self.secret("pg-media_owner")
        with psycopg2.connect(host="127.0.0.1", port=self.env["PGPORT"], user="media_owner", dbname="media",
                              password=password) as c, c.cursor() as cur:
            cur.execute(text)
            return cur.fetchall()


def step(system, name, script, *args, code=0, **kw):
    """A test point: a script ends as it should, and tells no secret. What it said."""
    got, text = system.ops(script, *args, **kw)
    secrets = {path.read_text().strip() for path in system.secrets.rglob("password")}
    check(got == code and not any(secret in text for secret in secrets), name, text)
    return text


@contextlib.contextmanager
def empty_installation():
    """PostgreSQL and S3 on ports of their own, without a schema."""
    run = RUN / "restored"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MEDIA_", "PG", "AWS_"))}
    env.update(MEDIA_RUN=str(run))
    script = f"cd {ROOT} && . dev/lib.sh && . dev/proc.sh && . dev/ports.sh && free_ports && dev/up.sh postgres s3"
    try:
        subprocess.run(["bash", "-c", script], check=True, stdout=subprocess.DEVNULL, env=env)
        yield Installation("restored", run)
    finally:
        subprocess.run([ROOT / "dev/down.sh"], check=True, stdout=subprocess.DEVNULL, env={**env, "PURGE": "1"})


def digests(client, bucket, keys):
    return {key: sha256(client.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys}


def tables(query):
    """Rows of every table, by a digest of them in order; the outbox comes and goes, workers say that they live."""
    names = [row[0] for row in query("SELECT tablename FROM pg_tables WHERE schemaname = 'media'"
                                     " AND tablename NOT IN ('outbox', 'workers') ORDER BY 1")]
    return {name: query("SELECT count(*), md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), ''))"
                        f" FROM media.{name} t") for name in names}


def copies():
    """Keys in the backup, without the folder."""
    return {key.removeprefix("objects/") for key in objects(BACKUP) if key.startswith("objects/")}


def manifest():
    """Of the newest set: {key: sha256}."""
    name = max(key for key in objects(BACKUP) if key.endswith("/manifest.tsv"))
    text = s3().get_object(Bucket=BACKUP, Key=name)["Body"].read().decode()
    return {key: digest for _, key, _, digest in (line.split("\t") for line in text.splitlines())}


def counted(text):
    """What a backup says: how many objects it has, how many of them it copied."""
    return tuple(int(n) for n in re.search(r"(\d+) objects, (\d+) of them copied", text).groups())


def own(media_ids):
    """What is live of these media."""
    keys = sql("SELECT object_key FROM media.objects WHERE state = 'live'")
    return {key for (key,) in keys if any(media_id in key for media_id in media_ids)}


@contextlib.contextmanager
def still():
    """Nobody writes rows: workers stand, and what they told PostgreSQL to do is done."""
    for name in sorted(path.name for path in (RUN / "pid").iterdir()):
        if name.startswith(("transcoder-", "encoder-", "anonymizer-", "renderer-", "notifier-", "janitor-")):
            freeze(name)
    try:
        busy = ("SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
                " AND usename IN ('media_worker', 'media_notifier', 'media_janitor')")
        wait("their statements have ended", lambda: sql(busy, user="postgres") == [(0,)])
        yield
    finally:
        thaw_all()


def forget():
    """The bucket of earlier runs."""
    with contextlib.suppress(botocore.exceptions.ClientError):
        for key in objects(BACKUP):
            s3().delete_object(Bucket=BACKUP, Key=key)


def test_setup():
    """roles, buckets and users, twice"""
    for name in ("once", "again"):
        step(HERE, f"roles and database {name}", "setup-postgres.sh")
        step(HERE, f"buckets and users {name}", "setup-s3.sh")
    before = {p: p.read_bytes() for p in HERE.secrets.rglob("*") if p.is_file()}
    step(HERE, "secrets once more", "secrets.sh", "--dir", HERE.secrets)
    check(before == {p: p.read_bytes() for p in HERE.secrets.rglob("*") if p.is_file()}, "they stay as they are")
    allowed = {}
    for role in ("gateway", "worker", "janitor", "backup", "restore"):
        client = HERE.client(role)
        for bucket in (BUCKET, BACKUP):
            s3().put_object(Bucket=bucket, Key="probe", Body=b"probe")
            for name, call in (("get", client.get_object), ("delete", client.delete_object)):
                with contextlib.suppress(botocore.exceptions.ClientError):
                    call(Bucket=bucket, Key="probe")
                    allowed.setdefault((role, bucket), set()).add(name)
            s3().delete_object(Bucket=bucket, Key="probe")
    want = {("gateway", BUCKET): {"get"}, ("worker", BUCKET): {"get"}, ("janitor", BUCKET): {"delete"},
            ("backup", BUCKET): {"get"}, ("backup", BACKUP): {"get", "delete"}, ("restore", BUCKET): {"get"},
            ("restore", BACKUP): {"get"}}
    check(allowed == want, "each user may what it has to", allowed)


def test_backup():
    """a set, a second one that copies nothing old, damage that is found"""
    forget()
    user, ours = User(), []
    for body, name in ((clip(), "a.mp4"), (clip(), "b.mp4"), (media_like(2 * PIECE + 1), "of three pieces.mp4")):
        ours.append(user.upload(body, name=name))
        user.settled(ours[-1])
    assert all(user.media(media_id)["state"] == "ready" for media_id in ours[:2])
    first = counted(step(HERE, "a backup", "backup.sh"))
    have = manifest()
    check(first == (len(have), len(have)) and own(ours) <= set(have), "it has every live object", (first, len(have)))
    check(copies() == set(have), "each is copied, and nothing else", copies() ^ set(have))
    check(digests(s3(), BACKUP, {"objects/" + key for key in have}) == {
        "objects/" + key: digest for key, digest in have.items()}, "copies have the bytes of their rows")
    check(digests(s3(), BUCKET, own(ours)) == {key: have[key] for key in own(ours)}, "which are the originals'")
    second = counted(step(HERE, "another one", "backup.sh"))
    check(second[1] == len(set(manifest()) - set(have)), "copies only what is new", second)
    whole = len(manifest())
    text = step(HERE, "it is whole", "backup.sh", "verify", "--read")
    check(f"{whole} objects" in text, "each is read", text)
    have, key = manifest(), "objects/" + max(own(ours))
    body = s3().get_object(Bucket=BACKUP, Key=key)["Body"].read()
    s3().put_object(Bucket=BACKUP, Key=key, Body=b"x" + body[1:])
    text = step(HERE, "other bytes are found", "backup.sh", "verify", "--read", code=1)
    check(key.removeprefix("objects/") in text, "and named", text)
    s3().delete_object(Bucket=BACKUP, Key=key)
    step(HERE, "a copy that is gone is found", "backup.sh", "verify", code=1)
    again = counted(step(HERE, "and made again", "backup.sh"))
    check(again[1] == 1 + len(set(manifest()) - set(have)), "it alone", again)
    step(HERE, "whole again", "backup.sh", "verify", "--read")


def test_missing():
    """what S3 lost is named, the rest is in the set; bytes that are not the row's are no copy"""
    user = User()
    media_id = user.upload(clip())
    user.settled(media_id)
    key = f"media/{media_id}/original"
    body = s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    s3().delete_object(Bucket=BUCKET, Key=key)
    text = step(HERE, "a backup without it fails", "backup.sh", code=1)
    check(key in text and "complete" in text, "says which, and keeps all others", text)
    check(key not in manifest() and own([media_id]) - {key} <= set(manifest()), "which are in the set")
    s3().put_object(Bucket=BUCKET, Key=key, Body=b"x" + body[1:])
    text = step(HERE, "a backup of other bytes fails", "backup.sh", code=1)
    check(key in text and key not in copies(), "says of which, and copies none", text)
    s3().put_object(Bucket=BUCKET, Key=key, Body=body)
    step(HERE, "with it, it does not", "backup.sh")
    check(key in copies(), "and copies it")


def test_restore():
    """the newest set in an empty installation"""
    sql("ALTER DATABASE media SET media.token_life = '26h'", user="postgres")
    try:
        with still():
            step(HERE, "a backup", "backup.sh")
            want = tables(sql)
        live = manifest()
        with empty_installation() as there:
            step(there, "roles", "setup-postgres.sh")
            step(there, "buckets", "setup-s3.sh")
            source = {"user": "restore", "MEDIA_BACKUP_ENDPOINT_URL": HERE.env["AWS_ENDPOINT_URL"],
                      "MEDIA_BACKUP_CREDENTIALS_FILE": str(HERE.secrets / "media-s3-restore/credentials")}
            step(there, "restored", "restore.sh", **source)
            got = tables(there.sql)
            check(got == want, "every row", {k: (want.get(k), got.get(k)) for k in want if want.get(k) != got.get(k)})
            check(digests(there.client(), BUCKET, live) == live, "every object, by digest")
            life = there.sql("SELECT media.token_life()::text")
            check(life == [("26:00:00",)], "settings of the database", life)
            check(there.sql("SELECT count(*) FROM information_schema.role_routine_grants WHERE grantee = 'media_gateway'") ==
                  sql("SELECT count(*) FROM information_schema.role_routine_grants WHERE grantee = 'media_gateway'"),
                  "rights of the programs")
            text = step(there, "not into one that is in use", "restore.sh", code=1, **source)
            check("empty installation" in text, "and says so", text)
    finally:
        sql("ALTER DATABASE media RESET media.token_life", user="postgres")


def test_keep():
    """older sets go, and objects that no set names"""
    user = User()
    media_id = user.upload(clip())
    user.settled(media_id)
    step(HERE, "a backup", "backup.sh", MEDIA_BACKUP_KEEP="2")
    ours = {key for key in copies() if media_id in key}
    check(ours, "has it")
    user.request("DELETE", f"/media/{media_id}")
    wait("it is gone", lambda: janitor_pass() is not None and not any(media_id in key for key in objects()))
    step(HERE, "a backup without it", "backup.sh", MEDIA_BACKUP_KEEP="2")
    check(ours <= copies(), "the set before still has it")
    step(HERE, "another one", "backup.sh", MEDIA_BACKUP_KEEP="2")
    check(not ours & copies(), "no set names it any more, and it is gone", ours & copies())
    _, text = HERE.ops("backup.sh", "list")
    check(len(text.split()) == 2, "two sets are kept", text)
    step(HERE, "which are whole", "backup.sh", "verify", "--read", text.split()[1])


def test_clean_up():
    """the bucket is left empty"""
    forget()
    check(not objects(BACKUP), "empty")


if os.environ.get("MEDIA_S3_VENDOR") != "minio" or os.environ.get("MEDIA_S3_OUTPUT_BUCKET", BUCKET) != BUCKET:
    skip("backup", "its users are MinIO's, of a system with one bucket")
    main()
TMP.mkdir(parents=True, exist_ok=True)
HERE = Installation("here", RUN)
main(test_setup, test_backup, test_missing, test_restore, test_keep, test_clean_up)

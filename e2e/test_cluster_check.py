#!/usr/bin/python3
"""The load and the checker of `make k8s-test` against this system: a load through an outage is found to be in order,
and then each invariant is broken on purpose, in the system or in a copy of the log, and the checker names just that."""

import contextlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import uuid

from lib import (BUCKET, MAILS, ROOT, RUN, URL, User, buckets, check, freeze, janitor_pass, kill, main, mails, note, s3,
                 sql, thaw, up, value, wait)

sys.path.insert(0, str(ROOT / "k8s/test/load"))
import check as checker
import events
import evidence
import recovery
from evidence import Log, Rows, Store
from invariants import IN_TIME, Case

TMP = RUN / "tmp" / "cluster"
LOG, EVENTS, INHERITED, USERS, REPORT = (TMP / name for name in ("load.jsonl", "events.jsonl", "inherited.json", "users",
                                                                 "report.json"))
MIX = "audio=6,video=1,photo=2,broken=4,duplicate=1,replay=2,race=2,download=5,range=3,head=2,status=3,list=2,session=1"
OWNER = {"PGUSER": "media_owner", "PGPASSFILE": str(RUN / "secrets" / "pgpass-media_owner")}
ROWS = Rows(f"user={OWNER['PGUSER']} passfile={OWNER['PGPASSFILE']}")
STORE = Store(sorted(buckets()))
TOOL = [sys.executable, "-B"]


def tool(name, *words, **kw):
    return subprocess.run([*TOOL, ROOT / "k8s/test/load" / name, *map(str, words)], env={**os.environ, **OWNER},
                          capture_output=True, text=True, **kw)


def judged(*words):
    """check.py, as people call it, without patience; its report is in REPORT."""
    return tool("check.py", "--log", LOG, "--mails", MAILS, "--inherited", INHERITED, "--settle", 0, "--janitor", 0,
                "--json", REPORT, *words)


def lines():
    return [json.loads(line) for line in LOG.read_text().splitlines()]


def found(changed=None, store=None):
    """{(invariant, subject)} of a log that was changed, judged without patience."""
    path = LOG
    if changed is not None:
        path = TMP / "changed.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in changed))
    case = case_of(path, store or RemembersAll(STORE))
    return {f[:2] for f in checker.judge(case, {"settle": 0, "janitor": 0}, inherited())}


class RemembersAll:
    """A store that is asked once, for tests that leave it alone."""
    known = {}

    def __init__(self, store):
        self.store = store

    def __getattr__(self, name):
        def ask(*words):
            key = (name, *map(tuple, words))
            if key not in self.known:
                self.known[key] = getattr(self.store, name)(*words)
            return self.known[key]
        return ask


def case_of(path, store=STORE):
    return Case(Log([path]), ROWS, store, str(MAILS), stuck_s=120)


def inherited():
    return frozenset(map(tuple, json.loads(INHERITED.read_text())))


def names(what, got, *expected):
    """The checker names what was broken, all of it and nothing else."""
    check(got == set(expected), what, f"expected {sorted(expected)}\nfound    {sorted(got)}")


def uploads(**facts):
    """Operations of the load that uploaded something and were told of a media, with these facts."""
    return [line for line in lines() if line["type"] == "operation" and line.get("media") and "key" in line
            and all(line.get(k) == v for k, v in facts.items())]


def changed(operation, **facts):
    """The log with facts changed in the line of an operation."""
    return [{**line, **facts} if line == operation else line for line in lines()]


def op_id(line):
    return f"{lines()[0]['run']}-{line['op']}"


def key_of(media):
    return value("SELECT object_key FROM media.media WHERE id = %s", media)


@contextlib.contextmanager
def instead(key, data):
    """An object has other bytes, or (None) is gone, behind everybody's back."""
    before = s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    try:
        if data is None:
            s3().delete_object(Bucket=BUCKET, Key=key)
        else:
            s3().put_object(Bucket=BUCKET, Key=key, Body=data(before))
        yield
    finally:
        s3().put_object(Bucket=BUCKET, Key=key, Body=before)


def flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1])


# ---- a load, and what is to be said of it ----

def test_load():
    """a load over an outage of S3 and a killed gateway: everything holds"""
    TMP.mkdir(parents=True, exist_ok=True)
    for path in TMP.iterdir():
        path.unlink()
    users = [User("load") for _ in range(3)]
    USERS.write_text("".join(f"{user.email} {user.password}\n" for user in users))
    done = tool("check.py", "--remember", INHERITED)
    check(done.returncode == 0, "what others have left is remembered", done.stderr)
    load = subprocess.Popen([*TOOL, ROOT / "k8s/test/load/load.py", "--gateway", URL.geturl(), "--users", USERS,
                             "--log", LOG, "--rate", "6", "--mix", MIX, "--seed", "1492",
                             "--samples", TMP.with_name("samples")], stdout=subprocess.PIPE, text=True)

    def ended(count):
        return lambda: LOG.exists() and LOG.read_text().count('"type": "operation"') >= count
    wait("20 operations", ended(20), 60)
    for name in ("s3", "nginx"):
        with events.window(EVENTS, name):
            kill(name)
            up(name)
        count = LOG.read_text().count('"type": "operation"')
        wait("20 more", ended(count + 20), 60)
    load.send_signal(signal.SIGTERM)
    # time passes: keys of uploads that died with the gateway are free, what they left may go
    wait("it has ended", lambda: load.poll() is not None or not janitor_pass(), 60, 0.5)
    check(load.poll() == 0 and lines()[-1]["type"] == "end", "SIGTERM: it ends what it has begun", lines()[-1])

    def is_settled():
        janitor_pass()
        return not [f for invariant in IN_TIME for f in invariant(case_of(LOG)) if f[:2] not in inherited()]
    wait("nothing moves any more", is_settled, 60, 0.5)
    done = judged("--events", EVENTS)
    report = json.loads(REPORT.read_text())
    check(done.returncode == 0 and report["ok"], "every invariant holds", done.stdout + done.stderr)
    for line in done.stdout.splitlines():
        note(line[:200])
    table = report["recovery"]
    check([row["event"] for row in table] == ["s3", "nginx"] and all(row["retried"] for row in table),
          "the table has both events, and requests that were repeated", table)


# ---- the log ----

def test_log():
    """forged lines"""
    good = uploads(outcome="ok", quality="good")[0]
    broken = uploads(outcome="ok", quality="broken")[0]
    run = lines()[0]["run"]
    media = str(uuid.uuid4())

    def first_201(line):
        return line["type"] == "attempt" and line.get("media") == good["media"]
    names("a 201 for a media that is not there",
          found(lines() + [{**next(filter(first_201, lines())), "op": "forged", "key": "forged", "media": media},
                           {**good, "op": "forged", "key": "forged", "media": media}]), ("lost", media))
    other = next(u for u in uploads(outcome="ok", quality="good") if u["key"] != good["key"] and u["user"] == good["user"])
    names("a key that stands for two media", found(lines() + [
        {**next(filter(first_201, lines())), "media": other["media"], "again": False}]), ("doubled", good["key"]),
        ("corrupt", other["media"]))
    names("a sum that is not that of the row", found(changed(good, sha256="0" * 64)), ("corrupt", good["media"]))
    names("a broken file that is said to be good", found(changed(broken, quality="good")), ("wrong_end", broken["media"]))
    names("a good file that is said to be broken", found(changed(good, quality="broken")), ("wrong_end", good["media"]))
    read = next(line for line in lines() if line["type"] == "operation" and line.get("sha256") and line.get("output"))
    names("a download of other bytes", found(changed(read, sha256="0" * 64)), ("download", op_id(read)))
    names("an operation that failed", found(changed(read, outcome="failed", cause="503")), ("operation", op_id(read)))
    names("one that is called good after a 503", found(lines() + [
        {"type": "attempt", "op": read["op"], "attempt": 9, "status": 503, "method": "GET", "path": "/",
         "user": read["user"], "wall": 0, "mono": 0, "ms": 1, "again": False}]), ("operation", op_id(read)))
    names("one without an end", found([line for line in lines() if line != read]), ("operation", op_id(read)))
    names("a load that was cut off", found(lines()[:-1]), ("operation", run))
    check(recovery.longest_gap([1, 2, 7], 0, 10) == 5, "the longest gap")


# ---- objects ----

def test_objects():
    """objects that vanish, change, appear"""
    media = uploads(outcome="ok", quality="good", pipeline="audio")[0]["media"]
    key = key_of(media)
    with instead(key, None):
        names("an original is gone", found(store=STORE), ("lost", media), ("unowned", key))
    with instead(key, flipped):
        names("a bit of an original is another", found(store=STORE), ("corrupt", media))
    output = value("SELECT object_key FROM media.outputs WHERE media_id = %s", media)
    with instead(output, flipped):
        names("a bit of an output is another", found(store=STORE), ("corrupt", media))
    segment = value("SELECT s.object_key FROM media.segments s JOIN media.media m ON m.id = s.media_id "
                    "WHERE split_part(m.request_id, '-', 1) = %s LIMIT 1", lines()[0]["run"])
    with instead(segment, None):
        names("a segment is gone", found(store=STORE), ("lost", segment.split("/")[1]), ("unowned", segment))
    s3().put_object(Bucket=BUCKET, Key="media/stray", Body=b"?")
    names("an object that nobody knows", found(store=STORE), ("unowned", "media/stray"))
    s3().delete_object(Bucket=BUCKET, Key="media/stray")
    upload = s3().create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    names("an upload in parts that nobody makes", found(store=STORE), ("unowned", key))
    s3().abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)


# ---- mails ----

def test_sink():
    """the list of the cluster's sink says the same as its directory"""
    sys.path += [str(ROOT / "dev"), str(ROOT / "docker/test/smtpd")]
    import mails as listing
    listing.DIRECTORY = str(MAILS)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), listing.Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    media = {operation["media"] for operation in uploads()}
    by_url, by_file = ({(mail.message_id, mail.job, mail.media, mail.to, mail.data) for mail in evidence.mails(sink, media)}
                       for sink in (f"http://127.0.0.1:{server.server_port}/mails", str(MAILS)))
    check(by_url == by_file and len(by_file) == len(media), "both have the same mails", (len(by_url), len(by_file)))
    server.shutdown()


def test_mails():
    """mails that are sent twice, or never"""
    media = uploads(outcome="ok", quality="good")[0]["media"]
    path, data, message = mails(media)[0]
    forged = path.with_name("forged.eml")
    forged.write_bytes(data)
    names("the same mail again is none", found())
    done = judged()
    resent = json.loads(REPORT.read_text())["facts"]["mails_resent"]
    check(done.returncode == 0 and resent == 1, "but it is counted", done.stdout)
    forged.write_bytes(data.replace(message["Message-ID"].encode(), f"<{uuid.uuid4()}@localhost>".encode()))
    names("a mail of the same job by another name", found(), ("mail", media))
    forged.write_bytes(data.replace(b"Subject: ", b"Subject: Re: "))
    names("a mail of the same name that differs", found(), ("mail", media))
    forged.unlink()
    path.rename(path.with_suffix(".away"))
    names("a mail that is not there", found(), ("mail", media))
    path.with_suffix(".away").rename(path)


# ---- rows ----

def test_rows():
    """rows that the programs would not write"""
    media = uploads(outcome="ok", quality="good", pipeline="audio")[0]["media"]
    freeze("janitor-1")
    job = str(sql("""
        WITH made AS (INSERT INTO media.jobs (media_id, owner_id, run, step, queue, essential, input, not_before)
                      SELECT id, owner_id, run, 'forged', 'long', false, 'none', 'infinity' FROM media.media WHERE id = %s
                      RETURNING id) SELECT id FROM made""", media)[0][0])
    names("a job that waits without end", found(), ("stuck", job))
    sql("UPDATE media.jobs SET state = 'queued' WHERE id = %s", job)
    sql("UPDATE media.jobs SET state = 'running', lease_until = now() - interval '1min' WHERE id = %s", job)
    names("a job that runs without a lease", found(), ("stuck", job), ("lease", job))
    sql("DELETE FROM media.jobs WHERE id = %s", job)
    thaw("janitor-1")
    output, job = sql("SELECT object_key, job_id::text FROM media.outputs WHERE media_id = %s", media)[0]
    sql("UPDATE media.objects SET fence = fence - 1 WHERE object_key = %s", output)
    names("a result of an attempt that was fenced off", found(), ("effect", job))
    sql("UPDATE media.objects SET fence = fence + 1 WHERE object_key = %s", output)
    twin = str(uuid.uuid4())
    same = "owner_id, name, content_type, size_bytes, sha256, etag, pipeline, request_id"
    sql(f"INSERT INTO media.media (id, object_key, {same}) SELECT %s, 'media/twin', {same} FROM media.media WHERE id = %s",
        twin, media)
    key = uploads(media=media)[0]["key"]
    names("a second media for a key", found(), ("doubled", key), ("unsettled", twin), ("lost", twin))
    sql("DELETE FROM media.media WHERE id = %s", twin)
    names("all is as it was", found())
    keys = {r[0] for r in sql("SELECT object_key FROM media.objects WHERE media_id = %s AND state = 'live'", media)}
    sql("DELETE FROM media.media WHERE id = %s", media)
    names("a row that is gone", found(), ("lost", media), *(("unowned", key) for key in keys))
    done = judged()
    check(done.returncode == 1 and f"BROKEN lost {media}" in done.stdout, "exit code 1, and it is said", done.stdout)
    sql("UPDATE media.objects SET state = 'doomed' WHERE media_id = %s", media)
    janitor_pass()


main(test_load, test_log, test_objects, test_sink, test_mails, test_rows)

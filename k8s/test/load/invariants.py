"""What must hold after a load, whatever was done to the system meanwhile. Each invariant is a function of the evidence
that answers its findings: what broke, about which media, object or operation. The first four become true in time, the
others are asked for once the first hold."""

import collections
import functools
import re

from client import AGAIN
from evidence import UUID, mails

HEARTBEAT_S = 120   # an upload that was silent this long is nobody's (gateways speak every 15 s)
Finding = collections.namedtuple("Finding", "invariant subject text")


class Case:
    """The evidence of a load."""

    def __init__(self, log, rows, store, sink, stuck_s):
        self.log, self.rows, self.store, self.sink, self.stuck_s = log, rows, store, sink, stuck_s
        self.told = [media for media in log.accepted if re.fullmatch(UUID, media)]
        self.facts = {}

    def media(self):
        """{id: row} of what the log was told of, and of what its requests have made."""
        rows = self.rows("SELECT m.*, m.id::text AS id, u.email, u.disabled_at FROM media.media m "
                         "JOIN media.users u ON u.id = m.owner_id "
                         "WHERE m.id = ANY (%s::uuid[]) OR split_part(m.request_id, '-', 1) = ANY (%s)",
                         self.told, self.log.runs)
        return {row["id"]: row for row in rows}

    @functools.cached_property
    def settled(self):
        """media() when nothing moves any more."""
        return self.media()

    def of_media(self, text):
        """Rows of a statement that asks for the media %s."""
        return self.rows(text, list(self.settled))

    @functools.cached_property
    def results(self):
        """{(media, name): row} of outputs and segments."""
        rows = self.of_media("""
            SELECT media_id::text AS media, name, object_key, size_bytes, sha256 FROM media.outputs
             WHERE media_id = ANY (%s::uuid[])""") + self.of_media("""
            SELECT media_id::text AS media, run || '/' || track || '/' || number AS name, object_key, size_bytes, sha256
              FROM media.segments WHERE media_id = ANY (%s::uuid[])""")
        return {(row["media"], row["name"]): row for row in rows}


# ---- in time ----

def unsettled(case):
    """Every media that was acknowledged has come to an end."""
    for row in case.media().values():
        if row["state"] == "processing":
            yield Finding("unsettled", row["id"], f"is still processing ({row['pipeline']})")


def stuck(case):
    """No job and no message waits without end."""
    for row in case.rows("""
            SELECT id::text, media_id::text AS media, step, state FROM media.jobs
             WHERE state = 'queued' AND not_before < now() - make_interval(secs => %s)
                OR state IN ('waiting', 'queued', 'running') AND media_id = ANY (%s::uuid[])""",
                         case.stuck_s, list(case.media())):
        yield Finding("stuck", row["id"], f"job {row['step']} of media {row['media']} is {row['state']}")
    for row in case.rows("SELECT id, queue, job_id::text AS job FROM media.outbox "
                         "WHERE created_at < now() - make_interval(secs => %s)", case.stuck_s):
        yield Finding("stuck", row["job"], f"its message to {row['queue']} was never sent (outbox {row['id']})")


def lease(case):
    """No job runs without a live lease."""
    for row in case.rows("SELECT id::text, step, worker, now() - lease_until AS late FROM media.jobs "
                         "WHERE state = 'running' AND (lease_until IS NULL OR lease_until < now())"):
        yield Finding("lease", row["id"], f"job {row['step']} of {row['worker']} runs, its lease ended {row['late']} ago")


def unowned(case):
    """Every object has an owner, every owner its object; no upload in parts without an open intent."""
    rows = {row["object_key"]: row for row in case.rows("""
        SELECT o.object_key, o.state, EXISTS (SELECT FROM media.media m WHERE m.id = o.media_id) AS has_media,
               EXISTS (SELECT FROM media.uploads u WHERE u.object_key = o.object_key)
               OR EXISTS (SELECT FROM media.jobs j WHERE j.id = o.job_id AND j.fence = o.fence AND j.state = 'running')
               AS has_maker
          FROM media.objects o""")}
    keys = case.store.keys()
    for key in sorted(keys.keys() - rows.keys()):
        yield Finding("unowned", key, f"object in {keys[key]} without a row")
    for key, row in sorted(rows.items()):
        if row["state"] == "live" and key not in keys:
            yield Finding("unowned", key, "live row without its object")
        elif row["state"] == "live" and not row["has_media"]:
            yield Finding("unowned", key, "live object whose media is gone")
        elif row["state"] == "pending" and not row["has_maker"]:
            yield Finding("unowned", key, "pending row: no upload and no job is making it")
        elif row["state"] == "doomed" and key in keys:
            yield Finding("unowned", key, "doomed object that was not deleted")
    for key, upload in sorted(case.store.multiparts([key for key, row in rows.items() if row["state"] != "live"])):
        if key not in rows or rows[key]["state"] != "pending" or not rows[key]["has_maker"]:
            yield Finding("unowned", key, f"upload in parts that nobody makes: {upload}")
    for row in case.rows("""
            SELECT x.id::text, x.request_id FROM media.uploads x JOIN media.users u ON u.id = x.owner_id
             WHERE x.heartbeat_at < now() - make_interval(secs => %s) OR split_part(x.request_id, '-', 1) = ANY (%s)""",
                         HEARTBEAT_S, case.log.runs):
        yield Finding("unowned", row["id"], f"open upload of request {row['request_id']}")


# ---- once they hold ----

def parted(case):
    """No upload in parts is left beside an object that is there. Some servers list those of an exact key only."""
    for key, upload in sorted(case.store.multiparts([row["object_key"] for row in case.settled.values()])):
        if any(row["object_key"] == key for row in case.settled.values()):
            yield Finding("unowned", key, f"upload in parts beside the object: {upload}")


def kept(case):
    """What a 201 acknowledged is there: its row, its bytes, and those of everything made of it."""
    for media in case.log.accepted:
        if media not in case.settled:
            yield Finding("lost", media, "a 201 told of it, and it has no row")
    wanted = [(row["object_key"], row["size_bytes"], row["sha256"], row["id"], "original")
              for row in case.settled.values() if row["original_gone_at"] is None]
    wanted += [(row["object_key"], row["size_bytes"], row["sha256"], *name) for name, row in case.results.items()]
    sums = case.store.sums([key for key, *_ in wanted])
    case.facts["objects_read"] = len(wanted)
    for key, size, sha256, media, name in wanted:
        if sums[key] is None:
            yield Finding("lost", media, f"{name}: no object {key}")
        elif sums[key] != (size, sha256):
            yield Finding("corrupt", media, f"{name}: object {key} has {sums[key]}, its row says {(size, sha256)}")
    for media, row in case.settled.items():
        for sent in case.log.uploads_of(media):
            if (sent["size"], sent["sha256"]) != (row["size_bytes"], row["sha256"]):
                yield Finding("corrupt", media, f"sent were {(sent['size'], sent['sha256'])}, the row says "
                                                f"{(row['size_bytes'], row['sha256'])}")


def ended(case):
    """Good files become ready with an output, broken ones fail and say why."""
    has_output = {media for media, _ in case.results}
    for media, row in case.settled.items():
        quality = {sent["quality"] for sent in case.log.uploads_of(media)}
        if quality and row["state"] != "processing" and quality != {"good" if row["state"] == "ready" else "broken"}:
            yield Finding("wrong_end", media, f"{' and '.join(sorted(quality))} file, {row['state']}: "
                                              f"{row['error_code']} {row['error_detail']}")
        if row["state"] == "failed" and not row["error_code"]:
            yield Finding("wrong_end", media, "has failed without a cause")
        if row["state"] == "ready" and media not in has_output:
            yield Finding("wrong_end", media, "is ready without an output")


def doubled(case):
    """An Idempotency-Key stands for one media, and no request has made one that its client never heard of."""
    keys = {a["op_id"]: (a["user"], a["key"]) for a in case.log.attempts if a.get("key")}
    made = collections.defaultdict(set)
    told = {media: ops for media, ops in case.log.accepted.items()}
    for media, ops in told.items():
        for op in ops & keys.keys():
            made[keys[op]].add(media)
    outcomes = {o["op_id"]: o["outcome"] for o in case.log.operations}
    for media, row in case.settled.items():
        run, _, rest = (row["request_id"] or "").partition("-")
        op = f"{run}-{rest.rpartition('-')[0]}"
        if op in keys:
            made[keys[op]].add(media)
        if media not in told and outcomes.get(op) == "ok" and len(made[keys.get(op)]) <= 1:
            yield Finding("doubled", media, f"was made by operation {op}, which was refused")
    for (user, key), ids in made.items():
        if len(ids) > 1:
            yield Finding("doubled", key, f"the key of {user} stands for {len(ids)} media: {' '.join(sorted(ids))}")


def effect(case):
    """A job that was done has one result, whoever else has tried."""
    for row in case.of_media("""
            SELECT o.object_key, j.id::text AS job, o.fence, j.fence AS last
              FROM media.objects o JOIN media.jobs j ON j.id = o.job_id
             WHERE o.media_id = ANY (%s::uuid[]) AND o.state = 'live'
               AND (o.fence <> j.fence OR j.state <> 'succeeded')"""):
        yield Finding("effect", row["job"], f"{row['object_key']} is live with fence {row['fence']}, not {row['last']}")
    for row in case.of_media("""
            SELECT r.object_key, r.job_id::text AS job FROM media.outputs r
              LEFT JOIN media.jobs j ON j.id = r.job_id LEFT JOIN media.objects o ON o.object_key = r.object_key
             WHERE r.media_id = ANY (%s::uuid[]) AND (j.state <> 'succeeded' OR o.state IS DISTINCT FROM 'live')"""):
        yield Finding("effect", row["job"], f"output {row['object_key']}: its job has not succeeded")
    for row in case.of_media("""
            SELECT j.media_id::text AS media, j.run, j.step, count(*) AS n FROM media.jobs j
              LEFT JOIN media.pipeline_steps s ON s.pipeline = j.pipeline AND s.step = j.step
             WHERE j.media_id = ANY (%s::uuid[]) AND NOT coalesce(s.fan_out, false)
             GROUP BY j.media_id, j.run, j.step, j.params ->> 'event' HAVING count(*) > 1"""):
        yield Finding("effect", row["media"], f"run {row['run']} has {row['n']} jobs {row['step']}")


def mailed(case):
    """Who is told is told once. SMTP leaves one window in which a mail has to be sent again: it is the same mail then,
    and counted."""
    sent = collections.defaultdict(list)
    for mail in mails(case.sink, case.settled):
        sent[mail.job or f"none, Message-ID {mail.message_id}"].append(mail)
    jobs = {row["id"]: row for row in case.of_media("""
        SELECT id::text, media_id::text AS media, state, params ->> 'to' AS recipient FROM media.jobs
         WHERE step = 'notify' AND media_id = ANY (%s::uuid[])""")}
    case.facts["mails"] = sum(map(len, sent.values()))
    case.facts["mails_resent"] = sum(len(copies) - 1 for copies in sent.values())
    for job, copies in sent.items():
        names = {mail.message_id for mail in copies}
        if job not in jobs:
            yield Finding("mail", copies[0].media, f"a mail of no job: {job}")
        elif len(names) > 1:
            yield Finding("mail", copies[0].media, f"job {job} has sent {len(names)} mails: {' '.join(sorted(names))}")
        elif len({mail.data for mail in copies}) > 1:
            yield Finding("mail", copies[0].media, f"mails {names.pop()} differ")
        elif copies[0].to != jobs[job]["recipient"]:
            yield Finding("mail", copies[0].media, f"went to {copies[0].to}, meant for {jobs[job]['recipient']}")
    for job, row in jobs.items():
        if row["state"] != "succeeded":
            yield Finding("mail", row["media"], f"its notification {job} is {row['state']}")
        elif job not in sent:
            yield Finding("mail", row["media"], f"its notification {job} is done, and there is no mail")
    notified = {row["media"] for row in jobs.values()}
    for media, row in case.settled.items():
        if row["state"] in ("ready", "failed") and media not in notified and row["disabled_at"] is None:
            yield Finding("mail", media, f"is {row['state']}, and nobody was to be told")


def operated(case):
    """No operation has failed that its client could not repeat, and each has its end in the log."""
    last = {}
    for attempt in case.log.attempts:
        last[attempt["op_id"]] = attempt
    outcomes = {o["op_id"]: o for o in case.log.operations}
    for op, outcome in outcomes.items():
        status = last[op].get("status") if op in last else None
        if outcome["outcome"] != "ok":
            yield Finding("operation", op, f"{outcome['kind']} has failed: {outcome.get('cause')}")
        elif op in last and (last[op].get("error") or status in AGAIN or (status or 599) >= 500):
            yield Finding("operation", op, f"{outcome['kind']} is called ok, its last attempt: {status} "
                                           f"{last[op].get('error')}")
    for attempt in case.log.attempts:
        if attempt.get("status", 0) >= 500 and attempt["status"] not in AGAIN:
            yield Finding("operation", attempt["op_id"], f"{attempt['method']} {attempt['path']}: {attempt['status']}")
    for op in last.keys() - outcomes.keys():
        yield Finding("operation", op, "has no end in the log")
    for run in set(case.log.runs) - case.log.ended:
        yield Finding("operation", run, "the load was cut off")


def downloaded(case):
    """What was read is what was written."""
    for o in case.log.operations:
        if o["outcome"] != "ok" or "output" not in o or "sha256" not in o:
            continue
        media, name = o["media"], o["output"]
        row = case.settled.get(media) if name == "original" else case.results.get((media, name))
        if row is not None and (row["size_bytes"], row["sha256"]) != (o["size"], o["sha256"]):
            yield Finding("download", o["op_id"], f"{o['kind']} of {media}/{name}: {o['size']} bytes {o['sha256']}, "
                                                  f"the row says {row['size_bytes']} bytes {row['sha256']}")


IN_TIME = {unsettled: "settle", stuck: "settle", lease: "janitor", unowned: "janitor"}
AT_LAST = (parted, kept, ended, doubled, effect, mailed, operated, downloaded)

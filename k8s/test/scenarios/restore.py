"""A backup, restored into an empty namespace: the same rows, and every object by its digest."""

import configparser
import datetime
import hashlib

import boto3
import psycopg2

from cluster import Cluster, say, wait
from fresh import started
from loading import Load, ways_in

FROM, TO = "media", "media-restored"


def run(cluster, report):
    if not cluster.is_up():
        started(cluster, report)
    cluster.apply("test/backup")
    cluster.ready(300)
    with Load(cluster, "restore", options=("--seconds", "40")) as load:
        load.finish()
    load.check(report)
    seconds = job(cluster, "backup")
    report.figure("restore", "backup", f"{seconds:.0f} s")
    before = holdings(cluster)
    other = Cluster(TO)
    try:
        empty(cluster, other)
        seconds = job(other, "restore")
        report.figure("restore", "restore into an empty namespace", f"{seconds:.0f} s, {len(before)} objects")
        after = holdings(other)
        report.check(before and after == before, f"{len(before)} objects, each with its digest, and their rows",
                     sorted(set(before.items()) ^ set(after.items()))[:20])
        other.ready(120)
    finally:
        cluster.kubectl("delete", "namespace", TO, "--wait=true", check=False, seconds=300)


def empty(cluster, other):
    """A second installation that may read the first one's backups."""
    other.kubectl("apply", "-f", "-", text=f'{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{TO}"}}}}')
    key = cluster.secret("media-s3-restore", "credentials")
    other.kubectl("create", "secret", "generic", "media-backup-source", "--from-file=credentials=/dev/stdin", text=key)
    other.apply("test/restored")
    other.ready(300)


def job(cluster, kind):
    """Runs the CronJob's job now; its seconds."""
    cluster.kubectl("create", "job", f"--from=cronjob/{kind}", f"{kind}-now")
    def ended():
        status = cluster.json("get", "job", f"{kind}-now").get("status", {})
        if any(c["type"] == "Failed" and c["status"] == "True" for c in status.get("conditions", [])):
            raise AssertionError(cluster.kubectl("logs", f"job/{kind}-now", check=False))
        return cluster.json("get", "job", f"{kind}-now") if status.get("succeeded") else None
    done = wait(f"job {kind}", ended, 600)
    say(cluster.kubectl("logs", f"job/{kind}-now").strip()[-600:])
    return seconds(done["status"]["startTime"], done["status"]["completionTime"])


def seconds(begin, end):
    return (datetime.datetime.fromisoformat(end) - datetime.datetime.fromisoformat(begin)).total_seconds()


def holdings(cluster):
    """{key: (row, digest of the object's bytes)} of everything that is live."""
    with ways_in(cluster) as (env, _):
        with connection(env) as db, db.cursor() as rows:
            rows.execute("SELECT o.object_key, m.id::text, m.owner_id::text, m.state::text, m.sha256"
                         "  FROM media.objects o LEFT JOIN media.media m USING (object_key) WHERE o.state = 'live'")
            found = rows.fetchall()
        s3 = store(env)
        return {key: (tuple(row), digest(s3, key)) for key, *row in found}


def connection(env):
    """Read here, since libpq would read this process's environment."""
    file = configparser.ConfigParser()
    file.read(env["PGSERVICEFILE"])
    return psycopg2.connect(**dict(file[env["PGSERVICE"]]))


def store(env):
    file = configparser.ConfigParser()
    file.read(env["AWS_SHARED_CREDENTIALS_FILE"])
    return boto3.client("s3", endpoint_url=env["AWS_ENDPOINT_URL"], region_name=env["AWS_REGION"], **dict(file["default"]))


def digest(s3, key):
    return hashlib.sha256(s3.get_object(Bucket="media", Key=key)["Body"].read()).hexdigest()

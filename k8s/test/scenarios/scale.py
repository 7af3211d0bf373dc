"""RabbitMQ with one member and with three: throughput, and what the loss of a member costs. Workers by the length of their
queue (KEDA): from one to four and back, none stopped while it works."""

import subprocess
import tempfile
import time

from account import Account
from cluster import KUBE, ROOT, deleting, pod_ready, wait
from fresh import MEDIA, started
from loading import Load

SECONDS = 8
AUDIO = ("--mix", "audio=1", "--rate", "200", "--concurrency", "12", "--big", "0")
FILM = MEDIA / "video/sign_480p30_faststart.mp4"
FILMS = 6


def run(cluster, report):
    if not cluster.is_up():
        started(cluster, report)
    for members in (1, 3):
        if members == 3:
            three_members(cluster)
        broker(cluster, report, members)
    by_queue(cluster, report)


# ---- RabbitMQ ----

def three_members(cluster):
    """Made anew: what lay in the queues is gone, as it may be. PostgreSQL knows what is due."""
    cluster.kubectl("delete", "statefulset/rabbitmq", "--wait=true", seconds=200)
    cluster.kubectl("delete", "pvc", "-l", "app.kubernetes.io/component=rabbitmq", "--wait=true", check=False, seconds=200)
    cluster.apply("test/three-brokers")
    cluster.ready(300)


def broker(cluster, report, members):
    """As many uploads of sound as one client can send, then a member is killed, and the load goes on for as long again."""
    part = f"RabbitMQ of {members}"
    with Load(cluster, "scale", options=AUDIO, part=part) as load:
        lasts(SECONDS)
        with load.event("a member killed"):
            cluster.delete_pod("rabbitmq-0", grace=0)
            lasts(SECONDS)
            load.stop()
            cluster.ready(300)
        began = time.monotonic()
        wait("everything is done", lambda: not due(cluster), 900)
        report.figure("scale", f"{part}: backlog of the load done", f"{time.monotonic() - began:.0f} s")
    report.figure("scale", f"{part}: uploads answered 201 per second", f"{load.uploaded(SECONDS):.2f}")
    load.check(report)


def lasts(seconds):
    end = time.monotonic() + seconds
    wait(f"{seconds} s of load", lambda: time.monotonic() > end, seconds + 10, 0.1)


def due(cluster):
    """Jobs that are not over."""
    return int(cluster.sql("SELECT count(*) FROM media.jobs WHERE state IN ('waiting', 'queued', 'running')"))


# ---- workers ----

def by_queue(cluster, report):
    subprocess.run([ROOT / "k8s/test/addons/addons.sh", "up"], check=True, env={**cluster.env, "KUBE_TOOL": str(KUBE)})
    cluster.apply("test/keda")
    wait("one encoder or none while nothing is due", lambda: encoders(cluster) <= 1, 600)
    with tempfile.TemporaryDirectory() as scratch:
        account = Account(cluster, cluster.ca_file(scratch))
        account.login()
        began = time.monotonic()
        films = [account.upload(FILM.read_bytes(), FILM.name, "video", {"rungs": [360]}) for _ in range(FILMS)]
        most = 0

        def four():
            nonlocal most
            most = max(most, encoders(cluster))
            return most >= 4
        wait("four encoders", four, 300)
        report.figure("scale", "queue to four encoders ready", f"{time.monotonic() - began:.0f} s")
        for film in films:
            account.settled(film, 900)
        began = time.monotonic()
        wait("one encoder or none again", lambda: encoders(cluster) <= 1, 900)
        report.figure("scale", "last film to one encoder", f"{time.monotonic() - began:.0f} s")
        attempts = [j["attempt"] for film in films for j in account.expect(200, "GET", f"/media/{film}").json["jobs"]]
        report.check(max(attempts) == 1, f"no worker was stopped while it worked: {len(attempts)} jobs in one attempt each",
                     attempts)


def encoders(cluster):
    return sum(pod_ready(p) and not deleting(p) for p in cluster.pods("encoder"))

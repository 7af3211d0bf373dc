"""The load of a scenario: accounts, load.py in the background, events beside its log, and what check.py says afterwards."""

import collections
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import uuid

import events
from cluster import HTTPS_PORT, NODE, ROOT, Failed, say

TOOLS = pathlib.Path(__file__).resolve().parent / "load"
KEPT = ROOT / "build/k8s-test"
USERS = 4


class Load:
    """with Load(cluster, "loss") as load: ...; load.check(report). `part` tells loads of one scenario apart."""

    def __init__(self, cluster, scenario, nodes=(1,), options=(), part=""):
        self.cluster, self.scenario, self.nodes, self.options = cluster, scenario, nodes, options
        self.part = f"{part}: " if part else ""
        self.home = KEPT / (f"{scenario}-{part}".replace(" ", "-") if part else scenario)
        self.home.mkdir(parents=True, exist_ok=True)
        self.log, self.events = self.home / "load.jsonl", self.home / "events.jsonl"
        for old in (self.log, self.events):
            old.unlink(missing_ok=True)
        self.events.touch()

    def __enter__(self):
        users = self.home / "users"
        with open(users, "w", opener=private) as out:
            for _ in range(USERS):
                email, password = f"load{uuid.uuid4().hex[:8]}@example.org", uuid.uuid4().hex
                self.cluster.ctl("user", "add", email, "--password-stdin", text=password)
                out.write(f"{email} {password}\n")
        gateways = [word for n in self.nodes for word in ("--gateway", f"https://{NODE.format(n)}:{HTTPS_PORT}")]
        self.process = subprocess.Popen(
            [sys.executable, TOOLS / "load.py", *gateways, "--ca", self.cluster.ca_file(self.home),
             "--name", "localhost", "--users", users, "--log", self.log, "--photo-params", "{}", *self.options])
        say(f"load runs, its log is {self.log}")
        return self

    def __exit__(self, *failure):
        self.stop()
        if self.process.returncode != 0 and not failure[0]:
            raise Failed(f"load.py ended with {self.process.returncode}")

    def stop(self):
        """Begins nothing more, and ends when all that was begun has ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(300)

    def uploaded(self, seconds):
        """Uploads that were answered 201 in the first `seconds`, per second."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        answers = [a["wall"] + a["ms"] / 1000 for a in lines if a["type"] == "attempt" and a.get("status") == 201
                   and a["path"].startswith("/upload")]
        begin = min(a["wall"] for a in lines if a["type"] == "attempt")
        return sum(t < begin + seconds for t in answers) / seconds

    def finish(self, seconds=300):
        """Until a load that has a time of its own (--seconds) has ended."""
        self.process.wait(seconds)

    @contextlib.contextmanager
    def event(self, what):
        if self.process.poll() is not None:
            raise Failed(f"load.py has ended with {self.process.returncode}")
        say(what)
        with events.window(self.events, what):
            yield

    def check(self, report):
        """What check.py finds in the log, S3, the mails and the database, each by a way of its own into the cluster."""
        told = self.home / "check.json"
        told.unlink(missing_ok=True)
        with ways_in(self.cluster) as (env, words):
            done = subprocess.run([sys.executable, TOOLS / "check.py", "--log", self.log, "--events", self.events,
                                   "--json", told, *words], capture_output=True, text=True, env=env)
        (self.home / "check.txt").write_text(done.stdout + done.stderr)
        print(done.stdout, flush=True)
        report.check(done.returncode == 0, f"{self.scenario}: {self.part}nothing lost, nothing twice",
                     (done.stdout + done.stderr)[-4000:])
        if told.exists():
            self.figures(report, json.loads(told.read_text()))

    def figures(self, report, found):
        broken = collections.Counter(f["invariant"] for f in found["findings"])
        report.figure(self.scenario, self.part + "verdict", "every invariant holds" if found["ok"] else
                      "broken: " + ", ".join(f"{invariant} {n}" for invariant, n in broken.items()), "every invariant holds")
        for key, value in found["facts"].items():
            if key != "runs":
                report.figure(self.scenario, self.part + key.replace("_", " "),
                              ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value)
        for row in found["recovery"]:
            report.figure(self.scenario, self.part + row["event"],
                          f"{row['seconds']:.0f} s; longest without a good answer {row['gap_s']:.1f} s, without a 201 "
                          f"{row['upload_gap_s']:.1f} s; {row['failed']} attempts failed, {row['retried']} repeated")


@contextlib.contextmanager
def ways_in(cluster):
    """The environment and the words with which check.py reaches database, objects and mails of the cluster."""
    with contextlib.ExitStack() as ways, tempfile.TemporaryDirectory() as scratch:
        pg, s3, mail = (ways.enter_context(cluster.forward(f"svc/{service}", port))
                        for service, port in (("postgres", 5432), ("s3", 9000), ("mail", 8025)))
        password = cluster.secret("media-pg-superuser", "password").strip()
        service = pathlib.Path(scratch) / "pg_service.conf"
        with open(service, "w", opener=private) as out:
            out.write(f"[check]\nhost=127.0.0.1\nport={pg}\ndbname=media\nuser=postgres\npassword={password}\n")
        credentials = pathlib.Path(scratch) / "credentials"
        with open(credentials, "w", opener=private) as out:
            out.write(cluster.secret("media-s3-root", "credentials"))
        env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PG", "MEDIA_"))}
        env |= {"PGSERVICEFILE": str(service), "PGSERVICE": "check", "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3}", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
        yield env, ["--mails", f"http://127.0.0.1:{mail}/mails"]


def private(path, flags):
    return os.open(path, flags, 0o600)

"""Photos and films masked by pipeline "anonymize", and the environments in which other programs do that."""

import os
import pathlib
import subprocess

import bench
import lib as e2e
import pictures

CACHE = pathlib.Path(os.environ["MEDIA_CACHE"])
CORES = os.sysconf("SC_NPROCESSORS_ONLN")
ROUNDS = min(bench.RUNS, 3)
# what the peers can read, too: one picture each
SUFFIXES = (".jpg", ".png", ".webp")


def installed(name, *packages):
    """A Python with packages of PyPI, made once; its path."""
    python = CACHE / name / "bin" / "python"
    if not python.exists():
        subprocess.run(["python3", "-m", "venv", CACHE / name], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
    return python


def is_there():
    """Whether there is anything to measure with; says so if not."""
    if pictures.PHOTOS.is_dir():
        return True
    print(f"Not measured: there is no {pictures.PHOTOS}.")
    return False


def readable():
    found = [p for p in sorted(pictures.PHOTOS.iterdir()) if p.suffix in SUFFIXES]
    return found[::bench.sized(1, 6)]


def pids():
    """The processes that mask: anonymizers with their detectors and decoders."""
    return [pid for name in e2e.servers() if name.startswith(("anonymizer-", "renderer-")) for pid in e2e.pids(name)]


def bind(name, core):
    """A worker with all that it has started and will start."""
    for pid in e2e.pids(name):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})


class Masking:
    def __init__(self):
        self.user = e2e.User("bench")

    def upload(self, path, **params):
        return self.user.upload(path, name=path.name, query=e2e.pipeline_query("anonymize", **params))

    def waiting(self, paths, **params):
        """Uploads while no worker is there that could begin."""
        for name in e2e.servers():
            if name.startswith(("anonymizer-", "renderer-")):
                e2e.stop(name)
        self.user.login()
        return [self.upload(path, **params) for path in paths]

    def finished(self, ids, seconds=1800):
        """All are ready, their mails are out, and nothing runs any more; from the first claim to the last commit, s."""
        e2e.wait("everything is done", lambda: not e2e.value(
            "SELECT count(*) FROM media.jobs WHERE state IN ('waiting', 'queued', 'running')"), seconds, 0.1)
        bad = e2e.sql("SELECT name, state, error_code FROM media.media WHERE id = ANY (%s::uuid[]) AND state <> 'ready'",
                      ids)
        assert not bad, bad
        return e2e.value("""SELECT extract(epoch FROM max(finished_at) - min(started_at))::float8 FROM media.jobs
                            WHERE media_id = ANY (%s::uuid[]) AND queue <> 'notify'""", ids)

    def report(self, media_id):
        answer = self.user.request("GET", f"/media/{media_id}/report.json")
        assert answer.status == 200, answer
        return answer.json

    def forget(self, ids):
        self.user.login()
        for media_id in ids:
            answer = self.user.request("DELETE", f"/media/{media_id}")
            assert answer.status == 204, answer

    def measured(self, paths, workers, cores=None, **params):
        """Images per second, uploads not counted. cores: one of each for a worker with all it starts."""
        ids = self.waiting(paths, **params)
        if cores is None:
            e2e.up("workers", WORKERS=str(workers))
            wall = self.finished(ids)
        else:
            wall = self._bound(ids, workers, cores)
        # they were started for these photos alone
        cpu = bench.cpu_seconds(pids(), with_waited=True)
        self.forget(ids)
        return {"rate": len(paths) / wall, "cpu": cpu / len(paths)}

    def _bound(self, ids, workers, cores):
        """What they start before they are bound is bound with them; nothing is claimed meanwhile."""
        later = e2e.sql("UPDATE media.jobs SET not_before = now() + interval '1h' WHERE state = 'queued' AND "
                        "media_id = ANY (%s::uuid[]) RETURNING id", ids)
        e2e.up("workers", WORKERS=str(workers))
        for number in range(workers):
            bind(f"anonymizer-{number + 1}", cores[number])
        e2e.sql("UPDATE media.jobs SET not_before = now() WHERE id = ANY (%s::uuid[])", [row[0] for row in later])
        e2e.janitor_pass()
        return self.finished(ids)

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


def readable(every=bench.sized(1, 6)):
    found = [p for p in sorted(pictures.PHOTOS.iterdir()) if p.suffix in SUFFIXES]
    return found[::every]


def workers():
    return [name for name in e2e.servers() if name.startswith(("anonymizer-", "renderer-"))]


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

    def start(self, paths, workers, cores=None, **params):
        """The workers, each with its detectors warm; bound to a core each, with all that they start from now on."""
        e2e.up("workers", WORKERS=str(workers))
        self.user.login()
        ids = [self.upload(path, **params) for path in (paths * 2 * workers)[:2 * workers]]
        self.finished(ids)
        self.forget(ids)
        for number, core in enumerate(cores or ()):
            bind(f"anonymizer-{number + 1}", core)

    def held(self, paths, **params):
        """Uploads while no worker moves, so that all is there when they begin."""
        names = workers()
        for name in names:
            e2e.freeze(name)
        ids = [self.upload(path, **params) for path in paths]
        for name in names:
            e2e.thaw(name)
        return ids

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

    def measured(self, paths, count, cores=None, **params):
        """Images per second of so many workers, from the first claim on."""
        self.start(paths, count, cores, **params)
        pids = [pid for name in workers() for pid in e2e.pids(name)]
        before = bench.cpu_seconds(pids, with_waited=True)
        ids = self.held(paths, **params)
        wall = self.finished(ids)
        cpu = bench.cpu_seconds(pids, with_waited=True) - before
        self.forget(ids)
        return {"rate": len(paths) / wall, "cpu": cpu / len(paths)}

"""What the benchmarks share: runs in turn, medians with their spread, tables, what /proc says of a process,
and servers of their own. A benchmark is a program that prints Markdown; progress goes to stderr.

bench/run.sh puts e2e/ on the path, too: `lib` there is the client of the running system."""

import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN = pathlib.Path(os.environ["MEDIA_RUN"])
DATA = (RUN / "data").resolve() / "bench"  # on the disk, and within reach of www-data, wherever the checkout lies
RUNS = int(os.environ.get("BENCH_RUNS") or 7)
TICK = os.sysconf("SC_CLK_TCK")


def progress(text):
    print("  " + text, file=sys.stderr, flush=True)


# ---- runs and their figures ----

def in_turn(ways, runs=RUNS, warmup=1):
    """Runs every way once per round, each round beginning with another one, so that what the machine does
    meanwhile meets all of them. `ways`: {name: function returning a dict of figures}. Gives
    {name: {figure: [a value per round]}}; the warm-up is not counted."""
    names = list(ways)
    series = {name: {} for name in names}
    for turn in range(-warmup, runs):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            figures = ways[name]()
            shown = ", ".join(f"{key} {number(value)}" for key, value in figures.items())
            progress(f"{turn + 1}/{runs} {name}: {shown}" if turn >= 0 else f"warm-up {name}: {shown}")
            if turn >= 0:
                for key, value in figures.items():
                    series[name].setdefault(key, []).append(value)
    return series


def number(value):
    """Three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def spread(values):
    """median (min..max)"""
    return f"{number(statistics.median(values))} ({number(min(values))}..{number(max(values))})"


def ratios(a, b):
    """Round by round, so that it holds while the machine's speed drifts."""
    return [x / y for x, y in zip(a, b)]


def verdict(values, goal):
    """Whether the median of ratios to a goal is at most 1."""
    mid = statistics.median(values)
    return f"**{'met' if mid <= 1 else 'missed'}**: {goal}, {spread(values)} of it"


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


# ---- processes ----

def stat(pid):
    """The fields of /proc/PID/stat from the state on."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def children(pid):
    return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_seconds(pids, with_waited=False):
    """User and system time of the processes, all threads; with_waited: and of their ended children."""
    ticks = 0
    for pid in pids:
        ticks += sum(int(n) for n in stat(pid)[11:15 if with_waited else 13])
    return ticks / TICK


def written_bytes(pids):
    """What the processes made the file system write."""
    return sum(int(line.split()[1]) for pid in pids
               for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines()
               if line.startswith("write_bytes:"))


def peak_rss(pids):
    """Of the largest process, in MiB."""
    return max(int(line.split()[1]) for pid in pids
               for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
               if line.startswith("VmHWM:")) / 1024


def server_pid(name):
    """Of a server that make up has started."""
    return int((RUN / "pid" / name).read_text().split()[0])


def curl(config, *args):
    """Runs curl; what is secret goes to it on stdin. Gives the transfer's seconds; the status must be 2xx."""
    done = subprocess.run(["curl", "-sS", "-K", "-", "-o", "/dev/null", "-w", "%{http_code} %{time_total}", *args],
                          input=config, text=True, capture_output=True)
    status, _, seconds = done.stdout.partition(" ")
    if done.returncode or not status.startswith("2"):
        raise RuntimeError(f"curl: exit code {done.returncode}, status {status}: {done.stderr}")
    return float(seconds)


# ---- nginx ----

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


USER = "user www-data;" if os.getuid() == 0 else ""
TEMP_PATHS = "\n".join(f"    {kind}_temp_path @DIR@/{kind};" for kind in ("client_body", "proxy", "fastcgi",
                                                                         "uwsgi", "scgi"))


class Nginx:
    """The packaged nginx with a configuration of ours, in which @DIR@ is its directory and @PORT@ its port."""

    def __init__(self, name, conf, **env):
        self.dir = DATA / name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.pid_file = RUN / f"pid/bench-{name}"
        self.workers = []
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        path = self.dir / "nginx.conf"
        path.write_text(conf.replace("@DIR@", str(self.dir)).replace("@PORT@", str(self.port)))
        command = [shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-p", self.dir, "-c", path,
                   "-e", self.dir / "error.log"]
        self.process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **env}, stdin=subprocess.DEVNULL,
                                        start_new_session=True)
        # make down ends it, should we be killed
        self.pid_file.write_text(f"{self.process.pid} {stat(self.process.pid)[19]} bench\n")
        count = re.search(r"(?m)^worker_processes (\w+);", conf).group(1)
        count = os.sysconf("SC_NPROCESSORS_ONLN") if count == "auto" else int(count)
        end = time.monotonic() + 30
        # the port is open before the workers are there
        while len(self.workers) != count or not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise RuntimeError(f"{name}: nginx does not start: " + (self.dir / "error.log").read_text()[-2000:])
            time.sleep(0.05)
            self.workers = children(self.process.pid)

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    @property
    def pids(self):
        return [self.process.pid] + self.workers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.pid_file.unlink()

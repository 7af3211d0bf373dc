"""What the benchmarks share: runs in turn, medians with their spread, tables, what /proc says of a process. A
benchmark is a program that prints Markdown; progress goes to stderr.

bench/run.sh puts e2e/ on the path, too: `lib` there is the client of the running system."""

import contextlib
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN = pathlib.Path(os.environ["MEDIA_RUN"])
DATA = (RUN / "data").resolve() / "bench"  # on the disk, and within reach of www-data, wherever the checkout lies
TRY = os.environ.get("BENCH_TRY") == "1"
RUNS = 1 if TRY else int(os.environ.get("BENCH_RUNS") or 7)
TICK = os.sysconf("SC_CLK_TCK")


def sized(full, small):
    """How much of something: BENCH_TRY=1 tries the benchmark itself."""
    return small if TRY else full


def progress(text):
    print("  " + text, file=sys.stderr, flush=True)


# ---- runs and their figures ----

def in_turn(ways, runs=RUNS, warmup=sized(1, 0)):
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
    return rounds(lambda x, y: x / y, a, b)


def at_most(what, values, limit):
    """A goal: the median of `values` is no more than `limit`."""
    _goal(statistics.median(values) <= limit, f"{what}, at most {number(limit)}", values)


def at_least(what, values, limit):
    _goal(statistics.median(values) >= limit, f"{what}, at least {number(limit)}", values)


def _goal(met, text, values):
    print(f"- **{'met' if met else 'missed'}**: {text}: {spread(values)}")


def rounds(function, *series):
    """The function's value for each round's figures: what is taken round by round holds while the machine's
    speed drifts."""
    return [function(*figures) for figures in zip(*series)]


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


def children(pid, title=b""):
    """Its children, those that call themselves so."""
    pids = [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [p for p in pids if title in title_of(p)]


def title_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


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
    return max(kib(f"/proc/{pid}/status", "VmHWM") for pid in pids) / 1024


def pss(pids):
    """What the processes hold of memory, shared pages counted in parts, in MiB."""
    return sum(kib(f"/proc/{pid}/smaps_rollup", "Pss") for pid in pids) / 1024


def kib(path, name):
    """The figure called `name` in a file of lines like "Name: 123 kB"."""
    return next(int(line.split()[1]) for line in pathlib.Path(path).read_text().splitlines()
                if line.startswith(name + ":"))


class Usage:
    """What processes use from now on."""

    def __init__(self, pids, with_waited=False):
        self.pids = pids
        self.with_waited = with_waited
        self.before = self.now()

    def now(self):
        return cpu_seconds(self.pids, self.with_waited), written_bytes(self.pids)

    @property
    def cpu(self):
        return self.now()[0] - self.before[0]

    @property
    def written(self):
        return self.now()[1] - self.before[1]


@contextlib.contextmanager
def commands(figures):
    """Wall clock and CPU of the commands run meanwhile."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    yield
    figures["wall"] = time.monotonic() - began
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures["cpu"] = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


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

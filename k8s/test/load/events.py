#!/usr/bin/python3
"""Notes when something was done to the system, for check.py's table of recovery times.

    events.py FILE begin NAME
    events.py FILE end NAME

Lines: {"event": NAME, "begin": wall clock} and {"event": NAME, "end": wall clock}; a name may come again once it has
ended. In Python: with window(path, name): ..."""

import contextlib
import json
import sys
import time


def note(path, what, name):
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps({"event": name, what: time.time()}) + "\n")


@contextlib.contextmanager
def window(path, name):
    note(path, "begin", name)
    try:
        yield
    finally:
        note(path, "end", name)


def read(path):
    """[(name, begin, end)] in the order of their beginnings; one that has not ended ends where it began."""
    events = []
    with open(path, encoding="utf-8") as file:
        for line in map(json.loads, file):
            if "begin" in line:
                events.append([line["event"], line["begin"], line.get("end", line["begin"])])
            else:
                next(e for e in reversed(events) if e[0] == line["event"])[2] = line["end"]
    return sorted(map(tuple, events), key=lambda e: e[1])


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[2] not in ("begin", "end"):
        sys.exit(__doc__.strip())
    note(*sys.argv[1:])

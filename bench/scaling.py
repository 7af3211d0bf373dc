#!/usr/bin/python3
"""A ladder by two encoders, each bound to a core of its own, against one that is bound to one core."""

import os
import pathlib

import bench
import lib as e2e
import ladders

SECONDS = 8


def bind(name, core):
    """A worker with its threads, and so every child it starts from now on."""
    for task in pathlib.Path(f"/proc/{bench.server_pid(name)}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def main():
    ladder = ladders.Ladders(e2e.film_of(SECONDS))
    sums = {}

    def with_encoders(number):
        def run():
            e2e.up("workers", WORKERS=str(number))
            names = [f"{kind}-{n}" for n in range(1, number + 1) for kind in ("transcoder", "encoder")]
            for name in names:
                bind(name, int(name[-1]) - 1)
            figures, media = ladder.ours(names, range_segments=1)
            sums[media] = e2e.segment_sums(media)
            ladder.forget(media)
            return figures
        return run
    series = bench.in_turn({"one": with_encoders(1), "two": with_encoders(2)}, warmup=0)
    first, *others = sums.values()
    assert first and all(other == first for other in others), "not the same bytes"
    bench.table(["encoders", "wall s", "CPU s"],
                [[name] + [bench.spread(figures[key]) for key in ("wall", "cpu")] for name, figures in series.items()])
    bench.at_least("two encoders to one, times as fast",
                   bench.ratios(series["one"]["wall"], series["two"]["wall"]), 1.7)


if __name__ == "__main__":
    main()

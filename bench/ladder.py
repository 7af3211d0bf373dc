#!/usr/bin/python3
"""The ladder of a 1080p film by two encoders, against one `ffmpeg` command that makes the same rungs, and against one
command per rung."""

import bench
import lib as e2e
import ladders

SECONDS = bench.sized(8, 4)
ENCODERS = 2  # as many as this machine has cores


def main():
    e2e.up("workers", WORKERS=str(ENCODERS))
    workers = [f"{kind}-{n}" for kind in ("transcoder", "encoder") for n in range(1, ENCODERS + 1)]
    ladder = ladders.Ladders(e2e.film_of(SECONDS))

    def ours():
        figures, media = ladder.ours(workers)
        ladder.forget(media)
        return figures
    series = bench.in_turn({"two encoders": ours, "`ffmpeg -threads 1`": lambda: ladder.one_command(1),
                            "`ffmpeg`": lambda: ladder.one_command(None),
                            "`ffmpeg` per rung": ladder.command_per_rung}, warmup=0)
    bench.table(["way", "wall s", "CPU s", "output MB"],
                [[name] + [bench.spread(figures[key]) for key in ("wall", "cpu", "output")]
                 for name, figures in series.items()])
    job, same, free, each = series.values()
    print("Of two encoders to the other ways:\n")
    bench.at_most("CPU, one command with the same threads", bench.ratios(job["cpu"], same["cpu"]), 1.02)
    bench.at_most("CPU, one command with its own threads", bench.ratios(job["cpu"], free["cpu"]), 1.02)
    bench.at_most("wall clock, the faster of both", bench.rounds(lambda a, b, c: a / min(b, c), job["wall"],
                                                                same["wall"], free["wall"]), 1.05)
    bench.at_most("wall clock, a command per rung", bench.ratios(job["wall"], each["wall"]), 0.7)
    bench.at_most("CPU, a command per rung", bench.ratios(job["cpu"], each["cpu"]), 0.8)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""How soon after the upload's last byte a film plays in 360p with sound, against the time in which `ffmpeg` makes that
rung and nothing else."""

import time

import bench
import lib as e2e
import ladders

SECONDS = bench.sized(60, 8)
HEIGHT = 360
ENCODERS = 2  # as many as this machine has cores


def main():
    e2e.up("workers", WORKERS=str(ENCODERS))
    ladder = ladders.Ladders(e2e.film_of(SECONDS))

    def ours():
        media = ladder.upload()
        began = time.monotonic()
        text = e2e.wait("it plays", lambda: played(media), 900, 0.05)
        wall = time.monotonic() - began
        assert f"x{HEIGHT}," in text and "TYPE=AUDIO" in text, text
        ladder.forget(media)
        e2e.wait("nothing of it runs", lambda: not any(
            bench.children(bench.server_pid(f"encoder-{n}")) for n in range(1, ENCODERS + 1)), 60)
        return {"wall": wall}

    def played(media):
        answer = ladder.user.request("GET", f"/media/{media}/hls/master.m3u8")
        return answer.body.decode() if answer.status == 200 else None
    series = bench.in_turn({"playable": ours,
                            "`ffmpeg`": lambda: ladder.commands(ladder.rung(HEIGHT, sound=True))}, warmup=0)
    bench.table(["way", "wall s"], [[name, bench.spread(figures["wall"])] for name, figures in series.items()])
    bench.at_most("seconds beyond 1.1 times those of `ffmpeg`", bench.rounds(
        lambda a, b: a - 1.1 * b, series["playable"]["wall"], series["`ffmpeg`"]["wall"]), 1)


if __name__ == "__main__":
    main()

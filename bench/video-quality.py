#!/usr/bin/python3
"""Each rung of a ladder against one `ffmpeg` encoding the whole file with the same settings and key frames at the same
pictures: quality and size of the whole, and quality of the eight pictures around each border of two ranges.

BENCH_FILMS: other files than the sample clip, by spaces; 50 s each at least, so that there are borders."""

import math
import os
import pathlib
import statistics

import bench
import rungs
import lib as e2e

SECONDS = bench.sized(60, 50)
RANGE_SEGMENTS = bench.sized(10, 4)
PRESET = bench.sized("medium", "veryfast")
AROUND = 8
LIMITS = {"SSIM": 0.005, "bytes": 0.03, "dB": 1.5}
SCALE = "flags=bicubic+accurate_rnd+bitexact"


def reference(film, made_by_us, fps):
    """One command for all rungs; {name: file}."""
    made, outputs = {}, []
    for rung in made_by_us:
        made[rung.name] = bench.DATA / f"quality-{rung.name}.mp4"
        starts = [float(sum(rung.durations[:i])) - 0.001 for i in range(1, len(rung.durations))]
        rate = rungs.maxrate(rung, fps)
        outputs += ["-map", "0:v:0", "-vf", f"scale={rung.width}:{rung.height}:{SCALE}", "-fps_mode", "passthrough",
                    "-enc_time_base", "-1", "-c:v", "libx264", "-preset", PRESET, "-profile:v", "main",
                    "-pix_fmt", "yuv420p", "-crf", "23", "-maxrate", rate, "-bufsize", rate, "-threads:v", "1",
                    "-g", 1 << 30, "-sc_threshold", "0", "-forced-idr", "1", "-flags", "+cgop", "-force_key_frames",
                    ",".join(f"{max(s, 0):.3f}" for s in [0, *starts]), made[rung.name]]
    rungs.run("ffmpeg", "-v", "error", "-nostdin", "-y", "-i", film, *outputs)
    return made


def figures(made, film, rung):
    """PSNR of each picture against the scaled source, and the SSIM of the whole."""
    graph = (f"[1:v:0]scale={rung.width}:{rung.height}:{SCALE},format=yuv420p,settb=1/1000,setpts=N,split[a][b];"
             "[0:v:0]settb=1/1000,setpts=N,split[c][d];[c][a]psnr=stats_file=-[x];[d][b]ssim[y]")
    out, log = rungs.run("ffmpeg", "-v", "info", "-nostats", "-nostdin", "-i", made, "-i", film, "-filter_complex",
                          graph, "-map", "[x]", "-map", "[y]", "-f", "null", "-")
    each = [float(word[len("psnr_avg:"):]) for line in out.decode().splitlines() for word in line.split()
            if word.startswith("psnr_avg:")]
    return [min(p, 99.0) for p in each], float(log.rsplit("SSIM", 1)[1].split("All:")[1].split()[0])


def payload(path):
    return sum(p.size for p in rungs.packets(path))


def borders(rung):
    """The number of the first picture of each range but the first."""
    numbers, at = [], 0
    for number, segment in enumerate(rung.segments):
        if number and number % RANGE_SEGMENTS == 0:
            numbers.append(at)
        at += len(rungs.idr_places(segment))
    return numbers


def compare(film, rung, theirs):
    psnr, ssim = figures(rung.path, film, rung)
    psnr_ref, ssim_ref = figures(theirs, film, rung)
    assert len(psnr) == len(psnr_ref), (rung.name, len(psnr), len(psnr_ref))
    around, single = [], []
    for border in borders(rung):
        places = range(border - AROUND // 2, min(border + AROUND // 2, len(psnr)))
        around.append(statistics.mean(psnr[i] - psnr_ref[i] for i in places))
        single.append(min(psnr[i] - psnr_ref[i] for i in places))
    return {"ssim": ssim, "ssim_ref": ssim_ref, "bytes": payload(rung.path) / payload(theirs) - 1,
            "dB": statistics.mean(psnr) - statistics.mean(psnr_ref), "around": min(around, default=math.nan),
            "single": min(single, default=math.nan)}


def measure(user, film):
    query = e2e.pipeline_query("video", preset=PRESET, range_segments=RANGE_SEGMENTS, remux="never")
    media_id = user.upload(film, name=film.name, query=query)
    media = user.settled(media_id, 3600)
    assert media["state"] == "ready", media["error"]
    rows = []
    with rungs.Ladder(user, media_id) as made:
        fps = rungs.pace(rungs.frames(film)[0])
        theirs = reference(film, made.rungs, fps)
        for rung in made.rungs:
            rows.append((rung.name, compare(film, rung, theirs[rung.name])))
            bench.progress(f"{film.name} {rung.name}: {rows[-1][1]}")
    return rows


def goals(name, results):
    bench.at_most(f"{name}: SSIM below that of `ffmpeg`, worst rung", [max(r["ssim_ref"] - r["ssim"] for r in results)],
                  LIMITS["SSIM"])
    bench.at_most(f"{name}: bytes beside those of `ffmpeg`, worst rung", [max(abs(r["bytes"]) for r in results)],
                  LIMITS["bytes"])
    bench.at_most(f"{name}: dB lost in the eight pictures around a border, worst one",
                  [max(-r["around"] for r in results)], LIMITS["dB"])


def main():
    e2e.up("workers", WORKERS="2")
    user = e2e.User("bench")
    films = [pathlib.Path(f) for f in os.environ.get("BENCH_FILMS", "").split()] or [e2e.looped(SECONDS)]
    for film in films:
        rows = measure(user, film)
        bench.table([f"{film.name}", "SSIM", "SSIM of ffmpeg", "bytes", "mean PSNR", "8 pictures around a border",
                     "worst single of them"],
                    [[name, f"{r['ssim']:.4f}", f"{r['ssim_ref']:.4f}", f"{r['bytes']:+.1%}", f"{r['dB']:+.2f} dB",
                      f"{r['around']:+.2f} dB", f"{r['single']:+.2f} dB"] for name, r in rows])
        goals(film.name, [r for _, r in rows])
        print()


if __name__ == "__main__":
    main()

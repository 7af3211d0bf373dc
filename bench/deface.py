#!/usr/bin/python3
"""Large photos and a film masked by jobs, against deface 1.5 with the network and runtime it comes with."""

import json
import math
import os
import pathlib
import subprocess

import bench
import lib as e2e
import photos
import pictures

SCRIPT = pathlib.Path(__file__).resolve().parent / "lib" / "deface_photos.py"
LARGE = 0.7e6  # pixels
CORE = 0
FILM, FILM_S = "heads_720p25_moov_end.mp4", bench.sized(10, 1)


class Deface:
    def __init__(self):
        self.python = photos.installed("deface", "deface==1.5.0", "onnxruntime")

    def run(self, *arguments, core=None):
        bound = ["taskset", "-c", str(core)] if core is not None else []
        # nothing of ours shall be imported in place of its own
        done = subprocess.run([str(a) for a in (*bound, self.python, *arguments)], capture_output=True, text=True,
                              cwd=bench.DATA, env={"PATH": os.environ["PATH"]})
        if done.returncode:
            raise RuntimeError(f"deface: {done.stderr[-600:]}")
        return done.stdout

    def masked(self, paths):
        """Read from and written to the disk, the network loaded before."""
        seconds = json.loads(self.run(SCRIPT, "masks", bench.DATA, *paths, core=CORE))["seconds"]
        return {"each": 1e3 * seconds / len(paths)}

    def hits(self, paths):
        found = json.loads(self.run(SCRIPT, "boxes", *paths))
        return {pathlib.Path(path).name: hits for path, hits in found.items()}

    def film(self, path):
        figures = {}
        with bench.commands(figures):
            self.run("-m", "deface.deface", path, "-o", bench.DATA / "deface.mp4", "--keep-audio")
        return {"fps": frame_count(path) / figures["wall"]}


def frame_count(path):
    done = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_packets", "-show_entries",
                           "stream=nb_read_packets", "-of", "csv=p=0", path], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[0].strip(","))


def recall(hits):
    """(faces found, faces, false hits) of all labelled photos; hits: {file: hits}"""
    found = count = false = 0
    for file, faces in pictures.truth(with_ignored=True).items():
        right, wrong = pictures.matched(faces, hits.get(file, []))
        found, false = found + right, false + wrong
        count += sum(f.kind != "ignore" for f in faces)
    return found, count, false


def our_hits(ours, paths):
    e2e.up("workers", WORKERS="2")
    ours.user.login()
    ids = {path.name: ours.upload(path) for path in paths}
    ours.finished(list(ids.values()))
    hits = {file: pictures.report_hits(ours.report(media_id)) for file, media_id in ids.items()}
    ours.forget(list(ids.values()))
    return hits


def large_photos(ours, deface):
    large = [path for path in photos.readable(1) if math.prod(pictures.picture(path).shape[:2]) >= LARGE]
    series = bench.in_turn({"jobs": lambda: {"each": 1e3 / ours.measured(large, 1, [CORE])["rate"]},
                            "deface": lambda: deface.masked(large)}, photos.ROUNDS)
    labelled = [pictures.PHOTOS / file for file in pictures.truth(with_ignored=True)]
    results = {"jobs": recall(our_hits(ours, labelled)), "deface": recall(deface.hits(labelled))}
    bench.table(["way", f"ms per photo, {len(large)} photos", "faces found", "false"],
                [[name, bench.spread(series[name]["each"]), f"{found} of {count}", false]
                 for name, (found, count, false) in results.items()])
    bench.at_least("deface's time to ours, photos from 0.7 megapixel, one core each",
                   bench.ratios(series["deface"]["each"], series["jobs"]["each"]), 2)
    (mine, count, _), (theirs, _, _) = results.values()
    bench.at_least(f"recall, deface's is {theirs / count:.3f}", [mine / count], theirs / count)
    print()


def cut(path, seconds):
    out = bench.DATA / f"cut-{path.name}"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", path, "-map", "0:v:0", "-map", "0:a?", "-t", str(seconds), "-c",
                    "copy", out], check=True)
    return out


def our_film(ours, path):
    e2e.up("workers", WORKERS=str(photos.CORES))
    ours.user.login()
    ids = [ours.upload(path)]
    fps = frame_count(path) / ours.finished(ids)
    tracks = ours.report(ids[0])["tracks"]
    assert any(track["class"] == "face" for track in tracks), f"no face in {path}"
    ours.forget(ids)
    return {"fps": fps}


def film(ours, deface):
    path = cut(pictures.SHARED / "video" / FILM, FILM_S)
    series = bench.in_turn({"jobs": lambda: our_film(ours, path), "deface": lambda: deface.film(path)},
                           photos.ROUNDS, warmup=0)
    bench.table(["way", f"fps, {frame_count(path)} pictures of 1280x720"],
                [[name, bench.spread(figures["fps"])] for name, figures in series.items()])
    bench.at_least("our fps to deface's, the whole machine each",
                   bench.ratios(series["jobs"]["fps"], series["deface"]["fps"]), 3)
    print()


def main():
    if not photos.is_there():
        return
    ours, deface = photos.Masking(), Deface()
    large_photos(ours, deface)
    film(ours, deface)


if __name__ == "__main__":
    main()

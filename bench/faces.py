#!/usr/bin/python3
"""Faces found, missed and covered by each detector in labelled photos: media-detector and the scales around it alone,
without jobs."""

import json
import os
import statistics
import subprocess

import numpy

import bench
import pictures

ASK = bench.ROOT / "build" / os.environ.get("PRESET", "release") / "test" / "an_ask"
SUFFIXES = (".jpg", ".png", ".webp")
SIDE = 640  # of the photos as they are looked at
GRID = 100  # points along each side of a face at which it is asked whether it is covered
WAYS = {  # what bench/notes/faces.md says of them
    "**default**: `yunet` with its passes": ("face=yunet",),
    "`yunet`, one pass": ("--once", "face=yunet"),
    "`yunet_2022mar` with its passes": ("face=yunet_2022mar",),
    "`yunet_2022mar`, one pass": ("--once", "face=yunet_2022mar"),
    "`haar`": ("face=haar",),
}


class Asker:
    """an_ask: media-detector, and what is between it and a picture."""

    def __init__(self, arguments):
        self.process = subprocess.Popen([ASK, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={**os.environ, "MEDIA_MODELS": str(pictures.SHARED / "model")})

    def ask(self, rgb):
        height, width = rgb.shape[:2]
        self.process.stdin.write(b"%d %d\n" % (width, height) + rgb[..., ::-1].tobytes())
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        if self.process.wait():
            raise RuntimeError(f"an_ask: exit code {self.process.returncode}")


def photos():
    """[(file, as many pixels as the photo has, scaled down, by what)]"""
    found = []
    for path in sorted(p for p in pictures.PHOTOS.iterdir() if p.suffix in SUFFIXES):
        full = pictures.picture(path)
        height, width = full.shape[:2]
        scale = min(1, SIDE / max(width, height))
        size = f"scale={max(1, round(width * scale))}:{max(1, round(height * scale))}:flags=area"
        small = next(iter(list(pictures.frames(path, "-frames:v", "1", "-vf", size))))
        found.append((path.name, full, small, width / small.shape[1]))
    return found


def covered(face, ellipses):
    """Share of a face's box that lies under ellipses, given by the boxes they fill."""
    x = face.x + (numpy.arange(GRID) + 0.5) / GRID * face.w
    y = face.y + (numpy.arange(GRID)[:, None] + 0.5) / GRID * face.h
    under = numpy.zeros((GRID, GRID), bool)
    for ex, ey, ew, eh in ellipses:
        under |= ((x - ex - ew / 2) / (ew / 2)) ** 2 + ((y - ey - eh / 2) / (eh / 2)) ** 2 <= 1
    return float(under.mean())


class Score:
    def __init__(self):
        self.found = self.count = self.false = self.false_without = 0
        self.covers, self.areas, self.ms = [], [], []

    def add(self, faces, answer, scale):
        hits = [[scale * value for value in hit[:4]] + [hit[4]] for hit in answer["hits"]]
        ellipses = [[scale * value for value in hit[6:]] for hit in answer["hits"]]
        found, false = pictures.matched(faces, hits)
        self.found, self.false = self.found + found, self.false + false
        self.false_without += 0 if faces else false
        self.ms.append(answer["ms"])
        for face in faces:
            if face.kind != "ignore":
                self.count += 1
                self.covers.append(covered(face, ellipses))
                self.areas.append(face.w * face.h)

    recall = property(lambda self: self.found / self.count)
    precision = property(lambda self: self.found / max(1, self.found + self.false))
    area = property(lambda self: float(numpy.average(self.covers, weights=self.areas)))
    whole = property(lambda self: sum(c >= 0.95 for c in self.covers) / self.count)

    def row(self, name):
        return [name, f"{self.recall:.3f}", f"{self.found} of {self.count}", f"{self.precision:.3f}", self.false,
                self.false_without, f"{self.area:.3f}", f"{self.whole:.3f}", f"{statistics.median(self.ms):.0f}"]


def score(arguments, looked_at):
    truth, result, asker = pictures.truth(with_ignored=True), Score(), Asker(arguments)
    for file, rgb, scale in looked_at:
        result.add(truth.get(file, []), asker.ask(rgb), scale)
    asker.close()
    return result


def photo_ms(rgb):
    """A photo of 1000 x 750 by the default, its passes and their scaling included."""
    asker = Asker(("face=yunet",))
    asker.ask(rgb)
    times = [asker.ask(rgb)["ms"] for _ in range(bench.sized(25, 3))]
    asker.close()
    return times


def main():
    if not (pictures.SHARED / "model").is_dir():
        print(f"Not measured: there is no {pictures.SHARED}.")
        return
    all_photos = photos()
    small = [(file, rgb, scale) for file, _, rgb, scale in all_photos]
    results = {}
    for name, arguments in WAYS.items():
        results[name] = score(arguments, small)
        bench.progress(f"{name}: {results[name].row('')}")
    results["default, photos at their own size"] = score(("face=yunet",), [(f, full, 1) for f, full, _, _ in all_photos])
    bench.table(["detector", "recall", "faces", "precision", "false", "false in photos without faces", "area covered",
                 "faces covered by 95 %", "CPU ms per photo"], [result.row(name) for name, result in results.items()])
    best = next(iter(results.values()))
    bench.at_least("recall of the default", [best.recall], 0.98)
    bench.at_least("its precision", [best.precision], 0.95)
    bench.at_least("area of all faces that it covers", [best.area], 0.98)
    bench.at_least("share of faces of which it covers 95 %", [best.whole], 0.95)
    large = next((full for _, full, _, _ in all_photos if full.shape[:2] == (750, 1000)), None)
    if large is not None:
        bench.at_most("CPU ms for a photo of 1000x750", photo_ms(large), 150)
    print()


if __name__ == "__main__":
    main()

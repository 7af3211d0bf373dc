"""Pictures for tests and figures of anonymization: labelled photos, decoding by ffmpeg into numpy arrays, and how much
of a picture is masked or changed. Nothing of ours measures here."""

import collections
import csv
import os
import pathlib
import subprocess

import numpy

from lib import ROOT, RUN

SHARED = pathlib.Path(os.environ.get("MEDIA_SHARED") or ROOT / "../shared/media").resolve()
PHOTOS = SHARED / "image"
COLOR = "#ff00ff"   # of masks: nothing in the photos has it
NEAR = 48           # by which a component of it may be off after lossy coding
MATCH = 0.3         # IoU of a hit with a labelled face

Face = collections.namedtuple("Face", "x y w h kind")


# ---- the truth ----

def truth(with_ignored=False):
    """{file: [Face]} of faces.tsv; ignored ones are neither faces nor mistakes."""
    found = collections.defaultdict(list)
    with open(PHOTOS / "faces.tsv", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if with_ignored or row["kind"] != "ignore":
                found[row["file"]].append(Face(*(float(row[k]) for k in "xywh"), row["kind"]))
    return dict(found)


def iou(a, b):
    """Of boxes that begin with x, y, w, h."""
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def matched(faces, hits):
    """(faces found, false hits): each hit finds one face, the best ones first; what lies on an ignored one is neither.
    hits: (x, y, w, h, score)"""
    left = [f for f in faces if f.kind != "ignore"]
    total, false = len(left), 0
    for hit in sorted(hits, key=lambda h: -h[4]):
        best = max(left, key=lambda f: iou(f, hit), default=None)
        if best is not None and iou(best, hit) >= MATCH:
            left.remove(best)
        elif not any(f.kind == "ignore" and iou(f, hit) >= MATCH for f in faces):
            false += 1
    return total - len(left), false


def report_hits(report):
    """Hits of a picture's report in its pixels, as matched() takes them; regions of an owner are none."""
    width, height = report["width"], report["height"]
    return [(x * width, y * height, w * width, h * height, score) for track in report["tracks"]
            if track["class"] == "face" for _, x, y, w, h, score in track["boxes"][:1]]


# ---- decoding ----

def _ppm(read):
    """Pictures of a stream of binary PPMs."""
    while True:
        head = read(2)
        if not head:
            return
        words, word = [], b""
        while len(words) < 3:
            byte = read(1)
            if byte.isspace():
                words, word = words + [word] * bool(word), b""
            else:
                word += byte
        width, height, _ = map(int, words)
        yield numpy.frombuffer(read(width * height * 3), numpy.uint8).reshape(height, width, 3)


def frames(source, *options):
    """Decoded pictures of a file, or of bytes, as players turn them."""
    if isinstance(source, bytes):
        path = RUN / "tmp" / "pictures.input"
        path.write_bytes(source)
        source = path
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", source, "-map", "0:v:0", "-fps_mode", "passthrough", *options,
               "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"]
    with subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ffmpeg:
        yield from _ppm(ffmpeg.stdout.read)
        complaint = ffmpeg.stderr.read().decode(errors="replace")
        if ffmpeg.wait():
            raise RuntimeError(f"ffmpeg cannot read {source}: {complaint[-400:]}")


def picture(source):
    return next(iter(list(frames(source, "-frames:v", "1"))))


def converted(source, suffix, *options):
    """The same picture in another format."""
    out = RUN / "tmp" / f"{pathlib.Path(source).stem}{suffix}"
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", source, *options, out], check=True)
    return out


def scrolling(photo, width, height, count, step, out, rate=25, options=()):
    """A film of a window that moves over a photo, `step` pixels to the right each time, with a tone."""
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-loop", "1", "-framerate", str(rate), "-i", photo,
                    "-f", "lavfi", "-i", "sine=440:sample_rate=44100", "-vf",
                    f"crop={width}:{height}:{step}*n:0,format=yuv420p", "-frames:v", str(count), "-shortest",
                    "-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-c:a", "aac", *options, out], check=True)
    return out


# ---- measuring ----

def color_of(text):
    return numpy.array([int(text[i:i + 2], 16) for i in (1, 3, 5)], numpy.int16)


def masked(rgb, color=COLOR):
    """Where the picture has the masks' colour."""
    return (numpy.abs(rgb.astype(numpy.int16) - color_of(color)) <= NEAR).all(axis=2)


def part(where, box):
    """The pixels of a box (x, y, w, h), what lies outside of the picture left out."""
    x, y, w, h = box[:4]
    return where[max(round(y), 0):max(round(y + h), 0), max(round(x), 0):max(round(x + w), 0)]


def covered(where, faces):
    """Share of each face's box that is masked."""
    return [float(part(where, face).mean()) for face in faces]


def whole(faces, width, height):
    """Those that lie within a picture."""
    return [f for f in faces if f.x >= 0 and f.y >= 0 and f.x + f.w <= width and f.y + f.h <= height]


def grown(where, by):
    """Everything no further than `by` pixels from it, along each axis."""
    for axis in (0, 1):
        sums = numpy.cumsum(numpy.pad(where.astype(numpy.int32), [(by + 1, by) if a == axis else (0, 0)
                                                                   for a in (0, 1)]), axis=axis)
        size = where.shape[axis]
        where = numpy.take(sums, range(2 * by + 1, size + 2 * by + 1), axis) > numpy.take(sums, range(size), axis)
    return where


def psnr(a, b, where=None):
    """dB over the pixels chosen; 99 for equal ones."""
    error = (a.astype(numpy.float32) - b.astype(numpy.float32)) ** 2
    mean = float((error if where is None else error[where]).mean())
    return min(99.0, 10 * numpy.log10(255 ** 2 / mean)) if mean else 99.0


def luma(rgb):
    return rgb.astype(numpy.float32) @ numpy.array([0.299, 0.587, 0.114], numpy.float32)


def resized(grey, width, height):
    """Area means of a grey picture: what a reader that sees less of it has."""
    def weights(old, new):
        edges = numpy.linspace(0, old, new + 1)
        low, high = edges[:-1, None], edges[1:, None]
        at = numpy.arange(old)[None, :]
        share = numpy.clip(numpy.minimum(high, at + 1) - numpy.maximum(low, at), 0, None)
        return share / share.sum(axis=1, keepdims=True)
    return weights(grey.shape[0], height) @ grey @ weights(grey.shape[1], width).T

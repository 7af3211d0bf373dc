"""A ladder as a client sees it, measured against the file it was made of.

A Ladder fetches master, playlists and every segment through the gateway and keeps each track as one joined
file. verify() makes one test point of every property; sources are read by ffprobe and ffmpeg, never by us."""

import collections
import json
import operator
import pathlib
import subprocess
import tempfile
import urllib.parse
from array import array
from fractions import Fraction

from lib import check

RATE = 8000            # of sound that is compared, Hz
REACH = RATE // 10     # offsets that are looked for, samples
ALIKE = 0.99            # of the best likeness: another offset is as good
OFFSET_MAX = Fraction(20, 1000)
VBV_FULL = 0.9         # x264's bucket at its first picture
VBV_OVER = 0.10
FPS_MAX = 60
HIGH_FPS = 30 * 1.005
FPS_SLACK = 1.005      # 60 with rounded time stamps is not above 60
# kb/s by the picture's short side: up to 30 pictures per second, above
RATES = {144: (150, 150), 240: (300, 300), 360: (500, 500), 480: (1000, 1000), 720: (2500, 3500),
         1080: (4500, 7500), 1440: (9000, 18000), 2160: (18000, 40000)}
PSNR_MIN = 27          # of a rung against its source, dB: another picture is below 20

Frame = collections.namedtuple("Frame", "pts key")
Packet = collections.namedtuple("Packet", "pts dts size")


# ---- files ----

def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.decode(errors='replace')[-600:]}")
    return done.stdout, done.stderr.decode(errors="replace")


def probe(path):
    return json.loads(run("ffprobe", "-v", "error", "-of", "json", "-show_format", "-show_streams", path)[0])


def stream_base(path, stream):
    return Fraction(run("ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", "stream=time_base",
                        "-of", "csv=p=0", path)[0].decode().split()[0].strip(","))


def rows(path, stream, section, *fields):
    """The fields of every frame or packet, as texts, and what was complained about."""
    text, errors = run("ffprobe", "-v", "error", "-select_streams", stream, "-show_entries",
                       f"{section}={','.join(fields)}", "-of", "json", path)
    return [[o.get(f) for f in fields] for o in json.loads(text)[section + "s"]], errors


def frames(path, stream="v:0"):
    """Decoded pictures as they are shown, times in seconds; and the decoder's complaints."""
    base = stream_base(path, stream)
    got, errors = rows(path, stream, "frame", "best_effort_timestamp", "key_frame")
    return [Frame(int(pts) * base if pts is not None else None, bool(key)) for pts, key in got], errors


def packets(path, stream="v:0"):
    base = stream_base(path, stream)
    got, _ = rows(path, stream, "packet", "pts", "dts", "size")
    return [Packet(int(p) * base, int(d) * base, int(n)) for p, d, n in got]


def pcm(path, stream, origin):
    """Sound of a file as mono samples from the time `origin` on: holes are silence."""
    raw, _ = run("ffmpeg", "-v", "error", "-copyts", "-i", path, "-map", f"0:{stream}", "-af",
                 f"asetpts=PTS-({float(origin):.9f})/TB,aresample={RATE}:async=1:min_hard_comp=0.02:first_pts=0,"
                 "aformat=sample_fmts=s16:channel_layouts=mono", "-f", "s16le", "-")
    return array("h", raw[:len(raw) // 2 * 2])


def offset_at(source, made, at, length):
    """By how much `made` lags behind `source` around a sample, in s; None where there is nothing to hear, or what
    looks like itself a moment later (a tone) and so tells no time."""
    window = made[at:at + length]
    if not window or max(map(abs, window)) < 60:
        return None
    scores = {}
    for lag in range(-REACH, REACH + 1):
        low = at - lag
        part = source[max(low, 0):max(low + length, 0)]
        if low < 0:
            part = array("h", bytes(2 * min(-low, length))) + part
        scores[lag] = sum(map(operator.mul, window, part))
    best = max(scores, key=scores.get)
    if any(s > ALIKE * scores[best] for lag, s in scores.items() if abs(lag - best) > RATE // 200):
        return None
    return Fraction(best, RATE)


def offsets(source, made):
    """Where the sound is loud in each half of what both have."""
    both = min(len(source), len(made))
    length = min(RATE // 2, both)
    found = []
    for low, high in ((0, both // 2), (both // 2, both)):
        starts = range(low, max(high - length, low) + 1, max(length // 2, 1))
        at = max(starts, key=lambda s: sum(map(abs, made[s:s + length])))
        offset = offset_at(source, made, at, length)
        if offset is not None:
            found.append(offset)
    return found


# ---- the set ----

def attributes(value):
    """NAME=value,NAME="value" of a tag."""
    found, rest = {}, value
    while rest:
        name, _, rest = rest.partition("=")
        if rest.startswith('"'):
            text, _, rest = rest[1:].partition('"')
            rest = rest.lstrip(",")
        else:
            text, _, rest = rest.partition(",")
        found[name] = text
    return found


def tags(text, tag):
    return [line[len(tag) + 1:] for line in text.splitlines() if line.startswith(tag + ":")]


def uris(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


class Track:
    """A media playlist with what it leads to."""

    def __init__(self, fetch, path, directory):
        self.name = path.rsplit("/", 1)[1].removesuffix(".m3u8")
        text = fetch(path).decode()
        self.target = int(tags(text, "#EXT-X-TARGETDURATION")[0])
        self.durations = [Fraction(d.split(",")[0]) for d in tags(text, "#EXTINF")]
        init = [attributes(m)["URI"] for m in tags(text, "#EXT-X-MAP")]
        head = b"".join(fetch(urllib.parse.urljoin(path, uri)) for uri in init)
        self.segments = [fetch(urllib.parse.urljoin(path, uri)) for uri in uris(text)]
        self.path = pathlib.Path(directory) / f"{self.name}.{'mp4' if init else 'vtt'}"
        self.path.write_bytes(head + b"".join(self.segments))

    def peak(self):
        """bit/s of the densest contiguous segments of 0.5 to 1.5 target durations (RFC 8216bis 4.1)."""
        best = Fraction(0)
        for first in range(len(self.segments)):
            size, length = 0, Fraction(0)
            for data, duration in zip(self.segments[first:], self.durations[first:]):
                size, length = size + len(data), length + duration
                if length > Fraction(3, 2) * self.target:
                    break
                if length >= Fraction(1, 2) * self.target:
                    best = max(best, size * 8 / length)
        return best or max(len(s) * 8 / d for s, d in zip(self.segments, self.durations))


class Ladder:
    """Everything behind a master playlist, joined in a directory of its own; a context manager."""

    def __init__(self, user, media_id):
        self._directory = tempfile.TemporaryDirectory(prefix="ladder-")
        self.directory = pathlib.Path(self._directory.name)

        def fetch(path):
            answer = user.request("GET", path)
            assert answer.status == 200, (path, answer)
            return answer.body
        master_path = f"/media/{media_id}/hls/master.m3u8"
        self.master = fetch(master_path).decode()

        def track(uri):
            return Track(fetch, urllib.parse.urljoin(master_path, uri), self.directory)
        self.rungs = []
        for tag, uri in zip(tags(self.master, "#EXT-X-STREAM-INF"), uris(self.master)):
            rung = track(uri)
            rung.tag = attributes(tag)
            rung.width, rung.height = map(int, rung.tag["RESOLUTION"].split("x"))
            self.rungs.append(rung)
        self.rungs.sort(key=lambda r: r.height * r.width)
        groups = [attributes(m) for m in tags(self.master, "#EXT-X-MEDIA")]
        self.sounds = [track(g["URI"]) for g in groups if g["TYPE"] == "AUDIO"]
        self.texts = [track(g["URI"]) for g in groups if g["TYPE"] == "SUBTITLES"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._directory.cleanup()


# ---- what must hold ----

def pace(shown):
    """Pictures per second."""
    length = float(shown[-1].pts - shown[0].pts)
    return (len(shown) - 1) / length if length else 25.0


def maxrate(rung, fps):
    """bit/s of a rung of the default ladder, of its buffer's bits, too; None: it has a size of its own."""
    slow, fast = RATES.get(min(rung.width, rung.height), (0, 0))
    return 1500 * (fast if fps > HIGH_FPS else slow) or None


def idr_places(segment):
    """Of each access unit of an H.264 segment's mdat whether it is an IDR, in decoding order."""
    at = segment.index(b"mdat") + 4
    places = []
    while at + 5 <= len(segment):
        size = int.from_bytes(segment[at:at + 4], "big")
        kind = segment[at + 4] & 31
        if kind in (1, 5) and segment[at + 5] & 0x80:   # first_mb_in_slice = 0
            places.append(kind == 5)
        at += 4 + size
    return places


def vbv_overshoot(stream, maxrate, bufsize):
    """How far below empty a bucket of `bufsize` bits gets that `maxrate` fills; part of the bucket."""
    level, worst = VBV_FULL * bufsize, 0.0
    for packet, after in zip(stream, stream[1:] + stream[-1:]):
        level -= packet.size * 8
        worst = min(worst, level)
        level = min(level + float(after.dts - packet.dts) * maxrate, bufsize)
    return -worst / bufsize


def psnr(made, source, stream, width, height, step):
    """Mean of all pictures and of the worst one, paired by their order, as players turn and stretch them."""
    graph = (f"[1:{stream}]select='not(mod(n\\,{step}))',"
             f"scale={width}:{height}:flags=bicubic+accurate_rnd:out_range=tv,setsar=1,"
             "format=yuv420p,settb=1/1000,setpts=N[a];"
             "[0:v:0]settb=1/1000,setpts=N,format=yuv420p[b];[b][a]psnr=stats_file=-:shortest=1")
    out, errors = run("ffmpeg", "-v", "info", "-nostats", "-i", made, "-i", source, "-filter_complex", graph,
                      "-fps_mode", "passthrough", "-f", "null", "-")
    each = [float(word[9:]) for line in out.decode().splitlines() for word in line.split()
            if word.startswith("psnr_avg:")]
    average = float(errors.rsplit("average:", 1)[1].split()[0])
    return average, min(each)


def display_size(stream):
    """The shape of what is shown: turned, with square pixels."""
    width, height = stream["width"], stream["height"]
    sar = stream.get("sample_aspect_ratio", "1:1").split(":")
    if "0" not in sar:
        width = width * Fraction(int(sar[0]), int(sar[1]))
    turn = next((s["rotation"] for s in stream.get("side_data_list", []) if "rotation" in s), 0)
    return (height, width) if turn % 180 else (width, height)


def verify_rung(rung, expected, source, stream, step):
    got, errors = frames(rung.path)
    check(not errors, f"{rung.name}: decodes without a complaint", errors[-400:])
    times = [f.pts for f in got]
    check(times == expected, f"{rung.name}: {len(expected)} pictures at the source's times",
          f"{len(times)} of {len(expected)}; " + str([(i, str(a), str(b)) for i, (a, b) in
                                                      enumerate(zip(times, expected)) if a != b][:3]))
    places = [idr_places(s) for s in rung.segments]
    check(all(p and p[0] and not any(p[1:]) for p in places) and sum(map(len, places)) == len(got),
          f"{rung.name}: an IDR at the start of each of {len(places)} segments and nowhere else")
    rate = maxrate(rung, pace(got))
    if rate:
        over = vbv_overshoot(packets(rung.path), rate, rate)
        check(over <= VBV_OVER, f"{rung.name}: the joined rung keeps to its buffer", f"{over:.1%} over")
    average, worst = psnr(rung.path, source, stream, rung.width, rung.height, step)
    check(average >= PSNR_MIN, f"{rung.name}: shows the source's pictures ({average:.1f} dB, worst {worst:.1f})")


def verify(ladder, source, stream="v:0"):
    """A test point per property of the ladder made of the file `source`."""
    info = probe(source)
    video = [s for s in info["streams"] if s["codec_type"] == "video"][int(stream[2:])]
    shown, _ = frames(source, stream)
    first = shown[0].pts
    step = 1
    while pace(shown) / step > FPS_MAX * FPS_SLACK:
        step *= 2
    expected = [f.pts - first for f in shown][::step]
    width, height = display_size(video)
    for rung in ladder.rungs:
        verify_rung(rung, expected, source, stream, step)
        exact = rung.height * width / height
        check(abs(rung.width - exact) <= 2 or abs(rung.height - rung.width * height / width) <= 2,
              f"{rung.name}: the shape of the source", f"{rung.width}x{rung.height} of {width}x{height}")
    starts = [[sum(r.durations[:i]) for i in range(len(r.durations))] for r in ladder.rungs]
    check(all(s == starts[0] for s in starts), "segments of all rungs begin together")
    sound = max((t.peak() for t in ladder.sounds), default=0)
    said = {r.name: int(r.tag["BANDWIDTH"]) for r in ladder.rungs}
    meant = {r.name: r.peak() + sound for r in ladder.rungs}
    check(all(abs(said[n] - meant[n]) <= meant[n] / 1000 + 2 for n in said), "BANDWIDTH is the measured peak",
          (said, {n: float(m) for n, m in meant.items()}))
    audible = [s for s in info["streams"] if s["codec_type"] == "audio"]
    check(len(ladder.sounds) == len(audible), "every sound track", (len(ladder.sounds), len(audible)))
    for number, track in enumerate(ladder.sounds):
        _, errors = frames(track.path, "a:0")
        check(not errors, f"{track.name}: decodes without a complaint", errors[-400:])
        found = offsets(pcm(source, f"a:{number}", first), pcm(track.path, "a:0", 0))
        check(all(abs(o) <= OFFSET_MAX for o in found), f"{track.name}: with the pictures "
              f"({', '.join(f'{float(o) * 1000:.1f} ms' for o in found) or 'none to be heard'})")

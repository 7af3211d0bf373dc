#!/usr/bin/python3
"""Real, odd and hostile files: sound comes out, or a cause that a person understands, and no worker suffers."""

import concurrent.futures
import contextlib
import functools
import json
import os
import pathlib
import re
import subprocess
import tempfile
import urllib.parse

from lib import ROOT, RUN, User, check, clip, looped, main, media_like, note, pids, servers, skip, wait, value

SHARED = next((p for p in (pathlib.Path(os.environ.get("MEDIA_TEST_MEDIA", "/nonexistent")),
                           pathlib.Path("/work/shared/media"), ROOT.parent / "shared" / "media") if p.is_dir()), None)
SECONDS = 60      # for one file, on a busy machine
TOLERANCE = 0.25  # s
# what the transcoder may read, by its own list; ffmpeg as the judge must not follow playlists either
DEMUXERS = ("mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,flac,mp3,aac,wav,amr,ac3,eac3")
# a cause of ours: a sentence, and nothing of a program's insides
SENTENCE = re.compile(r"[A-Z][^\n]{15,300}[.?!]")
INSIDES = re.compile(r"(?i)errno|averror|error number|0x[0-9a-f]{4}|-\d{4,}|libav|segfault|signal \d|\bnull\b|/usr|/tmp")
CAUSES = {"no_audio", "unreadable_media", "truncated_media", "unsupported_codec", "unsupported_format",
          "encrypted_media", "limits"}


def run(*command, **kw):
    return subprocess.run(command, capture_output=True, **kw)


def ffprobe(path, entries="stream=index,codec_type,codec_name,sample_rate,channels,bit_rate,duration"
                          ":stream_disposition=attached_pic:stream_tags:format=duration,bit_rate,format_name"
                          ":format_tags"):
    done = run("ffprobe", "-v", "error", "-of", "json", "-format_whitelist", DEMUXERS, "-show_entries", entries, path)
    try:
        return json.loads(done.stdout.decode(errors="replace"))
    except ValueError:  # of a hostile file
        return {}


def streams(probe, kind):
    return [s for s in probe.get("streams", []) if s["codec_type"] == kind]


def decoded_seconds(path):
    """How long the first sound track is when ffmpeg plays it."""
    done = run("ffmpeg", "-v", "quiet", "-nostdin", "-format_whitelist", DEMUXERS, "-i", path, "-map", "0:a:0",
               "-ac", "1", "-ar", "8000", "-f", "s16le", "-")
    return len(done.stdout) / 16000


@contextlib.contextmanager
def file_of(data):
    with tempfile.NamedTemporaryFile(dir=RUN / "tmp") as file:
        file.write(data)
        file.flush()
        yield file.name


class Result:
    """What became of an upload."""

    def __init__(self, user, path, params=None):
        self.path = path
        query = "?params=" + urllib.parse.quote(json.dumps(params)) if params else ""
        self.answer = user.put(path, name=path.name, query=query)
        self.media = user.settled(self.answer.json["id"], SECONDS) if self.answer.status == 201 else None
        self.state = self.media["state"] if self.media else None
        self.error = self.media["error"] if self.media else None
        self.output = None
        if self.state == "ready":
            self.output = user.request("GET", f"/download?fid={self.media['id']}").body
            with file_of(self.output) as path:
                self.found = ffprobe(path)
                self.seconds = decoded_seconds(path)
            self.source_seconds = decoded_seconds(self.path)
        # here, so that one file is judged while the next is converted
        self.source = ffprobe(self.path) if self.media else {}

    def __repr__(self):
        return f"{self.path.name}: {self.answer.status if self.media is None else self.state} {self.error or ''}"

    def is_explained(self):
        """Refused at the door as no media, or failed at the first attempt with a cause for people."""
        if self.media is None:
            return self.answer.status == 415 and self.answer.json["code"] == "type_not_allowed"
        return (self.state == "failed" and self.error["code"] in CAUSES and SENTENCE.fullmatch(self.error["detail"])
                and not INSIDES.search(self.error["detail"]) and self.media["jobs"][0]["attempt"] == 1)


def uploaded(paths, params=None):
    """All of them, eight at a time, with an account each: fairness must not make a file wait for its neighbours."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        users = [User() for _ in range(8)]
        return list(pool.map(lambda n: Result(users[n % 8], paths[n], params), range(len(paths))))


def transcoders():
    return {name: pids(name)[0] for name in servers() if name.startswith("transcoder-")}


def unharmed(test):
    """The worker processes are the same afterwards, and the queue goes on."""
    @functools.wraps(test)
    def wrapped():
        before = transcoders()
        test()
        check(before and transcoders() == before, f"{test.__name__}: the same worker processes", transcoders())
        good = Result(User(), looped(1))
        check(good.state == "ready", f"{test.__name__}: the queue goes on", good)
        wait("no job is left running", lambda: value(
            "SELECT count(*) FROM media.jobs WHERE state = 'running'") == 0, 30)
    return wrapped


def check_sound(result):
    """A sane mp3, as long as the sound track."""
    name = result.path.name
    sound = streams(result.found, "audio")
    if not check(len(sound) == 1 and sound[0]["codec_name"] == "mp3", f"{name}: one mp3 stream", result.found):
        return
    said = streams(result.source, "audio")[0].get("duration")
    lengths = [result.source_seconds] + ([float(said)] if said else [])
    seconds = float(result.found["format"]["duration"])
    check(any(abs(seconds - length) < TOLERANCE for length in lengths), f"{name}: as long as its sound",
          f"mp3 {seconds}, declared {said}, played {lengths[0]}")
    tags = json.dumps(result.found["format"].get("tags", {})).lower()
    check("location" not in tags and "gps" not in tags, f"{name}: no place in the tags", tags)


# ---- what others have made ----

def shared_files(*folders):
    return [p for folder in folders for p in sorted((SHARED / folder).iterdir())]


@unharmed
def test_real_files():
    """every real clip becomes an mp3 of its length, or says that it has no sound"""
    if SHARED is None:
        return skip("real files", "no shared media here (MEDIA_TEST_MEDIA)")
    for result in uploaded(shared_files("video", "audio")):
        name = result.path.name
        # where ffmpeg's own guess is wild, the file is no media of its name
        is_wild = "garbage" in name
        if result.state == "ready":
            check_sound(result)
        elif is_wild:
            check(result.is_explained(), f"{name}: explained", result)
        else:
            check(not streams(result.source, "audio"), f"{name}: ffmpeg finds no sound either", result)
            check(result.is_explained() and result.error["code"] == "no_audio", f"{name}: no_audio", result)


@unharmed
def test_broken_files():
    """every broken file is refused or fails with a cause; what is ready is sound for ffmpeg, too"""
    if SHARED is None:
        return skip("broken files", "no shared media here (MEDIA_TEST_MEDIA)")
    results = uploaded(shared_files("broken"))
    for result in results:
        name = result.path.name
        if result.state == "ready":
            check(not re.search("ssrf|text|zero|page|zip|bomb|garbage|truncated|only", name), f"{name}: may be readable",
                  result)
            check_sound(result)
        else:
            check(result.is_explained(), f"{name}: explained", result)
    states = [r.state or "refused" for r in results]
    note(", ".join(f"{states.count(s)} {s}" for s in sorted(set(states))))


# ---- what this test makes ----

def made(name, *arguments):
    """A file that ffmpeg makes of the clip."""
    out = RUN / "tmp" / name
    if not out.exists():
        part = out.with_name("part-" + name)
        done = run("ffmpeg", "-v", "error", "-nostdin", "-y", "-i", clip(), *arguments, part, text=True)
        assert done.returncode == 0, done.stderr
        part.rename(out)
    return out


def cut(source, share=0.5):
    """The first part of a file."""
    out = source.with_name("cut-" + source.name)
    data = source.read_bytes()
    out.write_bytes(data[:int(len(data) * share)])
    return out


def written(name, data):
    out = RUN / "tmp" / name
    out.write_bytes(data)
    return out


@unharmed
def test_no_sound():
    """a video without sound fails and says so"""
    files = [made("silent.mp4", "-an", "-c", "copy"), made("silent.mkv", "-an", "-c", "copy"),
             made("silent.webm", "-an", "-c:v", "libvpx", "-t", "0.5", "-s", "160x90", "-deadline", "realtime")]
    for result in uploaded(files):
        check(result.is_explained() and result.error["code"] == "no_audio", f"{result.path.name}: no_audio", result)


@unharmed
def test_garbage():
    """garbage behind valid magic fails and says so"""
    noise = os.urandom(200000)
    files = [written("noise.mp4", media_like(4096)[:32] + noise), written("head.mp4", media_like(200000)),
             written("noise.mkv", made("silent.mkv", "-an", "-c", "copy").read_bytes()[:64] + noise),
             written("noise.ogg", b"OggS\0\2" + noise), written("noise.wav", b"RIFF\x40\x0d\x03\0WAVE" + noise),
             written("noise.flac", b"fLaC\0\0\0\x22" + noise), written("noise.avi", b"RIFF\x40\x0d\x03\0AVI " + noise),
             written("noise.mp3", b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + noise),
             written("noise.ts", b"".join(b"\x47" + noise[i:i + 187] for i in range(0, 187 * 900, 187)))]
    for result in uploaded(files):
        check(result.is_explained(), f"{result.path.name}: explained", result)


@unharmed
def test_truncated():
    """a truncated file fails and says so"""
    sound = ("-vn", "-c:a")
    files = [cut(made("front.mp4", "-c", "copy", "-movflags", "+faststart")), cut(made("back.mp4", "-c", "copy")),
             cut(made("whole.mkv", "-c", "copy")), cut(made("whole.wav", *sound, "pcm_s16le")),
             cut(made("whole.flac", *sound, "flac")),
             cut(made("pieces.mp4", "-c", "copy", "-movflags", "+frag_keyframe+empty_moov", "-frag_duration", "500000"),
                 0.55),
             cut(made("start.mp4", "-c", "copy", "-movflags", "+faststart"), 0.002)]
    for result in uploaded(files):
        check(result.is_explained() and result.error["code"] == "truncated_media", f"{result.path.name}: truncated_media",
              result)


# ---- formats ----

FORMATS = {  # params: what ffprobe must find (codec, sample rate, channels, kb/s or None)
    '{"format": "mp3"}': ("mp3", 48000, 2, 192),
    '{"format": "mp3", "bitrate": 96, "channels": 1, "sample_rate": 22050}': ("mp3", 22050, 1, 96),
    '{"format": "mp3", "quality": 9}': ("mp3", 48000, 2, None),
    '{"format": "aac", "bitrate": 128}': ("aac", 48000, 2, 128),
    '{"format": "opus", "bitrate": 64}': ("opus", 48000, 2, 64),
    '{"format": "flac", "sample_rate": 44100}': ("flac", 44100, 2, None),
    '{"format": "wav", "channels": 1, "sample_rate": 16000}': ("pcm_s16le", 16000, 1, 256),
    '{"format": "vorbis", "quality": 3}': ("vorbis", 48000, 2, None),
    '{"format": "vorbis", "channels": 1, "bitrate": 80}': ("vorbis", 48000, 1, 80),
}
PICTURES = ("mp3", "aac", "opus", "flac", "vorbis")  # formats that can carry a cover
MAGIC = {"mp3": (b"ID3",), "aac": (b"\0\0\0",), "opus": (b"OggS",), "vorbis": (b"OggS",), "flac": (b"fLaC",),
         "wav": (b"RIFF",)}


def tagged():
    """Sound with tags, a cover and the place where it was recorded."""
    cover = made("cover.jpg", "-frames:v", "1", "-s", "320x180")
    return made("tagged.m4a", "-i", cover, "-map", "0:a", "-map", "1:v", "-c:a", "aac", "-b:a", "192k", "-ac", "2",
                "-ar", "48000", "-c:v", "copy", "-disposition:v:0", "attached_pic", "-metadata", "title=Bär & Hase ♫",
                "-metadata", "artist=Blender", "-metadata", "location=+48.1+011.5/", "-metadata", "comment=5 s")


def tags_of(probe):
    """The tags of the file, or of its stream as Ogg keeps them."""
    both = {**probe["format"].get("tags", {}), **streams(probe, "audio")[0].get("tags", {})}
    return {key.lower(): text for key, text in both.items()}


def check_format(result, params, wanted):
    codec, rate, channels, kbps = wanted
    kind = params["format"]
    if not check(result.state == "ready", f"{params}: ready", result):
        return
    check(result.output.startswith(MAGIC[kind]), f"{params}: the bytes of {kind}", result.output[:16])
    found, seconds = result.found, result.seconds
    sound = streams(found, "audio")
    check(len(sound) == 1 and sound[0]["codec_name"] == codec, f"{params}: {codec}", found)
    check(int(sound[0]["sample_rate"]) == rate and sound[0]["channels"] == channels, f"{params}: {rate} Hz, {channels} ch",
          sound[0])
    check(abs(seconds - result.source_seconds) < TOLERANCE, f"{params}: all of it", f"{seconds} of {result.source_seconds}")
    keeps = kind in PICTURES and params.get("cover") != "drop"
    if kbps:
        cover = (RUN / "tmp" / "cover.jpg").stat().st_size if keeps else 0
        found_kbps = 8 * (len(result.output) - cover) / seconds / 1000
        check(0.75 * kbps < found_kbps < 1.3 * kbps, f"{params}: {kbps} kb/s", found_kbps)
    tags = tags_of(found)
    check(tags.get("title") == "Bär & Hase ♫" and tags.get("artist") == "Blender", f"{params}: tags are kept", tags)
    check("location" not in json.dumps(tags).lower() and "+48.1" not in json.dumps(tags), f"{params}: the place is not",
          tags)
    pictures = [s["disposition"]["attached_pic"] for s in streams(found, "video")]
    check(pictures == [1] * keeps, f"{params}: cover {'kept' if keeps else 'dropped'}", found)


@unharmed
def test_formats():
    """each format as asked for, with tags and cover"""
    source = tagged()
    check(streams(ffprobe(source), "video")[0]["disposition"]["attached_pic"], "(the source has a cover)")
    asked = [(json.loads(params), wanted) for params, wanted in FORMATS.items()]
    asked += [({"format": kind, "cover": "drop"}, wanted) for kind, wanted in (
        ("mp3", ("mp3", 48000, 2, 192)), ("aac", ("aac", 48000, 2, 192)), ("flac", ("flac", 48000, 2, None)),
        ("opus", ("opus", 48000, 2, 128)))]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda a: Result(User(), source, a[0]), asked))
    for result, (params, wanted) in zip(results, asked):
        check_format(result, params, wanted)


def test_params():
    """params that make no sense are refused before the body, by name"""
    user = User()
    for params, word in (({"format": "exe"}, "format"), ({"bitrate": "much"}, "bitrate"), ({"bitrate": 4000}, "bitrate"),
                         ({"channels": 0}, "channels"), ({"sample_rate": 1.5}, "sample_rate"), ({"filter": "x"}, "filter"),
                         ([], "params"), ("x", "params")):
        answer = user.put(b"", query="?params=" + urllib.parse.quote(json.dumps(params)))
        check(answer.status == 422 and answer.json["code"] == "params_invalid" and word in answer.json["detail"],
              f"{params}: 422, names {word}", answer)
    for params in ({"format": "opus", "quality": 3}, {"format": "mp3", "bitrate": 512}):
        result = Result(user, looped(1), params)
        check(result.state == "failed" and result.error["code"] == "params_invalid"
              and SENTENCE.fullmatch(result.error["detail"]), f"{params}: params_invalid", result)


main(test_real_files, test_broken_files, test_no_sound, test_garbage, test_truncated, test_formats, test_params)

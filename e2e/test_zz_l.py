#!/usr/bin/python3
"""Sources of every kind: each becomes a ladder that shows its pictures at their times, with its sound and subtitles,
or is refused by a sentence. The clips are made here; LADDER_CLIPS names others (files, or a directory of them)."""

import os
import pathlib
import re
import subprocess
import tempfile

import rungs
from lib import User, check, clip, main, note, nothing_left, pipeline_query, value

PARAMS = {"preset": "veryfast", "segment_s": 1, "range_segments": 2}
PICTURE = "testsrc2=size={}:rate={}:duration={}"
# no sound looks like itself a moment later
SOUND = "anoisesrc=seed={}:sample_rate=48000:amplitude=0.5:duration={},volume='0.1+0.9*abs(sin(7*t*t))':eval=frame"
H264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-pix_fmt", "yuv420p"]


def make(path, inputs, *options):
    """A file of lavfi sources (or files) and options."""
    command = ["ffmpeg", "-v", "error", "-y"]
    for source in inputs:
        command += ["-i", source] if isinstance(source, pathlib.Path) else ["-f", "lavfi", "-i", source]
    subprocess.run([*command, *options, path], check=True)
    return path


def picture(size="320x180", rate=25, seconds=3):
    return PICTURE.format(size, rate, seconds)


def sound(seed=1, seconds=3):
    return SOUND.format(seed, seconds)


def turned(path):
    """a phone held upright: a quarter turn, with sound"""
    flat = make(path / "flat.mp4", [picture(), sound()], *H264)
    return make(path / "turned.mp4", [flat], "-c", "copy", "-metadata:s:v", "rotate=90")


def odd(path):
    """odd sides, 4:4:4, pixels that are not square, no sound"""
    return make(path / "odd.mkv", [picture("321x241")], "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv444p",
                "-vf", "setsar=4/5")


def uneven(path):
    """a rate that varies: every picture of a second, then every third, then every seventh"""
    return make(path / "uneven.mp4", [picture(), sound()], *H264, "-vf",
                "select='if(lt(t,1),1,if(lt(t,2),not(mod(n,3)),not(mod(n,7))))'", "-fps_mode", "vfr")


def fast(path):
    """100 pictures per second: every second one is kept"""
    return make(path / "fast.mp4", [picture(rate=100, seconds=2), sound(seconds=2)], *H264)


def broadcast(path):
    """a transport stream of open GOPs that begins at 7 s, its sound later than the pictures"""
    return make(path / "broadcast.ts", [picture(), sound()], *H264, "-x264-params", "open-gop=1:bframes=3:keyint=20",
                "-af", "asetpts=PTS+0.4/TB", "-c:a", "mp2", "-output_ts_offset", "7")


def disc(path):
    """a program stream of interlaced MPEG-2"""
    return make(path / "disc.mpg", [picture("352x288"), sound()], "-c:v", "mpeg2video", "-flags", "+ildct+ilme",
                "-bf", "2",
                "-b:v", "2M", "-c:a", "mp2", "-f", "vob")


def trimmed(path):
    """an edit list: the film begins between two key frames"""
    whole = make(path / "whole.mp4", [picture(seconds=4), sound(seconds=4)], *H264, "-bf", "2")
    return make(path / "trimmed.mp4", [], "-ss", "1.3", "-i", whole, "-c", "copy")


def early_sound(path):
    """sound that begins before the pictures"""
    return make(path / "early.mkv", [picture(seconds=2), sound()], *H264, "-vf", "setpts=PTS+0.5/TB", "-c:a", "flac")


def languages(path):
    """two languages of sound, two of subtitles"""
    for name, text in (("de", "Guten Tag"), ("en", "Good day")):
        (path / f"{name}.srt").write_text(f"1\n00:00:00,500 --> 00:00:01,250\n{text}\n\n"
                                          "2\n00:00:02,000 --> 00:00:02,500\n2\n")
    return make(path / "languages.mkv", [picture(), sound(1), sound(2), path / "de.srt", path / "en.srt"], *H264,
                *(word for n in range(5) for word in ("-map", str(n))), "-c:a", "aac", "-c:s", "srt",
                *(word for kind in "as" for n, code in enumerate(("deu", "eng"))
                  for word in (f"-metadata:s:{kind}:{n}", f"language={code}")))


KINDS = [turned, odd, uneven, fast, broadcast, disc, trimmed, early_sound, languages]


def upload(user, path, **params):
    return user.upload(path, name=path.name, query=pipeline_query("video", **{**PARAMS, **params}))


def verify(user, media_id, path, what):
    note(f"{path.name}: {what}")
    media = user.settled(media_id, 300)
    if not check(media["state"] == "ready", f"{path.name}: ready", media["error"]):
        return None
    ladder = rungs.Ladder(user, media_id)
    note(" ".join(f"{r.name} {r.width}x{r.height}" for r in ladder.rungs))
    rungs.verify(ladder, path)
    return ladder


def test_kinds():
    """a ladder of each kind of source"""
    user = User()
    with tempfile.TemporaryDirectory() as directory:
        made = [(kind(pathlib.Path(directory)), kind) for kind in KINDS]
        running = [(upload(user, path), path, kind) for path, kind in made]
        for media_id, path, kind in running:
            ladder = verify(user, media_id, path, kind.__doc__)
            if kind is languages and ladder:
                check_languages(ladder)
            if kind is fast and ladder:
                check(len(rungs.frames(ladder.rungs[0].path)[0]) == 100, "half of 200 pictures")
    nothing_left()


def check_languages(ladder):
    groups = [rungs.attributes(m) for m in rungs.tags(ladder.master, "#EXT-X-MEDIA")]
    said = sorted((g["TYPE"], g.get("LANGUAGE")) for g in groups)
    check(said == [(kind, code) for kind in ("AUDIO", "SUBTITLES") for code in ("de", "en")], "their languages", said)
    for track, text in zip(ladder.texts, ("Guten Tag", "Good day")):
        vtt = track.path.read_text()
        check(re.search(rf"00:00.500 --> (00:)?00:01.250.*\n{text}\n", vtt), f"{track.name}: cues at their times", vtt)


def test_files_of_others():
    """whatever LADDER_CLIPS names: ready and right, or refused by a sentence"""
    named = [pathlib.Path(p) for p in os.environ.get("LADDER_CLIPS", "").split()]
    for path in [f for p in named for f in (sorted(p.iterdir()) if p.is_dir() else [p])]:
        user = User()
        media_id = upload(user, path, segment_s=4)
        media = user.settled(media_id, 300)
        if media["state"] == "failed":
            note(f"{path.name}: {media['error']['detail']}")
            check(media["error"]["detail"][-1] in ".?", f"{path.name}: refused by a sentence")
        else:
            user.login()
            verify(user, media_id, path, "")


def test_what_is_no_film():
    """sound alone, half a file, a playlist in disguise: refused by a sentence, nothing is left"""
    user = User()
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory)
        make(path / "song.mp4", [sound()], "-c:a", "aac")
        (path / "half.mp4").write_bytes(clip().read_bytes()[:200000])
        for name, code in (("song.mp4", "no_video"), ("half.mp4", None)):
            media_id = upload(user, path / name)
            media = user.settled(media_id)
            error = media["error"] or {}
            note(f"{name}: {error}")
            check(media["state"] == "failed" and error["detail"][-1] in ".?" and code in (None, error["code"]),
                  f"{name}: refused by a sentence", media)
            kept = value("SELECT count(*) FROM media.segments WHERE media_id = %s", media_id)
            check(kept == 0, f"{name}: no segment of it", kept)
    nothing_left()


main(test_files_of_others)

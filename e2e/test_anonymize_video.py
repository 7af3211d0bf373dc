#!/usr/bin/python3
"""Films: faces are covered in every picture, no picture is lost or moved in time, the sound is there, and a ladder is
made of the masked copy. Where the faces are is known: the films are windows that move over labelled photos."""

import collections

import masking
import pictures
import rungs
from lib import RUN, User, check, clip, main, skip

PHOTO = "face_az_group6.jpg"
WIDTH, HEIGHT, COUNT, STEP = 400, 460, 75, 2
AROUND = 16
COVERED = 0.95
LUMA_DB = 45
# regions alone are masked
QUICK = {"preset": "ultrafast", "threshold": {"face": 1}, "every": 30}


def film():
    """(file, [faces that are whole in each picture])"""
    out = RUN / "tmp" / "scrolling.mp4"
    if not out.exists():
        pictures.scrolling(pictures.PHOTOS / PHOTO, WIDTH, HEIGHT, COUNT, STEP, out)
    truth = pictures.truth()[PHOTO]
    return out, [pictures.whole([f._replace(x=f.x - STEP * n) for f in truth], WIDTH, HEIGHT) for n in range(COUNT)]


def saved(data, name):
    path = RUN / "tmp" / name
    path.write_bytes(data)
    return path


def at(track, time):
    """The box of a track at a time, between those that are told; None when it is not there."""
    boxes = track["boxes"]
    if not track["from"] - 1e-3 <= time <= track["to"] + 1e-3:
        return None
    before = max((b for b in boxes if b[0] <= time + 1e-3), key=lambda b: b[0], default=boxes[0])
    after = min((b for b in boxes if b[0] >= time - 1e-3), key=lambda b: b[0], default=boxes[-1])
    part = (time - before[0]) / (after[0] - before[0]) if after[0] > before[0] else 0
    return [x + part * (y - x) for x, y in zip(before[1:5], after[1:5])]


def shares_of_report(report, times, shown):
    """What is masked of each box that the report tells, picture by picture."""
    found = []
    for time, rgb in zip(times, shown):
        height, width = rgb.shape[:2]
        where = pictures.masked(rgb)
        for track in report["tracks"]:
            box = at(track, float(time))
            if box and box[2] > 0 and box[3] > 0:
                found.append((pictures.covered(where, [(box[0] * width, box[1] * height, box[2] * width,
                                                        box[3] * height)])[0], float(time), track["id"]))
    return found


def check_times(name, source, made):
    """Every picture at its time, and the sound as long as it was."""
    before, after = rungs.frames(source)[0], rungs.frames(made)[0]
    same = [f.pts - before[0].pts for f in before] == [f.pts - after[0].pts for f in after]
    check(same, f"{name}: {len(before)} pictures at their times",
          (len(after), [(str(a.pts), str(b.pts)) for a, b in zip(before, after)][:4]))
    kinds = [collections.Counter(s["codec_type"] for s in rungs.probe(path)["streams"]) for path in (source, made)]
    check(kinds[1]["video"] == 1 and bool(kinds[0]["audio"]) == bool(kinds[1]["audio"]) and set(kinds[1]) <=
          {"video", "audio"}, f"{name}: one track of pictures, the sound, nothing else", kinds)
    if kinds[1]["audio"]:
        offsets = rungs.offsets(rungs.pcm(source, "a:0", before[0].pts), rungs.pcm(made, "a:0", after[0].pts))
        check(all(abs(o) <= rungs.OFFSET_MAX for o in offsets), f"{name}: the sound with the pictures", offsets)
    return [f.pts for f in after]


def test_moving_faces():
    """labelled faces move through the picture, in and out of it"""
    if not pictures.PHOTOS.is_dir() or masking.DETECTOR == "haar":
        skip("moving faces", f"there is no {pictures.PHOTOS}, or no network")
        return
    source, truth = film()
    media, data, report = masking.anonymized(User("moving"), source)
    check(sorted(o["name"] for o in media["outputs"]) == ["masked.mp4", "report.json"], "a film and a report",
          media["outputs"])
    made = saved(data, "moving.masked.mp4")
    times = check_times("moving faces", source, made)
    shown = list(pictures.frames(made))
    masks = [pictures.masked(rgb) for rgb in shown]
    bare = [(n, share) for n, (where, faces) in enumerate(zip(masks, truth))
            for share in pictures.covered(where, faces) if share < COVERED]
    check(not bare and len(shown) == COUNT, f"each of {sum(map(len, truth))} faces is covered", bare[:10])
    flicker = [n for n in range(1, len(masks) - 1)
               if (masks[n - 1] & masks[n + 1] & ~masks[n]).sum() > 0.01 * masks[n].size]
    check(not flicker, "no mask flickers", flicker)
    worst = min(pictures.psnr(pictures.luma(a), pictures.luma(b), ~pictures.grown(where, AROUND))
                for a, b, where in zip(pictures.frames(source), shown, masks))
    check(worst >= LUMA_DB - 3, f"outside of the masks as it was (worst picture {worst:.1f} dB)", worst)
    check(report["kind"] == "video" and (report["width"], report["height"]) == (WIDTH, HEIGHT)
          and abs(report["duration"] - COUNT / 25) < 0.1, "the report knows the film",
          {k: report[k] for k in ("kind", "width", "height", "duration")})
    low = [s for s in shares_of_report(report, times, shown) if s[0] < COVERED]
    check(not low, "what the report tells is covered in each picture", low[:10])


def test_turned():
    """a phone's film that players turn: the masked copy is upright, every face of the report covered"""
    source = pictures.SHARED / "video" / "selfie_rot90.mov"
    if not source.is_file():
        skip("a turned film", f"there is no {source}")
        return
    media, data, report = masking.anonymized(User("turned"), source)
    made = saved(data, "turned.masked.mp4")
    times = check_times("turned", source, made)
    shown = list(pictures.frames(made))
    check(shown[0].shape == next(pictures.frames(source)).shape == (report["height"], report["width"], 3),
          "upright", shown[0].shape)
    faces = [track for track in report["tracks"] if track["class"] == "face"]
    check(bool(faces), "a face was found", report["tracks"])
    shares = shares_of_report(report, times, shown)
    check(len(shares) >= 0.8 * len(shown) and min(shares)[0] >= COVERED, "covered in each picture", sorted(shares)[:5])


def test_region():
    """a region for a time, in a film without faces"""
    region = {"box": [0.25, 0.25, 0.5, 0.5], "from": 1, "to": 2, "mode": "mask"}
    user = User("span")
    _, data, _ = masking.anonymized(user, clip(), regions=[region], shape="box", **QUICK)
    made = saved(data, "span.masked.mp4")
    times = check_times("region", clip(), made)
    wrong = []
    for time, rgb in zip(times, pictures.frames(made)):
        height, width = rgb.shape[:2]
        share = pictures.covered(pictures.masked(rgb), [(0.25 * width, 0.25 * height, 0.5 * width, 0.5 * height)])[0]
        if 1 <= time < 2 and share < 0.98 or (time < 0.5 or time > 2.5) and share > 0.02:
            wrong.append((float(time), share))
    check(not wrong, "masked then, and not at other times", wrong[:10])


def test_ladder():
    """the same, and a ladder: it is made of the masked copy"""
    region = {"box": [0.25, 0.25, 0.5, 0.5], "mode": "mask"}
    user = User("ladder")
    media = masking.settled(user, masking.upload(user, clip(), pipeline="anonymize_video", shape="box",
                                                 regions=[region], rungs=[144], **QUICK))
    if not check(media["state"] == "ready", "ready", (media["error"], media["jobs"])):
        return
    count = len(rungs.frames(clip())[0])
    with rungs.Ladder(user, media["id"]) as ladder:
        for rung in ladder.rungs:
            shown = list(pictures.frames(rung.path))
            shares = [pictures.covered(pictures.masked(rgb), [(0.3 * rung.width, 0.3 * rung.height, 0.4 * rung.width,
                                                               0.4 * rung.height)])[0] for rgb in shown]
            check(len(shown) == count and min(shares) > 0.98, f"{rung.name}: {count} pictures, masked",
                  (len(shown), min(shares)))
        check(len(ladder.rungs) >= 1 and len(ladder.sounds) == 1, "rungs and sound",
              (len(ladder.rungs), len(ladder.sounds)))
    check(masking.output(user, media["id"], "original").status == 403, "no original")


main(test_moving_faces, test_turned, test_region, test_ladder)

#!/usr/bin/python3
"""Pictures go in, pictures in which nobody can be recognised come out: faces are covered, all else is as it was, the
report says so; what cannot be read whole fails and shows nothing; an owner changes what is masked."""

import json
import re

import masking
import pictures
from lib import User, check, clip, freeze, main, skip, thaw, unowned, wait

PHOTOS = ("face_az_group6.jpg", "face_az_couple.jpg", "face_az_cafe.jpg", "face_fr_two.jpg", "face_tb_woman_side.jpg",
          "face_in_woman_front.png", "face_fr_portrait_dark.jpg")
COVERED, EACH = 0.98, 0.90    # of the faces' pixels, in sum and of the worst face
AROUND = 16                   # pixels from a mask in which coding may have spread
LOSSY_DB = 36
FORMATS = (".jpg", ".png", ".webp", ".bmp", ".tif", ".gif", ".avif")
LOSSLESS = (".png", ".bmp", ".tif")
OPTIONS = {".webp": ["-quality", "95"], ".avif": ["-c:v", "libaom-av1", "-still-picture", "1", "-cpu-used", "8"]}
SENTENCE = r"[A-Z].{15,}[.?]"
JSON = {"Content-Type": "application/json"}
HAS_PHOTOS = pictures.PHOTOS.is_dir()


def check_outside(name, before, after, least=LOSSY_DB):
    outside = ~pictures.grown(pictures.masked(after), AROUND)
    db = pictures.psnr(before, after, outside)
    check(db >= least, f"{name}: outside of the masks as it was ({db:.1f} dB over {outside.mean():.0%})", db)


def check_report(name, report, media, rgb, faces):
    height, width = rgb.shape[:2]
    found, _ = pictures.matched(faces, pictures.report_hits(report))
    sizes = (report["kind"], report["width"], report["height"])
    check(sizes == ("image", width, height), f"{name}: the report knows the picture", sizes)
    check(found == len(faces), f"{name}: the report has each face", f"{found} of {len(faces)}: {report['tracks']}")
    count = sum(track["class"] == "face" for track in report["tracks"])
    check(report["counts"].get("face", 0) == count and report["params"]["mask"] == "solid" and report["detectors"]
          and any(w["code"] == "not_covered" for w in report["warnings"]) and report["tool"].startswith("ngx_media"),
          f"{name}: the report counts, and says by what and what not", report)
    check(media["name"].startswith("anonymized"), f"{name}: the name is not told", media["name"])


def test_photos():
    """labelled faces are covered, the rest is as it was, the original is not for its owner"""
    if not HAS_PHOTOS:
        skip("faces of photos", f"there is no {pictures.PHOTOS}")
        return
    user, shares, truth = User("photos"), [], pictures.truth()
    least = EACH if masking.DETECTOR == "yunet" else 0
    for file in PHOTOS:
        before = pictures.picture(pictures.PHOTOS / file)
        media, data, report = masking.anonymized(user, pictures.PHOTOS / file)
        names = sorted(o["name"] for o in media["outputs"])
        check(names == ["masked" + file[-4:], "report.json"], f"{file}: a masked copy and a report", names)
        after = pictures.picture(data)
        if not check(after.shape == before.shape, f"{file}: of the same size", after.shape):
            continue
        where = pictures.masked(after)
        mine = pictures.covered(where, truth[file])
        shares += [(s, f.w * f.h) for s, f in zip(mine, truth[file])]
        check(min(mine) >= least, f"{file}: each face is covered", mine)
        check_outside(file, before, after)
        if masking.DETECTOR == "yunet":
            check_report(file, report, media, before, truth[file])
        answer = masking.output(user, media["id"], "original")
        check(answer.status == 403 and answer.json["code"] == "insufficient_scope", f"{file}: no original", answer)
    total = sum(s * size for s, size in shares) / sum(size for _, size in shares)
    check(total >= (COVERED if least else 0.5), f"{total:.2%} of all faces' pixels are covered")


def test_formats():
    """every format of pictures once, masked and readable"""
    user = User("formats")
    if HAS_PHOTOS:
        source, faces = pictures.PHOTOS / "face_az_group6.jpg", pictures.truth()["face_az_group6.jpg"]
    else:
        source, faces = pictures.converted(clip(), ".first.png", "-frames:v", "1"), []
    region = {"box": [0.02, 0.7, 0.2, 0.25], "mode": "mask"}  # where no face is: something is masked in any case
    for suffix in FORMATS:
        path = pictures.converted(source, suffix, *OPTIONS.get(suffix, []))
        before = pictures.picture(path)
        media, data, _ = masking.anonymized(user, path, regions=[region], shape="box")
        name = masking.masked_name(media)
        after = pictures.picture(data)
        height, width = before.shape[:2]
        if not check(after.shape == before.shape, f"{suffix}: {name} of the same size", after.shape):
            continue
        where = pictures.masked(after)
        box = [region["box"][0] * width, region["box"][1] * height, region["box"][2] * width, region["box"][3] * height]
        shares = pictures.covered(where, [box, *(faces if masking.DETECTOR == "yunet" else [])])
        check(min(shares) >= EACH, f"{suffix}: what shall be masked is", shares)
        check_outside(suffix, before, after, 99 if name[len("masked"):] in LOSSLESS and suffix in LOSSLESS else 30)
        check(not unwanted(data), f"{suffix}: nothing told but the picture", unwanted(data))
    heic = pictures.PHOTOS / "none_ax_still.heic"
    if heic.is_file():
        media, data, _ = masking.anonymized(user, heic, regions=[region], shape="box")
        check(len(data) > 1000 and not unwanted(data), f"heic: {masking.masked_name(media)}", unwanted(data))


def unwanted(data):
    """Marks of metadata that no output of ours has."""
    return [mark for mark in (b"Exif\0", b"http://ns.adobe.com/xap", b"Photoshop", b"Lavc", b"GPS") if mark in data]


def test_metadata():
    """a photo with a place and a thumbnail of the face in its EXIF"""
    path = pictures.SHARED / "broken" / "exif_gps_facethumb.jpg"
    if not path.is_file():
        skip("metadata", f"there is no {path}")
        return
    before = path.read_bytes()
    check(bool(unwanted(before)), "the source tells a lot")
    _, data, _ = masking.anonymized(User("metadata"), path)
    check(not unwanted(data) and data.count(b"\xff\xd8\xff") == 1, "the masked copy tells nothing, and is one picture",
          unwanted(data))


def test_animation():
    """each picture of an animation is masked, and all are there"""
    path = pictures.PHOTOS / "face_in_two_animated.gif"
    if not HAS_PHOTOS:
        skip("an animation", f"there is no {path}")
        return
    user = User("animation")
    region = {"box": [0, 0, 0.1, 0.1], "mode": "mask"}
    before = list(pictures.frames(path))
    media, data, report = masking.anonymized(user, path, regions=[region], shape="box")
    after = list(pictures.frames(data))
    check(len(after) == len(before) > 1, f"{masking.masked_name(media)}: {len(before)} pictures", len(after))
    height, width = before[0].shape[:2]
    corner = [pictures.covered(pictures.masked(rgb), [(0, 0, width * 0.1, height * 0.1)])[0] for rgb in after]
    check(min(corner) > 0.98, "the region is masked in each", min(corner))
    faces = [track for track in report["tracks"] if track["class"] == "face"]
    check(bool(faces), "a face was found", report["counts"])
    worst = min(pictures.psnr(a, b, ~pictures.grown(pictures.masked(b), AROUND)) for a, b in zip(before, after))
    check(worst > 25, "outside of the masks each is as it was", f"{worst:.1f} dB")


def refusal(user, data, name):
    """What becomes of a file that is no picture: (code, sentence), None where it is masked."""
    answer = user.put(data, name=name, query=masking.pipeline_query("anonymize", detector=masking.DETECTOR))
    if answer.status != 201:
        return answer.json["code"], answer.json["detail"]
    media_id = answer.json["id"]
    media = masking.settled(user, media_id)
    if media["state"] == "ready":
        return None
    found = masking.nothing_served(user, media_id, "masked" + name[-4:])
    check(not found, f"{name}: nothing is served", found)
    return media["error"]["code"], media["error"]["detail"]


def test_no_pictures():
    """files that cannot be read whole: a sentence, and nothing is shown"""
    user = User("broken")
    said = refusal(user, b"this is no picture, but a text of some length " * 40, "text.jpg")
    check(said and said[0] == "type_not_allowed", "a text named .jpg", said)
    source = pictures.converted(clip(), ".half.png", "-frames:v", "1").read_bytes()
    for name, data in (("half.png", source[:len(source) // 2]), ("hole.png", source[:9000] + bytes(64) + source[9064:])):
        said = refusal(user, data, name)
        check(said and re.fullmatch(SENTENCE, said[1]), f"{name}: fails with a sentence", said)
    broken = pictures.SHARED / "broken"
    must = ("vi_truncated.jpg", "bomb_header_60000x60000.png", "bomb_sof_65500.jpg", "pl_broken.png",
            "pl_decompression_bomb.gif", "vi_17000x17000.avif")
    for path in sorted(broken.glob("*")) if broken.is_dir() else ():
        if path.suffix not in (".jpg", ".png", ".gif", ".tif", ".webp", ".avif", ".svg") or path.stat().st_size < 2:
            continue
        said = refusal(user, path.read_bytes(), path.name)
        check(said is None or re.fullmatch(SENTENCE, said[1]) or said[0] == "type_not_allowed",
              f"{path.name}: {said[0] if said else 'masked'}", said)
        if path.name in must:
            check(said is not None, f"{path.name}: is not taken for a picture")


# ---- what an owner changes ----

def patched(user, media_id, name, **edit):
    """The masked copy and the report after a change; the old ones are gone at once."""
    for worker in masking.workers():
        freeze(worker)
    answer = user.request("PATCH", f"/media/{media_id}/regions", json.dumps(edit), JSON)
    gone = [masking.output(user, media_id, n).status for n in (name, "report.json")]
    listed = user.media(media_id)["outputs"]
    for worker in masking.workers():
        thaw(worker)
    check(answer.status in (200, 202), f"{edit}", answer)
    check(gone == [404, 404] and not listed, "the old copy is gone at once", (gone, listed))
    media = masking.settled(user, media_id)
    assert media["state"] == "ready", media
    return pictures.picture(masking.masked_copy(user, media)), masking.report(user, media_id)


def differs(a, b):
    """Where two revisions are not the same, but for what coding makes of it."""
    return (abs(a.astype(int) - b.astype(int)) > 40).any(axis=2)


def test_regions():
    """a region added and removed: only it changes"""
    user = User("regions")
    if HAS_PHOTOS:
        source, name = pictures.PHOTOS / "face_az_group6.jpg", "masked.jpg"
    else:
        source, name = pictures.converted(clip(), ".regions.png", "-frames:v", "1"), "masked.png"
    media, data, _ = masking.anonymized(user, source, shape="box")
    first = pictures.picture(data)
    height, width = first.shape[:2]
    region = (0.3 * width, 0.8 * height, 0.25 * width, 0.15 * height)
    second, _ = patched(user, media["id"], name, add=[{"box": [0.3, 0.8, 0.25, 0.15]}])
    share = pictures.covered(pictures.masked(second), [region])[0]
    check(share > 0.98, "the region is masked", share)
    changed = differs(first, second)
    inside = pictures.part(changed, [region[0] - 9, region[1] - 9, region[2] + 18, region[3] + 18]).sum()
    check(inside and inside == changed.sum(), "nothing else has changed", f"{inside} of {changed.sum()} pixels")
    check(masking.masked_name(user.media(media["id"])) == name, "under the same name")
    listed = user.media(media["id"])["regions"]
    check([r["box"] for r in listed] == [[0.3, 0.8, 0.25, 0.15]], "the media tells its regions", listed)
    third, _ = patched(user, media["id"], name, remove=[r["id"] for r in listed])
    check(not differs(first, third).any(), "without it the first one is back", differs(first, third).sum())
    wait("nothing without owner", lambda: not unowned(media["id"]), 120, 0.5)
    check(True, "objects of old revisions go")


def test_keep():
    """a face that its owner keeps, and masks again"""
    if not HAS_PHOTOS:
        skip("a face is kept", f"there is no {pictures.PHOTOS}")
        return
    user, file = User("keep"), "face_fr_two.jpg"
    before = pictures.picture(pictures.PHOTOS / file)
    faces = pictures.truth()[file]
    media, data, report = masking.anonymized(user, pictures.PHOTOS / file, shape="box")
    first = pictures.picture(data)
    ids = [track["id"] for track in report["tracks"] if track["class"] == "face"]
    tracks = dict(zip(ids, pictures.report_hits(report)))
    face = max(faces, key=lambda f: max(pictures.iou(f, hit) for hit in tracks.values()))
    track = max(tracks, key=lambda t: pictures.iou(face, tracks[t]))
    inner = (face.x + face.w / 4, face.y + face.h / 4, face.w / 2, face.h / 2)
    second, _ = patched(user, media["id"], "masked.jpg", keep=[track])
    db = pictures.psnr(pictures.part(before, inner), pictures.part(second, inner))
    check(db > 30, "the face is to be seen", f"{db:.1f} dB")
    others = [f for f in faces if f is not face]
    check(min(pictures.covered(pictures.masked(second), others)) >= 0.9 or masking.DETECTOR == "haar",
          "the others are not")
    third, _ = patched(user, media["id"], "masked.jpg", mask=[track])
    check(not differs(first, third).any(), "masked again", differs(first, third).sum())


main(test_photos, test_formats, test_metadata, test_animation, test_no_pictures, test_regions, test_keep)

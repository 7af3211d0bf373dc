#!/usr/bin/python3
"""Who is under the mask of a photo? Of faces of real photos no attacker knows more than chance once they are masked
by default or with a mosaic; of blurred ones it knows most of them, so it would have noticed. More faces, and films of
still ones: bench/reidentify.py."""

import attackers
import pictures
from lib import User, check, main, note, pipeline_query, skip

FILES = ("face_az_group6.jpg", "face_az_couple.jpg", "face_az_cafe.jpg", "face_fr_two.jpg")
KNOWN = 0.5  # part of the blurred faces that has to be known


def masked_copy(user, file, faces, style):
    """The labelled faces are masked, whatever the detector finds."""
    rgb = pictures.picture(pictures.PHOTOS / file)
    height, width = rgb.shape[:2]
    regions = [{"box": [f.x / width, f.y / height, f.w / width, f.h / height], "mode": "mask"} for f in faces]
    media_id = user.upload(pictures.PHOTOS / file, name=file, query=pipeline_query(
        "anonymize", mask=style, shape="box", detector="haar", regions=regions))
    media = user.settled(media_id)
    assert media["state"] == "ready", media
    answer = user.request("GET", f"/media/{media_id}/masked.jpg")
    assert answer.status == 200, answer
    return rgb, pictures.picture(answer.body)


def attacked(user, style):
    """How many faces each attacker knows, and how many there are."""
    gallery, probes = [], []
    truth = pictures.truth()
    for file in FILES:
        before, after = masked_copy(user, file, truth[file], style)
        assert before.shape == after.shape, (file, before.shape, after.shape)
        gallery += [attackers.face(before, f) for f in truth[file]]
        probes += [attackers.face(after, f) for f in truth[file]]
    found = attackers.attack(gallery, probes)
    note(f"{style}: of {len(gallery)} faces known: "
         + ", ".join(f"{name} {hits:.1f}" for name, hits in found.items()))
    return found, len(gallery)


def test_masks():
    """solid and mosaic tell no more than chance"""
    user = User("reidentify")
    for style in ("solid", "mosaic"):
        found, count = attacked(user, style)
        check(max(found.values()) <= attackers.chance(count), f"{style}: nobody is known", found)


def test_blur():
    """blur tells most of them: the attackers work"""
    found, count = attacked(User("reidentify"), "blur")
    check(max(found.values()) >= KNOWN * count, "blur: most are known", found)


if pictures.PHOTOS.is_dir():
    main(test_masks, test_blur)
else:
    skip("re-identification", f"there is no {pictures.PHOTOS}")
    main()

#!/usr/bin/python3
"""Who is under the mask? Rank-1 re-identification of the faces of faces.tsv: each labelled face is masked through the
real pipeline, and attackers look for it among crops of the originals. Once in the photos as they are, once as a film in
which every face stands still in one and the same scene, so that nothing but the face tells them apart and noise can be
averaged away."""

import subprocess

import numpy

import attackers
import bench
import lib as e2e
import pictures

STYLES = ("solid", "mosaic", "blur")
# the same picture once more
COPIES = {"face_pl_navy.jpg", "face_pl_navy_exif6.jpg", "face_pl_navy_exif8.jpg", "face_tb_man_cmyk.jpg"}
FACES = bench.sized(None, 8)
STILL = bench.sized(100, 10)       # pictures of a face
SIDE = 192                         # of the film, pixels
BOX = (48, 36, 96, 120)            # the face in it
MARGIN = 6                         # of the region around it
NOISE = 2.0                        # of a camera, in steps of 255
SCENE = "none_az_house.jpg"
KNOWN = 0.5


def faces():
    """[(file, face)]: each one once."""
    found = [(file, face) for file, faces in pictures.truth().items() if file not in COPIES for face in faces]
    return found[:FACES]


def fractions(box, width, height):
    return [box[0] / width, box[1] / height, box[2] / width, box[3] / height]


def masked(user, path, **params):
    """The masked copy of an upload, as bytes."""
    media_id = user.upload(path, name=path.name, query=e2e.pipeline_query("anonymize", shape="box", **params))
    media = user.settled(media_id, 1800)
    assert media["state"] == "ready", media
    e2e.mail_of(media_id)
    name = next(o["name"] for o in media["outputs"] if o["name"].startswith("masked."))
    answer = user.request("GET", f"/media/{media_id}/{name}", timeout=600)
    assert answer.status == 200, answer
    subprocess.run(["mediactl", "media", "rm", media_id], check=True, stdout=subprocess.DEVNULL)
    return answer.body


# ---- photos ----

def photos(user, chosen, style):
    """The labelled faces are regions, so that what a detector misses does not count here."""
    probes = []
    for file in dict.fromkeys(file for file, _ in chosen):
        path = pictures.PHOTOS / file
        height, width = pictures.picture(path).shape[:2]
        mine = [face for name, face in chosen if name == file]
        regions = [{"box": fractions(face, width, height), "mode": "mask"} for face in mine]
        after = pictures.picture(masked(user, path, mask=style, regions=regions))
        assert after.shape[:2] == (height, width), (file, after.shape)
        probes += [attackers.face(after, face) for face in mine]
    return probes


# ---- films ----

def scaled(crop, width, height):
    return numpy.stack([pictures.resized(crop[..., c].astype(float), width, height) for c in range(3)], axis=-1)


def film(crops):
    """Each face stands still for STILL pictures, in front of the same house, filmed with noise."""
    out = bench.DATA / "still.mp4"
    rng = numpy.random.default_rng(6)
    x, y, w, h = BOX
    scene = scaled(pictures.picture(pictures.PHOTOS / SCENE), SIDE, SIDE)
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIDE}x{SIDE}", "-r", "25",
               "-i", "-", "-c:v", "libx264", "-preset", "veryfast", "-crf", "8", "-pix_fmt", "yuv420p", out]
    with subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE) as ffmpeg:
        for crop in crops:
            still = scene.copy()
            still[y:y + h, x:x + w] = scaled(crop, w, h)
            for _ in range(STILL):
                shot = still + rng.normal(0, NOISE, still.shape)
                ffmpeg.stdin.write(numpy.clip(shot, 0, 255).astype(numpy.uint8).tobytes())
        ffmpeg.stdin.close()
        if ffmpeg.wait():
            raise RuntimeError("ffmpeg could not make the film")
    return out


def averages(data, count):
    """The mean of each face's pictures, the attackers' view of it."""
    sums = [numpy.zeros((SIDE, SIDE, 3)) for _ in range(count)]
    seen = 0
    for rgb in pictures.frames(data):
        sums[min(seen // STILL, count - 1)] += rgb
        seen += 1
    assert seen == count * STILL, f"{seen} pictures of {count * STILL}"
    return [attackers.face(s / STILL, BOX) for s in sums]


def still_film(user, path, count, style):
    """The region is all that is masked: no face is found with such a threshold."""
    x, y, w, h = BOX
    region = fractions((x - MARGIN, y - MARGIN, w + 2 * MARGIN, h + 2 * MARGIN), SIDE, SIDE)
    data = masked(user, path, mask=style, threshold={"face": 1}, regions=[{"box": region, "mode": "mask"}])
    return averages(data, count)


# ---- both ----

def judge(what, style, found, count):
    """A goal for the best of the attackers."""
    best = max(found.values())
    if style == "blur":
        bench.at_least(f"{what}, {style}: part of the faces known by the best attacker", [best / count], KNOWN)
    else:
        bench.at_most(f"{what}, {style}: part of the faces known by the best attacker", [best / count],
                      attackers.chance(count) / count)


def main():
    if not pictures.PHOTOS.is_dir():
        print(f"Not measured: there is no {pictures.PHOTOS}.")
        return
    e2e.up("workers", WORKERS="2")
    user = e2e.User("bench")
    chosen = faces()
    crops = [pictures.part(pictures.picture(pictures.PHOTOS / file), face) for file, face in chosen]
    gallery = [attackers.face(c, (0, 0, c.shape[1], c.shape[0])) for c in crops]
    path = film(crops)
    ways = {"photos": lambda style: photos(user, chosen, style),
            f"mean of {STILL} pictures": lambda style: still_film(user, path, len(chosen), style)}
    results = {}
    for what, probes in ways.items():
        for style in STYLES:
            user.login()
            results[what, style] = attackers.attack(gallery, probes(style))
            bench.progress(f"{what}, {style}: {results[what, style]}")
    bench.table(["masked", *attackers.ATTACKERS],
                [[f"{what}, {style}", *(f"{100 * hits / len(chosen):.0f} %" for hits in found.values())]
                 for (what, style), found in results.items()])
    print(f"{len(chosen)} faces: {100 / len(chosen):.1f} % are known by chance.\n")
    for (what, style), found in results.items():
        judge(what, style, found, len(chosen))
    print()


if __name__ == "__main__":
    main()

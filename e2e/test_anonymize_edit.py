#!/usr/bin/python3
"""An owner changes what is masked in a film: only what changes is rendered, the rest is the same picture by picture; the
old copy is gone at once; an edit that fails is tried again; and once the original is gone a region can still be added."""

import json

import masking
import pictures
import rungs
from lib import RUN, User, check, clip, janitor_pass, looped, main, sql, value

# regions alone are masked
QUICK = {"preset": "ultrafast", "detector": "haar", "threshold": {"face": 1}, "every": 30, "shape": "box"}
LEFT, RIGHT = [0.1, 0.2, 0.2, 0.4], [0.6, 0.2, 0.2, 0.4]
COVERED, BARE = 0.97, 0.03


def patch(user, media_id, edit):
    return user.request("PATCH", f"/media/{media_id}/regions", json.dumps(edit), {"Content-Type": "application/json"})


def share(rgb, box):
    height, width = rgb.shape[:2]
    return pictures.covered(pictures.masked(rgb), [(box[0] * width, box[1] * height, box[2] * width, box[3] * height)])[0]


def shown(data, name):
    """[(time, picture)] of a masked copy, one of each five pictures"""
    path = RUN / "tmp" / name
    path.write_bytes(data)
    times = [float(f.pts) for f in rungs.frames(path)[0]]
    return [pair for n, pair in enumerate(zip(times, pictures.frames(path))) if n % 5 == 0]


def wrong(pairs, box, spans):
    """Where a box is bare in its spans, or masked outside of them and half a second around."""
    found = []
    for time, rgb in pairs:
        inside = any(a <= time < b for a, b in spans)
        outside = all(time < a - 0.5 or time > b + 0.5 for a, b in spans)
        s = share(rgb, box)
        if inside and s < COVERED or outside and s > BARE:
            found.append((time, round(float(s), 3)))
    return found[:8]


def rendered(media_id):
    """How many jobs rendered something in the media's last run"""
    return value("SELECT count(*) FROM media.jobs j JOIN media.media m ON m.id = j.media_id AND m.run = j.run "
                 "WHERE m.id = %s AND j.step = 'render'", media_id)


def ready(user, media_id):
    media = masking.settled(user, media_id)
    assert media["state"] == "ready", (media["error"], media["jobs"])
    return media, masking.masked_copy(user, media)


def test_film():
    """a region at the beginning of a film, taken away again, then added when the original is gone"""
    user = User("cutter")
    media, data, _ = masking.anonymized(user, looped(30), **QUICK)
    before, whole = shown(data, "edit.0.mp4"), rendered(media["id"])
    check(not wrong(before, LEFT, []), "nothing is masked", wrong(before, LEFT, []))

    answer = patch(user, media["id"], {"add": [{"box": LEFT, "from": 1, "to": 2}]})
    check(answer.status == 202 and answer.json["outputs"] == [], "a region is added", answer)
    check(not masking.nothing_served(user, media["id"]), "nothing is served", masking.nothing_served(user, media["id"]))
    media, data = ready(user, media["id"])
    after = shown(data, "edit.1.mp4")
    check(len(after) == len(before) and not wrong(after, LEFT, [(1, 2)]), "it is masked then", wrong(after, LEFT, [(1, 2)]))
    check(rendered(media["id"]) < whole, f"of {whole} ranges {rendered(media['id'])} rendered", media["jobs"])
    same = [bool((a == b).all()) for (time, a), (_, b) in zip(before, after) if time > 20]
    check(same and all(same), "the end of the film is the same, picture by picture", same.count(False))
    check(not sql("SELECT object_key FROM media.segments s WHERE media_id = %s AND NOT EXISTS (SELECT FROM media.objects o "
                  "WHERE o.object_key = s.object_key AND o.state = 'live')", media["id"]), "its pieces have their objects")
    janitor_pass()

    answer = patch(user, media["id"], {"remove": [1], "add": [{"box": RIGHT}]})
    check(answer.status == 202 and [r["id"] for r in answer.json["regions"]] == [2], "another instead", answer)
    media, data = ready(user, media["id"])
    after = shown(data, "edit.2.mp4")
    check(not wrong(after, LEFT, []) and not wrong(after, RIGHT, [(0, 99)]), "the first is gone, the other is there",
          (wrong(after, LEFT, []), wrong(after, RIGHT, [(0, 99)])))

    sql("UPDATE media.media SET original_due_at = now() WHERE id = %s", media["id"])
    janitor_pass()
    check(user.media(media["id"])["original_gone_at"] is not None, "the original is gone")
    check(patch(user, media["id"], {"remove": [2]}).status == 409, "nothing is unmasked any more")
    answer = patch(user, media["id"], {"add": [{"box": LEFT, "from": 3, "to": 4}]})
    check(answer.status == 202, "a region is added", answer)
    media, data = ready(user, media["id"])
    after = shown(data, "edit.3.mp4")
    check(len(after) == len(before) and not wrong(after, LEFT, [(3, 4)]) and not wrong(after, RIGHT, [(0, 99)]),
          "to the masked copy: both are there", (len(after), wrong(after, LEFT, [(3, 4)]), wrong(after, RIGHT, [(0, 99)])))


def test_stopped():
    """an edit that is stopped serves nothing; the next one starts where that did"""
    user = User("stopper")
    media, data, _ = masking.anonymized(user, clip(), **QUICK)
    check(patch(user, media["id"], {"add": [{"box": LEFT}]}).status == 202, "a region is added")
    user.request("POST", f"/media/{media['id']}/cancel")
    if masking.settled(user, media["id"])["state"] == "canceled":
        check(not masking.nothing_served(user, media["id"]), "stopped: nothing is served")
    check(patch(user, media["id"], {"add": [{"box": RIGHT}]}).status == 202, "another region is added")
    media, data = ready(user, media["id"])
    after = shown(data, "edit.4.mp4")
    check(not wrong(after, LEFT, [(0, 99)]) and not wrong(after, RIGHT, [(0, 99)]), "both are masked",
          (wrong(after, LEFT, [(0, 99)]), wrong(after, RIGHT, [(0, 99)])))


main(test_film, test_stopped)

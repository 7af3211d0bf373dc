"""A fresh cluster: one `apply`, everything ready, then what a first user does, over TLS through the NodePort."""

import hashlib
import json
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

from account import Account
from cluster import ROOT, Failed, wait

READY_SECONDS = 180
MEDIA = ROOT / "../shared/media"
CLIP = MEDIA / "video/talk_480x320_faststart.mp4"
PHOTO = MEDIA / "image/face_az_couple.jpg"


def run(cluster, report):
    started(cluster, report)
    with tempfile.TemporaryDirectory() as scratch:
        journey(cluster, report, scratch)


def started(cluster, report):
    """A cluster of two nodes with overlays/dev in it."""
    cluster.up(2)
    began = time.monotonic()
    cluster.apply("overlays/dev")
    try:
        cluster.ready(READY_SECONDS)
    except Failed:
        print(cluster.why())
        raise
    report.figure("fresh", "apply -k overlays/dev to every pod ready", f"{time.monotonic() - began:.0f} s",
                  f"{READY_SECONDS} s")


def journey(cluster, report, scratch):
    client = Account(cluster, cluster.ca_file(scratch))
    wrong = client.request("POST", "/login", json.dumps({"email": client.email, "password": "wrong"}),
                           {"Content-Type": "application/json"})
    report.check(wrong.status == 401, "a wrong password is 401", wrong)
    client.login()
    began = time.monotonic()
    audio = client.upload(CLIP.read_bytes(), CLIP.name)
    original = client.expect(200, "GET", f"/media/{audio}/original").body
    report.check(hashlib.sha256(original).digest() == hashlib.sha256(CLIP.read_bytes()).digest(), "the original comes back")
    client.settled(audio)
    mp3 = client.expect(200, "GET", f"/download?fid={audio}")
    report.check(mp3.body[:3] == b"ID3" or mp3.body[:1] == b"\xff", "an mp3 is downloaded", mp3)
    report.figure("fresh", "upload to mp3 ready", f"{time.monotonic() - began:.1f} s")
    plays(client, report, scratch)
    masked(client, report)
    mailed(cluster, report, client, audio)


def plays(client, report, scratch):
    """The ladder of a video, decoded by ffmpeg from its playlist as a player would."""
    film = client.upload(CLIP.read_bytes(), CLIP.name, "video", {"rungs": [240]})
    client.settled(film, 300)
    token = client.expect(201, "POST", f"/media/{film}/token").json["token"]
    url = f"https://{client.host}:{client.port}/play/{token}/hls/master.m3u8"
    done = subprocess.run(["ffmpeg", "-v", "error", "-tls_verify", "0", "-i", url, "-map", "0:v:0", "-f", "framecrc", "-"],
                          capture_output=True, text=True, timeout=120)
    frames = sum(1 for line in done.stdout.splitlines() if line and not line.startswith("#"))
    report.check(done.returncode == 0 and frames > 50, f"a ladder plays ({frames} pictures)", done.stderr[-500:])


def masked(client, report):
    photo = client.upload(PHOTO.read_bytes(), PHOTO.name, "anonymize")
    media = client.settled(photo)
    found = client.expect(200, "GET", f"/media/{photo}/report.json").json
    copy = client.expect(200, "GET", f"/media/{photo}/masked.jpg").body
    report.check(copy[:2] == b"\xff\xd8" and len(found.get("regions") or found.get("tracks") or []) >= 2,
                 "two faces of a photo are masked", json.dumps(found)[:500])
    refused = client.request("GET", f"/media/{photo}/original")
    report.check(refused.status == 403, "the original of it is refused", (refused, media["state"]))


def mailed(cluster, report, client, media):
    with cluster.forward("svc/mail", 8025) as port:
        def mails():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/mails", timeout=10) as answer:
                return [m for m in json.load(answer) if ["X-Media-Id", media] in m["headers"]]
        found = wait("a mail", mails, 60)
    report.check(len(found) == 1 and found[0]["to"] == [client.email], "there is one mail, to the owner", found)
    link = urllib.parse.urlsplit(next(word for word in found[0]["body"].split() if "/play/" in word))
    answer = client.request("GET", link.path)
    report.check(answer.status == 200 and len(answer.body) > 1000, "the mail's link is the mp3", answer.status)

#!/usr/bin/python3
"""A clip becomes a ladder that plays: HLS and DASH as players fetch them, through the gateway alone."""

import json
import os
import pathlib
import subprocess
import urllib.parse
import xml.etree.ElementTree

from lib import URL, User, check, clip, main, nothing_left, pipeline_query, request, segment_sums, value, wait
from rungs import Ladder, attributes, tags, uris, verify

MPD = "{urn:mpeg:dash:schema:mpd:2011}"


def film(user, path=None, **params):
    query = pipeline_query("video", **{"preset": "veryfast", **params})
    media_id = user.upload(path or clip(), name="film.mp4", query=query)
    media = user.settled(media_id, 300)
    check(media["state"] == "ready", "ready", media)
    return media_id, media


def fetch(user, path):
    answer = user.request("GET", path)
    assert answer.status == 200, (path, answer)
    return answer


def join(base, uri):
    return urllib.parse.urljoin(base, uri)


def pictures(path):
    out = subprocess.run(["ffprobe", "-v", "error", "-of", "json", "-count_packets", "-select_streams", "v:0",
                          "-show_entries", "stream=nb_read_packets,width,height", path], capture_output=True, check=True)
    return json.loads(out.stdout)["streams"][0]


def test_hls_leads_to_everything():
    """master -> playlists -> init and media segments"""
    user = User()
    media_id, media = film(user, segment_s=2, range_segments=1)
    source = pictures(clip())
    base = f"/media/{media_id}/hls/master.m3u8"
    master = fetch(user, base)
    check(master.headers["Content-Type"] == "application/vnd.apple.mpegurl", "a playlist's type", master.headers)
    text = master.body.decode()
    variants = [attributes(v) for v in tags(text, "#EXT-X-STREAM-INF")]
    members = {"CODECS", "RESOLUTION", "BANDWIDTH", "AVERAGE-BANDWIDTH", "FRAME-RATE"}
    check(variants and all(members <= set(v) for v in variants), "variants say what they are", text)
    heights = [int(v["RESOLUTION"].split("x")[1]) for v in variants]
    check(heights and max(heights) <= source["height"], "no rung above the source", heights)
    groups = [attributes(v)["URI"] for v in tags(text, "#EXT-X-MEDIA") if "URI" in attributes(v)]
    whole = 0
    for uri in uris(text) + groups:
        path = join(base, uri)
        playlist = fetch(user, path).body.decode()
        init = attributes(tags(playlist, "#EXT-X-MAP")[0])["URI"]
        parts = [fetch(user, join(path, part)) for part in [init] + uris(playlist)]
        check(all(p.headers["Content-Type"] == "video/mp4" for p in parts), f"{uri}: types of segments")
        file = pathlib.Path("/tmp") / f"film-{media_id}.mp4"
        file.write_bytes(b"".join(p.body for p in parts))
        done = subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", file, "-f", "null", "-"], capture_output=True)
        check(done.returncode == 0 and not done.stderr, f"{uri}: decodes", done.stderr.decode())
        if uri not in groups:
            got = pictures(file)
            check(got["nb_read_packets"] == source["nb_read_packets"], f"{uri}: as many pictures", (got, source))
            whole += 1
        file.unlink()
    check(whole == len(variants), "every variant was looked at")
    seconds = sum(float(v.split(",")[0]) for v in tags(playlist, "#EXTINF"))
    check(abs(seconds - float(media["probe"]["duration"])) < 0.3, "as long as the source", seconds)
    check({f["step"] for f in media["jobs"]} >= {"index", "encode_first", "sound", "package_first", "package"},
          "its jobs", media["jobs"])
    nothing_left()


def test_ffmpeg_plays_by_token():
    """one playback token opens master, playlists and every segment"""
    user = User()
    media_id, media = film(user)
    answer = user.request("POST", f"/media/{media_id}/token", "{}", {"Content-Type": "application/json"})
    token = answer.json.get("token") or urllib.parse.urlsplit(answer.json["url"]).path.split("/")[2]
    base = f"http://{URL.hostname}:{URL.port}/play/{token}/"
    source = pictures(clip())
    for name in ("hls/master.m3u8", "dash/manifest.mpd"):
        done = subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", base + name, "-map", "0:v:0",
                               "-fps_mode", "passthrough", "-f", "framemd5", "-"], capture_output=True)
        frames = [line for line in done.stdout.decode().splitlines() if line and not line.startswith("#")]
        check(done.returncode == 0 and len(frames) == int(source["nb_read_packets"]), f"ffmpeg plays {name}",
              (len(frames), source, done.stderr.decode()))
    check(request("GET", f"/media/{media_id}/hls/master.m3u8").status in (401, 404), "not without a token")
    check(User("other").request("GET", f"/media/{media_id}/hls/master.m3u8").status == 404, "nor for somebody else")
    mpd = xml.etree.ElementTree.fromstring(user.request("GET", f"/media/{media_id}/dash/manifest.mpd").body)
    check(len(mpd.findall(f".//{MPD}Representation")) >= 2, "renditions in the manifest")


def test_files_for_download():
    """the pipeline mp4 makes a file of each rung that starts with its index; the ladder goes on being served"""
    user = User()
    media_id, _ = film(user)
    master = fetch(user, f"/media/{media_id}/hls/master.m3u8").body
    answer = user.request("POST", f"/media/{media_id}/jobs", '{"pipeline": "mp4"}', {"Content-Type": "application/json"})
    check(answer.status in (200, 201, 202), "asked for", answer)
    media = user.settled(media_id, 60)
    files = [o for o in media["outputs"] if o["name"].endswith(".mp4")]
    check(media["state"] == "ready" and len(files) == master.count(b"#EXT-X-STREAM-INF"), "a file of each rung", media)
    source = pictures(clip())
    for output in files:
        path = pathlib.Path("/tmp") / f"film-{media_id}.mp4"
        path.write_bytes(fetch(user, output["href"]).body)
        got = pictures(path)
        check((got["nb_read_packets"], got["height"]) == (source["nb_read_packets"], output["height"]),
              f"{output['name']}: all pictures", got)
        done = subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", path, "-f", "null", "-"], capture_output=True)
        check(done.returncode == 0 and not done.stderr, f"{output['name']}: decodes", done.stderr.decode())
        head = path.read_bytes()
        check(0 < head.find(b"moov") < head.find(b"mdat"), f"{output['name']}: its index comes first")
        path.unlink()
    check(fetch(user, f"/media/{media_id}/hls/master.m3u8").body == master, "the ladder is as it was")
    playlist = f"/media/{media_id}/hls/360p.m3u8"
    check(fetch(user, join(playlist, uris(fetch(user, playlist).body.decode())[0])).body, "with its segments")
    answer = user.request("GET", f"/download?fid={media_id}")
    check((answer.status, answer.headers["Content-Type"]) == (200, "video/mp4"), "the main output is a file", answer.headers)
    nothing_left()


def test_a_file_needs_a_ladder():
    """mp4 without video fails with a cause"""
    user = User()
    media = user.settled(user.upload(clip(), query="?pipeline=mp4"), 60)
    check(media["state"] == "failed" and media["error"]["code"] == "no_ladder", "no ladder", media)


def digests(path):
    """Of every picture."""
    out = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-f",
                          "framemd5", "-"], capture_output=True, check=True).stdout.decode()
    rows = [line.replace(",", " ").split() for line in out.splitlines() if line and not line.startswith("#")]
    return [row[-1] for row in rows]


def test_a_source_that_fits_is_a_rung():
    """closed IDRs every 3 s, small enough: no encoder touches it, and it sets the boundaries of the other rungs"""
    user = User()
    source = pathlib.Path("/tmp") / f"fits-{os.getpid()}.mp4"
    try:
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=13", "-f", "lavfi",
                        "-i", "sine=f=440:d=13", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast",
                        "-crf", "30", "-maxrate", "500k", "-bufsize", "500k", "-g", "75", "-keyint_min", "75",
                        "-sc_threshold", "0", "-c:a", "aac", source], check=True)
        for remux in ("auto", "never"):
            media_id, _ = film(user, source, rungs=[144, 360], segment_s=4, range_segments=2,
                               remux=remux)
            with Ladder(user, media_id) as made:
                small, large = made.rungs
                check((digests(large.path) == digests(source)) == (remux == "auto"), f"{remux}: the source's own pictures")
                check(small.durations == large.durations, f"{remux}: one set of boundaries",
                      (small.durations, large.durations))
                check([float(d) for d in large.durations][:2] == [{"auto": 3.0, "never": 4.0}[remux]] * 2,
                      f"{remux}: how long", large.durations)
                verify(made, source)
    finally:
        source.unlink(missing_ok=True)
    nothing_left()


def test_two_runs_make_the_same_bytes():
    """segments of two uploads of one file, made by whichever worker came first, are equal"""
    user = User()
    sums = []
    for _ in range(2):
        media_id, _ = film(user, segment_s=1, range_segments=1)
        sums.append(segment_sums(media_id))
    check(sums[0] and sums[0] == sums[1], "the same segments", (len(sums[0]), len(sums[1])))


def test_a_file_without_video_fails_with_a_cause():
    """noise is refused by a sentence"""
    user = User()
    media_id = user.upload(clip().read_bytes()[:3000].ljust(20000, b"\x5a"), name="noise.mp4", query="?pipeline=video")
    media = user.settled(media_id, 120)
    check(media["state"] == "failed" and media["error"]["detail"], "failed with a cause", media)
    check(value("SELECT count(*) FROM media.segments WHERE media_id = %s", media_id) == 0, "and left no segment")
    wait("nothing of it runs", lambda: value("SELECT count(*) FROM media.jobs WHERE media_id = %s AND state = 'running'",
                                             media_id) == 0)


main(test_hls_leads_to_everything, test_ffmpeg_plays_by_token, test_files_for_download, test_a_file_needs_a_ladder,
     test_a_source_that_fits_is_a_rung, test_two_runs_make_the_same_bytes,
     test_a_file_without_video_fails_with_a_cause)

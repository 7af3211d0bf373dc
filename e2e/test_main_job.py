#!/usr/bin/python3
"""The original's own end-to-end test: three users in parallel, each logs in, uploads one of four videos,
waits for the mail and downloads; 21 conversions."""

import concurrent.futures
import json
import subprocess
import tempfile
import time

from lib import User, check, looped, link_of, mail_of, main, note, request, value

ROUNDS = 7
LENGTHS = (30, 60, 105, 210)


def probe(data):
    with tempfile.NamedTemporaryFile(suffix=".mp3") as file:
        file.write(data)
        file.flush()
        out = subprocess.run(["ffprobe", "-v", "error", "-of", "json", "-show_entries",
                              "format=duration:stream=codec_name,sample_rate,channels", file.name],
                             capture_output=True, check=True).stdout
    return json.loads(out)


def one_user(number):
    user = User(f"user{number}")
    results = []
    for turn in range(ROUNDS):
        seconds = LENGTHS[(number + turn) % len(LENGTHS)]
        media_id = user.upload(looped(seconds), name=f"{seconds}s.mp4")
        _, _, message = mail_of(media_id, 600)
        by_link = request("GET", link_of(message))
        by_fid = user.request("GET", f"/download?fid={media_id}")
        results.append((seconds, media_id, message, by_link, by_fid, time.monotonic()))
    return results


def test_three_users():
    """21 conversions for three users"""
    for seconds in LENGTHS:
        looped(seconds)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        done = [r for results in pool.map(one_user, range(3)) for r in results]
    check(len(done) == 3 * ROUNDS, "every upload brought its mail", len(done))
    for seconds, media_id, message, by_link, by_fid, _ in done:
        name = f"{seconds} s: "
        check(media_id in message.as_string(), name + "the mail holds the id")
        check(by_fid.status == 200 and by_fid.headers["Content-Disposition"].startswith("attachment"),
              name + "download by fid", by_fid)
        check(by_link.status == 200 and by_link.body == by_fid.body, name + "the mail's link brings the same bytes")
        found = probe(by_fid.body)
        stream = found["streams"][0]
        check(stream["codec_name"] == "mp3" and stream["channels"] == 2, name + "a stereo mp3", stream)
        # each splice of the loop overlaps by an audio frame, which every decoder plays in full (0.4 %)
        check(abs(float(found["format"]["duration"]) - seconds) < 0.25 + 0.0045 * seconds, name + "as long as the video",
              found["format"]["duration"])
    check(value("SELECT count(*) FROM media.jobs WHERE state = 'running'") == 0, "nothing is left running")
    note(f"first POST to last mail: {max(r[5] for r in done) - began:.1f} s for {len(done)} conversions")


main(test_three_users)

#!/usr/bin/python3
"""What the jobs of a video read from S3: every range little more than its own bytes, whatever the container."""

import json

from lib import RUN, User, check, film_of, main, note, pipeline_query, wait

SECONDS = 60
PARAMS = {"preset": "ultrafast", "first_height": 144, "range_segments": 5}
RANGES = 3  # of 20 s; a range by default is twice as long


def jobs(media_id):
    """The lines that workers have logged of jobs of a media."""
    lines = (line for log in (RUN / "log").glob("*coder-*.log") for line in log.read_text().splitlines())
    said = (json.loads(line) for line in lines if media_id in line)
    return [line for line in said if line.get("msg") == "job"]


def read_of(name, path):
    """How many times the file its ranges read it together, after an upload with all that follows."""
    user = User()
    media_id = user.upload(path, name=path.name, query=pipeline_query("video", **PARAMS))
    media = user.settled(media_id, 300)
    check(media["state"] == "ready", f"{name}: ready", media)
    wait("every range is logged", lambda: sum(line["step"] == "encode_first" for line in jobs(media_id)) == RANGES)
    size = path.stat().st_size
    read = {}
    for line in jobs(media_id):
        read[line["step"]] = read.get(line["step"], 0) + int(line["read_bytes"])
    note(f"{name}: {size / 1e6:.1f} MB; " +
         ", ".join(f"{step} reads {n / size:.2f} times the file" for step, n in read.items() if n))
    return read["encode_first"] / size


def test_ranges_read_little_more_than_the_file():
    """60 s at 8 Mbit/s, as 1080p has, in three ranges: at most 1.3 times the file"""
    for name, suffix in (("MP4", "mp4"), ("MKV", "mkv"), ("TS", "ts")):
        ratio = read_of(name, film_of(SECONDS, 240, 8, suffix))
        check(0.8 < ratio <= 1.3, f"{name}: all ranges together read at most 1.3 times the file", ratio)


main(test_ranges_read_little_more_than_the_file)

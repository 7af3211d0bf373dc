#!/usr/bin/python3
"""The mp3 of a clip of 210 s, from claim to commit, against `ffmpeg` reading the same S3 object with the same settings
and its output uploaded by curl."""

import os
import subprocess

import bench
import lib as e2e

SECONDS = 210
BUCKET = os.environ["MEDIA_S3_BUCKET"]
# what pipeline "audio" does by default
FFMPEG = ["-vn", "-map", "0:a:0", "-c:a", "libmp3lame", "-b:a", "192k", "-threads", "1", "-f", "mp3"]


class Pairs:
    def __init__(self):
        self.user = e2e.User("bench")
        self.clip = e2e.looped(SECONDS)
        self.s3 = e2e.s3()
        self.media = None

    def ours(self):
        worker = [bench.server_pid("transcoder-1")]
        before = bench.cpu_seconds(worker, with_waited=True)
        self.media = self.user.upload(self.clip, name="clip.mp4")
        # the mail is out, too: nothing runs any more when the next begins
        e2e.mail_of(self.media)
        cpu = bench.cpu_seconds(worker, with_waited=True) - before
        seconds, state = e2e.sql("""SELECT extract(epoch FROM finished_at - started_at)::float8, state
                                    FROM media.jobs WHERE media_id = %s AND queue <> 'notify'""", self.media)[0]
        assert state == "succeeded", state
        return {"wall": seconds, "cpu": cpu, "output": self.output_size()}

    def output_size(self):
        pages = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"media/{self.media}/")["Contents"]
        return sum(o["Size"] for o in pages if not o["Key"].endswith("/original")) / 1e6

    def urls(self, target):
        """Of the object the last upload has left, and of one to be made."""
        key = e2e.value("SELECT object_key FROM media.media WHERE id = %s", self.media)
        return [self.s3.generate_presigned_url(action, Params={"Bucket": BUCKET, "Key": k})
                for action, k in (("get_object", key), ("put_object", target))]

    def theirs(self):
        source, target = self.urls("bench/audio.mp3")
        out = bench.DATA / "audio.mp3"
        figures = {}
        with bench.commands(figures):
            subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", source, *FFMPEG, out], check=True)
            bench.curl(f'url = "{target}"\n', "-T", str(out))
        return {**figures, "output": out.stat().st_size / 1e6}


def begin():
    """With a first job done."""
    e2e.up("workers", WORKERS="1")
    pairs = Pairs()
    pairs.ours()
    return pairs


def main():
    pairs = begin()
    series = bench.in_turn({"job": pairs.ours, "ffmpeg + curl": pairs.theirs})
    bench.table(["way", "wall s", "CPU s", "mp3 MB"],
                [[name] + [bench.spread(figures[key]) for key in ("wall", "cpu", "output")]
                 for name, figures in series.items()])
    ours, theirs = series.values()
    print(f"Job to `ffmpeg`: {bench.spread(bench.ratios(ours['wall'], theirs['wall']))} of its wall clock, "
          f"{bench.spread(bench.ratios(ours['cpu'], theirs['cpu']))} of its CPU.\n")


if __name__ == "__main__":
    main()

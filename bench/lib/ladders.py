"""A ladder of H.264 and one AAC track: as pipeline "video" makes it, and the `ffmpeg` commands that make the same."""

import os
import subprocess

import bench
import lib as e2e

BUCKET = os.environ["MEDIA_S3_BUCKET"]
SEGMENT_S = 4
RATE_PERCENT = 150
# the default ladder up to 30 pictures per second: height, width at 16:9, kb/s
RUNGS = {144: (256, 150), 240: (426, 300), 360: (640, 500), 480: (854, 1000), 720: (1280, 2500), 1080: (1920, 4500)}
SCALE = "flags=bicubic+accurate_rnd+bitexact"
AUDIO = ["-map", "0:a:0", "-c:a", "aac", "-b:a", "128k"]
MP4 = ["-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-f", "mp4"]


def video_options(height, threads):
    """What vd_rung.c sets. threads: of the encoder, None: what ffmpeg chooses."""
    rate = RUNGS[height][1] * RATE_PERCENT // 100
    return ["-c:v", "libx264", "-preset", "medium", "-profile:v", "main", "-crf", "23", "-maxrate", f"{rate}k",
            "-bufsize", f"{rate}k", "-pix_fmt", "yuv420p", "-flags", "+cgop", "-g", str(1 << 30), "-sc_threshold", "0",
            "-forced-idr", "1", "-force_key_frames", f"expr:gte(t,n_forced*{SEGMENT_S})",
            *(["-threads", str(threads)] if threads else [])]


class Ladders:
    def __init__(self, source):
        self.source = source
        self.user = e2e.User("bench")
        self.s3 = e2e.s3()
        self.key = "bench/source" + source.suffix
        self.s3.upload_file(str(source), BUCKET, self.key)

    # ---- ours ----

    def upload(self, **params):
        """remux: a source that is a rung by itself would spare us an encoder."""
        query = e2e.pipeline_query("video", remux="never", **params)
        return self.user.upload(self.source, name=self.source.name, query=query)

    def ours(self, servers, **params):
        """From the first claim to the commit of the package, with every job on the workers named; CPU of these."""
        pids = [bench.server_pid(name) for name in servers]
        before = bench.cpu_seconds(pids, with_waited=True)
        media = self.upload(**params)
        state = self.user.settled(media, 1800)["state"]
        assert state == "ready", state
        e2e.mail_of(media)
        cpu = bench.cpu_seconds(pids, with_waited=True) - before
        wall = e2e.sql("""SELECT extract(epoch FROM max(finished_at) - min(started_at))::float8 FROM media.jobs
                          WHERE media_id = %s AND queue <> 'notify'""", media)[0][0]
        size = e2e.value("SELECT sum(size_bytes)::float8 / 1e6 FROM media.segments WHERE media_id = %s", media)
        return {"wall": wall, "cpu": cpu, "output": size}, media

    def forget(self, media):
        subprocess.run(["mediactl", "media", "rm", media], check=True, stdout=subprocess.DEVNULL)

    # ---- ffmpeg ----

    def url(self, action, key):
        return self.s3.generate_presigned_url(action, Params={"Bucket": BUCKET, "Key": key})

    def commands(self, *commands):
        """Runs them one after the other; what each has made goes to S3. commands: (arguments, files)."""
        figures = {}
        with bench.commands(figures):
            for arguments, files in commands:
                source = self.url("get_object", self.key)
                subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", source, *arguments], check=True)
                for file in files:
                    target = self.url("put_object", "bench/" + file.name)
                    bench.curl(f'url = "{target}"\n', "-T", str(file))
        return {**figures, "output": sum(file.stat().st_size for _, files in commands for file in files) / 1e6}

    def one_command(self, threads):
        """All rungs of one decode."""
        graph = [f"[0:v]split={len(RUNGS)}" + "".join(f"[s{h}]" for h in RUNGS)]
        graph += [f"[s{h}]scale={w}:{h}:{SCALE}[v{h}]" for h, (w, _) in RUNGS.items()]
        files = [bench.DATA / f"rung-{h}.mp4" for h in RUNGS] + [bench.DATA / "sound.mp4"]
        arguments = ["-filter_complex", ";".join(graph)]
        for height, file in zip(RUNGS, files):
            arguments += ["-map", f"[v{height}]", *video_options(height, threads), *MP4, file]
        return self.commands(([*arguments, *AUDIO, *MP4, files[-1]], files))

    def rung(self, height, threads=None, sound=False):
        file = bench.DATA / f"rung-{height}.mp4"
        return (["-map", "0:v:0", "-vf", f"scale={RUNGS[height][0]}:{height}:{SCALE}", *video_options(height, threads),
                 *(AUDIO if sound else ["-an"]), *MP4, file], [file])

    def command_per_rung(self):
        """One after the other, each with as many threads as ffmpeg likes; sound with the first."""
        return self.commands(*(self.rung(h, sound=h == min(RUNGS)) for h in RUNGS))

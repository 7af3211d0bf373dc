#!/usr/bin/python3
"""Objects into a backup bucket of the same S3 and back: small ones, and one of 1 GiB, against rclone."""

import concurrent.futures
import os
import subprocess
import time
import uuid

import bench
import lib as e2e
import servers

SMALL, SMALL_SIZE = bench.sized(2000, 200), 20_000
BIG_SIZE = bench.sized(1 << 30, 64 << 20)
LIVE, COPIES, MIRROR = "bench-live", "bench-copies", "bench-mirror"
OURS, PEER = "media-objects", "rclone"


def peak(pid):
    """Of a process, in MiB: what wait4 tells is also of the one that it was forked from."""
    try:
        return bench.kib(f"/proc/{pid}/status", "VmHWM") / 1024
    except StopIteration:  # it has none any more
        return 0


class Store:
    """Buckets of the benchmark's own, and the processes that move objects between them."""

    def __init__(self):
        self.s3 = e2e.s3()
        for bucket in (LIVE, COPIES, MIRROR):
            self.s3.create_bucket(Bucket=bucket)
        keys = bench.DATA / "backup-keys"
        keys.write_text("".join(f"[{profile}]\naws_access_key_id = {os.environ['AWS_ACCESS_KEY_ID']}\n"
                                f"aws_secret_access_key = {os.environ['AWS_SECRET_ACCESS_KEY']}\n"
                                for profile in ("default", "backup")))
        keys.chmod(0o600)
        self.env = {"PATH": os.environ["PATH"], "RCLONE_CONFIG": os.devnull, "AWS_ENDPOINT_URL": servers.S3,
                    "MEDIA_S3_BUCKET": LIVE, "MEDIA_BACKUP_BUCKET": COPIES, "AWS_SHARED_CREDENTIALS_FILE": str(keys)}
        # two remotes: copies between buckets of one would be S3's own work
        for remote in ("LIVE", "MIRROR"):
            self.env.update({f"RCLONE_CONFIG_{remote}_{key}": value for key, value in {
                "TYPE": "s3", "PROVIDER": "Minio", "ENV_AUTH": "true", "ENDPOINT": servers.S3,
                "NO_CHECK_BUCKET": "true"}.items()})

    def fill(self, count, size):
        """New objects, the only ones; their manifest."""
        for bucket in (LIVE, COPIES, MIRROR):
            self.empty(bucket)
        keys = [f"media/{uuid.uuid4()}/original" for _ in range(count)]
        some = min(size, 1 << 20)
        bodies = {key: os.urandom(some) * (size // some) for key in keys}
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda key: self.s3.put_object(Bucket=LIVE, Key=key, Body=bodies[key]), keys))
        return "".join(f"input\t{key}\t{size}\t{e2e.sha256(bodies[key])}\n" for key in keys)

    def empty(self, bucket):
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            names = [{"Key": item["Key"]} for item in page.get("Contents", [])]
            if names:
                self.s3.delete_objects(Bucket=bucket, Delete={"Objects": names})

    def count(self, bucket):
        return sum(page["KeyCount"] for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket))

    def run(self, command, text=""):
        """A command's wall clock, and what it and S3 used."""
        manifest = bench.DATA / "backup-stdin"
        manifest.write_text(text)
        s3 = bench.Usage([bench.server_pid("s3")])
        began = time.monotonic()
        with open(manifest) as stdin, open(bench.DATA / "backup-stdout", "w") as out:
            pid = subprocess.Popen(command, env=self.env, stdin=stdin, stdout=out).pid
            ended, rss = 0, 0
            while not ended:
                rss = max(rss, peak(pid))
                time.sleep(0.01)
                ended, status, used = os.wait4(pid, os.WNOHANG)
        wall = time.monotonic() - began
        if status:
            raise RuntimeError(f"{command}: status {status}")
        return {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "s3_cpu": s3.cpu, "rss": rss}

    def ours(self, manifest):
        """There, a look at all copies, and back."""
        self.empty(COPIES)
        figures = self.run(["media-objects", "backup"], manifest)
        check = self.run(["media-objects", "check"], manifest)["wall"]
        self.empty(LIVE)
        back = self.run(["media-objects", "restore"], manifest)["wall"]
        self.whole(manifest, COPIES)
        return {**figures, "check": check, "back": back}

    def peer(self, manifest):
        """There and back; its check compares what both sides say of their MD5, and reads nothing."""
        self.empty(MIRROR)
        figures = self.run(["rclone", "copy", f"live:{LIVE}", f"mirror:{MIRROR}", "--transfers", "4"])
        self.empty(LIVE)
        back = self.run(["rclone", "copy", f"mirror:{MIRROR}", f"live:{LIVE}", "--transfers", "4"])["wall"]
        self.whole(manifest, MIRROR)
        return {**figures, "back": back}

    def whole(self, manifest, *buckets):
        want = manifest.count("\n")
        for bucket in (LIVE, *buckets):
            if self.count(bucket) != want:
                raise RuntimeError(f"{bucket}: {self.count(bucket)} objects of {want}")


def compare(store, count, size):
    manifest = store.fill(count, size)
    return bench.in_turn({OURS: lambda: store.ours(manifest), PEER: lambda: store.peer(manifest)})


def report(series, head, rate):
    """`rate`: of a wall clock, what the table tells."""
    rows = []
    for name, figures in series.items():
        rows.append([name, *(bench.spread([rate(wall) for wall in figures[key]]) if key in figures else ""
                             for key in ("wall", "back", "check")),
                     *(bench.spread(figures[key]) for key in ("cpu", "s3_cpu")), bench.number(max(figures["rss"]))])
    bench.table(["way", *(f"{what}, {head}" for what in ("there", "back", "copies read")), "CPU s there",
                 "CPU s of MinIO", "peak RSS MiB"], rows)


def main():
    store = Store()
    small = compare(store, SMALL, SMALL_SIZE)
    big = compare(store, 1, BIG_SIZE)
    print(f"{SMALL} objects of {SMALL_SIZE // 1000} KB:\n")
    report(small, "objects/s", lambda wall: SMALL / wall)
    print(f"One of {BIG_SIZE >> 20} MiB:\n")
    report(big, "MiB/s", lambda wall: (BIG_SIZE >> 20) / wall)
    bench.at_least("small objects/s", [SMALL / wall for wall in small[OURS]["wall"]], 200)
    bench.at_least("small objects/s to those of rclone", bench.ratios(small[PEER]["wall"], small[OURS]["wall"]), 1)
    bench.at_least("MiB/s of a big one to that of rclone", bench.ratios(big[PEER]["wall"], big[OURS]["wall"]), 0.8)


if __name__ == "__main__":
    main()

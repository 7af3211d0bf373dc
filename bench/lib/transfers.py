"""A big file and its ways into S3."""

import os
import subprocess

import bench
import lib as e2e
import servers

SIZE = bench.sized(1 << 30, 64 << 20)
GIB = SIZE / (1 << 30)
OBJECT = "bench/big"


def big_file():
    """The clip again and again, so that it passes for the video it begins with."""
    path = bench.DATA / "big.mp4"
    clip = e2e.clip().read_bytes()
    with open(path, "wb") as file:
        for _ in range(SIZE // len(clip)):
            file.write(clip)
        file.write(clip[:SIZE % len(clip)])
        os.fsync(file.fileno())
    return path


class Transfers:
    def __init__(self):
        self.file = big_file()
        self.user = e2e.User("bench")
        self.s3 = e2e.s3()

    def send(self, server, transfer):
        """One transfer, a function that gives its seconds: CPU time of the server's workers and of S3 with it."""
        s3 = bench.Usage([bench.server_pid("s3")])
        if server is None:
            wall = transfer()
            return {"wall": wall, "s3_cpu": s3.cpu}
        work, all_of_it = bench.Usage(server.workers), bench.Usage(server.pids)
        wall = transfer()
        figures = {"wall": wall, "cpu": work.cpu, "s3_cpu": s3.cpu, "written": all_of_it.written}
        if figures["cpu"] < 0.1 * GIB:
            raise RuntimeError("these were not the processes that did the work")
        return figures

    def module(self, server, path="upload/big.mp4", *args):
        """Through the gateway, by default as the body of a PUT; then it is forgotten."""
        self.user.login()
        figures = self.send(server, lambda: bench.curl(f'url = "{server.url}/{path}"\n'
                                                       f'header = "Authorization: Bearer {self.user.token}"\n',
                                                       *(args or ("-T", str(self.file)))))
        media, key, size = e2e.sql("SELECT id, object_key, size_bytes FROM media.media ORDER BY id DESC LIMIT 1")[0]
        if size != SIZE:
            raise RuntimeError(f"{size} bytes have arrived of {SIZE}")
        # the row goes, too: no worker shall try to convert it
        subprocess.run(["mediactl", "media", "rm", media], check=True, stdout=subprocess.DEVNULL)
        self.s3.delete_object(Bucket=servers.BUCKET, Key=key)
        return figures

    def presigned(self, server):
        """The same request to S3 that somebody else has signed, through a stock nginx or without one (None)."""
        url = self.s3.generate_presigned_url("put_object", Params={"Bucket": servers.BUCKET, "Key": OBJECT})
        if server:
            url = url.replace(servers.S3, server.url, 1)
        figures = self.send(server, lambda: bench.curl(f'url = "{url}"\n', "-T", str(self.file)))
        self.remove(OBJECT)
        return figures

    def remove(self, key):
        """An object of SIZE bytes: it had to be there."""
        size = self.s3.head_object(Bucket=servers.BUCKET, Key=key)["ContentLength"]
        if size != SIZE:
            raise RuntimeError(f"{key} has {size} bytes instead of {SIZE}")
        self.s3.delete_object(Bucket=servers.BUCKET, Key=key)

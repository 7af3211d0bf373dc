#!/usr/bin/python3
"""A PUT of 1 GiB through the module against stock nginx `proxy_pass` with `proxy_request_buffering off`."""

import pathlib
import re
import subprocess

import bench
import lib as e2e
import servers
import transfers

WRITTEN_GOAL = 64 * 1024
TRAILER, UNSIGNED, PROXY, DIRECT = "module, sha256 trailer", "module, unsigned", "stock proxy_pass", "curl to S3"


class Watch:
    """inotify on the directories of servers."""

    def __init__(self, watched):
        self.dirs = [str(path) for server in watched for path in server.dir.iterdir() if path.is_dir()]
        self.log = bench.DATA / "inotify.log"
        self.process = subprocess.Popen(["inotifywait", "-m", "-r", "-e", "create", "-e", "modify", "-e", "moved_to",
                                         "--format", "%e %w%f", *self.dirs],
                                        stdout=open(self.log, "w"), stderr=subprocess.PIPE, text=True)
        while "established" not in self.process.stderr.readline():
            if self.process.poll() is not None:
                raise RuntimeError("inotifywait ended")

    def events(self, server):
        """What was seen below a server's directory. A file of our own shows that the watch works and that
        everything before it has been read."""
        probe = pathlib.Path(self.dirs[0]) / "probe"
        probe.touch()
        e2e.wait("inotify's own probe", lambda: str(probe) in self.log.read_text(), 10)
        seen = [line for line in self.log.read_text().splitlines() if f"{server.dir}/" in line]
        return [line for line in seen if not line.endswith("/probe")]

    def close(self):
        self.process.terminate()
        self.process.wait()


def sha256_seconds():
    """For as many bytes as are sent, by openssl's own measurement."""
    out = subprocess.run(["openssl", "speed", "-mr", "-seconds", "1", "-bytes", "65536", "-evp", "sha256"],
                         check=True, capture_output=True, text=True).stdout
    return transfers.SIZE / float(re.search(r"^\+F:\d+:\S+?:([\d.]+)$", out, re.M | re.I).group(1))


def report(series, running, files, control):
    def cells(name):
        figures = series[name]
        server = running.get(name)
        return [name, bench.spread(figures["wall"]), bench.spread(figures["cpu"]) if server else "",
                bench.spread(figures["s3_cpu"]), max(figures["written"]) if server else "",
                len(files[name]) if server else "", bench.number(bench.peak_rss(server.workers)) if server else ""]

    bench.table(["way", "wall s", "CPU s of nginx's workers", "CPU s of MinIO", "bytes written, most in a run",
                 "events in temp paths", "peak RSS MiB"],
                [cells(name) for name in (TRAILER, UNSIGNED, PROXY, DIRECT)]
                + [["control: stock, buffering on", bench.number(control["wall"]), bench.number(control["cpu"]),
                    bench.number(control["s3_cpu"]), control["written"], control["events"], ""]])
    sha = series["openssl speed"]["sha256"]
    peer = series[PROXY]
    print(f"SHA-256 of as many bytes by `openssl speed`: {bench.spread(sha)} s.\n")
    for name in (TRAILER, UNSIGNED):
        ours = series[name]
        bench.at_most(f"{name}: wall clock to stock's", bench.ratios(ours["wall"], peer["wall"]), 1.05)
        bench.at_most(f"{name}: CPU, without SHA-256's own, to stock's",
                      bench.rounds(lambda cpu, own, stock: (cpu - own) / stock, ours["cpu"], sha, peer["cpu"]), 1.2)
        bench.at_most(f"{name}: KiB written", [n / 1024 for n in ours["written"]], WRITTEN_GOAL / 1024)
        bench.at_most(f"{name}: files in its temp paths", [len(files[name])], 0)


def main():
    uploads = transfers.Transfers()
    with servers.gateway("trailer", media_s3_payload="trailer") as trailer, \
            servers.gateway("unsigned", media_s3_payload="unsigned") as unsigned, \
            servers.stock("stock", proxy_request_buffering="off") as proxy, \
            servers.stock("buffered", proxy_request_buffering="on") as buffered:
        running = {TRAILER: trailer, UNSIGNED: unsigned, PROXY: proxy}
        watch = Watch([*running.values(), buffered])
        try:
            series = bench.in_turn({
                TRAILER: lambda: uploads.module(trailer),
                PROXY: lambda: uploads.presigned(proxy),
                UNSIGNED: lambda: uploads.module(unsigned),
                DIRECT: lambda: uploads.presigned(None),
                "openssl speed": lambda: {"sha256": sha256_seconds()},
            })
            control = uploads.presigned(buffered)
            control["events"] = len(watch.events(buffered))
            files = {name: watch.events(server) for name, server in running.items()}
        finally:
            watch.close()
        report(series, running, files, control)


if __name__ == "__main__":
    main()

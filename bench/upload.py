#!/usr/bin/python3
"""A PUT of 1 GiB through the module against stock nginx `proxy_pass` with `proxy_request_buffering off`."""

import os
import pathlib
import re
import subprocess

import bench
import lib as e2e

SIZE = 1 << 30
S3 = os.environ["AWS_ENDPOINT_URL"]
BUCKET = os.environ["MEDIA_S3_BUCKET"]
WRITTEN_GOAL = 64 * 1024

STOCK = f"""{bench.USER}
daemon off;
pid @DIR@/nginx.pid;
error_log @DIR@/error.log warn;
worker_processes auto;
worker_rlimit_nofile 16384;
events {{ worker_connections 4096; }}
http {{
    access_log off;
{bench.TEMP_PATHS}
    client_max_body_size 0;
    client_body_buffer_size @BUFFER@;
    upstream s3 {{
        server {S3.partition('://')[2]};
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:@PORT@;
        location / {{
            proxy_pass http://s3;
            proxy_http_version 1.1;
            proxy_set_header Host {S3.partition('://')[2]};
            proxy_set_header Connection "";
            proxy_request_buffering @BUFFERING@;
        }}
    }}
}}
"""


def gateway_conf(payload):
    """The shipped configuration as `make up` has rendered it, with files and a port of its own and no access
    log."""
    text = (bench.RUN / "conf/nginx.conf").read_text()
    for pattern, new in ((r"(?m)^pid .*;", "pid @DIR@/nginx.pid;"),
                         (r"(?m)^error_log \S+", "error_log @DIR@/error.log"),
                         (r"access_log .*;", "access_log off;"),
                         (r"_temp_path \S+/", "_temp_path @DIR@/"),
                         (r"listen 127\.0\.0\.1:\d+;", "listen 127.0.0.1:@PORT@;"),
                         (r"media_s3_payload \w+;", f"media_s3_payload {payload};")):
        text, found = re.subn(pattern, new, text)
        assert found, pattern
    return text


def gateway(payload):
    return bench.Nginx(f"module-{payload}", gateway_conf(payload),
                       PGPASSFILE=str(bench.DATA.parent / "nginx/pgpass"),
                       **{name: os.environ[name] for name in ("AMQP_URL", "AWS_ACCESS_KEY_ID",
                                                              "AWS_SECRET_ACCESS_KEY")})


def stock(buffering):
    buffer = re.search(r"client_body_buffer_size (\w+);", (bench.ROOT / "conf/media.conf").read_text()).group(1)
    return bench.Nginx(f"stock-{buffering}", STOCK.replace("@BUFFER@", buffer).replace("@BUFFERING@", buffering))


def one_gib():
    """The clip again and again, so that it passes for the video it begins with."""
    path = bench.DATA / "1g.mp4"
    clip = e2e.clip().read_bytes()
    with open(path, "wb") as file:
        for _ in range(SIZE // len(clip)):
            file.write(clip)
        file.write(clip[:SIZE % len(clip)])
        os.fsync(file.fileno())
    return path


class Watch:
    """inotify on the directories of servers."""

    def __init__(self, servers):
        self.dirs = [str(path) for server in servers for path in server.dir.iterdir() if path.is_dir()]
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


class Uploads:
    def __init__(self):
        self.file = one_gib()
        self.user = e2e.User("bench")
        self.s3 = e2e.s3()

    def put(self, server, config):
        """One transfer: wall clock, and CPU time of nginx's worker processes and of S3."""
        minio = [bench.server_pid("s3")]
        nginx = server.pids if server else []
        before = [bench.cpu_seconds(nginx[1:]), bench.cpu_seconds(minio), bench.written_bytes(nginx)]
        wall = bench.curl(config, "-T", str(self.file))
        after = [bench.cpu_seconds(nginx[1:]), bench.cpu_seconds(minio), bench.written_bytes(nginx)]
        cpu, s3_cpu, written = (b - a for a, b in zip(before, after))
        if server and (bench.children(nginx[0]) != nginx[1:] or cpu < 0.1):
            raise RuntimeError("these were not the processes that did the work")
        return {"wall": wall, "cpu": cpu, "s3_cpu": s3_cpu, "written": written} if server else \
            {"wall": wall, "s3_cpu": s3_cpu}

    def module(self, server):
        self.user.login()
        figures = self.put(server, f'url = "{server.url}/upload/1g.mp4"\n'
                                   f'header = "Authorization: Bearer {self.user.token}"\n')
        media, key = e2e.sql("SELECT id, object_key FROM media.media WHERE state = 'processing'")[0]
        # the row goes, too: no worker shall try to convert it
        subprocess.run(["mediactl", "media", "rm", media], check=True, stdout=subprocess.DEVNULL)
        self.s3.delete_object(Bucket=BUCKET, Key=key)
        return figures

    def presigned(self, server):
        url = self.s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "bench/1g"})
        if server:
            url = url.replace(S3, server.url, 1)
        figures = self.put(server, f'url = "{url}"\n')
        self.s3.delete_object(Bucket=BUCKET, Key="bench/1g")
        return figures


def sha256_seconds():
    """For 1 GiB, by openssl's own measurement."""
    out = subprocess.run(["openssl", "speed", "-mr", "-seconds", "1", "-bytes", "65536", "-evp", "sha256"],
                         check=True, capture_output=True, text=True).stdout
    return SIZE / float(re.search(r"^\+F:\d+:\S+?:([\d.]+)$", out, re.M | re.I).group(1))


TRAILER, UNSIGNED, PROXY, DIRECT = "module, sha256 trailer", "module, unsigned", "stock proxy_pass", "curl to S3"


def report(series, servers, files, control):
    def cells(name):
        figures = series[name]
        server = servers.get(name)
        return [name, bench.spread(figures["wall"]), bench.spread(figures["cpu"]) if server else "",
                bench.spread(figures["s3_cpu"]), max(figures["written"]) if server else "",
                len(files[name]) if server else "", bench.number(bench.peak_rss(server.workers)) if server else ""]

    bench.table(["way", "wall s", "CPU s of nginx's workers", "CPU s of MinIO", "bytes written, most in a run",
                 "events in temp paths", "peak RSS MiB"],
                [cells(name) for name in (TRAILER, UNSIGNED, PROXY, DIRECT)]
                + [["control: stock, buffering on", bench.number(control["wall"]), bench.number(control["cpu"]),
                    bench.number(control["s3_cpu"]), control["written"], control["events"], ""]])
    sha = series["openssl speed"]["sha256"]
    print(f"SHA-256 of 1 GiB by `openssl speed`: {bench.spread(sha)} s.")
    for name in (TRAILER, UNSIGNED):
        wall = bench.spread(bench.ratios(series[name]["wall"], series[PROXY]["wall"]))
        cpu = bench.spread(bench.ratios(series[name]["cpu"], series[PROXY]["cpu"]))
        print(f"{name}: {wall} of stock's wall clock, {cpu} of its CPU.")
    print()
    for name in (TRAILER, UNSIGNED):
        goal = [1.2 * p + s for p, s in zip(series[PROXY]["cpu"], sha)]
        print(f"- {name}: " + bench.verdict(bench.ratios(series[name]["cpu"], goal), "CPU 1.2 x stock + SHA-256"))
    written = max(max(series[name]["written"]) for name in (TRAILER, UNSIGNED))
    print("- " + bench.verdict([written / WRITTEN_GOAL], f"{WRITTEN_GOAL >> 10} KiB written at most"))
    seen = files[TRAILER] + files[UNSIGNED]
    print(f"- **{'missed' if seen else 'met'}**: no file in its temp paths ({len(seen)} events)\n")


def main():
    uploads = Uploads()
    with gateway("trailer") as trailer, gateway("unsigned") as unsigned, stock("off") as proxy, \
            stock("on") as buffered:
        servers = {TRAILER: trailer, UNSIGNED: unsigned, PROXY: proxy}
        watch = Watch([*servers.values(), buffered])
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
            files = {name: watch.events(server) for name, server in servers.items()}
        finally:
            watch.close()
        report(series, servers, files, control)
    uploads.file.unlink()


if __name__ == "__main__":
    main()

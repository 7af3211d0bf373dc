"""Servers of the benchmarks' own, beside the system of `make up`: the gateway as shipped, stock nginx, tusd."""

import os
import re
import shutil
import socket
import subprocess
import time

import bench

S3 = os.environ["AWS_ENDPOINT_URL"]
S3_HOST = S3.partition("://")[2]
BUCKET = os.environ["MEDIA_S3_BUCKET"]
PATH = os.environ["PATH"]
USER = "user www-data;" if os.getuid() == 0 else ""
TEMP_PATHS = "\n".join(f"    {kind}_temp_path @DIR@/{kind};" for kind in ("client_body", "proxy", "fastcgi",
                                                                         "uwsgi", "scgi"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A process with a directory and a port of its own; down with the `with` block, or by make down, should we be
    killed."""

    def __init__(self, name):
        self.name = name
        self.dir = bench.DATA / name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.dir / "error.log"
        self.pid_file = bench.RUN / f"pid/bench-{name}"
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)

    def start(self, command, env):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, env={"PATH": PATH, **env}, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        self.pid_file.write_text(f"{self.process.pid} {bench.stat(self.process.pid)[19]} bench\n")
        end = time.monotonic() + 30
        while not self.is_up():
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise RuntimeError(f"{self.name} does not start: " + self.log.read_text()[-2000:])
            time.sleep(0.05)

    def is_up(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    @property
    def workers(self):
        """The processes that do the work."""
        return [self.process.pid]

    @property
    def pids(self):
        return self.workers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.pid_file.unlink()


class Nginx(Server):
    """The packaged nginx with a configuration of ours, in which @DIR@ is its directory and @PORT@ its port."""

    def __init__(self, name, conf, **env):
        super().__init__(name)
        path = self.dir / "nginx.conf"
        path.write_text(conf.replace("@DIR@", str(self.dir)).replace("@PORT@", str(self.port)))
        count = re.search(r"(?m)^worker_processes (\w+);", conf).group(1)
        self.count = os.sysconf("SC_NPROCESSORS_ONLN") if count == "auto" else int(count)
        self._workers = []
        self.start([shutil.which("nginx", path=PATH + ":/usr/sbin"), "-p", self.dir, "-c", path, "-e", self.log], env)

    def is_up(self):
        # the port is open before the workers are there
        self._workers = bench.children(self.process.pid, b"worker process")
        return len(self._workers) == self.count and super().is_up()

    @property
    def workers(self):
        if bench.children(self.process.pid, b"worker process") != self._workers:
            raise RuntimeError(f"{self.name}: a worker process has died: " + self.log.read_text()[-2000:])
        return self._workers

    @property
    def pids(self):
        return [self.process.pid] + self.workers


class Tusd(Server):
    """tusd as it comes, on the bucket of the gateway; `flags` are its own."""

    def __init__(self, name, *flags):
        super().__init__(name)
        self.start([os.environ["MEDIA_TUSD"], "-host", "127.0.0.1", "-port", str(self.port), "-s3-bucket", BUCKET,
                    "-s3-endpoint", S3, "-s3-object-prefix", "tusd/", "-verbose=false", *flags],
                   # its parts wait on the disk, not in a /tmp that may be memory
                   {"HOME": str(self.dir), "TMPDIR": str(self.dir),
                    **{key: os.environ[key] for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")}})


# ---- the gateway and its peer ----

def shipped(directive):
    """The value of a directive in the shipped configuration."""
    for name in ("media.conf", "nginx.conf.in"):
        found = re.search(rf"(?m)^\s*{directive}\s+([^;]*);", (bench.ROOT / "conf" / name).read_text())
        if found:
            return found.group(1)
    raise RuntimeError(f"no {directive} in conf/")


def gateway(name="module", **changes):
    """The shipped configuration as `make up` has rendered it, with files and a port of its own and no access log;
    `changes` are values of directives that stand in it."""
    text = (bench.RUN / "conf/nginx.conf").read_text()
    for pattern, new in ((r"(?m)^pid .*;", "pid @DIR@/nginx.pid;"),
                         (r"(?m)^error_log \S+", "error_log @DIR@/error.log"),
                         (r"access_log .*;", "access_log off;"),
                         (r"_(temp|cache)_path \S+/", r"_\1_path @DIR@/"),
                         (r"listen 127\.0\.0\.1:\d+;", "listen 127.0.0.1:@PORT@;"),
                         *((rf"\b{key} [^;]*;", f"{key} {value};") for key, value in changes.items())):
        text, found = re.subn(pattern, new, text)
        if not found:
            raise RuntimeError(f"nothing like {pattern} in the rendered configuration")
    return Nginx(name, text, PGPASSFILE=str(bench.DATA.parent / "nginx/pgpass"),
                 **{key: os.environ[key] for key in ("AMQP_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")})


STOCK = f"""{USER}
daemon off;
pid @DIR@/nginx.pid;
error_log @DIR@/error.log warn;
worker_processes auto;
worker_rlimit_nofile 16384;
events {{ worker_connections @CONNECTIONS@; }}
http {{
    access_log off;
{TEMP_PATHS}
    client_max_body_size 0;
    client_body_buffer_size @BUFFER@;
    upstream s3 {{
        server {S3_HOST};
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:@PORT@;
        location / {{
            proxy_pass http://s3;
            proxy_http_version 1.1;
            proxy_set_header Host {S3_HOST};
            proxy_set_header Connection "";
            @PROXY@
        }}
    }}
}}
"""


def stock(name="stock", connections=4096, **proxy):
    """nginx without the module, passing signed requests on to S3; `proxy` are more directives of its location."""
    conf = STOCK
    for mark, value in (("@CONNECTIONS@", str(connections)), ("@BUFFER@", shipped("client_body_buffer_size")),
                        ("@PROXY@", "\n            ".join(f"{key} {value};" for key, value in proxy.items()))):
        conf = conf.replace(mark, value)
    return Nginx(name, conf)

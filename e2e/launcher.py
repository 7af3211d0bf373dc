"""media-gateway as a container has it, on free ports and the servers of `make up`: an ordinary user, files laid out as
kubelet lays them out, nothing in the environment but what a pod would have."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading

import psycopg2.extensions

from lib import RUN, ROOT, Answer, pids, wait

UID = 10001
BIN = pathlib.Path(shutil.which("mediactl")).resolve().parent
SECRETS = RUN / "secrets"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Mounted:
    """A directory as kubelet mounts a Secret: names are links through ..data, which is exchanged at once."""

    def __init__(self, path, **files):
        self.path = path
        self.version = 0
        path.mkdir()
        self.set(**files)

    def set(self, **files):
        """The files from now on; a dot in a name is written __."""
        files = {name.replace("__", "."): text for name, text in files.items()}
        self.version += 1
        there = self.path / f"..{self.version}"
        there.mkdir()
        for name, text in files.items():
            (there / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        os.symlink(there.name, self.path / "..data_tmp")
        os.rename(self.path / "..data_tmp", self.path / "..data")
        for name in files:
            if not (self.path / name).is_symlink():
                os.symlink("..data/" + name, self.path / name)
        for link in self.path.iterdir():
            if not link.name.startswith("..") and link.name not in files:
                link.unlink()


class Certificate:
    """A self-signed one."""

    def __init__(self, directory, name="localhost"):
        key, crt = directory / "new.key", directory / "new.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", key, "-out", crt, "-days", "2", "-subj", f"/CN={name}", "-addext",
                        f"subjectAltName=DNS:{name}"], check=True, capture_output=True)
        self.key, self.text = key.read_text(), crt.read_text()
        self.der = ssl.PEM_cert_to_DER_cert(self.text)
        key.unlink()
        crt.unlink()


class Launcher:
    """A running media-gateway; a context manager."""

    def __init__(self, wrap=(), files=None, **env):
        """`wrap`: a program and its arguments that start it; `files`: more Secrets, {directory: {name: text}}."""
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="media-gateway-", dir="/tmp"))
        self.dir.chmod(0o755)
        self.ports = {name: free_port() for name in ("http", "https", "ops")}
        self.wrap = wrap
        self.process = None
        self.pg = psycopg2.extensions.parse_dsn(re.search(r'media_pg "(.*)";', self._dev_conf()).group(1))
        self.pg_password = (SECRETS / "pgpass-media_gateway").read_text().strip().split(":", 4)[4]
        self.amqp_url = os.environ["AMQP_URL"]
        self.s3_secret = os.environ["AWS_SECRET_ACCESS_KEY"]
        self._install()
        self._secrets(files or {})
        self.routes = self._dir("routes")
        self.env = {**self._environment(), **env}

    def _dev_conf(self):
        return (RUN / "conf/nginx.conf").read_text()

    def _dir(self, name):
        (self.dir / name).mkdir()
        if os.geteuid() == 0:
            os.chown(self.dir / name, UID, UID)
        return self.dir / name

    def _install(self):
        """What an image holds, where an ordinary user can read it."""
        shutil.copy(BIN / "media-gateway", self.dir)
        shutil.copy(re.search(r"load_module (\S+);", self._dev_conf()).group(1), self.dir / "module.so")
        shutil.copytree(ROOT / "conf", self.dir / "conf")

    def _secrets(self, files):
        secrets = self.dir / "secrets"
        secrets.mkdir()
        keys = "[default]\naws_access_key_id = {AWS_ACCESS_KEY_ID}\naws_secret_access_key = {AWS_SECRET_ACCESS_KEY}\n"
        self.secret = {
            "pg": Mounted(secrets / "pg", password=self.pg_password + "\n"),
            "s3": Mounted(secrets / "s3", credentials=keys.format_map(os.environ)),
            "amqp": Mounted(secrets / "amqp", url=self.amqp_url),
            "play": Mounted(secrets / "play", **{"play-key": (SECRETS / "play-key").read_text()}),
            "jwt": Mounted(secrets / "jwt", **{"jwt-key": (SECRETS / "jwt-key").read_text()}),
        }
        for name, texts in files.items():
            if name in self.secret:
                self.secret[name].set(**texts)
            else:
                self.secret[name] = Mounted(secrets / name, **texts)

    def _environment(self):
        path = {name: str(mounted.path) for name, mounted in self.secret.items()}
        env = {
            "PATH": os.environ["PATH"],
            "PGHOST": "localhost", "PGPORT": self.pg["port"], "MEDIA_PG_PASSWORD_FILE": path["pg"] + "/password",
            "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"], "AWS_SHARED_CREDENTIALS_FILE": path["s3"] + "/credentials",
            "AMQP_URL_FILE": path["amqp"] + "/url", "MEDIA_JWT_DIR": path["jwt"],
            "MEDIA_PLAY_KEY_FILE": path["play"] + "/play-key", "MEDIA_ROUTES_DIR": str(self.routes),
            "MEDIA_LISTEN": "127.0.0.1", "MEDIA_RUN_DIR": str(self._dir("tmp") / "run"),
            "MEDIA_CACHE_DIR": str(self._dir("cache")), "MEDIA_CONF_DIR": str(self.dir / "conf"),
            "MEDIA_MODULE": str(self.dir / "module.so"), "MEDIA_NGINX": os.readlink(f"/proc/{pids('nginx')[0]}/exe"),
            **{f"MEDIA_{name.upper()}_PORT": str(port) for name, port in self.ports.items()},
        }
        self.run_dir = self.dir / "tmp/run"
        if "tls" in self.secret:
            env.update(MEDIA_TLS_CERT_FILE=path["tls"] + "/tls.crt", MEDIA_TLS_KEY_FILE=path["tls"] + "/tls.key")
        return env

    # ---- running it ----

    def argv(self, *args):
        user = ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups"] if os.geteuid() == 0 else []
        return [*self.wrap, *user, str(self.dir / "media-gateway"), *args]

    def __enter__(self):
        return self.start()

    def start(self):
        """Once, or again when it has ended."""
        out, err = self._log("out"), self._log("err")
        self.process = subprocess.Popen(self.argv(), env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        os.close(out)
        os.close(err)
        return self

    def _log(self, name):
        """A pipe of the user's own, as containerd makes it; what comes is in the file `name`."""
        ours, its = os.pipe()
        (self.dir / name).touch()
        if os.geteuid() == 0:
            os.fchown(its, UID, UID)

        def copy():
            with open(ours, "rb", buffering=0) as source, open(self.dir / name, "ab", buffering=0) as file:
                while block := source.read(65536):
                    file.write(block)
        threading.Thread(target=copy, daemon=True).start()
        return its

    def __exit__(self, *_):
        if self.process.poll() is None:
            for pid in reversed(self.pids()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait(30)
        shutil.rmtree(self.dir)

    def call(self, *args):
        """media-gateway --ARG beside it."""
        return subprocess.run(self.argv(*args), env=self.env, capture_output=True, text=True, timeout=60)

    def pids(self):
        """It and all below it."""
        out = [self.process.pid]
        for pid in out:
            try:
                out += map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            except OSError:
                pass
        return out

    def nginx(self):
        """nginx's master process."""
        for pid in self.pids():
            try:
                if b"nginx: master" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
            except OSError:
                pass
        return None

    def term(self):
        os.kill(self.process.pid, signal.SIGTERM)

    # ---- asking it ----

    def ready(self):
        """Waits until it answers and PostgreSQL and S3 are there."""
        def probe():
            assert self.process.poll() is None, self.err()
            try:
                return self.ask("GET", "/readyz", port="ops").status == 200
            except OSError:
                return False
        wait("media-gateway is ready", probe, 60)
        return self

    def connection(self, port="http", ca=None, timeout=60):
        if port == "https":
            context = ssl.create_default_context(cadata=ca)
            return http.client.HTTPSConnection("localhost", self.ports["https"], timeout=timeout, context=context)
        return http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=timeout)

    def ask(self, method, path, body=None, headers=None, **kw):
        c = self.connection(**kw)
        try:
            c.request(method, path, body, headers or {})
            return Answer(c.getresponse())
        finally:
            c.close()

    def served(self):
        """The certificate in use, as DER."""
        context = ssl._create_unverified_context()
        with socket.create_connection(("127.0.0.1", self.ports["https"]), 10) as raw:
            with context.wrap_socket(raw, server_hostname="localhost") as tls:
                return tls.getpeercert(True)

    # ---- what it says ----

    def err(self):
        return (self.dir / "err").read_text()

    def said(self, msg):
        """Its own log lines with this message."""
        return [line for line in self._lines("err") if line["msg"] == msg]

    def accessed(self, path):
        """Lines of the access log about a path; the first may be on its way."""
        return wait(f"{path} is logged", lambda: [line for line in self._lines("out") if line["path"] == path], 10)

    def _lines(self, name):
        """Those of JSON that have come as a whole."""
        lines = (self.dir / name).read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def conf(self):
        return (self.run_dir / "nginx.conf").read_text()

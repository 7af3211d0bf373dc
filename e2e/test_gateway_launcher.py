#!/usr/bin/python3
"""media-gateway, PID 1 of the gateway's container, in front of the servers of make up."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

from launcher import Certificate, Launcher
from lib import RUN, SlowUpload, User, check, clip, main, media_like, note, sha256, skip, wait


def bearer(token):
    return {"Authorization": "Bearer " + token}


def tls_files(certificate):
    return {"tls__crt": certificate.text, "tls__key": certificate.key}


def two_certificates():
    return Certificate(RUN / "tmp"), Certificate(RUN / "tmp")


def curl(gateway, ca, *args):
    file = gateway.dir / "ca.crt"
    file.write_text(ca)
    done = subprocess.run(["curl", "-sS", "--cacert", file, "-o", "/dev/null", "-w", "%{http_version} %{http_code}", *args,
                           f"https://localhost:{gateway.ports['https']}/healthz"], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else done.stderr


def test_ports():
    """What each port answers, over TLS too"""
    certificate = Certificate(RUN / "tmp")
    user = User()
    with Launcher(files={"tls": tls_files(certificate)}) as gateway:
        gateway.ready()
        check(curl(gateway, certificate.text) == "2 200", "TLS and HTTP/2", curl(gateway, certificate.text))
        check(curl(gateway, certificate.text, "--http1.1") == "1.1 200", "TLS and HTTP/1.1")
        weak = curl(gateway, certificate.text, "--tls-max", "1.2", "--ciphers", "AES128-SHA:AES128-GCM-SHA256")
        check("200" not in weak, "no cipher without forward secrecy", weak)
        answer = gateway.ask("PUT", "/upload/a.mp4", clip().read_bytes(), bearer(user.token), port="https",
                             ca=certificate.text)
        check(answer.status == 201, "an upload by TLS", answer)
        check(gateway.ask("GET", "/metrics").status == 404, "no metrics on the public port")
        check(gateway.ask("GET", "/healthz").status == 200, "its health is no secret")
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/", 404), ("/media", 404),
                             ("/login", 404), ("/upload", 404), ("/me", 404), ("/.well-known/jwks.json", 404)):
            got = gateway.ask("GET", path, headers=bearer(user.token), port="ops").status
            check(got == status, f"ops port: {path} is {status}", got)
        check(gateway.call("--probe").returncode == 0, "--probe: 0")
        check(gateway.accessed("/healthz"), "the public port is logged")
        check('"/readyz"' not in (gateway.dir / "out").read_text(), "probes of the ops port are not")
        gateway.term()
        check(gateway.process.wait(30) == 0, "TERM: 0", gateway.err())
        check(gateway.call("--probe").returncode == 1, "--probe of nobody: 1")


class Asking(threading.Thread):
    """Request after request until it is stopped; each on a connection of its own."""

    def __init__(self, gateway, **kw):
        super().__init__(daemon=True)
        self.gateway, self.kw, self.count, self.failures, self.over = gateway, kw, 0, [], threading.Event()
        self.start()

    def run(self):
        while not self.over.is_set():
            self.count += 1
            try:
                answer = self.gateway.ask("GET", "/healthz", **self.kw)
                if answer.status != 200:
                    self.failures.append(answer)
            except OSError as error:
                self.failures.append(error)

    def stop(self):
        self.over.set()
        self.join(30)


def test_certificate():
    """Another certificate by an exchange of ..data: served within seconds, nobody notices; a bad one changes nothing"""
    old, new = two_certificates()
    user = User()
    with Launcher(files={"tls": tls_files(old)}) as gateway:
        gateway.ready()
        check(gateway.served() == old.der, "the certificate of the file")
        asking = Asking(gateway, port="https", ca=old.text + new.text)
        upload = SlowUpload(user, 3 << 20, connection=gateway.connection("https", ca=old.text))
        upload.send(media_like(1 << 20))
        began = time.monotonic()
        gateway.secret["tls"].set(**tls_files(new))
        wait("the new certificate", lambda: gateway.served() == new.der, 10)
        note(f"served after {time.monotonic() - began:.1f} s")
        upload.send(b"z" * (2 << 20))
        answer = upload.answer()
        check(answer.status == 201 and answer.json["size"] == 3 << 20, "an upload in flight finished", answer)
        upload.close()

        gateway.secret["tls"].set(tls__crt=old.text, tls__key=new.key)
        refused = "new configuration refused, nginx keeps the old one"
        wait("it is refused", lambda: gateway.said(refused), 10)
        check("key values mismatch" in gateway.err(), "nginx says why", gateway.err())
        check(gateway.said(refused)[0]["attempts"] == "1" and gateway.said(refused)[0]["level"] == "error", "it is counted")
        check(gateway.served() == new.der, "a key of another certificate: the old pair is served")
        check(gateway.ask("GET", "/readyz", port="ops").status == 200, "the gateway stays ready")
        gateway.secret["tls"].set(**tls_files(old))
        wait("a good pair again", lambda: gateway.served() == old.der, 10)
        asking.stop()
        check(asking.count > 20 and not asking.failures, f"{asking.count} requests meanwhile, all answered",
              asking.failures[:3])


def part_of(token, i):
    text = token.split(".")[i]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def signed(claims, key, kid):
    def b64(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    head = b64(json.dumps({"alg": "HS256", "typ": "JWT", "kid": kid}).encode())
    text = head + b"." + b64(json.dumps(claims).encode())
    return (text + b"." + b64(hmac.new(key.encode(), text, hashlib.sha256).digest())).decode()


def test_keys():
    """Rotation of the keys of access tokens"""
    settle = 4
    first, second = os.urandom(24).hex(), os.urandom(24).hex()
    user = User()
    with Launcher(files={"jwt": {"HS256__2026-11": first}}, MEDIA_JWT_SETTLE_S=str(settle)) as gateway:
        gateway.ready()

        def login():
            body = json.dumps({"email": user.email, "password": user.password})
            return gateway.ask("POST", "/login", body, {"Content-Type": "application/json"}).json["access_token"]

        def status(token):
            return gateway.ask("GET", "/me", headers=bearer(token)).status
        old = login()
        check(part_of(old, 0)["kid"] == "2026-11", "tokens name their key", part_of(old, 0))
        check(status(user.token) == 401, "a token of a key that is not there is refused")
        elsewhere = signed(part_of(old, 1), second, "2026-12")
        check(status(elsewhere) == 401, "a key not there yet")
        gateway.secret["jwt"].set(**{"HS256__2026-11": first, "HS256__2026-12": second})
        began = time.monotonic()
        wait("the new key verifies", lambda: status(elsewhere) == 200, 10)
        early = part_of(login(), 0)["kid"]
        if time.monotonic() - began < settle - 1:
            check(early == "2026-11", "the old key still signs: other gateways may not have the new one", early)
        wait("the new key signs", lambda: part_of(login(), 0)["kid"] == "2026-12", settle + 10)
        new = login()
        check(status(old) == 200 and status(new) == 200, "tokens of both keys are good")
        gateway.secret["jwt"].set(**{"HS256__2026-12": second})
        wait("the old key is gone", lambda: status(old) == 401, 10)
        check(status(new) == 200, "the new one stays")
        gateway.secret["jwt"].set(**{"HS256__2026-12": second, "notes.txt": "x"})
        refused = "new configuration refused, nginx keeps the old one"
        wait("a file that is no key", lambda: gateway.said(refused), 10)
        check('"notes.txt" is no name of a key' in gateway.said(refused)[0]["error"], "it is named", gateway.said(refused))
        check(status(new) == 200, "and changes nothing")


def test_term():
    """TERM: what is under way finishes, nothing new begins, 0"""
    user = User()
    with Launcher() as gateway:
        gateway.ready()
        # more than the buffers of the connection hold
        data = media_like(48 << 20)
        media = gateway.ask("PUT", "/upload/big.mp4", data, bearer(user.token)).json["id"]
        upload = SlowUpload(user, 2 << 20, connection=gateway.connection())
        upload.send(media_like(1 << 20))
        download = gateway.connection()
        download.request("GET", f"/media/{media}/original", headers=bearer(user.token))
        answer = download.getresponse()
        body = answer.read(1 << 20)
        gateway.term()

        def closed():
            try:
                gateway.ask("GET", "/healthz")
            except OSError:
                return True
        wait("no new connections", closed, 10)
        check(gateway.process.poll() is None, "it waits")
        upload.send(b"z" * (1 << 20))
        done = upload.answer()
        check(done.status == 201, "the upload finished", done)
        upload.close()
        body += answer.read()
        check(sha256(body) == sha256(data), "the download finished", len(body))
        download.close()
        check(gateway.process.wait(30) == 0, "0", gateway.err())


def test_killed():
    """nginx is killed: so the container ends, and is started again by whoever runs it"""
    with Launcher() as gateway:
        gateway.ready()
        everybody = gateway.pids()[1:]
        os.kill(gateway.nginx(), signal.SIGKILL)
        code = gateway.process.wait(30)
        check(code == 137, "128 + 9", code)
        wait("its processes are gone", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in everybody), 10)
        check(gateway.said("nginx has ended")[0]["level"] == "error", "it is said")


class App(http.server.BaseHTTPRequestHandler):
    """A service that knows nothing of us: tells what it was asked; upgrades to bytes that come back."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.headers.get("Upgrade") == "echo":
            self.send_response(101)
            self.send_header("Connection", "upgrade")
            self.send_header("Upgrade", "echo")
            self.end_headers()
            self.wfile.write(self.rfile.read(4))
            self.close_connection = True
            return
        body = json.dumps({"path": self.path, "headers": self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Request-Id", "of-the-app")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def route(gateway, name, text):
    """A file of MEDIA_ROUTES_DIR."""
    (gateway.routes / name).write_text(text)


def by_path(gateway, path, port, *more):
    lines = " ".join(more)
    include = f"include {gateway.dir}/conf/media-proxy.conf;"
    return f"location {path} {{ {lines} {include} proxy_pass http://127.0.0.1:{port}; }}\n"


SPOOFED = {"X-Media-Sub": "admin", "x-media-roles": "admin", "X-Media-Email": "root@example.org",
           "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "gopher", "X-Real-IP": "203.0.113.9",
           "Forwarded": "for=203.0.113.9"}


def test_routes():
    """Another service behind our tokens"""
    user = User()
    app = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    port = app.server_address[1]
    threading.Thread(target=app.serve_forever, daemon=True).start()
    with Launcher() as gateway:
        gateway.ready()

        def get(path, headers=None):
            return gateway.ask("GET", path, headers=headers)
        check(get("/app/x").status == 404, "no route yet")
        route(gateway, "app.conf", by_path(gateway, "/app/", port, "media_auth on;") + by_path(gateway, "/open/", port))
        route(gateway, "host.server", f"server {{ include {gateway.run_dir}/listen.conf; server_name app.example.org; "
              + by_path(gateway, "/", port) + "}\n")
        wait("the route", lambda: get("/app/x").status == 401, 10)
        check(get("/app/x").json["code"] == "token_missing", "without a token 401, as problem+json", get("/app/x"))
        check(get("/app/x", bearer(user.token[:-4] + "AAAA")).status == 401, "a bad token: 401")
        answer = get("/app/x?y=1", {**bearer(user.token), **SPOOFED, "X-Request-Id": "from-the-client"})
        seen = {k.lower(): v for k, v in answer.json["headers"]}
        check(answer.status == 200 and answer.json["path"] == "/app/x?y=1", "with one it is asked", answer)
        claims = part_of(user.token, 1)
        check(seen.get("x-media-sub") == claims["sub"] and seen.get("x-media-email") == user.email
              and seen.get("x-media-roles") == "user", "it is told who asks", seen)
        check(len(seen) == len(answer.json["headers"]), "no header twice", answer.json["headers"])
        check(seen["x-forwarded-for"] == seen["x-real-ip"] == "127.0.0.1" and seen["x-forwarded-proto"] == "http"
              and "forwarded" not in seen, "from where, by us alone", seen)
        check("authorization" not in seen, "the token stays here", seen)
        check([seen["x-request-id"]] == answer.headers.get_all("X-Request-Id") == ["from-the-client"], "one request id",
              answer.headers)
        logged = wait("its line", lambda: [x for x in gateway.accessed("/app/x") if x["status"] == 200], 10)[0]
        check(logged["sub"] == claims["sub"] and logged["request_id"] == "from-the-client", "the log has the user", logged)
        answer = get("/open/x", {"Authorization": "Basic eDp5", **SPOOFED})
        seen = {k.lower(): v for k, v in answer.json["headers"]}
        check(not [k for k in seen if k.startswith("x-media-")], "an open route: nobody is claimed", seen)
        check(answer.headers.get_all("X-Request-Id") == [seen["x-request-id"]], "an open route: one request id, too",
              answer.headers)
        check(seen.get("authorization") == "Basic eDp5", "the service's own login passes", seen)
        check(get("/", {"Host": "app.example.org"}).json["path"] == "/", "by host")
        check(get("/me", {"Host": "gateway.example.org", **bearer(user.token)}).status == 200, "other hosts are ours")
        with socket.create_connection(("127.0.0.1", gateway.ports["http"]), 10) as s:
            s.sendall(f"GET /app/ws HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user.token}\r\nConnection: Upgrade\r\n"
                      "Upgrade: echo\r\n\r\nping".encode())
            text = b""
            while b"ping" not in text:
                block = s.recv(4096)
                if not block:
                    break
                text += block
            check(text.startswith(b"HTTP/1.1 101") and text.endswith(b"ping"), "an upgraded connection", text)
        route(gateway, "zz.conf", "location /broken {")
        wait("a bad route is refused", lambda: gateway.said("new configuration refused, nginx keeps the old one"), 10)
        check(get("/app/x", bearer(user.token)).status == 200, "and the others stay")
        gateway.term()
        gateway.process.wait(30)
        gateway.start().ready()
        check(gateway.said("nginx started without the routes of other services"), "a start with it goes without routes")
        check(get("/me", bearer(user.token)).status == 200, "what is ours works")
        (gateway.routes / "zz.conf").unlink()
        wait("and takes them when they are good", lambda: get("/app/x").status == 401, 10)
    app.shutdown()


def test_proxies():
    """The client's address by PROXY protocol and X-Forwarded-For, from those who may say it"""
    with Launcher(MEDIA_TRUSTED_PROXIES="127.0.0.0/8, 10.0.0.0/8") as gateway:
        gateway.ready()
        gateway.ask("GET", "/trusted", headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.7, 10.1.2.3"})
        check(gateway.accessed("/trusted")[0]["remote"] == "203.0.113.7", "the last that is no proxy of ours",
              gateway.accessed("/trusted"))
    with Launcher(MEDIA_TRUSTED_PROXIES="10.0.0.0/8") as gateway:
        gateway.ready()
        gateway.ask("GET", "/untrusted", headers={"X-Forwarded-For": "203.0.113.7"})
        check(gateway.accessed("/untrusted")[0]["remote"] == "127.0.0.1", "a client cannot say who it is")
    with Launcher(MEDIA_TRUSTED_PROXIES="127.0.0.0/8", MEDIA_PROXY_PROTOCOL="1") as gateway:
        gateway.ready()
        with socket.create_connection(("127.0.0.1", gateway.ports["http"]), 10) as s:
            s.sendall(b"PROXY TCP4 203.0.113.7 127.0.0.1 5555 80\r\nGET /proxied HTTP/1.0\r\n"
                      b"X-Forwarded-For: 198.51.100.1\r\n\r\n")
            while s.recv(4096):
                pass
        check(gateway.accessed("/proxied")[0]["remote"] == "203.0.113.7", "PROXY protocol", gateway.accessed("/proxied"))
        check(gateway.call("--probe").returncode == 0, "probes do without")


def test_secrets():
    """No secret in arguments, environments, the configuration or logs"""
    certificate = Certificate(RUN / "tmp")
    user = User()
    key = os.urandom(24).hex()
    with Launcher(files={"tls": tls_files(certificate), "jwt": {"HS256__1": key}}) as gateway:
        gateway.ready()
        gateway.ask("PUT", "/upload/a.mp4", clip().read_bytes(), bearer(user.token))
        secrets = [gateway.pg_password, gateway.s3_secret, gateway.amqp_url.split(":")[2].split("@")[0], key,
                   (RUN / "secrets/play-key").read_text().strip(), certificate.key.splitlines()[1]]
        places = [pathlib.Path(f"/proc/{pid}/{name}") for pid in gateway.pids() for name in ("environ", "cmdline")]
        check(len(places) >= 6, "there are processes to look at", places)
        places += [file for file in gateway.run_dir.glob("*.conf*")] + [gateway.dir / "out", gateway.dir / "err"]
        found = [str(place) for place in places for secret in secrets if secret.encode() in place.read_bytes()]
        check(not found, "none is found", found)
        own = (gateway.run_dir / "pgpass").stat()
        check(own.st_mode & 0o777 == 0o600 and own.st_uid == gateway.run_dir.stat().st_uid, "the password file is nginx's")
        rendered = gateway.call("--render").stdout
        check("media_pg" in rendered and not any(s in rendered for s in secrets), "nor by --render")


class Forwarder(threading.Thread):
    """Connections to an address of this machine go to another: a server that moved."""

    def __init__(self, listen, to):
        super().__init__(daemon=True)
        self.to = to
        self.socket = socket.create_server(listen)
        self.start()

    def run(self):
        while True:
            a, _ = self.socket.accept()
            b = socket.create_connection(self.to)
            for x, y in ((a, b), (b, a)):
                threading.Thread(target=self.copy, args=(x, y), daemon=True).start()

    @staticmethod
    def copy(x, y):
        try:
            while block := x.recv(65536):
                y.sendall(block)
            y.shutdown(socket.SHUT_WR)
        except OSError:
            pass


# a mount namespace of its own, in which hosts is /etc/hosts
OWN_HOSTS = "mount --make-rprivate / && mount --bind \"$0\" /etc/hosts && exec \"$@\""


def test_names():
    """Waits for names, follows PostgreSQL to another address"""
    hosts = RUN / "tmp" / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    wrap = ["unshare", "--mount", "sh", "-c", OWN_HOSTS, str(hosts)]
    if subprocess.run([*wrap, "true"], capture_output=True).returncode != 0:
        skip("names", "no mount namespaces here")
        return
    user = User()
    with Launcher(wrap=wrap, PGHOST="db.media.test") as gateway:
        waiting = "waiting for a name to have an address"
        wait("it waits", lambda: gateway.said(waiting), 20)
        check(gateway.said(waiting)[0]["host"] == "db.media.test" and gateway.nginx() is None, "for a name, without nginx")
        hosts.write_text("127.0.0.1 localhost\n127.0.0.1 db.media.test\n")
        gateway.ready()
        check("host='db.media.test' hostaddr='127.0.0.1'" in gateway.conf(), "then it has it", gateway.conf())
        check(gateway.ask("GET", "/me", headers=bearer(user.token)).status == 200, "PostgreSQL is there")
        pg = int(gateway.pg["port"])
        Forwarder(("127.0.0.9", pg), ("127.0.0.1", pg))
        hosts.write_text("127.0.0.1 localhost\n127.0.0.9 db.media.test\n")
        wait("it follows", lambda: "hostaddr='127.0.0.9'" in gateway.conf(), 45)
        wait("it is ready", lambda: gateway.ask("GET", "/readyz", port="ops").status == 200, 20)
        check(gateway.ask("GET", "/me", headers=bearer(user.token)).status == 200, "PostgreSQL is there again")
    hosts.write_text("127.0.0.1 localhost\n")
    with Launcher(wrap=wrap, PGHOST="db.media.test") as gateway:
        wait("it waits", lambda: gateway.said(waiting), 20)
        gateway.term()
        check(gateway.process.wait(10) == 0, "TERM while it waits: 0")


# what a pod has: PID 1, a root that cannot be written, a /tmp of its own
CONTAINER = ("mount --make-rprivate / && mount -t tmpfs tmpfs \"$0\" && chmod 1777 \"$0\" && mount -o remount,bind,ro / "
             "&& exec \"$@\"")


def test_container():
    """As PID 1 with a read-only root"""
    user = User()
    gateway = Launcher()
    tmp = str(gateway.dir / "tmp")
    gateway.wrap = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", CONTAINER, tmp]
    gateway.env.update(MEDIA_CACHE_DIR=tmp + "/cache")
    if subprocess.run([*gateway.wrap, "true"], capture_output=True).returncode != 0:
        skip("container", "no namespaces here")
        return
    with gateway:
        gateway.ready()
        answer = gateway.ask("PUT", "/upload/a.mp4", clip().read_bytes(), bearer(user.token))
        check(answer.status == 201, "an upload", answer)
        answer = gateway.ask("GET", f"/media/{answer.json['id']}/original", headers=bearer(user.token))
        check(answer.body == clip().read_bytes(), "a download")
        init = gateway.pids()[1]
        check("media-gateway" in pathlib.Path(f"/proc/{init}/comm").read_text(), "it is PID 1")
        # a shell that leaves its child behind: PID 1 inherits it
        subprocess.run(["nsenter", "-t", str(init), "-p", "sh", "-c", "sleep 1 &"], check=True)

        def children():
            """name -> state"""
            stats = [pathlib.Path(f"/proc/{pid}/stat").read_text().split() for pid in gateway.pids()[2:]]
            return {stat[1]: stat[2] for stat in stats}
        wait("the orphan comes", lambda: "(sleep)" in children(), 5)
        wait("and is reaped", lambda: "(sleep)" not in children(), 10)
        check("Z" not in children().values(), "no zombies", children())
        os.kill(init, signal.SIGTERM)
        check(gateway.process.wait(30) == 0, "TERM: 0", gateway.err())


main(test_ports, test_certificate, test_keys, test_term, test_killed, test_routes, test_proxies, test_secrets, test_names,
     test_container)

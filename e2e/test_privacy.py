#!/usr/bin/python3
"""What is mine stays mine: other users, other tokens, secrets in logs, arguments, answers and rows, open ports."""

import base64
import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import threading
import urllib.parse
import uuid

from lib import (BUCKET, RUN, URL, SlowUpload, User, check, clip, freeze, hasten, kill, link_of, looped, mail_of, main,
                 media_like, note, own_process, pids, request, s3, servers, sql, tcp_sockets, thaw, up, value, wait,
                 wait_ready)
from smtp import Smtp

JSON = {"Content-Type": "application/json"}


def problem(answer, media_id="no id"):
    """An answer without what must differ between two requests."""
    text = answer.body.decode().replace(media_id, "ID")
    request_id = answer.headers["X-Request-Id"]
    return (answer.status, sorted(k.lower() for k in answer.headers.keys()), answer.headers["Content-Length"],
            text.replace(request_id, "REQUEST"))


# ---- other people's media ----

def test_other_users():
    """somebody else's media cannot be told from one that does not exist"""
    alice, bob = User("alice"), User("bob")
    theirs = alice.upload(looped(1), name="geheim.mp4")
    assert alice.settled(theirs)["state"] == "ready"
    mine = bob.upload(looped(1))
    assert bob.settled(mine)["state"] == "ready"
    unknown = f"{theirs[:14]}7{uuid.uuid4().hex[:3]}-{theirs[19:23]}-{uuid.uuid4().hex[:12]}"
    for method, path in (("GET", "/media/{}"), ("HEAD", "/media/{}"), ("GET", "/media/{}/original"),
                         ("HEAD", "/media/{}/original"), ("GET", "/media/{}/audio.mp3"), ("HEAD", "/media/{}/audio.mp3"),
                         ("GET", "/media/{}/none.mp3"), ("GET", "/download?fid={}"), ("POST", "/media/{}/token")):
        his = bob.request(method, path.format(theirs))
        none = bob.request(method, path.format(unknown))
        check(his.status == 404, f"{method} {path.format('ID')}: 404", his)
        check(problem(his, theirs) == problem(none, unknown), f"{method} {path.format('ID')}: as if it did not exist",
              f"{problem(his, theirs)}\n{problem(none, unknown)}")
    for headers in ({"Range": "bytes=0-9"}, {"If-None-Match": "*"}, {"If-Match": '"x"'}):
        his = bob.request("GET", f"/media/{theirs}/original", headers=headers)
        check(his.status == 404, f"{headers}: 404, no oracle", his)
    listed = bob.request("GET", "/media").json["items"]
    check([m["id"] for m in listed] == [mine], "the list holds one's own media only", listed)
    check(not bob.request("GET", "/media?q=geheim").json["items"], "a search finds nothing of others")
    alice.upload(media_like(5000))
    cursor = alice.request("GET", "/media?limit=1").headers["Link"]
    cursor = re.search(r"<([^>]*)>", cursor).group(1)
    page = bob.request("GET", cursor[cursor.index("/media"):])
    check(page.status == 200 and all(m["id"] == mine for m in page.json["items"]),
          "another user's cursor opens nothing", page)
    check(alice.request("GET", f"/media/{theirs}").status == 200, "its owner sees it")
    for method, path in (("GET", f"/media/{theirs}"), ("GET", f"/media/{theirs}/original"), ("GET", "/media"),
                         ("GET", f"/download?fid={theirs}"), ("POST", f"/media/{theirs}/token")):
        answer = request(method, path)
        check(answer.status == 401 and "error=" not in answer.headers["WWW-Authenticate"],
              f"{method} {path.replace(theirs, 'ID')} without a token: 401", answer)


def test_play_tokens():
    """a playback token opens its media and nothing else"""
    user = User()
    first, second = user.upload(looped(1)), user.upload(looped(2))
    user.settled(first), user.settled(second)
    tokens = [user.request("POST", f"/media/{m}/token", "{}", JSON).json["token"] for m in (first, second)]
    digests = [{o["name"]: o["size"] for o in user.media(m)["outputs"]} for m in (first, second)]
    for token, digest in zip(tokens, digests):
        answer = request("GET", f"/play/{token}/audio.mp3")
        check(answer.status == 200 and len(answer.body) == digest["audio.mp3"], "a token opens its own media", answer.status)
    parts = [t.split(".") for t in tokens]
    crossed = f"{parts[0][0]}.{parts[1][1]}.{parts[0][2]}"
    check(request("GET", f"/play/{crossed}/audio.mp3").status == 401, "claims of one, signature of the other: 401")
    for path in (f"/play/{tokens[0]}/../{second}/audio.mp3", f"/play/{tokens[0]}/{second}", f"/play/{tokens[0]}/",
                 f"/play/{tokens[0]}/%2e%2e%2f{second}%2foriginal", f"/play/{tokens[0]}/none.mp3"):
        answer = request("GET", path)
        check(answer.status in (400, 401, 404), f"{path.replace(tokens[0], 'T').replace(second, 'ID2')}: refused", answer)
    for path in (f"/media/{first}", f"/media/{second}/audio.mp3", "/media", "/me"):
        answer = request("GET", path, headers={"Authorization": "Bearer " + tokens[0]})
        check(answer.status == 401 and answer.json["code"] == "token_invalid",
              f"{path.replace(first, 'ID1').replace(second, 'ID2')} with a playback token: 401", answer)


def test_disabled():
    """a disabled account can neither log in nor upload"""
    user = User()
    media_id = user.upload(looped(1))
    user.settled(media_id)
    before = value("SELECT now()")
    subprocess.run(["mediactl", "user", "disable", user.email], check=True, stdout=subprocess.DEVNULL)
    body = json.dumps({"email": user.email, "password": user.password})
    disabled = request("POST", "/login", body, JSON)
    unknown = request("POST", "/login", body.replace(user.email, "x" * (len(user.email) - 4) + "@b.c"), JSON)
    check(disabled.status == 401 and problem(disabled) == problem(unknown),
          "login: like an unknown account", disabled)
    upload = SlowUpload(user, 1 << 20, headers={"Expect": "100-continue"})
    answer = upload.answer()  # without a byte of the body
    upload.close()
    check(answer.status == 401 and answer.json["code"] == "token_invalid", "upload with a token from before: 401", answer)
    check(user.post_form(media_like(5000)).status == 401, "form: 401")
    check(user.request("GET", "/me").status == 401, "/me: 401")
    check(value("SELECT count(*) FROM media.objects WHERE created_at > %s", before) == 0, "nothing was written")
    check(value("SELECT count(*) FROM media.sessions WHERE user_id = (SELECT id FROM media.users WHERE email = %s)",
                user.email) == 0, "its sessions are gone")
    subprocess.run(["mediactl", "user", "enable", user.email], check=True, stdout=subprocess.DEVNULL)
    user.login()
    check(user.put(media_like(5000)).status == 201, "enabled again, it works again")


# ---- secrets ----

class Watch:
    """Every command line that a process of this machine has while the test runs."""

    def __init__(self):
        self.lines = set()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def _look(self):
        while not self.over.wait(0.2):
            for name in os.listdir("/proc"):
                if name.isdigit():
                    try:
                        self.lines.add(pathlib.Path("/proc", name, "cmdline").read_bytes())
                    except OSError:
                        pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Secrets:
    """What nobody may find, by what it is."""

    def __init__(self):
        self.known = {}
        for path in (RUN / "secrets").iterdir():
            text = path.read_text().strip()
            if re.fullmatch(r"[0-9a-f]{32,}", text):
                self.add(path.name, text)
        self.add("S3 secret", os.environ["AWS_SECRET_ACCESS_KEY"])

    def add(self, name, text):
        forms = {text, urllib.parse.quote(text), urllib.parse.quote_plus(text), json.dumps(text)[1:-1]}
        self.known[name] = {f.encode() for f in forms}

    def token(self, name, text):
        """A JWT: its signature is the secret of it."""
        self.add(name, text.rpartition(".")[2])

    def in_bytes(self, data):
        return sorted(name for name, forms in self.known.items() if any(f in data for f in forms))


# whoever's they are
SIGNS = re.compile(rb"Signature=[0-9A-Fa-f]{8}|X-Amz-Signature|AWS4-HMAC|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"
                   rb"|(?:Bearer|Basic) [A-Za-z0-9+/=_-]{12,}|\$y\$j")


def logins(secrets, errors):
    """Good and bad ones; the account that the rest uses."""
    user = User("secret")
    secrets.add("password", user.password)
    basic = base64.b64encode(f"{user.email}:{user.password}".encode()).decode()
    secrets.add("basic credentials", basic)
    answer = request("POST", "/login", headers={"Authorization": "Basic " + basic})
    check(answer.status == 200, "login by Basic", answer.status)
    secrets.token("access token", answer.json["access_token"])
    secrets.add("refresh token", answer.json["refresh_token"])
    refresh = answer.json["refresh_token"]
    secrets.token("access token 2", user.token)
    wrong = "wrong " + uuid.uuid4().hex
    secrets.add("wrong password", wrong)
    for email in (user.email, "nobody@example.org"):
        errors.append(request("POST", "/login", json.dumps({"email": email, "password": wrong}), JSON))
        pair = base64.b64encode(f"{email}:{wrong}".encode()).decode()
        secrets.add(f"wrong credentials of {email}", pair)
        errors.append(request("POST", "/login", headers={"Authorization": "Basic " + pair}))
    errors.append(request("POST", "/login", json.dumps({"email": user.email, "password": user.password, "more": 1}), JSON))
    errors.append(request("POST", "/login", json.dumps({"email": user.email, "pasword": user.password}), JSON))
    errors.append(request("POST", "/login", '{"email": "%s", "password": "%s"' % (user.email, user.password), JSON))
    errors.append(request("POST", "/login", user.password))
    # the account is made under the eyes of ps
    password = "typed " + uuid.uuid4().hex
    secrets.add("typed password", password)
    done = subprocess.run(["mediactl", "--json", "user", "passwd", "nobody@example.org", "--password-stdin"],
                          input=password, text=True, capture_output=True)
    check(done.returncode == 3 and password not in done.stdout + done.stderr, "mediactl does not repeat a password",
          done.stderr)
    return user, refresh


def traffic(user, secrets, errors):
    """Uploads, downloads, links, mails, and requests that go wrong. A media and the paths that open it."""
    media_id = user.upload(looped(1), name="offen.mp4")
    check(user.post_form(clip().read_bytes()).status == 201, "form upload")
    chunked = SlowUpload(user, 0, headers={"Transfer-Encoding": "chunked"})
    chunked.send(media_like(100000))
    chunked.end()
    check(chunked.answer().status == 201, "chunked upload")
    user.settled(media_id)
    link = link_of(mail_of(media_id)[2])
    secrets.token("link of the mail", link.split("/")[2])
    play = user.request("POST", f"/media/{media_id}/token", "{}", JSON).json["token"]
    secrets.token("playback token", play)
    paths = [link, f"/play/{play}/audio.mp3", f"/play/{play}/original"]
    for path in paths:
        check(request("GET", path).status == 200, f"{path.split('/')[-1]} by playback token")
    check(user.request("GET", f"/download?fid={media_id}").status == 200, "download by access token")
    broken = user.token[:-6] + ("A" * 6)
    secrets.token("broken token", broken)
    for headers in ({"Authorization": "Bearer " + broken}, {"Authorization": "bearer  " + broken},
                    {"Authorization": "Bearer " + link.split("/")[2]}, {"Authorization": broken}):
        errors.append(request("GET", "/media", headers=headers))
        errors.append(request("PUT", "/upload/a.mp4", media_like(1000), headers))
    errors.append(request("GET", f"/play/{play[:-6]}AAAAAA/audio.mp3"))
    errors.append(request("GET", f"/play/{play}/none.mp3"))
    errors.append(request("DELETE", f"/play/{play}/audio.mp3"))
    errors.append(request("GET", f"/%70lay/{play}/none.mp3"))
    errors.append(request("GET", f"//play/{play}/none.mp3"))
    errors.append(request("GET", f"/play/{play}/audio.mp3/"))
    errors.append(user.request("PUT", "/upload/a.mp4", b"no media at all" * 100))
    return media_id, paths


def drop_cache():
    """The files of the downloads' cache; nginx asks S3 again where one is gone."""
    cache = re.search(r"proxy_cache_path (\S+)", (RUN / "conf/nginx.conf").read_text()).group(1)
    for path in pathlib.Path(cache).rglob("*"):
        if path.is_file():
            path.unlink()


def without_s3(user, media_id, paths, errors):
    """Everything that asks S3, while nobody answers."""
    kill("s3")
    cached = [request("GET", path) for path in paths]
    check(all(a.status == 200 for a in cached), "without S3: the cache serves what it has", [a.status for a in cached])
    drop_cache()
    asked = [request("GET", path, headers=headers) for path in paths for headers in ({}, {"Range": "bytes=0-9"})]
    asked.append(user.request("GET", f"/media/{media_id}/original"))
    asked.append(user.request("GET", f"/download?fid={media_id}"))
    asked.append(user.put(media_like(100000)))
    check(all(a.status == 503 for a in asked), "without S3: 503", [a.status for a in asked])
    errors += asked
    check(b"upstream" in (RUN / "log" / "error.log").read_bytes(), "nginx has logged the dead upstream")
    up("s3")
    wait_ready()


def wrong_credentials(user, secrets):
    """Workers that are not let in say so, and not with what."""
    log = RUN / "log" / "own-notifier-1.log"
    server = Smtp(is_closed=True)
    mail_password = "mail" + uuid.uuid4().hex
    broker_password = "amqp" + uuid.uuid4().hex
    secrets.add("SMTP password", mail_password)
    secrets.add("wrong AMQP password", broker_password)
    passfile = RUN / "tmp" / "wrong.pgpass"
    database_password = uuid.uuid4().hex
    secrets.add("wrong PG password", database_password)
    passfile.write_text(f"*:*:*:*:{database_password}\n")
    passfile.chmod(0o600)
    amqp = urllib.parse.urlsplit(os.environ["AMQP_URL"])
    amqp_url = amqp._replace(netloc=f"media:{broker_password}@{amqp.hostname}:{amqp.port}").geturl()
    url = server.url.replace("smtp://", f"smtp://post:{mail_password}@")
    log.unlink(missing_ok=True)
    processes = []
    freeze("notifier-1")
    try:
        processes.append(own_process("notifier-1", AMQP_URL=amqp_url, MEDIA_SMTP_URL=url, MEDIA_POLL_S="1",
                                     MEDIA_HEALTH_FILE=""))
        processes.append(own_process("notifier-1", PGPASSFILE=str(passfile), MEDIA_HEALTH_FILE=""))
        media_id = user.upload(looped(1))
        wait("the mail server has not let it in", lambda: value(
            "SELECT count(*) FROM media.jobs WHERE media_id = %s AND step = 'notify' AND error_code = 'mail_not_sent'",
            media_id), 60)
        wait("RabbitMQ and PostgreSQL refused", lambda: all(
            word in log.read_bytes() for word in (b"ACCESS_REFUSED", b"password authentication failed")), 30)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        thaw("notifier-1")
        server.close()
        passfile.unlink()
    hasten()
    mail_of(media_id)


def rows():
    """Every row of every table, as text."""
    tables = sql("SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', "
                 "'information_schema') AND tableowner = current_user")
    return {f"{s}.{t}": "\n".join(r[0] for r in sql(f'SELECT to_jsonb(t)::text FROM "{s}"."{t}" t')).encode()
            for s, t in tables}


def test_secrets():
    """no secret is found in logs, command lines, error bodies or rows"""
    secrets, errors = Secrets(), []
    with Watch() as watch:
        user, refresh = logins(secrets, errors)
        media_id, paths = traffic(user, secrets, errors)
        without_s3(user, media_id, paths, errors)
        wrong_credentials(user, secrets)
        up()
    logs = [p for p in (RUN / "log").rglob("*") if p.is_file()]
    note(f"{len(secrets.known)} secrets, {len(logs)} logs, {len(watch.lines)} command lines, {len(errors)} error bodies")
    for path in logs:
        data = path.read_bytes()
        found = secrets.in_bytes(data)
        check(not found, f"log {path.name}: no secret", found)
        found = SIGNS.findall(data)
        check(not found, f"log {path.name}: no token, signature or hash", [f[:60] for f in found[:5]])
    found = secrets.in_bytes(b"\n".join(watch.lines))
    check(not found, "command lines: no secret", found)
    check(all(400 <= a.status < 600 for a in errors), "(those were errors)", [a.status for a in errors])
    found = [a for a in errors for text in (a.body + str(a.headers).encode(),)
             if secrets.in_bytes(text) or SIGNS.search(text)]
    check(not found, "error bodies: no secret", found)
    tables = rows()
    check("media.users" in tables and "media.sessions" in tables, "(the tables were read)", tables.keys())
    for name, data in tables.items():
        check(not secrets.in_bytes(data), f"{name}: no secret in clear", secrets.in_bytes(data))
    hashed = value("SELECT password_hash FROM media.users WHERE email = %s", user.email)
    check(hashed.startswith("$y$"), "passwords are yescrypt hashes", hashed[:3])
    check(value("SELECT count(*) FROM media.sessions WHERE token_sha256 = %s",
                hashlib.sha256(refresh.encode()).hexdigest()) == 1, "refresh tokens are SHA-256 hashes")
    shown = subprocess.run(["mediactl", "--json", "user", "list"], capture_output=True, check=True).stdout
    check(user.email.encode() in shown and b"$y$" not in shown, "mediactl shows no hash")


def test_files():
    """files with secrets are their owner's alone"""
    private = [RUN / "env", RUN / "secrets", *(RUN / "secrets").iterdir(), *(RUN / "data").rglob("pgpass")]
    bad = [f"{p} {stat.filemode(p.stat().st_mode)}" for p in private if p.stat().st_mode & 0o077]
    check(len(private) > 5 and not bad, "0600 and 0700", bad)
    texts = [p for p in (RUN / "conf").rglob("*") if p.is_file() and not p.is_symlink()] + [RUN / "settings"]
    found = [f"{p}: {Secrets().in_bytes(p.read_bytes())}" for p in texts if Secrets().in_bytes(p.read_bytes())]
    check(not found, "the configuration holds no secret", found)


# ---- the decoder child ----

def children():
    """Decoder children that are at work: locked, program and all."""
    found = []
    for name in servers():
        if name.startswith("transcoder-"):
            for pid in pids(name)[1:]:
                try:
                    status = pathlib.Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue
                if re.search(r"^Seccomp:\s*2$", status, re.M):
                    found.append((pid, status))
    return found


def test_child():
    """the decoder child has no environment, no root, no files of its own"""
    user = User()
    media_id = user.upload(looped(210), name="long.mp4")
    pid, status = wait("a child at work", children, 60, 0.02)[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        proc = pathlib.Path(f"/proc/{pid}")
        check(proc.joinpath("environ").read_bytes() == b"", "empty environment", proc.joinpath("environ").read_bytes()[:80])
        check(len(proc.joinpath("cmdline").read_bytes().split(b"\0")) <= 3, "arguments: its name and one flag",
              proc.joinpath("cmdline").read_bytes())
        ids = re.search(r"^Uid:\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)$", status, re.M).groups()
        check(os.geteuid() != 0 or (len(set(ids)) == 1 and ids[0] not in ("0", "33")), "an unprivileged user", ids)
        check(re.search(r"^NoNewPrivs:\s*1$", status, re.M) and re.search(r"^CapEff:\s*0+$", status, re.M),
              "no new privileges, no capabilities", status)
        files = {int(fd.name): os.readlink(fd) for fd in (proc / "fd").iterdir()}
        check(set(files) <= {0, 1, 2, 3} and files[0] == "/dev/null" and files[3].startswith("socket:"),
              "nothing open but /dev/null, a pipe for messages and the socket pair", files)
    finally:
        os.kill(pid, signal.SIGCONT)
    check(user.settled(media_id)["state"] == "ready", "and it does its work")


# ---- from outside ----

def test_bucket():
    """the bucket opens to nobody without a key"""
    user = User()
    media_id = user.upload(media_like(5000))
    key = value("SELECT object_key FROM media.media WHERE id = %s", media_id)
    endpoint = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"])
    check(s3().head_object(Bucket=BUCKET, Key=key)["ContentLength"] == 5000, "(the object is there)")
    for method, path in (("GET", f"/{BUCKET}/{key}"), ("HEAD", f"/{BUCKET}/{key}"), ("GET", f"/{BUCKET}?list-type=2"),
                         ("GET", "/"), ("PUT", f"/{BUCKET}/new"), ("DELETE", f"/{BUCKET}/{key}")):
        c = http.client.HTTPConnection(endpoint.hostname, endpoint.port, timeout=20)
        c.request(method, path)
        check(c.getresponse().status == 403, f"{method} {path.replace(key, 'KEY')}: 403")
        c.close()


def listening():
    """(server, address, port) of every listening TCP socket of our processes."""
    return {(name, *local) for name in servers() for pid in pids(name)
            for state, local, _ in tcp_sockets(pid) if state == "0A"}


def test_ports():
    """every port is bound to loopback, also those of Erlang"""
    found = listening()
    bad = [f for f in found if f[1] not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")]
    check(not bad, "loopback only", bad)
    names = {f[0] for f in found}
    check({"nginx", "postgres", "rabbitmq", "epmd", "s3", "smtp"} <= names, "(all servers were seen)", sorted(names))
    check(sum(f[0] == "rabbitmq" for f in found) == 2, "(AMQP and distribution)", [f for f in found if f[0] == "rabbitmq"])
    check(URL.hostname == "127.0.0.1", "and the URL says so")


main(test_other_users, test_play_tokens, test_disabled, test_secrets, test_files, test_child, test_bucket, test_ports)

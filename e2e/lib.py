"""What the end-to-end tests share: the running system (`make up`, its environment sourced), a client, the
rows and objects behind it, and ways to hurt the parts. A test file is a program that prints TAP.

Conditions are awaited with a deadline, never slept for."""

import email
import email.policy
import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import traceback
import urllib.parse
import uuid

import boto3
import botocore.config
import psycopg2

ROOT = pathlib.Path(__file__).resolve().parent.parent
RUN = pathlib.Path(os.environ.get("MEDIA_RUN") or ROOT / ".run")
URL = urllib.parse.urlsplit(os.environ["MEDIA_URL"])
MAILS = pathlib.Path(os.environ["MEDIA_MAIL_DIR"])
BUCKET = os.environ.get("MEDIA_S3_BUCKET", "media")


# ---- TAP ----

_count = 0
_failed = 0


def check(condition, name, detail=""):
    """One test point."""
    global _count, _failed
    _count += 1
    if condition:
        print(f"ok {_count} - {name}", flush=True)
    else:
        _failed += 1
        print(f"not ok {_count} - {name}", flush=True)
        for line in str(detail).splitlines():
            print(f"# {line}", flush=True)
    return bool(condition)


def skip(name, why):
    global _count
    _count += 1
    print(f"ok {_count} - {name} # skip {why}", flush=True)


def note(text):
    print(f"# {text}", flush=True)


def main(*tests):
    """Runs each test function; one that raises is a failed point of its own."""
    for test in tests:
        note(test.__name__ + ": " + (test.__doc__ or "").strip().splitlines()[0])
        began = time.monotonic()
        try:
            test()
        except Exception:
            check(False, test.__name__, traceback.format_exc())
        finally:
            thaw_all()
            note(f"{test.__name__}: {time.monotonic() - began:.1f} s")
    print(f"1..{_count}", flush=True)
    sys.exit(1 if _failed else 0)


def wait(what, probe, seconds=60, every=0.05):
    """The first true value of probe(); raises after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)


# ---- the client ----

class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:400]!r}"


class User:
    """An account made by mediactl, with a fresh token."""

    def __init__(self, name="u", *roles):
        self.email = f"{name}.{uuid.uuid4().hex[:8]}@example.org"
        self.password = "pass " + uuid.uuid4().hex
        roles = [word for role in roles for word in ("--role", role)]
        subprocess.run(["mediactl", "user", "add", self.email, "--password-stdin", *roles], check=True,
                       input=self.password, text=True, stdout=subprocess.DEVNULL)
        self.login()

    def login(self):
        answer = request("POST", "/login", json.dumps({"email": self.email, "password": self.password}),
                         {"Content-Type": "application/json"})
        assert answer.status == 200, answer
        self.token = answer.json["access_token"]

    def request(self, method, path, body=None, headers=None, **kw):
        return request(method, path, body, {"Authorization": "Bearer " + self.token, **(headers or {})}, **kw)

    def put(self, path_or_bytes, name="clip.mp4", query=""):
        body = path_or_bytes
        if isinstance(body, (str, pathlib.Path)):
            body = pathlib.Path(body).read_bytes()
        return self.request("PUT", f"/upload/{urllib.parse.quote(name)}{query}", body)

    def post_form(self, data, name="clip.mp4", **fields):
        """An upload as a browser's form sends it; a field's text is sent as it is."""
        parts = [f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
        parts.append(f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n')
        return self.request("POST", "/upload", "".join(parts).encode() + data + b"\r\n--b--\r\n",
                            {"Content-Type": "multipart/form-data; boundary=b"})

    def upload(self, path_or_bytes, **kw):
        """The id of an accepted upload."""
        answer = self.put(path_or_bytes, **kw)
        assert answer.status == 201, answer
        return answer.json["id"]

    def media(self, media_id):
        answer = self.request("GET", f"/media/{media_id}")
        return answer.json if answer.status == 200 else None

    def settled(self, media_id, seconds=120):
        def probe():
            media = self.media(media_id)
            return media if media and media["state"] != "processing" else None
        return wait(f"media {media_id} settled", probe, seconds, 0.1)


def pipeline_query(pipeline, **params):
    """The part of an upload's URL that chooses what is made of it."""
    return "?" + urllib.parse.urlencode({"pipeline": pipeline, "params": json.dumps(params)})


def connect(timeout=60):
    return http.client.HTTPConnection(URL.hostname, URL.port, timeout=timeout)


def request(method, path, body=None, headers=None, timeout=120, port=None):
    c = http.client.HTTPConnection(URL.hostname, port or URL.port, timeout=timeout)
    try:
        c.request(method, path, body, headers or {})
        return Answer(c.getresponse())
    finally:
        c.close()


def ready():
    """What /readyz says: status and text."""
    answer = request("GET", "/readyz")
    return answer.status, answer.body.decode()


def wait_ready():
    """Every dependency is there and the gateway knows it. /readyz speaks for the nginx process that answers; the
    others may still pause before their next attempt, so each must have a connection that PostgreSQL has let in."""
    def probe():
        status, text = ready()
        if status != 200 or "degraded" in text:
            return False
        let_in = {row[0] for row in sql("SELECT client_port FROM pg_stat_activity WHERE usename = 'media_gateway'",
                                        user="postgres")}
        return all(let_in & {local[1] for _, local, _ in tcp_sockets(pid)} for pid in nginx_workers())
    wait("the gateway is ready", probe, 60, 0.1)


class SlowUpload:
    """A PUT whose body the test sends piece by piece."""

    def __init__(self, user, size, name="slow.mp4", headers=None, connection=None):
        self.c = connection or connect()
        self.size = size
        self.sent = 0
        self.c.putrequest("PUT", "/upload/" + name)
        self.c.putheader("Authorization", "Bearer " + user.token)
        for key, value in (headers or {}).items():
            self.c.putheader(key, value)
        self.chunked = (headers or {}).get("Transfer-Encoding") == "chunked"
        if not self.chunked:
            self.c.putheader("Content-Length", str(size))
        self.c.endheaders()

    def send(self, data):
        self.sent += len(data)
        self.c.send(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)

    def end(self):
        if self.chunked:
            self.c.send(b"0\r\n\r\n")

    def answer(self):
        return Answer(self.c.getresponse())

    def close(self):
        self.c.close()


# ---- rows, objects, mails ----

def sql(text, *args, user="media_owner"):
    """Rows of a statement, as the owner of the schema."""
    with psycopg2.connect(user=user, dbname=os.environ["PGDATABASE"],
                          passfile=RUN / "secrets" / f"pgpass-{user}") as c, c.cursor() as cur:
        cur.execute(text, args or None)
        return cur.fetchall() if cur.description else []


def value(text, *args):
    return sql(text, *args)[0][0]


def segment_sums(media_id):
    """[(track, number, sha256)] of a ladder's segments"""
    return sql("SELECT track, number, sha256 FROM media.segments WHERE media_id = %s ORDER BY 1, 2", media_id)


def s3():
    return boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"],
                        config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 3}))


def buckets():
    """The bucket of what was uploaded and that of what was made of it, which may be the same one."""
    return {BUCKET, os.environ.get("MEDIA_S3_OUTPUT_BUCKET", BUCKET)}


def objects(*names):
    """Every key in these buckets, or in all."""
    lister = s3().get_paginator("list_objects_v2")
    return {o["Key"] for name in names or buckets() for page in lister.paginate(Bucket=name)
            for o in page.get("Contents", [])}


def multiparts(keys):
    """Unfinished multipart uploads under exactly these keys."""
    client = s3()
    return {(u["Key"], u["UploadId"]) for key in keys for name in buckets()
            for u in client.list_multipart_uploads(Bucket=name, Prefix=key).get("Uploads", [])}


def _unowned():
    """What nobody answers for: objects without a live row, rows without an object, open reservations."""
    live = {row[0] for row in sql("SELECT object_key FROM media.objects WHERE state = 'live'")}
    have = objects()
    problems = [f"object without owner: {k}" for k in sorted(have - live)]
    problems += [f"live row without object: {k}" for k in sorted(live - have)]
    problems += [f"open upload: {r[0]}" for r in sql("SELECT id FROM media.uploads")]
    problems += [f"{r[1]} row: {r[0]}" for r in
                 sql("SELECT object_key, state FROM media.objects WHERE state <> 'live'")]
    return problems


# Other suites commit uploads whose S3 is a script of theirs.
_inherited = frozenset(_unowned())


def unowned(media_id=""):
    """What nobody answers for since this test file began, of one media or of all."""
    return [problem for problem in _unowned() if problem not in _inherited and media_id in problem]


def mails(media_id):
    """Every mail about a media, oldest first: (file, bytes, parsed)."""
    found = []
    for path in sorted(MAILS.glob("*.eml")):
        data = path.read_bytes()
        if media_id.encode() in data:
            found.append((path, data, email.message_from_bytes(data, policy=email.policy.default)))
    return found


def mail_of(media_id, seconds=120):
    return wait(f"mail about {media_id}", lambda: mails(media_id), seconds, 0.1)[0]


def link_of(message):
    """The path of the playback link in a mail."""
    text = message.get_body(("plain",)).get_content()
    return urllib.parse.urlsplit(re.search(r"https?://\S+/play/\S+", text).group(0)).path


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# ---- media ----

def clip():
    """A real clip of five seconds with sound (fetched by make test)."""
    return pathlib.Path(os.environ["MEDIA_CLIP"])


def looped(seconds, directory=RUN / "tmp"):
    """The clip looped to `seconds`, without encoding it anew."""
    out = directory / f"loop-{seconds}.mp4"
    if not out.exists():
        _ffmpeg(out, "-stream_loop", "-1", "-i", clip(), "-t", str(seconds), "-c", "copy", "-movflags", "+faststart")
    return out


def film_of(seconds, height=1080, mbps=8, suffix="mp4", directory=RUN / "tmp"):
    """The clip in another size at a constant rate, looped to `seconds`, in the container that the suffix means."""
    out = directory / f"film-{seconds}-{height}-{mbps}.{suffix}"
    if out.exists():
        return out
    once = directory / f"film-{height}-{mbps}.mkv"
    if not once.exists():
        rate = ["-b:v", f"{mbps}M", "-maxrate", f"{mbps}M", "-bufsize", f"{mbps}M", "-x264-params", "nal-hrd=cbr"]
        _ffmpeg(once, "-i", clip(), "-vf", f"scale=-2:{height}", "-c:v", "libx264", "-preset", "veryfast", *rate,
                "-g", "50", "-c:a", "copy")
    _ffmpeg(out, "-stream_loop", "-1", "-i", once, "-t", str(seconds), "-c", "copy")
    return out


def _ffmpeg(out, *args):
    part = out.with_suffix(".part" + out.suffix)
    subprocess.run(["ffmpeg", "-v", "error", "-y", *args, part], check=True)
    part.rename(out)


def media_like(size):
    """Bytes that sniff as mp4 and are none: for tests of the gateway alone."""
    return clip().read_bytes()[:min(4096, size)].ljust(size, b"\x5a")


# ---- hurting the parts ----

_frozen = {}


def servers():
    """The names of what make up has started."""
    return sorted(p.name for p in (RUN / "pid").iterdir())


def pids(name):
    """The process of a server of make up and all its children."""
    top = int((RUN / "pid" / name).read_text().split()[0])
    out = [top]
    for pid in out:
        try:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                out += [int(p) for p in (task / "children").read_text().split()]
        except FileNotFoundError:
            pass
    return out


def nginx_workers():
    """The processes of nginx that serve: neither the master nor those that keep the cache of downloads."""
    def serves(pid):
        try:
            return b"worker process" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
    return [pid for pid in pids("nginx")[1:] if serves(pid)]


def kill(name, sig=signal.SIGKILL):
    """Kills a server with its children, at once; waits until it is gone."""
    victims = pids(name)
    for pid in victims:
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            pass
    # not even a zombie: PostgreSQL takes one in postmaster.pid for a running server
    wait(f"{name} gone", lambda: not any(os.path.exists(f"/proc/{p}") for p in victims), 30)


def tcp_sockets(pid):
    """(state, local address, remote address) of a process's TCP sockets, as the kernel has them: state 0A listens."""
    inodes = set()
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(os.readlink(fd)[len("socket:["):-1])
        except FileNotFoundError:
            pass

    def address(text):
        host, port = text.split(":")
        raw = b"".join(bytes.fromhex(host[i:i + 8])[::-1] for i in range(0, len(host), 8))
        return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw), int(port, 16)
    lines = [line.split() for file in ("tcp", "tcp6")
             for line in pathlib.Path("/proc/net", file).read_text().splitlines()[1:]]
    return [(word[3], address(word[1]), address(word[2])) for word in lines if word[9] in inodes]


def freeze(name):
    _frozen[name] = pids(name)
    for pid in _frozen[name]:
        os.kill(pid, signal.SIGSTOP)


def thaw(name):
    for pid in _frozen.pop(name, []):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass


def thaw_all():
    for name in list(_frozen):
        thaw(name)


def up(*servers, **env):
    """Starts what is missing (make up), with more environment."""
    subprocess.run([ROOT / "dev/up.sh", *servers], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "MEDIA_RUN": str(RUN), **env})


def stop(name):
    """Stops one server in an orderly way."""
    kill(name, signal.SIGTERM)


def own_environ(like):
    """The environment and the program of a running server."""
    environ = pathlib.Path(f"/proc/{pids(like)[0]}/environ").read_bytes().split(b"\0")
    return (dict(entry.decode().split("=", 1) for entry in environ if entry), os.readlink(f"/proc/{pids(like)[0]}/exe"))


def own_process(like, **env):
    """A process of the test's own: the program of a running server with its environment, changed by `env`
    (None: taken out)."""
    base, program = own_environ(like)
    env = {name: value for name, value in {**base, **env}.items() if value is not None}
    with open(RUN / "log" / f"own-{like}.log", "ab") as log:
        return subprocess.Popen([program], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def expire_leases():
    """Time passes: the lease of every running job is over, and the pause before the next attempt, too."""
    sql("UPDATE media.jobs SET lease_until = now() - interval '1s' WHERE state = 'running'")
    janitor_pass()
    hasten()


def hasten():
    """Time passes: what waits for its next attempt is due."""
    sql("UPDATE media.jobs SET not_before = now() WHERE state = 'queued'")
    janitor_pass()


def janitor_pass(**env):
    """Time passes for objects that are to be deleted; then one sweep of a janitor of our own that takes every idle
    upload for dead. What S3 may finish late is looked for again by a later pass."""
    sql("UPDATE media.objects SET retry_at = now() WHERE state = 'doomed'")
    base = {k: v for k, v in os.environ.items() if not k.startswith("MEDIA_HEALTH")}
    env = {"PGUSER": "media_janitor", "MEDIA_UPLOAD_STALE_S": "1", "MEDIA_OUTBOX_AGE_S": "0", **env}
    done = subprocess.run(["media-janitor", "--once"], env={**base, **env}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def nothing_left(what="", seconds=90):
    """Time passes until every row and object has an owner: a test point, which says what has none."""
    def probe():
        janitor_pass()
        return not unowned()
    left = []
    try:
        wait("nothing is left", probe, seconds, 0.5)
    except TimeoutError:
        left = unowned()
    check(not left, f"{what}: nothing is left over" if what else "nothing is left over", "\n".join(left))

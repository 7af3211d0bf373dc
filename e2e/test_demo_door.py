#!/usr/bin/python3
"""The front door: make up, status, down, PURGE and Ctrl-C on an instance of its own; mediactl's exit codes."""

import contextlib
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.request
import uuid

from lib import ROOT, User, check, clip, looped, main, media_like, note, wait

PORTS = ("MEDIA_PORT", "MEDIA_PG_PORT", "MEDIA_AMQP_PORT", "MEDIA_DIST_PORT", "MEDIA_EPMD_PORT", "MEDIA_S3_PORT",
         "MEDIA_SMTP_PORT")


def free_ports(count):
    """Ports that nobody listens on, below those the kernel hands out."""
    found = []
    while len(found) < count:
        port = random.randrange(10000, 20000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found += [port] if port not in found else []
    return found


class Instance:
    """A system beside the one under test: its own directory, its own ports, nothing of our environment."""

    def __init__(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="ngx_media-door-", dir="/var/tmp"))
        self.top.chmod(0o755)
        self.run = self.top / "run"
        keep = {k: v for k, v in os.environ.items() if k in ("HOME", "LANG", "PRESET", "MEDIA_CACHE", "XDG_CACHE_HOME")}
        self.env = {**keep, "PATH": os.environ["PATH"], "MEDIA_RUN": str(self.run), "WORKERS": "1",
                    **{name: str(port) for name, port in zip(PORTS, free_ports(len(PORTS)))}}

    def make(self, *arguments, **env):
        return subprocess.run(["make", "-C", ROOT, *arguments], env={**self.env, **env}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def shell(self, command, **kw):
        """A command with this instance's environment sourced."""
        return subprocess.run(["bash", "-c", f"source {shlex.quote(str(self.run / 'env'))}; {command}"], env=self.env,
                              text=True, capture_output=True, **kw)

    def pids(self):
        return {p.name: int(p.read_text().split()[0]) for p in (self.run / "pid").iterdir()}

    def home(self):
        """Where servers that give up root keep their data."""
        return (self.run / "data").resolve()

    def processes(self, home):
        """Whatever runs for this instance, by command line, environment or an open directory."""
        found = []
        for proc in pathlib.Path("/proc").iterdir():
            if proc.name.isdigit() and int(proc.name) != os.getpid():
                try:
                    text = b"".join((proc / f).read_bytes() for f in ("cmdline", "environ"))
                    text += os.readlink(proc / "cwd").encode()
                except OSError:
                    continue
                if str(self.run).encode() in text or str(home).encode() in text:
                    found.append((int(proc.name), text[:80]))
        return found

    def listening(self):
        found = []
        for port in (int(self.env[name]) for name in PORTS):
            with socket.socket() as s:
                found += [port] if s.connect_ex(("127.0.0.1", port)) == 0 else []
        return found

    def remove(self):
        self.make("down", PURGE="1")
        shutil.rmtree(self.top, ignore_errors=True)


def interrupted(instance, when, name):
    """Ctrl-C, as a terminal sends it: SIGINT to the whole group of make."""
    log = tempfile.TemporaryFile("w+")
    make = subprocess.Popen(["make", "-C", ROOT, "up"], env=instance.env, stdout=log, stderr=log,
                            stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        wait(f"make up has come to {name}", lambda: when() or make.poll() is not None, 120, 0.01)
        home = instance.home()
        os.killpg(make.pid, signal.SIGINT)
        code = make.wait(60)
    finally:
        if make.poll() is None:
            os.killpg(make.pid, signal.SIGKILL)
    log.seek(0)
    check(code != 0, f"Ctrl-C at {name}: make up has not succeeded", log.read())
    left = instance.processes(home)
    check(not left, f"Ctrl-C at {name}: no process is left", left)
    check(not instance.listening(), f"Ctrl-C at {name}: no port is open", instance.listening())


def login(instance, email, password):
    request = urllib.request.Request(f"http://127.0.0.1:{instance.env['MEDIA_PORT']}/login", method="POST",
                                     data=json.dumps({"email": email, "password": password}).encode(),
                                     headers={"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))["access_token"]


def fetch(instance, path, token, method="GET", data=None):
    request = urllib.request.Request(f"http://127.0.0.1:{instance.env['MEDIA_PORT']}{path}", method=method, data=data,
                                     headers={"Authorization": "Bearer " + token})
    return urllib.request.urlopen(request).read()


def converted(instance, email, password):
    """The id and the mp3 of an upload."""
    token = login(instance, email, password)
    media_id = json.loads(fetch(instance, "/upload/a.mp4", token, "PUT", looped(1).read_bytes()))["id"]
    wait("the mp3", lambda: json.loads(fetch(instance, f"/media/{media_id}", token))["state"] == "ready", 60)
    wait("the mail", lambda: any(media_id.encode() in p.read_bytes() for p in (instance.run / "mail").glob("*.eml")), 60)
    return media_id, fetch(instance, f"/download?fid={media_id}", token)


def test_door():
    """make up, up again, status, down, up, PURGE"""
    instance = Instance()
    try:
        pid_file = instance.run / "pid"
        interrupted(instance, lambda: (pid_file / "rabbitmq").exists(), "the first servers")
        interrupted(instance, lambda: (pid_file / "transcoder-1").exists(), "the workers")
        life(instance)
    finally:
        home = instance.home()
        instance.remove()
        check(not home.exists() and not instance.processes(home), "nothing is left of this test")


def life(instance):
    done = instance.make("up")
    if not check(done.returncode == 0, "make up", done.stdout):
        return
    pids = instance.pids()
    check({"nginx", "postgres", "rabbitmq", "epmd", "s3", "smtp",
           "transcoder-1", "encoder-1", "anonymizer-1", "renderer-1", "notifier-1", "janitor-1"} == set(pids),
          "everything is up", sorted(pids))
    done = instance.make("up")
    check(done.returncode == 0 and instance.pids() == pids, "make up again: the same processes", done.stdout)
    done = instance.make("up", WORKERS="2")
    check(done.returncode == 0 and {**instance.pids(), **pids} == instance.pids() and "transcoder-2" in instance.pids(),
          "make up WORKERS=2: one more", done.stdout)
    done = instance.make("up", WORKERS="1")
    check(done.returncode == 0 and instance.pids() == pids, "make up WORKERS=1: one less", done.stdout)
    done = instance.make("status")
    check(done.returncode == 0 and all(re.search(rf"^{name} +up +pid {pid} ", done.stdout, re.M)
                                       for name, pid in pids.items()), "make status: all up, with pids", done.stdout)
    check("readyz" in done.stdout and re.search(r"postgres\w*\W+ok", done.stdout), "and what /readyz says", done.stdout)

    done = instance.shell("mediactl user add a@example.org --password-stdin", input="pass word 12")
    check(done.returncode == 0, "mediactl by its env file", done.stderr)
    media_id, mp3 = converted(instance, "a@example.org", "pass word 12")
    os.kill(pids["smtp"], signal.SIGKILL)
    wait("status sees the dead", lambda: "DEAD" in instance.make("status").stdout, 20)
    check(instance.make("status").returncode != 0, "make status: not 0 with a dead server")
    check(instance.make("up").returncode == 0 and instance.make("status").returncode == 0, "make up starts what is missing")

    home = instance.home()
    done = instance.make("down")
    check(done.returncode == 0, "make down", done.stdout)
    check(not instance.processes(home), "down: no process is left", instance.processes(home))
    check(not instance.listening(), "down: no port is open")
    check((instance.run / "data").exists() and (instance.run / "mail").exists(), "down: the data stay")
    check(instance.make("down").returncode == 0, "down again does no harm")
    status = instance.make("status")
    check(status.returncode != 0 and "nothing is up" in status.stdout, "status after down: nothing is up", status.stdout)
    done = instance.make("up")
    check(done.returncode == 0, "up once more", done.stdout)
    token = login(instance, "a@example.org", "pass word 12")
    check(fetch(instance, f"/download?fid={media_id}", token) == mp3, "account, media and mp3 are still there")
    check(converted(instance, "a@example.org", "pass word 12")[1][:100], "and it works on")
    done = instance.make("down", PURGE="1")
    check(done.returncode == 0, "make down PURGE=1", done.stdout)
    check(not instance.processes(home), "purge: no process is left", instance.processes(home))
    check(not instance.run.exists() and not home.exists(), "purge: no file is left",
          [str(p) for p in (instance.run, home) if p.exists()])
    check(instance.make("down", PURGE="1").returncode == 0, "purge again does no harm")


# ---- mediactl ----

def mediactl(*arguments, **kw):
    return subprocess.run(["mediactl", *arguments], capture_output=True, text=True, **kw)


def expect(code, *arguments, **kw):
    """Exit code; one JSON document on the right side with --json; nothing on the wrong one."""
    name = " ".join(a if len(a) < 40 else "..." for a in arguments)
    plain = mediactl(*arguments, **kw)
    check(plain.returncode == code, f"mediactl {name}: {code}", plain.stdout + plain.stderr)
    side, other = (plain.stderr, plain.stdout) if code else (plain.stdout, plain.stderr)
    check(side.strip() and not other.strip(), f"mediactl {name}: says so on the right side", plain)
    return plain


def expect_json(code, *arguments, **kw):
    done = mediactl("--json", *arguments, **kw)
    name = " ".join(a if len(a) < 40 else "..." for a in arguments)
    check(done.returncode == code, f"mediactl --json {name}: {code}", done.stdout + done.stderr)
    text = done.stderr if code else done.stdout
    with contextlib.suppress(ValueError):
        document = json.loads(text)
        check(not code or set(document["error"]) == {"code", "detail"}, f"mediactl --json {name}: JSON", document)
        return document
    check(False, f"mediactl --json {name}: JSON", text)
    return {}


def test_mediactl():
    """exit codes and --json"""
    user = User()
    unknown = str(uuid.uuid4())
    expect(0, "--help")
    for arguments in ((), ("nonsense",), ("user",), ("user", "add", user.email), ("user", "add", "--password-stdin"),
                      ("job", "show", "x"), ("job", "list", "--state", "odd"), ("job", "list", "--limit", "0"),
                      ("media", "show"), ("media", "rm", unknown, unknown), ("user", "disable")):
        expect(2, *arguments, input="")
    email = f"ctl.{uuid.uuid4().hex[:8]}@example.org"
    expect(0, "user", "add", email, "--role", "user", "--role", "editor", "--password-stdin", input="one two three\n")
    expect(4, "user", "add", email.upper(), "--password-stdin", input="one two three\n")
    expect_json(4, "user", "add", email, "--password-stdin", input="one two three\n")
    expect(2, "user", "add", "new@example.org", "--password-stdin", input="")
    expect(3, "user", "disable", "nobody@example.org")
    expect(0, "user", "passwd", email, "--password-stdin", input="four five six\n")
    expect(0, "user", "disable", email)
    row = next(u for u in expect_json(0, "user", "list") if u["email"] == email)
    check(row["roles"] == ["user", "editor"] and row["disabled"] is True and row["media"] == 0, "user list: typed rows", row)
    expect(0, "user", "enable", email)

    media_id = user.upload(looped(1))
    media = user.settled(media_id)
    shown = expect_json(0, "media", "show", media_id)
    check(shown["id"] == media_id and shown["state"] == "ready" and shown["outputs"], "media show: the resource", shown)
    check(media_id in expect(0, "media", "show", media_id).stdout, "media show: for people")
    job = media["jobs"][0]["id"]
    shown = expect_json(0, "job", "show", job)
    check(shown["id"] == job and shown["state"] == "succeeded" and shown["media_id"] == media_id, "job show", shown)
    listed = expect_json(0, "job", "list", "--state", "succeeded", "--limit", "3")
    check(len(listed) <= 3 and all(j["state"] == "succeeded" for j in listed), "job list: state and limit", listed)
    expect(4, "job", "retry", job)
    expect_json(4, "job", "cancel", job)
    for what in (("job", "show"), ("job", "retry"), ("job", "cancel"), ("media", "show"), ("media", "rm")):
        expect(3, *what, unknown)
        document = expect_json(3, *what, unknown)
        check(document.get("error", {}).get("code") == "not_found", f"mediactl {' '.join(what)}: not_found", document)
    expect(0, "media", "rm", media_id)
    check(user.request("GET", f"/media/{media_id}").status == 404, "media rm: gone at once")
    expect(3, "media", "rm", media_id)
    failing = user.upload(media_like(5000))
    job = user.settled(failing)["jobs"][0]["id"]
    document = expect_json(0, "job", "retry", job)
    check(document == {"id": job, "done": "queued again"}, "job retry: what was done", document)
    away = {**os.environ, "PGPORT": "1"}
    expect(5, "user", "list", env=away)
    document = expect_json(5, "user", "list", env=away)
    check(document.get("error", {}).get("code") == "database_unavailable", "no database: says so", document)
    with open("/dev/full", "w") as full:
        done = subprocess.run(["mediactl", "user", "list"], stdout=full, stderr=subprocess.PIPE)
        check(done.returncode == 1, "an output that cannot be written: 1", done.stderr)


def test_names():
    """what comes from uploads cannot act on a terminal"""
    user = User()
    media_id = user.upload(clip(), name="a\x1b[31mred\x07.mp4", query="?title=%1b%5d0%3bowned%07")
    shown = mediactl("media", "show", media_id)
    check(shown.returncode == 0 and "\x1b" not in shown.stdout and "\x07" not in shown.stdout, "no escape sequences",
          shown.stdout)
    shown = mediactl("--json", "media", "show", media_id)
    check(shown.returncode == 0 and not re.search(r"[\x00-\x09\x0b-\x1f]", shown.stdout), "nor in JSON", shown.stdout)
    note(f"the name became {json.loads(shown.stdout)['name']!r}")


main(test_door, test_mediactl, test_names)

#!/usr/bin/python3
"""docker/ops/heal.sh beside the members of a MinIO of the test's own, three with two drives each, as in k8s/components/s3:
who was away is ready when it has what it missed, so that the next one may go."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

import boto3
import botocore.config
import botocore.exceptions

from lib import ROOT, RUN, check, main, sha256, skip, wait

TMP = RUN / "tmp/heal"
USER, PASSWORD = "heal-test", secrets.token_hex(16)
BUCKET = "healed"
# small ones are kept in MinIO's metadata, large ones in files of their own
SIZES = (10, 5000, 400_000)


def free_ports(count):
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [s.getsockname()[1] for s in taken]


def minio():
    script = f"cd {ROOT} && . dev/lib.sh && . dev/gotool.sh && gotool_build minio >&2 && gotool_bin minio"
    return subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout


class Heal:
    """A heal.sh beside a member"""

    def __init__(self, member, name, settle, **env):
        self.tmp = TMP / name
        self.tmp.mkdir()
        self.log = TMP / f"{name}.log"
        env = {"PATH": os.environ["PATH"], "TMPDIR": str(self.tmp), "MEDIA_SECRETS_DIR": str(TMP / "secrets"),
               "AWS_ENDPOINT_URL": member.url, "MEDIA_S3_MEMBER": member.host, "MEDIA_HEAL_SETTLE_S": str(settle), **env}
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen([ROOT / "docker/ops/heal.sh"], env=env, stdout=out, stderr=out)

    def ready(self):
        return (self.tmp / "ready").exists()

    def said(self):
        return self.log.read_text()

    def end(self):
        """How long it took to end, and how it did"""
        began = time.monotonic()
        self.process.terminate()
        return time.monotonic() - began if self.process.wait(10) == 0 else None


class Member:
    """MinIO takes no member for another one's neighbour whose address is that of the loopback; the address 0.0.0.0 leads
    there as well, and by these variables it finds itself, as in a pod."""

    def __init__(self, index, ports):
        self.name, self.host, self.url = f"s3-{index}", f"0.0.0.0:{ports[index]}", f"http://127.0.0.1:{ports[index]}"
        self.drives = [f"http://0.0.0.0:{port}{TMP}/data/{i}/{drive}" for i, port in enumerate(ports) for drive in (0, 1)]
        self.env = {"PATH": os.environ["PATH"], "HOME": str(TMP), "MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": PASSWORD,
                    "MINIO_BROWSER": "off", "MINIO_UPDATE": "off", "KUBERNETES_SERVICE_HOST": "none",
                    "_MINIO_SERVER_LOCAL": self.host,
                    # its drives may be on the disk of the system
                    "MINIO_CI_CD": "1"}
        config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}, read_timeout=20)
        self.s3 = boto3.client("s3", endpoint_url=self.url, config=config, aws_access_key_id=USER,
                               aws_secret_access_key=PASSWORD, aws_session_token="", region_name="us-east-1")
        self.process = None

    def start(self):
        with open(TMP / f"{self.name}.minio.log", "ab") as out:
            address = self.url.removeprefix("http://")
            self.process = subprocess.Popen([MINIO, "server", "--quiet", "--address", address, *self.drives],
                                            env=self.env, stdout=out, stderr=out)

    def kill(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def has_quorum(self):
        try:
            with urllib.request.urlopen(self.url + "/minio/health/cluster", timeout=20) as answer:
                return answer.status == 200
        except OSError:
            return False

    def put(self, key, body):
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        OBJECTS[key] = sha256(body)

    def delete(self, key):
        self.s3.delete_object(Bucket=BUCKET, Key=key)
        OBJECTS[key] = None

    def get(self, key):
        """The digest of an object, None without one, or what else was said"""
        try:
            return sha256(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        except botocore.exceptions.ClientError as e:
            return None if e.response["Error"]["Code"] == "NoSuchKey" else str(e)

    def wrong(self):
        return {key: got for key, want in OBJECTS.items() if (got := self.get(key)) != want}


def content(key, turn=0):
    return (key + str(turn)).encode().ljust(SIZES[len(OBJECTS) % len(SIZES)], b".")


def ready(*indexes):
    return all(HEALS[i].ready() for i in indexes)


def test_fresh():
    """an installation begins: nobody waits"""
    for member in MEMBERS:
        member.start()
    HEALS[:] = [Heal(member, member.name, settle=1) for member in MEMBERS]
    wait("quorum", lambda: all(m.has_quorum() for m in MEMBERS))
    began = time.monotonic()
    wait("all ready", lambda: ready(0, 1, 2))
    check(time.monotonic() - began < 2, "ready as soon as there is a quorum", time.monotonic() - began)


def test_missed():
    """one was away, and the next one goes as soon as it is ready"""
    a, b, c = MEMBERS
    wait("S3 serves", a.has_quorum)
    a.s3.create_bucket(Bucket=BUCKET)
    for i in range(18):
        a.put(f"before/{i}", content(f"before/{i}"))
    c.kill()
    wait("not ready while it is away", lambda: not ready(2))
    check(ready(0, 1), "the others are")
    for i in range(18):
        (a, b)[i % 2].put(f"meanwhile/{i}", content(f"meanwhile/{i}"))
    for i in range(6):
        a.put(f"before/{i}", content(f"before/{i}", turn=1))
        a.delete(f"before/{6 + i}")
    lost = Heal(a, "nobody", settle=600, MEDIA_S3_SERVICE=f"http://127.0.0.1:{FREE}")
    idle = Heal(a, "somebody", settle=600, MEDIA_S3_SERVICE=a.url)
    HEALS[3:] = [lost, idle]
    c.start()
    wait("it answers", c.has_quorum)
    check(not ready(2) or HEALS[2].said().count("healed:"), "not ready before it is healed")
    wait("ready", lambda: ready(2))
    b.kill()
    for member in (a, c):
        wrong = member.wrong()
        check(not wrong, f"{member.name} has every object, by digest, without the next one", f"{wrong}\n{HEALS[2].said()}")
    wait("without a ready one it helps out", lost.ready)
    check("nobody is ready" in lost.said() and not idle.ready(), "and leaves it to one that is", idle.said())


def test_alone():
    """a member that ran all the time loses the second of the others"""
    a, b, c = MEMBERS
    healed = HEALS[2].said().count("healed:")
    a.kill()
    wait("not ready without quorum", lambda: not ready(2))
    b.start()
    wait("both are ready", lambda: ready(1, 2))
    said = HEALS[2].said()
    check(said.count("healed:") > healed, "it healed again with its quorum", said)
    check(not c.wrong(), "every object is there", c.wrong())


def test_end():
    """SIGTERM, whatever it does at the moment"""
    took = [heal.end() for heal in HEALS]
    check(all(t is not None and t < 1 for t in took), "it ends at once", took)
    said = "".join(heal.said() for heal in HEALS)
    check(PASSWORD not in said and USER not in said, "and has told no key", said)


if os.environ.get("MEDIA_S3_VENDOR") != "minio":
    skip("heal", "it is MinIO's members that miss something")
    main()
shutil.rmtree(TMP, ignore_errors=True)
(TMP / "secrets/media-s3-root").mkdir(parents=True)
(TMP / "secrets/media-s3-root/credentials").write_text(
    f"[default]\naws_access_key_id = {USER}\naws_secret_access_key = {PASSWORD}\n")
MINIO = minio()
*PORTS, FREE = free_ports(4)
MEMBERS = [Member(i, PORTS) for i in range(3)]
HEALS, OBJECTS = [], {}
try:
    main(test_fresh, test_missed, test_alone, test_end)
finally:
    for heal in HEALS:
        heal.end()
    for member in MEMBERS:
        member.kill()
    shutil.rmtree(TMP / "data", ignore_errors=True)

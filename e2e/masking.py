"""What the tests of anonymization share: an upload of it to its end, its outputs, and the processes behind it."""

import os
import pathlib
import signal

import pictures
from lib import hasten, pids, pipeline_query, servers, sql, value, wait

# the default one, where its network is there; the cascades come with a package
DETECTOR = "yunet" if (pathlib.Path(os.environ.get("MEDIA_MODELS", "")) / "yunet_n_640_640.onnx").is_file() else "haar"


def upload(user, source, name=None, pipeline="anonymize", **params):
    """Masks of a colour that shows them; None leaves a parameter to its default."""
    params = {"detector": DETECTOR, "color": pictures.COLOR, **params}
    return user.upload(source, name=name or pathlib.Path(source).name, query=pipeline_query(
        pipeline, **{key: what for key, what in params.items() if what is not None}))


def settled(user, media_id, seconds=240):
    """However often it is tried: time passes between the attempts."""
    def probe():
        if sql("SELECT 1 FROM media.jobs WHERE media_id = %s AND state = 'queued' AND not_before > now()", media_id):
            hasten()
        return value("SELECT state <> 'processing' FROM media.media WHERE id = %s", media_id)
    wait(f"media {media_id} settled", probe, seconds, 0.1)
    user.login()
    return user.media(media_id)


def output(user, media_id, name):
    return user.request("GET", f"/media/{media_id}/{name}")


def masked_name(media):
    """Of the masked copy among the outputs."""
    names = [o["name"] for o in media["outputs"] if o["name"].startswith("masked.")]
    assert len(names) == 1, media
    return names[0]


def masked_copy(user, media):
    answer = output(user, media["id"], masked_name(media))
    assert answer.status == 200, answer
    return answer.body


def report(user, media_id):
    answer = output(user, media_id, "report.json")
    assert answer.status == 200, answer
    return answer.json


def anonymized(user, source, **more):
    """(media, its masked copy, its report); it must be ready."""
    media = settled(user, upload(user, source, **more))
    assert media["state"] == "ready", (media["error"], media["jobs"])
    return media, masked_copy(user, media), report(user, media["id"])


def nothing_served(user, media_id, *names):
    """Whoever asks: what is wrong with that, or nothing."""
    media = user.media(media_id)
    found = [f"output {o['name']}" for o in media["outputs"]]
    for name in (*names, "masked.jpg", "masked.mp4", "report.json", "hls/master.m3u8"):
        answer = output(user, media_id, name)
        found += [f"{name}: {answer.status}"] if answer.status != 404 else []
    answer = output(user, media_id, "original")
    if answer.status != 403 or answer.json["code"] != "insufficient_scope":
        found.append(f"original: {answer}")
    answer = user.request("GET", f"/download?fid={media_id}")
    return found + ([f"download: {answer.status}"] if answer.status < 400 else [])


# ---- processes ----

def workers():
    return [name for name in servers() if name.startswith(("anonymizer-", "renderer-"))]


def processes(name, title):
    """Those of a worker whose command line has the title."""
    def has(pid):
        try:
            return title in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
    return [pid for pid in pids(name)[1:] if has(pid)]


def detectors(name):
    return processes(name, b"media-detector")


def decoders(name):
    return processes(name, b"--decoder-child")


def signaled(victims, sig):
    for pid in victims:
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            pass


def killed(victims):
    """Dead and gone."""
    signaled(victims, signal.SIGKILL)
    wait("they are gone", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in victims), 30)

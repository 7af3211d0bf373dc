#!/usr/bin/python3
"""What masks dies in the middle of it, or has nothing to find faces with: it is done again, or it fails, and nothing is
shown meanwhile that is not masked."""

import os
import pathlib
import shutil
import signal

import masking
import pictures
from lib import RUN, User, check, clip, expire_leases, hasten, main, note, nothing_left, pids, sql, up, wait

WORKER = "anonymizer-1"
HAS_PHOTOS = pictures.PHOTOS.is_dir()
MODELS = os.environ.get("MEDIA_MODELS", "")


def photo():
    if HAS_PHOTOS:
        return pictures.PHOTOS / "face_az_group6.jpg"
    return pictures.converted(clip(), ".kill.png", "-frames:v", "1")


class Held:
    """A picture whose job has got as far as a question to the detector, which does not answer."""

    def __init__(self, user):
        up("workers", WORKERS="1")
        self.user = user
        # a first one, so that the detector is there
        masking.anonymized(user, photo())
        self.detectors = wait("a detector", lambda: masking.detectors(WORKER))
        masking.signaled(self.detectors, signal.SIGSTOP)
        self.id = masking.upload(user, photo())
        wait("the job runs", lambda: sql("SELECT 1 FROM media.jobs WHERE media_id = %s AND step = 'anonymize' AND "
                                         "state = 'running'", self.id))
        self.children = wait("its decoder is there", lambda: masking.decoders(WORKER))

    def go_on(self):
        masking.signaled(self.detectors, signal.SIGCONT)

    def check_ready(self, what):
        found = masking.nothing_served(self.user, self.id)
        check(not found, f"{what}: nothing is served meanwhile", found)
        media = masking.settled(self.user, self.id)
        attempts = max((job["attempt"] for job in media["jobs"]), default=0)
        check(media["state"] == "ready" and attempts > 1, f"{what}: done again, and ready",
              (media["error"], media["jobs"]))
        if media["state"] == "ready" and HAS_PHOTOS and masking.DETECTOR == "yunet":
            after = pictures.picture(masking.masked_copy(self.user, media))
            shares = pictures.covered(pictures.masked(after), pictures.truth()["face_az_group6.jpg"])
            check(min(shares) > 0.9, f"{what}: masked", shares)


def test_worker():
    """kill -9 of the anonymizer: its children go with it, another one does its job"""
    held = Held(User("worker"))
    worker, *children = pids(WORKER)
    os.kill(worker, signal.SIGKILL)
    wait("its children have gone, too", lambda: not any(os.path.exists(f"/proc/{p}") for p in [worker, *children]), 30)
    check(True, "no child outlives it")
    expire_leases()
    up("workers", WORKERS="1")
    held.check_ready("worker killed")


def test_detector():
    """kill -9 of the detector"""
    held = Held(User("detector"))
    masking.killed(held.detectors)
    held.check_ready("detector killed")
    check(bool(masking.detectors(WORKER)), "there is a new detector")


def test_decoder():
    """kill -9 of the decoder child"""
    held = Held(User("decoder"))
    masking.killed(held.children)
    held.go_on()
    held.check_ready("decoder killed")


def test_film():
    """kill -9 of the decoder while a film is looked at, and while it is rendered"""
    up("workers", WORKERS="1")
    user = User("film")
    media_id = masking.upload(user, clip(), preset="ultrafast")
    for step in ("detect", "render"):
        wait(f"{step} is at work", lambda: sql("SELECT 1 FROM media.jobs WHERE media_id = %s AND step = %s AND "
                                               "state = 'running'", media_id, step), 120, 0.02)
        masking.killed(wait("its decoder", lambda: masking.decoders("renderer-1"), 60, 0.02))
        found = masking.nothing_served(user, media_id)
        check(not found, f"{step}: nothing is served meanwhile", found)
        hasten()
    media = masking.settled(user, media_id)
    check(media["state"] == "ready", "ready all the same", (media["error"], media["jobs"]))
    again = {job["step"] for job in media["jobs"] if job["attempt"] > 1}
    check(again == {"detect", "render"}, "what died was done again, nothing else", again)


def broken_models(what):
    """A directory without the network, or with half of it."""
    directory = RUN / "tmp" / f"models-{what}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    if what == "corrupt":
        for path in pathlib.Path(MODELS).glob("*"):
            data = path.read_bytes()
            (directory / path.name).write_bytes(data[:len(data) // 2] + data[:len(data) - len(data) // 2])
    return directory


def test_models():
    """the network is missing, or is not what it says: no picture is passed through"""
    user = User("models")
    try:
        for what in ("missing", *(["corrupt"] if masking.DETECTOR == "yunet" else [])):
            up("workers", WORKERS="1", MEDIA_MODELS=str(broken_models(what)))
            media_id = masking.upload(user, photo(), detector="yunet")
            media = masking.settled(user, media_id)
            check(media["state"] == "failed" and media["visibility"] == "private", f"{what}: fails, private", media)
            found = masking.nothing_served(user, media_id, "masked.png")
            check(not found, f"{what}: nothing is served", found)
            note(f"{what}: {media['error']} after {max(job['attempt'] for job in media['jobs'])} attempts")
    finally:
        up("workers", WORKERS="4", MEDIA_MODELS=MODELS)
    if masking.DETECTOR == "yunet":
        answer = user.request("POST", f"/media/{media_id}/retry")
        check(answer.status == 200, "it is tried again where the network is", answer)
        check(masking.settled(user, media_id)["state"] == "ready", "and is ready then")
    nothing_left("killed")


main(test_worker, test_detector, test_decoder, test_film, test_models)

"""The kinds of operations of a load. All that is chosen is drawn from the operation's own random numbers, so that a
seed makes the same load again, as far as the media that reads are about depend on nothing but it."""

import base64
import collections
import hashlib
import json
import threading
import urllib.parse

from client import Failed, Operation, Request, Unanswered, digest
from samples import BROKEN

REFUSED = (400, 411, 413, 415, 422)     # what a broken file may be answered
FORMATS = ("mp3", "aac", "opus", "flac", "wav", "vorbis")
LADDER = {"rungs": [144], "preset": "ultrafast", "segment_s": 2}
SHAPES = ("raw", "raw", "told", "chunked", "form")
RACERS = 3
KNOWN_MAX = 500
BOUNDARY = "the-load"
Upload = collections.namedtuple("Upload", "name pipeline params data quality")
Known = collections.namedtuple("Known", "user media sha256 size pipeline")


class Operations:
    def __init__(self, client, samples, users, padding, big_share, photo_params):
        self.client, self.samples, self.users = client, samples, users
        self.padding, self.big_share, self.photo_params = padding, big_share, photo_params
        self.known = collections.deque(maxlen=KNOWN_MAX)

    def run(self, op, kind, random):
        user = random.choice(self.users)
        getattr(self, kind)(str(op), user, random)

    # ---- uploads ----

    def draw(self, random, pipeline):
        """A good upload of a pipeline."""
        size = random.choice((5, 9)) << 20 if random.random() < self.big_share else random.randrange(self.padding)
        name, params = {"audio": ("clip.mp4", {"format": random.choice(FORMATS)}), "video": ("film.mp4", LADDER),
                        "anonymize": ("photo.jpg", self.photo_params)}[pipeline]
        return Upload(name, pipeline, params, self.samples.good(name, random, size), "good")

    def upload(self, op, kind, user, upload, key, shape):
        with Operation(self.client, op, kind, user) as operation:
            size, sha256 = len(upload.data), digest(upload.data)
            operation.facts = {"key": key, "sha256": sha256, "size": size, "pipeline": upload.pipeline,
                               "quality": upload.quality, "name": upload.name, "shape": shape}
            expect = (201,) if upload.quality == "good" else (201, *REFUSED)
            answer = operation.ask(self.shaped(upload, shape), expect, key)
            if answer.status != 201:
                operation.facts["refused"] = answer.code() or str(answer.status)
                return
            operation.facts["media"] = answer.media()
            if upload.quality == "good":
                self.known.append(Known(user, answer.media(), sha256, size, upload.pipeline))

    @staticmethod
    def shaped(upload, shape):
        """The upload in one of the forms that it may have."""
        params = json.dumps(upload.params)
        query = urllib.parse.urlencode({"pipeline": upload.pipeline, "params": params})
        path = f"/upload/{upload.name}?{query}"
        if shape == "form":
            fields = "".join(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                             for name, value in (("pipeline", upload.pipeline), ("params", params)))
            head = (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{upload.name}"\r\n'
                    "Content-Type: application/octet-stream\r\n\r\n")
            body = (fields + head).encode() + upload.data + f"\r\n--{BOUNDARY}--\r\n".encode()
            return Request("POST", "/upload", body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
        if shape == "chunked":
            step = 64 << 10
            chunks = [upload.data[i:i + step] for i in range(0, len(upload.data), step)]
            return Request("PUT", path, chunks, {})
        told = base64.b64encode(hashlib.sha256(upload.data).digest()).decode()
        return Request("PUT", path, upload.data, {"Repr-Digest": f"sha-256=:{told}:"} if shape == "told" else {})

    def single(self, op, user, random, pipeline):
        self.upload(op, "upload", user, self.draw(random, pipeline), self.key(op), random.choice(SHAPES))

    def audio(self, op, user, random):
        self.single(op, user, random, "audio")

    def video(self, op, user, random):
        self.single(op, user, random, "video")

    def photo(self, op, user, random):
        self.single(op, user, random, "anonymize")

    def broken(self, op, user, random):
        data = self.samples.broken(random.choice(BROKEN), random)
        self.upload(op, "upload", user, Upload("broken.mp4", "audio", {}, data, "broken"), self.key(op),
                    random.choice(SHAPES))

    def duplicate(self, op, user, random):
        """The same bytes twice: two media."""
        upload = self.draw(random, "audio")
        for n in range(2):
            self.upload(f"{op}.{n}", "upload", user, upload, self.key(f"{op}.{n}"), random.choice(SHAPES))

    def replay(self, op, user, random):
        """The same key twice: one media."""
        upload = self.draw(random, "audio")
        for n in range(2):
            self.upload(f"{op}.{n}", "replay", user, upload, self.key(op), random.choice(SHAPES))

    def race(self, op, user, random):
        """The same key by several at once: one media."""
        upload = self.draw(random, "audio")
        racers = [threading.Thread(target=self.upload, args=(f"{op}.{n}", "race", user, upload, self.key(op),
                                                             random.choice(SHAPES))) for n in range(RACERS)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()

    def key(self, op):
        return f"{self.client.run}-{op}"

    # ---- reads ----

    def one_known(self, random):
        return random.choice(list(self.known)) if self.known else None

    def status(self, op, user, random):
        known = self.one_known(random)
        if known is None:
            return self.list(op, user, random)
        with Operation(self.client, op, "status", known.user) as operation:
            answer = operation.ask(Request("GET", f"/media/{known.media}"))
            operation.facts = {"media": known.media, "state": answer.json["state"]}
            if answer.json["id"] != known.media:
                raise Failed(f"asked for {known.media}, told of {answer.json['id']}")

    def list(self, op, user, random):
        limit = random.choice((5, 20, 100))
        with Operation(self.client, op, "list", user) as operation:
            page = operation.ask(Request("GET", f"/media?limit={limit}")).json
            operation.facts = {"items": len(page["items"])}
            if page["next"]:
                operation.ask(Request("GET", f"/media?limit={limit}&cursor={page['next']}"))

    def choose(self, operation, known, random):
        """(path, name, size): the original, or an output if there is one; None while there is nothing to read."""
        media = operation.ask(Request("GET", f"/media/{known.media}")).json
        choices = [(f"/media/{known.media}/{o['name']}", o["name"], o["size"]) for o in media["outputs"]]
        if known.pipeline != "anonymize":
            choices.append((f"/media/{known.media}/original", "original", known.size))
        return random.choice(choices) if choices else None

    def read(self, op, kind, user, random, how):
        """how(operation, path, size) answers the bytes, or None where it asks for none."""
        known = self.one_known(random)
        if known is None:
            return self.list(op, user, random)
        with Operation(self.client, op, kind, known.user) as operation:
            chosen = self.choose(operation, known, random)
            if chosen is None:
                return
            path, name, size = chosen
            data = how(operation, path, size)
            operation.facts = {"media": known.media, "output": name, "size": size,
                               "sha256": None if data is None else digest(data)}
            if data is not None and (len(data) != size or (name == "original" and digest(data) != known.sha256)):
                raise Failed(f"GET {path}: other bytes than those of the row")

    def download(self, op, user, random):
        self.read(op, "download", user, random, lambda operation, path, size: operation.ask(Request("GET", path)).body)

    def range(self, op, user, random):
        def pieces(operation, path, size):
            cuts = sorted({0, size, *(random.randrange(size) for _ in range(random.randrange(1, 4)))}) if size else []
            data = b""
            for first, end in zip(cuts, cuts[1:]):
                answer = operation.ask(Request("GET", path, None, {"Range": f"bytes={first}-{end - 1}"}), (206,))
                if answer.headers["Content-Range"] != f"bytes {first}-{end - 1}/{size}":
                    raise Failed(f"GET {path}: asked for {first}-{end - 1}, got {answer.headers['Content-Range']}")
                data += answer.body
            return data
        self.read(op, "range", user, random, pieces)

    def head(self, op, user, random):
        def ask(operation, path, size):
            answer = operation.ask(Request("HEAD", path))
            if answer.headers["Content-Length"] != str(size):
                raise Failed(f"HEAD {path}: {answer.headers['Content-Length']} bytes, the row says {size}")
        self.read(op, "head", user, random, ask)

    # ---- logins ----

    def session(self, op, user, random):
        """A login of its own: me, a refresh, me, logout. A refresh token may be used once, so a refresh that was not
        answered is not repeated: a client then logs in."""
        with Operation(self.client, op, "session", user) as operation:
            pair = operation.login(user)
            operation.ask(Request("GET", "/me"), token=pair["access_token"])
            body = json.dumps({"refresh_token": pair["refresh_token"]}).encode()
            try:
                pair = operation.ask(Request("POST", "/login/refresh", body, {"Content-Type": "application/json"}),
                                     token=None, may_repeat=False).json
            except Unanswered:
                operation.facts["relogin"] = True
                operation.retried += 1
                pair = operation.login(user)
            operation.ask(Request("GET", "/me"), token=pair["access_token"])
            # said again after an answer that was lost, the token is refused: it has ended
            operation.ask(Request("POST", "/logout"), (200, 204, 401), token=pair["access_token"])

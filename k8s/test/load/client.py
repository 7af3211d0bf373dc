"""A client that repeats what may be repeated: reads, logins, and uploads with an Idempotency-Key. Each attempt goes to
the next gateway and is a line of the journal."""

import collections
import hashlib
import http.client
import itertools
import json
import random
import re
import socket
import ssl
import threading
import time
import urllib.parse

AGAIN = {408, 429, 502, 503, 504}   # the server is not able to now
PAUSE_S = (0.2, 1.0)                # between attempts: the first, the longest unless Retry-After says more
RETRY_AFTER_MAX_S = 10
USES = 8                            # of a connection, so that new ones are made, too
CONNECT_S = 3                       # a gateway that takes no connection for so long is passed over
AWAY_S = 10                         # for so long, as by a load balancer's health check
STALE_TOKENS = 3                    # refusals of a token, each followed by a login
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def digest(data):
    return hashlib.sha256(data).hexdigest()


Request = collections.namedtuple("Request", "method path body headers", defaults=(None, {}))


class Failed(Exception):
    """An operation that cannot be brought to its end."""


class Unanswered(Failed):
    """What may not be repeated had no answer, or one that leaves open whether it was done."""


class Gateways:
    """Addresses of one service: all are asked in turn, but those that took no connection, as a load balancer does. A name
    overrides the addresses in Host and for TLS."""

    def __init__(self, urls, ca=None, name=None, timeout_s=30):
        self.urls = [urllib.parse.urlsplit(url) for url in urls]
        self.name = name
        self.timeout_s = timeout_s
        self.turn = itertools.count()
        self.away = {}
        self.tls = ssl.create_default_context(cafile=ca) if any(u.scheme == "https" for u in self.urls) else None
        self.kept = threading.local()

    def connect(self, url):
        port = url.port or (443 if url.scheme == "https" else 80)
        if url.scheme == "https":
            connection = http.client.HTTPSConnection(self.name or url.hostname, port, timeout=self.timeout_s,
                                                     context=self.tls)
        else:
            connection = http.client.HTTPConnection(self.name or url.hostname, port, timeout=self.timeout_s)
        connection._create_connection = lambda *_: self.dial(url, port)
        return connection

    def dial(self, url, port):
        try:
            made = socket.create_connection((url.hostname, port), CONNECT_S)
        except OSError:
            self.away[url.netloc] = time.monotonic() + AWAY_S
            raise
        made.settimeout(self.timeout_s)
        return made

    def choose(self):
        now = time.monotonic()
        there = [url for url in self.urls if self.away.get(url.netloc, 0) <= now] or self.urls
        return there[next(self.turn) % len(there)]

    def take(self):
        """(gateway, connection): one that this thread has kept, or a new one."""
        url = self.choose()
        kept = self.kept.__dict__.setdefault("connections", {})
        connection, uses = kept.pop(url.netloc, (None, 0))
        if connection is None:
            connection, uses = self.connect(url), USES
        return url.netloc, connection, uses - 1

    def keep(self, gateway, connection, uses):
        if uses > 0:
            self.kept.connections[gateway] = (connection, uses)
        else:
            connection.close()


class Answer:
    def __init__(self):
        self.status = self.error = None
        self.headers = {}
        self.body = b""

    @property
    def is_whole(self):
        return self.status is not None and self.error is None

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    def code(self):
        return self.json.get("code") if "problem+json" in self.headers.get("Content-Type", "") else None

    def media(self):
        """The id that a 201 speaks of: its head tells it, should the body be cut off."""
        found = UUID.search(self.headers.get("Location", "")) if self.status == 201 else None
        return found.group(0) if found else self.json.get("id") if self.status == 201 else None

    def text(self):
        return self.error or f"{self.status} {self.code() or ''}".strip()


class User:
    def __init__(self, email, password):
        self.email, self.password = email, password
        self.lock = threading.Lock()
        self.access = None
        self.until = 0

    def token(self, operation, refused=None):
        """An access token; not the one that was refused."""
        with self.lock:
            if self.access is None or self.access == refused or time.monotonic() > self.until:
                pair = operation.login(self)
                self.access = pair["access_token"]
                self.until = time.monotonic() + 0.8 * pair["expires_in"]
            return self.access


class Client:
    def __init__(self, gateways, journal, run, limit_s):
        self.gateways, self.journal, self.run, self.limit_s = gateways, journal, run, limit_s
        self.abort = threading.Event()

    def exchange(self, request):
        """One attempt: (gateway, answer). http.client sends a list in chunks."""
        gateway, connection, uses = self.gateways.take()
        answer = Answer()
        try:
            try:
                connection.request(*request)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it may have been answered before all of the body was sent
            response = connection.getresponse()
            answer.status, answer.headers = response.status, response.headers
            answer.body = response.read()
            if response.will_close:
                uses = 0
        except (OSError, http.client.HTTPException) as error:
            answer.error = f"{type(error).__name__}: {error}"[:200]
            uses = 0
        self.gateways.keep(gateway, connection, uses)
        return gateway, answer


class Operation:
    """What a user wants done, with all its attempts; leaves one line in the journal."""

    def __init__(self, client, op, kind, user):
        self.client, self.op, self.kind, self.user = client, op, kind, user
        self.attempts = self.retried = 0
        self.facts = {}
        self.random = random.Random(f"{client.run}/{op}")

    def __enter__(self):
        self.wall, self.mono = time.time(), time.monotonic()
        return self

    def __exit__(self, kind, error, trace):
        if error is not None and not isinstance(error, Exception):
            return False
        cause = None if error is None else str(error) if isinstance(error, Failed) else repr(error)
        self.client.journal.line("operation", op=self.op, kind=self.kind, user=self.user.email, wall=self.wall,
                                 mono=self.mono, ms=self.ms(), attempts=self.attempts, retried=self.retried,
                                 outcome="ok" if error is None else "failed", cause=cause, **self.facts)
        return True

    def ms(self):
        return round((time.monotonic() - self.mono) * 1000, 1)

    # ---- attempts ----

    def attempt(self, request, key, decide):
        """One exchange and its line; decide(answer) is the pause before the next attempt, None if it is the last."""
        self.attempts += 1
        request_id = f"{self.client.run}-{self.op}-{self.attempts}"
        body = b"".join(request.body) if isinstance(request.body, list) else request.body or b""
        wall, mono = time.time(), time.monotonic()
        gateway, answer = self.client.exchange(request._replace(headers={"X-Request-Id": request_id, **request.headers}))
        ms = round((time.monotonic() - mono) * 1000, 1)
        pause = decide(answer)
        self.client.journal.line(
            "attempt", op=self.op, attempt=self.attempts, method=request.method, path=request.path, gateway=gateway,
            user=self.user.email, wall=wall, mono=mono, ms=ms, status=answer.status, error=answer.error,
            code=answer.code(), request_id=request_id, answered_id=answer.headers.get("X-Request-Id"), key=key,
            sent=len(body), sent_sha256=digest(body) if body and request.path != "/login" else None,
            got=len(answer.body), got_sha256=digest(answer.body) if answer.body else None, media=answer.media(),
            replayed=answer.headers.get("Idempotent-Replayed"), retry_after=answer.headers.get("Retry-After"),
            again=pause is not None)
        return answer, pause

    def pause(self, answer, tries):
        """Seconds until the next attempt; None when the limit is reached."""
        first, most = PAUSE_S
        pause = min(first * 2 ** (tries - 1), most) * self.random.uniform(0.75, 1.25)
        after = answer.headers.get("Retry-After", "")
        if after.isdigit():
            pause = max(pause, min(int(after), RETRY_AFTER_MAX_S))
        is_over = time.monotonic() + pause > self.mono + self.client.limit_s
        return None if is_over or self.client.abort.is_set() else pause

    def ask(self, request, expect=(200,), key=None, token=True, may_repeat=True):
        """The answer, whose status is one of `expect`; raises Failed else. token: True for the user's own."""
        tries = stale = 0
        while True:
            tries += 1
            bearer = self.user.token(self) if token is True else token
            headers = dict(request.headers)
            if bearer:
                headers["Authorization"] = "Bearer " + bearer
            if key:
                headers["Idempotency-Key"] = f'"{key}"'

            def decide(answer):
                if not answer.is_whole or answer.status in AGAIN or answer.code() == "upload_in_progress":
                    return self.pause(answer, tries) if may_repeat else None
                is_stale = answer.status == 401 and 401 not in expect and token is True and stale < STALE_TOKENS
                return 0 if is_stale else None
            answer, pause = self.attempt(request._replace(headers=headers), key, decide)
            if pause is None:
                if answer.is_whole and answer.status in expect:
                    return answer
                is_open = not answer.is_whole or answer.status in AGAIN
                raise (Unanswered if is_open and not may_repeat else Failed)(
                    f"{request.method} {request.path}: {answer.text()}, attempt {tries}")
            if answer.status == 401:
                stale += 1
                self.user.token(self, refused=bearer)
            self.retried += 1
            self.client.abort.wait(pause)

    def login(self, user):
        body = json.dumps({"email": user.email, "password": user.password}).encode()
        return self.ask(Request("POST", "/login", body, {"Content-Type": "application/json"}), token=None).json

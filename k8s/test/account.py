"""A client of the gateway for the scenarios: one request a connection, TLS verified by the cluster's own certificate."""

import base64
import http.client
import json
import ssl
import urllib.parse
import uuid

from cluster import HTTPS_PORT, NODE, Failed, wait


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:400]!r}"


class Account:
    """An account of its own at the NodePort of one node."""

    def __init__(self, cluster, ca, node=1, roles=()):
        self.context = ssl.create_default_context(cafile=ca)
        self.context.check_hostname = False  # asked by address; who signed is verified
        self.host, self.port = NODE.format(node), HTTPS_PORT
        self.email, self.password = f"u{uuid.uuid4().hex[:10]}@example.org", uuid.uuid4().hex
        self.token = None
        words = [word for role in roles for word in ("--role", role)]
        cluster.ctl("user", "add", self.email, "--password-stdin", *words, text=self.password)

    def request(self, method, path, body=None, headers=None, seconds=60):
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=seconds, context=self.context)
        try:
            bearer = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            connection.request(method, path, body, {**bearer, **(headers or {})})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def expect(self, status, *args, **kw):
        answer = self.request(*args, **kw)
        if answer.status != status:
            raise Failed(f"{args[0]} {args[1]}: {answer}, not {status}")
        return answer

    def login(self):
        basic = base64.b64encode(f"{self.email}:{self.password}".encode()).decode()
        self.token = None
        self.token = self.expect(200, "POST", "/login", headers={"Authorization": "Basic " + basic}).json["access_token"]

    def upload(self, data, name, pipeline=None, params=None):
        query = {k: v for k, v in (("pipeline", pipeline), ("params", params and json.dumps(params))) if v}
        path = f"/upload/{urllib.parse.quote(name)}" + ("?" + urllib.parse.urlencode(query) if query else "")
        return self.expect(201, "PUT", path, data).json["id"]

    def settled(self, media, seconds=180):
        """The media resource once nothing is processed any more; Failed unless it is ready."""
        def look():
            now = self.expect(200, "GET", f"/media/{media}").json
            return now if now["state"] != "processing" else None
        done = wait(f"media {media} settled", look, seconds)
        if done["state"] != "ready":
            raise Failed(f"media {media}: {done['state']}: {done['error']}")
        return done

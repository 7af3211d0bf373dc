"""What check.py believes: the load's log, the rows, the objects, the mails. Reading changes nothing."""

import concurrent.futures
import contextlib
import email.parser
import hashlib
import http.client
import json
import os
import pathlib
import re
import time
import urllib.parse

import boto3
import botocore.config
import botocore.exceptions
import psycopg2
import psycopg2.extras

READERS = 4         # objects read at once
AWAY_S = 60         # how long the database may be away, say for a failover
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class Log:
    """The lines of one or more loads."""

    def __init__(self, paths):
        self.attempts, self.operations, self.runs, self.ended = [], [], [], set()
        for path in paths:
            with open(path, encoding="utf-8") as file:
                for line in map(json.loads, file):
                    self.take(line)
        self.accepted = {}      # media: the operations that were told of it by a 201
        for attempt in self.attempts:
            if attempt.get("status") == 201:
                self.accepted.setdefault(attempt.get("media") or "(a 201 without an id)", set()).add(attempt["op_id"])
        self.uploads = {o["op_id"]: o for o in self.operations if o["kind"] in ("upload", "replay", "race")}

    def take(self, line):
        """Operations of several runs are told apart by their run."""
        kind = line["type"]
        if kind == "start":
            self.runs.append(line["run"])
        elif kind == "end":
            self.ended.add(line["run"])
        else:
            line["op_id"] = f"{self.runs[-1]}-{line['op']}"
            (self.attempts if kind == "attempt" else self.operations).append(line)

    def uploads_of(self, media):
        """The operations whose 201 told of a media."""
        return [self.uploads[op] for op in sorted(self.accepted.get(media, ())) if op in self.uploads]


class Rows:
    """The database, by the connection that libpq's environment means (PGSERVICE, PG*)."""

    def __init__(self, dsn=""):
        self.dsn = dsn
        self.connection = None

    def __call__(self, text, *args):
        """Rows as dictionaries. A connection that breaks is made anew: members of a cluster come and go."""
        end = time.monotonic() + AWAY_S
        while True:
            try:
                if self.connection is None:
                    self.connection = psycopg2.connect(self.dsn, connect_timeout=5)
                    self.connection.set_session(readonly=True, autocommit=True)
                with self.connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                    cursor.execute(text, args or None)
                    return [dict(row) for row in cursor.fetchall()]
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self.connection = None
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def close(self):
        if self.connection is not None:
            self.connection.close()


class Store:
    """The buckets. Which of them has an object does not matter here."""

    def __init__(self, buckets, endpoint=None):
        self.buckets = buckets
        self.s3 = boto3.client("s3", endpoint_url=endpoint or os.environ.get("AWS_ENDPOINT_URL"),
                               region_name=os.environ.get("AWS_REGION", "us-east-1"),
                               config=botocore.config.Config(s3={"addressing_style": "path"},
                                                             retries={"max_attempts": 5, "mode": "standard"}))

    def keys(self):
        lister = self.s3.get_paginator("list_objects_v2")
        return {o["Key"]: bucket for bucket in self.buckets for page in lister.paginate(Bucket=bucket)
                for o in page.get("Contents", [])}

    def multiparts(self, keys):
        """{(key, upload id)} of uploads in parts that have not ended: all that S3 lists, and those of these keys."""
        lister = self.s3.get_paginator("list_multipart_uploads")

        def ask(place):
            bucket, prefix = place
            return {(u["Key"], u["UploadId"]) for page in lister.paginate(Bucket=bucket, Prefix=prefix)
                    for u in page.get("Uploads", [])}
        places = [(bucket, prefix) for bucket in self.buckets for prefix in ("", *keys)]
        with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            return set().union(*pool.map(ask, places))

    def sum(self, key):
        """(bytes, sha-256) of an object, None if it is in no bucket."""
        for bucket in self.buckets:
            try:
                body = self.s3.get_object(Bucket=bucket, Key=key)["Body"]
            except botocore.exceptions.ClientError as error:
                if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                    continue
                raise
            size, sha256 = 0, hashlib.sha256()
            for chunk in body.iter_chunks(1 << 20):
                size += len(chunk)
                sha256.update(chunk)
            return size, sha256.hexdigest()
        return None

    def sums(self, keys):
        with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            return dict(zip(keys, pool.map(self.sum, keys)))


class Mail:
    """A mail as it was sent, without the envelope that our sink writes above it."""

    def __init__(self, data):
        self.data = re.sub(rb"\A(?:X-(?:MailFrom|RcptTo): [^\n]*\n)+", b"", data.replace(b"\r\n", b"\n"))
        message = email.parser.BytesHeaderParser().parsebytes(self.data)
        self.message_id = str(message["Message-ID"] or "").strip()
        self.media = str(message["X-Media-Id"] or "").strip()
        # of the job, whatever the Message-ID says: the notifier makes both of its id
        found = re.search(UUID, str(message.get_boundary() or "")) or re.search(UUID, self.message_id)
        self.job = found.group(0) if found else None
        self.to = str(message["To"] or "").strip()


def mails(sink, media):
    """The mails about these media, from a directory of .eml files (make up) or from the list of the cluster's sink at
    URL/mails, which has each as it came at URL/mails/{id}."""
    if re.match("http://", sink):
        found = list(fetched(sink, media))
    else:
        found = [Mail(path.read_bytes()) for path in sorted(pathlib.Path(sink).glob("*.eml"))]
    return [mail for mail in found if mail.media in media]


def fetched(url, media):
    place = urllib.parse.urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(place.netloc, timeout=60)) as connection:
        def get(path):
            connection.request("GET", path)
            answer = connection.getresponse()
            data = answer.read()
            if answer.status != 200:
                raise OSError(f"GET {path}: {answer.status}")
            return data
        for item in json.loads(get(place.path)):
            if dict(item["headers"]).get("X-Media-Id") in media:
                yield Mail(get(f"{place.path}/{urllib.parse.quote(item['id'])}"))

#!/usr/bin/python3
"""Echoes requests as JSON: method, path, headers, length and SHA-256 of the body, the client's address as seen here.

GET /stream?n=10&ms=100   n lines, one every ms milliseconds, each sent by itself
GET /status/{code}        an answer of this status
"""
import hashlib
import http.server
import json
import re
import time
import urllib.parse

PORT = 8080
PIECE = 1 << 16


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        digest, left = hashlib.sha256(), int(self.headers.get("Content-Length", 0))
        size = 0
        while size < left:
            piece = self.rfile.read(min(PIECE, left - size))
            if not piece:
                break
            digest.update(piece)
            size += len(piece)
        return size, digest.hexdigest()

    def echo(self):
        url = urllib.parse.urlsplit(self.path)
        status = re.fullmatch(r"/status/([2-5]\d\d)", url.path)
        if url.path == "/stream":
            return self.stream(urllib.parse.parse_qs(url.query))
        size, sha256 = self.body()
        answer = {"method": self.command, "path": self.path, "client": self.client_address[0],
                  "headers": [[k, v] for k, v in self.headers.items()], "body": {"size": size, "sha256": sha256}}
        text = json.dumps(answer).encode()
        self.send_response(int(status[1]) if status else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def stream(self, query):
        n, ms = (int(query.get(name, [default])[0]) for name, default in (("n", "10"), ("ms", "100")))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i in range(min(n, 1000)):
            line = b"line %d\n" % i
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.flush()
            time.sleep(min(ms, 1000) / 1000)
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = echo

    def log_message(self, format, *args):
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("", PORT), Handler).serve_forever()

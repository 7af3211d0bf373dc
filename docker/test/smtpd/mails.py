#!/usr/bin/python3
"""The mail sink of dev/smtpd.py on port 1025 of every address, its mails in MAIL_DIR, and what came by HTTP on 8025.

GET /mails        a list, the oldest first: id, message_id, from, to, subject, date, received, body, headers
GET /mails/{id}   the mail as it came
GET /healthz
"""
import argparse
import email
import email.policy
import http.server
import json
import os
import re
import sys
import threading
import urllib.request

import smtpd

DIRECTORY = os.environ.get("MAIL_DIR", "/tmp/mail")
HTTP_PORT = 8025
SMTP_PORT = 1025
NAME = re.compile(r"\d+-\d+\.eml")


def names():
    return sorted(filter(NAME.fullmatch, os.listdir(DIRECTORY)), key=lambda n: [int(p) for p in n[:-4].split("-")])


def described(name):
    with open(os.path.join(DIRECTORY, name), "rb") as source:
        mail = email.message_from_binary_file(source, policy=email.policy.default)
    body = mail.get_body(("plain", "html"))
    return {
        "id": name,
        "message_id": str(mail.get("Message-ID", "")),
        "from": str(mail.get("From", "")),
        "to": [str(to) for to in mail.get_all("X-RcptTo", [])],
        "subject": str(mail.get("Subject", "")),
        "date": str(mail.get("Date", "")),
        "received": int(name.split("-")[0]) / 1e9,
        "body": body.get_content() if body else "",
        "headers": [[key, str(value)] for key, value in mail.items()],
    }


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/healthz":
            self.answer(200, "text/plain", b"ok\n")
        elif path == "/mails":
            self.answer(200, "application/json", json.dumps([described(name) for name in names()]).encode())
        elif path.startswith("/mails/") and path[7:] in names():
            with open(os.path.join(DIRECTORY, path[7:]), "rb") as source:
                self.answer(200, "message/rfc822", source.read())
        else:
            self.answer(404, "text/plain", b"not found\n")

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


def probe():
    with urllib.request.urlopen(f"http://127.0.0.1:{HTTP_PORT}/healthz", timeout=3):
        return 0


def main():
    if sys.argv[1:] == ["--probe"]:
        return probe()
    os.makedirs(DIRECTORY, exist_ok=True)
    server = http.server.ThreadingHTTPServer(("", HTTP_PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    smtpd.asyncio.run(smtpd.serve(argparse.Namespace(host="0.0.0.0", port=SMTP_PORT, directory=DIRECTORY, hold=None)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

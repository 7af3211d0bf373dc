#!/usr/bin/python3
"""Reads the mails of the SMTP sink.

find DIR TEXT   file of the mail whose text or header contains TEXT (e.g. a media id); exit code 1: none
show FILE       the header a person sees and the text
link FILE       the first link of the text
"""
import email
import email.policy
import os
import re
import sys


def read(path):
    with open(path, "rb") as file:
        return email.message_from_binary_file(file, policy=email.policy.default)


def text_of(mail):
    body = mail.get_body(preferencelist=("plain", "html"))
    return body.get_content() if body else ""


def find(directory, wanted):
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if not name.endswith(".eml"):
            continue
        mail = read(path)
        if wanted in text_of(mail) or any(wanted in str(v) for v in mail.values()):
            print(path)
            return 0
    return 1


def show(path):
    mail = read(path)
    for field in ("From", "To", "Subject", "Date", "Message-ID"):
        if mail[field]:
            print(f"{field}: {mail[field]}")
    print()
    print(text_of(mail).rstrip())
    return 0


def link(path):
    found = re.search(r"https?://[^\s<>\"]+", text_of(read(path)))
    if not found:
        return 1
    print(found.group())
    return 0


def main(argv):
    commands = {"find": (find, 2), "show": (show, 1), "link": (link, 1)}
    if len(argv) < 2 or argv[1] not in commands or len(argv) - 2 != commands[argv[1]][1]:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    return commands[argv[1]][0](*argv[2:])


if __name__ == "__main__":
    sys.exit(main(sys.argv))

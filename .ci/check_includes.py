#!/usr/bin/python3 -B
"""Who may include whom: the directions of docs/ARCHITECTURE.md, one row per part of the tree."""
import os
import re

from source import ROOT, files, read, report

NET = r"sys/socket\.h|netinet/.*|arpa/.*|netdb\.h|poll\.h|sys/epoll\.h|sys/un\.h|pthread\.h|threads\.h"
PQ = r"libpq-fe\.h|libpq/.*|postgres.*"
AMQP = r"amqp.*|rabbitmq-c/.*"
CURL = r"curl/.*"
AV = r"lib(av\w+|sw\w+)/.*"
NGX = r"ngx_.*|nginx\.h"
SECCOMP = r"seccomp\.h|linux/seccomp\.h"
JWT = r"jwt\.h"
CRYPT = r"crypt\.h"
CV = r"opencv2/.*"

# files (first match counts) -> what they must not include; all of it is a system or foreign header
RULES = [
    (r"libmedia/(src|include)/", [NET, PQ, AMQP, CURL, AV, NGX, SECCOMP, CRYPT]),
    (r"libmedia/(test|fuzz)/", [PQ, AMQP, CURL, AV, NGX, SECCOMP]),
    (r"ngx_media_module/pg/", [AMQP, CURL, AV, SECCOMP]),
    (r"ngx_media_module/amqp/", [PQ, CURL, AV, SECCOMP]),
    (r"ngx_media_module/", [PQ, AMQP, CURL, AV, SECCOMP]),
    (r"workers/common/", [AV, NGX, CRYPT, CV]),
    (r"workers/test/", [NGX, CV]),
    (r"workers/detector/cv_shim\.cc", [PQ, AMQP, CURL, AV, NGX, SECCOMP, CRYPT]),
    (r"workers/(av|transcoder|anonymizer)/", [PQ, AMQP, CURL, NGX, SECCOMP, CRYPT, CV]),
    (r"workers/objects/", [PQ, AMQP, AV, NGX, SECCOMP, CRYPT, CV]),
    (r"workers/notifier/", [PQ, AMQP, AV, NGX, SECCOMP, CRYPT, CV]),
    (r"workers/mediactl/", [PQ, AMQP, CURL, AV, NGX, SECCOMP, CV]),
    (r"gateway/", [PQ, AMQP, CURL, AV, NGX, SECCOMP, CRYPT, CV]),
    (r"workers/", [PQ, AMQP, CURL, AV, NGX, SECCOMP, CRYPT, CV]),
]

WORKERS = ["workers/" + d for d in ("test", "common", "av", "av/video", "transcoder", "anonymizer", "anonymizer/mask",
                                    "anonymizer/image", "anonymizer/video", "detector", "notifier", "janitor", "objects",
                                    "mediactl")]
AV_ROOMS = ["workers/av", "workers/av/video"]
ROOMS = ["ngx_media_module/" + d for d in ("core", "auth", "http", "s3", "pg", "amqp", "upload", "download", "media")]
# "quoted" includes: where a file's own project headers may lie
OWN = [
    (r"libmedia/src/", ["libmedia/src", "libmedia/include"]),
    (r"libmedia/include/", ["libmedia/include"]),
    (r"libmedia/(test|fuzz)/", ["libmedia/test", "libmedia/fuzz", "libmedia/src", "libmedia/include"]),
    (r"ngx_media_module/", ROOMS + ["libmedia/include"]),
    (r"workers/common/", ["workers/common", "libmedia/include"]),
    (r"workers/test/", WORKERS + ["libmedia/include", "libmedia/test"]),
    (r"workers/av/", AV_ROOMS + ["workers/common", "libmedia/include"]),
    (r"workers/anonymizer/", [w for w in WORKERS if "anonymizer" in w or w == "workers/detector"] + AV_ROOMS
     + ["workers/common", "libmedia/include"]),
    (r"workers/mediactl/", ["workers/mediactl", "workers/detector", "workers/common", "libmedia/include"]),
    (r"workers/transcoder/", ["workers/transcoder", "workers/common", "libmedia/include"] + AV_ROOMS),
    (r"gateway/test/", ["gateway", "gateway/test", "libmedia/include", "libmedia/test"]),
    (r"gateway/", ["gateway", "workers/common", "libmedia/include"]),
    (r"workers/(\w+)/", ["workers/{0}", "workers/common", "libmedia/include"]),
]


def first(table, path):
    for pattern, value in table:
        match = re.match(pattern, path)
        if match:
            return match, value
    return None, None


def check(path):
    _, banned = first(RULES, path)
    match, roots = first(OWN, path)
    if roots is None:
        return
    roots = [root.format(*match.groups()) for root in roots]
    for number, line in enumerate(read(path).splitlines(), 1):
        found = re.match(r'\s*#\s*include\s+(<([^>]+)>|"([^"]+)")', line)
        if not found:
            continue
        name = found.group(2) or found.group(3)
        where = f"{path}:{number}: {name}"
        if any(re.fullmatch(pattern, name) for pattern in banned):
            yield f"{where} may not be included here"
        elif found.group(3) and not any(os.path.isfile(os.path.join(ROOT, r, name)) for r in roots):
            yield f"{where} is not in {', '.join(roots)}"


def main():
    report([p for path in files(".c", ".h", ".cc") for p in check(path)])


main()

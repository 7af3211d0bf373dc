#!/usr/bin/python3
"""Judges a load by its log, the objects, the mails and the rows, and by nothing else. Exit code 0: all invariants hold.

    check.py --log load.jsonl --mails .run/mail [--events events.jsonl] [--json report.json]

The database is the one that libpq's environment means (PGSERVICE, PG*), by a role that may read all tables of the schema
media; the objects are read as AWS_* say. What is not yet so, but may become so (media being processed, what the janitor
has still to delete), is awaited: --settle and --janitor say how long.

On a system where others have left something, --remember FILE before the load keeps what is wrong already, and
--inherited FILE afterwards passes over it."""

import argparse
import collections
import json
import os
import sys
import time

import events
import recovery
from evidence import Log, Rows, Store
from invariants import AT_LAST, IN_TIME, Case

POLL_S = 0.5


def arguments(words=None):
    bucket = os.environ.get("MEDIA_S3_BUCKET", "media")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", action="append", default=[], help="of load.py; may be said more than once")
    parser.add_argument("--events", help="of events.py: a table of what clients felt is made")
    parser.add_argument("--mails", help="directory of .eml files, or the cluster's sink: http://host:8025/mails")
    parser.add_argument("--dsn", default="", help="libpq's, besides its environment")
    parser.add_argument("--bucket", action="append", help="(MEDIA_S3_BUCKET, MEDIA_S3_OUTPUT_BUCKET)")
    parser.add_argument("--endpoint", help="of S3 (AWS_ENDPOINT_URL)")
    parser.add_argument("--settle", type=float, default=300, help="give up on jobs when none has ended for so long (300)")
    parser.add_argument("--janitor", type=float, default=240, help="then, on leases and objects (240)")
    parser.add_argument("--stuck", type=float, default=120, help="what is due this long and was not begun is stuck (120)")
    parser.add_argument("--json", help="where the report goes, too")
    parser.add_argument("--remember", metavar="FILE", help="write what is wrong now, judge nothing")
    parser.add_argument("--inherited", metavar="FILE", help="pass over what --remember wrote")
    args = parser.parse_args(words)
    args.bucket = args.bucket or sorted({bucket, os.environ.get("MEDIA_S3_OUTPUT_BUCKET", bucket)})
    if not args.remember and not (args.log and args.mails):
        parser.error("--log and --mails are needed")
    return args


def awaited(invariant, case, limit_s, passed_over):
    """What an invariant finds when it holds, or when nothing has become better for so long."""
    least = float("inf")
    while True:
        found = [f for f in invariant(case) if f[:2] not in passed_over]
        if len(found) < least:
            least, end = len(found), time.monotonic() + limit_s
        if not found or time.monotonic() >= end:
            return found
        time.sleep(POLL_S)


def judge(case, limits, passed_over=frozenset()):
    """Every finding, in the order of the invariants."""
    findings = []
    for invariant, limit in IN_TIME.items():
        findings += awaited(invariant, case, limits[limit], passed_over)
    for invariant in AT_LAST:
        findings += [f for f in invariant(case) if f[:2] not in passed_over]
    return findings


def facts(case):
    log = case.log
    return {"runs": log.runs, "operations": len(log.operations), "attempts": len(log.attempts),
            "retried": sum(bool(a.get("again")) for a in log.attempts),
            "statuses": dict(collections.Counter(str(a.get("status") or "no answer") for a in log.attempts)),
            "kinds": dict(collections.Counter(o["kind"] for o in log.operations)),
            "acknowledged": len(log.accepted),
            "states": dict(collections.Counter(row["state"] for row in case.settled.values())), **case.facts}


def show(report):
    for key, value in report["facts"].items():
        print(f"{key:14} {json.dumps(value) if isinstance(value, (dict, list)) else value}")
    if report["recovery"]:
        print("\n" + recovery.text(report["recovery"]))
    print()
    for finding in report["findings"]:
        print(f"BROKEN {finding['invariant']} {finding['subject']}: {finding['text']}")
    print("every invariant holds" if report["ok"] else f"{len(report['findings'])} findings")


def run(args):
    """The report as a dictionary."""
    rows = Rows(args.dsn)
    case = Case(Log(args.log), rows, Store(args.bucket, args.endpoint), args.mails, args.stuck)
    try:
        if args.remember:
            with open(args.remember, "w", encoding="utf-8") as file:
                json.dump([f[:2] for invariant in IN_TIME for f in invariant(case)], file)
            return None
        passed_over = frozenset()
        if args.inherited:
            with open(args.inherited, encoding="utf-8") as file:
                passed_over = frozenset(map(tuple, json.load(file)))
        findings = judge(case, {"settle": args.settle, "janitor": args.janitor}, passed_over)
        return {"ok": not findings, "findings": [f._asdict() for f in findings], "facts": facts(case),
                "recovery": recovery.table(case.log, events.read(args.events)) if args.events else []}
    finally:
        rows.close()


def main(words=None):
    args = arguments(words)
    report = run(args)
    if report is None:
        return 0
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
    show(report)
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""Mixed load for a given time, or until SIGTERM: uploads of good, broken and duplicate files in every form, downloads
whole and in ranges, status, lists, logins. A second SIGTERM gives up what is still being repeated.

    load.py --gateway https://10.0.0.1:30443 --gateway https://10.0.0.2:30443 --ca ca.crt --name media.example
            --users users --log load.jsonl --seconds 60

users: lines `e-mail password` of accounts that mediactl has made. The log's lines: see journal.py. Exit code 0: every
operation has its line, whatever became of it; check.py judges."""

import argparse
import json
import pathlib
import queue
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
import uuid

from client import Client, Gateways, User
from journal import Journal
from operations import Operations
from samples import Samples

MIX = "audio=4,video=1,photo=2,broken=2,duplicate=1,replay=1,race=1,download=5,range=3,head=2,status=5,list=2,session=1"


def mix(text):
    """{kind: weight}"""
    weights = {}
    for word in text.split(","):
        kind, _, weight = word.partition("=")
        if kind not in dict(w.split("=") for w in MIX.split(",")):
            raise argparse.ArgumentTypeError(f"no such operation: {kind}")
        weights[kind] = float(weight or 1)
    return weights


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", action="append", required=True, metavar="URL", help="may be said more than once")
    parser.add_argument("--name", help="host name for TLS and Host instead of the gateways' addresses")
    parser.add_argument("--ca", help="file of certificates to trust")
    parser.add_argument("--users", required=True, type=pathlib.Path)
    parser.add_argument("--log", required=True, type=pathlib.Path)
    parser.add_argument("--seconds", type=float, help="default: until SIGTERM")
    parser.add_argument("--rate", type=float, default=2, help="operations begun per second (2)")
    parser.add_argument("--concurrency", type=int, default=8, help="operations at once, at most (8)")
    parser.add_argument("--mix", type=mix, default=mix(MIX), help=f"kinds and weights ({MIX})")
    parser.add_argument("--seed", default="1", help="the same seed: the same load")
    parser.add_argument("--limit", type=float, default=120, help="how long an operation is repeated, seconds (120)")
    parser.add_argument("--timeout", type=float, default=30, help="of a read or write of a connection, seconds (30)")
    parser.add_argument("--padding", type=int, default=200_000, help="most bytes that make a file another one (200000)")
    parser.add_argument("--big", type=float, default=0.05, help="share of uploads of 5 or 9 MiB (0.05)")
    parser.add_argument("--photo-params", type=json.loads, default={"detector": "haar"},
                        help='of the pipeline anonymize ({"detector": "haar"}, which needs no model)')
    parser.add_argument("--samples", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "ngx_media-samples",
                        help="where the files made by ffmpeg are kept")
    return parser.parse_args()


class Load:
    def __init__(self, args):
        self.args = args
        self.run = uuid.uuid4().hex[:12]
        self.journal = Journal(args.log)
        self.client = Client(Gateways(args.gateway, args.ca, args.name, args.timeout), self.journal, self.run, args.limit)
        users = [User(*line.split(None, 1)) for line in args.users.read_text().splitlines() if line.strip()]
        self.operations = Operations(self.client, Samples(args.samples), users, args.padding, args.big, args.photo_params)
        self.stop = threading.Event()
        self.is_broken = False              # a mistake of the load itself
        self.due = queue.Queue(maxsize=1)

    def on_signal(self, *_):
        if self.stop.is_set():
            self.client.abort.set()
        self.stop.set()

    def work(self):
        while (item := self.due.get()) is not None:
            op, kind = item
            try:
                self.operations.run(op, kind, random.Random(f"{self.args.seed}/{op}"))
            except Exception:
                traceback.print_exc()
                self.is_broken = True
                self.stop.set()

    def pace(self):
        """Hands operations out at the wanted rate; answers how many."""
        draw = random.Random(self.args.seed)
        kinds, weights = zip(*self.args.mix.items())
        end = time.monotonic() + (self.args.seconds or float("inf"))
        op, due = 0, time.monotonic()
        while not self.stop.is_set() and time.monotonic() < end:
            self.hand_out((op, draw.choices(kinds, weights)[0]))
            op += 1
            # what could not begin in an outage is not made up for in a crowd
            due = max(due, time.monotonic() - 1) + 1 / self.args.rate
            self.stop.wait(max(0, due - time.monotonic()))
        return op

    def hand_out(self, item):
        """Waits until somebody is free for it. Once stopped it is dropped only if nobody is."""
        while True:
            try:
                return self.due.put(item, timeout=0.2)
            except queue.Full:
                if self.stop.is_set():
                    return None

    def main(self):
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self.on_signal)
        told = {k: v for k, v in vars(self.args).items() if k not in ("users", "log", "samples")}
        self.journal.line("start", run=self.run, wall=time.time(), mono=time.monotonic(),
                          users=[u.email for u in self.operations.users], args=json.loads(json.dumps(told, default=str)))
        threads = [threading.Thread(target=self.work) for _ in range(self.args.concurrency)]
        for thread in threads:
            thread.start()
        count = self.pace()
        for _ in threads:
            self.due.put(None)
        for thread in threads:
            thread.join()
        if not self.is_broken:
            self.journal.line("end", run=self.run, wall=time.time(), mono=time.monotonic(), begun=count)
        self.journal.close()
        print(f"run {self.run}: {count} operations begun")
        return 1 if self.is_broken else 0


if __name__ == "__main__":
    sys.exit(Load(arguments()).main())

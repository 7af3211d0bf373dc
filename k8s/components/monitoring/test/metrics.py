#!/usr/bin/python3 -B
"""The metrics that rules and dashboard speak of, and whether somebody has them.

    metrics.py                       lists them
    metrics.py missing PREFIX FILE   those that begin with PREFIX and are not in FILE, an exposition as it was scraped
"""
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent
NAME = re.compile(r"\b(?:ngx_media|patroni|rabbitmq|minio|kube|kubelet)_[a-z0-9_]+\b")
EXPRESSION = re.compile(r"^ +expr: *(?:>-\n((?: {12}.*\n)+)|(.*)\n)", re.M)


def expressions():
    for path in sorted(HERE.glob("rules/*.yaml")):
        for folded, plain in EXPRESSION.findall(path.read_text()):
            yield folded or plain
    for panel in json.loads((HERE / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]


def used(prefix=""):
    """Without what stands in strings."""
    names = {name for e in expressions() for name in NAME.findall(re.sub(r'"[^"]*"', '""', e))}
    return {name for name in names if name.startswith(prefix)}


def exposed(text):
    return set(re.findall(r"^([a-z_:][a-z0-9_:]*)", text, re.M | re.I))


def main():
    if len(sys.argv) == 1:
        print("\n".join(sorted(used())))
        return 0
    _, _, prefix, path = sys.argv
    absent = sorted(used(prefix) - exposed(pathlib.Path(path).read_text()))
    print("\n".join(absent))
    return 1 if absent else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3 -B
"""Every alert has a severity, a test and a section of its own in docs/OPERATIONS.md, and no section is left over; what
they ask for of other programs is in foreign.txt."""
import os
import re
import sys

from source import ROOT, files, read, report

MONITORING = "k8s/components/monitoring/"
GUIDE = "docs/OPERATIONS.md"

sys.path.insert(0, os.path.join(ROOT, MONITORING, "test"))
import metrics


def alerts():
    for path in files(".yaml", under=MONITORING + "rules"):
        for block in re.split(r"^ +- (?=alert:|record:)", read(path), flags=re.M)[1:]:
            if block.startswith("alert:"):
                yield path, re.match(r"alert: (\w+)", block)[1], block


def check():
    headings = re.findall(r"^#+ (Media\w+)$", read(GUIDE), re.M)
    tests = read(MONITORING + "test/alerts.yaml")
    found = set()
    for path, name, block in alerts():
        found.add(name)
        if name not in headings:
            yield f"{path}: {name} has no section in {GUIDE}"
        if f"runbook_url: {GUIDE}#{name.lower()}\n" not in block:
            yield f"{path}: {name}: its runbook_url is not its section"
        if not re.search(r"severity: (critical|warning|info)\n", block):
            yield f"{path}: {name} has no severity"
        if f'alertname="{name}"' not in tests:
            yield f"{path}: {name} has no test"
    for name in headings:
        if name not in found:
            yield f"{GUIDE}: {name}: there is no such alert"
    known = set(re.findall(r"^(\w+)", read(MONITORING + "test/foreign.txt"), re.M))
    foreign = metrics.used() - metrics.used("ngx_media_")
    for name in sorted(foreign ^ known):
        yield f"{MONITORING}test/foreign.txt: {name} " + ("is missing" if name in foreign else "is asked for by nobody")


report(list(check()))

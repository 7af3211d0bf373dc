"""What the scenarios found: points that passed or failed (TAP, as all tests here), figures for the table of RESULTS.md."""

import datetime
import pathlib
import subprocess

from cluster import ROOT

RESULTS = pathlib.Path(__file__).with_name("RESULTS.md")


class Report:
    def __init__(self):
        self.count = self.failed = 0
        self.rows = []  # (scenario, what, figure, goal)
        self.points, self.now = {}, [0, 0]  # by scenario: passed, failed
        self.commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True,
                                     text=True).stdout.strip()

    def begin(self, scenario):
        """What is checked from here on belongs to it."""
        self.points[scenario] = self.now = [0, 0]

    def check(self, condition, what, seen=""):
        self.count += 1
        self.failed += not condition
        self.now[not condition] += 1
        print(f"{'ok' if condition else 'not ok'} {self.count} - {what}", flush=True)
        if not condition:
            print("\n".join(f"# {line}" for line in str(seen)[:4000].splitlines()), flush=True)
        return bool(condition)

    def figure(self, scenario, what, figure, goal=""):
        self.rows.append((scenario, what, figure, goal))
        print(f"# {scenario}: {what}: {figure}{f' (goal {goal})' if goal else ''}", flush=True)

    def write(self, scenarios):
        """Replaces the table of each scenario that ran; the others' stay."""
        old = sections(RESULTS.read_text()) if RESULTS.exists() else {}
        for scenario in scenarios:
            rows = [r[1:] for r in self.rows if r[0] == scenario]
            old[scenario] = "\n".join([
                f"{datetime.date.today()}, commit {self.commit}, `make k8s-test SCENARIOS={scenario}`", "",
                "| | seen | goal |", "|---|---|---|", "| points | {} passed, {} failed | |".format(*self.points[scenario]),
                *(f"| {a} | {b} | {c} |" for a, b, c in rows)])
        text = ["# What `make k8s-test` saw", "",
                "On the cluster of one machine with 2 cores, all nodes and servers on it; see each scenario's file.", ""]
        for scenario, body in old.items():
            text += [f"## {scenario}", "", body, ""]
        RESULTS.write_text("\n".join(text))


def sections(text):
    found = {}
    for part in text.split("\n## ")[1:]:
        title, _, body = part.partition("\n")
        found[title.strip()] = body.strip()
    return found

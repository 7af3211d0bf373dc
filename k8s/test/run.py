#!/usr/bin/python3
"""make k8s-test: the scenarios on a real cluster of this machine, in order. Those behind `fresh` use its cluster, or one
that is up already; `loss` has one of its own.

    k8s/test/run.py [SCENARIO...]     fresh network figures routes restore scale upgrade loss
    KEEP=1                            leaves the cluster up"""

import importlib
import os
import pathlib
import sys
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "scenarios"), str(HERE / "load")]

from cluster import Cluster, image_dir, need_tools, say  # noqa: E402
from report import Report  # noqa: E402

SCENARIOS = ("fresh", "network", "figures", "routes", "restore", "scale", "upgrade", "loss")


def main(wanted):
    unknown = set(wanted) - set(SCENARIOS)
    why = f"no such scenario: {' '.join(sorted(unknown))}" if unknown else need_tools()
    if not why and not list(image_dir().glob("*.tar")):
        why = f"no images in {image_dir()} (make images)"
    if why:
        sys.exit(f"k8s-test: {why}")
    cluster, report, done = Cluster(), Report(), []
    try:
        for scenario in wanted or SCENARIOS:
            say(f"---- {scenario}")
            report.begin(scenario)
            try:
                importlib.import_module(scenario).run(cluster, report)
                done.append(scenario)
            except Exception:
                report.check(False, scenario, traceback.format_exc())
    finally:
        report.write(done)
        if not os.environ.get("KEEP"):
            cluster.down()
    print(f"1..{report.count}")
    sys.exit(1 if report.failed else 0)


main(sys.argv[1:])

#!/usr/bin/python3
"""Alerts and dashboard speak of figures that this system has."""

import sys
import urllib.request

from lib import ROOT, RUN, check, main, request

sys.path.insert(0, str(ROOT / "k8s/components/monitoring/test"))
import metrics

# `make up` has no TLS: t/35-status/certificate.t
ELSEWHERE = {"ngx_media_certificate_not_after_seconds"}


def scrape():
    text = request("GET", "/metrics").body.decode()
    for file in sorted((RUN / "health").iterdir()):
        with urllib.request.urlopen(f"http://{file.read_text().strip()}/metrics", timeout=10) as answer:
            text += answer.read().decode()
    return text


def test_metrics_used_exposed():
    """What rules and dashboard ask for is shown by gateway, workers or janitor"""
    used = metrics.used("ngx_media_") - ELSEWHERE
    absent = used - metrics.exposed(scrape())
    check(len(used) > 20, "they ask for our figures", sorted(used))
    check(not absent, "all of them are there", sorted(absent))


main(test_metrics_used_exposed)

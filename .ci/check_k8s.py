#!/usr/bin/python3 -B
"""Rendered overlays (NAME.yaml of a directory) against Kubernetes' own schemas and our policies.
    check_k8s.py DIR SECRETS     SECRETS/NAME/KEY: what a cluster makes for itself (docker/ops/secrets.sh)
Called by .ci/k8s.sh, which knows where kubernetes-validate lies."""
import os
import re
import sys

import kubernetes_validate
import yaml

from k8s_model import Rendered, title
from k8s_policies import POLICIES

KUBERNETES = "1.34"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# (policy, object): why it may. One that is no longer needed is a problem, too. A Job is named without its version.
EXCEPTIONS = {
    ("pod_security", "Namespace/kube-system"): "the cluster's own",
    ("no_token", "Deployment/metrics-server"): "answers for the API server, and asks it who asks",
    ("no_token", "Job/media-secrets"): "creates Secrets, and may do nothing else",
    ("no_token", "StatefulSet/postgres"): "Patroni keeps its lock in ConfigMaps",
    # components/logging: what reads a node's logs
    ("pod_security", "Namespace/media-logging"): "hostPath is refused by all but privileged",
    ("nothing_of_the_host", "DaemonSet/fluent-bit"): "two directories of logs, read-only",
    ("non_root", "DaemonSet/fluent-bit"): "logs are root's; it has no capability",
    ("no_token", "DaemonSet/fluent-bit"): "asks for the labels of the installation's pods",
    ("disruption_budget", "Deployment/metrics-server"): "one is enough: without it nothing is scaled for a while",
    ("disruption_budget", "Deployment/mail"): "a sink to try things out with, whose mails are in its only pod",
    ("spread", "Deployment/metrics-server"): "one is enough",
    ("disruption_budget", "Deployment/ctl"): "a shell for operators: nothing waits for it",
    ("spread", "Deployment/mail"): "there is one",
    ("spread", "Deployment/ctl"): "there is one",
    ("pod_security", "Namespace/media-logging"): "Fluent Bit's alone, see the next",
    ("nothing_of_the_host", "DaemonSet/fluent-bit"): "what it collects is written by the container runtime",
    ("non_root", "DaemonSet/fluent-bit"): "as root, for root; it has no capability",
    ("no_token", "DaemonSet/fluent-bit"): "asks which pod a line is of",
    ("selectors", "Service/postgres"): "the primary has the label that Patroni writes",
}
# Secrets that nobody makes, with their keys: they are brought along
BROUGHT = {"media-opensearch": {"login.conf"}, "media-backup-source": {"credentials"}}
# of which kubernetes-validate has no schema: they come with what they configure
FOREIGN = ("monitoring.coreos.com/", "keda.sh/")


def schema(docs):
    for doc in docs:
        if doc["apiVersion"].startswith(FOREIGN):
            continue
        try:
            kubernetes_validate.validate(doc, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as e:
            yield title(doc), "{}: {}".format("/".join(map(str, e.path)), e.message[:200])
        except kubernetes_validate.SchemaNotFoundError as e:
            yield title(doc), e.message


def twice(docs):
    seen = set()
    for doc in docs:
        key = (doc["apiVersion"].split("/")[0], title(doc), doc["metadata"].get("namespace"))
        if key in seen:
            yield title(doc), "is there twice"
        seen.add(key)


def check(rendered, used):
    problems = [("schema", *p) for p in schema(rendered.docs)]
    problems += [("twice", *p) for p in twice(rendered.docs)]
    if problems:
        return problems
    for name, rule in POLICIES.items():
        for where, what in rule(rendered):
            excepted = (name, re.sub(r"^(Job/media-[a-z]+)-.*", r"\1", where))
            used.add(excepted)
            if excepted not in EXCEPTIONS:
                problems.append((name, where, what))
    return problems


def main(directory, secrets):
    used, found = set(), {}
    keys = {name: set(os.listdir(os.path.join(secrets, name))) for name in os.listdir(secrets)} | BROUGHT
    for file in sorted(os.listdir(directory)):
        with open(os.path.join(directory, file), encoding="utf-8") as text:
            rendered = Rendered(file.removesuffix(".yaml"), list(yaml.load_all(text, Loader=LOADER)), keys)
        for problem in check(rendered, used):
            found.setdefault(problem, []).append(rendered.name)
    for (name, where, what), overlays in found.items():
        print(f"{', '.join(overlays)}: {where}: {what} [{name}]")
    stale = sorted(set(EXCEPTIONS) - used)
    for name, where in stale:
        print(f"{where}: needs no exception from {name}")
    sys.exit(bool(found or stale))


if __name__ == "__main__":
    main(*sys.argv[1:])

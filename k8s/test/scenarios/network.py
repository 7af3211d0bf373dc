"""Each forbidden path tried and refused, each allowed one works: from inside the real pods, by ephemeral containers that
share their network. And no secret in an environment, an argument list, a log or an image."""

import base64
import json
import pathlib
import re
import tarfile

from cluster import ROOT, Failed, component, image_dir, name, wait
from fresh import started

PATHS = ROOT / "k8s/paths.txt"
# besides what paths.txt names: doors of ours that are nobody's of ours, and what lies outside
DOORS = [("gateway", 8443), ("gateway", 8081), ("transcoder", 9090)]
OUTSIDE = {"the API server": ("kubernetes", 443), "the world": ("1.1.1.1", 443)}
# Patroni asks the API server; members of one kind may talk to each other where paths.txt says so
API_USERS = {"postgres"}


def run(cluster, report):
    if not cluster.is_up():
        started(cluster, report)
    here = {component(p) for p in cluster.pods() if p["status"]["phase"] == "Running"}
    allowed = {path for path in paths() if path[0] in here and path[1] in here}
    targets = addresses(cluster, {path[1:] for path in allowed} | set(DOORS))
    for source in sorted(here):
        reached = reach(cluster, source, targets)
        for target in targets:
            if target[0] == source:
                continue  # one's own pod
            may = (source, *target) in allowed or target[0] == "the API server" and source in API_USERS
            report.check((target in reached) == may, f"{source} -> {target[0]} {target[1]}: {'open' if may else 'refused'}",
                         sorted(reached))
    stranger(cluster, report, targets)
    secrets(cluster, report)


def paths():
    """{(from, to, port)} of paths.txt"""
    lines = (line.split() for line in PATHS.read_text().splitlines() if line.strip() and not line.startswith("#"))
    return {(source, target, int(port)) for source, target, port in lines}


def addresses(cluster, doors):
    """{(who, port): address}; names are looked up here, since those who may not ask DNS shall be tried, too."""
    found = {}
    for who, port in sorted(doors):
        pods = [p for p in cluster.pods(who) if p["status"]["phase"] == "Running"]
        found[who, port] = pods[0]["status"]["podIP"]
    for who, (where, port) in OUTSIDE.items():
        if not where[0].isdigit():
            where = cluster.json("get", "service", where, ns="default")["spec"]["clusterIP"]
        found[who, port] = where
    return found


def script(targets):
    """Tries all at once and prints those that were reached."""
    tries = [f"(timeout 4 bash -c 'exec 3<>/dev/tcp/{address}/{port}' 2>/dev/null && echo 'reached {port} {who}') &"
             for (who, port), address in targets.items()]
    return "\n".join(tries) + "\nwait; echo done"


def reached_of(log):
    return {(who, int(port)) for port, who in re.findall(r"^reached (\d+) (.+)$", log, re.M)}


def reach(cluster, source, targets):
    pod = next(p for p in cluster.pods(source) if p["status"]["phase"] == "Running")
    container = f"probe-{len(pod['spec'].get('ephemeralContainers', []))}"
    cluster.kubectl("debug", name(pod), *image(cluster), "--profile", "restricted", "-c", container, "--",
                    "bash", "-c", script(targets))
    log = wait(f"{source}: tries", lambda: finished(cluster.kubectl("logs", name(pod), "-c", container)), 90)
    return reached_of(log)


def finished(log):
    return log if log.rstrip().endswith("done") else None


def image(cluster):
    """Of the version that runs: the one with a shell."""
    running = cluster.json("get", "deployment", "gateway")["spec"]["template"]["spec"]["containers"][0]["image"]
    tag = running.rsplit(":", 1)[1]
    return "--image", f"docker.io/ngx-media/ops:{tag}", "--image-pull-policy", "IfNotPresent"


def stranger(cluster, report, targets):
    """A pod of another namespace reaches the public port of the gateway, and nothing else of ours."""
    cluster.kubectl("run", "stranger", *image(cluster), "--restart", "Never", "--command", "--",
                    "bash", "-c", script(targets), ns="default")
    try:
        log = wait("stranger: tries", lambda: finished(cluster.kubectl("logs", "stranger", ns="default")), 90)
    finally:
        cluster.kubectl("delete", "pod", "stranger", "--now", ns="default", check=False)
    reached = {target for target in reached_of(log) if target[0] not in OUTSIDE}
    report.check(reached == {("gateway", 8443)}, "another namespace reaches the gateway's public port alone",
                 sorted(reached))


# ---- secrets ----

def secrets(cluster, report):
    values = secret_values(cluster)
    report.check(len(values) > 10, f"secrets to look for: {len(values)}")
    for where, text in places(cluster):
        found = sorted(key for key, value in values.items() if value in text)
        report.check(not found, f"no secret in {where}", found)
    for tar in sorted(image_dir().glob("*.tar")):
        found = private_keys(tar)
        report.check(not found, f"no private key in the layers of {tar.name}", found)


def secret_values(cluster):
    """Each password, key and token of the namespace's Secrets; multi-line files by their longest words."""
    values = {}
    for secret in cluster.json("get", "secrets")["items"]:
        for key, data in (secret.get("data") or {}).items():
            for word in re.findall(rb"[A-Za-z0-9+/_=-]{20,}", base64.b64decode(data)):
                if key != "tls.crt" and not key.endswith(".crt"):
                    values[f"{name(secret)}/{key}:{len(word)}"] = word
    if not values:
        raise Failed("no secrets found")
    return values


def places(cluster):
    for pod in cluster.pods():
        yield f"the pod {name(pod)}", json.dumps(pod).encode()
        yield f"the log of {name(pod)}", cluster.kubectl("logs", name(pod), "--all-containers", "--prefix",
                                                          check=False).encode()
    for kind in ("configmaps", "events", "deployments", "statefulsets", "jobs"):
        yield kind, cluster.kubectl("get", kind, "-o", "json").encode()
    for what in ("environ", "cmdline"):
        yield f"/proc/*/{what} of all containers", b"\0".join(processes(what))


def processes(what):
    """Of every process in a pod of the test nodes, which run on this machine."""
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if "/kube" in (proc / "cgroup").read_text() and "pod" in (proc / "cgroup").read_text():
                yield (proc / what).read_bytes()
        except OSError:
            pass


def private_keys(tar):
    """Names of files in an image's layers that are a private key. Libraries hold some for their self-tests; a mail sink's
    tests have theirs."""
    found = []
    with tarfile.open(tar) as image:
        for member in image:
            try:
                layer = tarfile.open(fileobj=image.extractfile(member)) if member.isfile() else []
            except tarfile.ReadError:
                continue
            found += [f.name for f in layer if f.isfile() and "/tests/" not in f.name
                      and re.match(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----", layer.extractfile(f).read(40))]
    return found

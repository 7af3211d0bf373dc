"""What every manifest has to keep to. A policy is a generator of (object, problem) over one rendered overlay."""
import os
import re

from k8s_model import CLUSTER_SCOPED, LONG_RUNNING, containers, dig, environment, namespace, number, selects, title
from k8s_paths import paths, uncovered

POLICIES = {}
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read_paths():
    with open(os.path.join(ROOT, "k8s/paths.txt"), encoding="utf-8") as file:
        rows = [line.split() for line in file if line.strip() and not line.startswith("#")]
    return {(client, server, int(port)) for client, server, port in rows}


PATHS = read_paths()

SECRET_NAME = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIALS?|(ACCESS|PRIVATE|JWT|PLAY)_KEY)(_ID)?$", re.I)
SECRET_TEXT = re.compile(r"://[^\s/:@]+:[^\s/:@]+@|-----BEGIN [A-Z ]*PRIVATE KEY|\bpassword\s*=\s*\S", re.I)
# of a media-detector, which an anonymizer has besides its decoder child
DETECTOR_MIB = 2048
PROGRAM_MIB = 128
# most cores that what runs all the time in an overlay may ask for: `dev` fits beside other things on a laptop
CORES = {"overlays-dev": 1.2}


def policy(function):
    POLICIES[function.__name__] = function
    return function


def each_container(rendered, init=True):
    for w in rendered.workloads():
        for c in containers(w, init):
            yield w, c, f"{w.kind}/{w.name}"


@policy
def namespaced(r):
    for d in r.docs:
        if bool(namespace(d)) == (d["kind"] in CLUSTER_SCOPED):
            yield title(d), "has no namespace" if not namespace(d) else "is of the cluster, yet has a namespace"


@policy
def pod_security(r):
    strict = {d["metadata"]["name"] for d in r.kind("Namespace")
              if dig(d, "metadata", "labels", "pod-security.kubernetes.io/enforce") == "restricted"}
    for space in sorted({w.namespace for w in r.workloads()} - strict):
        yield f"Namespace/{space}", "does not enforce Pod Security restricted"


@policy
def non_root(r):
    for w, c, name in each_container(r):
        pod, own = dig(w.pod, "securityContext", default={}), dig(c, "securityContext", default={})
        if not own.get("runAsNonRoot", pod.get("runAsNonRoot")) or not own.get("runAsUser", pod.get("runAsUser")):
            yield name, f"{c['name']} may run as root"


@policy
def read_only_root(r):
    for _, c, name in each_container(r):
        if not dig(c, "securityContext", "readOnlyRootFilesystem"):
            yield name, f"{c['name']} may write to its image"


@policy
def no_capabilities(r):
    for _, c, name in each_container(r):
        if "ALL" not in dig(c, "securityContext", "capabilities", "drop", default=[]) \
                or dig(c, "securityContext", "capabilities", "add"):
            yield name, f"{c['name']} keeps capabilities"


@policy
def seccomp(r):
    for w, c, name in each_container(r):
        path = ("securityContext", "seccompProfile", "type")
        if (dig(c, *path) or dig(w.pod, *path)) not in ("RuntimeDefault", "Localhost"):
            yield name, f"{c['name']} has no seccomp profile"


@policy
def no_escalation(r):
    for _, c, name in each_container(r):
        if dig(c, "securityContext", "allowPrivilegeEscalation") is not False or dig(c, "securityContext", "privileged"):
            yield name, f"{c['name']} may gain privileges"


@policy
def nothing_of_the_host(r):
    for w in r.workloads():
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if w.pod.get(key):
                yield f"{w.kind}/{w.name}", key
        for v in w.pod.get("volumes") or []:
            if "hostPath" in v:
                yield f"{w.kind}/{w.name}", f"mounts {v['hostPath']['path']} of its host"


@policy
def resources(r):
    for _, c, name in each_container(r):
        for path in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            if dig(c, "resources", *path) is None:
                yield name, f"{c['name']} has no {path[1]} in {path[0]}"


@policy
def room(r):
    total = sum(number(dig(c, "resources", "requests", "cpu", default=0)) * dig(w.doc, "spec", "replicas", default=1)
                for w in r.workloads() if w.kind in LONG_RUNNING for c in containers(w, init=False))
    if total > CORES.get(r.name, total):
        yield "all pods", f"ask for {total:.2f} cores, more than {CORES[r.name]}"


@policy
def probes(r):
    for w, c, name in each_container(r, init=False):
        if w.kind not in LONG_RUNNING:
            continue
        for probe in ("livenessProbe", "readinessProbe"):
            if probe not in c:
                yield name, f"{c['name']} has no {probe}"
        if "ready" in dig(c, "livenessProbe", "httpGet", "path", default=""):
            yield name, f"{c['name']}: its liveness depends on others"


@policy
def image_pinned(r):
    for _, c, name in each_container(r):
        tag = c["image"].rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in c["image"] and tag in ("", "latest"):
            yield name, f"{c['name']}: {c['image']} may be anything"


@policy
def no_secret_in_environment(r):
    for _, c, name in each_container(r):
        if any("secretRef" in e for e in c.get("envFrom") or []):
            yield name, f"{c['name']}: a Secret as environment"
        for key, e in environment(c).items():
            value = e.get("value") or ""
            if dig(e, "valueFrom", "secretKeyRef"):
                yield name, f"{c['name']}: {key} comes from a Secret"
            elif SECRET_NAME.search(key) and value and not value.startswith("/") or SECRET_TEXT.search(value):
                yield name, f"{c['name']}: {key} is a secret"


@policy
def no_secret_in_arguments(r):
    for _, c, name in each_container(r):
        if any(SECRET_TEXT.search(a) for a in (c.get("command") or []) + (c.get("args") or [])):
            yield name, f"{c['name']}: a secret among its arguments"


@policy
def no_secret_in_config(r):
    for d in r.kind("ConfigMap"):
        for key, value in (d.get("data") or {}).items():
            if SECRET_TEXT.search(value) or SECRET_NAME.search(key) and value and not value.startswith("/"):
                yield title(d), f"{key} is a secret"


@policy
def no_secret_objects(r):
    for d in r.kind("Secret"):
        if dig(d, "data") or dig(d, "stringData"):
            yield title(d), "stands in the tree"


@policy
def no_token(r):
    accounts = {(namespace(d), d["metadata"]["name"]): d for d in r.kind("ServiceAccount")}
    for w in r.workloads():
        account = accounts.get((w.namespace, w.pod.get("serviceAccountName", "default")), {})
        if w.pod.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True)):
            yield f"{w.kind}/{w.name}", "gets a token of the API server"


@policy
def disruption_budget(r):
    budgets = r.kind("PodDisruptionBudget")
    for w in r.workloads():
        if w.kind in ("Deployment", "StatefulSet") and not any(
                namespace(b) == w.namespace and selects(dig(b, "spec", "selector"), w.labels) for b in budgets):
            yield f"{w.kind}/{w.name}", "no PodDisruptionBudget selects it"


@policy
def spread(r):
    for w in r.workloads():
        if w.kind not in ("Deployment", "StatefulSet"):
            continue
        keys = [c.get("topologyKey") for c in w.pod.get("topologySpreadConstraints") or []
                if selects(c.get("labelSelector"), w.labels)]
        keys += ["kubernetes.io/hostname"] if dig(w.pod, "affinity", "podAntiAffinity") else []
        if "kubernetes.io/hostname" not in keys:
            yield f"{w.kind}/{w.name}", "all its pods may be on one host"


@policy
def priority(r):
    known = {d["metadata"]["name"] for d in r.kind("PriorityClass")}
    for w in r.workloads():
        name = w.pod.get("priorityClassName", "")
        if name not in known and not name.startswith("system-"):
            yield f"{w.kind}/{w.name}", f"priority class \"{name}\" is not here" if name else "has no priority class"


@policy
def grace(r):
    for w in r.workloads():
        for c in w.pod["containers"]:
            drain = int(dig(environment(c), "MEDIA_DRAIN_S", "value", default=0))
            stop = dig(c, "lifecycle", "preStop", "sleep", "seconds", default=0)
            if drain + stop > 0 and w.pod.get("terminationGracePeriodSeconds", 30) < drain + stop + 10:
                yield f"{w.kind}/{w.name}", f"is killed before {drain} s of draining and {stop} s of preStop are over"


@policy
def memory_fits(r):
    for _, c, name in each_container(r, init=False):
        env = environment(c)
        child = dig(env, "MEDIA_CHILD_MEMORY_MIB", "value")
        limit = dig(c, "resources", "limits", "memory")
        if child is None or limit is None:
            continue
        jobs = int(dig(env, "MEDIA_JOBS", "value", default=1))
        need = PROGRAM_MIB + jobs * (int(child) + (DETECTOR_MIB if "/anonymizer" in c["image"] else 0))
        if number(limit) < need * 2**20:
            yield name, f"{c['name']}: {limit} of memory, its children may take {need} MiB"


@policy
def selectors(r):
    pods = list(r.workloads())
    for d in r.kind("Service"):
        chosen = [w for w in pods if w.namespace == namespace(d)
                  and selects({"matchLabels": dig(d, "spec", "selector", default={})}, w.labels)]
        if dig(d, "spec", "selector") and not chosen:
            yield title(d), "selects no pod"
        names = {p.get("name") for w in chosen for c in w.pod["containers"] for p in c.get("ports") or []}
        for port in dig(d, "spec", "ports", default=[]):
            if chosen and isinstance(port.get("targetPort"), str) and port["targetPort"] not in names:
                yield title(d), f"no pod has a port {port['targetPort']}"
    for d in r.kind("PodDisruptionBudget"):
        if not any(namespace(d) == w.namespace and selects(dig(d, "spec", "selector"), w.labels) for w in pods):
            yield title(d), "selects no pod"
    for d in r.kind("HorizontalPodAutoscaler", "ScaledObject"):
        target = dig(d, "spec", "scaleTargetRef", default={})
        if not r.has(target.get("kind", "Deployment"), target.get("name"), namespace(d)):
            yield title(d), f"scales {target.get('name')}, which is not here"


@policy
def references(r):
    for w in r.workloads():
        name = f"{w.kind}/{w.name}"
        account = w.pod.get("serviceAccountName", "default")
        if not r.has("ServiceAccount", account, w.namespace):
            yield name, f"ServiceAccount/{account} is not here"
        claimed = {dig(t, "metadata", "name") for t in dig(w.doc, "spec", "volumeClaimTemplates", default=[])}
        volumes = {v["name"] for v in w.pod.get("volumes") or []} | claimed
        for kind, ref in _references(w):
            found = ref in r.secrets if kind == "Secret" else r.has(kind, ref, w.namespace)
            if not found:
                yield name, f"{kind}/{ref} is not here"
        for c in containers(w):
            for m in c.get("volumeMounts") or []:
                if m["name"] not in volumes:
                    yield name, f"{c['name']} mounts {m['name']}, which is no volume"


def _references(w):
    """(kind, name) of all that pods of w cannot start without."""
    sources = []
    for v in w.pod.get("volumes") or []:
        sources += [v] + (dig(v, "projected", "sources") or [])
        if "persistentVolumeClaim" in v:
            yield "PersistentVolumeClaim", v["persistentVolumeClaim"]["claimName"]
    for s in sources:
        if "configMap" in s and not s["configMap"].get("optional"):
            yield "ConfigMap", s["configMap"]["name"]
        if "secret" in s and not s["secret"].get("optional"):
            yield "Secret", s["secret"].get("secretName") or s["secret"].get("name")
    for c in containers(w):
        for e in c.get("envFrom") or []:
            if "configMapRef" in e and not e["configMapRef"].get("optional"):
                yield "ConfigMap", e["configMapRef"]["name"]
        for e in environment(c).values():
            if dig(e, "valueFrom", "configMapKeyRef"):
                yield "ConfigMap", e["valueFrom"]["configMapKeyRef"]["name"]


@policy
def job_stays(r):
    """A Job that refers to a ConfigMap by a name with a digest cannot be applied again once that has changed."""
    for w in r.workloads():
        for kind, ref in _references(w):
            if w.kind == "Job" and kind == "ConfigMap" and re.search(r"-[a-z0-9]{10}$", ref):
                yield f"{w.kind}/{w.name}", f"changes whenever ConfigMap/{ref} does"


@policy
def secret_files(r):
    """A path below /run/secrets is that of a file which its Secret has and the container mounts."""
    for w, c, name in each_container(r):
        files = {}
        volumes = {v["name"]: v["secret"] for v in w.pod.get("volumes") or [] if "secret" in v}
        for m in c.get("volumeMounts") or []:
            if m["name"] in volumes:
                secret = volumes[m["name"]]
                has = r.secrets.get(secret["secretName"], set())
                chosen = {i["path"]: i["key"] for i in secret["items"]} if "items" in secret else {k: k for k in has}
                files[m["mountPath"]] = {path for path, key in chosen.items() if key in has}
                for key in set(chosen.values()) - has:
                    yield name, f"Secret/{secret['secretName']} has no {key}"
                if secret.get("defaultMode", 0o644) & 0o007:
                    yield name, f"Secret/{secret['secretName']} is readable for others"
        for key, e in environment(c).items():
            path = e.get("value") or ""
            at, _, file = path.rpartition("/")
            if path.startswith("/run/secrets/") and path not in files and file not in files.get(at, ()):
                yield name, f"{key}: {path} is not there"


@policy
def bounded_volumes(r):
    for w in r.workloads():
        for v in w.pod.get("volumes") or []:
            if "emptyDir" in v and not dig(v, "emptyDir", "sizeLimit"):
                yield f"{w.kind}/{w.name}", f"volume {v['name']} has no sizeLimit"


@policy
def network_denied(r):
    for w, direction in uncovered(r):
        yield f"{w.kind}/{w.name}", f"no NetworkPolicy selects it for {direction}"


@policy
def network_both_ends(r):
    for client, server, port, end in sorted(paths(r)[1], key=str):
        yield f"{client} -> {server}:{port}", f"is open at its {'sending' if end == 'out' else 'receiving'} end alone"


@policy
def network_as_written(r):
    """k8s/paths.txt lists every path; a server that is not in this overlay needs none."""
    found = paths(r)[0]
    names = {w.labels.get("app.kubernetes.io/component") for w in r.workloads()}
    for path in sorted(found - PATHS, key=str):
        yield "{} -> {}:{}".format(*path), "is open, and not in k8s/paths.txt"
    for path in sorted(PATHS - found, key=str):
        if path[0] in names and path[1] in names:
            yield "{} -> {}:{}".format(*path), "is in k8s/paths.txt, and not open"

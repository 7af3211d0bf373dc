"""The test cluster as the scenarios use it: kubectl, waiting, and ways to hurt it.

Every wait is for a condition, with a limit; what was not met is an exception that says what was seen last."""

import base64
import contextlib
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBE = pathlib.Path(os.environ.get("KUBE_TOOL") or ROOT / "../shared/k8s/kube").resolve()
KUBE_CACHE = pathlib.Path(os.environ.get("KUBE_CACHE") or pathlib.Path.home() / ".cache/kube-v1.34.4")
KUBE_RUN = pathlib.Path(os.environ.get("KUBE_RUN") or "/tmp/kube")
NODE = "10.99.0.{}"
PODS = "10.244.0.0/16"
HTTPS_PORT = 30443


class Failed(Exception):
    pass


def say(text):
    print(f"{datetime.datetime.now():%H:%M:%S}  {text}", flush=True)


def wait(what, probe, seconds, every=0.5):
    """The first true value of probe(); Failed after `seconds`. An exception of the probe is "not yet"."""
    end = time.monotonic() + seconds
    last = None
    while True:
        try:
            last = probe()
            if last:
                return last
        except (Failed, OSError, ValueError, subprocess.SubprocessError) as e:
            last = e
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s; last seen: {str(last)[:2000]}")
        time.sleep(every)


class Cluster:
    def __init__(self, namespace="media"):
        self.ns = namespace
        self.env = {**os.environ, "KUBECONFIG": str(KUBE_RUN / "admin.conf"),
                    "PATH": f"{KUBE_CACHE / 'bin'}:{os.environ['PATH']}"}

    # ---- the machine ----

    def up(self, nodes):
        """A fresh cluster with our images in it."""
        self.down()
        subprocess.run([KUBE, "up", str(nodes)], check=True, env=self.env)
        self.keep_pods_addresses(nodes)
        for tar in sorted(image_dir().glob("*.tar")):
            self.load(tar)

    def keep_pods_addresses(self, nodes):
        """This cluster's network plugin hides a pod from pods of other nodes behind its node's address, where policies,
        which know pods, refuse it. What kube-proxy marks (0x4000) it hides for good reasons of its own."""
        for i in range(1, nodes + 1):
            subprocess.run(["ip", "netns", "exec", f"kube{i}", "iptables", "-w", "-t", "nat", "-I", "POSTROUTING",
                            "-s", PODS, "-d", PODS, "-m", "mark", "!", "--mark", "0x4000/0x4000", "-j", "ACCEPT"],
                           check=True)

    def load(self, archive):
        subprocess.run([KUBE, "load", str(archive)], check=True, env=self.env)

    def down(self):
        if self.is_up():
            subprocess.run([KUBE, "down"], check=True, env=self.env)

    def nodes(self):
        """How many the cluster that is up has."""
        return len(self.json("get", "nodes")["items"]) if self.is_up() else 0

    def is_up(self):
        return (KUBE_RUN / "pid").exists()

    # ---- kubectl ----

    def kubectl(self, *args, text=None, seconds=120, check=True, ns=None):
        """stdout of kubectl in our namespace, in `ns`, or, if that is empty, where objects say; Failed with stderr."""
        where = ["-n", self.ns if ns is None else ns] if ns != "" else []
        done = subprocess.run(["kubectl", *where, *map(str, args)], input=text, env=self.env,
                              capture_output=True, text=True, timeout=seconds)
        if check and done.returncode != 0:
            raise Failed(f"kubectl {' '.join(map(str, args))[:200]}: {done.stderr.strip()[-1500:]}")
        return done.stdout

    def json(self, *args, ns=None):
        return json.loads(self.kubectl(*args, "-o", "json", ns=ns))

    def apply(self, where, root=ROOT):
        """kubectl apply -k, as an operator would; `where` is a directory of k8s/ of the tree `root`."""
        return self.kubectl("apply", "-k", root / "k8s" / where, seconds=300, ns="")

    def pods(self, component=None):
        selector = ["-l", f"app.kubernetes.io/component={component}"] if component else []
        return self.json("get", "pods", *selector)["items"]

    def exec(self, pod, *command, text=None, container=None, seconds=120, check=True):
        where = ["-c", container] if container else []
        return self.kubectl("exec", "-i", pod, *where, "--", *command, text=text, seconds=seconds, check=check)

    def ctl(self, *command, text=None):
        """mediactl, in the pod that is there for operators."""
        return self.exec("deploy/ctl", "mediactl", *command, text=text)

    def sql(self, text):
        """One value, asked of a member of PostgreSQL as its superuser."""
        script = "PGPASSWORD=$(cat /run/secrets/media-pg-superuser/password) psql -XAt -h postgres -U postgres -d media"
        return self.exec("postgres-0", "bash", "-c", script, text=text).strip()

    def secret(self, name, key):
        data = self.json("get", "secret", name)["data"]
        return base64.b64decode(data[key]).decode()

    # ---- waiting ----

    def ready(self, seconds=180):
        """Every pod is Ready (or has succeeded), every workload as large and as new as it shall be."""
        return wait("all pods ready", self.is_ready, seconds)

    def is_ready(self):
        pods = [p for p in self.pods() if not succeeded(p)]
        missing = [name(p) for p in pods if not pod_ready(p) or deleting(p)]
        for kind in ("deployments", "statefulsets"):
            for w in self.json("get", kind)["items"]:
                status, want = w.get("status", {}), w["spec"].get("replicas", 1)
                if (status.get("observedGeneration", 0) < w["metadata"]["generation"]
                        or status.get("updatedReplicas", 0) != want or status.get("readyReplicas", 0) != want
                        or status.get("replicas", 0) != want):
                    missing.append(f"{kind}/{name(w)}")
        jobs = [name(j) for j in self.json("get", "jobs")["items"] if not j.get("status", {}).get("succeeded")]
        if missing or jobs or not pods:
            raise Failed(f"not ready: {' '.join(missing + jobs)}")
        return True

    def why(self):
        """What an operator would look at when something does not get ready."""
        return "\n".join((self.kubectl("get", "pods", "-o", "wide", check=False),
                          self.kubectl("get", "events", "--sort-by=.lastTimestamp", check=False)[-4000:]))

    # ---- ways in ----

    @contextlib.contextmanager
    def forward(self, target, port):
        """A port of this machine that leads to `target`; it does not survive the pod behind it."""
        process = subprocess.Popen(["kubectl", "-n", self.ns, "port-forward", target, f":{port}"], env=self.env,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            line = process.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            if not found:
                raise Failed(f"port-forward {target}: {line.strip()}")
            yield int(found.group(1))
        finally:
            process.terminate()
            process.wait()

    def ca_file(self, directory):
        """The certificate that the gateway's listener shows, for clients."""
        path = pathlib.Path(directory) / "ca.crt"
        path.write_text(self.secret("media-tls", "tls.crt"))
        return path

    # ---- ways to hurt ----

    def delete_pod(self, pod, grace=None):
        self.kubectl("delete", "pod", pod, "--wait=false", *(["--grace-period=0", "--force"] if grace == 0 else []))

    def link(self, node, state):
        """Cuts (down) or mends (up) a node's only link."""
        subprocess.run(["ip", "link", "set", f"ke{node}", state], check=True)


def image_dir():
    return pathlib.Path(os.environ.get("MEDIA_IMAGES") or pathlib.Path.home() / ".cache/ngx_media/docker/tars")


def name(thing):
    return thing["metadata"]["name"]


def component(thing):
    return thing["metadata"].get("labels", {}).get("app.kubernetes.io/component", "")


def succeeded(pod):
    return pod.get("status", {}).get("phase") == "Succeeded"


def deleting(pod):
    return "deletionTimestamp" in pod["metadata"]


def pod_ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def need_tools():
    """None, or why the scenarios cannot run here."""
    if os.geteuid() != 0:
        return "the test cluster needs root"
    if not KUBE.exists():
        return f"{KUBE} is missing: the test cluster is started with it (KUBE_TOOL names another one)"
    if not shutil.which("ip"):
        return "iproute2 is missing"
    return None

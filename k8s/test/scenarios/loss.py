"""Three of everything under load, and everything is lost once: each Deployment rolled, each pod deleted, a node drained, a
node's link cut. Nothing a client was promised may be lost, nothing done twice."""

import time

from cluster import Failed, component, deleting, name, pod_ready, succeeded, wait
from loading import Load

NODES = 3
LINK_NODE = 2  # the first has the control plane


def run(cluster, report):
    if cluster.nodes() != NODES:
        cluster.up(NODES)
    # the cluster's DNS is not what is tested: one of it per node, as clusters have
    cluster.kubectl("scale", "deployment/coredns", f"--replicas={NODES}", ns="kube-system")
    began = time.monotonic()
    cluster.apply("test/ha")
    try:
        cluster.ready(600)
    except Failed:
        print(cluster.why())
        raise
    report.figure("loss", "apply -k to every pod ready, three of everything", f"{time.monotonic() - began:.0f} s")
    with Load(cluster, "loss", nodes=range(1, NODES + 1)) as load:
        rolls(cluster, load)
        deletions(cluster, load)
        drain(cluster, load)
        cut(cluster, load)
    load.check(report)


def rolls(cluster, load):
    for deployment in sorted(name(d) for d in cluster.json("get", "deployments")["items"]):
        with load.event(f"rolling update of {deployment}"):
            cluster.kubectl("rollout", "restart", f"deployment/{deployment}")
            cluster.kubectl("rollout", "status", f"deployment/{deployment}", "--timeout=600s", seconds=620)


def deletions(cluster, load):
    """Each pod in turn; the next one when all are ready again."""
    for pod in sorted((p for p in cluster.pods() if not succeeded(p) and not deleting(p)), key=component):
        if not exists(cluster, name(pod)):
            continue
        with load.event(f"a pod of {component(pod)} deleted"):
            uid = pod["metadata"]["uid"]
            cluster.delete_pod(name(pod))
            wait(f"{name(pod)} gone", lambda: gone(cluster, name(pod), uid), 700)
            cluster.ready(600)


def exists(cluster, pod):
    return bool(cluster.kubectl("get", "pod", pod, "--ignore-not-found", "-o", "name"))


def gone(cluster, pod, uid):
    return cluster.kubectl("get", "pod", pod, "--ignore-not-found", "-o", "jsonpath={.metadata.uid}") != uid


def drain(cluster, load):
    node = f"node{NODES}"
    with load.event("a node drained"):
        cluster.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=900s", seconds=920)
        wait("service without the node", lambda: serving(cluster), 120)
    with load.event("the node is back"):
        cluster.kubectl("uncordon", node)
        cluster.ready(600)


def cut(cluster, load):
    """A node falls silent for as long as the cluster needs to give it up, then comes back."""
    node = f"node{LINK_NODE}"
    with load.event("a node's link cut"):
        cluster.link(LINK_NODE, "down")
        try:
            wait(f"{node} given up", lambda: node_ready(cluster, node) != "True", 120)
            wait("its pods are marked", lambda: not any(pod_ready(p) for p in of_node(cluster, node)), 120)
            wait("service without the node", lambda: serving(cluster), 120)
        finally:
            cluster.link(LINK_NODE, "up")
    with load.event("the link is back"):
        wait(f"{node} back", lambda: node_ready(cluster, node) == "True", 120)
        cluster.ready(600)


def node_ready(cluster, node):
    conditions = cluster.json("get", "node", node)["status"]["conditions"]
    return next(c["status"] for c in conditions if c["type"] == "Ready")


def of_node(cluster, node):
    return [p for p in cluster.pods() if p["spec"].get("nodeName") == node]


def serving(cluster):
    """Each component has a pod that is ready."""
    pods = [p for p in cluster.pods() if not succeeded(p)]
    return {component(p) for p in pods if pod_ready(p)} == {component(p) for p in pods}



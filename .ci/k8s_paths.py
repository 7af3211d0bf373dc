"""Who may talk to whom: what the NetworkPolicies of an overlay allow among its own pods, both ends asked."""
from k8s_model import dig, namespace, selects

TYPES = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}


def directions(spec):
    declared = spec.get("policyTypes")
    return declared or ["Ingress"] + (["Egress"] if "egress" in spec else [])


class Pod:
    def __init__(self, workload, spaces):
        self.space, self.labels = workload.namespace, workload.labels
        self.space_labels = spaces.get(workload.namespace, {})
        self.name = workload.labels.get("app.kubernetes.io/component") or workload.name
        self.ports = {}
        for c in workload.pod["containers"]:
            for p in c.get("ports") or []:
                self.ports[p.get("name", p["containerPort"])] = p["containerPort"]


def _is_peer(peer, pod, own_space):
    if "ipBlock" in peer:
        return False
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], pod.space_labels):
            return False
    elif pod.space != own_space:
        return False
    return "podSelector" not in peer or selects(peer["podSelector"], pod.labels)


def _open(policies, direction, pod, other, server, wanted=lambda rule: True):
    """The ports of `server` that policies let pod use (or be used by other); {None} is all."""
    ports, covered = set(), False
    for p in policies:
        spec = p["spec"]
        if namespace(p) != pod.space or direction not in directions(spec) or not selects(spec["podSelector"], pod.labels):
            continue
        covered = True
        rules, side = TYPES[direction]
        for rule in filter(wanted, spec.get(rules) or []):
            if not rule.get(side) or any(_is_peer(peer, other, pod.space) for peer in rule[side]):
                ports |= {server.ports.get(q["port"], q["port"]) for q in rule.get("ports") or []
                          if q.get("protocol", "TCP") == "TCP"} or {None}
    return ports if covered else {None}


def _names_a_component(rule):
    """Rather than addresses, or whoever has some other label: its other end is a pod of ours, and has to say the same."""
    return "app.kubernetes.io/component" in str(rule.get("from") or rule.get("to"))


def _listening(ports, server):
    """None, all ports, as those that the server says it listens on."""
    return set(server.ports.values()) if None in ports else ports


def ours(rendered):
    """In namespaces that the overlay makes; kube-system's policies are the cluster's."""
    spaces = {d["metadata"]["name"] for d in rendered.kind("Namespace")}
    return [w for w in rendered.workloads() if w.namespace in spaces]


def paths(rendered):
    """({(from, to, port)} open at both ends, {(from, to, port, end)} open at one end of which the other keeps silent)"""
    spaces = {d["metadata"]["name"]: {**dig(d, "metadata", "labels", default={}),
                                      "kubernetes.io/metadata.name": d["metadata"]["name"]}
              for d in rendered.kind("Namespace")}
    policies = rendered.kind("NetworkPolicy")
    pods = {}
    for w in ours(rendered):
        pods.setdefault((w.namespace, tuple(sorted(w.labels.items()))), Pod(w, spaces))
    whole, half = set(), set()
    for a in pods.values():
        for b in pods.values():
            out = _listening(_open(policies, "Egress", a, b, b), b)
            into = _listening(_open(policies, "Ingress", b, a, b), b)
            whole |= {(a.name, b.name, port) for port in out & into}
            half |= {(a.name, b.name, port, "out") for port in
                     _open(policies, "Egress", a, b, b, _names_a_component) - into - {None}}
            half |= {(a.name, b.name, port, "in") for port in
                     _open(policies, "Ingress", b, a, b, _names_a_component) - out - {None}}
    return whole, half


def uncovered(rendered):
    """Pods with no policy for a direction: what is not denied is allowed."""
    policies = rendered.kind("NetworkPolicy")
    for w in ours(rendered):
        for direction in TYPES:
            if not any(namespace(p) == w.namespace and direction in directions(p["spec"])
                       and selects(p["spec"]["podSelector"], w.labels) for p in policies):
                yield w, direction

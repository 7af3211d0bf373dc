"""What an overlay renders to: objects by kind, and workloads with the pods that they make."""
from collections import namedtuple

Workload = namedtuple("Workload", "kind name namespace labels pod doc")

TEMPLATES = {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"}
LONG_RUNNING = {"Deployment", "StatefulSet", "DaemonSet"}
CLUSTER_SCOPED = {
    "APIService", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "MutatingWebhookConfiguration",
    "Namespace", "PersistentVolume", "PriorityClass", "StorageClass", "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
}


def dig(value, *path, default=None):
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return default
        value = value[key]
    return value


def title(doc):
    return f"{doc.get('kind')}/{dig(doc, 'metadata', 'name')}"


def namespace(doc):
    return dig(doc, "metadata", "namespace", default="")


def selects(selector, labels):
    """A LabelSelector of Kubernetes: {} selects all, None nothing."""
    if selector is None:
        return False
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_matches(e, labels) for e in selector.get("matchExpressions") or [])


def _matches(expression, labels):
    key, values = expression["key"], expression.get("values") or []
    return {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }[expression["operator"]]


class Rendered:
    """`secrets`: names of Secrets that are made in the cluster, each with its keys."""

    def __init__(self, name, docs, secrets):
        self.name = name
        self.secrets = secrets
        self.docs = [d for d in docs if d]

    def kind(self, *kinds):
        return [d for d in self.docs if d.get("kind") in kinds]

    def has(self, kind, name, space):
        return any(dig(d, "metadata", "name") == name and namespace(d) == space for d in self.kind(kind))

    def workloads(self):
        for doc in self.docs:
            template = dig(doc, "spec", "template")
            if doc.get("kind") == "CronJob":
                template = dig(doc, "spec", "jobTemplate", "spec", "template")
            elif doc.get("kind") not in TEMPLATES:
                continue
            yield Workload(doc["kind"], doc["metadata"]["name"], namespace(doc),
                           dig(template, "metadata", "labels", default={}), template["spec"], doc)


def containers(workload, init=True):
    """All of a pod; without the init ones if told so, but with those that stay (sidecars)."""
    first = [c for c in workload.pod.get("initContainers") or [] if init or c.get("restartPolicy") == "Always"]
    return first + workload.pod["containers"]


def environment(container):
    return {e["name"]: e for e in container.get("env") or []}


def number(quantity):
    """Of cores or bytes: '250m', '1536Mi', 2."""
    text = str(quantity)
    for suffix, factor in (("Ki", 2**10), ("Mi", 2**20), ("Gi", 2**30), ("Ti", 2**40),
                           ("m", 1e-3), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)):
        if text.endswith(suffix):
            return float(text[:-len(suffix)]) * factor
    return float(text)

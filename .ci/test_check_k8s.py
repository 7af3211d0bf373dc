#!/usr/bin/python3 -B
"""Each policy of check_k8s.py lets a good overlay pass and refuses one that is broken in one place."""
import copy
import sys

import yaml

import check_k8s
from k8s_model import Rendered
import k8s_policies
from k8s_policies import POLICIES

GOOD = """
apiVersion: v1
kind: Namespace
metadata: {name: m, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: gateway, namespace: m}
automountServiceAccountToken: false
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 10
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf, namespace: m}
data: {PGHOST: postgres, MEDIA_PLAY_KEY_FILE: /run/secrets/media-play/play-key}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: gateway, namespace: m}
spec:
  selector: {matchLabels: {app.kubernetes.io/component: gateway}}
  template:
    metadata: {labels: {app.kubernetes.io/component: gateway}}
    spec:
      serviceAccountName: gateway
      priorityClassName: high
      terminationGracePeriodSeconds: 60
      securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
      topologySpreadConstraints:
        - topologyKey: kubernetes.io/hostname
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {matchLabels: {app.kubernetes.io/component: gateway}}
      containers:
        - name: gateway
          image: docker.io/ngx-media/anonymizer:1
          args: [--port=8080]
          env:
            - {name: MEDIA_DRAIN_S, value: "30"}
            - {name: MEDIA_CHILD_MEMORY_MIB, value: "1024"}
            - {name: MEDIA_PLAY_KEY_FILE, value: /run/secrets/media-play/play-key}
          envFrom: [{configMapRef: {name: conf}}]
          ports: [{name: http, containerPort: 8080}]
          livenessProbe: {httpGet: {path: /healthz, port: http}}
          readinessProbe: {httpGet: {path: /readyz, port: http}}
          lifecycle: {preStop: {sleep: {seconds: 15}}}
          resources: {requests: {cpu: 100m, memory: 1Gi}, limits: {memory: 4Gi}}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: tmp, mountPath: /tmp}, {name: key, mountPath: /run/secrets/media-play}]
      volumes:
        - {name: tmp, emptyDir: {sizeLimit: 1Gi}}
        - {name: key, secret: {secretName: media-play, defaultMode: 288}}
---
apiVersion: v1
kind: Service
metadata: {name: gateway, namespace: m}
spec:
  selector: {app.kubernetes.io/component: gateway}
  ports: [{port: 80, targetPort: http}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: gateway, namespace: m}
spec: {maxUnavailable: 1, selector: {matchLabels: {app.kubernetes.io/component: gateway}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: m}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out, namespace: m}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/component: gateway}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app.kubernetes.io/component: postgres}}}], ports: [{port: 5432}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: in, namespace: m}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/component: postgres}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app.kubernetes.io/component: gateway}}}], ports: [{port: 5432}]}]
"""


SECRETS = {"media-play": {"play-key"}, "media-amqp": {"url", "password"}}
k8s_policies.PATHS = {("gateway", "postgres", 5432)}
DOCS = list(yaml.safe_load_all(GOOD))


class Overlay:
    """GOOD, with a server behind the gateway; `o["Deployment"]` is the first object of a kind, `o.pod` a pod's spec."""

    def __init__(self):
        self.docs = copy.deepcopy(DOCS)
        server = copy.deepcopy(self.docs[4])
        labels = {"app.kubernetes.io/component": "postgres"}
        server["metadata"]["name"] = "postgres"
        server["spec"]["selector"]["matchLabels"] = server["spec"]["template"]["metadata"]["labels"] = labels
        server["spec"]["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] = labels
        server["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": 5432}]
        budget = copy.deepcopy(self["PodDisruptionBudget"])
        budget["metadata"]["name"] = "postgres"
        budget["spec"]["selector"]["matchLabels"] = labels
        self.docs += [server, budget]

    def __getitem__(self, kind):
        return next(d for d in self.docs if d["kind"] == kind)

    def named(self, name):
        return next(d for d in self.docs if d["metadata"]["name"] == name)

    @property
    def pod(self):
        return self["Deployment"]["spec"]["template"]["spec"]

    @property
    def main(self):
        return self.pod["containers"][0]

    def without(self, kind):
        self.docs.remove(self[kind])

    def add(self, kind, **more):
        self.docs.append({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x", "namespace": "m"}, **more})


def put(where, key, value):
    where[key] = value


def env(o, name, value):
    o.main["env"].append({"name": name, **value})


def host_path(o):
    o.pod["volumes"].append({"name": "h", "hostPath": {"path": "/"}})


def second_path(o):
    """postgres -> gateway:8080, open at both ends and nowhere written"""
    for doc in (o.named("out"), o.named("in")):
        text = yaml.safe_dump(doc).replace("component: postgres", "component: other")
        text = text.replace("component: gateway", "component: postgres").replace("component: other", "component: gateway")
        o.docs.append(yaml.safe_load(text.replace("5432", "8080").replace("name: ", "name: back-")))


# policy -> ways to break it
BROKEN = {
    "schema": [lambda o: put(o.pod, "containres", []), lambda o: put(o["Deployment"], "apiVersion", "apps/v9"),
               lambda o: put(o["Service"]["spec"]["ports"][0], "port", "80")],
    "twice": [lambda o: o.docs.append(o["Service"])],
    "room": [lambda o: put(o["Deployment"]["spec"], "replicas", 50)],
    "namespaced": [lambda o: o["Service"]["metadata"].pop("namespace"),
                   lambda o: put(o["PriorityClass"]["metadata"], "namespace", "m")],
    "pod_security": [lambda o: o["Namespace"]["metadata"].pop("labels"),
                     lambda o: put(o["Namespace"]["metadata"]["labels"], "pod-security.kubernetes.io/enforce", "baseline")],
    "non_root": [lambda o: put(o.pod["securityContext"], "runAsNonRoot", False),
                 lambda o: put(o.main["securityContext"], "runAsUser", 0),
                 lambda o: o.pod["securityContext"].pop("runAsUser")],
    "read_only_root": [lambda o: o.main["securityContext"].pop("readOnlyRootFilesystem"),
                       lambda o: put(o.pod, "initContainers", [{**o.main, "securityContext": {}}])],
    "no_capabilities": [lambda o: o.main["securityContext"].pop("capabilities"),
                        lambda o: put(o.main["securityContext"]["capabilities"], "add", ["NET_ADMIN"])],
    "seccomp": [lambda o: o.pod["securityContext"].pop("seccompProfile"),
                lambda o: put(o.main["securityContext"], "seccompProfile", {"type": "Unconfined"})],
    "no_escalation": [lambda o: o.main["securityContext"].pop("allowPrivilegeEscalation")],
    "nothing_of_the_host": [lambda o: put(o.pod, "hostNetwork", True), host_path],
    "resources": [lambda o: o.main["resources"]["requests"].pop("cpu"), lambda o: o.main["resources"].pop("limits")],
    "probes": [lambda o: o.main.pop("livenessProbe"), lambda o: o.main.pop("readinessProbe"),
               lambda o: put(o.main["livenessProbe"]["httpGet"], "path", "/readyz")],
    "image_pinned": [lambda o: put(o.main, "image", "docker.io/x/y:latest"),
                     lambda o: put(o.main, "image", "registry:5000/x/y")],
    "no_secret_in_environment": [
        lambda o: env(o, "PGPASSWORD", {"value": "x"}), lambda o: env(o, "AWS_SECRET_ACCESS_KEY", {"value": "x"}),
        lambda o: env(o, "AMQP_URL", {"value": "amqp://me:word@rabbitmq/"}),
        lambda o: env(o, "ANY", {"valueFrom": {"secretKeyRef": {"name": "media-amqp", "key": "url"}}}),
        lambda o: o.main["envFrom"].append({"secretRef": {"name": "media-amqp"}})],
    "no_secret_in_arguments": [lambda o: o.main["args"].append("postgres://me:word@postgres/")],
    "no_secret_in_config": [lambda o: put(o["ConfigMap"]["data"], "a.conf", "[media]\npassword=x\n"),
                            lambda o: put(o["ConfigMap"]["data"], "PGPASSWORD", "x")],
    "no_secret_objects": [lambda o: o.add("Secret", stringData={"url": "x"})],
    "no_token": [lambda o: put(o["ServiceAccount"], "automountServiceAccountToken", True),
                 lambda o: put(o.pod, "automountServiceAccountToken", True)],
    "disruption_budget": [lambda o: o.without("PodDisruptionBudget")],
    "spread": [lambda o: o.pod.pop("topologySpreadConstraints"),
               lambda o: put(o.pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"], "a", "b")],
    "priority": [lambda o: o.pod.pop("priorityClassName"), lambda o: put(o.pod, "priorityClassName", "low")],
    "grace": [lambda o: put(o.pod, "terminationGracePeriodSeconds", 40),
              lambda o: o.pod.pop("terminationGracePeriodSeconds")],
    "memory_fits": [lambda o: put(o.main["resources"]["limits"], "memory", "3Gi"),
                    lambda o: env(o, "MEDIA_JOBS", {"value": "2"})],
    "selectors": [lambda o: put(o["Service"]["spec"]["selector"], "a", "b"),
                  lambda o: put(o["Service"]["spec"]["ports"][0], "targetPort", "https"),
                  lambda o: put(o["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"], "a", "b"),
                  lambda o: o.add("HorizontalPodAutoscaler", apiVersion="autoscaling/v2", spec={
                      "maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "gone", "apiVersion": "apps/v1"}})],
    "references": [lambda o: o.without("ConfigMap"), lambda o: o.without("ServiceAccount"),
                   lambda o: put(o.pod["volumes"][1]["secret"], "secretName", "media-plays"),
                   lambda o: put(o.main["volumeMounts"][0], "name", "tmpp"),
                   lambda o: put(o.pod["volumes"], 0, {"name": "tmp", "persistentVolumeClaim": {"claimName": "x"}})],
    "job_stays": [lambda o: [put(o["ConfigMap"]["metadata"], "name", "conf-h6h9f847f9"),
                             put(o.main["envFrom"][0]["configMapRef"], "name", "conf-h6h9f847f9"),
                             put(o["Deployment"], "kind", "Job")]],
    "secret_files": [lambda o: put(o.main["env"][2], "value", "/run/secrets/media-play/key"),
                     lambda o: put(o.main["env"][2], "value", "/run/secrets/media-jwt"),
                     lambda o: put(o.pod["volumes"][1]["secret"], "items", [{"key": "url", "path": "play-key"}]),
                     lambda o: put(o.pod["volumes"][1]["secret"], "defaultMode", 0o444)],
    "bounded_volumes": [lambda o: put(o.pod["volumes"][0], "emptyDir", {})],
    "network_denied": [lambda o: o.without("NetworkPolicy")],
    "network_both_ends": [lambda o: put(o.named("in")["spec"], "ingress", []),
                          lambda o: put(o.named("out")["spec"], "egress", []),
                          lambda o: put(o.named("in")["spec"]["ingress"][0]["ports"][0], "port", 5433)],
    "network_as_written": [second_path, lambda o: [put(o.named(n)["spec"], k, []) for n, k in
                                                   (("in", "ingress"), ("out", "egress"))]],
}


def noticed(name, way):
    overlay = Overlay()
    way(overlay)
    rendered = Rendered("overlays-dev", overlay.docs, SECRETS)
    if name in POLICIES:
        return any(POLICIES[name](rendered))
    return name in {p[0] for p in check_k8s.check(rendered, set())}


def main():
    failures = [f"no test: {name}" for name in sorted({*POLICIES, "schema", "twice"}) if name not in BROKEN]
    failures += [f"the good overlay: {p}" for p in check_k8s.check(Rendered("overlays-dev", Overlay().docs, SECRETS), set())]
    for name, ways in BROKEN.items():
        for number, way in enumerate(ways, 1):
            if not noticed(name, way):
                failures.append(f"{name}, {number}: not noticed")
    for failure in failures:
        print(failure)
    print(f"{sum(map(len, BROKEN.values()))} broken overlays, {len(failures)} not as expected")
    sys.exit(bool(failures))


main()

"""Rules and dashboard ask for figures that these servers show: each is scraped as Prometheus would, on the port that its
PodMonitor names. kube-state-metrics is no part of the test cluster."""

import sys
import urllib.request

from cluster import ROOT, name
from fresh import started

sys.path.insert(0, str(ROOT / "k8s/components/monitoring/test"))
import metrics  # noqa: E402

# prefix of the figures: (component, port, paths)
SHOWN = {
    "patroni_": [("postgres", 8008, ["/metrics"])],
    "rabbitmq_": [("rabbitmq", 15692, ["/metrics", "/metrics/detailed?family=queue_coarse_metrics"])],
    "minio_": [("s3", 9000, ["/minio/v2/metrics/cluster"])],
    "ngx_media_": [("gateway", 8081, ["/metrics"])] + [(worker, 9090, ["/metrics"]) for worker in (
        "transcoder", "encoder", "anonymizer", "renderer", "notifier", "janitor")],
}


def run(cluster, report):
    if not cluster.is_up():
        started(cluster, report)
    for prefix, sources in SHOWN.items():
        text = "".join(scrape(cluster, *source) for source in sources)
        used = metrics.used(prefix)
        report.check(used and not used - metrics.exposed(text), f"figures {prefix}*: all {len(used)} that are asked for",
                     sorted(used - metrics.exposed(text)))
        if prefix == "rabbitmq_":
            report.check('queue="media.dead"' in text, "RabbitMQ tells the length of media.dead")
    text = "".join(cluster.kubectl("get", "--raw", f"/api/v1/nodes/{name(node)}/proxy/metrics")
                   for node in cluster.json("get", "nodes")["items"])
    used = metrics.used("kubelet_")
    report.check(used and not used - metrics.exposed(text), "figures kubelet_*", sorted(used - metrics.exposed(text)))


def scrape(cluster, component, port, paths):
    """Of all pods of the component (a queue is told of by its leader), all paths."""
    texts = []
    for pod in cluster.pods(component):
        with cluster.forward(f"pod/{name(pod)}", port) as local:
            for path in paths:
                with urllib.request.urlopen(f"http://127.0.0.1:{local}{path}", timeout=20) as answer:
                    texts.append(answer.read().decode())
    return "".join(texts)

"""A backup under load's leftovers, restored into an empty namespace, every object compared by digest."""

from cluster import Cluster, ROOT, Failed, say, wait
from fresh import started

OTHER = "media-restored"


def run(cluster, report):
    raise NotImplementedError

"""A new version with a migration is applied under load, then the old one again, as a commit and its revert would.

The new version is this tree with one more migration, which expands: what the old programs know stays as it was."""

import os
import re
import shutil
import subprocess
import time

from cluster import ROOT, image_dir, say
from fresh import MEDIA, started
from loading import KEPT, Load

NEXT = "0.2.0"
MIGRATION = """-- One more migration, as a next version might bring it: a column that older programs never hear of.
ALTER TABLE media.media ADD COLUMN k8s_test_note text;
"""
ROLES = ("gateway", "transcoder", "anonymizer", "notifier", "janitor", "ops")


def run(cluster, report):
    tree = next_version()
    if not cluster.is_up():
        started(cluster, report)
    for tar in sorted(next_images().glob("*.tar")):
        cluster.load(tar)
    old, numbers = cluster.ctl("schema"), []
    with Load(cluster, "upgrade") as load:
        for what, root in (("the new version", tree), ("the old version again", ROOT), ("the new version again", tree)):
            began = time.monotonic()
            with load.event(f"{what} applied"):
                cluster.apply("overlays/dev", root=root)
                cluster.ready(900)
            report.figure("upgrade", f"{what}: apply to all ready", f"{time.monotonic() - began:.0f} s")
            numbers.append(images_of(cluster))
            say(cluster.ctl("schema").strip())
    report.check(numbers == [{NEXT}, {current()}, {NEXT}], "each version ran", numbers)
    report.check(cluster.ctl("schema") != old, "the schema has grown", old)
    load.check(report)


def current():
    return re.search(r"newTag: (\S+)", (ROOT / "k8s/release/kustomization.yaml").read_text()).group(1)


def images_of(cluster):
    """The versions that our Deployments run."""
    images = [c["image"] for d in cluster.json("get", "deployments")["items"]
              for c in d["spec"]["template"]["spec"]["containers"]]
    return {i.rsplit(":", 1)[1] for i in images if "/ngx-media/" in i}


def next_images():
    return image_dir().parent / f"tars-{NEXT}"


def next_version():
    """A copy of the tree with one more migration and the next version's tags, and its images."""
    tree = KEPT / "next"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    for file in subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True,
                               text=True).stdout.split("\0")[:-1]:
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, tree / file)
    last = max(int(p.name[:4]) for p in (tree / "sql").glob("[0-9]*.sql"))
    (tree / f"sql/{last + 1:04}_next.sql").write_text(MIGRATION)
    release = tree / "k8s/release/kustomization.yaml"
    release.write_text(release.read_text().replace(f"newTag: {current()}", f"newTag: {NEXT}"))
    say(f"images of version {NEXT}")
    subprocess.run([tree / "docker/images.sh", "build", *ROLES], check=True,
                   env={**os.environ, "VERSION": NEXT, "MEDIA_IMAGES": str(next_images()), "MEDIA_SHARED": str(MEDIA)})
    return tree

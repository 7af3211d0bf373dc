#!/usr/bin/python3 -B
"""Makes an image archive (as `docker save` does) of one static program, without a daemon.

image.py PROGRAM NAME:TAG ENTRYPOINT ARCHIVE
"""
import hashlib
import io
import json
import sys
import tarfile

USER = "65532"


def add(archive, name, data, mode=0o644):
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), mode
    archive.addfile(member, io.BytesIO(data))


def layer_of(program, entrypoint):
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive, open(program, "rb") as binary:
        add(archive, entrypoint.lstrip("/"), binary.read(), 0o755)
    return layer.getvalue()


def main():
    program, reference, entrypoint, path = sys.argv[1:]
    layer = layer_of(program, entrypoint)
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [entrypoint], "User": USER},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]},
    }).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = [{"Config": name, "RepoTags": [reference], "Layers": [digest + "/layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        add(archive, name, config)
        add(archive, digest + "/layer.tar", layer)
        add(archive, "manifest.json", json.dumps(manifest).encode())


main()

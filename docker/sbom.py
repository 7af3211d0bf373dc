#!/usr/bin/python3
"""SPDX 2.3 of an image: `docker save IMAGE | docker/sbom.py IMAGE EPOCH`. No network.

Packages are those that dpkg's records in the image name (status, or status.d of images without dpkg), files those of
our own layers' programs and data, each with its SHA-256; the image itself contains both.
"""
import datetime
import hashlib
import io
import json
import re
import sys
import tarfile
import uuid

OURS = re.compile(r"usr/(bin/media|lib/nginx/modules/|share/ngx_media/)")
STATUS = re.compile(r"var/lib/dpkg/(status|status\.d/[^/.]+)$")


def layers(archive):
    """Layers in order, each an open tar; an archive may have them before its manifest."""
    blobs = {member.name: member for member in archive.getmembers()}
    manifest = json.load(archive.extractfile(blobs["manifest.json"]))[0]
    for name in manifest["Layers"]:
        member = blobs[name]
        while member.issym():
            member = blobs[str((member.name.rsplit("/", 1)[0] + "/" + member.linkname)).replace("//", "/")]
        yield tarfile.open(fileobj=archive.extractfile(member))


def contents(archive):
    status, files = {}, {}
    for layer in layers(archive):
        for member in layer:
            name = member.name.removeprefix("./")
            if member.isfile() and STATUS.match(name):
                status[name] = layer.extractfile(member).read().decode()
            elif member.isfile() and OURS.match(name):
                data = layer.extractfile(member).read()
                files[name] = (hashlib.sha1(data, usedforsecurity=False).hexdigest(), hashlib.sha256(data).hexdigest())
    return status, files


def paragraphs(text):
    for block in text.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", block, re.M))
        if "Package" in fields and "not-installed" not in fields.get("Status", "") and "Version" in fields:
            yield fields


def identifier(*parts):
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", "-".join(parts))


def debian(fields):
    name, version, arch = fields["Package"], fields["Version"], fields.get("Architecture", "all")
    source = (fields.get("Source") or name).split(" ")[0]
    purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B')}?arch={arch}&distro=debian-13"
    return {
        "name": name, "SPDXID": identifier("deb", name, arch), "versionInfo": version,
        "supplier": "Organization: Debian", "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "sourceInfo": f"built from source package {source}", "copyrightText": "NOASSERTION",
        "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}],
    }


def document(image, epoch, status, files):
    found = {}
    for text in status.values():
        for fields in paragraphs(text):
            found[fields["Package"], fields.get("Architecture")] = debian(fields)
    packages = [found[key] for key in sorted(found, key=str)]
    entries = [{"fileName": "/" + name, "SPDXID": identifier("file", name), "copyrightText": "NOASSERTION",
                "licenseConcluded": "NOASSERTION",
                "checksums": [{"algorithm": "SHA1", "checksumValue": sums[0]},
                              {"algorithm": "SHA256", "checksumValue": sums[1]}]}
               for name, sums in sorted(files.items())]
    name, _, version = image.rpartition(":")
    root = {"name": name, "SPDXID": "SPDXRef-image", "versionInfo": version, "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False, "primaryPackagePurpose": "CONTAINER", "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION"}
    content = json.dumps([packages, entries], sort_keys=True)
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": image,
        "documentNamespace": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, image + content)}",
        "creationInfo": {"created": datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc)
                         .strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: ngx_media-docker/sbom.py"]},
        "packages": [root] + packages, "files": entries,
        "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                           "relatedSpdxElement": "SPDXRef-image"}]
        + [{"spdxElementId": "SPDXRef-image", "relationshipType": "CONTAINS", "relatedSpdxElement": item["SPDXID"]}
           for item in packages + entries],
    }


def main():
    image, epoch = sys.argv[1], int(sys.argv[2])
    with tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read())) as archive:
        status, files = contents(archive)
    json.dump(document(image, epoch, status, files), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()

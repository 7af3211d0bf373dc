"""deface over photos, as its command does it, after its network is loaded; run with deface's Python.

    deface_photos.py masks OUTPUT-DIRECTORY PHOTO...   -> {"seconds": ...}
    deface_photos.py boxes PHOTO...                    -> {photo: [[x, y, w, h, score], ...]}"""

import json
import os
import sys
import time

import imageio.v2 as iio
from deface.centerface import CenterFace
from deface.deface import image_detect

THRESHOLD = 0.2  # its defaults


def masks(net, directory, paths):
    # what the first run of a network costs is not counted
    net(iio.imread(paths[0]), threshold=THRESHOLD)
    began = time.monotonic()
    for path in paths:
        image_detect(path, os.path.join(directory, os.path.splitext(os.path.basename(path))[0] + ".jpg"), net, THRESHOLD,
                     replacewith="blur", mask_scale=1.3, ellipse=True, draw_scores=False, enable_preview=False,
                     keep_metadata=False)
    return {"seconds": time.monotonic() - began}


def boxes(net, paths):
    found = {}
    for path in paths:
        hits, _ = net(iio.imread(path), threshold=THRESHOLD)
        found[path] = [[float(n) for n in (x0, y0, x1 - x0, y1 - y0, score)] for x0, y0, x1, y1, score in hits]
    return found


def main():
    stdout, sys.stdout = sys.stdout, sys.stderr
    net = CenterFace()
    what, *arguments = sys.argv[1:]
    result = masks(net, arguments[0], arguments[1:]) if what == "masks" else boxes(net, arguments)
    json.dump(result, stdout)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Photos masked per second by the whole machine, against a process per picture as the service of old had it, with a
network of the shape it had and with the same small network on both sides; two workers against one; memory over many
pictures."""

import concurrent.futures
import os
import pathlib
import subprocess
import sys

import bench
import lib as e2e
import photos

LIB = pathlib.Path(__file__).resolve().parent / "lib"
BUCKET = os.environ["MEDIA_S3_BUCKET"]
OPENCV = "opencv-python-headless<5"  # the last that reads Darknet's files
REPEAT = bench.sized(3, 1)           # of all photos, for us
MANY = bench.sized(500, 40)
BATCH = 10


def yolov3():
    directory = photos.CACHE / "yolov3"
    if not (directory / "yolov3.weights").exists():
        directory.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, LIB / "yolov3.py", directory], check=True)
    return directory / "yolov3.cfg", directory / "yolov3.weights", 416


def yolo_fastest():
    models = pathlib.Path(os.environ["MEDIA_MODELS"])
    return models / "yolo-fastest-1.1-xl.cfg", models / "yolo-fastest-1.1-xl.weights", 320


class PerPicture:
    """A process for each picture: one at a time, as its worker did, or several."""

    def __init__(self, paths):
        self.python = photos.installed("yolo", OPENCV, "numpy")
        self.version = subprocess.run([self.python, "-c", "import cv2; print(cv2.__version__)"], check=True,
                                      capture_output=True, text=True).stdout.strip()
        self.s3 = e2e.s3()
        self.keys = [f"bench/infiles/{path.name}" for path in paths[::3]]
        for path, key in zip(paths[::3], self.keys):
            self.s3.upload_file(str(path), BUCKET, key)

    def url(self, action, key, **more):
        return self.s3.generate_presigned_url(action, Params={"Bucket": BUCKET, "Key": key, **more})

    def one(self, key, cfg, weights, size):
        urls = "\n".join([self.url("get_object", key),
                          self.url("put_object", key.replace("infiles", "outfiles"), ContentType="image/jpeg")])
        subprocess.run([self.python, LIB / "yolo_blur.py", cfg, weights, str(size)], input=urls, text=True, check=True,
                       env={"PATH": os.environ["PATH"]})

    def measured(self, net, at_once=1):
        figures = {}
        with bench.commands(figures), concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda key: self.one(key, *net), self.keys))
        return {"rate": len(self.keys) / figures["wall"], "cpu": figures["cpu"] / len(self.keys)}


def throughput(ours, paths):
    peer = PerPicture(paths)
    many = paths * REPEAT
    objects = {"classes": ["person", "vehicle"], "objects": "dnn"}
    ways = {"jobs, faces": lambda: ours.measured(many, photos.CORES),
            "process per picture, network of YOLOv3's shape": lambda: peer.measured(yolov3())}
    fastest = yolo_fastest()
    if fastest[1].exists():
        ways["jobs, persons and vehicles, yolo-fastest"] = lambda: ours.measured(many, photos.CORES, **objects)
        ways["process per picture, yolo-fastest"] = lambda: peer.measured(fastest)
        ways[f"the same, {photos.CORES} at once"] = lambda: peer.measured(fastest, photos.CORES)
    series = bench.in_turn(ways, photos.ROUNDS)
    bench.table(["way", "images/s", "CPU s per image"],
                [[name, bench.spread(figures["rate"]), bench.spread(figures["cpu"])] for name, figures in series.items()])
    rates = [figures["rate"] for figures in series.values()]
    print(f"{len(paths)} photos, OpenCV {peer.version} per picture.\n")
    bench.at_least("faces by jobs to a network of YOLOv3's shape per picture, images/s", bench.ratios(*rates[:2]), 20)
    if len(rates) > 2:
        bench.at_least("persons and vehicles, the same network on both sides, images/s", bench.ratios(*rates[2:4]), 8)
    print()


def scaling(ours, paths):
    series = bench.in_turn({"one": lambda: ours.measured(paths, 1, [0]),
                            "two": lambda: ours.measured(paths, 2, [0, 1])}, photos.ROUNDS, warmup=0)
    bench.table(["anonymizers", "images/s", "CPU s per image"],
                [[name, bench.spread(figures["rate"]), bench.spread(figures["cpu"])] for name, figures in series.items()])
    print("Two anonymizers to one, times as fast: "
          f"{bench.spread(bench.ratios(series['two']['rate'], series['one']['rate']))}\n")


def resident(pids):
    return sum(bench.kib(f"/proc/{pid}/status", "VmRSS") for pid in pids) / 1024


def memory(ours, paths):
    """RSS of the worker and its detectors, which stay; decoders end with their job."""
    e2e.up("workers", WORKERS="1")
    sizes, ids = [], []
    for number in range(0, MANY, BATCH):
        ours.user.login()
        ids = [ours.upload(paths[(number + n) % len(paths)]) for n in range(BATCH)]
        ours.finished(ids)
        worker, *others = e2e.pids("anonymizer-1")
        sizes.append(resident([worker] + [p for p in others if b"media-detector" in bench.title_of(p)]))
        ours.forget(ids)
    part = max(len(sizes) // 5, 1)
    first, last = sizes[:part], sizes[-part:]
    bench.table(["pictures", "RSS of worker and detector, MiB"],
                [[f"the first {part * BATCH}", bench.spread(first)],
                 [f"the last {part * BATCH} of {MANY}", bench.spread(last)]])
    bench.at_most("RSS at the end to that at the beginning", [sum(last) / sum(first)], 1.05)
    print()


def main():
    if not photos.is_there():
        return
    paths = photos.readable()
    ours = photos.Masking()
    throughput(ours, paths)
    scaling(ours, paths)
    memory(ours, paths)


if __name__ == "__main__":
    main()

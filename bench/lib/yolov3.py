"""A network of the shape of COCO's yolov3 with random weights, as Darknet writes it: it takes as long as the trained one
and finds nothing. Run with a directory: makes yolov3.cfg and yolov3.weights there."""

import pathlib
import sys

import numpy

CLASSES = 80
ANCHORS = "10,13, 16,30, 33,23, 30,61, 62,45, 59,119, 116,90, 156,198, 373,326"
WEIGHTS_BYTES = 248007048  # of the published file
DARKNET_53 = ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4))  # filters, residual blocks
NOTHING = -20.0  # bias of an output: nothing is there


class Net:
    """The text of the configuration, and the shape of each convolution in it."""

    def __init__(self):
        self.text = "[net]\nbatch=1\nsubdivisions=1\nwidth=416\nheight=416\nchannels=3\n"
        self.channels = []       # that come out of each layer
        self.convolutions = []   # (filters, channels, size, is an output)

    def layer(self, kind, channels, **fields):
        self.text += f"\n[{kind}]\n" + "".join(f"{key}={value}\n" for key, value in fields.items())
        self.channels.append(channels)

    def convolution(self, filters, size, stride=1):
        self.convolutions.append((filters, self.channels[-1] if self.channels else 3, size, False))
        self.layer("convolutional", filters, batch_normalize=1, filters=filters, size=size, stride=stride, pad=1,
                   activation="leaky")

    def output(self, mask):
        filters = 3 * (CLASSES + 5)
        self.convolutions.append((filters, self.channels[-1], 1, True))
        self.layer("convolutional", filters, size=1, stride=1, pad=1, filters=filters, activation="linear")
        self.layer("yolo", filters, mask=mask, anchors=ANCHORS, classes=CLASSES, num=9, jitter=.3, ignore_thresh=.7,
                   truth_thresh=1, random=1)

    def route(self, *layers):
        self.layer("route", sum(self.channels[n] for n in layers), layers=",".join(map(str, layers)))

    def head(self, filters, mask):
        for _ in range(3):
            self.convolution(filters, 1)
            self.convolution(2 * filters, 3)
        self.output(mask)

    def up(self, filters, beside):
        """From a head to the next finer one."""
        self.route(-4)
        self.convolution(filters, 1)
        self.layer("upsample", filters, stride=2)
        self.route(-1, beside)


def yolov3():
    net = Net()
    net.convolution(32, 3)
    for filters, blocks in DARKNET_53:
        net.convolution(filters, 3, stride=2)
        for _ in range(blocks):
            net.convolution(filters // 2, 1)
            net.convolution(filters, 3)
            net.layer("shortcut", filters, **{"from": -3, "activation": "linear"})
    net.head(512, "6,7,8")
    net.up(256, 61)
    net.head(256, "3,4,5")
    net.up(128, 36)
    net.head(128, "0,1,2")
    return net


def write_weights(net, path):
    """Per convolution biases, scales, means and variances, then weights; values as tame as trained ones are."""
    rng = numpy.random.default_rng(3)
    with open(path, "wb") as file:
        numpy.array([0, 2, 0], "<i4").tofile(file)
        numpy.array([0], "<i8").tofile(file)
        for filters, channels, size, is_output in net.convolutions:
            fan_in = channels * size * size
            numpy.full(filters, NOTHING if is_output else 0, "<f4").tofile(file)
            if not is_output:
                for value in (0.7, 0, 1):
                    numpy.full(filters, value, "<f4").tofile(file)
            spread = 0.01 if is_output else (2 / fan_in) ** 0.5
            (rng.standard_normal(filters * fan_in, numpy.float32) * numpy.float32(spread)).tofile(file)


def main():
    directory = pathlib.Path(sys.argv[1])
    net = yolov3()
    (directory / "yolov3.cfg").write_text(net.text)
    part = directory / "yolov3.weights.part"
    write_weights(net, part)
    if part.stat().st_size != WEIGHTS_BYTES:
        raise RuntimeError(f"{part} has {part.stat().st_size} bytes, not {WEIGHTS_BYTES}")
    part.rename(directory / "yolov3.weights")


if __name__ == "__main__":
    main()

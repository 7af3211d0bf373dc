"""What the service of old did for each picture, in a process of its own: the picture fetched from S3, a YOLO network
loaded, persons and vehicles blurred with a median, the result put into the output bucket. Blob, thresholds and kernels
are those of its script.

    yolo_blur.py CFG WEIGHTS SIZE < two lines: URL to get, URL to put"""

import sys
import urllib.request

import cv2
import numpy

MASKED = {0, 2, 5, 7}  # person, car, bus, truck
CONFIDENCE, NMS = 0.5, 0.4


def kernel(w, h):
    side = max(w, h)
    return 27 if side > 300 else 13 if side > 200 else 11 if side > 100 else 9


def boxes(net, image, size):
    height, width = image.shape[:2]
    net.setInput(cv2.dnn.blobFromImage(image, 0.00392, (size, size), (0, 0, 0), True, crop=False))
    found, confidences = [], []
    for out in net.forward(net.getUnconnectedOutLayersNames()):
        for detection in out:
            scores = detection[5:]
            label = int(numpy.argmax(scores))
            if scores[label] > CONFIDENCE and label in MASKED:
                x, y, w, h = detection[:4] * numpy.array([width, height, width, height])
                found.append([int(x - w / 2), int(y - h / 2), int(w), int(h)])
                confidences.append(float(scores[label]))
    kept = cv2.dnn.NMSBoxes(found, confidences, CONFIDENCE, NMS)
    return [found[int(i)] for i in numpy.array(kept).reshape(-1)]


def main():
    cfg, weights, size = sys.argv[1:4]
    source, target = sys.stdin.read().split()
    with urllib.request.urlopen(source) as response:
        image = cv2.imdecode(numpy.frombuffer(response.read(), numpy.uint8), cv2.IMREAD_COLOR)
    net = cv2.dnn.readNetFromDarknet(cfg, weights)
    for x, y, w, h in boxes(net, image, int(size)):
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, image.shape[1]), min(y + h, image.shape[0])
        if x0 < x1 and y0 < y1:
            image[y0:y1, x0:x1] = cv2.medianBlur(numpy.ascontiguousarray(image[y0:y1, x0:x1]), kernel(w, h))
    data = cv2.imencode(".jpg", image)[1].tobytes()
    request = urllib.request.Request(target, data, {"Content-Type": "image/jpeg"}, method="PUT")
    urllib.request.urlopen(request).close()


if __name__ == "__main__":
    main()

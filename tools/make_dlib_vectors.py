"""Write the fixture of the tests of dlib's network: face chips and the embeddings that dlib computes for them.

    python tools/make_dlib_vectors.py [dlib_face_recognition_resnet_model_v1.dat] [FIXTURE.npz]

Needs `pip install dlib` (compiles for 15 minutes; needs cmake) and this package with its extra `free`. The chips show no real
people: two are rendered, one is a pattern.
"""

import os
import sys

import numpy as np

from gluonfr.core import atomic_file, generator
from gluonfr.data.synthetic import render
from gluonfr.weights.dlib import find_packaged_weights

FIXTURE = os.path.join(os.path.dirname(__file__), "..", "tests", "model_zoo", "fixtures", "dlib_vectors.npz")
SIZE = 150


def pattern():
    """Return an image of large squares with random colors, which has strong edges up to every corner."""
    squares = generator(29).integers(0, 256, (10, 10, 3)).astype(np.uint8)
    return squares.repeat(SIZE // 10, 0).repeat(SIZE // 10, 1)


def main(model=None, fixture=FIXTURE):
    import dlib

    chips = np.stack([render(0, 0, size=SIZE), render(1, 0, size=SIZE), pattern()])
    network = dlib.face_recognition_model_v1(model or find_packaged_weights())
    # dlib uses a chip of 150x150 as it is.
    vectors = np.array([network.compute_face_descriptor(chip) for chip in chips], dtype=np.float32)
    with atomic_file(fixture) as file:
        np.savez_compressed(file, chips=chips, vectors=vectors)


if __name__ == "__main__":
    main(*sys.argv[1:])

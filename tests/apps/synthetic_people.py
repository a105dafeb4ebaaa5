"""Synthetic people and faces, and searches for removed data in the files of a gallery."""

import os

import numpy as np

from gluonfr.align import get_template
from gluonfr.core import Card
from gluonfr.deploy import Embedder

SIZE = 16
CARD = Card(network="some", embedding_size=SIZE, sha256="aa" * 32)


def faces_of(seed, count=3, noise=0.3, size=SIZE):
    """Return embeddings of one person: the same for the same seed."""
    random = np.random.default_rng([77, seed])
    rows = random.normal(size=size) + noise * random.normal(size=(count, size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def leftovers(path, name, entries):
    """Return what can still be found of a person in the bytes of the gallery's files."""
    folder, file = os.path.split(path)
    found = []
    for filename in sorted(os.listdir(folder)):
        if filename.startswith(file):
            with open(os.path.join(folder, filename), "rb") as opened:
                content = opened.read()
            pieces = {name.encode(): "name"}
            for entry in entries:
                vector = np.asarray(entry.embedding).tobytes()
                pieces.update({vector[start : start + 16]: "embedding" for start in range(0, len(vector) - 15, 16)})
                pieces[entry.digest] = "digest"
                if entry.source:
                    pieces[entry.source.encode()] = "source"
            found += [(filename, what) for piece, what in pieces.items() if piece in content]
    return found


def child_of(work):
    """Run `work(say)` in a forked process; returns its number and a pipe with the lines that it says."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    try:
        os.close(reading)
        work(lambda text: os.write(writing, text.encode() + b"\n"))
    finally:
        os._exit(1)


class SyntheticEmbedder(Embedder):
    """An `Embedder` without networks: faces at the given boxes; embeddings are the mean colors of the parts of a crop."""

    card = Card(**{**CARD.to_dict(), "image_size": (112, 112)})

    def __init__(self, boxes):
        self.boxes = np.array(boxes, np.float32).reshape(-1, 4)

    def detect(self, pixels, min_face=None):
        points = np.array(get_template("arcface").points) / 112
        marks = [box[:2] + points * (box[2:] - box[:2]) for box in self.boxes]
        return self.boxes, np.linspace(0.99, 0.9, len(self.boxes)), np.array(marks, np.float32).reshape(-1, 5, 2)

    def __call__(self, crops, aligned=None):
        assert aligned
        if isinstance(crops, np.ndarray) and crops.ndim == 3:
            return self([crops], aligned)[0]
        parts = np.stack([np.asarray(crop, np.float32)[:, :, 0].reshape(4, 28, 4, 28).mean((1, 3)) for crop in crops])
        return parts.reshape(len(crops), 16)

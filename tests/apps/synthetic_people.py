"""Made-up people, and what is looked for in the files of a gallery."""

import os

import numpy as np

from gluonfr.core import Card

SIZE = 16
CARD = Card(network="some", embedding_size=SIZE, sha256="aa" * 32)


def faces_of(seed, count=3, noise=0.3, size=SIZE):
    """Embeddings of one made-up person: the same for the same seed."""
    random = np.random.default_rng([77, seed])
    rows = random.normal(size=size) + noise * random.normal(size=(count, size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def leftovers(path, name, entries):
    """What of a person can still be read in the bytes of the gallery's files."""
    folder, file = os.path.split(path)
    found = []
    for each in sorted(os.listdir(folder)):
        if each.startswith(file):
            with open(os.path.join(folder, each), "rb") as opened:
                content = opened.read()
            pieces = {name.encode(): "name"}
            for entry in entries:
                vector = np.asarray(entry.embedding).tobytes()
                pieces.update({vector[start : start + 16]: "embedding" for start in range(0, len(vector) - 15, 16)})
                pieces[entry.digest] = "digest"
                if entry.source:
                    pieces[entry.source.encode()] = "source"
            found += [(each, what) for piece, what in pieces.items() if piece in content]
    return found


def child_of(work):
    """Run `work(say)` in a forked process; returns its number and the pipe on which it says what is done."""
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

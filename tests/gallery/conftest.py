import numpy as np
import pytest

from gluonfr.core import Card
from gluonfr.gallery import Gallery

SIZE = 16
CARD = Card(network="some", embedding_size=SIZE, sha256="aa" * 32)


def faces_of(seed, count=3, noise=0.3, size=SIZE):
    """Embeddings of one made-up person: the same for the same seed."""
    random = np.random.default_rng([77, seed])
    rows = random.normal(size=size) + noise * random.normal(size=(count, size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "g.db")


# Every engine is held to the same tests: a function that opens a gallery again, whatever keeps it.
@pytest.fixture(params=["sqlite"])
def open_gallery(request, path):
    opened = []

    def again(card=CARD):
        opened.append(Gallery(path, card))
        return opened[-1]

    yield again
    for each in opened:
        each.close()

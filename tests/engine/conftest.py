import numpy as np
import pytest

from gluonfr.data import RecordWriter, write_pairs
from gluonfr.data.images import encode

SIZE = 32


def picture(identity, number):
    """An image that a small network tells apart in a few steps: a colored blob whose place and hue are the identity."""
    rng = np.random.RandomState(100 * identity + number)
    y, x = np.mgrid[:SIZE, :SIZE]
    angle = 2 * np.pi * identity / 12
    blob = np.exp(-((x - 16 - 9 * np.cos(angle)) ** 2 + (y - 16 - 9 * np.sin(angle)) ** 2) / 30)
    color = np.array([np.cos(angle), np.cos(angle + 2), np.cos(angle + 4)]) * 70 + 120
    image = blob[:, :, None] * color + rng.normal(0, 12, (SIZE, SIZE, 3)) + rng.uniform(0, 60)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def small_root(tmp_path_factory):
    """A root that holds the training set `blobs` (6 identities, 42 images) with `val_data` inside, and the pairs `more`."""
    root = tmp_path_factory.mktemp("root")
    with RecordWriter(str(root / "blobs"), image_size=(SIZE, SIZE)) as writer:
        for identity in range(6):
            for number in range(7):
                writer.add(picture(identity, number), identity)
    for path, first in ((root / "blobs" / "val_data.bin", 0), (root / "more.bin", 2)):
        images, same = [], []
        for i in range(40):
            one = first + i % 4
            other = one if i % 2 else first + (i + 1) % 4
            images += [encode(picture(one, 50 + i)), encode(picture(other, 100 + i))]
            same.append(bool(i % 2))
        write_pairs(str(path), images, same)
    return str(root)


@pytest.fixture
def small_options(small_root, tmp_path):
    """Keyword arguments of TrainOptions for a run of some seconds."""
    return {
        "dataset": "blobs",
        "root": small_root,
        "val": ["val_data"],
        "out": str(tmp_path / "run"),
        "network": "lresnet10e_ir",
        "network_args": {"units": [1, 1], "channels": [8, 8, 16], "embedding_size": 16, "dropout": 0.2, "stem_stride": 2},
        "loss": "cos",
        "loss_args": {"s": 12, "m": 0.1},
        "batch_size": 14,
        "lr": 0.1,
        "log_every": 2,
        "progress": False,
        "threads": 1,
    }

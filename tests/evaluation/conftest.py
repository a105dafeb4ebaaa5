import cv2
import numpy as np
import pytest

from gluonfr.data.pairs import write_pairs

SIZE = 16


def encode(identity, number):
    """A PNG of random pixels around the mean of the identity."""
    random = np.random.default_rng([identity, number])
    image = np.clip(40 * identity + 20 + random.normal(0, 12, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.fixture(scope="session")
def small_root(tmp_path_factory):
    """A root with the verification sets `blobs/val_data` and `more`, 40 pairs each, every second one genuine."""
    root = tmp_path_factory.mktemp("root")
    (root / "blobs").mkdir()
    for path, first in ((root / "blobs" / "val_data.bin", 0), (root / "more.bin", 2)):
        images, same = [], []
        for i in range(40):
            one = first + i % 4
            other = one if i % 2 else first + (i + 1) % 4
            images += [encode(one, 50 + i), encode(other, 100 + i)]
            same.append(bool(i % 2))
        write_pairs(str(path), images, same)
    return str(root)

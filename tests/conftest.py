import gc
import importlib.util
import os
import signal
from pathlib import Path

import pytest
from blobs import SIZE, picture

import gluonfr  # noqa: F401  # makes MXNet importable for all tests
from gluonfr.data import RecordWriter, write_pairs
from gluonfr.data.images import encode


def pytest_configure(config):
    # Workers of pytest-xdist ignore SIGINT, and what they start would inherit that: commands that tests interrupt.
    if hasattr(config, "workerinput") and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def freed(request):
    """Networks at their full size, one after the other in a process, fit into memory one at a time only."""
    yield
    if request.node.get_closest_marker("full"):
        # They are cycles of references, and Python counts few objects where gigabytes of arrays hang on them.
        gc.collect()


@pytest.fixture(scope="session")
def faces():
    """Folder of real faces: celeb/train.rec (5,967 images, 293 people), lfw_dev.bin (1,000 pairs), small_lfw.bin (10), ..."""
    folder = os.environ.get("GLUONFR_TEST_DATA")
    if not folder:
        pytest.skip("GLUONFR_TEST_DATA names no folder of real faces")
    return folder


@pytest.fixture(scope="session")
def literal():
    """The 1:1 protocol written out step by step."""
    spec = importlib.util.spec_from_file_location("literal", Path(__file__).parent / "metrics" / "reference_lfw.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
        "augment": "flip",
        "schedule": "cosine",
        "warmup": 0,
        "final_lr": 0,
        "wd": 5e-4,
        "clip_norm": 0,
        "average": 0,
        "val_every": 1,
        "log_every": 2,
        "progress": False,
        "threads": 1,
    }

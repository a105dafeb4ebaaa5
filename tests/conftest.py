import gc
import importlib.util
import os
import signal
from pathlib import Path

import pytest

import gluonfr  # noqa: F401  # makes MXNet importable for all tests


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
    spec = importlib.util.spec_from_file_location("literal", Path(__file__).parent / "metrics" / "literal.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

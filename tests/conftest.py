import importlib.util
import os
from pathlib import Path

import pytest

import gluonfr  # noqa: F401  # makes MXNet importable for all tests


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

import os

import cv2
import pytest

from gluonfr.detection.registry import get_detector


@pytest.fixture(scope="session")
def group(faces):
    """Photo of six people, uint8 (886, 1280, 3)."""
    return cv2.cvtColor(cv2.imread(os.path.join(faces, "photos", "group.jpg")), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="session", params=["mtcnn", "retinaface"])
def detector(request, faces):
    return get_detector(request.param, weights=os.path.join(faces, "weights"))

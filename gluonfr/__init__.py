"""Face recognition with Apache MXNet/Gluon.

``import gluonfr`` makes MXNet importable: it restores names that MXNet expects of NumPy and loads the libraries of MXNet's CUDA
build. So write it before ``import mxnet``. The names below are
imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gluonfr.core.compat import make_mxnet_importable as _make_mxnet_importable
from gluonfr.version import __version__

if TYPE_CHECKING:
    from gluonfr.core.cpu import tune_cpu
    from gluonfr.data import get_recognition_dataset
    from gluonfr.deploy import Embedder, load_model
    from gluonfr.engine import train, train_detector
    from gluonfr.evaluation.face_comparison import compare_faces
    from gluonfr.loss import get_loss, list_losses
    from gluonfr.metrics import FaceVerification
    from gluonfr.model_zoo import get_model, list_models

__all__ = [
    "Embedder",
    "FaceVerification",
    "__version__",
    "compare_faces",
    "get_loss",
    "get_model",
    "get_recognition_dataset",
    "list_losses",
    "list_models",
    "load_model",
    "train",
    "train_detector",
    "tune_cpu",
]

_ROOMS = {
    "Embedder": "gluonfr.deploy",
    "FaceVerification": "gluonfr.metrics",
    "compare_faces": "gluonfr.evaluation.face_comparison",
    "get_loss": "gluonfr.loss",
    "get_model": "gluonfr.model_zoo",
    "get_recognition_dataset": "gluonfr.data",
    "list_losses": "gluonfr.loss",
    "list_models": "gluonfr.model_zoo",
    "load_model": "gluonfr.deploy",
    "train": "gluonfr.engine",
    "train_detector": "gluonfr.engine",
    "tune_cpu": "gluonfr.core.cpu",
}

_make_mxnet_importable()


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'gluonfr' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_ROOMS[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

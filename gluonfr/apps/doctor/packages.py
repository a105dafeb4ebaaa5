"""The packages that gluonfr requires and those of its extras."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Any

REQUIRED = ("numpy", "scipy", "scikit-learn", "opencv-python-headless", "matplotlib", "tqdm", "pillow", "jinja2")
# The extras that add a function, with their packages.
EXTRAS = {
    "align": ("mtcnn", "lz4"),
    "free": ("face-recognition-models",),
    "gluoncv": ("gluoncv", "opencv-python"),
    "heif": ("pi-heif",),
    "milvus": ("pymilvus",),
    "mlflow": ("mlflow-skinny",),
    "onnx": ("onnx", "onnxruntime"),
    "serve": ("fastapi", "uvicorn"),
}
_PURPOSES = {
    "align": "weights of the face detector MTCNN",
    "free": "dlib's network (CC0)",
    "gluoncv": "backbones of GluonCV",
    "heif": "photos in HEIC",
    "milvus": "galleries on a Milvus server",
    "mlflow": "a record of training runs in MLflow",
    "onnx": "export to ONNX, and networks in ONNX",
    "serve": "web page and JSON API",
}
# The package mtcnn declares Python 3.10 for its code, so the extra leaves it out before; any version can read its weights.
_MTCNN = "pip install --ignore-requires-python --no-deps mtcnn==1.0.0"
# The headless package and the other one contain the same library.
_SAME = {"opencv-python-headless": "opencv-python"}


def examine_packages() -> dict[str, str | None]:
    """Return the installed version of every required package, None where it is missing.

    Examples
    --------
    >>> examine_packages()["numpy"] is None
    False
    """
    return {name: version_of(name) or version_of(_SAME.get(name, name)) for name in REQUIRED}


def examine_extras() -> dict[str, dict[str, Any]]:
    """Return for every extra its `purpose`, its `packages` with versions or None, and the command to `install` it or None.

    Examples
    --------
    >>> sorted(examine_extras()["onnx"])
    ['install', 'packages', 'purpose']
    """
    extras: dict[str, dict[str, Any]] = {}
    for extra, names in EXTRAS.items():
        packages = {name: version_of(name) for name in names}
        install = None if all(packages.values()) else f'pip install "gluonfr[{extra}]"'
        if install and extra == "align" and sys.version_info < (3, 10):
            install = _MTCNN if packages["lz4"] else f"{install} && {_MTCNN}"
        extras[extra] = {"purpose": _PURPOSES[extra], "packages": packages, "install": install}
    return extras


def version_of(name: str) -> str | None:
    """Return the version of an installed package; None when it is not installed.

    Parameters
    ----------
    name : str
        Name of the package, as for pip.

    Examples
    --------
    >>> version_of("no-such-package")
    """
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

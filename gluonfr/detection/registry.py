from __future__ import annotations

import os
from typing import Any

import mxnet as mx

from gluonfr.core import Registry, UsageError
from gluonfr.detection.detector import FaceDetector
from gluonfr.detection.saved import find_detector

DETECTORS = Registry("detector")


@DETECTORS.register("mtcnn")
def _mtcnn(**options: Any) -> FaceDetector:
    from gluonfr.detection.mtcnn import MTCNN

    return MTCNN(**options)


@DETECTORS.register("retinaface", "retinaface_mnet025", "mnet.25")
def _retinaface(**options: Any) -> FaceDetector:
    from gluonfr.detection.retinaface import RetinaFace

    return RetinaFace(**options)


def get_detector(
    name: str | None = None, weights: str | os.PathLike | None = None, ctx: mx.Context | None = None, **options: Any
) -> FaceDetector:
    """Create a face detector by its name.

    Its `detect(image)` expects a photo, uint8 (H, W, 3) RGB, and returns `boxes (n, 4)` as x0, y0, x1, y1, `scores (n,)` and
    `landmarks (n, 5, 2)`, all float32 in pixels of the photo, largest score first; n may be 0.

    Parameters
    ----------
    name : str, default 'mtcnn'
        'mtcnn' or 'retinaface'. 'NAME=FOLDER' gives the folder of the weights too, such as 'retinaface=weights/mnet025'. The
        folder alone, or its name in `~/.mxnet/models/face`, selects the detector that was saved there.
    weights : path, optional
        Folder of the files of weights. 'mtcnn' reads the files of the installed package `mtcnn` by default
        (`pip install "gluonfr[align]"`); 'retinaface' requires a folder.
    ctx : mx.Context, default CPU
    **options
        See :class:`gluonfr.detection.mtcnn.MTCNN` and :class:`gluonfr.detection.retinaface.RetinaFace`.

    Raises
    ------
    UsageError
        Unknown name or option, or an option out of range.
    WeightsError
        The weights are missing or damaged.

    Examples
    --------
    >>> detector = get_detector("mtcnn", min_size=40)
    >>> detector
    MTCNN(min_size=40.0, max_pixels=None, ctx=cpu(0))
    >>> import numpy as np
    >>> boxes, scores, landmarks = detector.detect(np.zeros((100, 100, 3), np.uint8))
    """
    name = "mtcnn" if name is None else name
    if weights is None and isinstance(name, str) and "=" in name:
        name, _, weights = name.partition("=")
    if weights is None and isinstance(name, str) and name not in DETECTORS.names():
        weights = find_detector(name)
        name = name if weights is None else "retinaface"
    maker = DETECTORS.get(name)
    try:
        return maker(weights=weights, ctx=ctx, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise UsageError(f"detector {name!r}: {str(error).split('() ')[-1]}; see help(get_detector).") from error

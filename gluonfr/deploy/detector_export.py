"""Export of face detectors to ONNX and to MXNet's symbol format; decoding the predictions remains outside of the file."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from dataclasses import asdict, replace
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import HybridBlock

from gluonfr.core import UsageError, WeightsError, atomic_files, generator
from gluonfr.core.temporary import scratch_folder
from gluonfr.deploy.export import TOLERANCE, check_format, difference
from gluonfr.deploy.onnx_export.model import require_onnx
from gluonfr.deploy.onnx_export.writer import Writer
from gluonfr.deploy.onnx_network import has_onnxruntime, open_session
from gluonfr.deploy.trace import Trace
from gluonfr.detection.anchors import anchor_grid, flatten_outputs
from gluonfr.detection.boxes import suppress
from gluonfr.detection.detector import Detections
from gluonfr.detection.retinaface import OVERLAP, decode_faces
from gluonfr.detection.retinaface_network import RetinaFaceNetwork
from gluonfr.detection.saved import DetectorCard

# Of an anchor: two logits, four shifts of the box, ten of the landmarks.
_VALUES = 16
_MULTIPLE = 32
_DESCRIPTION = (
    "Face detector. Input `data`: (N, 3, {height}, {width}) float32 RGB in [0, 1]. Output `predictions`: (N, {anchors}, 16), "
    "for every anchor logits of background and face, shifts of the box (4) and of five landmarks (10)."
)


class _Predictions(HybridBlock):
    """The outputs of a network as one row per image."""

    def __init__(self, net: RetinaFaceNetwork, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.net = net

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        logits, boxes, landmarks = flatten_outputs(self.net(x), F)
        return F.reshape(F.concat(F.swapaxes(logits, 1, 2), boxes, landmarks, dim=2), shape=(0, -1))


def export_detector(
    net: RetinaFaceNetwork,
    card: DetectorCard,
    out: str | os.PathLike,
    format: str | None = None,
    image_size: tuple[int, int] = (640, 640),
) -> float | None:
    """Export a detector and compare the file with the original; no file is left when they differ.

    The file computes `predictions` (N, A, 16) from `data` (N, 3, H, W) float32 RGB in [0, 1]: for every anchor the logits of
    background and face, and the shifts of box and landmarks. `decode_predictions` converts them to faces. The card, with the
    anchors and the size, is stored in the metadata of an ONNX file and beside it as `X.card.json`.

    Parameters
    ----------
    net : RetinaFaceNetwork
        Initialized.
    card : DetectorCard
    out : str
        `X.onnx`, or the prefix X of `X-symbol.json` and `X-0000.params`.
    format : {'onnx', 'symbol'}, optional
        By default chosen by the ending of `out`.
    image_size : (H, W), default (640, 640)
        Size of the images in pixels, multiples of 32.

    Returns
    -------
    float or None
        Largest difference of a prediction on a random image, absolute or relative to the largest number above 1; None when
        ONNX Runtime is not installed, so that an ONNX file could not be compared.

    Raises
    ------
    UsageError, WeightsError
        An argument is invalid, the folder is not writable, or the file differs from the network by more than 1e-4.

    Examples
    --------
    >>> export_detector(*load_detector("runs/detector/best"), "detector.onnx")  # doctest: +SKIP
    1.2e-06
    """
    out = os.path.expanduser(os.fspath(out))
    format = check_format(out, format, "float32")
    if any(not isinstance(side, int) or side < _MULTIPLE or side % _MULTIPLE for side in image_size):
        raise UsageError(f"image_size={tuple(image_size)} must be two multiples of {_MULTIPLE}.")
    block = _Predictions(net, prefix="")
    trace = Trace(block, image_size)
    context = next(iter(net.collect_params().values())).list_ctx()[0]
    image = generator(0).uniform(0, 1, (1, 3, *image_size)).astype(np.float32)
    expected = block(nd.array(image, ctx=context)).asnumpy().reshape(1, -1, _VALUES)
    values = {**asdict(replace(card, sha256="")), "strides": list(card.anchors.strides), "image_size": list(image_size)}
    stem = out[: -len(".onnx")] if format == "onnx" else out
    with scratch_folder() as folder:
        if format == "onnx":
            written = {f"{stem}.onnx": _write_onnx(trace, values, os.path.join(folder, "network.onnx"))}
        else:
            paths = _write_symbol(trace, folder)
            written = dict(zip((f"{stem}-0000.params", f"{stem}-symbol.json"), paths))
        found = _run(format, list(written.values()), image)
        error = None if found is None else difference(found, expected)
        if error is not None and not error <= TOLERANCE:
            raise WeightsError(
                f"{out}: the exported detector differs from the original by {error:.3g}, more than {TOLERANCE:g}; no file was "
                "written. Please report the backbone."
            )
        with atomic_files(f"{stem}.card.json", *written) as (card_file, *others):
            card_file.write((json.dumps(values, indent=1) + "\n").encode("utf-8"))
            for source, target in zip(written.values(), others):
                with open(source, "rb") as file:
                    shutil.copyfileobj(file, target)
    return error


def decode_predictions(predictions: np.ndarray, card: DetectorCard, image_size: tuple[int, int]) -> Detections:
    """Convert the predictions of an exported detector for one image to faces, largest score first.

    Parameters
    ----------
    predictions : np.ndarray, (A, 16)
    card : DetectorCard
        `DetectorCard.from_dict` reads it from the file beside the exported one.
    image_size : (H, W)
        Size of the image in pixels.

    Examples
    --------
    >>> card = DetectorCard(threshold=0.9)
    >>> decode_predictions(np.zeros((84, 16), np.float32), card, (32, 64)).boxes.shape
    (0, 4)
    """
    anchors = anchor_grid(*image_size, card.anchors)
    faces = decode_faces(predictions[:, :2].T, predictions[:, 2:6], predictions[:, 6:], anchors, card.threshold)
    return faces.select(suppress(faces.boxes, faces.scores, OVERLAP))


def _write_onnx(trace: Trace, card: dict[str, Any], path: str) -> str:
    require_onnx()
    writer = Writer()
    writer.convert(trace)
    anchors = trace.embedding_size // _VALUES
    shape = writer.constant("predictions_shape", np.array([0, anchors, _VALUES], np.int64))
    writer.add("Reshape", ["embedding", shape], "predictions", 1, {}, names=["predictions"])
    height, width = trace.image_size
    description = _DESCRIPTION.format(height=height, width=width, anchors=anchors)
    properties = {"gluonfr.detector": json.dumps(card)}
    model = writer.model(trace, description, properties, ("predictions", ("N", anchors, _VALUES)))
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    return path


def _write_symbol(trace: Trace, folder: str) -> list[str]:
    symbol = mx.sym.reshape(trace.symbol, shape=(0, -1, _VALUES), name="predictions")
    auxiliary = set(symbol.list_auxiliary_states())
    arrays = {f"{'aux' if name in auxiliary else 'arg'}:{name}": nd.array(value) for name, value in trace.parameters.items()}
    paths = [os.path.join(folder, name) for name in ("network-0000.params", "network-symbol.json")]
    nd.save(paths[0], arrays)
    symbol.save(paths[1])
    return paths


def _run(format: str, paths: list[str], image: np.ndarray) -> np.ndarray | None:
    """Return the predictions of the written files; None without ONNX Runtime."""
    if format == "onnx":
        return open_session(paths[0]).run(None, {"data": image})[0] if has_onnxruntime() else None
    parameters, symbol = paths
    with warnings.catch_warnings():
        # MXNet warns that it cannot infer types, which are not needed.
        warnings.simplefilter("ignore")
        return mx.gluon.SymbolBlock.imports(symbol, ["data"], parameters)(nd.array(image)).asnumpy()

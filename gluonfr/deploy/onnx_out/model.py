from __future__ import annotations

import json

from gluonfr.core import GluonFRError
from gluonfr.deploy.onnx_out.trace import Trace
from gluonfr.deploy.onnx_out.writer import Writer

# Where a model's metadata hold its card.
CARD_ENTRY = "gluonfr.card"
DESCRIPTION = (
    "Face embedding. Input `data`: (N, 3, {height}, {width}) float32 RGB in [0, 1], faces aligned to the template {template}. "
    "Output `embedding`: (N, {size}), not normalized."
)


def need_onnx() -> None:
    """GluonFRError with the cure when the package onnx is not installed."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise GluonFRError('format onnx needs the package onnx: run `pip install ".[onnx]"` in the checkout.') from error


def onnx_model(net, image_size, card):
    """An ONNX model (opset 13) of a network, its card in the metadata; any number of images at once.

    Parameters
    ----------
    net : HybridBlock
        Initialized; what it was hybridized to stays as it is. A classifier is left out.
    image_size : (H, W)
    card : Card

    Returns
    -------
    onnx.ModelProto
        `data` (N, 3, H, W) float32 RGB in [0, 1] to `embedding` (N, D); all numbers float32.

    Raises
    ------
    GluonFRError
        The package onnx is missing, or the network has an operator that cannot be written: operator and layer are named.
    """
    need_onnx()
    trace = Trace(net, image_size)
    writer = Writer()
    writer.convert(trace)
    height, width = trace.image_size
    description = DESCRIPTION.format(height=height, width=width, template=card.template, size=trace.embedding_size)
    return writer.model(trace, description, {CARD_ENTRY: json.dumps(card.to_dict())})

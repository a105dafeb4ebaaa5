from __future__ import annotations

import json
from typing import Any

from mxnet.gluon import HybridBlock

from gluonfr.core import Card, UsageError
from gluonfr.deploy.onnx_export.writer import Writer
from gluonfr.deploy.trace import Trace

# Entry of a model's metadata that holds its card.
CARD_ENTRY = "gluonfr.card"
_DESCRIPTION = (
    "Face embedding. Input `data`: (N, 3, {height}, {width}) float32 RGB in [0, 1], faces aligned to the template {template}. "
    "Output `embedding`: (N, {size}), not normalized."
)


def onnx_model(net: HybridBlock, image_size: tuple[int, int], card: Card) -> Any:
    """Convert a network to an ONNX model (opset 13) for any batch size, with its card in the metadata.

    Parameters
    ----------
    net : HybridBlock
        Initialized; it is not changed. A classifier is left out.
    image_size : (H, W)
        Size of the images.
    card : Card
        Card of the network.

    Returns
    -------
    onnx.ModelProto
        `data` (N, 3, H, W) float32 RGB in [0, 1] to `embedding` (N, D); all numbers float32.

    Raises
    ------
    UsageError
        The package onnx is not installed, or the network has an operator that cannot be converted; the message names the
        operator and its layer.

    Examples
    --------
    >>> from gluonfr.deploy import RawPixels
    >>> model = onnx_model(RawPixels(), (8, 8), Card(image_size=(8, 8)))
    >>> [node.op_type for node in model.graph.node]
    ['Flatten']
    """
    require_onnx()
    trace = Trace(net, image_size)
    writer = Writer()
    writer.convert(trace)
    height, width = trace.image_size
    description = _DESCRIPTION.format(height=height, width=width, template=card.template, size=trace.embedding_size)
    return writer.model(trace, description, {CARD_ENTRY: json.dumps(card.to_dict())})


def require_onnx() -> None:
    """Raise UsageError unless the package onnx is installed.

    Examples
    --------
    >>> require_onnx()
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise UsageError('format onnx needs the package onnx: run `pip install "gluonfr[onnx]"`.') from error

"""Names of the parameters of InsightFace's published `mnet.25`, RetinaFace with MobileNet-0.25."""

from __future__ import annotations

from typing import Iterator

from gluonfr.detection.retinaface_network import STRIDES

SYMBOL, PARAMS = "mnet.25-symbol.json", "mnet.25-0000.params"

_LATERALS = {"lateral32": "rf_c3_lateral", "lateral16": "rf_c2_lateral", "lateral8": "rf_c1_red_conv"}
_MERGES = {"merge16": "rf_c2_aggr", "merge8": "rf_c1_aggr"}
_CONTEXT = {
    "small": "conv1",
    "first": "context_conv1",
    "middle": "context_conv2",
    "second": "context_conv3_1",
    "large": "context_conv3_2",
}
_OUTPUTS = {"logits": "cls_score", "boxes": "bbox_pred", "landmarks": "landmark_pred"}
# Layers of MobileNet: a convolution, and 13 pairs of depthwise and 1x1 convolutions.
_PAIRS = 13


def published_names() -> dict[str, str]:
    """Return the name in the published file for every parameter of `RetinaFaceNetwork`, by its path.

    Examples
    --------
    >>> published_names()["logits32.bias"]
    'arg:face_rpn_cls_score_stride32_bias'
    """
    return dict(_all_names())


def _all_names() -> Iterator[tuple[str, str]]:
    layers = ["0", *(f"{pair}.{part}" for pair in range(1, _PAIRS + 1) for part in (0, 1))]
    for number, layer in enumerate(layers):
        yield f"backbone.layers.{layer}.0.weight", f"arg:mobilenet0_conv{number}_weight"
        yield from _norm(f"backbone.layers.{layer}.1", f"mobilenet0_batchnorm{number}", "running")
    for ours, theirs in {**_LATERALS, **_MERGES}.items():
        yield from _conv_block(f"pyramid.{ours}", theirs)
    for stride, level in zip(STRIDES, ("c3", "c2", "c1")):
        for ours, theirs in _CONTEXT.items():
            yield from _conv_block(f"context{stride}.{ours}", f"rf_{level}_det_{theirs}")
        for ours, theirs in _OUTPUTS.items():
            for kind in ("weight", "bias"):
                yield f"{ours}{stride}.{kind}", f"arg:face_rpn_{theirs}_stride{stride}_{kind}"


def _conv_block(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    for kind in ("weight", "bias"):
        yield f"{ours}.conv.{kind}", f"arg:{theirs}_{kind}"
    yield from _norm(f"{ours}.norm", f"{theirs}_bn", "moving")


def _norm(ours: str, theirs: str, statistics: str) -> Iterator[tuple[str, str]]:
    for kind in ("gamma", "beta"):
        yield f"{ours}.{kind}", f"arg:{theirs}_{kind}"
    for kind in ("mean", "var"):
        yield f"{ours}.running_{kind}", f"aux:{theirs}_{statistics}_{kind}"

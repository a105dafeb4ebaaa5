from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from gluonfr.core import Card, WeightsError
from gluonfr.deploy.card_values import check_image_size, mean_and_std
from gluonfr.weights.insightface import find_checkpoint
from gluonfr.weights.symbol_block import build_symbol_block
from gluonfr.weights.symbol_file import load_symbol


class SymbolNetwork(HybridBlock):
    """A network that exists only as files of an MXNet symbol, for inference in place of a network of the zoo.

    Parameters
    ----------
    path : str
        `X-symbol.json`, `X-0000.params`, or X.
    card : Card
        `color`, `mean` and `std` describe the input of the graph; `output` names the embedding among several outputs.
    contexts : list of Context, optional
        Devices of the parameters, by default the CPU.

    Inputs:
        - **data**: (N, 3, H, W) float32 RGB in [0, 1].
    Outputs:
        - **embedding**: (N, D).

    Raises
    ------
    WeightsError
        A file is missing or damaged, has no such output, or requires more than one image.

    Examples
    --------
    >>> import tempfile
    >>> from gluonfr.deploy import RawPixels
    >>> from gluonfr.deploy.export import export_symbol
    >>> from mxnet import nd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     card = export_symbol(RawPixels(), folder + "/raw", image_size=(8, 8))
    ...     net = SymbolNetwork(folder + "/raw-symbol.json", card)
    >>> net(nd.ones((1, 3, 8, 8))).shape
    (1, 192)
    """

    def __init__(
        self, path: str | os.PathLike, card: Card, contexts: Sequence[mx.Context] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        symbol_path, params_path = find_checkpoint(path)
        self._bgr = card.color == "BGR"
        self._scale, self._shift = _scale_and_shift(*mean_and_std(card, params_path))
        check_image_size(card, params_path)
        symbol = _load_embedding(symbol_path, card.output)
        with self.name_scope():
            self.graph = build_symbol_block(symbol, params_path, card.image_size, contexts)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Convert the images as the card specifies, and run the graph."""
        if self._bgr:
            x = F.flip(x, axis=1)
        if self._shift is None:
            return self.graph(x if self._scale == 1 else x * self._scale)
        return self.graph(F.broadcast_add(F.broadcast_mul(x, self._level(F, self._scale)), self._level(F, self._shift)))

    @staticmethod
    def _level(F: Any, values: Sequence[float]) -> Any:
        parts = [F.full(shape=(1, 1, 1, 1), val=float(value)) for value in values]
        return F.concat(*parts, dim=1)


def _scale_and_shift(mean: np.ndarray, std: np.ndarray) -> tuple[Any, list[float] | None]:
    """Write (pixel - mean) / std as scale * x + shift of x in [0, 1]; no shift where every mean is 0 and the stds are equal."""
    means, stds = mean.tolist(), std.tolist()
    if not any(means) and len(set(stds)) == 1:
        return 255 / stds[0], None
    return [255 / value for value in stds], [-m / s for m, s in zip(means, stds)]


def _load_embedding(path: str, output: str) -> Any:
    symbol = load_symbol(path)
    if output:
        internals = symbol.get_internals()
        names = internals.list_outputs()
        for name in (output, output + "_output"):
            if name in names:
                return internals[name]
        raise WeightsError(f"{path} has no output {output!r}, which its card names; correct the card.")
    if len(symbol.list_outputs()) > 1:
        raise WeightsError(
            f"{path} has the outputs {', '.join(symbol.list_outputs())}; name the embedding under `output` in its card."
        )
    return symbol

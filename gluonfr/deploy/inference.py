from __future__ import annotations

import logging
import math
import threading
import warnings
from typing import Any

import mxnet as mx
from mxnet import nd
from mxnet.gluon import HybridBlock, SymbolBlock

from gluonfr.core import WeightsError
from gluonfr.deploy.graph_fusion import fuse_graph
from gluonfr.deploy.trace import Trace

logger = logging.getLogger(__name__)

# Images per forward pass. More images exceed the caches and are slower. Remaining images are run one by one, because memory
# planning for another batch size costs more than several images.
_BATCH = 8
# Numbers in an array between two layers.
_MOST_NUMBERS = 1 << 27


class InferenceNetwork:
    """A network in the form that runs fastest on its device; its output differs from the network's by rounding only.

    On CPUs the graph is rewritten for oneDNN (`fuse_graph`). On GPUs the network itself runs. Calls from several threads are
    serialized.

    Parameters
    ----------
    net : HybridBlock
        Initialized; images (N, 3, H, W) to embeddings. Its parameters are copied: later changes have no effect.
    image_size : (H, W)
        Size of the images.

    Inputs:
        - **data**: (N, 3, H, W) float32 in [0, 1]; any N.
    Outputs:
        - **embedding**: (N, D), on the same device.

    Examples
    --------
    >>> from gluonfr.deploy import RawPixels
    >>> net = InferenceNetwork(RawPixels(), (8, 8))
    >>> net
    InferenceNetwork(RawPixels, image_size=(8, 8))
    >>> net(nd.ones((2, 3, 8, 8))).shape
    (2, 192)
    """

    # Callers need not fill up the last batch.
    any_batch = True

    def __init__(self, net: HybridBlock, image_size: tuple[int, int]) -> None:
        self._net = net
        self._size = (image_size[0], image_size[1])
        self._fused: tuple[Any, dict[str, Any]] | None = None
        self._blocks: dict[tuple[mx.Context, int], SymbolBlock] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"InferenceNetwork({type(self._net).__name__}, image_size={self._size})"

    def __call__(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """Compute embeddings of images."""
        with self._lock:
            if x.context.device_type != "cpu":
                out = self._net(x)
                return out[0] if isinstance(out, (list, tuple)) else out
            rows, start, count = [], 0, x.shape[0]
            while start < count:
                size = _BATCH if count - start >= _BATCH else 1
                rows.append(self._block(x.context, size)(x[start : start + size]).copy())
                start += size
            return rows[0] if len(rows) == 1 else nd.concat(*rows, dim=0)

    def _block(self, context: mx.Context, size: int) -> SymbolBlock:
        key = (context, size)
        if key not in self._blocks:
            if self._fused is None:
                self._fused = fuse_graph(Trace(self._net, self._size))
            self._blocks[key] = self._compile(self._fused, context, size)
        return self._blocks[key]

    def _compile(self, fused: tuple[Any, dict[str, Any]], context: mx.Context, size: int) -> SymbolBlock:
        symbol, parameters = fused
        self._check_size(symbol, {name: value.shape for name, value in parameters.items()}, size)
        with warnings.catch_warnings():
            # MXNet warns that it cannot infer types, which are not needed.
            warnings.simplefilter("ignore")
            block = SymbolBlock(symbol, [mx.sym.var("data")])
            for name, parameter in block.collect_params().items():
                parameter.shape = parameters[name].shape
                parameter.initialize(ctx=context)
                parameter.set_data(nd.array(parameters[name]))
            example = nd.zeros((size, 3, *self._size), ctx=context)
            try:
                block.optimize_for(example, backend="MKLDNN", static_alloc=True, static_shape=True)
                block(example).wait_to_read()
            except mx.base.MXNetError as error:
                # Fusing fails for some graphs; their operators run one by one, more slowly.
                logger.info("the network's layers cannot be fused: %s", str(error).splitlines()[0])
                block.hybridize(static_alloc=True, static_shape=True)
                self._try(block, example)
        return block

    def _try(self, block: SymbolBlock, example: mx.nd.NDArray) -> None:
        try:
            block(example).wait_to_read()
        except mx.base.MXNetError as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            reason = next((line for line in lines if "Error in operator" in line), lines[-1] if lines else "")
            height, width = self._size
            raise WeightsError(
                f"the network cannot process images of {height}x{width} ({reason.strip()[:200]}); correct the image_size of "
                "its card."
            ) from error

    def _check_size(self, symbol: Any, shapes: dict[str, tuple[int, ...]], size: int) -> None:
        """Raise WeightsError if images of the card's size would need absurdly large arrays."""
        height, width = self._size
        try:
            found = symbol.get_internals().infer_shape_partial(data=(size, 3, height, width), **shapes)[1]
        except mx.base.MXNetError:
            # Running it fails with the reason.
            found = []
        if max(map(math.prod, found), default=0) > _MOST_NUMBERS:
            raise WeightsError(f"images of {height}x{width} are too large for the network; correct the image_size of its card.")

from __future__ import annotations

import logging
import threading
import warnings

import mxnet as mx
from mxnet import nd
from mxnet.gluon import SymbolBlock

from gluonfr.deploy.fast_graph import fast_graph
from gluonfr.deploy.onnx_out.trace import Trace

logger = logging.getLogger(__name__)

# Images that go through the network together. More do not fit into the caches and are slower; single ones make up the rest,
# because another shape costs more than several images: memory is planned anew.
_TOGETHER = 8


class InferenceNetwork:
    """A network in the form that runs fastest where it is; what it gives differs from the network's by rounding only.

    On CPU the graph is taken apart and put together as oneDNN runs it fastest (`fast_graph`). On GPU the network itself runs.
    Calls from several threads take turns.

    Parameters
    ----------
    net : HybridBlock
        Initialized, one of the zoo or any that takes images (N, 3, H, W). Its parameters are copied: later changes of the
        network have no effect.
    image_size : (H, W)
        Of the images.

    Inputs:
        - **data**: (N, 3, H, W) float32 in [0, 1]; any N.
    Outputs:
        - **embedding**: (N, D), on the same device.
    """

    # Callers need not fill up the last batch.
    any_batch = True

    def __init__(self, net, image_size) -> None:
        self._net = net
        self._size = tuple(image_size)
        self._trace = None
        self._blocks = {}
        self._lock = threading.Lock()

    def __call__(self, x):
        with self._lock:
            if x.context.device_type != "cpu":
                out = self._net(x)
                return out[0] if isinstance(out, (list, tuple)) else out
            rows, start, count = [], 0, x.shape[0]
            while start < count:
                size = _TOGETHER if count - start >= _TOGETHER else 1
                rows.append(self._block(x.context, size)(x[start : start + size]).copy())
                start += size
            return rows[0] if len(rows) == 1 else nd.concat(*rows, dim=0)

    def _block(self, context, size):
        key = (context, size)
        if key not in self._blocks:
            if self._trace is None:
                self._trace = fast_graph(Trace(self._net, self._size))
            self._blocks[key] = self._make(context, size)
        return self._blocks[key]

    def _make(self, context, size):
        symbol, parameters = self._trace
        with warnings.catch_warnings():
            # MXNet warns that it cannot tell types it need not know.
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
                # Fusing fails for some graphs; they run one operator after the other, more slowly.
                logger.info("the network's layers cannot be fused: %s", str(error).splitlines()[0])
                block.hybridize(static_alloc=True, static_shape=True)
        return block

import json
import logging
import threading
import warnings

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import SymbolBlock

from gluonfr.deploy.onnx_out.trace import Trace

logger = logging.getLogger(__name__)

# Images that go through the network together. More do not fit into the caches and are slower; single ones make up the rest,
# because another shape costs more than several images: memory is planned anew.
_TOGETHER = 8
_SUMS, _FUSED = ("elemwise_add", "_plus", "_Plus", "broadcast_add"), ("Convolution", "BatchNorm")


class InferenceNetwork:
    """A network in the form that runs fastest where it is; what it gives differs from the network's by rounding only.

    On CPU the graph is taken apart: BatchNorm goes into the convolutions, PReLU becomes two depthwise convolutions, one with
    the ReLU and one with the sum inside (see `fast_prelu`), and oneDNN keeps its own memory layout in between. On GPU the
    network itself runs. Calls from several threads take turns.

    Parameters
    ----------
    net : HybridBlock
        Initialised, one of the zoo or any that takes images (N, 3, H, W). Its parameters are copied: later changes of the
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

    def __init__(self, net, image_size):
        self._net = net
        self._size = tuple(image_size)
        self._trace = None
        self._blocks = {}
        self._lock = threading.Lock()

    def __call__(self, x):
        if x.context.device_type != "cpu":
            out = self._net(x)
            return out[0] if isinstance(out, (list, tuple)) else out
        with self._lock:
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
                self._trace = fast_prelu(Trace(self._net, self._size))
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


def fast_prelu(trace):
    r"""The graph of a network with PReLU in the form that oneDNN does fastest: `(symbol, parameters)`.

    .. math:: \mathrm{PReLU}(x) = x + s \max(0, -|1 - \alpha| x), \quad s = \mathrm{sign}(1 - \alpha)

    Both products are depthwise 1x1 convolutions, into which oneDNN takes the ReLU and the sum: five passes over memory
    where MXNet's operator leaves oneDNN's layout and loses far more. A slope that all channels share is a leaky ReLU, which
    goes into the convolution before it.

    Parameters
    ----------
    trace : Trace

    Returns
    -------
    symbol : mx.sym.Symbol
        Of one input, "data".
    parameters : dict
        Name -> float32 array.
    """
    graph = json.loads(trace.symbol.tojson())
    parameters, nodes, place = dict(trace.parameters), [], {}

    def add(op, name, inputs=(), **attributes):
        nodes.append({"op": op, "name": name, "inputs": [list(each) for each in inputs]})
        if attributes:
            nodes[-1]["attrs"] = {key: str(value) for key, value in attributes.items()}
        return [len(nodes) - 1, 0, 0]

    def product(x, name, factors):
        parameters[name] = factors.reshape(-1, 1, 1, 1).astype(np.float32)
        weight = add("null", name)
        channels = len(factors)
        settings = {"kernel": (1, 1), "num_filter": channels, "num_group": channels, "no_bias": True}
        return add("Convolution", name + "_product", [x, weight], **settings)

    for old, (node, traced) in enumerate(zip(graph["nodes"], trace.nodes)):
        inputs = [[place[each[0]][0], each[1], 0] for each in node["inputs"]]
        slopes = _slopes(graph, node, traced, parameters)
        if slopes is None:
            if node["op"] in _SUMS and nodes[inputs[0][0]]["op"] not in _FUSED:
                # oneDNN takes the sum into the layer that comes first, and fails where that can only be the second.
                inputs = inputs[::-1]
            place[old] = add(node["op"], node["name"], inputs, **node.get("attrs", {}))
        elif len(slopes) == 1:
            place[old] = add("LeakyReLU", node["name"], inputs[:1], act_type="leaky", slope=float(slopes[0]))
        else:
            x, name = inputs[0], node["name"]
            part = product(x, name + "_below", -np.abs(1 - slopes))
            part = add("Activation", name + "_relu", [part], act_type="relu")
            part = product(part, name + "_sign", np.sign(1 - slopes))
            place[old] = add("elemwise_add", name, [part, x])
    heads = [[place[each[0]][0], each[1], 0] for each in graph["heads"]]
    text = json.dumps(
        {
            "nodes": nodes,
            "arg_nodes": [i for i, node in enumerate(nodes) if node["op"] == "null"],
            "heads": heads,
            "attrs": graph["attrs"],
        }
    )
    symbol = mx.sym.load_json(text)
    wanted = set(symbol.list_inputs())
    return symbol, {name: value for name, value in parameters.items() if name in wanted}


def _slopes(graph, node, traced, parameters):
    """A PReLU's slopes (C,) where it works on maps, else None."""
    if node["op"] != "LeakyReLU" or node.get("attrs", {}).get("act_type") != "prelu" or len(traced.shape) != 4:
        return None
    name = graph["nodes"][node["inputs"][1][0]]["name"]
    return parameters[name].reshape(-1) if name in parameters else None

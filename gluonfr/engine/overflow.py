from __future__ import annotations

from typing import Any, Iterator

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import Block, HybridBlock

from gluonfr.core.mxnet_internals import children, parameter_value

# Weights of networks that learn anything are far smaller.
_LARGEST_WEIGHT = 1e6


def describe_overflow(net: HybridBlock, images: Any) -> str:
    """Describe the first layer of a network that returns values that are not finite, and why.

    Parameters
    ----------
    net : HybridBlock
        Initialized; it is not hybridized afterwards.
    images : NDArray (N, 3, H, W)
        Input, on a device of the network.

    Returns
    -------
    str
        One clause; empty when all outputs are finite.

    Examples
    --------
    >>> net = mx.gluon.nn.HybridSequential(prefix="net_")
    >>> with net.name_scope():
    ...     net.add(mx.gluon.nn.Dense(1, in_units=1, weight_initializer=mx.init.Constant(3e38)))
    >>> net.initialize()
    >>> describe_overflow(net, 2 * nd.ones((1, 1)))
    'layer net_dense0 (Dense) overflows: its input reaches 2 and its parameters 3e+38'
    """
    net.hybridize(False)
    found: list[str] = []

    def check(block: Block, inputs: Any, output: Any) -> None:
        outputs = output if isinstance(output, (list, tuple)) else [output]
        if not found and not all(np.isfinite(array.asnumpy()).all() for array in outputs if isinstance(array, nd.NDArray)):
            found.append(_describe(block, inputs))

    handles = [block.register_forward_hook(check) for block in _blocks(net)]
    try:
        net(images)
    finally:
        for handle in handles:
            handle.detach()
    return found[0] if found else ""


def has_diverged(net: HybridBlock, context: mx.Context) -> bool:
    """Return whether a trained parameter of a network is not finite, or larger than 1e6, on a device.

    Examples
    --------
    >>> net = mx.gluon.nn.Dense(1, in_units=1, weight_initializer=mx.init.Constant(1e28))
    >>> net.initialize()
    >>> has_diverged(net, mx.cpu())
    True
    """
    trained = (parameter for parameter in net.collect_params().values() if parameter.grad_req != "null")
    # NaN is not below the limit either.
    return not all((np.abs(parameter_value(parameter, context)) < _LARGEST_WEIGHT).all() for parameter in trained)


def _blocks(block: Block) -> Iterator[Block]:
    for child in children(block):
        yield from _blocks(child)
    yield block


def _describe(block: Block, inputs: Any) -> str:
    layer = f"layer {block.name} ({type(block).__name__})"
    context = inputs[0].context
    parameters = {name: parameter_value(parameter, context) for name, parameter in block.collect_params().items()}
    broken = [name for name, values in parameters.items() if not np.isfinite(values).all()]
    if broken:
        return f"{layer}: its parameter {broken[0]} is not finite"
    reach = max(float(np.abs(array.asnumpy()).max()) for array in inputs if isinstance(array, nd.NDArray))
    largest = max((float(np.abs(values).max()) for values in parameters.values()), default=0.0)
    return f"{layer} overflows: its input reaches {reach:g} and its parameters {largest:g}"

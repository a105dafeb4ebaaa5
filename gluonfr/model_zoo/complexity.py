"""The size of a network and the cost of one image."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Constant

from gluonfr.model_zoo.arguments import as_image_size
from gluonfr.model_zoo.graph import NetworkGraph


class Complexity(NamedTuple):
    """Number of parameters, and multiply-adds of one image.

    Examples
    --------
    >>> Complexity(parameters=1_003_264, multiply_adds=221_000_000).parameters
    1003264
    """

    parameters: int
    multiply_adds: int


def complexity(net: HybridBlock, image_size: Any = (112, 112)) -> Complexity:
    """Count the parameters of a network and the multiply-adds of one image.

    Both are read from the network's graph: nothing is computed, and the network need not be initialized. Its parameters and
    its hybridized form are not changed.

    Parameters
    ----------
    net : HybridBlock
        The network.
    image_size : (H, W), default (112, 112)
        Size of the image in pixels.

    Returns
    -------
    Complexity
        `parameters` are counted without running statistics, with the scales and shifts that BatchNorm holds fixed, and with
        the classifier if there is one. `multiply_adds` are those of convolutions, transposed convolutions, dense layers and
        batches of matrix products; normalization, activations and pooling are left out, as in the papers.

    Raises
    ------
    UsageError
        The network cannot be traced as a graph, or does not accept images of that size.

    Examples
    --------
    >>> from gluonfr.model_zoo import get_model
    >>> complexity(get_model("mobilefacenet", embedding_size=128))
    Complexity(parameters=1003264, multiply_adds=220965376)
    """
    graph = NetworkGraph(net, (1, 3, *as_image_size(image_size)))
    constants = {parameter.name for parameter in net.collect_params().values() if isinstance(parameter, Constant)}
    parameters = sum(_product(shape) for name, shape in graph.parameters.items() if name not in constants)
    return Complexity(parameters, sum(_multiply_adds(node, graph) for node in graph.nodes))


def _product(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _multiply_adds(node: dict[str, Any], graph: NetworkGraph) -> int:
    operator = node["op"]
    if operator in ("Convolution", "FullyConnected"):
        # Every output is a sum over one row of the weight: (channels in / groups) x kernel, or the dense layer's input.
        return _product(graph.output(node)) * _product(graph.inputs(node)[1][1:])
    if operator == "Deconvolution":
        data, weight = graph.inputs(node)[:2]
        return _product(data) * _product(weight[1:])
    if operator == "batch_dot":
        left = graph.inputs(node)[0]
        transposed = node.get("attrs", {}).get("transpose_a") in ("True", "1")
        return _product(graph.output(node)) * left[1 if transposed else 2]
    return 0

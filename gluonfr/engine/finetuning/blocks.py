"""Which parameters of a network are trained, and at which rate."""

from __future__ import annotations

import logging
import re
from typing import Any

import mxnet as mx

from gluonfr.core import UsageError
from gluonfr.core.mxnet_internals import children, parameters_by_path, use_running_statistics

logger = logging.getLogger(__name__)


def network_blocks(net: Any) -> list[list[mx.gluon.Block]]:
    """Return the blocks of a network from input to output: the children of its body, each with the layers up to the next one.

    A child without a convolution or a dense layer, such as a BatchNorm, belongs to the block before it.

    Examples
    --------
    >>> from gluonfr.model_zoo import get_model
    >>> net = get_model("lresnet10e_ir", units=(1, 1), channels=(4, 8, 8), embedding_size=4)
    >>> [[type(layer).__name__ for layer in block] for block in network_blocks(net)][:3]
    [['Conv2D', 'BatchNorm', 'PReLU'], ['_Unit'], ['_Unit', 'BatchNorm', 'Dropout', 'Flatten']]
    """
    layers = list(children(net.features))
    while len(layers) == 1 and list(children(layers[0])):
        layers = list(children(layers[0]))
    blocks: list[list[mx.gluon.Block]] = []
    for layer in layers:
        if any(name.endswith("weight") for name in layer.collect_params()) or not blocks:
            blocks.append([])
        blocks[-1].append(layer)
    return blocks


def freeze(net: Any, which: str) -> None:
    """Exclude parameters from training: those of the first blocks, or those whose path matches a regular expression.

    BatchNorm layers with a frozen scale or shift use their running statistics.

    Parameters
    ----------
    net : HybridBlock
        Not yet hybridized or run with autograd.
    which : str
        A number of blocks of `network_blocks`, not all of them, of which -1 freezes all but the last one and 0 none, or a
        pattern that is searched in paths such as 'features.3.body.0.gamma'.

    Raises
    ------
    UsageError
        There are fewer blocks, the pattern is invalid, nothing matches, or nothing is left to train.

    Examples
    --------
    >>> freeze(net, "-1")  # doctest: +SKIP
    """
    trained = [p for p in net.collect_params().values() if p.grad_req != "null"]
    if re.fullmatch("-?[0-9]+", which):
        blocks = network_blocks(net)
        if not -len(blocks) <= int(which) < len(blocks):
            limits = f"{-len(blocks)} to {len(blocks) - 1}"
            raise UsageError(f"freeze={which!r}: the network has {len(blocks)} blocks; give a number from {limits}.")
        frozen = [p for block in blocks[: int(which)] for layer in block for p in layer.collect_params().values()]
    else:
        try:
            pattern = re.compile(which)
        except re.error as error:
            raise UsageError(f"freeze={which!r} is not a regular expression ({error}); correct it.") from error
        frozen = [p for path, p in parameters_by_path(net).items() if pattern.search(path)]
        if not frozen:
            raise UsageError(f"freeze={which!r} matches no parameter; paths are like {next(iter(parameters_by_path(net)))!r}.")
    for parameter in frozen:
        parameter.grad_req = "null"
    left = [p for p in trained if p.grad_req != "null"]
    if not left:
        raise UsageError(f"freeze={which!r} leaves no parameter of the network to train; freeze fewer.")
    freeze_statistics(net, {parameter.name for parameter in frozen})
    logger.info("frozen: %d of %d parameter arrays of the network", len(trained) - len(left), len(trained))


def freeze_statistics(net: Any, names: set[str] | None = None) -> None:
    """Make BatchNorm layers use their running statistics in training too, and leave them unchanged.

    Parameters
    ----------
    net : HybridBlock
    names : set of str, optional
        Names of parameters: only the layers that have one of them. By default all layers.

    Examples
    --------
    >>> freeze_statistics(net)  # doctest: +SKIP
    """
    for layer in _layers(net):
        if isinstance(layer, mx.gluon.nn.BatchNorm) and (names is None or names & set(layer.collect_params())):
            use_running_statistics(layer)


def _layers(block: mx.gluon.Block) -> Any:
    yield block
    for child in children(block):
        yield from _layers(child)


def decay_rates(net: Any, factor: float) -> None:
    """Multiply the learning rate by `factor` from each block to the block before it; the last block has the full rate.

    Examples
    --------
    >>> decay_rates(net, 0.7)  # doctest: +SKIP
    """
    for depth, block in enumerate(reversed(network_blocks(net))):
        for layer in block:
            for parameter in layer.collect_params().values():
                parameter.lr_mult *= factor**depth

from __future__ import annotations

from typing import Any

from mxnet.gluon import nn

from gluonfr.core import UsageError, check_number
from gluonfr.nn.prelu import PReLU


def embedding_head(
    kind: str,
    embedding_size: int,
    channels: int,
    dropout: float | None = None,
    size: int | tuple[int, int] = 7,
    epsilon: float = 2e-5,
    inner_epsilon: float | None = None,
    use_bias: bool = True,
    scale: bool = False,
) -> nn.HybridSequential:
    """Build the layers between the last feature map of a face network and its embedding.

    InsightFace compares four heads (https://arxiv.org/abs/1801.07698):

    - "E": BatchNorm, dropout, dense, BatchNorm. All positions are weighted, with C H W D parameters.
    - "FC": the same without dropout.
    - "GAP": BatchNorm, PReLU, mean over all positions, dense, BatchNorm.
    - "GDC": one weight per channel and position (a depthwise convolution as large as the map,
      https://arxiv.org/abs/1804.07573), BatchNorm, dense, BatchNorm.

    Parameters
    ----------
    kind : {'E', 'GDC', 'GAP', 'FC'}
        Kind of head.
    embedding_size : int
        Size D of the embedding.
    channels : int
        Number of channels C of the feature map.
    dropout : float, optional
        Dropout rate before the dense layer, in [0, 1); by default 0.4 for "E" and 0 for the others.
    size : int or (H, W), default 7
        Height and width of the feature map; only "GDC" depends on it.
    epsilon : float, default 2e-5
        Epsilon of the last BatchNorm.
    inner_epsilon : float, optional
        Epsilon of the first BatchNorm; by default the same.
    use_bias : bool, default True
        Whether the dense layer has a bias.
    scale : bool, default False
        Whether the last BatchNorm learns a scale, or has it fixed at 1.

    Returns
    -------
    HybridSequential
        (N, C, H, W) -> (N, D). A network that lists its layers one by one adds it as ``body.add(*head)``.

    Raises
    ------
    UsageError
        For an unknown kind, or a dropout outside [0, 1).

    Examples
    --------
    >>> import mxnet as mx
    >>> head = embedding_head("GDC", 128, channels=16)
    >>> head.initialize()
    >>> head(mx.nd.zeros((2, 16, 7, 7))).shape
    (2, 128)
    """
    layers = _LAYERS.get(kind) if isinstance(kind, str) else None
    if layers is None:
        raise UsageError(f"head must be one of {', '.join(HEADS)}, got {kind!r}.")
    if dropout is not None:
        dropout = check_number("dropout", dropout, minimum=0, below=1)
    make = point_norm if kind == "GDC" else nn.BatchNorm
    inner = make(epsilon=epsilon if inner_epsilon is None else inner_epsilon, in_channels=channels)
    # No prefix and no scope of its own: when it is added to a network layer by layer, the names of parameters must not change.
    head = nn.HybridSequential(prefix="")
    head.add(*layers(inner, channels, size, dropout))
    head.add(
        nn.Dense(embedding_size, use_bias=use_bias), nn.BatchNorm(epsilon=epsilon, scale=scale, in_channels=embedding_size)
    )
    return head


def point_norm(epsilon: float, in_channels: int) -> nn.BatchNorm:
    """Return a BatchNorm for maps of one pixel, (N, C, 1, 1), with an epsilon that is larger by a factor of 1.00001.

    On CPU, MXNet 1.9.1 caches one BatchNorm primitive per (N, C, epsilon). It would use the primitive for maps of one pixel,
    with a blocked memory layout, for a later (N, C) array too, and crash. An epsilon of its own separates the two, within a
    network and between networks; values change by less than the precision of float32.

    Examples
    --------
    >>> point_norm(2e-5, 16)
    BatchNorm(axis=1, eps=2.0000200000000002e-05, momentum=0.9, fix_gamma=False, use_global_stats=False, in_channels=16)
    """
    return nn.BatchNorm(epsilon=epsilon * (1 + 1e-5), in_channels=in_channels)


def _all_positions(norm: Any, channels: int, size: int | tuple[int, int], dropout: float | None) -> list[Any]:
    return [norm, nn.Dropout(0.4 if dropout is None else dropout), nn.Flatten()]


def _all_positions_without_dropout(norm: Any, channels: int, size: int | tuple[int, int], dropout: float | None) -> list[Any]:
    return [norm, nn.Flatten(), *_dropout(dropout)]


def _mean(norm: Any, channels: int, size: int | tuple[int, int], dropout: float | None) -> list[Any]:
    return [norm, PReLU(channels), nn.GlobalAvgPool2D(), nn.Flatten(), *_dropout(dropout)]


def _depthwise(norm: Any, channels: int, size: int | tuple[int, int], dropout: float | None) -> list[Any]:
    convolution = nn.Conv2D(channels, size, groups=channels, use_bias=False, in_channels=channels)
    return [convolution, norm, nn.Flatten(), *_dropout(dropout)]


def _dropout(rate: float | None) -> list[Any]:
    return [nn.Dropout(rate)] if rate else []


_LAYERS = {"E": _all_positions, "GDC": _depthwise, "GAP": _mean, "FC": _all_positions_without_dropout}
HEADS = tuple(_LAYERS)

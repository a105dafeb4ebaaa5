from __future__ import annotations

from mxnet.gluon import nn

from gluonfr.core import GluonFRError
from gluonfr.nn.prelu import PReLU


def embedding_head(
    kind,
    embedding_size,
    channels,
    dropout=None,
    size=7,
    epsilon=2e-5,
    inner_epsilon=None,
    use_bias=True,
    scale=False,
):
    """What turns the last feature map of a face network into its embedding; the four heads that InsightFace compares.

    - "E": BatchNorm, dropout, dense, BatchNorm. All positions are weighed, which costs C H W D parameters.
    - "FC": the same without dropout.
    - "GAP": BatchNorm, PReLU, mean over all positions, dense, BatchNorm.
    - "GDC": one weight per channel and position (a depthwise convolution as large as the map, https://arxiv.org/abs/1804.07573),
      BatchNorm, dense, BatchNorm.

    Parameters
    ----------
    kind : {'E', 'GDC', 'GAP', 'FC'}
    embedding_size : int
        D.
    channels : int
        C, of the feature map.
    dropout : float in [0, 1), optional
        Before the dense layer; 0.4 with "E" and 0 with the others unless given.
    size : int or (H, W), default 7
        Height and width of the feature map; "GDC" alone depends on it.
    epsilon : float, default 2e-5
        Of the last BatchNorm.
    inner_epsilon : float, optional
        Of the first BatchNorm; the same unless given.
    use_bias : bool, default True
        Of the dense layer.
    scale : bool, default False
        Whether the last BatchNorm learns a scale; held at 1 otherwise.

    Returns
    -------
    HybridSequential
        (N, C, H, W) -> (N, D). A network that lists its layers one by one adds it as ``body.add(*head)``.

    Raises
    ------
    GluonFRError
        For an unknown kind, or a dropout outside [0, 1).
    """
    layers = _LAYERS.get(kind) if isinstance(kind, str) else None
    if layers is None:
        raise GluonFRError(f"head is one of {', '.join(HEADS)}, got {kind!r}.")
    if dropout is not None and not 0 <= dropout < 1:
        raise GluonFRError(f"dropout is at least 0 and below 1, got {dropout!r}.")
    make = point_norm if kind == "GDC" else nn.BatchNorm
    inner = make(epsilon=epsilon if inner_epsilon is None else inner_epsilon, in_channels=channels)
    # No prefix and no scope of its own: added to a network layer by layer, it must not change how parameters are called.
    head = nn.HybridSequential(prefix="")
    head.add(*layers(inner, channels, size, dropout))
    head.add(
        nn.Dense(embedding_size, use_bias=use_bias), nn.BatchNorm(epsilon=epsilon, scale=scale, in_channels=embedding_size)
    )
    return head


def point_norm(epsilon, in_channels):
    """BatchNorm for maps of one pixel, (N, C, 1, 1), with an epsilon that is larger by a hundred-thousandth.

    On CPU, MXNet 1.9.1 keeps one BatchNorm routine per (N, C, epsilon), and takes the one made for a map of one pixel, whose
    memory is laid out in blocks, for a later (N, C) as well: the process dies. An epsilon of its own keeps the two apart, in
    one network and between networks; values change by less than float32 can tell.
    """
    return nn.BatchNorm(epsilon=epsilon * (1 + 1e-5), in_channels=in_channels)


def _all_positions(norm, channels, size, dropout):
    return [norm, nn.Dropout(0.4 if dropout is None else dropout), nn.Flatten()]


def _all_positions_kept(norm, channels, size, dropout):
    return [norm, nn.Flatten(), *_dropout(dropout)]


def _mean(norm, channels, size, dropout):
    return [norm, PReLU(channels), nn.GlobalAvgPool2D(), nn.Flatten(), *_dropout(dropout)]


def _depthwise(norm, channels, size, dropout):
    convolution = nn.Conv2D(channels, size, groups=channels, use_bias=False, in_channels=channels)
    return [convolution, norm, nn.Flatten(), *_dropout(dropout)]


def _dropout(rate):
    return [nn.Dropout(rate)] if rate else []


_LAYERS = {"E": _all_positions, "GDC": _depthwise, "GAP": _mean, "FC": _all_positions_kept}
HEADS = tuple(_LAYERS)

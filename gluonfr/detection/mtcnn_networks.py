"""The three networks of MTCNN (https://arxiv.org/abs/1604.02878). All expect RGB pixels in 0..255 as float32."""

from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock, nn

from gluonfr.nn import PReLU

# The networks were trained on pixels 0..255 scaled to about -1..1.
_SHIFT, _SCALE = 127.5, 0.0078125


class _Network(HybridBlock):
    """Convolutions `conv1 .. convN`, each with a `preluN` and optional pooling.

    Parameters
    ----------
    layers : list of (in_channels, channels, kernel, pool)
        `pool` is the size of a maximum pooling of stride 2, which may reach beyond the border; None without.

    Attributes
    ----------
    first_channels : int
        Channels of the first convolution as published. Here they are padded with zeros to a multiple of 16: oneDNN pools 16
        channels ten times faster than 10.
    """

    first_channels: int

    def __init__(self, layers: list[tuple[int, int, int, int | None]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            for number, (in_channels, channels, kernel, pool) in enumerate(layers, 1):
                convolution, prelu = nn.Conv2D(channels, kernel, in_channels=in_channels), PReLU(channels)
                self.body.add(convolution, prelu)
                setattr(self, f"conv{number}", convolution)
                setattr(self, f"prelu{number}", prelu)
                if pool:
                    self.body.add(nn.MaxPool2D(pool, 2, ceil_mode=True))

    def _features(self, x: Any) -> Any:
        return self.body((x - _SHIFT) * _SCALE)


class PNet(_Network):
    """Proposal network, which classifies each window of 12x12 pixels.

    Inputs:
        - **x**: (N, 3, H, W), H and W at least 12.
    Outputs:
        - **scores**: (N, 1, h, w), of the window with the first pixel (2 * row, 2 * column).
        - **shifts**: (N, 4, h, w), of x0, y0, x1, y1 in parts of the window's side.

    Examples
    --------
    >>> import mxnet as mx
    >>> net = PNet()
    >>> net.initialize()
    >>> [output.shape for output in net(mx.nd.zeros((1, 3, 24, 24)))]
    [(1, 1, 7, 7), (1, 4, 7, 7)]
    """

    first_channels = 10

    def __init__(self, **kwargs: Any) -> None:
        super().__init__([(3, 16, 3, 2), (16, 16, 3, None), (16, 32, 3, None)], **kwargs)
        with self.name_scope():
            self.score = nn.Conv2D(2, 1, in_channels=32)
            self.shift = nn.Conv2D(4, 1, in_channels=32)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, Any]:
        """Return scores and shifts."""
        x = self._features(x)
        return F.slice_axis(F.softmax(self.score(x), axis=1), axis=1, begin=1, end=2), self.shift(x)


class _CropNetwork(_Network):
    """A network on crops of one size: after the convolutions one dense layer of `units`, then one for each output."""

    def __init__(self, layers: list[tuple[int, int, int, int | None]], in_units: int, units: int, **kwargs: Any) -> None:
        super().__init__(layers, **kwargs)
        with self.name_scope():
            self.dense = nn.Dense(units, in_units=in_units)
            # PReLU expects images, so the vector is reshaped to an image of 1x1.
            self.prelu = PReLU(units)
            self.score = nn.Dense(2, in_units=units)
            self.shift = nn.Dense(4, in_units=units)

    def _vector(self, F: Any, x: Any) -> Any:
        return F.flatten(self.prelu(F.reshape(self.dense(self._features(x)), shape=(0, 0, 1, 1))))

    def _score(self, F: Any, x: Any) -> Any:
        return F.slice_axis(F.softmax(self.score(x)), axis=1, begin=1, end=2)


class RNet(_CropNetwork):
    """Refinement network, which classifies crops and refines their boxes.

    Inputs:
        - **x**: (N, 3, 24, 24).
    Outputs:
        - **scores**: (N, 1).
        - **shifts**: (N, 4), of x0, y0, x1, y1 in parts of the crop's side.

    Examples
    --------
    >>> import mxnet as mx
    >>> net = RNet()
    >>> net.initialize()
    >>> [output.shape for output in net(mx.nd.zeros((2, 3, 24, 24)))]
    [(2, 1), (2, 4)]
    """

    first_channels = 28

    def __init__(self, **kwargs: Any) -> None:
        super().__init__([(3, 32, 3, 3), (32, 48, 3, 3), (48, 64, 2, None)], 576, 128, **kwargs)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, Any]:
        """Return scores and shifts."""
        x = self._vector(F, x)
        return self._score(F, x), self.shift(x)


class ONet(_CropNetwork):
    """Output network, which classifies crops and locates box and landmarks.

    Inputs:
        - **x**: (N, 3, 48, 48).
    Outputs:
        - **scores**: (N, 1).
        - **shifts**: (N, 4), of x0, y0, x1, y1 in parts of the crop's side.
        - **landmarks**: (N, 10), five x, then five y, from the crop's upper left corner, in parts of its side.

    Examples
    --------
    >>> import mxnet as mx
    >>> net = ONet()
    >>> net.initialize()
    >>> [output.shape for output in net(mx.nd.zeros((1, 3, 48, 48)))]
    [(1, 1), (1, 4), (1, 10)]
    """

    first_channels = 32

    def __init__(self, **kwargs: Any) -> None:
        super().__init__([(3, 32, 3, 3), (32, 64, 3, 3), (64, 64, 3, 2), (64, 128, 2, None)], 1152, 256, **kwargs)
        with self.name_scope():
            self.landmark = nn.Dense(10, in_units=256)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, Any, Any]:
        """Return scores, shifts and landmarks."""
        x = self._vector(F, x)
        return self._score(F, x), self.shift(x), self.landmark(x)

from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock

from gluonfr.core import UsageError


class CropResize(HybridBlock):
    """Crop the center of an image and resize it, so that a small network can use the crops that other networks use.

    Parameters
    ----------
    crop : int
        Side of the centered square, in pixels of the input.
    size : int
        Side after bilinear resizing; with the same value as `crop` nothing is resized.
    image_size : int, default 112
        Side of the input, in pixels.

    Raises
    ------
    UsageError
        The crop is larger than the input.

    Inputs:
        - **data**: (N, 3, image_size, image_size).
    Outputs:
        - **out**: (N, 3, size, size).

    Examples
    --------
    >>> import mxnet as mx
    >>> CropResize(96, 48)(mx.nd.zeros((1, 3, 112, 112))).shape
    (1, 3, 48, 48)
    """

    def __init__(self, crop: int, size: int, image_size: int = 112, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if crop > image_size:
            raise UsageError(f"input_crop={crop} is larger than the image, which has {image_size}x{image_size} pixels.")
        self._begin, self._end = (image_size - crop) // 2, (image_size - crop) // 2 + crop
        self._size = size

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return the resized crops."""
        x = F.slice(x, begin=(None, None, self._begin, self._begin), end=(None, None, self._end, self._end))
        if self._size == self._end - self._begin:
            return x
        return F.contrib.BilinearResize2D(x, height=self._size, width=self._size)


def input_layer(crop: int | None, size: int | None, image_size: int = 112) -> tuple[CropResize | None, int]:
    """Return the layer that crops and resizes the image of a network, None where nothing is asked for, and the side after it.

    Parameters
    ----------
    crop, size : int, optional
        `input_crop` and `input_size` of the network.
    image_size : int, default 112
        Side of the image, in pixels.

    Examples
    --------
    >>> input_layer(100, 56)[1], input_layer(None, None)
    (56, (None, 112))
    """
    inside = size or crop or image_size
    return (CropResize(crop or image_size, inside, image_size) if crop or size else None), inside


def halved(size: int, times: int) -> int:
    """Return the side of a feature map after `times` padded convolutions of stride 2.

    Examples
    --------
    >>> halved(112, 4)
    7
    """
    return size if times == 0 else halved(-(-size // 2), times - 1)

from __future__ import annotations

from mxnet.gluon import HybridBlock


class CropResize(HybridBlock):
    """The middle of an image at another size, so that a small network can take the crops that all others take.

    Parameters
    ----------
    crop : int
        Side of the square in the middle that is kept, in pixels of the input.
    size : int
        Side after bilinear resizing; the same as `crop` leaves the pixels alone.
    image_size : int, default 112
        Side of the input.

    Inputs:
        - **data**: (N, 3, image_size, image_size).
    Outputs:
        - **out**: (N, 3, size, size).
    """

    def __init__(self, crop, size, image_size=112, **kwargs) -> None:
        super().__init__(**kwargs)
        self._begin, self._end = (image_size - crop) // 2, (image_size - crop) // 2 + crop
        self._size = size

    def hybrid_forward(self, F, x):
        x = F.slice(x, begin=(None, None, self._begin, self._begin), end=(None, None, self._end, self._end))
        if self._size == self._end - self._begin:
            return x
        return F.contrib.BilinearResize2D(x, height=self._size, width=self._size)

from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock


class RawPixels(HybridBlock):
    """A network without parameters: the embedding is the image itself.

    Its accuracy is the baseline that a trained network has to exceed on the same pairs.

    Inputs:
        - **data**: (N, 3, H, W).
    Outputs:
        - **embedding**: (N, 3 * H * W).

    Examples
    --------
    >>> from mxnet import nd
    >>> RawPixels()(nd.ones((2, 3, 4, 4))).shape
    (2, 48)
    """

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Flatten the images."""
        return F.flatten(x)

from __future__ import annotations

from mxnet.gluon import HybridBlock


class RawPixels(HybridBlock):
    """The network that learned nothing: its embedding is the image itself.

    What it verifies is the baseline that a trained network has to beat on the same pairs.

    Inputs:
        - **data**: (N, 3, H, W).
    Outputs:
        - **embedding**: (N, 3 * H * W).
    """

    def hybrid_forward(self, F, x):
        return F.flatten(x)

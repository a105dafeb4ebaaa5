"""Synthetic faces: data for tests, demos and machines without face images.

`render` draws one image, `make_dataset` writes a training set and verification pairs of other people. Results on them show
that a pipeline works from records to metrics. They say **nothing about accuracy on real faces**.

A person is defined by the shape of the head, hair, eyes, brows, nose, mouth and skin, and perhaps glasses, beard and marks. The
images of a person differ in pose, expression, light, white balance, background, focus, noise, occlusion, alignment and JPEG
quality. All of it depends on (seed, identity, image) alone. Pixels are reproducible with the same version of OpenCV; other
versions may round differently.
"""

from __future__ import annotations

from gluonfr.data.synthetic.dataset import make_dataset
from gluonfr.data.synthetic.rendering import render

__all__ = ["make_dataset", "render"]

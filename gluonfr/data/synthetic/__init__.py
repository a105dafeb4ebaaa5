"""Synthetic people: the embedded default data for machines that have no faces.

`render` draws one picture, `make_dataset` writes a training set and verification pairs of people it does not hold. What is
reached on them proves that a pipeline works from records to metrics; it says **nothing about accuracy on real faces**.

A person is a shape of head, hair, eyes, brows, nose, mouth and skin, perhaps with glasses, beard and marks. A
picture of them differs in pose, expression, light, white balance, background, focus, noise, occlusion, in how well it is
aligned, and in JPEG quality. All of it follows from (seed, identity, image) alone, whatever else is rendered, by whom and in
which order. Pixels are repeated on the same version of OpenCV; another one may round differently.
"""

from __future__ import annotations

from gluonfr.data.synthetic.dataset import make_dataset
from gluonfr.data.synthetic.rendering import render

__all__ = ["make_dataset", "render"]

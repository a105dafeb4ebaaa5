"""Crop templates: where the five landmarks of a face lie on an aligned crop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gluonfr.core import Registry, UsageError

LANDMARKS = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")

TEMPLATES = Registry("template")

# Landmarks within this distance in pixels count as one point, from which no scale can be computed.
_ONE_POINT = 1e-3


@dataclass(frozen=True)
class Template:
    """Landmark positions on an aligned crop.

    Attributes
    ----------
    points : tuple of (x, y)
        Positions in pixels of the crop, one for each entry of `uses`; (0, 0) is the center of the upper left pixel.
    image_size : (H, W)
        Size of the crop.
    uses : tuple of int, default all five
        Landmarks with a position on the crop, as indices of `LANDMARKS`: left eye, right eye, nose, left and right mouth
        corner. Left and right are as seen in the image.

    Examples
    --------
    >>> Template(((30.0, 40.0), (70.0, 40.0)), (100, 100), uses=(0, 1)).image_size
    (100, 100)
    """

    points: tuple[tuple[float, float], ...]
    image_size: tuple[int, int]
    uses: tuple[int, ...] = (0, 1, 2, 3, 4)


_ARCFACE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))

TEMPLATES.register("arcface", "arcface_112x112", "insightface")(Template(_ARCFACE, (112, 112)))
# Older networks expect 96 columns of the same crop, without 8 columns on either side.
TEMPLATES.register("arcface_96x112", "sphereface")(Template(tuple((x - 8, y) for x, y in _ARCFACE), (112, 96)))
TEMPLATES.register("dlib", "dlib_150x150")(Template(((47.7, 47.1), (100.3, 47.1), (74.0, 87.8)), (150, 150), (0, 1, 2)))


def get_template(template: str | Template) -> Template:
    """Return the template of this name; a `Template` is returned unchanged.

    Parameters
    ----------
    template : str or Template
        'arcface' (112x112), 'arcface_96x112' (112 rows, 96 columns) or 'dlib' (150x150).

    Raises
    ------
    UsageError
        For an unknown name.

    Examples
    --------
    >>> get_template("dlib").image_size
    (150, 150)
    """
    return template if isinstance(template, Template) else TEMPLATES.get(template)


def similarity_transform(landmarks: Any, template: str | Template = "arcface") -> np.ndarray:
    """Estimate the rotation, scale and translation that align landmarks with a template.

    The transform minimizes the sum of squared distances and never mirrors (https://doi.org/10.1109/34.88573).

    Parameters
    ----------
    landmarks : array_like, (5, 2) or (N, 5, 2)
        x and y in pixels of the image, in the order of `LANDMARKS`.
    template : str or Template, default 'arcface'

    Returns
    -------
    np.ndarray, float64 (2, 3) or (N, 2, 3)
        `M` with `crop = M[:, :2] @ point + M[:, 2]`, the form that `cv2.warpAffine` expects.

    Raises
    ------
    UsageError
        A landmark is not finite, all landmarks coincide, or they are not arranged like a face.

    Examples
    --------
    >>> similarity_transform(get_template("arcface").points).round(3) + 0.0
    array([[1., 0., 0.],
           [0., 1., 0.]])
    """
    template = get_template(template)
    points = np.asarray(landmarks, dtype=np.float64)
    if points.ndim not in (2, 3) or points.shape[-2:] != (5, 2):
        raise UsageError(f"landmarks must have the shape (5, 2) or (N, 5, 2), got {points.shape}; give x and y of five points.")
    used = points[..., list(template.uses), :]
    if not np.isfinite(used).all():
        raise UsageError("landmarks: a coordinate is not a finite number; detect the face again.")
    # With a point (x, y) as the complex number x + iy, a similarity without mirroring is z -> factor * z + shift.
    source = used[..., 0] + 1j * used[..., 1]
    target = np.array([complex(x, y) for x, y in template.points])
    center, target_center = source.mean(-1, keepdims=True), target.mean()
    source, target = source - center, target - target_center
    spread = (np.abs(source) ** 2).sum(-1)
    if (spread < _ONE_POINT**2).any():
        raise UsageError("landmarks: all landmarks of a face coincide, so its size is unknown; detect the face again.")
    factor = (source.conj() * target).sum(-1) / spread
    if (np.abs(factor) ** 2 * spread < 1e-6 * (np.abs(target) ** 2).sum()).any():
        raise UsageError("landmarks: they are not arranged like a face (mirrored, or in another order); detect the face again.")
    shift = target_center - factor * center[..., 0]
    rows = [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    return np.stack([np.stack(row, -1) for row in rows], -2)

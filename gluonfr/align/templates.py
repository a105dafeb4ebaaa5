from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gluonfr.core import GluonFRError, Registry

LANDMARKS = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")

TEMPLATES = Registry("template")

# Landmarks this close together, in pixels, are one point: no scale follows from them.
_ONE_POINT = 1e-3


@dataclass(frozen=True)
class Template:
    """Where landmarks lie on a crop.

    Attributes
    ----------
    points : tuple of (x, y)
        In pixels of the crop; (0, 0) is the center of the upper left pixel. One for each entry of `uses`.
    image_size : (H, W)
        Of the crop.
    uses : tuple of int, default all five
        Which of the five landmarks have a place on the crop, as positions in `LANDMARKS`: left eye, right eye, nose, left
        and right corner of the mouth, left and right as seen in the image.
    """

    points: tuple[tuple[float, float], ...]
    image_size: tuple[int, int]
    uses: tuple[int, ...] = (0, 1, 2, 3, 4)


_ARCFACE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))

TEMPLATES.register("arcface", "arcface_112x112", "insightface")(Template(_ARCFACE, (112, 112)))
# Older networks take 96 columns of the same crop: 8 are cut off on either side, none above or below.
TEMPLATES.register("arcface_96x112", "sphereface")(Template(tuple((x - 8, y) for x, y in _ARCFACE), (112, 96)))
TEMPLATES.register("dlib", "dlib_150x150")(Template(((47.7, 47.1), (100.3, 47.1), (74.0, 87.8)), (150, 150), (0, 1, 2)))


def get_template(template):
    """The template called so; a `Template` is given back as it is. An unknown name raises GluonFRError."""
    return template if isinstance(template, Template) else TEMPLATES.get(template)


def similarity_transform(landmarks, template="arcface"):
    """The rotation, uniform scale and shift that bring landmarks nearest to their places on a crop.

    Nearest in the sum of squared distances, mirror images left out (https://doi.org/10.1109/34.88573).

    Parameters
    ----------
    landmarks : (5, 2) or (N, 5, 2)
        x and y in pixels of the image, in the order of `LANDMARKS`.
    template : str or Template, default 'arcface'

    Returns
    -------
    float64 (2, 3) or (N, 2, 3)
        `M` with `crop = M[:, :2] @ point + M[:, 2]`, as `cv2.warpAffine` takes it.

    Raises
    ------
    GluonFRError
        A landmark is not finite, all lie on one point, or they are so far from a face that no size follows from them.
    """
    template = get_template(template)
    points = np.asarray(landmarks, dtype=np.float64)
    if points.ndim not in (2, 3) or points.shape[-2:] != (5, 2):
        raise GluonFRError(
            f"landmarks must have the shape (5, 2) or (N, 5, 2), got {points.shape}; give x and y of five points."
        )
    used = points[..., list(template.uses), :]
    if not np.isfinite(used).all():
        raise GluonFRError("landmarks: a coordinate is not a finite number; detect the face again.")
    # With a point x, y as the number x + iy a similarity without mirroring is z -> turn * z + shift: least squares in one line.
    source = used[..., 0] + 1j * used[..., 1]
    target = np.array([complex(x, y) for x, y in template.points])
    center, target_center = source.mean(-1, keepdims=True), target.mean()
    source, target = source - center, target - target_center
    spread = (np.abs(source) ** 2).sum(-1)
    if (spread < _ONE_POINT**2).any():
        raise GluonFRError("landmarks: all of a face lie on one point, so that it has no size; detect the face again.")
    turn = (source.conj() * target).sum(-1) / spread
    if (np.abs(turn) ** 2 * spread < 1e-6 * (np.abs(target) ** 2).sum()).any():
        raise GluonFRError("landmarks: they do not lie like a face (mirrored, or in another order); detect the face again.")
    shift = target_center - turn * center[..., 0]
    rows = [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]
    return np.stack([np.stack(row, -1) for row in rows], -2)

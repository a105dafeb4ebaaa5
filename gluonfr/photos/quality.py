"""Quality of faces: blurred, enlarged or averted faces resemble each other more than they resemble people."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from gluonfr.align import get_template
from gluonfr.photos.reading import PhotoError

# Measured on 56 head-and-shoulder photos (2026-11-29): sharp faces had 0.12 to 0.51, the same faces reduced to 10 pixels and
# enlarged again 0.02 to 0.10, those reduced to 14 pixels 0.04 to 0.13.
MIN_SHARPNESS = 0.11
# Of 1,615 faces on photos of celebrities (2026-11-29), 8 were turned further to a side, and none further up or down.
MAX_YAW, MAX_PITCH = 55.0, 45.0

_SIDE, _MARGIN, _COARSE = 112, 16, 20
# How far the tip of the nose lies before the eyes and the mouth, relative to the distance of the eyes.
_NOSE_DEPTH = 0.45


class HeadPose(NamedTuple):
    """Direction of a face in degrees, 0 for a face that looks into the camera.

    Attributes
    ----------
    yaw : float
        Turn to a side; positive to the right of the photo.
    pitch : float
        Positive where the face looks down.

    Examples
    --------
    >>> HeadPose(yaw=20.0, pitch=-5.0).yaw
    20.0
    """

    yaw: float
    pitch: float


def sharpness(crop: np.ndarray) -> float:
    """Measure the fine detail of a face, relative to its contrast.

    The center of the crop is compared with itself after a reduction to 20x20 pixels. What the reduction loses is the detail
    that an enlarged or blurred face does not have.

    Parameters
    ----------
    crop : np.ndarray, uint8 (H, W, 3)
        Aligned, RGB.

    Returns
    -------
    float
        Standard deviation of the detail divided by that of the crop; 0 for a crop of one color. Sharp faces have 0.12 or more.

    Examples
    --------
    >>> noise = np.random.RandomState(0).randint(0, 256, (112, 112, 3), np.uint8)
    >>> ramp = np.arange(112, dtype=np.uint8)[:, None, None].repeat(112, 1).repeat(3, 2)
    >>> sharpness(noise) > 0.5, sharpness(ramp) < 0.1
    (True, True)
    """
    gray = cv2.cvtColor(cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    center = gray[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN].astype(np.float32)
    coarse = cv2.resize(center, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(coarse, center.shape[::-1], interpolation=cv2.INTER_CUBIC)
    contrast = float(center.std())
    return float((center - coarse).std()) / contrast if contrast > 0 else 0.0


def head_pose(landmarks: np.ndarray) -> HeadPose:
    """Estimate the direction of a face from its five landmarks.

    The landmarks of the 'arcface' template, with the tip of the nose before the others, are rotated, scaled and projected so
    that they fit. A rotation within the image plane does not count.

    Parameters
    ----------
    landmarks : np.ndarray, (5, 2)
        x and y of eyes, nose and mouth corners in pixels.

    Returns
    -------
    HeadPose

    Examples
    --------
    >>> frontal = np.array(get_template("arcface").points)
    >>> abs(round(head_pose(frontal).yaw))
    0
    >>> frontal[2] += (12, 0)
    >>> 20 < head_pose(frontal).yaw < 50
    True
    """
    points = np.asarray(landmarks, np.float64)
    model = _face_model()
    # The affine projection that fits best, and then the nearest one without shear.
    projection = np.linalg.lstsq(model, points - points.mean(0), rcond=None)[0].T
    left, _, right = np.linalg.svd(projection, full_matrices=False)
    rows = left @ right
    forward = np.cross(rows[0], rows[1])[2]
    # In the plane of the face, so that a tilted head has the pose of the upright one.
    roll = np.arctan2(rows[1, 0] - rows[0, 1], rows[0, 0] + rows[1, 1])
    to_right, down = (
        np.cos(roll) * rows[0, 2] + np.sin(roll) * rows[1, 2],
        np.cos(roll) * rows[1, 2] - np.sin(roll) * rows[0, 2],
    )
    return HeadPose(*(float(np.degrees(np.arctan2(part, forward))) for part in (to_right, down)))


def check_quality(crop: np.ndarray, landmarks: np.ndarray) -> None:
    """Raise PhotoError when a face is too poor for a gallery or a training set.

    Parameters
    ----------
    crop : np.ndarray, uint8 (H, W, 3)
        Aligned, RGB.
    landmarks : np.ndarray, (5, 2)
        Of the face, in pixels of its photo.

    Raises
    ------
    PhotoError
        'blurred', for a :func:`sharpness` below 0.11, or 'turned away', for a :func:`head_pose` of more than 55 degrees to a
        side or 45 degrees up or down.

    Examples
    --------
    >>> check_quality(np.zeros((112, 112, 3), np.uint8), np.array(get_template("arcface").points))
    Traceback (most recent call last):
    ...
    gluonfr.photos.reading.PhotoError: blurred (sharpness 0.00, at least 0.11)
    """
    found = sharpness(crop)
    if found < MIN_SHARPNESS:
        raise PhotoError("blurred", f"sharpness {found:.2f}, at least {MIN_SHARPNESS:.2f}")
    yaw, pitch = head_pose(landmarks)
    if abs(yaw) > MAX_YAW:
        raise PhotoError("turned away", f"{abs(yaw):.0f} degrees to a side, at most {MAX_YAW:.0f}")
    if abs(pitch) > MAX_PITCH:
        raise PhotoError("turned away", f"{abs(pitch):.0f} degrees {'down' if pitch > 0 else 'up'}, at most {MAX_PITCH:.0f}")


def _face_model() -> np.ndarray:
    """Landmarks of a symmetric face, (5, 3), in eye distances from their mean."""
    points = np.array(get_template("arcface").points)
    points[:2, 1], points[3:, 1] = points[:2, 1].mean(), points[3:, 1].mean()
    middle = points[:2, 0].mean()
    points[2, 0], half = middle, (points[4, 0] - points[3, 0]) / 2
    points[3:, 0] = middle - half, middle + half
    model = np.zeros((5, 3))
    model[:, :2] = points / (points[1, 0] - points[0, 0])
    model[2, 2] = _NOSE_DEPTH
    return model - model.mean(0)

"""Faces that are not upright: photos that were scanned or stored sideways or upside down."""

from __future__ import annotations

import numpy as np

from gluonfr.align import get_template
from gluonfr.detection.boxes import suppress
from gluonfr.detection.detector import Detections, Detector, FaceDetector, default_min_size

# On 168 head-and-shoulder photos, every upright face scored at least 0.884 and 146 scored 0.999; of 177 false faces in the
# same photos, turned, none scored 0.999. So this score ends the search, and a lower one asks for the other quarter turns.
_CERTAIN = 0.999
# A turned photo is accepted only for a face of this score; 99 % of those upright faces have at least 0.978.
_LIKELY = 0.95
# Landmarks of upright faces deviated from the template by 0.15 of its spread (median) and 0.47 at most, and were rotated by
# 28 degrees at most.
_LARGEST_DEVIATION, _LARGEST_ANGLE = 0.5, 60.0
# Two boxes of one face share more than this part of the smaller one.
_SAME_FACE = 0.5


def detect_faces(detector: Detector, image: np.ndarray, min_face: float | None = None) -> Detections:
    """Find the faces in a photo, whether it is upright or turned by 90, 180 or 270 degrees.

    Faces whose landmarks are not arranged like a face are left out. Where no face is certain, the other three quarter turns
    of the photo are searched as well and the turn with the best face wins. Boxes and landmarks are always in pixels of the
    photo as it was passed; the landmarks of a turned face are turned, so :func:`gluonfr.align.align_face` returns an upright
    crop.

    Parameters
    ----------
    detector : Detector
    image : np.ndarray, uint8 (H, W, 3)
        RGB.
    min_face : float, optional
        Side in pixels of the smallest face to search for, where it is smaller than what the detector searches for by
        default (a 28th of the photo). A detector that is not a :class:`FaceDetector` ignores it.

    Returns
    -------
    Detections

    Examples
    --------
    >>> from gluonfr.detection import get_detector
    >>> detect_faces(get_detector("mtcnn"), np.zeros((60, 80, 3), np.uint8)).boxes.shape
    (0, 4)
    """
    best, turn = _search_turns(detector, image, None)
    if min_face is None or not isinstance(detector, FaceDetector) or min_face >= default_min_size(image.shape):
        return best
    if len(best.boxes):
        return _merge(best, _detect(detector, image, turn, min_face))
    return _search_turns(detector, image, min_face)[0]


def landmark_fit(landmarks: np.ndarray) -> tuple[float, float]:
    """Measure how landmarks deviate from the arrangement of an upright, frontal face.

    Parameters
    ----------
    landmarks : np.ndarray, (5, 2)

    Returns
    -------
    deviation : float
        Root mean square distance to the 'arcface' template after the best similarity transform, relative to the spread of
        the template's points. 0 is the template itself; infinite where the landmarks coincide.
    angle : float
        Rotation of the face in degrees, -180 to 180; 0 is upright.

    Examples
    --------
    >>> upright = np.array(get_template("arcface").points)
    >>> upside_down = -upright
    >>> [abs(round(value)) for value in landmark_fit(upright) + landmark_fit(upside_down)]
    [0, 0, 0, 180]
    """
    points = np.asarray(landmarks, np.float64)
    target = np.array(get_template("arcface").points)
    source, target = (array[:, 0] + 1j * array[:, 1] for array in (points, target))
    source, target = source - source.mean(), target - target.mean()
    spread = (np.abs(source) ** 2).sum()
    if not np.isfinite(spread) or spread < 1e-6:
        return float("inf"), 0.0
    factor = (source.conj() * target).sum() / spread
    deviation = np.sqrt((np.abs(factor * source - target) ** 2).sum() / (np.abs(target) ** 2).sum())
    return float(deviation), float(np.degrees(np.angle(factor.conj())))


def is_plausible(landmarks: np.ndarray) -> bool:
    """Return whether landmarks are arranged like those of an upright face.

    Examples
    --------
    >>> upright = np.array(get_template("arcface").points)
    >>> is_plausible(upright), is_plausible(upright[::-1])
    (True, False)
    """
    deviation, angle = landmark_fit(landmarks)
    return deviation <= _LARGEST_DEVIATION and abs(angle) <= _LARGEST_ANGLE


def _search_turns(detector: Detector, image: np.ndarray, min_face: float | None) -> tuple[Detections, int]:
    """Return the faces of the best quarter turn with the certain faces of the others, and that turn."""
    upright = _detect(detector, image, 0, min_face)
    if len(upright.boxes) and upright.scores.max() >= _CERTAIN:
        return upright, 0
    turns = [upright, *(_detect(detector, image, turn, min_face) for turn in (1, 2, 3))]
    scores = [float(faces.scores.max()) if len(faces.scores) else 0.0 for faces in turns]
    turn = int(np.argmax(scores))
    if scores[turn] < _LIKELY:
        turn = 0
    others = [faces.select(faces.scores >= _CERTAIN) for number, faces in enumerate(turns) if number != turn]
    certain = Detections(*(np.concatenate(arrays) for arrays in zip(*others)))
    return _merge(turns[turn], certain), turn


def _detect(detector: Detector, image: np.ndarray, turn: int, min_face: float | None) -> Detections:
    """Plausible faces of the photo turned `turn` times by 90 degrees counterclockwise, in pixels of the photo itself."""
    turned = np.ascontiguousarray(np.rot90(image, turn))
    if isinstance(detector, FaceDetector):
        faces = detector.detect(turned, min_face)
    else:
        faces = Detections(*(np.asarray(array) for array in detector.detect(turned)))
    faces = faces.select(np.array([is_plausible(landmarks) for landmarks in faces.landmarks], bool))
    return _turn_back(faces, turn, image.shape)


def _turn_back(faces: Detections, turn: int, shape: tuple[int, ...]) -> Detections:
    """Faces of a photo that was turned, in pixels of the photo of this shape."""
    if not turn:
        return faces
    height, width = shape[:2]

    def back(points: np.ndarray, last_x: float, last_y: float) -> np.ndarray:
        x, y = points[..., 0], points[..., 1]
        return np.stack({1: (last_x - y, x), 2: (last_x - x, last_y - y), 3: (y, last_y - x)}[turn], -1)

    corners = back(faces.boxes.reshape(-1, 2, 2), width, height)
    boxes = np.concatenate([corners.min(1), corners.max(1)], 1)
    return Detections(boxes, faces.scores, back(faces.landmarks, width - 1, height - 1))


def _merge(faces: Detections, more: Detections) -> Detections:
    """Return the faces, and further ones of `more`, largest score first."""
    if not len(more.boxes):
        return faces
    joined = Detections(*(np.concatenate(arrays) for arrays in zip(faces, more)))
    return joined.select(suppress(joined.boxes, joined.scores, _SAME_FACE, of_smaller=True))

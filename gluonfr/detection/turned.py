"""Faces that are not upright: photos that were scanned or stored sideways or upside down."""

from __future__ import annotations

import numpy as np

from gluonfr.align import get_template
from gluonfr.detection.boxes import suppress
from gluonfr.detection.detector import Detections, Detector, FaceDetector, default_min_size

# On 168 head-and-shoulder photos, 146 upright faces had at least this score with MTCNN and 13 with RetinaFace (measured
# 2026-11-29 at 0.999), and no false face in the same photos, turned, had it. It ends the search; a lower one asks for the other
# quarter turns.
_CERTAIN = 0.9995
# A turned photo is accepted only for a face of this score, or one on which several turns of the photo agree.
_LIKELY, _AGREED = 0.95, 1.4
# Landmarks of upright faces deviated from the template by 0.15 of its spread (median) and 0.47 at most, and were rotated by
# 28 degrees at most.
_LARGEST_DEVIATION, _LARGEST_ANGLE = 0.5, 60.0
# Two boxes of one face share more than this part of the smaller one.
_SAME_FACE = 0.5


def detect_faces(detector: Detector, image: np.ndarray, min_face: float | None = None) -> Detections:
    """Find the faces in a photo, whether it is upright or turned by 90, 180 or 270 degrees.

    Faces whose landmarks are not arranged like a face are left out. Where no face is certain, the other three quarter turns
    of the photo are searched as well, and the direction wins on which most turns agree, or the best face where none does.
    Boxes and landmarks are always in pixels of the photo as it was passed; the landmarks of a turned face are turned, so
    :func:`gluonfr.align.align_face` returns an upright crop.

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
        return _merge(best, _Turn(detector, image, turn, min_face).faces)
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


class _Turn:
    """What was found in a photo after a number of quarter turns, in pixels of the photo itself."""

    def __init__(self, detector: Detector, image: np.ndarray, turn: int, min_face: float | None) -> None:
        turned = np.ascontiguousarray(np.rot90(image, turn))
        if isinstance(detector, FaceDetector):
            found = detector.detect(turned, min_face)
        else:
            found = Detections(*(np.asarray(array) for array in detector.detect(turned)))
        plausible = np.array([is_plausible(landmarks) for landmarks in found.landmarks], bool)
        # Also faces that are not plausible in this turn show in which direction the face is upright.
        self.found = _turn_back(found, turn, image.shape)
        self.angles = np.array([landmark_fit(landmarks)[1] for landmarks in self.found.landmarks])
        self.faces, self.face_angles = self.found.select(plausible), self.angles[plausible]

    def keep(self, kept: np.ndarray) -> None:
        """Keep these faces."""
        self.faces, self.face_angles = self.faces.select(kept), self.face_angles[kept]

    def score(self) -> float:
        """Return the score of the best face, 0 where there is none."""
        return float(self.faces.scores.max()) if len(self.faces.scores) else 0.0

    def vote(self, box: np.ndarray, angle: float) -> tuple[float, float]:
        """Return the best scores here for and against a face in this box that is upright at this angle."""
        differences = np.abs((self.angles - angle + 180) % 360 - 180)
        there = _share_of_smaller(self.found.boxes, box) > _SAME_FACE
        agreeing, opposing = there & (differences <= _LARGEST_ANGLE), there & (differences >= 180 - _LARGEST_ANGLE)
        votes = [float(self.found.scores[mask].max(initial=0)) for mask in (agreeing, opposing)]
        return votes[0], votes[1]


def _search_turns(detector: Detector, image: np.ndarray, min_face: float | None) -> tuple[Detections, int]:
    """Return the faces of the best quarter turn with the certain faces of the others, and that turn."""
    upright = _Turn(detector, image, 0, min_face)
    if upright.score() >= _CERTAIN:
        return upright.faces, 0
    turns = [upright, *(_Turn(detector, image, turn, min_face) for turn in (1, 2, 3))]
    support = [_check_directions(turn, turns) for turn in turns]
    likely = [
        number == 0 or turn.score() >= _LIKELY or agreed >= _AGREED for number, (turn, agreed) in enumerate(zip(turns, support))
    ]
    # Half a vote is less than another turn's.
    best = max(agreed for agreed, accepted in zip(support, likely) if accepted)
    candidates = [number for number in range(4) if likely[number] and support[number] >= best - 0.5]
    chosen = max(candidates, key=lambda number: turns[number].score())
    others = [turn.faces.select(turn.faces.scores >= _CERTAIN) for number, turn in enumerate(turns) if number != chosen]
    certain = Detections(*(np.concatenate(arrays) for arrays in zip(*others)))
    return _merge(turns[chosen].faces, certain), chosen


def _check_directions(turn: _Turn, turns: list[_Turn]) -> float:
    """Remove the faces of a turn that the other turns find upside down, and return the votes for the best of the rest."""
    votes = [
        np.sum([other.vote(box, angle) for other in turns], axis=0) for box, angle in zip(turn.faces.boxes, turn.face_angles)
    ]
    kept = np.array([agreeing >= opposing for agreeing, opposing in votes], bool)
    turn.keep(kept)
    return float(votes[np.flatnonzero(kept)[turn.faces.scores.argmax()]][0]) if kept.any() else 0.0


def _share_of_smaller(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the part of the smaller of two boxes that they share, for (n, 4) boxes and one box."""
    sides = np.clip(np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2]), 0, None)
    areas = np.minimum((boxes[:, 2:] - boxes[:, :2]).prod(1), (box[2:] - box[:2]).prod())
    return sides.prod(1) / np.maximum(areas, 1e-9)


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

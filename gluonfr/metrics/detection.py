"""Average precision of face detectors by the rule of WIDER FACE."""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import numpy as np

from gluonfr.core import UsageError
from gluonfr.metrics.results import to_plain


class DetectionResult(NamedTuple):
    """Precision and recall of a detector over a set of photos.

    Attributes
    ----------
    ap : float
        Average precision: the area under the precision-recall curve, where precision is the largest at this or a higher
        recall; NaN when no face counts.
    faces : int
        Number of faces that count.
    scores, precision, recall : np.ndarray, float64 (n,)
        The curve, by falling score: of all detections with this score or a larger one.

    Examples
    --------
    >>> DetectionResult(1.0, 1, np.array([0.9]), np.array([1.0]), np.array([1.0])).recall_at(0.5)
    1.0
    """

    ap: float
    faces: int
    scores: np.ndarray
    precision: np.ndarray
    recall: np.ndarray

    def recall_at(self, threshold: float) -> float:
        """Return the recall of the detections with at least this score."""
        count = int((self.scores >= threshold).sum())
        return float(self.recall[count - 1]) if count else 0.0

    def precision_at(self, threshold: float) -> float:
        """Return the precision of the detections with at least this score; NaN when there are none."""
        count = int((self.scores >= threshold).sum())
        return float(self.precision[count - 1]) if count else float("nan")

    def best_threshold(self) -> float:
        """Return the score of the largest harmonic mean of precision and recall; 0.5 without detections."""
        if not len(self.scores):
            return 0.5
        both = self.precision + self.recall
        f1 = 2 * self.precision * self.recall / np.where(both > 0, both, 1)
        return float(self.scores[int(f1.argmax())])

    def name_values(self) -> list[tuple[str, float]]:
        """Return (name, value) pairs: ap, then the best threshold with its precision and recall."""
        at = self.best_threshold()
        return [("ap", self.ap), ("threshold", at), ("precision", self.precision_at(at)), ("recall", self.recall_at(at))]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures of `name_values` and the number of faces as plain Python for JSON; NaN becomes None."""
        return to_plain({**dict(self.name_values()), "faces": self.faces})


class PhotoMatches(NamedTuple):
    """Which detections of a photo hit which faces, from `match_detections`.

    Attributes
    ----------
    scores : np.ndarray, (n,)
        Of the detections, largest first.
    order : np.ndarray of int, (n,)
        Numbers of the detections in the order of `scores`.
    faces : np.ndarray of int, (n,)
        The face that each of them overlaps by at least 0.5, or -1.
    first : np.ndarray of bool, (n,)
        Whether it is the best detection of that face.

    Examples
    --------
    >>> match_detections([[0, 0, 10, 10]], [0.9], [[0, 0, 10, 9]]).faces
    array([0])
    """

    scores: np.ndarray
    order: np.ndarray
    faces: np.ndarray
    first: np.ndarray


def match_detections(boxes: Any, scores: Any, truth: Any, overlap: float = 0.5) -> PhotoMatches:
    """Assign every detection of a photo to the face that it overlaps most.

    Parameters
    ----------
    boxes : array_like, (n, 4)
        Detections: x0, y0, x1, y1.
    scores : array_like, (n,)
    truth : array_like, (m, 4)
        All annotated faces, also those that do not count.
    overlap : float, default 0.5
        Smallest intersection over union of a hit. As in WIDER FACE's evaluation, sides are counted in whole pixels:
        x1 - x0 + 1.

    Examples
    --------
    >>> matches = match_detections([[0, 0, 10, 10], [0, 0, 9, 10]], [0.9, 0.8], [[0, 0, 10, 10]])
    >>> matches.first
    array([ True, False])
    """
    boxes, truth = (np.asarray(array, np.float64).reshape(-1, 4) for array in (boxes, truth))
    scores = np.asarray(scores, np.float64).reshape(-1)
    if len(boxes) != len(scores):
        raise UsageError(f"boxes: got {len(boxes)} boxes and {len(scores)} scores.")
    order = np.argsort(-scores, kind="stable")
    faces = np.full(len(order), -1)
    if len(truth):
        for place, number in enumerate(order):
            overlaps = _overlaps(boxes[number], truth)
            best = int(overlaps.argmax())
            faces[place] = best if overlaps[best] >= overlap else -1
    first = np.zeros(len(order), bool)
    hit = np.flatnonzero(faces >= 0)
    first[hit[np.unique(faces[hit], return_index=True)[1]]] = True
    return PhotoMatches(scores[order], order, faces, first)


def _overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]) + 1
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    areas = [np.prod(array[..., 2:] - array[..., :2] + 1, axis=-1) for array in (box, others)]
    return shared / (areas[0] + areas[1] - shared)


def average_precision(matches: Sequence[PhotoMatches], counts: Sequence[Any]) -> DetectionResult:
    """Average precision over photos.

    A detection of a face that does not count is ignored. Every further detection of a face is a false alarm.

    Parameters
    ----------
    matches : sequence of PhotoMatches
        One per photo.
    counts : sequence of array_like of bool
        For every photo, which of its faces count: all, or those of WIDER FACE's easy, medium or hard subset.

    Returns
    -------
    DetectionResult

    Examples
    --------
    >>> matches = match_detections([[0, 0, 10, 10], [50, 50, 60, 60]], [0.9, 0.8], [[0, 0, 10, 10]])
    >>> result = average_precision([matches], [[True]])
    >>> result.ap, result.precision.tolist()
    (1.0, [1.0, 0.5])
    """
    if len(matches) != len(counts):
        raise UsageError(f"counts: got {len(counts)} photos, but {len(matches)} photos with detections.")
    scores, hits = [], []
    for found, counting in zip(matches, counts):
        counting = np.append(np.asarray(counting, bool).reshape(-1), True)  # the last one is that of -1, no face
        relevant = counting[found.faces]
        scores.append(found.scores[relevant])
        hits.append(found.first[relevant])
    faces = int(sum(np.asarray(counting, bool).sum() for counting in counts))
    return _curve(np.concatenate([[], *scores]), np.concatenate([np.zeros(0, bool), *hits]), faces)


def _curve(scores: np.ndarray, hits: np.ndarray, faces: int) -> DetectionResult:
    order = np.argsort(-scores, kind="stable")
    scores, found = scores[order], np.cumsum(hits[order])
    # Detections of equal scores cannot be separated by a threshold.
    last = np.append(scores[1:] < scores[:-1], True) if len(scores) else np.zeros(0, bool)
    precision = (found / np.arange(1, len(found) + 1))[last]
    recall = (found / max(faces, 1))[last]
    best = np.maximum.accumulate(precision[::-1])[::-1]
    ap = float(np.sum(np.diff(recall, prepend=0) * best)) if faces else float("nan")
    return DetectionResult(ap, faces, scores[last], precision, recall)


def landmark_error(found: Any, truth: Any) -> np.ndarray:
    """Return the normalized mean error of landmarks: their mean distance divided by the distance between the eyes.

    Parameters
    ----------
    found, truth : array_like, (n, 5, 2)
        In pixels; the first two are the eyes.

    Returns
    -------
    np.ndarray, float64 (n,)
        NaN where a face has no landmarks, or both eyes at one point.

    Examples
    --------
    >>> truth = np.array([[[0, 0], [10, 0], [5, 5], [2, 8], [8, 8]]])
    >>> landmark_error(truth + [1, 0], truth)
    array([0.1])
    """
    found, truth = (np.asarray(array, np.float64).reshape(-1, 5, 2) for array in (found, truth))
    eyes = np.linalg.norm(truth[:, 0] - truth[:, 1], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.linalg.norm(found - truth, axis=2).mean(1) / eyes
    return np.where(eyes > 0, error, np.nan)

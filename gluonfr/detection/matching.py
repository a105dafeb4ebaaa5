"""Which anchors learn which face: the targets of detector training."""

from __future__ import annotations

import numpy as np

from gluonfr.detection.anchors import anchor_boxes, encode_boxes, encode_landmarks

# Columns of the targets of an anchor.
CLASS, BOX, LANDMARKS, HAS_LANDMARKS = 0, slice(1, 5), slice(5, 15), 15
TARGET_SIZE = 16
# Values of the class column.
FACE, BACKGROUND, IGNORED = 1.0, 0.0, -1.0
# Faces compared with all anchors at a time; the overlaps of thousands of faces would take gigabytes.
_CHUNK = 256


def box_overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union of every box (n, 4) with every box (m, 4), float (n, m).

    Examples
    --------
    >>> box_overlaps(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [5, 5, 6, 6]])).round(3)
    array([[0.333, 0.   ]])
    """
    columns, others = np.asarray(first, np.float64).T[:, :, None], np.asarray(second, np.float64).T[:, None]
    width = np.minimum(columns[2], others[2]) - np.maximum(columns[0], others[0])
    height = np.minimum(columns[3], others[3]) - np.maximum(columns[1], others[1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    return shared / np.maximum(_areas(columns) + _areas(others) - shared, 1e-9)


def _areas(columns: np.ndarray) -> np.ndarray:
    return (columns[2] - columns[0]) * (columns[3] - columns[1])


def match_anchors(
    boxes: np.ndarray,
    landmarks: np.ndarray,
    ignored: np.ndarray,
    anchors: np.ndarray,
    positive: float = 0.5,
    negative: float = 0.3,
) -> np.ndarray:
    """Assign faces to anchors and return what each anchor has to predict.

    An anchor learns the face that it overlaps most, if that overlap is at least `positive`. Besides, every face has one anchor
    of its own, whatever their overlap: faces choose theirs in the order of their largest overlaps, and of equal anchors the
    first. Anchors that overlap a face by less than `negative` are background; those between are ignored, like those on ignored
    faces.

    Parameters
    ----------
    boxes : np.ndarray, (n, 4)
        x0, y0, x1, y1 in pixels; n may be 0.
    landmarks : np.ndarray, (n, 5, 2)
        In pixels; NaN for a face without landmarks.
    ignored : np.ndarray of bool, (n,)
        Faces that are neither to be found nor background, such as blurred ones.
    anchors : np.ndarray, (A, 3)
        From `anchor_grid`.
    positive, negative : float, default 0.5 and 0.3
        Overlaps as intersection over union, as in the paper.

    Returns
    -------
    np.ndarray, float32 (A, 16)
        Class (1 face, 0 background, -1 ignored), box shifts (4), landmark shifts (10), and whether there are landmarks.

    Examples
    --------
    >>> anchors = np.array([[8.0, 8, 16], [40, 40, 16]], np.float32)
    >>> faces = np.array([[0.0, 0, 16, 16]]), np.full((1, 5, 2), np.nan), np.array([False])
    >>> match_anchors(*faces, anchors)[:, 0]
    array([1., 0.], dtype=float32)
    """
    targets = np.zeros((len(anchors), TARGET_SIZE), np.float32)
    if not len(boxes):
        return targets
    squares = anchor_boxes(anchors).astype(np.float64)
    boxes = np.asarray(boxes, np.float64)
    wanted = np.flatnonzero(~ignored)
    # Apart, so that an ignored face does not take an anchor from a face that is to be found.
    best, place = _best_face(boxes[wanted], squares)
    overlap_ignored = _best_face(boxes[ignored], squares)[0]
    targets[(best >= negative) | (overlap_ignored >= negative), CLASS] = IGNORED
    chosen = np.full(len(anchors), -1)
    chosen[best >= positive] = wanted[place[best >= positive]]
    for anchor, number in _own_anchors(boxes, wanted, squares).items():
        chosen[anchor] = number
    found = np.flatnonzero(chosen >= 0)
    faces, own = chosen[found], anchors[found]
    targets[found, CLASS] = FACE
    targets[found, BOX] = encode_boxes(boxes[faces], own)
    shifts = encode_landmarks(np.asarray(landmarks, np.float64)[faces], own)
    marked = np.isfinite(shifts).all(1)
    targets[found, LANDMARKS] = np.where(marked[:, None], shifts, 0)
    targets[found, HAS_LANDMARKS] = marked
    return targets


def _best_face(boxes: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for every anchor the largest overlap with a face, and the first face that has it."""
    best, face = np.zeros(len(squares)), np.zeros(len(squares), np.int64)
    for begin in range(0, len(boxes), _CHUNK):
        overlaps = box_overlaps(boxes[begin : begin + _CHUNK], squares)
        largest = overlaps.max(0)
        better = largest > best
        best[better], face[better] = largest[better], begin + overlaps.argmax(0)[better]
    return best, face


def _own_anchors(boxes: np.ndarray, wanted: np.ndarray, squares: np.ndarray) -> dict[int, int]:
    """Return one anchor for every face that any anchor touches: {anchor: face}; the largest overlaps choose first."""
    candidates = []
    for begin in range(0, len(wanted), _CHUNK):
        numbers = wanted[begin : begin + _CHUNK]
        for number, overlaps in zip(numbers.tolist(), box_overlaps(boxes[numbers], squares)):
            # Among faces at one place, each next one needs one more candidate.
            touched = np.flatnonzero(overlaps > 0)
            best = touched[np.argsort(-overlaps[touched], kind="stable")[:32]]
            candidates += [(-overlaps[anchor], number, int(anchor)) for anchor in best]
    owners: dict[int, int] = {}
    served: set[int] = set()
    for _, number, anchor in sorted(candidates):
        if number not in served and anchor not in owners:
            owners[anchor] = number
            served.add(number)
    return owners

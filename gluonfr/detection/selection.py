from __future__ import annotations

from typing import Any

import numpy as np

from gluonfr.core import UsageError

# A second face with this share of the best merit could be the subject of the photo as well.
_AMBIGUOUS = 0.75


def choose_face(boxes: Any, scores: Any, image_shape: tuple[int, ...]) -> tuple[int, bool]:
    """Choose the face that is the subject of a photo of one person: the large one near the center.

    Each face has the merit `score * side * (1 - offset / 2)`: `score` is the detector's, `side` the square root of the area
    of the box within the photo, and `offset` the distance of its center from the photo's center, relative to the distance
    from there to a corner. The highest merit wins. A second face of at least three quarters of that merit makes the choice
    ambiguous.

    Parameters
    ----------
    boxes : array_like, (n, 4)
        x0, y0, x1, y1 in pixels.
    scores : array_like, (n,)
    image_shape : (H, W) or (H, W, 3)

    Returns
    -------
    index : int
        Of the face, in `boxes`.
    ambiguous : bool

    Raises
    ------
    UsageError
        There is no face, or not one score per box.

    Examples
    --------
    >>> choose_face([[0, 0, 20, 20], [40, 40, 70, 70]], [0.99, 0.98], (100, 100))
    (1, False)
    """
    boxes, scores = np.asarray(boxes, dtype=np.float64).reshape(-1, 4), np.asarray(scores, dtype=np.float64).reshape(-1)
    if not len(boxes) or len(boxes) != len(scores):
        raise UsageError(f"boxes: got {len(boxes)} boxes and {len(scores)} scores; pass at least one face with its score.")
    end = np.array(image_shape[1::-1], dtype=np.float64)
    corners = np.clip(boxes.reshape(-1, 2, 2), 0, end)
    side = np.sqrt(np.prod(corners[:, 1] - corners[:, 0], axis=1).clip(0))
    offset = np.linalg.norm(boxes.reshape(-1, 2, 2).mean(1) - end / 2, axis=1) / np.linalg.norm(end / 2)
    merit = scores * side * (1 - np.minimum(offset, 1) / 2)
    order = np.argsort(-merit, kind="stable")
    best = int(order[0])
    return best, bool(len(order) > 1 and merit[order[1]] >= _AMBIGUOUS * merit[best])

from __future__ import annotations

import numpy as np

from gluonfr.core import GluonFRError

# A second face that comes this near to the best could be the one that is meant.
_AMBIGUOUS = 0.75


def choose_face(boxes, scores, image_shape):
    """Which face of a photo of one person is meant: the large one in the middle.

    Each face has the merit `score * side * (1 - off / 2)`: `score` is the detector's, `side` the root of the area of the box
    (as far as it lies in the photo), and `off` the distance of its center from the photo's center as a share of the distance
    from there to a corner. The highest merit wins. A second face of at least three quarters of that merit makes the
    choice ambiguous.

    Parameters
    ----------
    boxes : (n, 4)
        x0, y0, x1, y1.
    scores : (n,)
    image_shape : (H, W) or (H, W, 3)

    Returns
    -------
    index : int
        Of the face, in `boxes`.
    ambiguous : bool

    Raises
    ------
    GluonFRError
        There is no face.
    """
    boxes, scores = np.asarray(boxes, dtype=np.float64).reshape(-1, 4), np.asarray(scores, dtype=np.float64).reshape(-1)
    if not len(boxes) or len(boxes) != len(scores):
        raise GluonFRError(
            f"boxes: {len(boxes)} faces with {len(scores)} scores, none of which can be chosen; detect faces first."
        )
    end = np.array(image_shape[1::-1], dtype=np.float64)
    corners = np.clip(boxes.reshape(-1, 2, 2), 0, end)
    side = np.sqrt(np.prod(corners[:, 1] - corners[:, 0], axis=1).clip(0))
    off = np.linalg.norm(boxes.reshape(-1, 2, 2).mean(1) - end / 2, axis=1) / np.linalg.norm(end / 2)
    merit = scores * side * (1 - np.minimum(off, 1) / 2)
    order = np.argsort(-merit, kind="stable")
    best = int(order[0])
    return best, bool(len(order) > 1 and merit[order[1]] >= _AMBIGUOUS * merit[best])

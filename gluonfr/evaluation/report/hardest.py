from __future__ import annotations

import logging
from dataclasses import dataclass

import cv2
import numpy as np

from gluonfr.data.contact_sheet import contact_sheet
from gluonfr.evaluation.report.charts import data_uri
from gluonfr.metrics.operating import to_similarity

logger = logging.getLogger(__name__)

MOST = 12
_LONGEST_SIDE = 160
_COLUMNS = 6


@dataclass
class HardPair:
    """A pair that is hard to judge.

    Attributes
    ----------
    number : int
        In the set, from 0.
    distance, similarity : float
    accepted : bool or None
        At the production threshold; None where there is none.
    wrong : bool or None
        Whether that is a mistake.
    faces : (image, image) or None
        uint8 (H, W, 3) RGB; None when they are not known or cannot be read.
    """

    number: int
    distance: float
    similarity: float
    accepted: bool | None
    wrong: bool | None
    faces: tuple[np.ndarray, np.ndarray] | None

    def uris(self):
        """Both images as data URIs of JPEG."""
        return [data_uri("jpeg", _encoded(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, 88])) for face in self.faces]


def hardest_pairs(entry, issame):
    """Up to twelve :class:`HardPair`, hardest first: genuine pairs furthest apart, or impostors most alike."""
    evaluation, pairs, lost = entry.evaluation, [], []
    # Decided by the comparison that counts decisions everywhere else.
    accepted = evaluation.distances < (evaluation.production.threshold if evaluation.production else np.nan)
    for number in evaluation.hardest(issame, MOST).tolist():
        distance = float(evaluation.distances[number])
        decided = bool(accepted[number]) if evaluation.production else None
        pairs.append(
            HardPair(
                number,
                distance,
                to_similarity(distance, evaluation.dist_type),
                decided,
                None if decided is None else decided != bool(issame),
                _faces(entry, number, lost),
            )
        )
    if lost:
        logger.warning("%s: the report lacks the images of %s", entry.set, "; ".join(lost))
    return pairs


def sheet_of(pairs):
    """PNG bytes of a contact sheet of the pairs, two tiles each; None where none has images."""
    pairs = [pair for pair in pairs if pair.faces is not None]
    if not pairs:
        return None
    captions = [text for pair in pairs for text in (f"pair {pair.number}", f"similarity {pair.similarity:.4f}")]
    return _encoded(".png", contact_sheet([face for pair in pairs for face in pair.faces], captions, _COLUMNS, 128), [])


def _faces(entry, number, lost):
    if entry.images is None:
        return None
    # A damaged image costs its pair, never the report; what a caller's function raises is not known.
    try:
        first, second = entry.images(number)
        return _face(first), _face(second)
    except Exception as error:
        lost.append(f"pair {number} ({error})")
        return None


def _face(image):
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"got {image.dtype} {image.shape} instead of uint8 (H, W, 3)")
    scale = _LONGEST_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(scale * length)) for length in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _encoded(kind, image, options):
    return cv2.imencode(kind, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()

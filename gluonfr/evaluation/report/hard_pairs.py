"""The hardest pairs of an evaluation, with their images."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Sequence

import cv2
import numpy as np

from gluonfr.data.contact_sheet import contact_sheet
from gluonfr.evaluation.report.charts import data_uri
from gluonfr.evaluation.report.entry import ReportEntry
from gluonfr.metrics.operating_points import to_similarity

logger = logging.getLogger(__name__)

_MOST = 12
_LONGEST_SIDE = 160
_COLUMNS = 6


@dataclass
class HardPair:
    """A pair whose distance is misleading.

    Attributes
    ----------
    number : int
        Index of the pair in the set, from 0.
    distance, similarity : float
    accepted : bool or None
        Decision at the production threshold; None without a threshold.
    wrong : bool or None
        Whether the decision is a mistake.
    faces : (image, image) or None
        uint8 (H, W, 3) RGB; None if they are unknown or unreadable.

    Examples
    --------
    >>> pair = HardPair(7, 0.5, 0.75, accepted=True, wrong=True, faces=None)
    >>> pair.uris()
    []
    """

    number: int
    distance: float
    similarity: float
    accepted: bool | None
    wrong: bool | None
    faces: tuple[np.ndarray, np.ndarray] | None

    def uris(self) -> list[str]:
        """Return both images as data URIs of JPEG files."""
        return [data_uri("jpeg", _encode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, 88])) for face in self.faces or ()]


def hardest_pairs(entry: ReportEntry, issame: bool) -> list[HardPair]:
    """Return up to twelve pairs, hardest first: the least similar genuine pairs, or the most similar impostors.

    Examples
    --------
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.linspace(0.02, 1.98, 50)
    >>> evaluation = evaluate_pairs(distances, distances < 1)
    >>> pairs = hardest_pairs(ReportEntry("mine", "lfw", evaluation), issame=True)
    >>> pairs[0].number, round(pairs[0].distance, 2)
    (24, 0.98)
    """
    evaluation = entry.evaluation
    pairs: list[HardPair] = []
    unreadable: list[str] = []
    # The same comparison of arrays as in the counts of decisions, so that rounding cannot differ.
    accepted = evaluation.distances < (evaluation.production.threshold if evaluation.production else np.nan)
    for number in evaluation.hardest(issame, _MOST).tolist():
        distance = float(evaluation.distances[number])
        decided = bool(accepted[number]) if evaluation.production else None
        pairs.append(
            HardPair(
                number,
                distance,
                to_similarity(distance, evaluation.dist_type),
                decided,
                None if decided is None else decided != bool(issame),
                _faces(entry, number, unreadable),
            )
        )
    if unreadable:
        logger.warning("%s: the report omits unreadable images: %s", entry.set, "; ".join(unreadable))
    return pairs


def contact_sheet_of(pairs: Sequence[HardPair]) -> bytes | None:
    """Return a PNG contact sheet of the pairs, two tiles per pair; None if no pair has images.

    Examples
    --------
    >>> faces = (np.zeros((112, 112, 3), np.uint8), np.zeros((112, 112, 3), np.uint8))
    >>> pair = HardPair(7, 0.5, 0.75, accepted=True, wrong=True, faces=faces)
    >>> contact_sheet_of([pair])[1:4]
    b'PNG'
    """
    faces: list[np.ndarray] = []
    captions: list[str] = []
    for pair in pairs:
        if pair.faces is not None:
            faces += pair.faces
            captions += [f"pair {pair.number}", f"similarity {pair.similarity:.4f}"]
    return _encode(".png", contact_sheet(faces, captions, _COLUMNS, 128), []) if faces else None


def _faces(entry: ReportEntry, number: int, unreadable: list[str]) -> tuple[np.ndarray, np.ndarray] | None:
    if entry.images is None:
        return None
    # The caller's function may raise anything; an unreadable image must not stop the report.
    try:
        first, second = entry.images(number)
        return _thumbnail(first), _thumbnail(second)
    except Exception as error:
        unreadable.append(f"pair {number} ({error})")
        return None


def _thumbnail(image: Any) -> np.ndarray:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"expected uint8 (H, W, 3), got {image.dtype} {image.shape}")
    scale = _LONGEST_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(scale * length)) for length in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _encode(kind: str, image: np.ndarray, options: list[int]) -> bytes:
    return cv2.imencode(kind, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()

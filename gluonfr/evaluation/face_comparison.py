"""Comparison of the faces on two images with one network."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gluonfr.deploy import Embedder


@dataclass
class FaceComparison:
    """Similarity of two faces, and the decisions that follow from the thresholds of the network's card.

    Attributes
    ----------
    first, second : str
        Names of the images.
    similarity : float
        Cosine of the embeddings, -1 to 1.
    model : str
        Name of the network.
    thresholds : list of dict
        Thresholds of the card with `far`, `similarity`, `measured_on`, and `accepted`: whether the faces match.
    taken : list of dict
        Per image the number of `faces` on it, and the `box` (x0, y0, x1, y1 in pixels) of the face that was used; the box
        is None for an aligned crop.

    Examples
    --------
    >>> level = {"far": 1e-3, "similarity": 0.3, "measured_on": "lfw", "accepted": True}
    >>> comparison = FaceComparison("a.jpg", "b.jpg", 0.62, "y1", [level])
    >>> comparison.same_person, comparison.threshold, comparison.far
    (True, 0.3, 0.001)
    >>> print(comparison)
    similarity 0.6200 (y1)
    same person at threshold 0.3000: 1 of 1,000 pairs of different people is accepted (measured on lfw)
    """

    first: str
    second: str
    similarity: float
    model: str
    thresholds: list[dict[str, Any]] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)

    @property
    def level(self) -> dict[str, Any] | None:
        """The threshold that decides: the one whose false accept rate is nearest to 0.001. None without thresholds."""
        return min(self.thresholds, key=lambda level: abs(math.log10(level["far"] / 1e-3)), default=None)

    @property
    def threshold(self) -> float | None:
        """Similarity from which on the faces match, at the false accept rate `far`."""
        return None if self.level is None else self.level["similarity"]

    @property
    def far(self) -> float | None:
        """Fraction of the pairs of different people that reach the threshold."""
        return None if self.level is None else self.level["far"]

    @property
    def same_person(self) -> bool | None:
        """Whether the similarity reaches the threshold."""
        return None if self.level is None else bool(self.level["accepted"])

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain Python values, for JSON."""
        return {**vars(self), "threshold": self.threshold, "far": self.far, "same_person": self.same_person}

    def __str__(self) -> str:
        lines = [f"similarity {self.similarity:.4f} ({self.model})"]
        for level in self.thresholds:
            answer = "same person" if level["accepted"] else "not the same person"
            measured = f" (measured on {level['measured_on']})" if level.get("measured_on") else ""
            lines.append(
                f"{answer} at threshold {level['similarity']:.4f}: 1 of {1 / level['far']:,.0f} pairs of different people is "
                f"accepted{measured}"
            )
        if not self.thresholds:
            lines.append("the card of the network has no thresholds: verify the network on similar pairs to determine one")
        notes = (describe_face_choice(image, **choice) for image, choice in zip((self.first, self.second), self.taken))
        return "\n".join(lines + [note for note in notes if note])


def compare_faces(embedder: Embedder, first: Any, second: Any, aligned: bool | None = None) -> FaceComparison:
    """Compare the faces on two images.

    Parameters
    ----------
    embedder : Embedder
    first, second : str or np.ndarray
        Images as for `Embedder`: paths, or uint8 (H, W, 3) RGB.
    aligned : bool, optional
        As `Embedder`.

    Returns
    -------
    FaceComparison

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.core import Card
    >>> from gluonfr.deploy import Embedder, RawPixels
    >>> embedder = Embedder(RawPixels(), Card(image_size=(8, 8)))
    >>> image = np.full((8, 8, 3), 200, dtype=np.uint8)
    >>> round(compare_faces(embedder, image, image, aligned=True).similarity, 4)
    1.0
    """
    crops = [embedder.chosen_crop(image, aligned) for image in (first, second)]
    similarity = embedder.similarity(crops[0][0], crops[1][0], aligned=True)
    card = embedder.card
    thresholds = [
        {**level, "accepted": similarity >= level["similarity"]}
        for level in sorted(card.thresholds, key=lambda level: -level["far"])
    ]
    model = card.extra.get("name") or card.network or "network without a name"
    taken = [{"faces": faces, "box": box} for _, faces, box in crops]
    return FaceComparison(_name(first), _name(second), similarity, model, thresholds, taken)


def describe_face_choice(image: str, faces: int, box: Any) -> str:
    """Return a sentence on which of several faces of an image was used; empty for an image with one face.

    Examples
    --------
    >>> describe_face_choice("group.jpg", 6, (10, 20, 60, 80))
    'group.jpg shows 6 faces: the large face nearest the middle was used, box 10 20 60 80'
    """
    if faces < 2:
        return ""
    corners = " ".join(f"{corner:.0f}" for corner in box)
    return f"{image} shows {faces} faces: the large face nearest the middle was used, box {corners}"


def _name(image: Any) -> str:
    return os.fspath(image) if isinstance(image, (str, os.PathLike)) else "an image"

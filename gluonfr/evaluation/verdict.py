from __future__ import annotations

import os
from dataclasses import dataclass, field


@dataclass
class Verdict:
    """What a network says of two faces.

    Attributes
    ----------
    first, second : str
    similarity : float
        Cosine of the embeddings, -1 to 1.
    model : str
        Which network answered.
    thresholds : list of dict
        Of the network's card: each `far`, `similarity`, `measured_on`, and `accepted`.
    taken : list of dict
        Of each image the number of `faces` on it, and the `box` of the one that was taken, x0, y0, x1, y1, None for a crop.
    """

    first: str
    second: str
    similarity: float
    model: str
    thresholds: list[dict] = field(default_factory=list)
    taken: list[dict] = field(default_factory=list)

    def to_dict(self):
        """Plain Python, for JSON."""
        return dict(vars(self))

    def __str__(self) -> str:
        lines = [f"similarity {self.similarity:.4f} ({self.model})"]
        for each in self.thresholds:
            answer = "same person" if each["accepted"] else "not the same person"
            lines.append(
                f"{answer} at the threshold {each['similarity']:.4f}, where 1 of {1 / each['far']:,.0f} pairs of different "
                f"people is taken for one{_where(each)}"
            )
        if not self.thresholds:
            lines.append("the network's card states no thresholds: verify it on pairs like yours to find one")
        notes = (taken_of(image, **each) for image, each in zip((self.first, self.second), self.taken))
        return "\n".join(lines + [note for note in notes if note])


def compare(embedder, first, second, aligned=None):
    """Compare the faces on two images with an `Embedder`: a `Verdict`. Images and `aligned` as for `Embedder`."""
    crops = [embedder.chosen_crop(image, aligned) for image in (first, second)]
    similarity = embedder.similarity(crops[0][0], crops[1][0], aligned=True)
    card = embedder.card
    thresholds = [
        {**each, "accepted": similarity >= each["similarity"]}
        for each in sorted(card.thresholds, key=lambda each: -each["far"])
    ]
    model = card.extra.get("name") or card.network or "network without a name"
    taken = [{"faces": faces, "box": box} for _, faces, box in crops]
    return Verdict(_name(first), _name(second), similarity, model, thresholds, taken)


def taken_of(image, faces, box) -> str:
    """A sentence on which of several faces of an image was taken; empty where there was one."""
    if faces < 2:
        return ""
    return f"{image} shows {faces} faces: the large one in the middle was taken, box {' '.join(f'{each:.0f}' for each in box)}"


def _where(threshold) -> str:
    return f" (measured on {threshold['measured_on']})" if threshold.get("measured_on") else ""


def _name(image):
    return os.fspath(image) if isinstance(image, (str, os.PathLike)) else "an image"

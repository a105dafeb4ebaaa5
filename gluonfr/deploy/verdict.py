import os
from dataclasses import dataclass, field
from typing import Dict, List


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
    """

    first: str
    second: str
    similarity: float
    model: str
    thresholds: List[Dict] = field(default_factory=list)

    def to_dict(self):
        """Plain Python, for JSON."""
        return dict(vars(self))

    def __str__(self):
        lines = [f"similarity {self.similarity:.4f} ({self.model})"]
        for each in self.thresholds:
            answer = "same person" if each["accepted"] else "not the same person"
            lines.append(
                f"{answer} at the threshold {each['similarity']:.4f}, where 1 of {1 / each['far']:,.0f} pairs of different "
                f"people is taken for one{_where(each)}"
            )
        if not self.thresholds:
            lines.append("the network's card states no thresholds: verify it on pairs like yours to find one")
        return "\n".join(lines)


def compare(embedder, first, second, aligned=None):
    """Compare the faces on two images with an `Embedder`: a `Verdict`. Arguments as `Embedder.similarity`."""
    similarity = embedder.similarity(first, second, aligned)
    card = embedder.card
    thresholds = [
        {**each, "accepted": similarity >= each["similarity"]}
        for each in sorted(card.thresholds, key=lambda each: -each["far"])
    ]
    model = card.extra.get("name") or card.network or "network without a name"
    return Verdict(_name(first), _name(second), similarity, model, thresholds)


def _where(threshold):
    return f" (measured on {threshold['measured_on']})" if threshold.get("measured_on") else ""


def _name(image):
    return os.fspath(image) if isinstance(image, (str, os.PathLike)) else "an image"

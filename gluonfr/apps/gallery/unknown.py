"""From which similarity on a face is somebody of the gallery, and how often that is wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gluonfr.core import GluonFRError
from gluonfr.metrics.false_accept import FalseAcceptCurve, far_from_fpir

# A rarer rate of false alarms is no longer told from 0.
RAREST = 1e-9
# So many people must lie above the threshold for the gallery's own scores to tell it.
_PEOPLE_ABOVE = 5
_WORDS = {
    "gallery": "from the scores of the gallery's own photos to other people",
    "gallery and card": "from the scores of the gallery's own photos, carried on by the thresholds on the network's card",
    "card": "from the thresholds on the network's card",
    "given": "given by you",
    "none": "",
}


@dataclass(frozen=True)
class Threshold:
    """From where on a face is given the name of the person it is most like, else "unknown".

    Attributes
    ----------
    similarity : float
        Somebody is named iff the best similarity is above it; infinite where nothing tells a threshold.
    fpir : float
        The announced rate of false alarms: the share of faces of strangers for which somebody is named. NaN if not known.
    people : int
        N, the size of the gallery that it holds for.
    basis : {'gallery', 'gallery and card', 'card', 'given', 'none'}
    """

    similarity: float
    fpir: float
    people: int
    basis: str

    def __str__(self) -> str:
        if self.basis == "none":
            return (
                f"nobody is named: {self.people:,} people are too few to tell a threshold for, and the network's card states "
                "none; give one with --threshold, or enroll more people"
            )
        said = f"somebody is named above the similarity {self.similarity:.4f}, {_WORDS[self.basis]}: "
        if math.isnan(self.fpir):
            return said + "how often a stranger is named is not known"
        alarms = _rounded(1000 * self.fpir)
        return f"{said}of 1,000 faces of strangers about {alarms} get the name of one of {self.people:,} people"

    def to_dict(self):
        """Plain Python, for JSON."""
        told = {name: getattr(self, name) for name in ("similarity", "fpir") if math.isfinite(getattr(self, name))}
        return {"similarity": None, "fpir": None, **told, "people": self.people, "basis": self.basis, "meaning": str(self)}


def need_fpir(fpir) -> None:
    """GluonFRError unless it is a rate that can be told."""
    if not RAREST <= fpir < 1:
        raise GluonFRError(f"fpir must be at least {RAREST:g} and below 1, got {fpir}.")


def threshold_for(fpir, people, photos, scores=(), names=(), card=None):
    """The `Threshold` of a gallery for a wanted rate of false alarms.

    Parameters
    ----------
    fpir : float
        1e-9 <= fpir < 1.
    people, photos : int
        In the gallery.
    scores, names : sequences of n
        For photos of the gallery, the best score to any other person, and whose the photo is: what `GalleryStore.strangers` gives.
        Each is the score of a stranger among N - 1 people. People count alike, however many photos they have.
    card : Card, optional
        Its thresholds, each of a FAR F of one pair, stand for 1 - (1 - F)**photos of a search: the photos of one person are
        not independent, so that this is the most there can be.

    Five people of the gallery must be allowed to lie above the threshold for its own scores to tell it. For a rarer rate the
    rarest that they tell is carried on by as much as the card's thresholds rise from there, and down to 5 % by more where the
    gallery's own scores spread wider than the card's; without a card that cannot be. A gallery of fewer than 10 people takes
    its card's alone.
    """
    if not photos:
        return Threshold(math.inf, math.nan, 0, "none")
    scores = np.asarray(scores, dtype=np.float64)
    curve = FalseAcceptCurve(card.thresholds) if card and card.thresholds else None
    measured = len(set(names))
    # A little rarer, since the scores are among one person less.
    told = _PEOPLE_ABOVE / measured if measured else math.inf
    if told <= fpir:
        return Threshold(_exceeded_by(scores, names, fpir * (people - 1) / people), fpir, people, "gallery")
    if curve is None:
        return Threshold(math.inf, math.nan, people, "none")

    def by_card(rate):
        return curve.similarity(far_from_fpir(rate, photos))

    if told > _MOST_COMMON:
        return Threshold(by_card(fpir), fpir, people, "card")
    own = _exceeded_by(scores, names, told * (people - 1) / people)
    rare = min(told, max(fpir, _RARE))
    rise = _stretch(scores, names, by_card) * (by_card(rare) - by_card(told)) + by_card(fpir) - by_card(rare)
    return Threshold(own + rise, fpir, people, "gallery and card")


def given_threshold(similarity, people, photos, scores=(), names=(), card=None):
    """The `Threshold` at a similarity that the caller chose, with its rate of false alarms as far as that can be told."""
    scores = np.asarray(scores, dtype=np.float64)
    weights = _weights(names)
    above = float(weights[scores > similarity].sum()) if len(scores) else 0.0
    measured = len(set(names))
    if measured and above >= _PEOPLE_ABOVE / measured:
        return Threshold(similarity, min(1.0, above * people / max(people - 1, 1)), people, "given")
    if not (card and card.thresholds and photos):
        return Threshold(similarity, math.nan, people, "given")
    # The rate for which the rule would have given this threshold, which rises as the rate falls.
    common, rare = 1 - 1e-9, RAREST
    for _ in range(50):
        between = math.sqrt(common * rare)
        if threshold_for(between, people, photos, scores, names, card).similarity < similarity:
            common = between
        else:
            rare = between
    return Threshold(similarity, 1.0 if common > 0.999 else common, people, "given")


# More strangers than this are never let through to tell a threshold.
_MOST_COMMON = 0.5
# Rates beyond which it is not whole groups of people that lie above, but single ones.
_RARE = 0.05


def _weights(names):
    """One for each photo, so that people count alike; their sum is 1."""
    people, of, counts = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True, return_counts=True)
    return 1 / (counts[of] * len(people)) if len(people) else np.empty(0)


def _stretch(scores, names, by_card):
    """By how much more the gallery's scores rise towards rarer rates than the card says.

    The card counts the photos of a search as independent. Where a network finds whole groups of people alike they are not:
    some strangers are like many people, others like nobody, and the best scores of searches spread wider. The mean of both
    was right for a network of either kind.
    """
    weights, people = _weights(names), len(set(names))
    mean = float(weights @ scores)
    spread = math.sqrt(float(weights @ (scores - mean) ** 2) * people / (people - 1))
    expected = float(np.std([by_card((step + 0.5) / 100) for step in range(100)]))
    return (1 + max(1.0, spread / expected)) / 2 if expected else 1.0


def _exceeded_by(scores, names, share):
    """The lowest score that at most this share of the people's weight exceeds."""
    order = np.argsort(-scores, kind="stable")
    above = np.cumsum(_weights(names)[order])
    return float(scores[order[min(np.searchsorted(above, share * (1 + 1e-12), side="right"), len(order) - 1)]])


def _rounded(value) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"

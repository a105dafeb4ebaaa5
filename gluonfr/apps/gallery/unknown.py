"""Whether a face is a known person or unknown: the threshold and its calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable, Sequence

import numpy as np

from gluonfr.apps.gallery.stores.base import Match
from gluonfr.core import Card, UsageError
from gluonfr.core.wording import counted
from gluonfr.metrics.false_accept import FalseAcceptCurve, far_from_fpir

# Lower false positive rates cannot be distinguished from 0.
LOWEST_FPIR = 1e-9
# People whose score must exceed a threshold before the scores of the gallery determine it.
_PEOPLE_ABOVE = 5
# Above this rate the scores of a gallery do not determine a threshold.
_HIGHEST_RATE = 0.5
# Below this rate single people exceed the threshold, not whole groups of similar people.
_RATE_OF_SINGLE_PEOPLE = 0.05
_BASIS = {
    "gallery": "calibrated on the photos of the gallery",
    "gallery and card": "calibrated on the photos of the gallery and extrapolated with the thresholds of the network's card",
    "card": "from the thresholds of the network's card",
    "given": "given by the user",
}


@dataclass(frozen=True)
class Threshold:
    """The similarity above which a face gets the name of the most similar person.

    Attributes
    ----------
    similarity : float
        Cosine that the best match must exceed; infinite if no threshold can be determined.
    fpir : float
        False positive identification rate: the expected fraction of faces of unknown people that get a name. NaN if it
        cannot be determined.
    people : int
        Size of the gallery for which the threshold holds.
    basis : {'gallery', 'gallery and card', 'card', 'given', 'none'}
        What the threshold is derived from.

    Examples
    --------
    >>> threshold = Threshold(0.4, 0.01, 100, "card")
    >>> print(threshold)  # doctest: +NORMALIZE_WHITESPACE
    faces get a name above similarity 0.4000, from the thresholds of the network's card: of 1,000 faces of unknown people,
    about 10 get the name of one of 100 people
    >>> threshold.name_of([Match("Ann", 0.6, "a.jpg")]), threshold.name_of([Match("Ann", 0.3, "a.jpg")])
    ('Ann', None)
    """

    similarity: float
    fpir: float
    people: int
    basis: str

    def name_of(self, matches: Sequence[Match]) -> str | None:
        """Return the name of the best match, or None (unknown) if it is not above the threshold."""
        return matches[0].name if matches and matches[0].similarity > self.similarity else None

    def __str__(self) -> str:
        if self.basis == "none":
            return (
                f"no face gets a name: {self.people:,} people are too few to calibrate a threshold, and the network's card has "
                "none; set a threshold or enroll more people"
            )
        text = f"faces get a name above similarity {self.similarity:.4f}, {_BASIS[self.basis]}: "
        if math.isnan(self.fpir):
            return text + "how often unknown people get a name cannot be estimated"
        named = _rounded(1000 * self.fpir)
        return f"{text}of 1,000 faces of unknown people, about {named} get the name of one of {counted(self.people, 'person')}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, for JSON; None for what is not finite."""
        values = {name: getattr(self, name) for name in ("similarity", "fpir")}
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        return {**finite, "people": self.people, "basis": self.basis, "meaning": str(self)}


@dataclass(frozen=True)
class Identification:
    """The result of identifying one face.

    Attributes
    ----------
    name : str or None
        Name of the person, or None for an unknown face.
    matches : tuple of Match
        The most similar people, best first, also below the threshold.

    Examples
    --------
    >>> Identification("Ann", (Match("Ann", 0.6, "a.jpg"),)).similarity
    0.6
    """

    name: str | None
    matches: tuple[Match, ...]

    @property
    def similarity(self) -> float:
        """Similarity of the best match; -1 in an empty gallery."""
        return self.matches[0].similarity if self.matches else -1.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, for JSON."""
        return {"name": self.name, "matches": [dict(vars(match)) for match in self.matches]}


def check_fpir(fpir: float) -> None:
    """Raise UsageError unless a false positive rate is at least 1e-9 and below 1.

    Examples
    --------
    >>> check_fpir(1)
    Traceback (most recent call last):
    ...
    gluonfr.core.errors.UsageError: fpir must be at least 1e-09 and below 1, got 1.
    """
    if not LOWEST_FPIR <= fpir < 1:
        raise UsageError(f"fpir must be at least {LOWEST_FPIR:g} and below 1, got {fpir}.")


def calibrate(
    fpir: float,
    people: int,
    photos: int,
    scores: Any = (),
    names: Sequence[Any] = (),
    card: Card | None = None,
) -> Threshold:
    """Calibrate the threshold of a gallery for a false positive rate.

    At least five people must have scores above the threshold before the scores of the gallery determine it. For a lower rate,
    the threshold at the lowest rate that they determine is extrapolated by the difference between the thresholds of the card.
    Down to 5 % the difference is enlarged if the scores of the gallery spread wider than those of the card. A gallery of fewer
    than 10 people uses the thresholds of the card.

    Parameters
    ----------
    fpir : float
        False positive identification rate, 1e-9 <= fpir < 1.
    people, photos : int
        Size of the gallery.
    scores, names : sequences of n
        Impostor scores and the person of each, from `GalleryStore.impostor_scores`. Each is the score of an unknown face
        against N - 1 people. All people have the same weight, however many photos they have.
    card : Card, optional
        Card of the network. Its thresholds hold for one comparison at a false accept rate F; a search among the photos of
        the gallery has a rate of at most 1 - (1 - F)**photos, because photos of one person are not independent.

    Returns
    -------
    Threshold

    Examples
    --------
    >>> card = Card(thresholds=[{"far": 0.1, "similarity": 0.2}, {"far": 0.01, "similarity": 0.3}])
    >>> round(calibrate(0.01, people=1, photos=1, card=card).similarity, 4)
    0.3
    >>> calibrate(0.01, people=1, photos=1).basis
    'none'
    """
    if not photos:
        return Threshold(math.inf, math.nan, 0, "none")
    scores = np.asarray(scores, dtype=np.float64)
    curve = FalseAcceptCurve(card.thresholds) if card and card.thresholds else None
    measured = len(set(names))
    # The lowest rate that the scores determine.
    lowest = _PEOPLE_ABOVE / measured if measured else math.inf
    if lowest <= fpir:
        # Impostor scores compare with one person fewer than the search of an unknown face does.
        return Threshold(_exceeded_by(scores, names, fpir * (people - 1) / people), fpir, people, "gallery")
    if curve is None:
        return Threshold(math.inf, math.nan, people, "none")

    def by_card(rate: float) -> float:
        return curve.similarity(far_from_fpir(rate, photos))

    if lowest > _HIGHEST_RATE:
        return Threshold(by_card(fpir), fpir, people, "card")
    own = _exceeded_by(scores, names, lowest * (people - 1) / people)
    turn = min(lowest, max(fpir, _RATE_OF_SINGLE_PEOPLE))
    stretch = _spread_ratio(scores, names, by_card)
    rise = stretch * (by_card(turn) - by_card(lowest)) + by_card(fpir) - by_card(turn)
    return Threshold(own + rise, fpir, people, "gallery and card")


def given_threshold(
    similarity: float,
    people: int,
    photos: int,
    scores: Any = (),
    names: Sequence[Any] = (),
    card: Card | None = None,
) -> Threshold:
    """Return the threshold at a similarity that the caller chose, with its false positive rate as far as it can be estimated.

    Parameters
    ----------
    similarity : float
        Cosine, -1 to 1.
    people, photos, scores, names, card
        As `calibrate`.

    Returns
    -------
    Threshold

    Examples
    --------
    >>> card = Card(thresholds=[{"far": 0.1, "similarity": 0.2}, {"far": 0.01, "similarity": 0.3}])
    >>> round(given_threshold(0.3, people=1, photos=1, card=card).fpir, 4)
    0.01
    """
    scores = np.asarray(scores, dtype=np.float64)
    weights = _weights(names)
    above = float(weights[scores > similarity].sum()) if len(scores) else 0.0
    measured = len(set(names))
    if measured and above >= _PEOPLE_ABOVE / measured:
        return Threshold(similarity, min(1.0, above * people / max(people - 1, 1)), people, "given")
    if not (card and card.thresholds and photos):
        return Threshold(similarity, math.nan, people, "given")
    # Bisection for the rate whose threshold this is; the threshold rises as the rate falls.
    high, low = 1 - 1e-9, LOWEST_FPIR
    for _ in range(50):
        middle = math.sqrt(high * low)
        if calibrate(middle, people, photos, scores, names, card).similarity < similarity:
            high = middle
        else:
            low = middle
    return Threshold(similarity, 1.0 if high > 0.999 else high, people, "given")


def _weights(names: Sequence[Any]) -> np.ndarray:
    """Return weights of scores that sum to 1 and give all people the same weight."""
    people, of, counts = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True, return_counts=True)
    return 1 / (counts[of] * len(people)) if len(people) else np.empty(0)


def _spread_ratio(scores: np.ndarray, names: Sequence[Any], by_card: Callable[[float], float]) -> float:
    """Return how much faster than the card's the gallery's thresholds rise towards lower rates.

    The card treats the photos of a search as independent. For a network that finds whole groups of people similar they are
    not: some unknown faces are similar to many people, others to none, and the best scores of searches spread wider. The mean
    of both was right for networks of either kind.
    """
    weights, people = _weights(names), len(set(names))
    mean = float(weights @ scores)
    spread = math.sqrt(float(weights @ (scores - mean) ** 2) * people / (people - 1))
    expected = float(np.std([by_card((step + 0.5) / 100) for step in range(100)]))
    return (1 + max(1.0, spread / expected)) / 2 if expected else 1.0


def _exceeded_by(scores: np.ndarray, names: Sequence[Any], fraction: float) -> float:
    """Return the lowest score that at most this fraction of the people exceeds."""
    order = np.argsort(-scores, kind="stable")
    above = np.cumsum(_weights(names)[order])
    place = int(np.searchsorted(above, fraction * (1 + 1e-12), side="right"))
    return float(scores[order[min(place, len(order) - 1)]])


def _rounded(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"

"""Where to cut: thresholds from a set's own scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Shares of the simulated mistakes, at whose scores the share of mistakes is read off: lower ones are purer, higher ones tell
# more, so that the lowest reading of those that so many scores support counts.
READINGS = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
# Where there may be no mistake at all and what is right has a long tail, as strangers do.
RARE = (0.5, 0.65)
_SUPPORT = 10
# Fewer findings tell no shares.
_FEW = 20


@dataclass(frozen=True)
class Cut:
    """A threshold between what is right and what is a mistake.

    Attributes
    ----------
    score : float
        What scores no more is taken for a mistake; -infinity where nothing is.
    share : float
        Estimated share of mistakes.
    found : int
        How many score no more.
    right : float
        Estimated share of real mistakes among these; NaN where there are none.
    missed : float
        Estimated share of the mistakes that score more.
    """

    score: float
    share: float
    found: int
    right: float
    missed: float

    def __str__(self) -> str:
        if not self.found:
            return "none scores as mistakes would"
        if self.found < _FEW:
            return "too few to estimate how many of them are real"
        return (
            f"by estimate {100 * self.right:.0f} % of these are real, and {100 * self.missed:.0f} % of all mistakes are missed"
        )


def cut(scores, simulated, readings=READINGS):
    """Cut where what is found and what is right are expected to be in balance.

    The set's scores are a mixture of right ones and of mistakes. How mistakes score is known: they are made on purpose, from
    the set's own images. Where most of these score and next to nothing that is right does, the share of mistakes can be
    read off. Then, at every score, follows how many of those below it are mistakes (precision) and how many of the mistakes
    lie below it (recall); the cut is where their harmonic mean is highest.

    Parameters
    ----------
    scores : (n,) float
        Low where something is wrong.
    simulated : (m,) float
        Of mistakes.
    readings : tuple of float
        Shares of the simulated mistakes, at whose scores the share of mistakes may be read off.

    Returns
    -------
    Cut
    """
    scores, simulated = np.sort(np.asarray(scores, np.float64)), np.sort(np.asarray(simulated, np.float64))
    nothing = Cut(-np.inf, 0.0, 0, np.nan, 1.0)
    if not len(scores) or not len(simulated):
        return nothing
    share = _share(scores, simulated, readings)
    if not share:
        return nothing
    # Between two of the set's scores only what is simulated tells where: cut at a score of that.
    recall = np.searchsorted(simulated, simulated, side="right") / len(simulated)
    below = np.searchsorted(scores, simulated, side="right")
    # No more than all of them are mistakes, however many there should be.
    right = np.where(below, np.minimum(1, share * len(scores) * recall / np.maximum(below, 1)), 0)
    best = int(np.argmax(right * recall / (right + recall)))
    found = int(below[best])
    if not found:
        return nothing
    return Cut(float(simulated[best]), float(min(share, 1)), found, float(right[best]), 1 - float(recall[best]))


def _share(scores, simulated, readings):
    """The share of mistakes among the scores."""
    found = []
    for part in readings:
        read = simulated[int(np.ceil(part * len(simulated))) - 1]
        count = int((scores <= read).sum())
        found.append((count, count / len(scores) / (simulated <= read).mean()))
    supported = [share for count, share in found if count >= _SUPPORT]
    return min(supported) if supported else found[-1][1]

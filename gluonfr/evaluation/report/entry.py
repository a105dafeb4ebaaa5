from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable

from gluonfr.core import GluonFRError
from gluonfr.metrics import PairEvaluation


@dataclass
class ReportEntry:
    """One model on one verification set.

    Attributes
    ----------
    model, set : str
        Their names, shown as they are.
    evaluation : PairEvaluation
    images : callable, default None
        `images(i)` gives the two images of pair i, uint8 (H, W, 3) RGB; None where only embeddings are known.
    facts : dict of str to str, default empty
        Of the model: network, license, what it was trained on. Of several entries of one model the first that states a fact
        holds.
    """

    model: str
    set: str
    evaluation: PairEvaluation
    images: Callable | None = None
    facts: dict[str, str] = field(default_factory=dict)


def check_entries(entries):
    """The entries as a list; GluonFRError when there are none, two of one model and set, or one that cannot be shown."""
    entries = list(entries)
    if not entries:
        raise GluonFRError("a report needs at least one entry; give a model's evaluation on a set.")
    seen = set()
    for entry in entries:
        for kind in ("model", "set"):
            name = getattr(entry, kind)
            if not isinstance(name, str) or not name.strip():
                raise GluonFRError(f"entries: the {kind} of an entry is {name!r}; give its name.")
        where = f"{entry.model} on {entry.set}"
        if not isinstance(entry.evaluation, PairEvaluation):
            raise GluonFRError(f"{where}: got a {type(entry.evaluation).__name__}; give what `evaluate_pairs` returns.")
        if entry.images is not None and not callable(entry.images):
            raise GluonFRError(f"{where}: images must be a function of a pair's number, got {type(entry.images).__name__}.")
        if (entry.model, entry.set) in seen:
            raise GluonFRError(f"{where} is given twice; give each model once a set.")
        seen.add((entry.model, entry.set))
    return entries

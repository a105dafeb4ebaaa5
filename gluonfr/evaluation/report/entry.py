from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Iterable

from gluonfr.core import UsageError
from gluonfr.metrics import PairEvaluation


@dataclass
class ReportEntry:
    """Evaluation of one model on one verification set.

    Attributes
    ----------
    model, set : str
        Their names, as the page shows them.
    evaluation : PairEvaluation
        Result of `metrics.evaluate_pairs`.
    images : callable, optional
        `images(i)` returns the two images of pair i, uint8 (H, W, 3) RGB; None if only embeddings are known.
    facts : dict of str to str
        Facts of the model such as network, license and training set. Of several entries with the same model, the first one
        that has a fact determines it.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.linspace(0, 2, 20)
    >>> entry = ReportEntry("mine", "lfw", evaluate_pairs(distances, distances < 1))
    """

    model: str
    set: str
    evaluation: PairEvaluation
    images: Callable[[int], Any] | None = None
    facts: dict[str, str] = field(default_factory=dict)


def check_entries(entries: Iterable[ReportEntry]) -> list[ReportEntry]:
    """Return the entries as a list; raise UsageError for none, a duplicate, or an entry that cannot be shown.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.linspace(0.02, 1.98, 50)
    >>> evaluation = evaluate_pairs(distances, distances < 1)
    >>> entry = ReportEntry("mine", "lfw", evaluation)
    >>> check_entries([entry, entry])
    Traceback (most recent call last):
    ...
    gluonfr.core.errors.UsageError: mine on lfw is given twice. Pass each model once per set.
    """
    entries = list(entries)
    if not entries:
        raise UsageError("entries: a report needs at least one entry. Pass the evaluation of a model on a set.")
    seen = set()
    for entry in entries:
        for kind in ("model", "set"):
            name = getattr(entry, kind)
            if not isinstance(name, str) or not name.strip():
                raise UsageError(f"entries: the {kind} of an entry must be a name, got {name!r}.")
        where = f"{entry.model} on {entry.set}"
        if not isinstance(entry.evaluation, PairEvaluation):
            raise UsageError(
                f"{where}: evaluation must be the result of evaluate_pairs, got {type(entry.evaluation).__name__}."
            )
        if entry.images is not None and not callable(entry.images):
            raise UsageError(f"{where}: images must be a function of the index of a pair, got {type(entry.images).__name__}.")
        if (entry.model, entry.set) in seen:
            raise UsageError(f"{where} is given twice. Pass each model once per set.")
        seen.add((entry.model, entry.set))
    return entries

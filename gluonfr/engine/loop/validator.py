from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Mapping, Protocol

import numpy as np


class NetworkValidator(Protocol):
    """What validates the network of a run, and remembers its best results.

    Attributes
    ----------
    best : dict
        `step` and figures of the best network so far; empty at first.
    norms : (n,) float32
        Lengths of embeddings in the last validation; none for networks without embeddings.

    Examples
    --------
    >>> results, is_best = validator.validate(step=100)  # doctest: +SKIP
    """

    best: dict[str, Any]
    norms: np.ndarray

    @property
    def has_data(self) -> bool:
        """Whether there is anything to validate on."""

    def as_saved(self) -> AbstractContextManager[None]:
        """Return a context in which the network has the weights and statistics that are validated and saved."""

    def validate(self, step: int) -> tuple[Mapping[str, Any], bool]:
        """Return the results of the network of a step by set, and whether it is the best so far."""

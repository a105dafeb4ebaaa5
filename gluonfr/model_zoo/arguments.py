from __future__ import annotations

from numbers import Integral, Real

from gluonfr.core import GluonFRError


def is_count(value):
    """Whether a value is a positive whole number."""
    return isinstance(value, Integral) and not isinstance(value, bool) and value > 0


def need_width(width) -> None:
    """Raise GluonFRError unless `width`, which multiplies channels, is a positive finite number."""
    if not isinstance(width, Real) or not 0 < width < float("inf"):
        raise GluonFRError(f"width is a positive number, got {width!r}.")

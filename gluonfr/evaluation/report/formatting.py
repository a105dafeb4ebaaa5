"""Numbers and rates as text for the page."""

from __future__ import annotations

import math
from typing import Callable

from markupsafe import Markup

from gluonfr.metrics import OperatingPoint

NONE = "–"


def fixed(value: float, digits: int) -> str:
    """Write a number with this number of digits after the point; a dash for NaN.

    Examples
    --------
    >>> fixed(0.98765, 3), fixed(float("nan"), 3), fixed(float("inf"), 3)
    ('0.988', '–', '∞')
    """
    if math.isnan(value):
        return NONE
    return "∞" if math.isinf(value) else f"{value:.{digits}f}"


def percent(value: float, digits: int = 2) -> str:
    """Write a fraction as a percentage without the sign; a dash for NaN.

    Examples
    --------
    >>> percent(0.98765)
    '98.77'
    """
    return fixed(100 * value, digits)


def percent_digits(count: int) -> int:
    """Return the digits after the point of a percentage that can show a single one of `count` pairs; at least 2.

    Examples
    --------
    >>> percent_digits(3000), percent_digits(1_000_000)
    (3, 5)
    """
    return max(2, math.ceil(math.log10(count)) - 1) if count else 2


def interval(values: tuple[float, float], write: Callable[[float], str]) -> str:
    """Write 'low – high', or nothing for an unknown interval.

    Examples
    --------
    >>> interval((0.97, 0.99), percent)
    '97.00 – 99.00'
    """
    low, high = values
    return "" if math.isnan(low) or math.isnan(high) else f"{write(low)} – {write(high)}"


def count_of(count: int, word: str) -> str:
    """Write a count with a noun in the singular or plural.

    Examples
    --------
    >>> count_of(1, "pair"), count_of(1200, "pair")
    ('1 pair', '1,200 pairs')
    """
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def far_text(far: float) -> str:
    """Write a false accept rate as plain text.

    Examples
    --------
    >>> far_text(0.001), far_text(0.00001)
    ('0.001', '1e-05')
    """
    return f"{far:g}"


def far_label(far: float) -> Markup:
    """Write a false accept rate as HTML; powers of ten with an exponent.

    Examples
    --------
    >>> str(far_label(0.001))
    '10<sup>−3</sup>'
    """
    exponent = round(math.log10(far))
    if exponent < 0 and math.isclose(far, 10.0**exponent, rel_tol=1e-9):
        return Markup(f"10<sup>−{-exponent}</sup>")
    return Markup(far_text(far))


def unresolvable(point: OperatingPoint) -> str:
    """Return the reason why a set of pairs determines no threshold for a false accept rate.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> unresolvable(SimpleNamespace(genuine=500, impostors=500, target=1e-3))
    '500 pairs of different people; this rate needs at least 1,000.'
    """
    if not point.genuine:
        return "There are no genuine pairs."
    if not point.impostors:
        return "There are no pairs of different people."
    needed = math.ceil(1 / point.target - 1e-6)
    return f"{count_of(point.impostors, 'pair')} of different people; this rate needs at least {needed:,}."

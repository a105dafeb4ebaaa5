"""Numbers as the page writes them."""

from __future__ import annotations

import math

from markupsafe import Markup

NONE = "–"


def fixed(value, digits):
    """So many digits after the point; a dash for NaN, an infinity sign."""
    if math.isnan(value):
        return NONE
    return "∞" if math.isinf(value) else f"{value:.{digits}f}"


def percent(value, digits=2):
    """A share as per cent without the sign; a dash for NaN."""
    return fixed(100 * value, digits)


def digits_of(count):
    """Digits after the point at which one pair of `count` still shows in per cent."""
    return max(2, math.ceil(math.log10(count)) - 1) if count else 2


def interval(values, write) -> str:
    """'low – high', or '' where it is not known."""
    low, high = values
    return "" if math.isnan(low) or math.isnan(high) else f"{write(low)} – {write(high)}"


def count_of(count, word) -> str:
    """'1 pair', '1,200 pairs'."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def far_text(far) -> str:
    """A false accept rate in words and attributes: '0.001', '1e-05'."""
    return f"{far:g}"


def far_label(far):
    """A false accept rate for the page: powers of ten as such."""
    exponent = round(math.log10(far))
    if exponent < 0 and math.isclose(far, 10.0**exponent, rel_tol=1e-9):
        return Markup(f"10<sup>−{-exponent}</sup>")
    return Markup(far_text(far))


def unresolvable(point) -> str:
    """Why a set of pairs tells no threshold for a false accept rate."""
    if not point.genuine:
        return "There are no pairs of one person."
    if not point.impostors:
        return "There are no pairs of different people."
    needed = math.ceil(1 / point.target - 1e-6)
    return f"{count_of(point.impostors, 'pair')} of different people; this rate needs {needed:,} or more."

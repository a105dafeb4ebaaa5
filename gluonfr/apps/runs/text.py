"""Values of runs as text."""

from __future__ import annotations

from typing import Any


def duration(seconds: float | None) -> str:
    """Return a duration with its two largest units; empty for None.

    Examples
    --------
    >>> duration(42), duration(3725), duration(200000)
    ('42 s', '1 h 2 min', '2 d 7 h')
    """
    if seconds is None:
        return ""
    minutes, rest = divmod(int(round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def describe_state(state: str, reason: str) -> str:
    """Return a state with its reason, without saying the same twice.

    Examples
    --------
    >>> describe_state("failed", "the loss is NaN"), describe_state("stopped", "stopped after step 10")
    ('failed (the loss is NaN)', 'stopped after step 10')
    """
    reason = reason.rstrip(".")
    if not reason or reason.startswith(state):
        return reason or state
    return f"{state} ({reason})"


def percent(value: float | None) -> str:
    """Return a fraction in percent with two decimals; empty for None.

    Examples
    --------
    >>> percent(0.99123), percent(None)
    ('99.12 %', '')
    """
    return "" if value is None else f"{100 * value:.2f} %"


def show(value: Any) -> str:
    """Return an option or another recorded value; a dash for a missing one.

    Examples
    --------
    >>> show(0.1), show(["lfw", "cfp_fp"]), show(None)
    ('0.1', 'lfw, cfp_fp', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(show, value)) if isinstance(value, (list, tuple)) else str(value)

"""Checks of arguments: each returns the value in its plain Python type or raises a `UsageError` that names the argument."""

from __future__ import annotations

import numbers
from typing import Any, Iterable, NoReturn, Sequence

import numpy as np

from gluonfr.core.errors import UsageError


def is_number(value: Any) -> bool:
    """Return whether a value is a finite real number; booleans are not numbers.

    Examples
    --------
    >>> [is_number(value) for value in (1, 0.5, True, float("nan"), "1")]
    [True, True, False, False, False]
    """
    number: Any = value
    # Comparisons work for integers of any size; math.isfinite fails for large ones.
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_)) and abs(number) < float("inf")


def is_integer(value: Any) -> bool:
    """Return whether a value is an integer, of Python or NumPy; booleans are not integers.

    Examples
    --------
    >>> [is_integer(value) for value in (1, np.int64(2), 1.0, True)]
    [True, True, False, False]
    """
    return isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))


def check_number(
    name: str,
    value: Any,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    owner: object = None,
) -> float:
    """Return `value` as a float, or raise `UsageError` when it is not a finite number within the bounds.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : object
        Value to check.
    minimum, maximum : float, optional
        Bounds that are allowed themselves.
    above, below : float, optional
        Bounds that are not allowed themselves.
    owner : object, optional
        Object whose class name starts the message.

    Examples
    --------
    >>> check_number("momentum", 0.9, minimum=0, below=1)
    0.9
    >>> check_number("momentum", 1, minimum=0, below=1)
    Traceback (most recent call last):
        ...
    gluonfr.core.errors.UsageError: momentum must be a number in [0, 1), got 1.
    """
    if not is_number(value) or not _is_inside(value, minimum, maximum, above, below):
        reject(name, f"a number{_bounds(minimum, maximum, above, below)}", value, owner)
    return float(value)


def check_integer(name: str, value: Any, minimum: int | None = None, maximum: int | None = None, owner: object = None) -> int:
    """Return `value` as an int, or raise `UsageError` when it is not an integer within the bounds.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : object
        Value to check.
    minimum, maximum : int, optional
        Bounds, which are allowed themselves.
    owner : object, optional
        Object whose class name starts the message.

    Examples
    --------
    >>> check_integer("size", 112, minimum=32, maximum=1024)
    112
    >>> check_integer("size", 1.5, minimum=1)
    Traceback (most recent call last):
        ...
    gluonfr.core.errors.UsageError: size must be an integer of at least 1, got 1.5.
    """
    if not is_integer(value) or not _is_inside(value, minimum, maximum):
        if minimum is not None and maximum is not None:
            bounds = f" from {minimum} to {_short(maximum)}"
        else:
            bounds = _bounds(minimum, maximum).replace(" at ", " of at ")
        reject(name, f"an integer{bounds}", value, owner)
    return int(value)


def check_increasing(
    names: Sequence[str], values: Sequence[Any], strictly: bool = False, owner: object = None, **bounds: float
) -> tuple[float, ...]:
    """Return numbers as floats, or raise `UsageError` when one is out of bounds or smaller than the one before.

    Parameters
    ----------
    names : sequence of str
        Names of the arguments.
    values : sequence
        Their values.
    strictly : bool, default False
        Whether equal values are rejected too.
    owner : object, optional
        Object whose class name starts the message.
    **bounds : float
        Bounds of each value, as in `check_number`.

    Examples
    --------
    >>> check_increasing(("lower", "upper"), (0.1, 0.5), minimum=0)
    (0.1, 0.5)
    """
    found = tuple(check_number(name, value, owner=owner, **bounds) for name, value in zip(names, values))
    if any(first > second or (strictly and first == second) for first, second in zip(found, found[1:])):
        sign = " < " if strictly else " <= "
        reject(sign.join(names), "true", " and ".join(f"{value!r}" for value in values), owner, quote=False)
    return found


def check_flag(name: str, value: Any, owner: object = None) -> bool:
    """Return `value` as a bool, or raise `UsageError` when it is neither True nor False.

    Examples
    --------
    >>> check_flag("hybridize", True)
    True
    """
    if not isinstance(value, (bool, np.bool_)):
        reject(name, "True or False", value, owner)
    return bool(value)


def check_choice(name: str, value: Any, choices: Iterable[str], owner: object = None) -> str:
    """Return `value`, or raise `UsageError` when it is not one of the choices.

    Examples
    --------
    >>> check_choice("mode", "cosine", ("step", "poly", "cosine"))
    'cosine'
    """
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        reject(name, f"one of {', '.join(choices)}", value, owner)
    return value


def reject(name: str, rule: str, value: Any, owner: object = None, quote: bool = True) -> NoReturn:
    """Raise the `UsageError` "OWNER: NAME must be RULE, got VALUE.".

    Examples
    --------
    >>> reject("s", "a positive number", -1)
    Traceback (most recent call last):
    ...
    gluonfr.core.errors.UsageError: s must be a positive number, got -1.
    """
    start = "" if owner is None else f"{type(owner).__name__}: "
    shown = " ".join((repr(value) if quote else str(value)).split())
    raise UsageError(f"{start}{name} must be {rule}, got {shown if len(shown) <= 200 else shown[:197] + '...'}.")


def _is_inside(
    value: Any, minimum: float | None, maximum: float | None, above: float | None = None, below: float | None = None
) -> bool:
    return (
        (minimum is None or value >= minimum)
        and (maximum is None or value <= maximum)
        and (above is None or value > above)
        and (below is None or value < below)
    )


def _bounds(minimum: float | None, maximum: float | None, above: float | None = None, below: float | None = None) -> str:
    lower, upper = above if minimum is None else minimum, below if maximum is None else maximum
    if lower is not None and upper is not None:
        return f" in {'(' if minimum is None else '['}{lower:.4g}, {upper:.4g}{')' if maximum is None else ']'}"
    words = (("at least", minimum), ("above", above), ("at most", maximum), ("below", below))
    return "".join(f" {word} {bound:.4g}" for word, bound in words if bound is not None)


def _short(number: int) -> str:
    exponent = (number + 1).bit_length() - 1
    return f"2**{exponent} - 1" if exponent >= 20 and number + 1 == 1 << exponent else str(number)

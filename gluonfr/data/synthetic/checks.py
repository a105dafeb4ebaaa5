from __future__ import annotations

from gluonfr.core import GluonFRError


def whole_number(name, value, least, below=2**64):
    """`value` as an int in [least, below), or GluonFRError that names the argument."""
    try:
        number = value.__index__()
    except (AttributeError, TypeError):
        number = None
    if number is None or isinstance(value, bool) or not least <= number < below:
        raise GluonFRError(f"{name} is a whole number from {least} to {_short(below - 1)}, got {value!r}.")
    return number


def _short(number):
    return "2**64 - 1" if number == 2**64 - 1 else str(number)

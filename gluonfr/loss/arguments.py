"""Arguments of losses: what lies outside a paper's domain, or is of another kind, is refused when the loss is made."""

from __future__ import annotations

import numbers
from typing import NoReturn

import mxnet as mx
import numpy as np

from gluonfr.core import GluonFRError


def number(loss, name, value, least=0.0, below=float("inf"), open_end=False, what=None):
    """A float argument in [least, below), or (least, below) with `open_end`; `what` says more of it than its name."""
    if not (is_number(value) and (least < value < below or (value == least and not open_end))):
        refuse(loss, f"{what or name} lies in {'(' if open_end else '['}{least:g}, {below:.4g})", value)
    return float(value)


def numbers_rising(loss, names, values, least=0.0, below=float("inf"), open_end=False, strictly=False):
    """Two float arguments, the second of which is not below the first, in [least, below) or, `open_end`, (least, below)."""
    pair = [number(loss, name, value, least, below, open_end) for name, value in zip(names, values)]
    if pair[0] > pair[1] or (strictly and pair[0] == pair[1]):
        refuse(loss, f"{names[0]} {'<' if strictly else '<='} {names[1]}", " and ".join(f"{value!r}" for value in values), "{}")
    return tuple(pair)


def share(loss, name, value, what=None):
    """A float argument in [0, 1]."""
    if not (is_number(value) and 0 <= value <= 1):
        refuse(loss, f"{what or name} lies in [0, 1]", value)
    return float(value)


def whole(loss, name, value, least=1, most=None):
    """An int argument of at least `least`, and at most `most`."""
    if not (isinstance(value, numbers.Integral) and is_number(value) and least <= value <= (value if most is None else most)):
        span = f"of at least {least}" if most is None else f"from {least} to {most}"
        refuse(loss, f"{name} is a whole number {span}", value)
    return int(value)


def flag(loss, name, value):
    if not isinstance(value, (bool, np.bool_)):
        refuse(loss, f"{name} is True or False", value)
    return bool(value)


def margin(loss, name, value, least, below):
    return number(loss, name, value, least, below, what=f"the margin {name}")


def scale(loss, value):
    return number(loss, "s", value, open_end=True, what="the scale s")


def precision(loss, dtype):
    """The name of a floating-point type."""
    try:
        name = None if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = None
    if name not in ("float16", "float32", "float64"):
        refuse(loss, "dtype is 'float32', 'float64' or 'float16'", dtype)
    return name


def initializer(loss, value, default):
    """An Initializer, also by its name in MXNet; the default where none is given."""
    if value is None:
        return default
    try:
        return value if isinstance(value, mx.init.Initializer) else mx.init.create(value)
    except Exception:
        refuse(loss, "weight_initializer is an mx.init.Initializer or the name of one", value)


def is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def refuse(loss, rule, value, form="{!r}") -> NoReturn:
    shown = " ".join(form.format(value).split())
    raise GluonFRError(f"{type(loss).__name__}: {rule}, got {shown}.")

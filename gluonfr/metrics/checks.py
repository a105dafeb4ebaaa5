"""Checks of arrays and options that several metrics share."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from gluonfr.core import DataError, UsageError, check_integer
from gluonfr.core.arguments import reject


def as_array(values: Any, name: str) -> np.ndarray:
    """Convert to a NumPy array; nested lists of unequal lengths are refused.

    Examples
    --------
    >>> as_array([[1, 2], [3, 4]], "embeddings").shape
    (2, 2)
    """
    try:
        with warnings.catch_warnings():
            # NumPy before 1.24 only warns about rows of different lengths.
            warnings.simplefilter("error", np.VisibleDeprecationWarning)
            array = np.asarray(values)
    except (ValueError, TypeError, OverflowError, np.VisibleDeprecationWarning) as error:
        raise UsageError(f"{name}: the rows have different lengths; give an array whose rows have equal lengths.") from error
    if array.dtype == object:
        raise UsageError(f"{name} holds Python objects; give an array of numbers or strings.")
    return array


def float_array(values: Any, name: str) -> np.ndarray:
    """Convert to float32 or float64: float16 becomes float32, integers become float64.

    Examples
    --------
    >>> float_array([1, 2], "distances").dtype
    dtype('float64')
    """
    array = as_array(values, name)
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{name} has type {array.dtype}; give an array of real numbers.")
    if array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float32 if array.dtype == np.float16 else np.float64)


def label_array(labels: Any) -> np.ndarray:
    """Convert the labels of pairs to (N,) bool; anything except 0 and 1 is refused.

    Examples
    --------
    >>> label_array([1, 0, 1])
    array([ True, False,  True])
    """
    labels = as_array(labels, "issame labels")
    if labels.ndim != 1:
        raise UsageError(f"issame labels have shape {labels.shape}; give a one-dimensional array, one label per pair.")
    if labels.dtype.kind not in "fiub":
        raise UsageError(f"issame labels have type {labels.dtype}; give 0 or 1 (False or True) for each pair.")
    wrong = labels[(labels != 0) & (labels != 1)]
    if len(wrong):
        raise DataError(f"issame labels must be 0 or 1 (False or True), but one is {wrong[0]}; check the labels of the pairs.")
    return labels.astype(bool)


def id_array(ids: Any, name: str, count: int | None = None, what: str = "embedding") -> np.ndarray:
    """Convert identities, names or numbers, to a one-dimensional array that sorts reliably.

    Parameters
    ----------
    ids : array-like, (N,)
        Strings, bytes or integers. Floating-point numbers are accepted where all are whole.
    name : str
        Name of the argument, for messages.
    count : int, optional
        Required length.
    what : str, default 'embedding'
        What an identity belongs to, for messages.

    Examples
    --------
    >>> id_array([3.0, 1.0], "labels")
    array([3, 1])
    """
    array = as_array(ids, name)
    if array.dtype.kind == "f" and (np.abs(array) <= 2**53).all() and (array == np.floor(array)).all():
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iuUSb" or (count is not None and len(array) != count):
        wanted = "" if count is None else f" for {count} {what}s"
        raise UsageError(f"{name} has type {array.dtype} and shape {array.shape}{wanted}; give one name or integer per {what}.")
    return array


def rates(values: Any, name: str) -> tuple[float, ...]:
    """Convert one rate or several to a tuple of floats above 0 and at most 1.

    Examples
    --------
    >>> rates([0.1, 0.01], "far_target")
    (0.1, 0.01)
    """
    found = _numbers(values, np.float64)
    if not all(0 < rate <= 1 for rate in found):
        reject(name, "one rate or several, above 0 and at most 1", values)
    return found


def positive_integers(values: Any, name: str) -> tuple[int, ...]:
    """Convert one positive integer or several to a tuple.

    Examples
    --------
    >>> positive_integers(5, "ranks")
    (5,)
    """
    found = _numbers(values, np.int64)
    if not all(value >= 1 for value in found):
        reject(name, "one integer or several, at least 1", values)
    return found


def _numbers(values: Any, dtype: Any) -> tuple[Any, ...]:
    """Return numbers as a tuple; (-1,) for anything else than numbers of this type."""
    try:
        array = np.atleast_1d(as_array(values, "values"))
    except UsageError:
        return (-1,)
    kinds = "iu" if dtype == np.int64 else "iuf"
    if array.ndim != 1 or not len(array) or array.dtype.kind not in kinds:
        return (-1,)
    return tuple(array.astype(dtype).tolist())


def check_seed(seed: Any) -> int:
    """Return a seed as an int, or raise `UsageError` when it is not an integer from 0 to 2**64 - 1.

    Examples
    --------
    >>> check_seed(7)
    7
    """
    return check_integer("seed", seed, 0, (1 << 64) - 1)

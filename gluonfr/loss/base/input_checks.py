"""Checks of the inputs of a loss: shapes, types and labels, without waiting for the device."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from mxnet import nd

from gluonfr.core import UsageError


def _check_array(loss: object, name: str, array: Any) -> None:
    """Raise `UsageError` unless `array` is an MXNet array."""
    if not isinstance(array, nd.NDArray):
        _reject(loss, f"{name} is of type {type(array).__name__}, expected an MXNet array; convert it with nd.array")


def check_rows(
    loss: object, name: str, array: Any, rows: int | None, size: int | None = None, advice: str | None = None
) -> None:
    """Raise `UsageError` unless `array` is a floating-point array (rows, size); None allows any number, but no empty array.

    Examples
    --------
    >>> from gluonfr.loss import ArcLoss
    >>> check_rows(ArcLoss(classes=3), "output", nd.zeros((2, 5)), rows=2, size=3, advice="check classes")
    Traceback (most recent call last):
    ...
    gluonfr.core.errors.UsageError: ArcLoss: output has shape (2, 5), expected (2, 3); check classes.
    """
    _check_array(loss, name, array)
    shape = array.shape
    if len(shape) != 2 or rows not in (None, shape[0]) or size not in (None, shape[1]) or 0 in shape:
        advice = advice or f"give one row per sample{'' if size is None else f' and embedding_size = {size}'}"
        _reject(loss, f"{name} has shape {shape}, expected ({rows or 'batch'}, {size or 'size'}); {advice}")
    if np.dtype(array.dtype).kind != "f":
        kind = np.dtype(array.dtype).name
        _reject(loss, f"{name} is {kind}, expected floating point; convert it with {name}.astype('float32')")


def check_column(loss: object, name: str, array: Any, rows: int) -> None:
    """Raise `UsageError` unless `array` is an array (rows,) or (rows, 1).

    Examples
    --------
    >>> from gluonfr.loss import ArcLoss
    >>> check_column(ArcLoss(classes=3), "label", nd.zeros(4), rows=2)
    Traceback (most recent call last):
    ...
    gluonfr.core.errors.UsageError: ArcLoss: label has shape (4,), expected (2,); give one label per sample.
    """
    _check_array(loss, name, array)
    if array.shape not in ((rows,), (rows, 1)):
        _reject(loss, f"{name} has shape {array.shape}, expected ({rows},); give one {name} per sample")


def check_label(loss: object, label: Any, rows: int, classes: int | None = None) -> None:
    """Raise `UsageError` unless labels are an array (rows,) of integers in 0..classes-1, float32 or an integer type.

    Operators such as `pick` clip labels that are out of range and truncate those that are not integers, and would train on
    wrong classes. Labels come from the data loader, so reading them does not wait for the network.

    Examples
    --------
    >>> from gluonfr.loss import ArcLoss
    >>> check_label(ArcLoss(classes=3), nd.array([0, 3]), rows=2, classes=3)
    Traceback (most recent call last):
    ...
    gluonfr.core.errors.UsageError: ArcLoss: label 3 is outside 0..2; check the data and `classes`.
    """
    check_column(loss, "label", label, rows)
    kind = np.dtype(label.dtype)
    if kind.kind not in "fiu" or kind in (np.float16, np.float64):
        _reject(loss, f"label is {kind.name}; keep labels float32 or int32")
    values = label.asnumpy().ravel()
    wrong = values[~((values >= 0) & (values < (np.inf if classes is None else classes)) & (values == np.floor(values)))]
    if wrong.size:
        rule = "is negative or not finite" if classes is None else f"is outside 0..{classes - 1}"
        rule = "is not an integer" if np.isfinite(wrong[0]) and wrong[0] % 1 else rule
        _reject(loss, f"label {wrong[0]:g} {rule}; check the data{'' if classes is None else ' and `classes`'}")


def nan_unless_finite(x: Any) -> Any:
    """Return zeros (N,), with NaN for the rows of x (N, M) that contain NaN or infinity.

    A product with zeros is the cheapest way to look at all numbers: only those that are not finite leave something.

    Examples
    --------
    >>> nan_unless_finite(nd.array([[1, 2], [3, float("inf")]])).asnumpy().tolist()
    [0.0, nan]
    """
    x = x.detach()
    return nd.dot(x, nd.zeros((x.shape[1], 1), ctx=x.context, dtype=x.dtype)).reshape((-1,))


def _reject(loss: object, text: str) -> NoReturn:
    raise UsageError(f"{type(loss).__name__}: {text}.")

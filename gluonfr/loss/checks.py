"""What a loss is given: shapes and types are looked at before it computes, and values as far as nobody waits for them."""

from __future__ import annotations

import numpy as np
from mxnet import nd

from gluonfr.core import GluonFRError


def check_array(loss, name, array) -> None:
    if not isinstance(array, nd.NDArray):
        kind = type(array).__name__
        raise GluonFRError(f"{type(loss).__name__}: {name} is of type {kind}, expected an MXNet array; nd.array makes one.")


def check_rows(loss, name, array, rows, size=None, advice=None) -> None:
    """Refuse what is no floating-point array (rows, size); None stands for any number of them, but no rows at all."""
    check_array(loss, name, array)
    shape = array.shape
    if len(shape) != 2 or rows not in (None, shape[0]) or size not in (None, shape[1]) or 0 in shape:
        advice = advice or f"one row a sample{'' if size is None else f' and embedding_size = {size}'}"
        wanted = f"({rows or 'batch'}, {size or 'size'})"
        raise GluonFRError(f"{type(loss).__name__}: {name} has shape {shape}, expected {wanted}; {advice}.")
    if np.dtype(array.dtype).kind != "f":
        kind = np.dtype(array.dtype).name
        raise GluonFRError(f"{type(loss).__name__}: {name} is {kind}, expected floating point; {name}.astype('float32') is it.")


def check_column(loss, name, array, rows) -> None:
    """Refuse what is no array (rows,) or (rows, 1)."""
    check_array(loss, name, array)
    if array.shape not in ((rows,), (rows, 1)):
        raise GluonFRError(f"{type(loss).__name__}: {name} has shape {array.shape}, expected ({rows},), one {name} a sample.")


def check_label(loss, label, rows, classes=None) -> None:
    """Refuse labels that are not (rows,), of a type that the operators lack or that is not exact, or not in 0..classes-1.

    `pick` and its kin clip a label that is out of range, and cut one that is not whole, and train on garbage. Labels come
    from the loader, so that reading them waits for no computation of the network.
    """
    check_column(loss, "label", label, rows)
    name, kind = type(loss).__name__, np.dtype(label.dtype)
    if kind.kind not in "fiu" or kind in (np.float16, np.float64):
        raise GluonFRError(f"{name}: label is {kind.name}; keep labels float32 or int32.")
    values = label.asnumpy().ravel()
    wrong = values[~((values >= 0) & (values < (np.inf if classes is None else classes)) & (values == np.floor(values)))]
    if wrong.size:
        rule = "is no whole number of 0 or more" if classes is None else f"is outside 0..{classes - 1}"
        rule = "is no whole number" if np.isfinite(wrong[0]) and wrong[0] % 1 else rule
        raise GluonFRError(f"{name}: label {wrong[0]:g} {rule}; check the data{'' if classes is None else ' and `classes`'}.")


def nan_unless_finite(x):
    """(N,): 0, or NaN where a row of x (N, M) holds what is not finite.

    The product with zeros, in which only such numbers leave something, is the cheapest way to look at all of them.
    """
    x = x.detach()
    return nd.dot(x, nd.zeros((x.shape[1], 1), ctx=x.context, dtype=x.dtype)).reshape((-1,))

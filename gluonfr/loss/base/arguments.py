"""Checks of the arguments that all losses share."""

from __future__ import annotations

from typing import Any

import mxnet as mx
import numpy as np

from gluonfr.core.arguments import reject


def check_dtype(loss: object, dtype: Any) -> str:
    """Return the name of a floating-point type, or raise `UsageError`.

    Examples
    --------
    >>> check_dtype(None, np.float32)
    'float32'
    """
    try:
        name = None if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = None
    if name not in ("float16", "float32", "float64"):
        reject("dtype", "'float32', 'float64' or 'float16'", dtype, loss)
    return name


def check_initializer(loss: object, name: str, value: Any, default: mx.init.Initializer) -> mx.init.Initializer:
    """Return an initializer, given as such or by its name in MXNet; the default for None.

    Examples
    --------
    >>> type(check_initializer(None, "weight_initializer", "xavier", mx.init.Zero())).__name__
    'Xavier'
    """
    if value is None:
        return default
    try:
        return value if isinstance(value, mx.init.Initializer) else mx.init.create(value)
    except Exception:
        reject(name, "an mx.init.Initializer or the name of one", value, loss)

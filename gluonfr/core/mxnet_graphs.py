"""Uses of MXNet 1.9.1's private API for graphs and operators, like `mxnet_internals.py` for everything else."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mxnet as mx
from mxnet import autograd
from mxnet.base import _LIB, OpHandle, c_str, check_call
from mxnet.gluon import HybridBlock
from mxnet.ndarray.register import _make_ndarray_function
from mxnet.symbol.register import _make_symbol_function


def clear_graph(block: HybridBlock) -> None:
    """Discard the graph of a hybridized block, so that the next call traces `hybrid_forward` again.

    The public `hybridize` does that for the children as well and needs all options again.

    Examples
    --------
    >>> clear_graph(mx.gluon.nn.Dense(2))
    """
    block._clear_cached_op()


@contextmanager
def retraced_graph(block: HybridBlock) -> Iterator[None]:
    """Trace `hybrid_forward` again for the time of a ``with`` block, on the same inputs; a block without a graph stays so.

    `export` writes the graph that the block has, and there is no public way to give it another one.

    Examples
    --------
    >>> with retraced_graph(mx.gluon.nn.Dense(2)):
    ...     pass
    """
    traced = block._cached_graph
    if traced:
        block._cached_graph = ()
        block._get_graph(*traced[0])
    try:
        yield
    finally:
        block._cached_graph = traced


def load_operators(path: str, *names: str) -> None:
    """Load a library of operators, and make those `names` functions of `mx.nd` and `mx.sym`.

    The public `mx.library.load` makes the functions of all operators again, which takes half a second and undoes the casts
    that `amp.init` has put into them.

    Examples
    --------
    >>> load_operators("/no/such/library.so")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    mxnet.base.MXNetError: ...
    """
    check_call(_LIB.MXLoadLib(c_str(path), ctypes.c_uint(0)))
    for name in names:
        handle = OpHandle()
        check_call(_LIB.NNGetOpHandle(c_str(name), ctypes.byref(handle)))
        setattr(mx.nd, name, _make_ndarray_function(handle, name, name))
        setattr(mx.sym, name, _make_symbol_function(handle, name, name))


_accumulates = False


def gradients_may_accumulate() -> bool:
    """Return whether an array of this process was marked with ``grad_req='add'`` since this module was imported.

    Operators of a library write gradients and cannot add to them, and MXNet does not tell what an array wants.

    Examples
    --------
    >>> array = mx.nd.zeros(1)
    >>> array.attach_grad("add")
    >>> gradients_may_accumulate()
    True
    """
    return _accumulates


def _track_grad_req() -> None:
    """Make the two functions that mark arrays for gradients remember whether one of them accumulates."""
    attach, mark = mx.nd.NDArray.attach_grad, autograd.mark_variables

    @functools.wraps(attach)
    def attach_grad(self: Any, grad_req: str = "write", stype: Any = None) -> None:
        _remember(grad_req)
        attach(self, grad_req, stype)

    @functools.wraps(mark)
    def mark_variables(variables: Any, gradients: Any, grad_reqs: Any = "write") -> None:
        _remember(grad_reqs)
        mark(variables, gradients, grad_reqs)

    mx.nd.NDArray.attach_grad, autograd.mark_variables = attach_grad, mark_variables


def _remember(requests: Any) -> None:
    global _accumulates
    _accumulates = _accumulates or "add" in ([requests] if isinstance(requests, str) else requests)


_track_grad_req()

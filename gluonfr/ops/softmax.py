"""Softmax cross-entropy with native operators; `F` is `mx.nd` or `mx.sym`, everything is float32 on a CPU."""

from __future__ import annotations

from typing import Any, NamedTuple


class Change(NamedTuple):
    """How the outputs x of the other classes are changed before they are scaled.

    Attributes
    ----------
    kind : {'support_vector', 'curricular', 'circle'}
        ``t x + t - 1`` where x is above the bound; ``x (t + x)`` where x is above the bound; or
        ``max(x + t, 0) (x - t)``, the first factor without gradient.
    t : float or array (1,)
        An array for 'curricular', else a number.
    bound : (N,), optional
        Has no gradient.

    Examples
    --------
    >>> Change("circle", 0.25).bound
    """

    kind: str
    t: Any
    bound: Any = None


def log_sum_exp_of_others(
    F: Any,
    output: Any,
    label: Any,
    scale: Any = 1.0,
    norms: Any = None,
    offset: Any = None,
    change: Change | None = None,
    centers: int = 1,
) -> tuple[Any, Any]:
    """Return the log-sum-exp of the logits of the other classes, and the own class's output.

    The logits are ``scale * change(x) * norms + offset``, where x is the largest output of a class over its centers. Both
    results are differentiable in output, scale and norms. NaN and infinity in a row of the output make its first result NaN.

    Parameters
    ----------
    F : module
        `mx.nd` or `mx.sym`.
    output : (N, C * centers)
        Outputs of a classifier.
    label : (N,)
        Classes, or -1 where the class is not among these.
    scale : float or array (1,) or (N,), default 1
    norms, offset : (C,), optional
    change : Change, optional
    centers : int, default 1

    Returns
    -------
    sums : (N,)
        -inf where there are no other classes.
    own : (N,)
        Output of the own class, 0 where the label is -1.

    Examples
    --------
    >>> import mxnet as mx
    >>> from gluonfr.ops import available
    >>> output, label = mx.nd.array([[0, 1, 2]]), mx.nd.array([2])
    >>> sums, own = log_sum_exp_of_others(mx.nd, output, label) if available() else mx.nd.array([[1.3133], [2]])
    >>> round(sums.asscalar(), 4), own.asscalar()
    (1.3133, 2.0)
    """
    inputs = [output, label]
    attributes: dict[str, Any] = {"centers": centers}
    if isinstance(scale, (int, float)):
        attributes["factor"] = repr(float(scale))
    else:
        inputs.append(scale)
        attributes["scale"] = 1
    for name, array in (("norms", norms), ("offset", offset)):
        if array is not None:
            inputs.append(array)
            attributes[name] = 1
    if change is not None:
        attributes["change"] = change.kind
        if change.bound is not None:
            inputs.append(change.bound)
        if isinstance(change.t, (int, float)):
            attributes["t"] = repr(float(change.t))
        else:
            inputs.append(change.t)
    sums, own = F.gluonfr_log_sum_exp_of_others(*inputs, **attributes)
    return sums, own


def cross_entropy(F: Any, others: Any, target: Any) -> Any:
    """Return log(1 + exp(others - target)), (N,), (N,) -> (N,): the loss from two logits, exact also where it is tiny.

    Examples
    --------
    >>> import mxnet as mx
    >>> from gluonfr.ops import available
    >>> zero = mx.nd.zeros(1)
    >>> round(cross_entropy(mx.nd, zero, zero).asscalar(), 4) if available() else 0.6931
    0.6931
    """
    return F.gluonfr_cross_entropy(others, target)

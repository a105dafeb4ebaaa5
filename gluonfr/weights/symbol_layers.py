"""One layer of a symbol in a form that does not depend on the program that wrote it: operator, settings, parameter names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gluonfr.core import WeightsError

# Without effect at inference. Casts too: parameters are converted to float32.
PASS_THROUGH = {"copy", "identity", "blockgrad", "stopgradient", "dropout", "cast", "ampcast"}

_ADD = {"plus", "elemwiseadd", "add", "broadcastadd", "broadcastplus", "gradadd", "elementwisesum", "addn"}
_MUL = {"mul", "elemwisemul", "broadcastmul"}
_ACTIVATIONS = {"relu", "sigmoid", "tanh", "softsign"}
# Attributes that affect how a layer is computed or trained, but not what it computes.
_IGNORED = {"workspace", "layout", "cudnn_off", "cudnn_tune", "num_args", "name", "ctx_group", "force_mirroring"}
# Values that descriptions leave out.
_DEFAULTS = ((1, 1), (0, 0), 1, False, "")


class Layer:
    """A layer of a network.

    Parameters
    ----------
    op : str
        Operator, such as "Convolution".
    name : str
        Name of the layer in its graph.
    settings : sequence of (str, value)
        Settings that must agree for two layers to be equal.
    inputs : sequence of Layer
        The layers before it.
    parameters : dict of str to str, optional
        Role ("weight", "bias", "gamma", "beta", "mean", "var", "slope") -> name.
    epsilon : float, default 0
        Of BatchNorm; it may differ, because values are converted.
    fixed : bool, default False
        Of BatchNorm: whether the scale is 1 whatever value is stored; it may differ too.

    Attributes
    ----------
    number : int
        Position in its graph, from 1.
    signature : str
        Equal for layers of equal structure, including everything before them.
    shapes : dict of str to tuple
        Role -> shape, where known.

    Examples
    --------
    >>> Layer("Convolution", "conv0", (("channels", 64), ("stride", (1, 1))))
    Layer(conv0, Convolution, channels 64)
    """

    def __init__(
        self,
        op: str,
        name: str,
        settings: Iterable[tuple[str, Any]] = (),
        inputs: Iterable[Any] = (),
        parameters: dict[str, str] | None = None,
        epsilon: float = 0.0,
        fixed: bool = False,
    ) -> None:
        self.op, self.name, self.settings = op, name, tuple(settings)
        self.inputs: list[Layer] = list(inputs)
        self.parameters = dict(parameters or {})
        self.epsilon, self.fixed = epsilon, fixed
        self.number, self.signature = 0, ""
        self.shapes: dict[str, tuple[int, ...]] = {}

    def __str__(self) -> str:
        settings = [f"{name} {_text(value)}" for name, value in self.settings if value not in _DEFAULTS]
        return ", ".join([self.name, self.op, *settings])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"


def _text(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def fold_name(operator: str) -> str:
    """Return an operator's name without what changed between versions of MXNet.

    Examples
    --------
    >>> fold_name("_MulScalar") == fold_name("_mul_scalar"), fold_name("Convolution_v1")
    (True, 'convolution')
    """
    name = operator.lower().replace("_", "")
    return name[:-2] if name.endswith("v1") else name


def settings_of(node: dict[str, Any]) -> dict[str, str]:
    """Return the settings of a node, whatever key the version of MXNet uses.

    Examples
    --------
    >>> settings_of({"param": {"kernel": "(3, 3)"}})
    {'kernel': '(3, 3)'}
    """
    return {
        str(name): str(value)
        for key in ("attr", "attrs", "param")
        for name, value in (node.get(key) or {}).items()
        if not str(name).startswith("__")
    }


def make_layer(node: dict[str, Any], settings: dict[str, str], sources: Sequence[Any], where: str) -> Layer:
    """Return the `Layer` of a node.

    Parameters
    ----------
    node : dict
        With `op` and `name`.
    settings : dict of str to str
        See `settings_of`.
    sources : list of Layer or str
        Its inputs: layers, and names of parameters. A Flatten before a dense layer is left out.
    where : str
        The file, for messages.

    Examples
    --------
    >>> make_layer({"op": "Flatten", "name": "flat"}, {}, [Layer("Input", "data")], "example")
    Layer(flat, Flatten)
    """
    operator = fold_name(node["op"])
    try:
        maker = _MAKERS.get(operator, _other)
        if operator in _ADD | _MUL and len(sources) == 2:
            maker = _sum_or_product
        elif operator in _ACTIVATIONS:
            maker = _activation
        elif operator in _SCALARS:
            maker = _scalar
        return maker(node, settings, sources)
    except (KeyError, ValueError, IndexError, ZeroDivisionError, OverflowError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise WeightsError(
            f"{where}: layer {node['name']} ({node['op']}) has wrong settings or inputs ({reason}); fetch the file again."
        ) from error


def _numbers(settings: dict[str, str], name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    found = tuple(int(digits) for digits in re.findall(r"-?\d{1,9}", settings.get(name, "")))
    return found or default


def _is(settings: dict[str, str], name: str, default: bool) -> bool:
    return settings.get(name, str(default)).lower() in ("true", "1")


def _parameters(sources: Sequence[Any], roles: Sequence[str]) -> dict[str, str]:
    """Return role -> name of a node's parameters, which follow its first input."""
    if not isinstance(sources[0], Layer):
        raise ValueError("its first input is not a layer")
    names = sources[1 : 1 + len(roles)]
    if len(names) < len(roles) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"its {', '.join(roles)} are not plain parameters")
    return dict(zip(roles, names))


def _convolution(node: dict[str, Any], settings: dict[str, str], sources: Sequence[Any]) -> Layer:
    kernel = _numbers(settings, "kernel", ())
    ones, zeros = (1,) * len(kernel), (0,) * len(kernel)
    roles = ["weight"] if _is(settings, "no_bias", False) else ["weight", "bias"]
    compared = (
        ("channels", int(settings["num_filter"])),
        ("kernel", kernel),
        ("stride", _numbers(settings, "stride", ones)),
        ("padding", _numbers(settings, "pad", zeros)),
        ("dilation", _numbers(settings, "dilate", ones)),
        ("groups", int(settings.get("num_group", 1))),
    )
    return Layer("Convolution", node["name"], compared, sources[:1], _parameters(sources, roles))


def _dense(node: dict[str, Any], settings: dict[str, str], sources: Sequence[Any]) -> Layer:
    roles = ["weight"] if _is(settings, "no_bias", False) else ["weight", "bias"]
    names = _parameters(sources, roles)
    source = sources[0]
    while source.op == "Flatten":
        source = source.inputs[0]
    return Layer("Dense", node["name"], (("channels", int(settings["num_hidden"])),), [source], names)


def _batch_norm(node: dict[str, Any], settings: dict[str, str], sources: Sequence[Any]) -> Layer:
    if len(sources) == 3:
        # Before MXNet 0.9 running statistics were not written as inputs.
        sources = [*sources, node["name"] + "_moving_mean", node["name"] + "_moving_var"]
    names = _parameters(sources, ["gamma", "beta", "mean", "var"])
    # The operator's own defaults, which differ from Gluon's.
    epsilon, fixed = float(settings.get("eps", 1e-3)), _is(settings, "fix_gamma", True)
    return Layer("BatchNorm", node["name"], (("axis", int(settings.get("axis", 1))),), sources[:1], names, epsilon, fixed)


def _leaky_relu(node: dict[str, Any], settings: dict[str, str], sources: Sequence[Any]) -> Layer:
    kind = settings.get("act_type", "leaky")
    if kind == "prelu":
        return Layer("PReLU", node["name"], (), sources[:1], _parameters(sources, ["slope"]))
    compared = (("kind", kind), ("slope", _round(float(settings.get("slope", 0.25)))))
    return Layer("LeakyReLU", node["name"], compared, _layers(sources))


def _activation(node: dict[str, Any], settings: dict[str, str], sources: Sequence[Any]) -> Layer:
    kind = settings.get("act_type") or fold_name(node["op"])
    return Layer("Activation", node["name"], (("kind", kind),), _layers(sources))


def _pooling(node: dict[str, Any], settings: dict[str, str], sources: Sequence[Any]) -> Layer:
    compared: tuple[tuple[str, Any], ...] = (("kind", settings.get("pool_type", "max")),)
    if _is(settings, "global_pool", False):
        return Layer("Pooling", node["name"], (*compared, ("global", "yes")), _layers(sources))
    kernel = _numbers(settings, "kernel", ())
    compared += (
        ("kernel", kernel),
        ("stride", _numbers(settings, "stride", (1,) * len(kernel))),
        ("padding", _numbers(settings, "pad", (0,) * len(kernel))),
        ("convention", settings.get("pooling_convention", "valid")),
        ("with padding", settings.get("count_include_pad", "None") not in ("False", "0")),
    )
    return Layer("Pooling", node["name"], compared, _layers(sources))


def _flatten(node: dict[str, Any], settings: dict[str, str], sources: Sequence[Any]) -> Layer:
    return Layer("Flatten", node["name"], (), _layers(sources))


def _reshape(node: dict[str, Any], settings: dict[str, str], sources: Sequence[Any]) -> Layer:
    if _numbers(settings, "shape", ()) == (0, -1):
        return _flatten(node, settings, sources)
    return _other(node, settings, sources)


def _sum_or_product(node: dict[str, Any], settings: dict[str, str], sources: Sequence[Any]) -> Layer:
    op = "Add" if fold_name(node["op"]) in _ADD else "Mul"
    return Layer(op, node["name"], (), _layers(sources))


_SCALARS: dict[str, Callable[[float], tuple[float, float]]] = {
    "plusscalar": lambda value: (1.0, value),
    "minusscalar": lambda value: (1.0, -value),
    "rminusscalar": lambda value: (-1.0, value),
    "mulscalar": lambda value: (value, 0.0),
    "divscalar": lambda value: (1 / value, 0.0),
}


def _scalar(node: dict[str, Any], settings: dict[str, str], sources: Sequence[Any]) -> Layer:
    """Return scale * x + offset; consecutive ones are merged."""
    scale, offset = _SCALARS[fold_name(node["op"])](float(settings["scalar"]))
    (source,) = _layers(sources)
    if source.op == "Affine":
        before = dict(source.settings)
        scale, offset, source = scale * before["scale"], scale * before["offset"] + offset, source.inputs[0]
    return Layer("Affine", node["name"], (("scale", _round(scale)), ("offset", _round(offset))), [source])


def _other(node: dict[str, Any], settings: dict[str, str], sources: Sequence[Any]) -> Layer:
    """Return the layer of an unknown operator: all its settings and inputs are compared."""
    compared = sorted((name, value) for name, value in settings.items() if name not in _IGNORED)
    inputs = [source for source in sources if isinstance(source, Layer)]
    names = {str(i): source for i, source in enumerate(sources) if isinstance(source, str)}
    if not inputs:
        raise ValueError("none of its inputs is a layer")
    return Layer(node["op"], node["name"], compared, inputs, names)


def _layers(sources: Sequence[Any]) -> Sequence[Layer]:
    if not sources or not all(isinstance(source, Layer) for source in sources):
        raise ValueError("an input is a parameter instead of a layer")
    return sources


def _round(number: float) -> float:
    return float(f"{number:.9g}")


_MAKERS: dict[str, Callable[[dict[str, Any], dict[str, str], Sequence[Any]], Layer]] = {
    "convolution": _convolution,
    "fullyconnected": _dense,
    "batchnorm": _batch_norm,
    "cudnnbatchnorm": _batch_norm,
    "leakyrelu": _leaky_relu,
    "activation": _activation,
    "pooling": _pooling,
    "flatten": _flatten,
    "reshape": _reshape,
}

"""One layer of a graph in a form that does not depend on who wrote the graph: operator, settings, names of parameters."""

from __future__ import annotations

import re

from gluonfr.core import GluonFRError

# Without effect at inference. Casts too: parameters are brought to float32.
PASSED = {"copy", "identity", "blockgrad", "stopgradient", "dropout", "cast", "ampcast"}

_ADD = {"plus", "elemwiseadd", "add", "broadcastadd", "broadcastplus", "gradadd", "elementwisesum", "addn"}
_MUL = {"mul", "elemwisemul", "broadcastmul"}
_ACTIVATIONS = {"relu", "sigmoid", "tanh", "softsign"}
# Say how to compute or to train, not what.
_NO_SETTINGS = {"workspace", "layout", "cudnn_off", "cudnn_tune", "num_args", "name", "ctx_group", "force_mirroring"}


class Layer:
    """A layer.

    Attributes
    ----------
    op : str
    name : str
        As the graph calls it.
    settings : tuple of (str, value)
        What must agree for two layers to be the same.
    inputs : list of Layer
    parameters : dict of str -> str
        Role ("weight", "bias", "gamma", "beta", "mean", "var", "slope") -> name.
    epsilon : float
    fixed : bool
        Of BatchNorm; these may differ, values are converted. `fixed`: the scale is 1 whatever is stored.
    shapes : dict of str -> tuple
        Role -> shape, where known.
    """

    def __init__(self, op, name, settings=(), inputs=(), parameters=None, epsilon=0.0, fixed=False) -> None:
        self.op, self.name, self.settings = op, name, tuple(settings)
        self.inputs, self.parameters = list(inputs), dict(parameters or {})
        self.epsilon, self.fixed = epsilon, fixed
        self.number, self.signature, self.shapes = 0, "", {}

    def __str__(self) -> str:
        said = [f"{name} {_text(value)}" for name, value in self.settings if value not in _UNSAID]
        return ", ".join([self.name, self.op, *said])


_UNSAID = ((1, 1), (0, 0), 1, False, "")


def _text(value):
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def fold_name(operator):
    """An operator's name without what changed between versions of MXNet."""
    name = operator.lower().replace("_", "")
    return name[:-2] if name.endswith("v1") else name


def settings_of(node):
    """A node's settings, text by text, whatever the dialect calls them."""
    return {
        str(name): str(value)
        for dialect in ("attr", "attrs", "param")
        for name, value in (node.get(dialect) or {}).items()
        if not str(name).startswith("__")
    }


def make_layer(node, settings, sources, where):
    """The `Layer` of a node that takes `sources` (layers, and names of variables); a Flatten before Dense vanishes."""
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
        raise GluonFRError(f"{where}: layer {node['name']} ({node['op']}) has wrong settings or inputs ({error!r}).") from error


def _numbers(settings, name, default):
    found = tuple(int(each) for each in re.findall(r"-?\d+", settings.get(name, "")))
    return found or default


def _is(settings, name, default):
    return settings.get(name, str(default)).lower() in ("true", "1")


def _names(node, sources, roles):
    """Role -> name of a node's parameters, which stand behind what it computes from."""
    if not isinstance(sources[0], Layer):
        raise ValueError("it takes no layer")
    names = sources[1 : 1 + len(roles)]
    if len(names) < len(roles) or not all(isinstance(each, str) for each in names):
        raise ValueError(f"its {', '.join(roles)} are no plain parameters")
    return dict(zip(roles, names))


def _convolution(node, settings, sources):
    kernel = _numbers(settings, "kernel", ())
    ones, zeros = (1,) * len(kernel), (0,) * len(kernel)
    roles = ["weight"] if _is(settings, "no_bias", False) else ["weight", "bias"]
    said = (
        ("channels", int(settings["num_filter"])),
        ("kernel", kernel),
        ("stride", _numbers(settings, "stride", ones)),
        ("padding", _numbers(settings, "pad", zeros)),
        ("dilation", _numbers(settings, "dilate", ones)),
        ("groups", int(settings.get("num_group", 1))),
    )
    return Layer("Convolution", node["name"], said, sources[:1], _names(node, sources, roles))


def _dense(node, settings, sources):
    roles = ["weight"] if _is(settings, "no_bias", False) else ["weight", "bias"]
    names = _names(node, sources, roles)
    source = sources[0]
    while source.op == "Flatten":
        source = source.inputs[0]
    return Layer("Dense", node["name"], (("channels", int(settings["num_hidden"])),), [source], names)


def _batch_norm(node, settings, sources):
    if len(sources) == 3:
        # Before MXNet 0.9 running statistics were not written as inputs.
        sources = [*sources, node["name"] + "_moving_mean", node["name"] + "_moving_var"]
    names = _names(node, sources, ["gamma", "beta", "mean", "var"])
    said = (("axis", int(settings.get("axis", 1))),)
    # The operator's own defaults, which differ from Gluon's.
    epsilon, fixed = float(settings.get("eps", 1e-3)), _is(settings, "fix_gamma", True)
    return Layer("BatchNorm", node["name"], said, sources[:1], names, epsilon, fixed)


def _leaky_relu(node, settings, sources):
    kind = settings.get("act_type", "leaky")
    if kind == "prelu":
        return Layer("PReLU", node["name"], (), sources[:1], _names(node, sources, ["slope"]))
    said = (("kind", kind), ("slope", _round(float(settings.get("slope", 0.25)))))
    return Layer("LeakyReLU", node["name"], said, _layers(sources))


def _activation(node, settings, sources):
    kind = settings.get("act_type") or fold_name(node["op"])
    return Layer("Activation", node["name"], (("kind", kind),), _layers(sources))


def _pooling(node, settings, sources):
    said = (("kind", settings.get("pool_type", "max")),)
    if _is(settings, "global_pool", False):
        return Layer("Pooling", node["name"], (*said, ("global", "yes")), _layers(sources))
    kernel = _numbers(settings, "kernel", ())
    said += (
        ("kernel", kernel),
        ("stride", _numbers(settings, "stride", (1,) * len(kernel))),
        ("padding", _numbers(settings, "pad", (0,) * len(kernel))),
        ("convention", settings.get("pooling_convention", "valid")),
        ("with padding", settings.get("count_include_pad", "None") not in ("False", "0")),
    )
    return Layer("Pooling", node["name"], said, _layers(sources))


def _flatten(node, settings, sources):
    return Layer("Flatten", node["name"], (), _layers(sources))


def _reshape(node, settings, sources):
    if _numbers(settings, "shape", ()) == (0, -1):
        return _flatten(node, settings, sources)
    return _other(node, settings, sources)


def _sum_or_product(node, settings, sources):
    op = "Add" if fold_name(node["op"]) in _ADD else "Mul"
    return Layer(op, node["name"], (), _layers(sources))


_SCALARS = {
    "plusscalar": lambda value: (1.0, value),
    "minusscalar": lambda value: (1.0, -value),
    "rminusscalar": lambda value: (-1.0, value),
    "mulscalar": lambda value: (value, 0.0),
    "divscalar": lambda value: (1 / value, 0.0),
}


def _scalar(node, settings, sources):
    """Scale * x + offset; several in a row are one."""
    scale, offset = _SCALARS[fold_name(node["op"])](float(settings["scalar"]))
    (source,) = _layers(sources)
    if source.op == "Affine":
        before = dict(source.settings)
        scale, offset, source = scale * before["scale"], scale * before["offset"] + offset, source.inputs[0]
    said = (("scale", _round(scale)), ("offset", _round(offset)))
    return Layer("Affine", node["name"], said, [source])


def _other(node, settings, sources):
    """An operator of which nothing is known: all settings and all inputs count."""
    said = sorted((name, value) for name, value in settings.items() if name not in _NO_SETTINGS)
    inputs = [each for each in sources if isinstance(each, Layer)]
    names = {str(i): each for i, each in enumerate(sources) if isinstance(each, str)}
    if not inputs:
        raise ValueError("it takes no layer")
    return Layer(node["op"], node["name"], said, inputs, names)


def _layers(sources):
    if not all(isinstance(each, Layer) for each in sources) or not sources:
        raise ValueError("it takes a parameter where a layer belongs")
    return sources


def _round(number):
    return float(f"{number:.9g}")


_MAKERS = {
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

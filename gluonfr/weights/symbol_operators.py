"""Operators that a symbol from a file may have: their numbers of inputs and outputs, and the range of their settings."""

from __future__ import annotations

import math
import re

import mxnet as mx

from gluonfr.weights.symbol_layers import fold_name

_ELEMENTWISE = """
    abs activation addn ampcast blockgrad cast clip copy dropout elementwisesum erf exp flatten hardsigmoid identity
    l2normalization leakyrelu linearregressionoutput log logisticregressionoutput logsoftmax lrn makeloss negative oneslike
    reciprocal relu rsqrt sigmoid softmax softmaxactivation softmaxoutput softsign sqrt square stopgradient tanh zeroslike
"""
_SHAPES = """
    concat crop depthtospace expanddims flip full ones pad repeat reshape reverse slice sliceaxis slicechannel slicelike
    spacetodepth split squeeze stack swapaxes swapaxis tile transpose upsampling zeros contribbilinearresize2d
    contribadaptiveavgpooling2d
"""
_SUMS = """
    batchdot batchnorm convolution cudnnbatchnorm deconvolution dot fullyconnected groupnorm instancenorm layernorm max maxaxis
    mean min minaxis norm pooling prod sum sumaxis
"""
_BINARY = ("add", "div", "maximum", "minimum", "minus", "mul", "plus", "power", "sub")
OPERATORS = {
    *(_ELEMENTWISE + _SHAPES + _SUMS).split(),
    *(prefix + name for name in _BINARY for prefix in ("", "elemwise", "broadcast", "r")),
    *(prefix + name + "scalar" for name in _BINARY for prefix in ("", "r")),
    "gradadd",
}

# Least and largest of the integers in a setting.
_RANGES = {
    "kernel": (0, 4096),
    "stride": (1, 4096),
    "dilate": (1, 4096),
    "pad": (0, 4096),
    "adj": (0, 4096),
    "target_shape": (0, 4096),
    "num_filter": (1, 1 << 16),
    "num_group": (1, 1 << 16),
    "num_hidden": (1, 1 << 20),
    "num_outputs": (1, 1024),
    "num_args": (1, 1024),
    "height": (1, 4096),
    "width": (1, 4096),
    "output_size": (1, 4096),
    "sample_type": (0, 0),
    "pad_width": (0, 4096),
    "block_size": (1, 64),
    "reps": (1, 1024),
    "repeats": (1, 1024),
    "nsize": (1, 4096),
    "axis": (-16, 16),
    "axes": (-16, 16),
    "dim": (-16, 16),
    "dim1": (-16, 16),
    "dim2": (-16, 16),
    "shape": (-4, 1 << 24),
    "offset": (0, 4096),
    "h_w": (0, 4096),
}
_FLOATS = ("scalar", "eps", "momentum", "p", "slope", "a_min", "a_max", "alpha", "beta", "constant_value", "value")
NORMS = ("batchnorm", "cudnnbatchnorm", "layernorm", "groupnorm", "instancenorm")


def check_operator(operator: str, name: str, settings: dict[str, str], inputs: int, version: int) -> int:
    """Check a node of a symbol, and return its number of outputs.

    Parameters
    ----------
    operator, name : str
        Operator and name of the node.
    settings : dict of str to str
        Its settings.
    inputs : int
        Its number of inputs.
    version : int
        Version of MXNet that wrote it, such as 10901; 0 if it is not recorded.

    Raises
    ------
    ValueError
        The operator is not supported, a setting is out of range, or the number of inputs is wrong.

    Examples
    --------
    >>> check_operator("SliceChannel", "split0", {"num_outputs": "2"}, inputs=1, version=10901)
    2
    >>> check_operator("Custom", "mine", {"op_type": "x"}, inputs=1, version=10901)
    Traceback (most recent call last):
    ...
    ValueError: layer mine is a Custom, which is not supported in networks from files
    """
    folded = fold_name(operator)
    if folded not in OPERATORS:
        raise ValueError(f"layer {name} is a {operator}, which is not supported in networks from files")
    for setting, value in settings.items():
        _check_setting(name, setting, value, folded)
    expected = _number_of_inputs(operator, folded, settings, inputs, version)
    if inputs not in expected:
        raise ValueError(f"layer {name} ({operator}) has {inputs} inputs instead of {' or '.join(map(str, expected))}")
    if folded in ("slicechannel", "split"):
        return int(settings.get("num_outputs", "1"))
    return 3 if folded in NORMS and _is(settings, "output_mean_var") else 1


def _check_setting(name: str, setting: str, value: str, folded: str) -> None:
    if setting in _RANGES:
        least, most = _RANGES[setting]
        numbers = re.findall(r"-?\d+", value)
        if any(len(number) > 10 or not least <= int(number) <= most for number in numbers):
            raise ValueError(f"layer {name} has {setting} {value[:100]}, which is out of range")
        # Global pooling may have an empty kernel.
        if setting == "kernel" and folded != "pooling" and any(int(number) < 1 for number in numbers):
            raise ValueError(f"layer {name} has an empty kernel")
    elif setting == "scale" and folded == "upsampling":
        if not re.fullmatch(r"[1-9]|1[0-6]", value.strip()):
            raise ValueError(f"layer {name} has the scale {value[:100]}, which is out of range")
    elif setting in _FLOATS:
        try:
            finite = math.isfinite(float(value))
        except ValueError:
            # Another kind of setting with the same name, such as a flag; MXNet's parser checks it.
            finite = True
        if not finite:
            raise ValueError(f"layer {name} has {setting} {value[:100]}, which is not a finite number")


def _is(settings: dict[str, str], name: str, default: bool = False) -> bool:
    return settings.get(name, str(default)).strip().lower() in ("true", "1")


def _number_of_inputs(operator: str, folded: str, settings: dict[str, str], inputs: int, version: int) -> tuple[int, ...]:
    """Return the numbers of inputs that are possible for an operator with these settings."""
    if folded in ("convolution", "fullyconnected", "deconvolution"):
        return (2 if _is(settings, "no_bias", folded == "deconvolution") else 3,)
    if operator == "Crop":
        # The second input, if there is one, determines the size of the output.
        return (2,) if settings.get("num_args") == "2" else (1,)
    if folded == "leakyrelu":
        return (2 if settings.get("act_type", "leaky") == "prelu" else 1,)
    if folded in ("batchnorm", "cudnnbatchnorm"):
        # Before MXNet 0.9 running statistics were not written as inputs.
        return (5,) if version >= 900 else (3, 5)
    if folded == "contribbilinearresize2d":
        return (2 if settings.get("mode") == "like" else 1,)
    if folded in ("softmax", "logsoftmax"):
        # Before MXNet 0.12, Softmax was the name of SoftmaxOutput.
        return (2,) if operator == "Softmax" or _is(settings, "use_length") else (1,)
    try:
        declared = mx.operator.get_operator_arguments(operator)
    except mx.base.MXNetError as error:
        raise ValueError(f"operator {operator} does not exist in this version of MXNet") from error
    kinds = [kind for kind in declared.types if "NDArray-or-Symbol" in kind]
    if any("[]" in kind for kind in kinds):
        return (int(settings.get("num_args", inputs)),) if inputs else (1,)
    return (len(kinds),)

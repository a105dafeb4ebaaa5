"""Symbols of MXNet (`X-symbol.json`), checked before MXNet's own reader sees them: it trusts what a file declares."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from typing import Any

import mxnet as mx

from gluonfr.core import PathLike, WeightsError, require_file
from gluonfr.core.reading import parse_json
from gluonfr.weights.symbol_layers import fold_name
from gluonfr.weights.symbol_operators import NORMS, check_operator

_MOST_BYTES, _MOST_NODES = 64 << 20, 20_000
# Numbers in any array between two layers, for one image.
_MOST_NUMBERS = 1 << 27
_SETTINGS = ("attrs", "attr", "param")


def read_symbol(path: PathLike) -> tuple[list[dict[str, Any]], list[int]]:
    """Read the nodes of a symbol, and the numbers of the nodes that are its outputs, without MXNet.

    Parameters
    ----------
    path : str
        `X-symbol.json`, of any version of MXNet.

    Raises
    ------
    WeightsError
        The file is not a valid symbol.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "x-symbol.json")
    ...     mx.sym.Flatten(mx.sym.var("data"), name="flat").save(path)
    ...     nodes, heads = read_symbol(path)
    >>> [node["name"] for node in nodes], heads
    (['data', 'flat'], [1])
    """
    graph = _read_graph(require_file(path, "symbol"))
    return graph["nodes"], [head[0] for head in graph["heads"]]


def load_symbol(path: PathLike) -> Any:
    """Load a symbol that is to be run.

    References, numbers of inputs and outputs, operators and their settings are checked first; MXNet would read beyond its
    memory otherwise. Attributes that only training uses are removed.

    Parameters
    ----------
    path : str
        `X-symbol.json`, of any version of MXNet.

    Raises
    ------
    WeightsError
        The file is not a valid symbol, or has an operator that networks for faces do not need.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "x-symbol.json")
    ...     mx.sym.Flatten(mx.sym.var("data"), name="flat").save(path)
    ...     load_symbol(path).list_outputs()
    ['flat_output']
    """
    path = require_file(path, "symbol")
    graph = _read_graph(path)
    version = _version_of(graph)
    nodes = graph["nodes"]
    try:
        outputs: list[int] = []
        for number, node in enumerate(nodes):
            outputs.append(_check_run_node(node, number, outputs, version))
        for head in graph["heads"]:
            _check_output(head, outputs, nodes)
        _check_parameters(nodes)
        names = [node["name"] for node in nodes if node["op"] == "null"]
        if len(set(names)) < len(names):
            raise ValueError("two of its variables have the same name")
        return mx.sym.load_json(json.dumps(_clean(graph, version)))
    except (ValueError, mx.base.MXNetError) as error:
        raise WeightsError(f"{path} cannot be run ({_first_line(error)}); export or fetch it again.") from error


def check_array_sizes(symbol: Any, shapes: dict[str, tuple[int, ...]], where: str) -> None:
    """Raise WeightsError if the arrays between the layers do not fit together or are absurdly large.

    Parameters
    ----------
    symbol : Symbol
        A symbol of `load_symbol`.
    shapes : dict of str to tuple
        Shapes of all its inputs by name: the image and the parameters.
    where : str
        The file, for messages.

    Examples
    --------
    >>> check_array_sizes(mx.sym.Flatten(mx.sym.var("data")), {"data": (1, 3, 112, 112)}, "example")
    """
    internals = symbol.get_internals()
    try:
        # `infer_shape` would print its failures.
        found = internals.infer_shape_partial(**shapes)[1]
    except (mx.base.MXNetError, ValueError, TypeError, OverflowError) as error:
        raise WeightsError(f"{where}: its layers do not fit together ({_first_line(error)}); fetch it again.") from error
    for name, shape in zip(internals.list_outputs(), found):
        if not shape or 0 in shape:
            raise WeightsError(f"{where}: the shape of {name} is not determined; fetch it again.")
        if shape != shapes.get(name, shape):
            raise WeightsError(f"{where}: {name} has the shape {shapes[name]} instead of {shape}; fetch it again.")
        if math.prod(shape) > _MOST_NUMBERS:
            raise WeightsError(f"{where}: {name} has the shape {shape}, which is too large for one image; fetch it again.")


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    reason = " ".join(next((line for line in lines if "Error" in line or "failed" in line), lines[0] if lines else "").split())
    return reason[:300]


def _read_graph(path: str) -> dict[str, Any]:
    try:
        if os.path.getsize(path) > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES:,} bytes")
        with open(path, "rb") as file:
            graph = parse_json(file.read(), "its text")
        nodes, heads = graph["nodes"], graph["heads"]
        if not isinstance(nodes, list) or not isinstance(heads, list) or len(nodes) > _MOST_NODES:
            raise ValueError(f"its nodes are not a list of at most {_MOST_NODES:,}")
        for number, node in enumerate(nodes):
            _check_node(node, number)
        if not heads or not all(_is_reference(head, len(nodes)) for head in heads):
            raise ValueError("it has no valid output")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise WeightsError(f"{path} is not a valid symbol of MXNet ({reason}); fetch it again.") from error
    return graph


def _check_node(node: dict[str, Any], number: int) -> None:
    # MXNet writes control characters as they are, which no reader of JSON accepts.
    is_valid = isinstance(node["op"], str) and isinstance(node["name"], str) and node["name"].isprintable()
    is_valid = is_valid and all(isinstance(node.get(key) or {}, dict) for key in _SETTINGS)
    is_valid = is_valid and isinstance(node["inputs"], list)
    if not is_valid or not all(_is_reference(reference, number) for reference in node["inputs"]):
        raise ValueError(f"node {number} is malformed")


def _is_reference(reference: Any, below: int) -> bool:
    return (
        isinstance(reference, list)
        and 2 <= len(reference) <= 3
        and all(type(number) is int and number >= 0 for number in reference)
        and reference[0] < below
    )


def _version_of(graph: dict[str, Any]) -> int:
    """Return the version of MXNet that wrote a graph, such as 10901; 0 before it was recorded."""
    attributes = graph.get("attrs")
    recorded = attributes.get("mxnet_version") if isinstance(attributes, dict) else None
    version = recorded[1] if isinstance(recorded, list) and len(recorded) == 2 else 0
    return version if type(version) is int and 0 <= version < 20_000 else 0


def _check_run_node(node: dict[str, Any], number: int, outputs: list[int], version: int) -> int:
    """Check a node that is to be run, and return its number of outputs."""
    if node.get("subgraphs") or node.get("control_deps"):
        raise ValueError(f"node {number} has a graph or dependencies of its own, which are not supported")
    settings: dict[str, str] = {}
    for key in _SETTINGS:
        for name, value in (node.get(key) or {}).items():
            if not isinstance(value, str) or len(value) > 1000 or not (name + value).isprintable():
                raise ValueError(f"node {number} has a malformed setting {name!r}")
            settings[name] = value
    for reference in node["inputs"]:
        if reference[1] >= outputs[reference[0]]:
            raise ValueError(f"node {number} uses output {reference[1]} of node {reference[0]}, which does not exist")
    if node["op"] == "null":
        if node["inputs"]:
            raise ValueError(f"node {number} is a variable with inputs")
        return 1
    return check_operator(node["op"], node["name"], settings, len(node["inputs"]), version)


def _check_parameters(nodes: list[dict[str, Any]]) -> None:
    """Check that parameters of normalizations and PReLU are variables of their own.

    MXNet assigns their shapes without comparing them with what they have, and would read beyond an array of another layer.
    """
    uses = Counter(reference[0] for node in nodes for reference in node["inputs"])
    for number, node in enumerate(nodes):
        if fold_name(node["op"]) in (*NORMS, "leakyrelu"):
            for place, *_ in node["inputs"][1:]:
                if nodes[place]["op"] != "null" or uses[place] > 1:
                    raise ValueError(f"node {number} has a parameter that is not a variable of its own")


def _check_output(head: list[int], outputs: list[int], nodes: list[dict[str, Any]]) -> None:
    if head[1] >= outputs[head[0]]:
        raise ValueError(f"its output {head[1]} of {nodes[head[0]]['name']} does not exist")


def _clean(graph: dict[str, Any], version: int) -> dict[str, Any]:
    """Return only what was checked. Attributes such as `__init__` would be read when parameters are initialized."""
    nodes = []
    for node in graph["nodes"]:
        clean: dict[str, Any] = {"op": node["op"], "name": node["name"]}
        for key in _SETTINGS:
            if node.get(key):
                clean[key] = {name: value for name, value in node[key].items() if not name.startswith("__")}
        clean["inputs"] = [[*reference[:2], 0] for reference in node["inputs"]]
        nodes.append(clean)
    variables = [number for number, node in enumerate(nodes) if node["op"] == "null"]
    heads = [[*head[:2], 0] for head in graph["heads"]]
    attributes = {"attrs": {"mxnet_version": ["int", version]}} if version else {}
    return {"nodes": nodes, "arg_nodes": variables, "heads": heads, **attributes}

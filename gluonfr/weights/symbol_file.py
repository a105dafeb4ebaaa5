from __future__ import annotations

import json
from typing import Any

from gluonfr.core import WeightsError


def read_symbol(path: str) -> tuple[list[dict[str, Any]], list[int]]:
    """Read the symbol of an MXNet checkpoint: its nodes, and the numbers of the nodes that are its outputs.

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
    >>> import mxnet as mx, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "x-symbol.json")
    ...     mx.sym.Flatten(mx.sym.var("data"), name="flat").save(path)
    ...     nodes, heads = read_symbol(path)
    >>> [node["name"] for node in nodes], heads
    (['data', 'flat'], [1])
    """
    try:
        with open(path, encoding="utf-8") as file:
            graph = json.load(file)
        nodes, heads = graph["nodes"], graph["heads"]
        for number, node in enumerate(nodes):
            _check_node(node, number)
        if not heads or not all(_is_reference(head, len(nodes)) for head in heads):
            raise ValueError("it has no valid output")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise WeightsError(f"{path}: is not a valid symbol of MXNet ({reason}); fetch it again.") from error
    return nodes, [head[0] for head in heads]


def _check_node(node: dict[str, Any], number: int) -> None:
    is_valid = isinstance(node["op"], str) and isinstance(node["name"], str)
    is_valid = is_valid and all(isinstance(node.get(key) or {}, dict) for key in ("attr", "attrs", "param"))
    if not is_valid or not all(_is_reference(reference, number) for reference in node["inputs"]):
        raise ValueError(f"node {number} is malformed")


def _is_reference(reference: Any, below: int) -> bool:
    return (
        isinstance(reference, list)
        and len(reference) >= 2
        and all(isinstance(number, int) and number >= 0 for number in reference[:2])
        and reference[0] < below
    )

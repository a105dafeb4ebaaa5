"""PyTorch state dicts of arcface_torch (iresnet and mbf) in our networks."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from gluonfr.core import Card, PathLike, WeightsError, file_sha256
from gluonfr.model_zoo.registry import get_model, list_models
from gluonfr.weights.conversion import convert_parameters, set_parameters
from gluonfr.weights.known_files import known_card_fields
from gluonfr.weights.layer_graph import graph_of_network
from gluonfr.weights.symbol_layers import Layer
from gluonfr.weights.torch_file import read_torch

# Names of the layers of the two families in arcface_torch, and our networks with their structure.
_FAMILIES = (
    (re.compile(r"(conv1|bn[12]|prelu|layer[1-4]\.\d+\.(bn[123]|conv[12]|prelu|downsample\.[01])|fc|features)$"), ("lresnet",)),
    (re.compile(r"(layers\.\d+|conv_sep|features)\.layers\.[\d.layers]*$"), ("mobilefacenet", "mbf")),
)
# Of all BatchNorms: PyTorch's default, which a state dict does not contain.
_EPSILON = 1e-5
# Keys of the state dict in checkpoints of trainings.
_KEYS = ("state_dict_backbone", "state_dict", "model_state_dict", "backbone", "model", "net", "network", "module", "ema")
_MOST_NESTING = 4
# A layer that both families have exactly once, and the prefix that wrappers such as DataParallel or Lightning put before it.
_MARKER = re.compile(r"((?:.+\.)?)(?:layer1\.0\.conv1|conv_sep\.layers\.0)\.weight$")
# Modules that torch.compile, FSDP and activation checkpointing insert anywhere in a name.
_WRAPPERS = re.compile(r"(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_NORM_ROLES = {"running_mean": "mean", "running_var": "var", "weight": "gamma", "bias": "beta"}


def load_torch(
    path: PathLike, network: str | None = None, ctx: mx.Context | Sequence[mx.Context] | None = None
) -> tuple[HybridBlock, Card]:
    """Load a PyTorch state dict of arcface_torch (iresnet or mbf) into a network of the model zoo, without PyTorch.

    Both expect RGB scaled to [-1, 1], as our networks do inside. The network is recognized by the order, kinds and shapes of
    its layers.

    Parameters
    ----------
    path : str
        `.pt` or `.pth` of PyTorch 1.6 or later: a state dict, or a training checkpoint that contains one.
    network : str, optional
        Name of the only network to compare with; default all of the model zoo.
    ctx : Context or list of Context, default CPU
        Devices of the parameters.

    Returns
    -------
    net : HybridBlock
        The network with its weights.
    card : Card
        Its card.

    Raises
    ------
    WeightsError
        The file is missing or damaged, or asks for code; no network of the model zoo has these layers (the most similar one is
        named, and the first layer that differs).

    Examples
    --------
    >>> net, card = load_torch("backbone.pth")  # doctest: +SKIP
    >>> card.network  # doctest: +SKIP
    'lresnet50e_ir'
    """
    state = TorchState(path)
    name, net, values = state.recognize([network] if network else list_models())
    set_parameters(net, values, ctx)
    net.hybridize(static_alloc=True)
    sha256 = file_sha256(state.path)
    size = net.embedding_size
    card: dict[str, Any] = {"network": name, "arguments": {"embedding_size": size}, "embedding_size": size}
    card.update(known_card_fields(sha256))
    card["extra"] = {**card.get("extra", {}), "converted_from": os.path.basename(state.path), "original_sha256": sha256}
    return net, Card(**card)


class TorchState:
    """The layers of a state dict in its order, and their arrays.

    Parameters
    ----------
    path : str
        `.pt` or `.pth`.

    Examples
    --------
    >>> TorchState("backbone.pth")  # doctest: +SKIP
    TorchState('/.../backbone.pth', 150 layers, embedding 512)
    """

    def __init__(self, path: PathLike) -> None:
        self.path = os.path.abspath(os.path.expanduser(os.fspath(path)))
        self._arrays = _find_state_dict(read_torch(self.path), self.path)
        self.layers = _layers_of(self._arrays, self.path)
        self.family = _family_of(self.layers, self.path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r}, {len(self.layers)} layers, embedding {self.embedding_size})"

    @property
    def embedding_size(self) -> int:
        """Length of the embedding, from the last dense layer."""
        dense = [layer for layer in self.layers if layer.op == "Dense"]
        return dense[-1].shapes["weight"][0] if dense else 0

    def recognize(self, names: Sequence[str]) -> tuple[str, Any, dict[str, np.ndarray]]:
        """Return (name, network, values of its parameters) of the first of these networks that has these layers."""
        nearest = (-1, "")
        for name in names:
            if len(names) > 1 and not name.startswith(self.family):
                continue
            net = get_model(name, embedding_size=self.embedding_size)
            ours = _layers_with_parameters(net)
            equal, difference = self._compare(ours, name)
            if difference is None:
                return name, net, convert_parameters(list(zip(self.layers, ours)), self._arrays, self.path)
            nearest = max(nearest, (equal, f"{name}: {difference}"))
        raise WeightsError(f"{self.path} fits no network of the model zoo; the most similar is {nearest[1]}.")

    def fit(self, net: Any, name: str) -> dict[str, np.ndarray]:
        """Return values for the parameters of `net`; the WeightsError names the first layer that differs."""
        ours = _layers_with_parameters(net)
        _, difference = self._compare(ours, name)
        if difference is not None:
            raise WeightsError(f"{self.path} does not fit {name}: {difference}.")
        return convert_parameters(list(zip(self.layers, ours)), self._arrays, self.path)

    def _compare(self, ours: Sequence[Layer], name: str) -> tuple[int, str | None]:
        """Return the number of equal layers from the first on, and how the next differs or None."""
        for number, (their, our) in enumerate(zip(self.layers, ours)):
            if their.op != our.op or their.shapes[_main_role(their)] != our.shapes[_main_role(our)]:
                return number, f"layer {number + 1} of the file is {_describe(their)}, where {name} has {_describe(our)}"
        number = min(len(self.layers), len(ours))
        if len(self.layers) > number:
            return number, f"the file has a further layer {number + 1} ({_describe(self.layers[number])}) after those of {name}"
        if len(ours) > number:
            return number, f"the file ends after layer {number}, where {name} continues with {_describe(ours[number])}"
        return number, None


def _layers_with_parameters(net: Any) -> list[Layer]:
    """Return our layers with parameters in the order of the network's constructor, which is that of PyTorch's networks."""
    order = {name: i for i, name in enumerate(net.collect_params())}
    layers = [layer for layer in graph_of_network(net).layers if layer.parameters]
    return sorted(layers, key=lambda layer: min(order[name] for name in layer.parameters.values()))


def _main_role(layer: Layer) -> str:
    return next(role for role in ("weight", "slope", "var", *layer.shapes) if role in layer.shapes)


def _describe(layer: Layer) -> str:
    return f"{layer.name}, {layer.op} of {'x'.join(map(str, layer.shapes[_main_role(layer)]))}"


def _find_state_dict(contents: Any, path: str) -> dict[str, np.ndarray]:
    """Return name -> array of the network in the contents of a file, without the prefixes of wrappers.

    If the file has several state dicts, the first under a usual key that contains an iresnet or mbf is used.
    """
    dicts = _nested_dicts(contents)
    found = [{str(name): item for name, item in nested.items() if isinstance(item, np.ndarray)} for nested in dicts]
    found = [arrays for arrays in found if arrays]
    if not found:
        raise WeightsError(f"{path} has no state dict; save net.state_dict() into it.")
    for arrays in found:
        prefixes = sorted({match.group(1) for match in map(_MARKER.match, arrays) if match})
        if len(prefixes) > 1:
            raise WeightsError(
                f"{path} has several networks, with the prefixes {', '.join(map(repr, prefixes))}; "
                "save the state_dict() of one of them."
            )
        if prefixes:
            # Outside of the prefix are the classifier and whatever else the wrapper trains.
            (prefix,) = prefixes
            network = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
            return {_WRAPPERS.sub("", name): array for name, array in network.items()}
    return {_WRAPPERS.sub("", name): array for name, array in found[0].items()}


def _nested_dicts(contents: Any) -> list[dict[Any, Any]]:
    """Return the dicts in a checkpoint: those under the usual keys of a state dict first, then by depth."""
    found: list[dict[Any, Any]] = []
    waiting = [(contents, 0)]
    for item, depth in waiting:
        if not isinstance(item, dict) or any(item is other for other in found):
            continue
        found.append(item)
        if depth < _MOST_NESTING:
            usual = [item[key] for key in _KEYS if key in item]
            others = [item[key] for key in item if key not in _KEYS]
            waiting.extend((value, depth + 1) for value in (*usual, *others) if isinstance(value, dict))
    return found


def _layers_of(arrays: dict[str, np.ndarray], path: str) -> list[Layer]:
    roles: dict[str, dict[str, tuple[str, np.ndarray]]] = {}
    for name, array in arrays.items():
        layer, _, role = name.rpartition(".")
        if role != "num_batches_tracked":
            roles.setdefault(layer, {})[role] = (name, array)
    return [_make_layer(name, arrays_of_layer, path) for name, arrays_of_layer in roles.items()]


def _make_layer(name: str, arrays: dict[str, tuple[str, np.ndarray]], path: str) -> Layer:
    dimensions = arrays["weight"][1].ndim if "weight" in arrays else 0
    roles = {"weight": "weight", "bias": "bias"}
    if "running_mean" in arrays or "running_var" in arrays:
        op, roles = "BatchNorm", _NORM_ROLES
    elif dimensions == 1 and len(arrays) == 1:
        op, roles = "PReLU", {"weight": "slope"}
    else:
        op = {4: "Convolution", 2: "Dense"}.get(dimensions, "")
    if not op or set(arrays) - set(roles):
        raise WeightsError(
            f"{path}: layer {name!r} with {', '.join(sorted(arrays))} does not exist in arcface_torch's iresnet and mbf; "
            "export other networks as ONNX and use that file."
        )
    layer = Layer(op, name, parameters={roles[role]: full for role, (full, _) in arrays.items()}, epsilon=_EPSILON)
    layer.shapes = {roles[role]: array.shape for role, (_, array) in arrays.items()}
    return layer


def _family_of(layers: Sequence[Layer], path: str) -> tuple[str, ...]:
    others = [[layer.name for layer in layers if not pattern.match(layer.name)] for pattern, _ in _FAMILIES]
    fewest = min(others, key=len)
    if not fewest:
        return _FAMILIES[others.index(fewest)][1]
    raise WeightsError(
        f"{path} is not a state dict of arcface_torch's iresnet or mbf (it has a layer {fewest[0]!r}); "
        "export other networks as ONNX and use that file."
    )

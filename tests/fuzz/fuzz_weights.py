"""Readers of models: saved networks, MXNet, ONNX, PyTorch, dlib and joblib files."""

import contextlib
import hashlib
import json
import os
import pickle
import zipfile

import mxnet as mx
import numpy as np
from fuzz_sets import folder_of, write
from mxnet import nd
from target import Target

from gluonfr.core import WeightsError
from gluonfr.deploy import Embedder, load_model
from gluonfr.deploy.export import export_onnx, export_symbol
from gluonfr.detection.joblib_arrays import read_arrays
from gluonfr.model_zoo import get_model
from gluonfr.weights.dlib_file import read_dlib
from gluonfr.weights.load import load_pretrained
from gluonfr.weights.params_file import read_params
from gluonfr.weights.saved import save_network
from gluonfr.weights.torch_file import read_torch

SMALL = {"units": [1, 1], "channels": [4, 4, 8], "embedding_size": 6}


def small_network():
    mx.random.seed(1)
    net = get_model("lresnet10e_ir", **SMALL)
    net.initialize()
    net(nd.zeros((1, 3, 112, 112)))
    return net


def embed_blank(path, root):
    embedder = Embedder(path, root=root)
    embedder([np.full((*embedder.card.image_size, 3), 128, np.uint8)], aligned=True)


def folder_seeds(folder):
    card = {"network": "lresnet10e_ir", "arguments": SMALL, "license": "CC0", "thresholds": [{"far": 0.001, "similarity": 0.4}]}
    save_network(small_network(), folder_of(folder, "model"), card)


def read_folder(folder):
    embed_blank(folder, os.path.join(folder, "none"))


def correct_folder(folder):
    """Write the SHA-256 of the parameters into the card, as a stranger would."""
    card, parameters = (os.path.join(folder, name) for name in ("card.json", "network.params"))
    set_sha256(card, parameters)


def set_sha256(card, file):
    try:
        with open(card) as opened:
            values = json.load(opened)
        with open(file, "rb") as opened:
            values["sha256"] = hashlib.sha256(opened.read()).hexdigest()
        with open(card, "w") as opened:
            json.dump(values, opened)
    except (OSError, ValueError, TypeError, RecursionError):
        return


def symbol_seeds(folder):
    net = small_network()
    root = folder_of(folder, "with_card")
    export_symbol(net, os.path.join(root, "x"))
    root = folder_of(folder, "without_card")
    net.hybridize()
    net(nd.zeros((1, 3, 112, 112)))
    net.export(os.path.join(root, "x"))


def read_symbol(folder):
    path = os.path.join(folder, "x-symbol.json")
    if os.path.exists(os.path.join(folder, "x.card.json")):
        embed_blank(path, os.path.join(folder, "none"))
    else:
        with contextlib.suppress(WeightsError):
            # Not a network of InsightFace.
            load_pretrained(path, root=os.path.join(folder, "none"))


def correct_symbol(folder):
    set_sha256(os.path.join(folder, "x.card.json"), os.path.join(folder, "x-0000.params"))


def params_seeds(folder):
    arrays = {
        "arg:weight": nd.array([[1, 2], [3, 4]]),
        "aux:mean": nd.ones((3,), dtype="float64"),
        "b": nd.zeros((1,), dtype="uint8"),
    }
    for name, stored in (("names", arrays), ("list", {"a": nd.zeros((2, 3, 4), dtype="float16")})):
        nd.save(os.path.join(folder_of(folder, name), "x.params"), stored)


def read_params_file(folder):
    for array in read_params(os.path.join(folder, "x.params")).values():
        array.astype(np.float32).sum()


def onnx_seeds(folder):
    export_onnx(small_network(), os.path.join(folder_of(folder, "own"), "x.onnx"))
    root = folder_of(folder, "foreign")
    export_onnx(small_network(), os.path.join(root, "x.onnx"), image_size=(112, 112))
    import onnx

    model = onnx.load(os.path.join(root, "x.onnx"))
    del model.metadata_props[:]
    onnx.save(model, os.path.join(root, "x.onnx"))
    write(root, "x.card.json", content='{"color": "BGR", "mean": 127.5, "std": 127.5, "image_size": [112, 112]}')


def read_onnx(folder):
    embed_blank(os.path.join(folder, "x.onnx"), folder)


def _torch_text(text):
    return pickle.BINUNICODE + len(text).to_bytes(4, "little") + text.encode()


def _torch_numbers(*values):
    return pickle.MARK + b"".join(pickle.BININT + value.to_bytes(4, "little") for value in values) + pickle.TUPLE


def _torch_tensor(key, array):
    """The instructions by which PyTorch rebuilds a tensor from a storage."""
    storage = _torch_text("storage") + pickle.GLOBAL + b"torch\nFloatStorage\n" + _torch_text(key) + _torch_text("cpu")
    storage += pickle.BININT + array.size.to_bytes(4, "little")
    persistent = pickle.MARK + storage + pickle.TUPLE + pickle.BINPERSID
    strides = [int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim)]
    hooks = pickle.GLOBAL + b"collections\nOrderedDict\n" + pickle.EMPTY_TUPLE + pickle.REDUCE
    place = persistent + pickle.BININT + bytes(4) + _torch_numbers(*array.shape) + _torch_numbers(*strides)
    arguments = pickle.MARK + place + pickle.NEWFALSE + hooks + pickle.TUPLE
    return pickle.GLOBAL + b"torch._utils\n_rebuild_tensor_v2\n" + arguments + pickle.REDUCE


def torch_seeds(folder):
    arrays = {
        "conv1.weight": np.ones((2, 3, 3, 3), "<f4"), "bn1.weight": np.ones(2, "<f4"), "bn1.bias": np.ones(2, "<f4"),
        "bn1.running_mean": np.ones(2, "<f4"), "bn1.running_var": np.ones(2, "<f4"), "prelu.weight": np.ones(2, "<f4"),
        "layer1.0.conv1.weight": np.ones((2, 2, 3, 3), "<f4"), "fc.weight": np.ones((4, 8), "<f4"),
    }  # fmt: skip
    items = b"".join(_torch_text(name) + _torch_tensor(str(i), array) for i, (name, array) in enumerate(arrays.items()))
    program = pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS + pickle.STOP
    with zipfile.ZipFile(os.path.join(folder_of(folder, "state"), "x.pt"), "w") as archive:
        archive.writestr("net/data.pkl", program)
        archive.writestr("net/byteorder", "little")
        for i, array in enumerate(arrays.values()):
            archive.writestr(f"net/data/{i}", array.tobytes())


def read_torch_file(folder):
    path = os.path.join(folder, "x.pt")
    read_torch(path)
    load_part(path)


def load_part(path):
    """Load a file of which the intact one is only a part of a network, so that it is refused too."""
    with contextlib.suppress(WeightsError):
        load_model(path)


def _dlib_integer(value):
    size = (abs(value).bit_length() + 7) // 8
    return bytes([size | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(size, "little")


def dlib_seeds(folder):
    def text(name):
        return _dlib_integer(len(name)) + name.encode()

    def tensor(*sizes):
        return b"".join(map(_dlib_integer, (2, *sizes))) + np.ones(int(np.prod(sizes)), "<f4").tobytes()

    start = _dlib_integer(1) + text("loss_metric_2") + text("input_rgb_image_sized")
    start += b"".join(_dlib_integer(value) + _dlib_integer(-17) for value in (1 << 24, 1 << 24, 1 << 23))
    layers = text("con_4") + tensor(20, 1, 1, 1) + text("affine_") + tensor(4, 1, 1, 1)
    layers += text("fc_2") + _dlib_integer(4) + _dlib_integer(2) + tensor(2, 4, 1, 1)
    content = start + _dlib_integer(150) + _dlib_integer(150) + layers
    write(folder_of(folder, "network"), "x.dat", content=content)


def read_dlib_file(folder):
    path = os.path.join(folder, "x.dat")
    read_dlib(path)
    load_part(path)


def joblib_seeds(folder):
    import lz4.frame

    from gluonfr.detection.mtcnn_weights import package_file

    with open(package_file("pnet.lz4"), "rb") as file:
        content = file.read()
    write(folder_of(folder, "compressed"), "x.lz4", content=content)
    # The content without compression, which is compressed again after every mutation.
    root = folder_of(folder, "content")
    write(root, "x.lz4", content=lz4.frame.decompress(content))


def read_joblib(folder):
    import lz4.frame

    path = os.path.join(folder, "x.lz4")
    if os.path.exists(path):
        with open(path, "rb") as file:
            content = file.read()
        if not content.startswith(b"\x04\x22\x4d\x18"):
            write(path, content=lz4.frame.compress(content))
    read_arrays(path)


TARGETS = {
    "model_folder": Target(folder_seeds, read_folder, correct_folder),
    "symbol": Target(symbol_seeds, read_symbol, correct_symbol),
    "params": Target(params_seeds, read_params_file),
    "onnx": Target(onnx_seeds, read_onnx),
    "torch": Target(torch_seeds, read_torch_file),
    "dlib": Target(dlib_seeds, read_dlib_file),
    "joblib": Target(joblib_seeds, read_joblib),
}

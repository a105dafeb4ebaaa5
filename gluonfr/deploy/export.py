from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from dataclasses import replace

import mxnet as mx
import numpy as np
from mxnet import nd

from gluonfr.core import Card, GluonFRError, atomic_files, generator
from gluonfr.deploy.onnx_network import OnnxNetwork, has_onnxruntime
from gluonfr.deploy.onnx_out.model import onnx_model
from gluonfr.deploy.onnx_out.trace import Trace
from gluonfr.deploy.quantize import as_float16, as_int8

FORMATS = ("onnx", "symbol")
DTYPES = ("float32", "float16", "int8")
# Of an exported float32 network to its Gluon original: absolute, and of the largest number where that is above 1.
TOLERANCE = 1e-4


def export_network(net, card, out, format=None, dtype="float32", calibration=None):
    """Export a network and compare what was written with the original; nothing is left behind when they differ.

    Parameters
    ----------
    net : HybridBlock
        Images (N, 3, H, W) in [0, 1] to embeddings, or to a tuple that begins with them; initialized.
    card : Card
        The network's; `image_size` is what it is exported for.
    out : str
        `X.onnx`, or the prefix X of `X-symbol.json` and `X-0000.params`. `X.card.json` is written beside them.
    format : {'onnx', 'symbol'}, optional
        By default what `out` ends in decides.
    dtype : {'float32', 'float16', 'int8'}, default 'float32'
        Of the weights in the file; the last two with ONNX only, see `export_onnx`.
    calibration : sequence of uint8 (H, W, 3), optional
        For int8: aligned faces, some hundred.

    Returns
    -------
    float or None
        The largest difference between the embeddings of the file and of `net`, on random images (with `calibration`, on
        those); absolute, or of the largest number in them where that is above 1. None: onnxruntime is not installed, so
        that nothing could be compared.

    Raises
    ------
    GluonFRError
        An argument is wrong, an operator cannot be exported, the folder cannot be written, or a float32 file differs from
        the network by more than 1e-4.
    """
    format = _format(out, format, dtype)
    images = _check_images(calibration, card.image_size)
    wanted = _embeddings(net, images)
    found = []

    def check(path) -> None:
        if format == "onnx" and not has_onnxruntime():
            return
        found.append(difference(_run(format, path, images, card.image_size), wanted))
        if dtype == "float32" and not found[0] <= TOLERANCE:
            raise GluonFRError(
                f"{out}: the exported network differs from the original by {found[0]:.3g}, more than {TOLERANCE:g}; "
                "nothing was written, please report the network's name."
            )

    if format == "onnx":
        export_onnx(net, out, card.image_size, card, dtype, calibration, check)
    else:
        export_symbol(net, out, card.image_size, card, check)
    return found[0] if found else None


def export_onnx(net, path, image_size=(112, 112), card=None, dtype="float32", calibration=None, check=None):
    """Write a network as ONNX (opset 13): `data` (N, 3, H, W) float32 RGB in [0, 1] to `embedding` (N, D), for any N.

    The network's card goes into the model's metadata, and beside it as `X.card.json`. A classifier is left out.

    Parameters
    ----------
    net : HybridBlock
    path : str
        `X.onnx`.
    image_size : (H, W), default (112, 112)
    card : Card, optional
    dtype : {'float32', 'float16', 'int8'}, default 'float32'
        float16: weights are stored in half the bytes and computed with in float32. int8: weights and what flows between
        the layers are 8-bit, by ranges measured on `calibration`; `docs/export.md` says what that costs.
    calibration : sequence of uint8 (H, W, 3), optional
        Needed for int8.
    check : callable, optional
        Gets the path of the finished model before it is put in its place; when it raises, nothing is left behind.

    Returns
    -------
    Card
        The one beside the file.
    """
    if dtype == "int8" and calibration is None:
        raise GluonFRError("dtype int8 needs aligned faces from which to learn the ranges of its numbers; give calibration.")
    _need_name(path)
    card = _card(net, card, image_size, dtype)
    model = onnx_model(net, image_size, card)
    if dtype == "float16":
        model = as_float16(model)
    elif dtype == "int8":
        model = as_int8(model, _unit(calibration))
    with tempfile.TemporaryDirectory() as folder:
        written = os.path.join(folder, "network.onnx")
        with open(written, "wb") as file:
            file.write(model.SerializeToString())
        if check:
            check(written)
        _publish(card, _beside(path), {path: written})
    return card


def export_symbol(net, prefix, image_size=(112, 112), card=None, check=None):
    """Write a network as MXNet's own pair of files, `PREFIX-symbol.json` and `PREFIX-0000.params`, for MXNet's C++, Java and
    other interfaces, `mx.mod.Module` and `SymbolBlock.imports`. Input `data`, output `embedding_output`.

    Parameters, result and errors are those of `export_onnx`; `check` gets the paths of parameters and symbol.
    """
    _need_name(prefix)
    trace = Trace(net, image_size)
    symbol = mx.sym.identity(trace.symbol, name="embedding")
    card = _card(net, card, image_size, "float32")
    auxiliary = set(symbol.list_auxiliary_states())
    arrays = {f"{'aux' if name in auxiliary else 'arg'}:{name}": nd.array(each) for name, each in trace.parameters.items()}
    with tempfile.TemporaryDirectory() as folder:
        written = [os.path.join(folder, name) for name in ("network-0000.params", "network-symbol.json")]
        nd.save(written[0], arrays)
        symbol.save(written[1])
        if check:
            check(written)
        _publish(card, f"{prefix}.card.json", dict(zip((f"{prefix}-0000.params", f"{prefix}-symbol.json"), written)))
    return card


def difference(embeddings, wanted):
    """The largest difference of two (N, D), absolute, or of the largest number where that is above 1."""
    return float(np.abs(embeddings - wanted).max() / max(1.0, np.abs(wanted).max()))


def _format(out, format, dtype):
    out = os.fspath(out)
    format = format or ("onnx" if out.endswith(".onnx") else "symbol")
    if format not in FORMATS:
        raise GluonFRError(f"format is one of {', '.join(FORMATS)}, got {format!r}.")
    if (format == "onnx") != out.endswith(".onnx"):
        raise GluonFRError(f"{out}: the file of the format onnx, and no other, ends in .onnx; give another name.")
    if dtype not in DTYPES:
        raise GluonFRError(f"dtype is one of {', '.join(DTYPES)}, got {dtype!r}.")
    if format == "symbol" and dtype != "float32":
        raise GluonFRError(f"{out}: the format symbol holds float32, not {dtype}; export to a file that ends in .onnx.")
    return format


def _need_name(path) -> None:
    path = os.path.expanduser(os.fspath(path))
    if os.path.isdir(path) or not os.path.basename(path):
        raise GluonFRError(f"{path} is a folder; give the name of the file to write in it.")


def _beside(path):
    return os.path.splitext(os.fspath(path))[0] + ".card.json"


def _card(net, card, image_size, dtype):
    """The network's card, as true of the exported graph."""
    card = card or Card(image_size=tuple(image_size))
    extra = {name: value for name, value in card.extra.items() if name != "dtype"}
    if dtype != "float32":
        extra["dtype"] = dtype
    # No hash: X.onnx and X-symbol.json share the card.
    size = card.embedding_size or getattr(net, "embedding_size", 0)
    plain = {"color": "RGB", "mean": 0.0, "std": 255.0, "output": "embedding", "sha256": ""}
    return replace(card, image_size=tuple(image_size), embedding_size=size, extra=extra, **plain)


def _publish(card, card_path, files) -> None:
    """Write the card and copies of finished files, all or none; `files` is wanted path -> written path."""
    with atomic_files(card_path, *files) as (card_file, *others):
        card_file.write((json.dumps(card.to_dict(), indent=1) + "\n").encode("utf-8"))
        for source, target in zip(files.values(), others):
            with open(source, "rb") as file:
                shutil.copyfileobj(file, target)


def _check_images(calibration, image_size):
    if calibration is not None:
        sizes = {np.shape(each)[:2] for each in calibration}
        if sizes != {tuple(image_size)}:
            shown = ", ".join(sorted("x".join(map(str, each)) for each in sizes)) or "none"
            raise GluonFRError(
                f"calibration: faces of {'x'.join(map(str, image_size))} (height x width) are needed, got {shown}; "
                "give a set that is aligned for this network."
            )
        return _unit(calibration[:8])
    return generator(0).uniform(0, 1, (2, 3, *image_size)).astype(np.float32)


def _unit(images):
    return np.stack([np.asarray(each).transpose(2, 0, 1) for each in images]).astype(np.float32) / np.float32(255)


def _embeddings(net, images):
    contexts = {context for each in net.collect_params().values() for context in each.list_ctx()}
    context = mx.cpu() if not contexts or mx.cpu() in contexts else sorted(contexts, key=str)[0]
    out = net(nd.array(images, ctx=context))
    return (out[0] if isinstance(out, (list, tuple)) else out).asnumpy()


def _run(format, path, images, image_size):
    if format == "onnx":
        return OnnxNetwork(path, Card(image_size=tuple(image_size))).run(images)
    parameters, symbol = path
    with warnings.catch_warnings():
        # MXNet warns that it cannot tell types it need not know.
        warnings.simplefilter("ignore")
        return mx.gluon.SymbolBlock.imports(symbol, ["data"], parameters)(nd.array(images)).asnumpy()

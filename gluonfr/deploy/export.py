"""Export of networks to ONNX and to MXNet's symbol format, compared with the original before files appear."""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import HybridBlock

from gluonfr.core import Card, UsageError, WeightsError, atomic_files, check_choice, generator
from gluonfr.core.temporary import scratch_folder
from gluonfr.deploy.onnx_export import onnx_model
from gluonfr.deploy.onnx_network import OnnxNetwork, has_onnxruntime, open_session
from gluonfr.deploy.quantize import as_float16, as_int8
from gluonfr.deploy.trace import Trace

FORMATS = ("onnx", "symbol")
DTYPES = ("float32", "float16", "int8")
# Maximum difference of an exported float32 network from the original: absolute, or relative to the largest number above 1.
TOLERANCE = 1e-4


class ExportCheck(NamedTuple):
    """The embeddings of an exported file beside those of the original network.

    Attributes
    ----------
    difference : float
        Largest difference of a number; absolute, or relative to the largest number above 1.
    cosine : float
        Lowest cosine between the two embeddings of an image.

    Examples
    --------
    >>> ExportCheck(difference=0.02, cosine=0.98).cosine
    0.98
    """

    difference: float
    cosine: float


def export_network(
    net: HybridBlock,
    card: Card,
    out: str | os.PathLike,
    format: str | None = None,
    dtype: str = "float32",
    calibration: Sequence[np.ndarray] | None = None,
) -> ExportCheck | None:
    """Export a network and compare the files with the original; no file is left when they differ.

    Parameters
    ----------
    net : HybridBlock
        Initialized; images (N, 3, H, W) in [0, 1] to embeddings, or to a tuple that begins with them.
    card : Card
        Card of the network; it is exported for `image_size`.
    out : str
        `X.onnx`, or the prefix X of `X-symbol.json` and `X-0000.params`. `X.card.json` is written beside them.
    format : {'onnx', 'symbol'}, optional
        By default chosen by the ending of `out`.
    dtype : {'float32', 'float16', 'int8'}, default 'float32'
        Type of the weights in the file; float16 and int8 with ONNX only, see `export_onnx`.
    calibration : sequence of (H, W, 3) uint8, optional
        Aligned faces for int8, about a hundred.

    Returns
    -------
    ExportCheck or None
        How far the embeddings of the file are from those of `net`, on random images or, if given, on faces of
        `calibration`. None when ONNX Runtime is not installed, so that an ONNX file could not be compared.

    Raises
    ------
    UsageError, WeightsError
        An argument is invalid, an operator cannot be exported, the folder is not writable, or a float32 file differs from
        the network by more than 1e-4.

    Examples
    --------
    >>> from gluonfr.deploy import RawPixels
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check = export_network(RawPixels(), Card(image_size=(8, 8)), folder + "/raw.onnx")
    ...     sorted(os.listdir(folder)), check.difference
    (['raw.card.json', 'raw.onnx'], 0.0)
    """
    format = check_format(os.fspath(out), format, dtype)
    images = _test_images(calibration, card.image_size)
    expected = _embeddings(net, images)
    found: list[ExportCheck] = []

    def check(path: Any) -> None:
        if format == "onnx" and not has_onnxruntime():
            return
        written = _run(format, path, images, card.image_size)
        found.append(ExportCheck(difference(written, expected), _lowest_cosine(written, expected)))
        if dtype == "float32" and not found[0].difference <= TOLERANCE:
            raise WeightsError(
                f"{out}: the exported network differs from the original by {found[0].difference:.3g}, more than {TOLERANCE:g}; "
                "no file was written. Please report the name of the network."
            )

    if format == "onnx":
        export_onnx(net, out, card.image_size, card, dtype, calibration, check)
    else:
        export_symbol(net, out, card.image_size, card, check)
    return found[0] if found else None


def export_onnx(
    net: HybridBlock,
    path: str | os.PathLike,
    image_size: tuple[int, int] = (112, 112),
    card: Card | None = None,
    dtype: str = "float32",
    calibration: Sequence[np.ndarray] | None = None,
    check: Callable[[str], Any] | None = None,
) -> Card:
    """Write a network as ONNX (opset 13): `data` (N, 3, H, W) float32 RGB in [0, 1] to `embedding` (N, D), for any N.

    The card is stored in the model's metadata, and beside it as `X.card.json`. A classifier is left out.

    Parameters
    ----------
    net : HybridBlock
        Initialized.
    path : str
        `X.onnx`.
    image_size : (H, W), default (112, 112)
        Size of the images.
    card : Card, optional
        Card of the network.
    dtype : {'float32', 'float16', 'int8'}, default 'float32'
        float16 stores the weights in half the bytes and computes in float32. int8 stores weights and activations in 8 bits,
        with ranges measured on `calibration`; the loss of accuracy is documented in `docs/export.md`.
    calibration : sequence of (H, W, 3) uint8, optional
        Required for int8.
    check : callable, optional
        Called with the path of the finished model before it is published; when it raises, no file is left.

    Returns
    -------
    Card
        The card beside the file.

    Examples
    --------
    >>> from gluonfr.deploy import RawPixels
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     card = export_onnx(RawPixels(), folder + "/raw.onnx", image_size=(8, 8))
    >>> card.image_size
    (8, 8)
    """
    if dtype == "int8" and calibration is None:
        raise UsageError("dtype int8 needs aligned faces to measure the ranges of activations; give calibration.")
    _require_file_name(path)
    card = _exported_card(net, card, image_size, dtype)
    model = onnx_model(net, image_size, card)
    if dtype == "float16":
        model = as_float16(model)
    elif dtype == "int8":
        model = as_int8(model, _to_unit(calibration or []))
    with scratch_folder() as folder:
        written = os.path.join(folder, "network.onnx")
        with open(written, "wb") as file:
            file.write(model.SerializeToString())
        if check:
            check(written)
        _publish(card, os.path.splitext(os.fspath(path))[0] + ".card.json", {os.fspath(path): written})
    return card


def export_symbol(
    net: HybridBlock,
    prefix: str | os.PathLike,
    image_size: tuple[int, int] = (112, 112),
    card: Card | None = None,
    check: Callable[[list[str]], Any] | None = None,
) -> Card:
    """Write a network in MXNet's own format: `PREFIX-symbol.json` and `PREFIX-0000.params`.

    MXNet's C++, Java and other interfaces, `mx.mod.Module` and `SymbolBlock.imports` read it. The input is `data`, the
    output `embedding_output`. Parameters, result and errors are those of `export_onnx`; `check` is called with the paths of
    parameters and symbol.

    Examples
    --------
    >>> from gluonfr.deploy import RawPixels
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     card = export_symbol(RawPixels(), folder + "/raw", image_size=(8, 8))
    ...     sorted(os.listdir(folder))
    ['raw-0000.params', 'raw-symbol.json', 'raw.card.json']
    """
    _require_file_name(prefix)
    trace = Trace(net, image_size)
    symbol = mx.sym.identity(trace.symbol, name="embedding")
    card = _exported_card(net, card, image_size, "float32")
    auxiliary = set(symbol.list_auxiliary_states())
    arrays = {f"{'aux' if name in auxiliary else 'arg'}:{name}": nd.array(value) for name, value in trace.parameters.items()}
    with scratch_folder() as folder:
        written = [os.path.join(folder, name) for name in ("network-0000.params", "network-symbol.json")]
        nd.save(written[0], arrays)
        symbol.save(written[1])
        if check:
            check(written)
        _publish(card, f"{prefix}.card.json", dict(zip((f"{prefix}-0000.params", f"{prefix}-symbol.json"), written)))
    return card


def difference(embeddings: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference of two arrays, absolute, or relative to the largest expected number above 1.

    Examples
    --------
    >>> difference(np.array([[0.5, 10.0]]), np.array([[0.5, 20.0]]))
    0.5
    """
    return float(np.abs(embeddings - expected).max() / max(1.0, np.abs(expected).max()))


def _lowest_cosine(embeddings: np.ndarray, expected: np.ndarray) -> float:
    norms = np.linalg.norm(embeddings, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((embeddings * expected).sum(axis=1) / np.maximum(norms, np.finfo(np.float32).tiny)).min())


def check_format(out: str, format: str | None, dtype: str) -> str:
    """Return the format of an export, given or chosen by the ending of its file.

    Raises
    ------
    UsageError
        The ending does not fit the format, or the format cannot store the type.

    Examples
    --------
    >>> check_format("face.onnx", None, "float32"), check_format("face", None, "float32")
    ('onnx', 'symbol')
    """
    ending = os.path.splitext(out)[1]
    if format is None and re.fullmatch(r"\.[A-Za-z]\w*", ending) and ending != ".onnx":
        raise UsageError(
            f"{out} ends in {ending}: give X.onnx, or the prefix X of X-symbol.json and X-0000.params; format='symbol' accepts "
            "any prefix."
        )
    format = check_choice("format", format or ("onnx" if out.endswith(".onnx") else "symbol"), FORMATS)
    if (format == "onnx") != out.endswith(".onnx"):
        raise UsageError(f"{out}: the file of the format onnx, and no other, ends in .onnx; give another name.")
    check_choice("dtype", dtype, DTYPES)
    if format == "symbol" and dtype != "float32":
        raise UsageError(f"{out}: the format symbol stores float32, not {dtype}; export to a file that ends in .onnx.")
    return format


def _require_file_name(path: str | os.PathLike) -> None:
    path = os.path.expanduser(os.fspath(path))
    if os.path.isdir(path) or not os.path.basename(path):
        raise UsageError(f"{path} is a folder; give the name of the file to write in it.")


def _exported_card(net: HybridBlock, card: Card | None, image_size: tuple[int, int], dtype: str) -> Card:
    """Return the card of the exported graph."""
    size = (image_size[0], image_size[1])
    card = card or Card(image_size=size)
    extra = {name: value for name, value in card.extra.items() if name != "dtype"}
    if dtype != "float32":
        extra["dtype"] = dtype
    embedding_size = card.embedding_size or getattr(net, "embedding_size", 0)
    card = replace(card, image_size=size, embedding_size=embedding_size, extra=extra)
    # No hash: X.onnx and X-symbol.json share the card.
    return replace(card, color="RGB", mean=0.0, std=255.0, output="embedding", sha256="")


def _publish(card: Card, card_path: str, files: dict[str, str]) -> None:
    """Write the card and copies of finished files, all or none; `files` maps final path to written path."""
    with atomic_files(card_path, *files) as (card_file, *others):
        card_file.write((json.dumps(card.to_dict(), indent=1) + "\n").encode("utf-8"))
        for source, target in zip(files.values(), others):
            with open(source, "rb") as file:
                shutil.copyfileobj(file, target)


def _test_images(calibration: Sequence[np.ndarray] | None, image_size: tuple[int, int]) -> np.ndarray:
    if calibration is None:
        return generator(0).uniform(0, 1, (2, 3, *image_size)).astype(np.float32)
    sizes = {np.shape(image)[:2] for image in calibration}
    if sizes != {tuple(image_size)}:
        found = ", ".join(sorted("x".join(map(str, size)) for size in sizes)) or "none"
        raise UsageError(
            f"calibration: faces must be {'x'.join(map(str, image_size))} (height x width), got {found}; "
            "give a set that is aligned for this network."
        )
    return _to_unit(calibration[:8])


def _to_unit(images: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack([np.asarray(image).transpose(2, 0, 1) for image in images]).astype(np.float32) / np.float32(255)


def _embeddings(net: HybridBlock, images: np.ndarray) -> np.ndarray:
    contexts = {context for parameter in net.collect_params().values() for context in parameter.list_ctx()}
    context = mx.cpu() if not contexts or mx.cpu() in contexts else sorted(contexts, key=str)[0]
    out = net(nd.array(images, ctx=context))
    return (out[0] if isinstance(out, (list, tuple)) else out).asnumpy()


def _run(format: str, path: Any, images: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    if format == "onnx":
        return OnnxNetwork(path, Card(image_size=(image_size[0], image_size[1])), session=open_session(path)).run(images)
    parameters, symbol = path
    with warnings.catch_warnings():
        # MXNet warns that it cannot infer types, which are not needed.
        warnings.simplefilter("ignore")
        return mx.gluon.SymbolBlock.imports(symbol, ["data"], parameters)(nd.array(images)).asnumpy()

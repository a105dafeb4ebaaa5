from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import replace

import numpy as np
from mxnet import nd
from mxnet.gluon import Block

from gluonfr.core import Card, GluonFRError, cores, file_sha256, require_file
from gluonfr.deploy.onnx_out.model import CARD_ENTRY

# What a card beside a model from elsewhere must say, as the model itself does not.
_NEEDED = ("color", "mean", "std")
_EXAMPLE = '{"color": "RGB", "mean": 127.5, "std": 127.5, "image_size": [112, 112], "template": "arcface"}'


def has_onnxruntime():
    """Whether ONNX models can be run here."""
    return importlib.util.find_spec("onnxruntime") is not None


def load_onnx(path, card=None, threads=None):
    """A face network in an ONNX file, from `gluonfr export` or from elsewhere: `(net, card)`.

    The card is the one given, else the one in the model's metadata, which `gluonfr export` writes, else `X.card.json` beside
    `X.onnx`. A model from elsewhere does not say how it wants its images, and a wrong guess gives embeddings that look right
    and verify badly, so that a card must name `color`, `mean` and `std`.

    Parameters
    ----------
    path : str
    card : Card, optional
    threads : int, optional
        Default one a core.

    Returns
    -------
    (OnnxNetwork, Card)

    Raises
    ------
    GluonFRError
        There is no card, or what `OnnxNetwork` raises.
    """
    path = require_file(path, "network in ONNX")
    session = open_session(path, threads)
    card = card or _own_card(session, path) or _card_beside(path, session)
    net = OnnxNetwork(path, card, session=session)
    return net, net.card


class OnnxNetwork(Block):
    """An ONNX model that embeds faces, in the place of a Gluon network, for inference only; it runs on the CPU.

    Parameters
    ----------
    path : str
    card : Card
        `color`, `mean` and `std` say what the model takes, `output` which of several outputs is the embedding.
    threads : int, optional
        Default one a core.
    session : onnxruntime.InferenceSession, optional
        Of this file, where it is open already.

    Attributes
    ----------
    card : Card
        With the embedding's size filled in.
    embedding_size : int

    Inputs:
        - **data**: (N, 3, H, W) float32 RGB in [0, 1], H and W as on the card, any N.
    Outputs:
        - **embedding**: (N, D), not normalized.

    Raises
    ------
    GluonFRError
        onnxruntime is not installed; the file is damaged or no ONNX model, or takes anything but one batch of images of the
        card's size, channels first; or no one output is the embedding.
    """

    def __init__(self, path, card, threads=None, session=None) -> None:
        super().__init__()
        self.path = require_file(path, "network in ONNX")
        self._session = session or open_session(self.path, threads)
        self._input, self._batch = self._check_input(card)
        self._half = self._input.type == "tensor(float16)"
        self._prepare(card)
        self._output, self._batch, self.embedding_size = self._probe(card)
        if card.embedding_size not in (0, self.embedding_size):
            raise self._error(
                f"its embedding has {self.embedding_size} numbers, its card says {card.embedding_size}; correct embedding_size"
            )
        self.card = replace(card, embedding_size=self.embedding_size)

    def forward(self, x):
        return nd.array(self.run(x.asnumpy()), ctx=x.context, dtype="float32")

    def run(self, images):
        """Embeddings (N, D) float32 of images (N, 3, H, W) float32 RGB in [0, 1], both NumPy arrays."""
        images = np.asarray(images, dtype=np.float32)
        if images.ndim != 4 or images.shape[1:] != (3, *self._size):
            height, width = self._size
            raise self._error(f"it takes images (N, 3, {height}, {width}), got {images.shape}; resize or align them")
        images = self._as_trained(images)
        if self._batch is None:
            return self._forward(images) if len(images) else np.zeros((0, self.embedding_size), np.float32)
        rows = [self._padded(images[start : start + self._batch]) for start in range(0, len(images), self._batch)]
        return np.concatenate(rows) if rows else np.zeros((0, self.embedding_size), np.float32)

    def _prepare(self, card) -> None:
        self._size, self._swap = tuple(card.image_size), card.color == "BGR"
        mean, std = (np.broadcast_to(np.float32(each), 3).reshape(3, 1, 1) for each in (card.mean, card.std))
        # Exactly 1 and 0 for what takes [0, 1] itself, and left out then.
        self._scale, self._shift = np.float32(255) / std, mean / std
        self._scales = bool((self._scale != 1).any() or (self._shift != 0).any())

    def _as_trained(self, images):
        if self._swap:
            images = images[:, ::-1]
        if self._scales:
            images = images * self._scale - self._shift
        return np.ascontiguousarray(images, dtype=np.float16 if self._half else np.float32)

    def _forward(self, images):
        return self._session.run([self._output], {self._input.name: images})[0].astype(np.float32, copy=False)

    def _padded(self, images):
        missing = self._batch - len(images)
        if missing:
            images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)])
        return self._forward(images)[: self._batch - missing]

    def _check_input(self, card):
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(each.name for each in inputs) or "none"
            raise self._error(f"a face network has one input, this has {len(inputs)} ({names}); export it with the image alone")
        (data,) = inputs
        shape = [each if isinstance(each, int) and each > 0 else None for each in data.shape]
        shown = f"{data.type[len('tensor(') : -1] if data.type.startswith('tensor(') else data.type} {tuple(data.shape)}"
        if data.type not in ("tensor(float)", "tensor(float16)") or len(shape) != 4:
            raise self._error(
                f"its input {data.name} is {shown}, not a batch of images (N, 3, H, W) of floats; give a face network"
            )
        if shape[1] not in (3, None) and shape[3] == 3:
            raise self._error(f"its input {data.name} is {shown}, channels last; export it with channels first, (N, 3, H, W)")
        if shape[1] not in (3, None):
            raise self._error(f"its input {data.name} is {shown} instead of (N, 3, H, W); give a network for color images")
        wrong = [(a, b) for a, b in zip(shape[2:], card.image_size) if a not in (None, b)]
        if wrong:
            height, width = card.image_size
            raise self._error(f"its input {data.name} is {shown}, its card says {height}x{width}; correct image_size")
        return data, shape[0]

    def _probe(self, card):
        """(output, batch, embedding size), from what the model makes of empty images: what it declares need not be so."""
        names = [each.name for each in self._session.get_outputs()]
        if card.output and card.output not in names:
            raise self._error(f"it has no output {card.output!r} but {', '.join(names)}; correct the card's output")
        batch, shapes = self._batch, None
        if batch is None:
            # Some models that declare an open batch were traced with one image, which a fixed shape inside betrays.
            batch, shapes = None, self._shapes(2, names, quiet=True)
            if shapes is None or not any(len(each) == 2 and each[0] == 2 for each in shapes.values()):
                batch, shapes = 1, None
        shapes = shapes or self._shapes(batch, names)
        rows = 2 if batch is None else batch
        fitting = [
            name for name in ([card.output] if card.output else names) if len(shapes[name]) == 2 and shapes[name][0] == rows
        ]
        if len(fitting) != 1:
            shown = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            what = "name the embedding as output in its card" if fitting else "give a face network"
            raise self._error(f"of its outputs ({shown}) {len(fitting)} can be the embedding, (N, D); {what}")
        return fitting[0], batch, shapes[fitting[0]][1]

    def _shapes(self, batch, names, quiet=False):
        images = np.zeros((batch, 3, *self._size), np.float16 if self._half else np.float32)
        try:
            return {name: np.shape(each) for name, each in zip(names, self._session.run(names, {self._input.name: images}))}
        except Exception as error:  # onnxruntime's exceptions have no common base but this.
            if quiet:
                return None
            raise self._error(f"it does not run on images of {self._size[0]}x{self._size[1]} ({_said(error)})") from error

    def _error(self, what):
        return GluonFRError(f"{self.path}: {what}.")


def open_session(path, threads=None):
    """An onnxruntime session of a file on the CPU; GluonFRError where the file is no ONNX model."""
    if not has_onnxruntime():
        raise GluonFRError(f'{path} needs the package onnxruntime: run `pip install ".[onnx]"` in the checkout.')
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise GluonFRError(f"threads is a number from 1 on, got {threads!r}.")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or cores()
    options.inter_op_num_threads = 1
    # Warnings about a model's unused parts tell its user nothing.
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base but this.
        raise GluonFRError(f"{path} is damaged or no ONNX model ({_said(error)}); fetch it again.") from error


def _said(error):
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(lines[0].split()).rstrip(".")[:300]


def _own_card(session, path):
    text = session.get_modelmeta().custom_metadata_map.get(CARD_ENTRY)
    if text is None:
        return None
    where = f"{path}, {CARD_ENTRY} in its metadata"
    try:
        return Card.from_dict(json.loads(text), where)
    except GluonFRError:
        raise
    except ValueError as error:
        raise GluonFRError(f"{where} is no network's card ({error}); export it again.") from error


def _card_beside(path, session):
    beside = _path_beside(path)
    if not os.path.isfile(beside):
        raise GluonFRError(
            f"{path} does not say how it wants its images: write {beside} with color, mean and std (it takes "
            f"(pixel - mean) / std, pixels 0..255), image_size and template, such as {_EXAMPLE}."
        )
    card = Card.read(beside)
    with open(beside, encoding="utf-8") as file:
        said = json.load(file)
    missing = [name for name in _NEEDED if name not in said]
    if missing:
        raise GluonFRError(
            f"{beside} lacks {', '.join(missing)}, which the model does not say itself; add them, as in {_EXAMPLE}."
        )
    if card.sha256 and card.sha256 != file_sha256(path):
        raise GluonFRError(f"{path} is damaged: its SHA-256 is not the one in {beside}; fetch or export it again.")
    if "image_size" not in said:
        shape = session.get_inputs()[0].shape if session.get_inputs() else ()
        if len(shape) != 4 or not all(isinstance(each, int) and each > 0 for each in shape[2:]):
            raise GluonFRError(f"{beside} lacks image_size, and the model takes any; add it, as in {_EXAMPLE}.")
        card = replace(card, image_size=tuple(shape[2:]))
    return card


def _path_beside(path):
    return os.path.splitext(path)[0] + ".card.json"

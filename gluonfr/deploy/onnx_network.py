"""ONNX models in place of Gluon networks, run by ONNX Runtime on the CPU."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import Block

from gluonfr.core import Card, DataError, GluonFRError, UsageError, WeightsError, cores, file_sha256, require_file
from gluonfr.core.reading import parse_json, read_json
from gluonfr.deploy.card_values import check_image_size, mean_and_std
from gluonfr.deploy.onnx_export.model import CARD_ENTRY
from gluonfr.deploy.onnx_trial import try_onnx

# Entries that the card of a foreign model must contain, because the model itself does not.
_REQUIRED = ("color", "mean", "std")
_EXAMPLE = '{"color": "RGB", "mean": 127.5, "std": 127.5, "image_size": [112, 112], "template": "arcface"}'


def has_onnxruntime() -> bool:
    """Return whether ONNX Runtime is installed.

    Examples
    --------
    >>> has_onnxruntime()
    True
    """
    return importlib.util.find_spec("onnxruntime") is not None


def load_onnx(path: str | os.PathLike, card: Card | None = None, threads: int | None = None) -> tuple[OnnxNetwork, Card]:
    """Load a face network from an ONNX file, written by `gluonfr export` or by other software.

    The card is, in this order: the given one; the one in the model's metadata, which `gluonfr export` writes; `X.card.json`
    beside `X.onnx`. A foreign model does not specify how it expects its images, and a wrong guess gives embeddings that
    look right but verify badly. Its card must therefore contain `color`, `mean` and `std`.

    The file may come from anywhere: the model first runs in a process of its own, with limits of memory and time.

    Parameters
    ----------
    path : str
        The ONNX file.
    card : Card, optional
        Card to use instead of the model's own.
    threads : int, optional
        Number of threads, by default one per core.

    Returns
    -------
    (OnnxNetwork, Card)

    Raises
    ------
    UsageError, WeightsError
        There is no card, or the errors of `OnnxNetwork`.

    Examples
    --------
    >>> net, card = load_onnx("face.onnx")  # doctest: +SKIP
    >>> net  # doctest: +SKIP
    OnnxNetwork(face.onnx, image_size=(112, 112), embedding_size=512)
    """
    path = require_file(path, "network in ONNX")
    if has_onnxruntime():
        try_onnx(path, card.image_size if card else None, fallback=_size_beside(path))
    session = open_session(path, threads)
    card = card or _embedded_card(session, path) or _card_beside(path, session)
    net = OnnxNetwork(path, card, session=session)
    return net, net.card


class OnnxNetwork(Block):
    """An ONNX model that embeds faces, for inference in place of a Gluon network; it runs on the CPU.

    A file may come from anywhere: the model first runs in a process of its own, with limits of memory and time.

    Parameters
    ----------
    path : str
        The ONNX file.
    card : Card
        `color`, `mean` and `std` describe the input of the model; `output` names the embedding among several outputs.
    threads : int, optional
        Number of threads, by default one per core.
    session : onnxruntime.InferenceSession, optional
        An open session of this file, which is then not tried first.

    Attributes
    ----------
    card : Card
        The card with the size of the embedding.
    embedding_size : int
        Length of the embedding.

    Inputs:
        - **data**: (N, 3, H, W) float32 RGB in [0, 1], H and W as on the card, any N.
    Outputs:
        - **embedding**: (N, D), not normalized.

    Raises
    ------
    UsageError, WeightsError
        ONNX Runtime is not installed; the file is damaged or not an ONNX model; its input is not one batch of images of the
        card's size, channels first; or none or several of its outputs can be the embedding.

    Examples
    --------
    >>> import tempfile
    >>> from gluonfr.deploy import RawPixels
    >>> from gluonfr.deploy.export import export_onnx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     card = export_onnx(RawPixels(), folder + "/raw.onnx", image_size=(8, 8))
    ...     net = OnnxNetwork(folder + "/raw.onnx", card)
    >>> net.run(np.ones((2, 3, 8, 8), np.float32)).shape
    (2, 192)
    """

    def __init__(self, path: str | os.PathLike, card: Card, threads: int | None = None, session: Any = None) -> None:
        super().__init__()
        self.path = require_file(path, "network in ONNX")
        if session is None and has_onnxruntime():
            try_onnx(self.path, card.image_size)
        self._session = session or open_session(self.path, threads)
        self._input, self._batch = self._check_input(card)
        self._half = self._input.type == "tensor(float16)"
        self._prepare(card)
        self._output, self._batch, self.embedding_size = self._probe(card)
        if card.embedding_size not in (0, self.embedding_size):
            raise self._error(
                f"its embedding has length {self.embedding_size}, but its card specifies {card.embedding_size}; correct "
                "embedding_size"
            )
        self.card = replace(card, embedding_size=self.embedding_size)

    def __repr__(self) -> str:
        sizes = f"image_size={self._size}, embedding_size={self.embedding_size}"
        return f"OnnxNetwork({os.path.basename(self.path)}, {sizes})"

    def forward(self, x: mx.nd.NDArray) -> mx.nd.NDArray:
        """Compute embeddings of images; arrays are copied to the CPU and back."""
        return nd.array(self.run(x.asnumpy()), ctx=x.context, dtype="float32")

    def run(self, images: Any) -> np.ndarray:
        """Compute embeddings (N, D) float32 of images (N, 3, H, W) float32 RGB in [0, 1], both NumPy arrays."""
        images = np.asarray(images, dtype=np.float32)
        if images.ndim != 4 or images.shape[1:] != (3, *self._size):
            height, width = self._size
            raise UsageError(
                f"{self.path}: it expects images (N, 3, {height}, {width}), got {images.shape}; resize or align them."
            )
        images = self._scale_images(images)
        if self._batch is None:
            return self._forward(images) if len(images) else np.zeros((0, self.embedding_size), np.float32)
        rows = [self._padded(images[start : start + self._batch]) for start in range(0, len(images), self._batch)]
        return np.concatenate(rows) if rows else np.zeros((0, self.embedding_size), np.float32)

    def _prepare(self, card: Card) -> None:
        self._size, self._swap = check_image_size(card, self.path, self._batch or 2), card.color == "BGR"
        mean, std = (level.astype(np.float32).reshape(3, 1, 1) for level in mean_and_std(card, self.path))
        # Exactly 1 and 0 for a model that expects [0, 1]; then the scaling is omitted.
        self._scale, self._shift = np.float32(255) / std, mean / std
        self._scales = bool((self._scale != 1).any() or (self._shift != 0).any())

    def _scale_images(self, images: np.ndarray) -> np.ndarray:
        if self._swap:
            images = images[:, ::-1]
        if self._scales:
            images = images * self._scale - self._shift
        return np.ascontiguousarray(images, dtype=np.float16 if self._half else np.float32)

    def _forward(self, images: np.ndarray) -> np.ndarray:
        return self._session.run([self._output], {self._input.name: images})[0].astype(np.float32, copy=False)

    def _padded(self, images: np.ndarray) -> np.ndarray:
        missing = self._batch - len(images)
        if missing:
            images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)])
        return self._forward(images)[: self._batch - missing]

    def _check_input(self, card: Card) -> tuple[Any, Any]:
        """Return the model's input and its batch size, None where any is accepted."""
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(entry.name for entry in inputs) or "none"
            raise self._error(f"a face network has one input, this has {len(inputs)} ({names}); export it with the image alone")
        (data,) = inputs
        shape = [length if isinstance(length, int) and length > 0 else None for length in data.shape]
        kind = data.type[len("tensor(") : -1] if data.type.startswith("tensor(") else data.type
        found = f"its input {data.name} is {kind} {tuple(data.shape)}"
        if data.type not in ("tensor(float)", "tensor(float16)") or len(shape) != 4:
            raise self._error(f"{found}, not a batch of images (N, 3, H, W) of floats; give a face network")
        if shape[1] not in (3, None) and shape[3] == 3:
            raise self._error(f"{found}, channels last; export it with channels first, (N, 3, H, W)")
        if shape[1] not in (3, None):
            raise self._error(f"{found} instead of (N, 3, H, W); give a network for color images")
        if any(length not in (None, expected) for length, expected in zip(shape[2:], card.image_size)):
            height, width = card.image_size
            raise self._error(f"{found}, but its card specifies {height}x{width}; correct image_size")
        return data, shape[0]

    def _probe(self, card: Card) -> tuple[str, Any, int]:
        """Return (output, batch size, embedding size), measured on blank images; the declared shapes may be wrong."""
        names = [entry.name for entry in self._session.get_outputs()]
        if card.output and card.output not in names:
            raise self._error(f"it has no output {card.output!r} but {', '.join(names)}; correct the card's output")
        batch, shapes = self._batch, None
        if batch is None:
            # Some models that declare an open batch were traced with one image, which a fixed shape inside reveals.
            shapes = self._output_shapes(2, names, quiet=True)
            if shapes is None or not any(len(shape) == 2 and shape[0] == 2 for shape in shapes.values()):
                batch, shapes = 1, None
        if shapes is None:
            shapes = self._output_shapes(batch, names)
        rows = 2 if batch is None else batch
        candidates = [card.output] if card.output else names
        fitting = [name for name in candidates if len(shapes[name]) == 2 and shapes[name][0] == rows]
        if len(fitting) != 1:
            found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            what = "name the embedding as output in its card" if fitting else "give a face network"
            raise self._error(f"of its outputs ({found}) {len(fitting)} can be the embedding, (N, D); {what}")
        return fitting[0], batch, shapes[fitting[0]][1]

    def _output_shapes(self, batch: Any, names: Sequence[str], quiet: bool = False) -> Any:
        images = np.zeros((batch, 3, *self._size), np.float16 if self._half else np.float32)
        try:
            outputs = self._session.run(names, {self._input.name: images})
            return {name: np.shape(output) for name, output in zip(names, outputs)}
        except Exception as error:  # The exceptions of ONNX Runtime have no common base class but this.
            if quiet:
                return None
            raise self._error(f"it does not run on images of {self._size[0]}x{self._size[1]} ({_reason(error)})") from error

    def _error(self, what: str) -> WeightsError:
        return WeightsError(f"{self.path}: {what}.")


def open_session(path: str, threads: int | None = None) -> Any:
    """Open an ONNX file with ONNX Runtime on the CPU.

    Parameters
    ----------
    path : str
        The ONNX file.
    threads : int, optional
        Number of threads, by default one per core.

    Returns
    -------
    onnxruntime.InferenceSession

    Raises
    ------
    UsageError, WeightsError
        ONNX Runtime is not installed, or the file is not an ONNX model.

    Examples
    --------
    >>> open_session("face.onnx").get_inputs()[0].name  # doctest: +SKIP
    'data'
    """
    if not has_onnxruntime():
        raise UsageError(f'{path} needs the package onnxruntime: run `pip install "gluonfr[onnx]"`.')
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise UsageError(f"threads must be an integer of at least 1, got {threads!r}.")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or cores()
    options.inter_op_num_threads = 1
    # Warnings about unused parts of a model do not help its user.
    options.log_severity_level = 4
    try:
        # Without the fallback, which prints its own messages and tries the same provider again.
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"], enable_fallback=0)
        # Names and metadata are decoded on access; those of a damaged file may not be valid text.
        session.get_modelmeta().custom_metadata_map  # noqa: B018
        for entry in (*session.get_inputs(), *session.get_outputs()):
            entry.name, entry.shape  # noqa: B018
        return session
    except Exception as error:  # The exceptions of ONNX Runtime have no common base class but this.
        raise WeightsError(f"{path} is damaged or not an ONNX model ({_reason(error)}); fetch it again.") from error


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(lines[0].split()).rstrip(".")[:300]


def _embedded_card(session: Any, path: str) -> Card | None:
    text = session.get_modelmeta().custom_metadata_map.get(CARD_ENTRY)
    if text is None:
        return None
    where = f"{path}, {CARD_ENTRY} in its metadata"
    try:
        values = parse_json(text, "its text")
    except DataError as error:
        raise WeightsError(f"{where} is not a network's card: {error}") from error
    return Card.from_dict(values, where)


def _path_beside(path: str) -> str:
    return os.path.splitext(path)[0] + ".card.json"


def _size_beside(path: str) -> tuple[int, int] | None:
    """Return the size of images on the card beside the model, if there is a valid one."""
    try:
        return Card.read(_path_beside(path)).image_size
    except GluonFRError:
        return None


def _card_beside(path: str, session: Any) -> Card:
    beside = _path_beside(path)
    if not os.path.isfile(beside):
        raise WeightsError(
            f"{path} does not specify how it expects its images: write {beside} with color, mean and std (the model gets "
            f"(pixel - mean) / std, pixels 0..255), image_size and template, such as {_EXAMPLE}."
        )
    card = Card.read(beside)
    entries = read_json(beside)
    missing = [name for name in _REQUIRED if name not in entries]
    if missing:
        raise WeightsError(
            f"{beside} lacks {', '.join(missing)}, which the model does not specify; add them, as in {_EXAMPLE}."
        )
    if card.sha256 and card.sha256 != file_sha256(path):
        raise WeightsError(f"{path} is damaged: its SHA-256 is not the one in {beside}; fetch or export it again.")
    if "image_size" not in entries:
        shape = session.get_inputs()[0].shape if session.get_inputs() else ()
        if len(shape) != 4 or not all(isinstance(length, int) and length > 0 for length in shape[2:]):
            raise WeightsError(f"{beside} lacks image_size, and the model accepts any size; add it, as in {_EXAMPLE}.")
        card = replace(card, image_size=tuple(shape[2:]))
    return card

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock
from tqdm import tqdm

from gluonfr.align import align_face
from gluonfr.core import DEFAULT_MODELS, Card, DataError, GluonFRError, UsageError, check_choice
from gluonfr.core.temporary import scratch_folder
from gluonfr.data import images as codec
from gluonfr.data.crops import crop_for_network
from gluonfr.deploy.embedding import embed
from gluonfr.deploy.inference import InferenceNetwork
from gluonfr.deploy.model import load_model
from gluonfr.detection import Detections, choose_face, detect_faces, get_detector
from gluonfr.photos.faces import MIN_FACE, is_crop
from gluonfr.photos.reading import Photo, PhotoError, read_file

BACKENDS = ("gluon", "onnxruntime")


class Embedder:
    """Embeddings of images of faces.

    Parameters
    ----------
    model : str, Block or None
        Any model that `load_model` accepts, or a network, which then needs a `card`. None selects the only stored model.
    card : Card, optional
        Replaces the model's own card: size and template of the crops.
    contexts : list of Context, default [mx.cpu()]
        Devices that run the network.
    flip : bool, default True
        Add the embedding of the mirrored image before normalizing, as verification does. False halves the time.
    batch_size : int, default 64
        Number of images in memory at once.
    backend : {'gluon', 'onnxruntime'}, default 'gluon'
        Library that runs the network: MXNet, in its fastest form for the device (`InferenceNetwork`), or ONNX Runtime, if
        installed. An `.onnx` model always runs in ONNX Runtime.
    detector : str or object with `detect`, optional
        Detector for photos: a name for `gluonfr.detection.get_detector`, or a detector. It is created for the first photo.
    root : str, default '~/.mxnet/models/face'
        Folder of stored models.

    Attributes
    ----------
    card : Card
        Card of the network.
    embedding_size : int
        Length of the embeddings.
    flip : bool
        As above.

    Raises
    ------
    UsageError, WeightsError
        The errors of `load_model`; the backend is unknown or not installed.

    Examples
    --------
    >>> from gluonfr.deploy import RawPixels
    >>> embedder = Embedder(RawPixels(), Card(image_size=(8, 8)))
    >>> embedder
    Embedder(InferenceNetwork(RawPixels, image_size=(8, 8)), flip=True, batch_size=64)
    >>> crops = np.full((2, 8, 8, 3), 100, np.uint8)
    >>> embedder(crops, aligned=True).shape
    (2, 192)
    >>> round(embedder.similarity(crops[0], crops[1], aligned=True), 3)
    1.0

    With a trained model and photos:

    >>> embedder = Embedder("runs/emore/best")  # doctest: +SKIP
    >>> embedder.similarity("a.jpg", "b.jpg")  # doctest: +SKIP
    0.713
    """

    def __init__(
        self,
        model: Any = None,
        card: Card | None = None,
        contexts: Sequence[mx.Context] | None = None,
        flip: bool = True,
        batch_size: int = 64,
        backend: str = "gluon",
        detector: Any = None,
        root: str = DEFAULT_MODELS,
    ) -> None:
        check_choice("backend", backend, BACKENDS)
        self._contexts = list(contexts or [mx.cpu()])
        net = model
        if model is None or isinstance(model, (str, os.PathLike)):
            net, own_card = load_model(model, self._contexts, root)
            card = card or own_card
        if not isinstance(card, Card):
            raise UsageError("card: a network needs a card, such as Card(image_size=(112, 112)).")
        self.card = card
        self.net = _for_backend(net, card, backend)
        self.flip, self._batch_size, self._detector = flip, batch_size, detector
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Embedder({self.net!r}, flip={self.flip}, batch_size={self._batch_size})"

    @property
    def embedding_size(self) -> int:
        """Length of the embeddings."""
        if not self.card.embedding_size:
            blank = np.full((*self.card.image_size, 3), 128, dtype=np.uint8)
            self.card.embedding_size = self([blank], aligned=True).shape[1]
        return self.card.embedding_size

    def __call__(
        self, images: Any, aligned: bool | None = None, progress: str | None = None, normalize: bool = True
    ) -> np.ndarray:
        """Compute embeddings of one image or of several.

        Parameters
        ----------
        images : image or sequence of images
            An image is the path of a file, the bytes of one, or a (H, W, 3) uint8 RGB array or NDArray; an array
            (N, H, W, 3) holds several.
        aligned : bool, optional
            True: the images are crops, as in training and verification sets, re-aligned for a network of another template.
            Otherwise they are photos, whatever their size; the face is detected and aligned, of several faces the large
            one in the middle. By default files that `gluonfr pack` wrote as crops are crops, and all others are photos.
        progress : str, optional
            Text of a progress bar.
        normalize : bool, default True
            False returns embeddings of the original length.

        Returns
        -------
        float32 (D,) for one image, (N, D) for several
            Norm 1 unless `normalize` is False.

        Raises
        ------
        DataError
            An image is unreadable or shows no face; the message names it.
        """
        several = _as_sequence(images)
        if several is None:
            return self([images], aligned, progress, normalize)[0]
        if not len(several):
            return np.zeros((0, self.embedding_size), dtype=np.float32)
        crops = _Crops(self, several, aligned)
        return embed(self.net, crops, self._contexts, self._batch_size, self.flip, progress, normalize)

    def files(
        self, paths: Iterable[str | os.PathLike], aligned: bool | None = None, progress: str | None = None
    ) -> tuple[np.ndarray, list[str], dict[str, str]]:
        """Compute embeddings of many files and skip unusable ones.

        Parameters
        ----------
        paths : iterable of str
            Image files.
        aligned, progress
            As above.

        Returns
        -------
        embeddings : (n, D) float32
            Embeddings of the usable files.
        used : list of str
            Their paths.
        left_out : dict of str to str
            Reason for each skipped path.
        """
        rows: list[np.ndarray] = []
        crops: list[np.ndarray] = []
        used: list[str] = []
        left_out: dict[str, str] = {}
        names = [os.fspath(path) for path in paths]
        for path in tqdm(names, desc=progress, unit="file", disable=None if progress else True, leave=False):
            try:
                crops.append(self.crop(path, aligned))
                used.append(path)
            except GluonFRError as error:
                left_out[path] = str(error)
            if len(crops) == self._batch_size:
                rows.append(self(crops, aligned=True))
                crops = []
        return np.concatenate([*rows, self(crops, aligned=True)]), used, left_out

    def crop(self, image: Any, aligned: bool | None = None, where: str = "the image") -> np.ndarray:
        """Return the crop of one image that the network receives: (H, W, 3) uint8 RGB of the card's size."""
        return self.chosen_crop(image, aligned, where)[0]

    def chosen_crop(
        self, image: Any, aligned: bool | None = None, where: str = "the image"
    ) -> tuple[np.ndarray, int, list[float] | None]:
        """Return the crop of one image, the number of faces found, and the box of the chosen one.

        Parameters
        ----------
        image, aligned
            As above.
        where : str, default 'the image'
            Name of an array in messages.

        Returns
        -------
        crop : (H, W, 3) uint8
            RGB, of the card's size.
        faces : int
            Number of faces on the image; 1 for a crop.
        box : [x0, y0, x1, y1] or None
            Box of the chosen face in pixels; None for a crop.
        """
        pixels, where, crop_template = _pixels(image, where)
        if is_crop(self, pixels, aligned, crop_template):
            return crop_for_network(pixels, self.card.image_size, self.card.template, where), 1, None
        faces = self.detect(pixels)
        if not len(faces.boxes):
            # Smaller faces take several times as long to search for.
            faces = self.detect(pixels, MIN_FACE)
        if not len(faces.boxes):
            raise DataError(f"{where} shows no face; use another photo, or pass aligned=True if it is a crop.")
        index, _ = choose_face(faces.boxes, faces.scores, pixels.shape)
        box = [round(float(value), 1) for value in faces.boxes[index]]
        return align_face(pixels, faces.landmarks[index], self.card.template), len(faces.boxes), box

    def detect(self, pixels: np.ndarray, min_face: float | None = None) -> Detections:
        """Find all faces of a photo, (H, W, 3) uint8 RGB, upright or turned; see :func:`gluonfr.detection.detect_faces`."""
        # Crops are made in several threads, but a detector works in one at a time.
        with self._lock:
            if self._detector is None or isinstance(self._detector, str):
                self._detector = get_detector(self._detector)
            return detect_faces(self._detector, pixels, min_face)

    def similarity(self, a: Any, b: Any, aligned: bool | None = None) -> Any:
        """Compute the cosine between two faces, or between each of several faces and each of others.

        Parameters
        ----------
        a, b : image, embedding, or several
            Images as for `__call__`, or float arrays (D,) or (N, D) that it returned.
        aligned : bool, optional
            As for `__call__`.

        Returns
        -------
        float or float32 (N, M), (N,) or (M,)
            Between -1 and 1.
        """
        first, second = (self._embedded(faces, aligned) for faces in (a, b))
        cosine = np.clip(first @ second.T, -1, 1)
        return float(cosine) if cosine.ndim == 0 else cosine

    def _embedded(self, faces: Any, aligned: bool | None) -> np.ndarray:
        if not (isinstance(faces, np.ndarray) and np.issubdtype(faces.dtype, np.floating)):
            return self(faces, aligned)
        if faces.ndim not in (1, 2) or faces.shape[-1] != self.embedding_size:
            raise UsageError(f"embeddings must be (D,) or (N, D) with D = {self.embedding_size}, got {faces.shape}.")
        norms = np.linalg.norm(faces, axis=-1, keepdims=True)
        if not (np.isfinite(norms) & (norms > 0)).all():
            raise DataError("embeddings: one is zero or not finite and has no direction; leave it out.")
        return faces / norms


class _Crops:
    """Crops of images, made on access."""

    def __init__(self, embedder: Embedder, images: Any, aligned: bool | None) -> None:
        self._embedder, self._images, self._aligned = embedder, images, aligned

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, i: int) -> np.ndarray:
        return self._embedder.crop(self._images[i], self._aligned, f"image {i}")


def _as_sequence(images: Any) -> Any:
    """Return several images as a sequence, or None for a single image."""
    if isinstance(images, (str, bytes, os.PathLike)):
        return None
    if hasattr(images, "ndim"):
        return None if images.ndim == 3 else images
    if hasattr(images, "__getitem__") and hasattr(images, "__len__"):
        # Not converted to a list: it may load images on access.
        return images
    if not isinstance(images, Iterable):
        raise UsageError(f"images must be paths, bytes or arrays, got {images!r}; give an image or a list of images.")
    return list(images)


def _pixels(image: Any, where: str) -> tuple[np.ndarray, str, str]:
    """Return (H, W, 3) uint8 RGB, the name of the image for messages, and the template of a marked crop."""
    if not isinstance(image, (str, bytes, os.PathLike)):
        return codec.as_rgb(image, where), where, ""
    try:
        where = where if isinstance(image, bytes) else os.fspath(image)
        photo = Photo(image if isinstance(image, bytes) else read_file(image))
        return photo.pixels(), where, photo.crop_template
    except PhotoError as error:
        detail = f" ({error.detail})" if error.detail else ""
        raise DataError(f"{where} cannot be used: {error.reason}{detail}.") from error


def _for_backend(net: Any, card: Card, backend: str) -> Any:
    """Return the network in the form that the backend runs."""
    from gluonfr.deploy.onnx_network import OnnxNetwork, open_session

    if isinstance(net, OnnxNetwork) or not isinstance(net, HybridBlock):
        return net
    if backend == "gluon":
        return InferenceNetwork(net, card.image_size)
    from gluonfr.deploy.export import export_network

    with scratch_folder() as folder:
        path = os.path.join(folder, "network.onnx")
        export_network(net, card, path)
        return OnnxNetwork(path, Card(image_size=card.image_size), session=open_session(path))

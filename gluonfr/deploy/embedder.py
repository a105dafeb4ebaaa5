from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterable

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock
from tqdm import tqdm

from gluonfr.align import align_face
from gluonfr.core import DEFAULT_MODELS, Card, GluonFRError
from gluonfr.data import images as codec
from gluonfr.data.crops import crop_for_network
from gluonfr.deploy.embedding import embed
from gluonfr.deploy.inference import InferenceNetwork
from gluonfr.deploy.model import load_model
from gluonfr.detection.registry import get_detector
from gluonfr.detection.selection import choose_face
from gluonfr.photos.reading import Photo, PhotoError, read_file

BACKENDS = ("gluon", "onnxruntime")


class Embedder:
    """Images of faces to embeddings that can be compared.

        embedder = Embedder("runs/emore/best")
        embedder.similarity("a.jpg", "b.jpg")

    Parameters
    ----------
    model : str, Block or None
        What `load_model` takes, or a network of your own, which then needs a `card`. None takes the only stored model.
    card : Card, optional
        In place of the model's own: size and template of the crops.
    contexts : list of Context, default [mx.cpu()]
    flip : bool, default True
        Add the embedding of the mirrored image before normalizing, as verification does. False halves the time.
    batch_size : int, default 64
        Images in memory at a time.
    backend : {'gluon', 'onnxruntime'}, default 'gluon'
        What runs the network: MXNet, in its fastest form for the device (`InferenceNetwork`), or ONNX Runtime, where it is
        installed. An `.onnx` model always runs in ONNX Runtime.
    detector : str or object with `detect`, optional
        Of photos: a name for `gluonfr.detection.get_detector`, or a detector. It is made when the first photo comes.
    root : str, default '~/.mxnet/models/face'
        Where stored models are kept.

    Attributes
    ----------
    card : Card
    embedding_size : int
    flip : bool

    Raises
    ------
    GluonFRError
        As `load_model`; an unknown backend, or one that is not installed.
    """

    def __init__(
        self,
        model=None,
        card=None,
        contexts=None,
        flip=True,
        batch_size=64,
        backend="gluon",
        detector=None,
        root=DEFAULT_MODELS,
    ) -> None:
        if backend not in BACKENDS:
            raise GluonFRError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}.")
        self._contexts = list(contexts or [mx.cpu()])
        if model is None or isinstance(model, (str, os.PathLike)):
            net, own = load_model(model, self._contexts, root)
            card = card or own
        else:
            net = model
            if not isinstance(card, Card):
                raise GluonFRError("card: a network of your own needs one, such as Card(image_size=(112, 112)).")
        self.card = card
        self.net = _running(net, card, backend)
        self.flip, self._batch_size, self._detector = flip, batch_size, detector
        self._lock = threading.Lock()

    @property
    def embedding_size(self):
        """D."""
        if not self.card.embedding_size:
            blank = np.full((*self.card.image_size, 3), 128, dtype=np.uint8)
            self.card.embedding_size = self([blank], aligned=True).shape[1]
        return self.card.embedding_size

    def __call__(self, images, aligned=None, progress=None, normalize=True):
        """Embeddings of one image or many.

        Parameters
        ----------
        images : image or sequence of images
            An image is the path of a file, the bytes of one, or a uint8 (H, W, 3) RGB array or NDArray; an array
            (N, H, W, 3) is many.
        aligned : bool, optional
            True: they are crops, as training and verification sets hold them, cut again for a network of another template.
            False: they are photos; the face is found and aligned, of several the large one in the middle. None: crops where
            they have exactly the size of the card, photos otherwise.
        progress : str, optional
            Text of a progress bar.
        normalize : bool, default True
            False keeps the lengths that the network gives.

        Returns
        -------
        float32 (D,) for one image, (N, D) for many; of norm 1 unless `normalize` is False.

        Raises
        ------
        GluonFRError
            An image is unreadable or shows no face; the message names it.
        """
        many = _listed(images)
        if many is None:
            return self([images], aligned, progress, normalize)[0]
        if not len(many):
            return np.zeros((0, self.embedding_size), dtype=np.float32)
        crops = _Crops(self, many, aligned)
        return embed(self.net, crops, self._contexts, self._batch_size, self.flip, progress, normalize)

    def files(self, paths, aligned=None, progress=None):
        """Embeddings of many files, some of which may be useless.

        Returns
        -------
        embeddings : float32 (n, D)
        kept : list of str
            The paths they belong to.
        left_out : dict of str to str
            Path -> why there is no embedding.
        """
        paths = [os.fspath(path) for path in paths]
        rows, crops, kept, left_out = [], [], [], {}
        for path in tqdm(paths, desc=progress, unit="file", disable=None if progress else True, leave=False):
            try:
                crops.append(self.crop(path, aligned))
                kept.append(path)
            except GluonFRError as error:
                left_out[path] = str(error)
            if len(crops) == self._batch_size:
                rows.append(self(crops, aligned=True))
                crops = []
        return np.concatenate([*rows, self(crops, aligned=True)]), kept, left_out

    def crop(self, image, aligned=None, where="the image"):
        """The crop of one image that the network gets: uint8 array (H, W, 3) RGB of the card's size; arguments as above."""
        return self.chosen_crop(image, aligned, where)[0]

    def chosen_crop(self, image, aligned=None, where="the image"):
        """As `crop`: (crop, number of faces on the image, box of the one that is taken: x0, y0, x1, y1 in pixels, or None)."""
        pixels, where = _pixels(image, where)
        size = self.card.image_size
        if aligned or (aligned is None and pixels.shape[:2] == size):
            return crop_for_network(pixels, size, self.card.template, where), 1, None
        boxes, scores, landmarks = self.detect(pixels)
        if not len(boxes):
            raise GluonFRError(f"{where} shows no face; take another photo, or say that it is aligned if it is a crop.")
        index, _ = choose_face(boxes, scores, pixels.shape)
        box = [round(float(each), 1) for each in boxes[index]]
        return align_face(pixels, landmarks[index], self.card.template), len(boxes), box

    def detect(self, pixels):
        """All faces of a photo, uint8 (H, W, 3) RGB: boxes, scores and landmarks, as a detector gives them."""
        # Images are made in several threads, a network that keeps its memory works in one at a time.
        with self._lock:
            if self._detector is None or isinstance(self._detector, str):
                self._detector = get_detector(self._detector)
            return self._detector.detect(pixels)

    def similarity(self, a, b, aligned=None):
        """Cosine between two faces, or between each of some and each of others.

        Parameters
        ----------
        a, b : image, embedding, or several
            Images as `__call__` takes them, or float arrays (D,) or (N, D) that it gave.
        aligned : bool, optional

        Returns
        -------
        float between -1 and 1 for one and one, else float32 (N, M), (N,) or (M,).
        """
        first, second = (self._embedded(each, aligned) for each in (a, b))
        cosine = np.clip(first @ second.T, -1, 1)
        return float(cosine) if cosine.ndim == 0 else cosine

    def _embedded(self, faces, aligned):
        if not (isinstance(faces, np.ndarray) and np.issubdtype(faces.dtype, np.floating)):
            return self(faces, aligned)
        if faces.ndim not in (1, 2) or faces.shape[-1] != self.embedding_size:
            raise GluonFRError(f"embeddings must be (D,) or (N, D) with D = {self.embedding_size}, got {faces.shape}.")
        norms = np.linalg.norm(faces, axis=-1, keepdims=True)
        if not (np.isfinite(norms) & (norms > 0)).all():
            raise GluonFRError("embeddings: one is zero or not finite, so that it has no direction; leave it out.")
        return faces / norms


class _Crops:
    """Crops of images, made when they are asked for."""

    def __init__(self, embedder, images, aligned) -> None:
        self._embedder, self._images, self._aligned = embedder, images, aligned

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, i):
        return self._embedder.crop(self._images[i], self._aligned, f"image {i}")


def _listed(images):
    """The images as a sequence when they are many, else None."""
    if isinstance(images, (str, bytes, os.PathLike)):
        return None
    if hasattr(images, "ndim"):
        return None if images.ndim == 3 else images
    if hasattr(images, "__getitem__") and hasattr(images, "__len__"):
        # Perhaps made only when asked for.
        return images
    if not isinstance(images, Iterable):
        raise GluonFRError(f"images: paths, bytes or arrays are needed, got {images!r}; give an image or a list of some.")
    return list(images)


def _pixels(image, where):
    """uint8 (H, W, 3) RGB, and what names the image in messages."""
    if not isinstance(image, (str, bytes, os.PathLike)):
        return codec.as_rgb(image, where), where
    try:
        if isinstance(image, bytes):
            return Photo(image).pixels(), where
        where = os.fspath(image)
        return Photo(read_file(image)).pixels(), where
    except PhotoError as refused:
        detail = f" ({refused.detail})" if refused.detail else ""
        raise GluonFRError(f"{where} cannot be used: {refused.reason}{detail}.") from refused


def _running(net, card, backend):
    """The network in the form that the backend runs."""
    from gluonfr.deploy.onnx_network import OnnxNetwork

    if isinstance(net, OnnxNetwork) or not isinstance(net, HybridBlock):
        return net
    if backend == "gluon":
        return InferenceNetwork(net, card.image_size)
    from gluonfr.deploy.export import export_network

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "network.onnx")
        export_network(net, card, path)
        return OnnxNetwork(path, Card(image_size=card.image_size))

"""Embeddings and thumbnails of the images of a set, computed in blocks that are stored."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Iterable

import cv2
import numpy as np
from tqdm import tqdm

from gluonfr.apps.curation.cleaning.face_sets import FaceSet
from gluonfr.core import DataError, GluonFRError, display_path
from gluonfr.deploy import Embedder
from gluonfr.photos.resumable import Blocks, digest, network_settings

_BLOCK = 512
_SIDE = 16
# Standard deviation of the blur that estimates the lighting, in pixels of the thumbnail.
_LIGHTING = 4


@dataclass
class EmbeddedSet:
    """The images of a set that have an embedding.

    Attributes
    ----------
    set : FaceSet
    rows : np.ndarray, (n,) int64
        Numbers of the images in the set.
    labels : np.ndarray, (n,) int64
    embeddings : np.ndarray, (n, D) float32
        Norm 1.
    prints : np.ndarray, (n, 256) float16
        From `fingerprint`.
    left_out : dict of str to str
        Keys of images without an embedding, and the reason.

    Examples
    --------
    >>> embed_set(embedder, open_set("emore"), "work")  # doctest: +SKIP
    EmbeddedSet('/data/emore', images=5822653)
    """

    set: FaceSet
    rows: np.ndarray
    labels: np.ndarray
    embeddings: np.ndarray
    prints: np.ndarray
    left_out: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"EmbeddedSet({self.set.path!r}, images={len(self.rows)})"

    def key(self, image: int) -> Any:
        """Return the key of an image in the set: its number or path."""
        return self.set.keys[self.rows[image]]


def embed_set(embedder: Embedder, faces: FaceSet, work: str, progress: str | None = None) -> EmbeddedSet:
    """Embed the images of a set.

    Parameters
    ----------
    embedder : Embedder
    faces : FaceSet
        From `open_set`.
    work : str
        Folder for finished blocks; the same call resumes there.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    EmbeddedSet

    Raises
    ------
    GluonFRError
        An image cannot be used, and the set does not leave out such images; or no image can be used.

    Examples
    --------
    >>> embed_set(embedder, open_set("emore"), "work")  # doctest: +SKIP
    EmbeddedSet('/data/emore', images=5822653)
    """
    blocks, keys = Blocks(work, {**network_settings(embedder), "set": digest(faces.state())}), []
    count = len(faces.labels)
    with tqdm(total=count, desc=progress, unit="image", disable=None if progress else True, leave=False) as bar:
        for start in range(0, count, _BLOCK):
            keys.append(f"{start // _BLOCK:08d}")
            part = range(start, min(start + _BLOCK, count))
            if keys[-1] not in blocks:
                blocks.write(keys[-1], **_embed_block(embedder, faces, part))
            bar.update(len(part))
    rows = np.concatenate([blocks.read(key, "rows")[0] for key in keys])
    if not len(rows):
        raise DataError(f"{display_path(faces.path)}: no image can be used; give another set.")
    embeddings = blocks.stacked(keys, "embeddings", "embeddings.f32", (len(rows), embedder.embedding_size), np.float32)
    prints = blocks.stacked(keys, "prints", "prints.f16", (len(rows), _SIDE * _SIDE), np.float16)
    left_out = {str(faces.keys[i]): why for key in keys for i, why in blocks.read_reasons(key, "left_out").items()}
    return EmbeddedSet(faces, rows, faces.labels[rows], embeddings, prints, left_out)


def _embed_block(embedder: Embedder, faces: FaceSet, numbers: Iterable[int]) -> dict[str, np.ndarray]:
    rows, crops, left_out = [], [], {}
    for i in numbers:
        try:
            crops.append(faces.crop(i, embedder))
            rows.append(i)
        except GluonFRError as error:
            if not faces.skip:
                raise
            left_out[i] = str(error)
    return {
        "rows": np.array(rows, np.int64),
        "embeddings": embedder(crops, aligned=True),
        "prints": np.array([fingerprint(crop) for crop in crops], np.float16).reshape(-1, _SIDE * _SIDE),
        "left_out": np.array(json.dumps(left_out)),
    }


def fingerprint(crop: np.ndarray) -> np.ndarray:
    """Return a 16x16 thumbnail without lighting, float32 (256,) of norm 1.

    The thumbnail is gray, minus its own blur (the lighting), minus its mean. The inner product of two thumbnails is their
    correlation: copies that were compressed, scaled or brightened correlate, other photos of the same face less.

    Examples
    --------
    >>> fingerprint(np.zeros((112, 112, 3), np.uint8)).shape
    (256,)
    """
    gray = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    gray -= cv2.GaussianBlur(gray, (0, 0), _LIGHTING)
    gray -= gray.mean()
    return (gray / max(float(np.linalg.norm(gray)), 1e-6)).ravel()


def mirrored(prints: np.ndarray) -> np.ndarray:
    """Return the fingerprints of the mirrored images.

    Examples
    --------
    >>> mirrored(np.arange(256.0)[None])[0, :2]
    array([15., 14.])
    """
    return prints.reshape(-1, _SIDE, _SIDE)[:, :, ::-1].reshape(prints.shape)

"""A set's images as embeddings and as small pictures of what they show, in blocks that are kept."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import cv2
import numpy as np
from tqdm import tqdm

from gluonfr.core import GluonFRError, display_path
from gluonfr.photos.resumable import Blocks, digest, network_settings

_BLOCK = 512
SIDE = 16
# Spread of the light that is taken out, in pixels of the small picture.
_LIGHT = 4


@dataclass
class Embedded:
    """The images of a set of which there is an embedding.

    Attributes
    ----------
    set : RecordSet, FolderSet or PairSet
    rows : (n,) int64
        Their numbers in the set.
    labels : (n,) int64
    embeddings : (n, D) float32, norm 1
    prints : (n, 256) float16
        See `fingerprint`.
    left_out : dict of str to str
        Key of an image -> why it has none.
    """

    set: object
    rows: np.ndarray
    labels: np.ndarray
    embeddings: np.ndarray
    prints: np.ndarray
    left_out: dict[str, str] = field(default_factory=dict)

    def key(self, i):
        """What names image i of these: its number, or its path."""
        return self.set.keys[self.rows[i]]


def embed_set(embedder, faces, work, progress=None):
    """Embed a set; what is done lies in the folder `work`, and the same call goes on there.

    Images that cannot be used raise GluonFRError, or are left out where the set says so.
    """
    blocks, keys = Blocks(work, {**network_settings(embedder), "set": digest(faces.state())}), []
    count = len(faces.labels)
    with tqdm(total=count, desc=progress, unit="image", disable=None if progress else True, leave=False) as bar:
        for start in range(0, count, _BLOCK):
            keys.append(f"{start // _BLOCK:08d}")
            part = range(start, min(start + _BLOCK, count))
            if keys[-1] not in blocks:
                blocks.write(keys[-1], **_block(embedder, faces, part))
            bar.update(len(part))
    found = [blocks.read(key, "rows", "left_out") for key in keys]
    rows = np.concatenate([each for each, _ in found])
    if not len(rows):
        raise GluonFRError(f"{display_path(faces.path)}: not one image can be used.")
    embeddings = blocks.stacked(keys, "embeddings", "embeddings.f32", (len(rows), embedder.embedding_size), np.float32)
    prints = blocks.stacked(keys, "prints", "prints.f16", (len(rows), SIDE * SIDE), np.float16)
    left_out = {str(faces.keys[int(i)]): why for _, told in found for i, why in json.loads(str(told)).items()}
    return Embedded(faces, rows, faces.labels[rows], embeddings, prints, left_out)


def _block(embedder, faces, numbers):
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
        "prints": np.array([fingerprint(crop) for crop in crops], np.float16).reshape(-1, SIDE * SIDE),
        "left_out": np.array(json.dumps(left_out)),
    }


def fingerprint(crop):
    """What a picture looks like in 16x16: float32 (256,) of norm 1.

    Grey, less its own blur, which takes out how it was lit, less its mean. The inner product of two is the correlation of
    the pictures; copies that were compressed, scaled or brightened correlate, other photos of the same face less.
    """
    grey = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    grey -= cv2.GaussianBlur(grey, (0, 0), _LIGHT)
    grey -= grey.mean()
    return (grey / max(float(np.linalg.norm(grey)), 1e-6)).ravel()


def mirrored(prints):
    """The fingerprints of the mirrored pictures."""
    return prints.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(prints.shape)

from __future__ import annotations

import json
import os

import numpy as np

from gluonfr.core import Card, GluonFRError, atomic_file, read_npz
from gluonfr.evaluation.megaface_files import write_feature


def write_embeddings(path, embeddings, files, card) -> None:
    """Write `.npz`: `embeddings` float32 (N, D), `files` (N,) text, `card` JSON. Whole or not at all, without pickles."""
    with atomic_file(path) as file:
        np.savez(
            file,
            embeddings=np.asarray(embeddings, dtype=np.float32),
            files=np.array([_text(each) for each in files], dtype=np.str_),
            card=np.array(json.dumps(card.to_dict())),
        )


def write_features(folder, ending, embeddings, files, root) -> None:
    """Write MegaFace features: FOLDER/FILE + ending for each file, FILE being its path below `root`."""
    for file, embedding in zip(files, embeddings):
        write_feature(os.path.join(folder, os.path.relpath(file, root) + ending), embedding)


def read_embeddings(path):
    """`(embeddings, files, card)` of what `write_embeddings` wrote; GluonFRError when it is something else."""
    stored = read_npz(path, "embeddings, files and card, as `gluonfr embed` writes them")
    try:
        embeddings, files, card = stored["embeddings"], stored["files"], stored["card"]
        card = Card.from_dict(json.loads(str(card)), path)
    except (ValueError, KeyError) as error:
        raise GluonFRError(f"{path} holds no embeddings ({error}); make it again with `gluonfr embed`.") from error
    if embeddings.ndim != 2 or files.shape != (len(embeddings),) or not np.isfinite(embeddings).all():
        raise GluonFRError(f"{path}: embeddings and files do not belong together; make it again with `gluonfr embed`.")
    return embeddings.astype(np.float32), files.tolist(), card


def _text(path):
    # File names need not be text; what is not is written as its escapes.
    return os.fsencode(path).decode("utf-8", "backslashreplace")

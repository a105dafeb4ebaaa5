"""Files of embeddings: `.npz` with file names and a model card, and MegaFace feature files."""

from __future__ import annotations

import json
import os
from typing import Sequence

import numpy as np

from gluonfr.core import Card, DataError, atomic_file, read_npz
from gluonfr.core.reading import parse_json
from gluonfr.evaluation.megaface_files import write_feature


def write_embeddings(path: str, embeddings: np.ndarray, files: Sequence[str], card: Card) -> None:
    """Write embeddings with the files and the network that they come from; the file is replaced atomically.

    Parameters
    ----------
    path : str
        `.npz` to write: `embeddings` float32 (N, D), `files` (N,) text, and `card`, the card as JSON text.
    embeddings : np.ndarray, (N, D)
    files : sequence of str, (N,)
        Bytes of a name that are not UTF-8 are written as escapes.
    card : Card
        Card of the network.

    Examples
    --------
    >>> import os, tempfile
    >>> from gluonfr.core import Card
    >>> path = os.path.join(tempfile.mkdtemp(), "faces.npz")
    >>> write_embeddings(path, np.eye(2), ["a.jpg", "b.jpg"], Card(network="mobilefacenet"))
    >>> embeddings, files, card = read_embeddings(path)
    >>> embeddings.shape, files, card.network
    ((2, 2), ['a.jpg', 'b.jpg'], 'mobilefacenet')
    """
    with atomic_file(path) as file:
        np.savez(
            file,
            embeddings=np.asarray(embeddings, dtype=np.float32),
            files=np.array([_text(name) for name in files], dtype=np.str_),
            card=np.array(json.dumps(card.to_dict())),
        )


def write_features(folder: str, ending: str, embeddings: np.ndarray, files: Sequence[str], root: str) -> None:
    """Write one MegaFace feature file per image.

    Parameters
    ----------
    folder : str
        Folder to write to; the subfolders are those of the images.
    ending : str
        Appended to the path of an image, such as '_y1.bin'.
    embeddings : np.ndarray, (N, D)
    files : sequence of str, (N,)
        Paths of the images.
    root : str
        Folder of the images.

    Examples
    --------
    >>> import os, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> write_features(folder, "_y1.bin", np.eye(2), ["photos/ann/1.jpg", "photos/bob/1.jpg"], "photos")
    >>> os.listdir(os.path.join(folder, "ann"))
    ['1.jpg_y1.bin']
    """
    for file, embedding in zip(files, embeddings):
        write_feature(os.path.join(folder, os.path.relpath(file, root) + ending), embedding)


def read_embeddings(path: str) -> tuple[np.ndarray, list[str], Card]:
    """Read a file of :func:`write_embeddings`.

    Returns
    -------
    embeddings : np.ndarray, float32 (N, D)
    files : list of str
    card : Card

    Raises
    ------
    DataError
        The file is missing, damaged or of another kind.

    Examples
    --------
    >>> embeddings, files, card = read_embeddings("faces.npz")  # doctest: +SKIP
    """
    stored = read_npz(path, "embeddings, files and card, as `gluonfr embed` writes them")
    try:
        embeddings, files = stored["embeddings"], stored["files"]
        card = Card.from_dict(parse_json(str(stored["card"]), "its card"), path)
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}: not a file of embeddings ({error}). Write it again with `gluonfr embed`.") from error
    fits = embeddings.dtype.kind in "fiu" and embeddings.ndim == 2 and files.shape == (len(embeddings),)
    if not fits or not np.isfinite(embeddings).all():
        raise DataError(
            f"{path}: embeddings {embeddings.dtype} {embeddings.shape} are not finite numbers or do not match files "
            f"{files.shape}. Write the file again with `gluonfr embed`."
        )
    return embeddings.astype(np.float32), files.tolist(), card


def _text(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")

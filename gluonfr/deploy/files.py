import json
import os

import numpy as np

from gluonfr.core import Card, GluonFRError, read_npz, whole_file
from gluonfr.data.megaface import write_feature

_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".jp2")


def find_images(paths, more=()):
    """The image files among `paths`: files as they are, folders by what lies in them at any depth, in order of name.

    Files whose names end with one of `more` count too.

    Raises
    ------
    GluonFRError
        A path does not exist, or there is no image at all.
    """
    found = []
    for path in map(os.fspath, paths):
        if os.path.isdir(path):
            for folder, inside, names in os.walk(path):
                inside.sort()
                found += [os.path.join(folder, name) for name in sorted(names) if name.lower().endswith((*_ENDINGS, *more))]
        elif os.path.exists(path):
            found.append(path)
        else:
            raise GluonFRError(f"{path} is missing: give image files or folders that hold some.")
    if not found:
        raise GluonFRError(f"{', '.join(map(os.fspath, paths))}: no image file there ({' '.join(_ENDINGS)}).")
    return found


def write_embeddings(path, embeddings, files, card):
    """Write `.npz`: `embeddings` float32 (N, D), `files` (N,) text, `card` JSON. Whole or not at all, without pickles."""
    with whole_file(path) as file:
        np.savez(
            file,
            embeddings=np.asarray(embeddings, dtype=np.float32),
            files=np.array([_text(each) for each in files], dtype=np.str_),
            card=np.array(json.dumps(card.to_dict())),
        )


def write_features(folder, ending, embeddings, files, root):
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

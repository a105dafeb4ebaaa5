"""A gallery out of its file and into another one."""

from __future__ import annotations

import json
import zipfile

import numpy as np

from gluonfr.apps.gallery.gallery import checked_name
from gluonfr.core import Card, GluonFRError, atomic_file, disk_errors, display_path, require_file
from gluonfr.weights.network_identity import need_same_network

_PEOPLE_TOGETHER = 1000


def export_gallery(gallery, path):
    """Write all people as an `.npz`, whole or not at all, without pickles: returns (people, photos).

    `embeddings` float32 (N, D) and `labels` (N,) names, as `gluonfr identification` takes them; `digests` uint8 (N, 32),
    `sources` a JSON list as bytes, `card` JSON.
    """
    if not str(path).endswith(".npz"):
        raise GluonFRError(f"{display_path(path)}: name a file that ends with .npz.")
    names, entries = [], []
    for name, entry in gallery.entries():
        names.append(name)
        entries.append(entry)
    if not entries:
        raise GluonFRError(f"{display_path(gallery.where)}: nobody is in it, so that there is nothing to write.")
    with disk_errors(path), atomic_file(path) as file:
        np.savez(
            file,
            embeddings=np.stack([entry.embedding for entry in entries]),
            labels=np.array(names, dtype=np.str_),
            digests=np.frombuffer(b"".join(entry.digest for entry in entries), np.uint8).reshape(-1, 32),
            sources=np.frombuffer(json.dumps([entry.source for entry in entries]).encode("ascii"), np.uint8),
            card=np.array(json.dumps(gallery.card.to_dict())),
        )
    return len(set(names)), len(names)


def read_card(path):
    """The card of the network that an `.npz` of embeddings names."""
    return _read(path)[0]


def import_gallery(gallery, path):
    """Enroll what `export_gallery` wrote, or `gluonfr embed` of photos in a folder a person: returns how many photos were new.

    Photos that are enrolled already are passed over. People go in some hundreds at a time, each whole.

    Raises
    ------
    GluonFRError
        It is no such file, of another network, or a photo is enrolled as somebody else.
    """
    card, embeddings, names, digests, sources = _read(path)
    need_same_network(gallery.card, gallery.where, card, display_path(path))
    rows_of = {}
    for row, name in enumerate(names):
        rows_of.setdefault(checked_name(name), []).append(row)
    people, added = list(rows_of.items()), 0
    for start in range(0, len(people), _PEOPLE_TOGETHER):
        part = {
            name: (embeddings[rows], [digests[row] for row in rows] if digests else None, [sources[row] for row in rows])
            for name, rows in people[start : start + _PEOPLE_TOGETHER]
        }
        added += gallery.enroll_people(part)
    return added


def _read(path):
    path = require_file(path, "file of embeddings")
    try:
        with np.load(path, allow_pickle=False) as stored:
            card = Card.from_dict(json.loads(str(stored["card"])), path)
            embeddings = stored["embeddings"]
            if "labels" in stored.files:
                names = stored["labels"].tolist()
                sources = json.loads(stored["sources"].tobytes()) if "sources" in stored.files else [""] * len(names)
                digests = [each.tobytes() for each in stored["digests"]] if "digests" in stored.files else None
            else:
                sources, digests = stored["files"].tolist(), None
                names = [file.replace("\\", "/").split("/")[-2] for file in sources]
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise GluonFRError(
            f"{display_path(path)} holds no people ({error}); give what `gluonfr people --export` or `gluonfr embed` wrote."
        ) from error
    if embeddings.ndim != 2 or not len(embeddings) == len(names) == len(sources) == len(digests or names):
        raise GluonFRError(f"{display_path(path)}: embeddings and names do not belong together; make it again.")
    return card, embeddings, names, digests, sources

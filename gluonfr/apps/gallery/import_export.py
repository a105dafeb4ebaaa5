"""Export of a gallery to an `.npz` file, and import from one."""

from __future__ import annotations

import json

import numpy as np

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.apps.gallery.names import person_name
from gluonfr.apps.gallery.stores.base import Entry
from gluonfr.core import Card, DataError, UsageError, atomic_file, disk_errors, display_path
from gluonfr.core.reading import parse_json, read_npz
from gluonfr.weights.network_identity import require_same_network

_PEOPLE_PER_TRANSACTION = 1000


def export_gallery(gallery: Gallery, path: str) -> tuple[int, int]:
    """Write all people as an `.npz` file, atomically and without pickles.

    The file contains `embeddings` float32 (N, D) and the names as `labels` (N,), which `gluonfr identification` reads too, and
    `digests` uint8 (N, 32), `sources` (a JSON list as bytes) and `card` (JSON).

    Parameters
    ----------
    gallery : Gallery
    path : str
        A name that ends with .npz.

    Returns
    -------
    people, photos : int

    Raises
    ------
    GluonFRError
        The gallery is empty, or the file cannot be written.

    Examples
    --------
    >>> export_gallery(gallery, "people.npz")  # doctest: +SKIP
    (24, 168)
    """
    if not str(path).endswith(".npz"):
        raise UsageError(f"{display_path(path)}: the name of the file must end with .npz.")
    names: list[str] = []
    entries: list[Entry] = []
    for name, entry in gallery.entries():
        names.append(name)
        entries.append(entry)
    if not entries:
        raise UsageError(f"{display_path(gallery.where)}: the gallery is empty; enroll people before you export it.")
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


def read_card(path: str) -> Card:
    """Return the card of the network that an `.npz` of embeddings contains.

    Examples
    --------
    >>> read_card("people.npz").network  # doctest: +SKIP
    'mobilefacenet'
    """
    return _read(path)[0]


def import_gallery(gallery: Gallery, path: str) -> int:
    """Enroll the people of an `.npz` file.

    Photos that are enrolled already are skipped. People are enrolled in transactions of up to 1,000 people.

    Parameters
    ----------
    gallery : Gallery
    path : str
        A file of `export_gallery`, or of `gluonfr embed` for photos in one folder per person.

    Returns
    -------
    int
        Number of new photos.

    Raises
    ------
    GluonFRError
        The file is of another kind or another network, or a photo is enrolled for another person.

    Examples
    --------
    >>> import_gallery(gallery, "people.npz")  # doctest: +SKIP
    168
    """
    card, embeddings, names, digests, sources = _read(path)
    require_same_network(gallery.card, gallery.where, card, display_path(path))
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows_of.setdefault(person_name(name), []).append(row)
    people, added = list(rows_of.items()), 0
    for start in range(0, len(people), _PEOPLE_PER_TRANSACTION):
        part = {
            name: (embeddings[rows], [digests[row] for row in rows] if digests else None, [sources[row] for row in rows])
            for name, rows in people[start : start + _PEOPLE_PER_TRANSACTION]
        }
        added += gallery.enroll_people(part)
    return added


def _read(path: str) -> tuple[Card, np.ndarray, list[str], list[bytes] | None, list[str]]:
    """Return card, embeddings, names, digests (None where the file has none) and sources."""
    stored = read_npz(path, "people")
    try:
        card = Card.from_dict(parse_json(str(stored["card"]), "its card"), path)
        embeddings = np.asarray(stored["embeddings"], np.float32)
        names, digests, sources = _people(stored)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise DataError(
            f"{display_path(path)} does not contain people ({error}); give a file of `gluonfr people` or `gluonfr embed`."
        ) from error
    if embeddings.ndim != 2 or not len(embeddings) == len(names) == len(sources) == len(digests or names):
        raise DataError(f"{display_path(path)}: the numbers of embeddings and names differ; create the file again.")
    return card, embeddings, names, digests, sources


def _people(stored: dict[str, np.ndarray]) -> tuple[list[str], list[bytes] | None, list[str]]:
    if "labels" not in stored:
        files = [str(file) for file in stored["files"].tolist()]
        return [file.replace("\\", "/").split("/")[-2] for file in files], None, files
    names = [str(name) for name in stored["labels"].tolist()]
    sources = parse_json(stored["sources"].tobytes(), "sources") if "sources" in stored else [""] * len(names)
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        raise ValueError("its sources are not a list of texts")
    digests = [digest.tobytes() for digest in stored["digests"]] if "digests" in stored else None
    return names, digests, sources

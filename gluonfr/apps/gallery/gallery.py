"""Enrolled people, and the identification of new faces among them."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Iterable, Iterator, Mapping, Sequence

import numpy as np

from gluonfr.apps.gallery.names import person_name, valid_text
from gluonfr.apps.gallery.stores.base import Change, Entry, GalleryStore, Person
from gluonfr.apps.gallery.stores.milvus_server import is_address
from gluonfr.apps.gallery.stores.sqlite_store import SQLiteStore
from gluonfr.apps.gallery.unknown import Identification, Threshold, calibrate, check_fpir, given_threshold
from gluonfr.core import Card, GluonFRError, UsageError, display_path
from gluonfr.core.reading import parse_json
from gluonfr.metrics.unit import unit_rows
from gluonfr.weights.network_identity import require_same_network

FPIR = 0.01
# Impostor scores are computed again when the number of people or photos has changed by more than this fraction.
_MAX_DRIFT = 0.05
_NOTE = "strangers"


class Gallery:
    """A gallery: enrolled people with embeddings of their photos.

    Every change is atomic and durable when the call returns. Changes by other processes are visible at once.

    Parameters
    ----------
    where : str or GalleryStore
        Path of a file, `milvus://HOST:PORT/NAME` for a gallery on a Milvus server, or an open store.
    card : Card, optional
        Card of the network, with its embedding size. Required to create a gallery; a gallery of another network is refused.
    create : bool, default True
        Create the gallery if it is missing and there is a card.

    Attributes
    ----------
    card : Card
        Card of the gallery's network.
    where : str
        Path or address.

    Raises
    ------
    GluonFRError
        The file is missing, locked, damaged, of a later format or not a gallery; no server answers; the network is another.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Gallery(os.path.join(folder, "g.db"), Card(network="n", embedding_size=2)) as gallery:
    ...         new = gallery.enroll("Ann Lee", [[1, 0], [0.9, 0.1]])
    ...         answer = gallery.identify([1, 0.1], threshold=gallery.threshold(similarity=0.5))[0]
    >>> new, answer.name, round(answer.similarity, 4)
    (2, 'Ann Lee', 0.9999)
    """

    def __init__(self, where: str | os.PathLike | GalleryStore, card: Card | None = None, create: bool = True) -> None:
        if isinstance(where, GalleryStore):
            self._store = where
        else:
            if card is not None and not card.embedding_size:
                raise UsageError("card: embedding_size is 0; a gallery requires the size of the embeddings.")
            where = os.fspath(where)
            self._store = _store_class(where)(where, card, create)
        self.card, self.where = self._store.card, self._store.where
        # (people, photos) at the time of the calculation, scores, and a number per person.
        self._impostors: tuple[tuple[int, int], list[float], list[int]] | None = None
        if card is not None:
            try:
                self.check_network(card)
            except GluonFRError:
                self.close()
                raise

    def __repr__(self) -> str:
        return f"Gallery({self.where!r}, network={self.card.network!r}, embedding_size={self.card.embedding_size})"

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file or the connection."""
        self._store.close()

    def check_network(self, card: Card) -> None:
        """Raise GluonFRError unless the embeddings of the gallery are from the network of this card."""
        require_same_network(self.card, self.where, card, "the network here")

    def people(self) -> list[Person]:
        """Return all people (`name`, `photos`) in the order of their enrollment."""
        return self._store.people()

    def count(self) -> tuple[int, int]:
        """Return the numbers of people and photos."""
        return self._store.count()

    def enroll(
        self,
        name: str,
        embeddings: Any,
        digests: Sequence[bytes] | None = None,
        sources: Sequence[str] | None = None,
    ) -> int:
        """Add photos to a new or existing person.

        Parameters
        ----------
        name : str
            1 to 200 characters.
        embeddings : array-like, (N, D) or (D,) float
            Embeddings of the gallery's network; they are normalized.
        digests : sequence of N bytes, optional
            SHA-256 of each photo: a photo that is enrolled already is skipped. Default: SHA-256 of the embedding.
        sources : sequence of N str, optional
            Path or description of each photo.

        Returns
        -------
        int
            Number of new photos.

        Raises
        ------
        GluonFRError
            The name or the embeddings are invalid, or a photo is enrolled for another person; nothing is added then.
        """
        return self.enroll_people({name: (embeddings, digests, sources)})

    def enroll_people(self, people: Mapping[str, tuple[Any, Any, Any]]) -> int:
        """Enroll many people in one transaction.

        Parameters
        ----------
        people : dict of str to (embeddings, digests or None, sources or None)
            As the arguments of `enroll`.

        Returns
        -------
        int
            Number of new photos.
        """
        return self._store.add({person_name(name): self._entries(name, *values) for name, values in people.items()})

    def owners(self, digests: Iterable[bytes]) -> dict[bytes, str]:
        """Return the names of the people to whom enrolled digests belong; other digests are left out."""
        return self._store.owners(digests)

    def entries(self, name: str | None = None) -> Iterator[tuple[str, Entry]]:
        """Iterate over (name, entry) of all photos, or of one person."""
        return self._store.entries(None if name is None else person_name(name))

    def find_photo(self, name: str, photo: str) -> bytes:
        """Return the digest of the only photo of a person with this source or whose digest begins with these digits."""
        photo = photo.strip()
        entries = [entry for _, entry in self.entries(name)]
        found = {entry.digest for entry in entries if entry.source == photo}
        found = found or {entry.digest for entry in entries if len(photo) >= 4 and entry.digest.hex().startswith(photo)}
        if len(found) != 1:
            what = "has no photo" if not found else f"has {len(found)} photos"
            raise UsageError(
                f"'{display_path(name)}' {what} '{display_path(photo)}'; give the source or the id of one photo of the person."
            )
        return found.pop()

    def remove(self, name: str) -> Change:
        """Remove a person, and erase the name and the embeddings where the store can.

        In a file, `Change.erased` is False only while another process reads it; the next change or the next opening erases
        the rest. On a Milvus server it is always False.
        """
        return self._store.remove(person_name(name))

    def remove_photos(self, name: str, digests: Sequence[bytes]) -> Change:
        """Remove photos of a person by their digests, as `entries` returns them; a person without photos is removed."""
        return self._forget_impostors(self._store.remove_photos(person_name(name), list(digests)))

    def move_photos(self, name: str, digests: Sequence[bytes], into: str) -> Change:
        """Move photos of a person to another person, who may be new."""
        change = self._store.move_photos(person_name(name), list(digests), person_name(into))
        return self._forget_impostors(change)

    def rename(self, old: str, new: str) -> Change:
        """Give a person a name that is not in use. Source paths that begin with the old name get the new one."""
        return self._store.rename(person_name(old), person_name(new))

    def merge(self, name: str, into: str) -> Change:
        """Move all photos of a person to another person. Source paths change as with `rename`."""
        # The two were impostors of each other.
        return self._forget_impostors(self._store.merge(person_name(name), person_name(into)))

    def identify(self, embeddings: Any, k: int = 5, threshold: Threshold | None = None) -> list[Identification]:
        """Identify faces.

        Parameters
        ----------
        embeddings : array-like, (N, D) or (D,) float
            Embeddings of the gallery's network.
        k : int, default 5
            Number of candidates per face.
        threshold : Threshold, optional
            Default: the threshold for a false positive rate of 1 %.

        Returns
        -------
        list of Identification
        """
        if k < 1:
            raise UsageError(f"k must be at least 1, got {k}.")
        queries = self._unit(embeddings, "embeddings")
        threshold = self.threshold() if threshold is None else threshold
        return [Identification(threshold.name_of(matches), tuple(matches)) for matches in self._store.search(queries, k)]

    def threshold(self, fpir: float = FPIR, similarity: float | None = None) -> Threshold:
        """Return the similarity above which a face gets a name, for the present size of the gallery.

        Parameters
        ----------
        fpir : float, default 0.01
            False positive identification rate: the fraction of faces of unknown people that may get a name.
        similarity : float, optional
            Use this cosine instead, and estimate its rate.

        Returns
        -------
        Threshold
        """
        check_fpir(fpir)
        (people, photos), (scores, names) = self.count(), self._impostor_scores()
        if similarity is not None:
            if not -1 <= similarity <= 1:
                raise UsageError(f"the threshold must be a cosine from -1 to 1, got {similarity}.")
            return given_threshold(float(similarity), people, photos, scores, names, self.card)
        return calibrate(fpir, people, photos, scores, names, self.card)

    def _impostor_scores(self) -> tuple[list[float], list[int]]:
        count = self.count()
        if self._impostors is None:
            self._impostors = _parse_note(self._store.load_note(_NOTE))
        if self._impostors is None or _has_drifted(self._impostors[0], count):
            scores, names = self._store.impostor_scores() if count[0] > 1 else ((), ())
            # Numbers instead of names, because the names of removed people must not stay in the note.
            numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
            self._impostors = count, [round(float(score), 6) for score in scores], [numbers[name] for name in names]
            self._store.save_note(_NOTE, json.dumps(self._impostors))
        return self._impostors[1:]

    def _forget_impostors(self, change: Change) -> Change:
        self._impostors = None
        self._store.save_note(_NOTE, "")
        return change

    def _entries(self, name: Any, embeddings: Any, digests: Any, sources: Any) -> list[Entry]:
        rows = self._unit(embeddings, f"embeddings of {display_path(str(name))}")
        digests = [hashlib.sha256(row.tobytes()).digest() for row in rows] if digests is None else list(digests)
        sources = [""] * len(rows) if sources is None else [valid_text(source) for source in sources]
        if len(digests) != len(rows) or len(sources) != len(rows):
            raise UsageError(
                f"{len(rows)} embeddings, {len(digests)} digests, {len(sources)} sources; pass one of each per embedding."
            )
        if not all(isinstance(digest, bytes) and len(digest) == 32 for digest in digests):
            raise UsageError("digests: each must be the 32 bytes of a SHA-256.")
        return [Entry(*values) for values in zip(rows, digests, sources)]

    def _unit(self, embeddings: Any, what: str) -> np.ndarray:
        embeddings = np.asarray(embeddings)
        rows = unit_rows(embeddings[None] if embeddings.ndim == 1 else embeddings, what)
        if rows.shape[1] != self.card.embedding_size:
            raise UsageError(
                f"{what} have {rows.shape[1]} numbers, but those of {display_path(self.where)} have "
                f"{self.card.embedding_size}; use the network of the gallery."
            )
        return rows


def gallery_exists(where: str) -> bool:
    """Return whether there is a gallery in a file or at an address.

    Raises
    ------
    GluonFRError
        No server answers at the address.

    Examples
    --------
    >>> gallery_exists("missing.db")
    False
    """
    return _store_class(where).exists(where)


def _store_class(where: str) -> type[Any]:
    if not is_address(where):
        return SQLiteStore
    # The client of Milvus takes a second to import.
    from gluonfr.apps.gallery.stores.milvus_store import MilvusStore

    return MilvusStore


def _has_drifted(before: tuple[int, int], now: tuple[int, int]) -> bool:
    return any(abs(a - b) > _MAX_DRIFT * a for a, b in zip(before, now))


def _parse_note(text: str | None) -> tuple[tuple[int, int], list[float], list[int]] | None:
    """Return what `_impostor_scores` saved, or None if the text is missing or damaged."""
    try:
        (people, photos), scores, names = parse_json(text or "", "strangers")
        valid = all(isinstance(value, int) for value in (people, photos, *names))
        valid = valid and all(isinstance(score, float) and -1.01 <= score <= 1.01 for score in scores)
        return ((people, photos), scores, names) if valid and len(scores) == len(names) else None
    except (ValueError, TypeError, RecursionError):
        return None

"""The interface of gallery stores, the values they return, and the errors that all of them raise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, Iterable, Iterator, List

import numpy as np

from gluonfr.core import Card, UsageError, display_path

# Enough scores to estimate a rate of one in two hundred, within seconds.
_SAMPLE = 1000
# Candidates per sampled photo: the person itself, and others that may be the same person under another name.
_CANDIDATES = 6


@dataclass(frozen=True)
class Entry:
    """One photo of a person.

    Attributes
    ----------
    embedding : np.ndarray, (D,) float32
        Embedding of the face, norm 1.
    digest : bytes
        32 bytes that identify the photo: two entries with the same digest are the same photo.
    source : str
        Path or description of the photo; may be empty.

    Examples
    --------
    >>> Entry(np.array([1, 0], np.float32), b"d" * 32, "Ann/1.jpg")
    Entry(digest='64646464...', source='Ann/1.jpg')
    """

    embedding: np.ndarray
    digest: bytes
    source: str = ""

    def __repr__(self) -> str:
        return f"Entry(digest='{self.digest.hex()[:8]}...', source={self.source!r})"


@dataclass(frozen=True)
class Person:
    """An enrolled person.

    Attributes
    ----------
    name : str
    photos : int
        Number of enrolled photos.

    Examples
    --------
    >>> Person("Ann", 3)
    Person(name='Ann', photos=3)
    """

    name: str
    photos: int


@dataclass(frozen=True)
class Match:
    """A candidate of a search.

    Attributes
    ----------
    name : str
        Name of the person.
    similarity : float
        Cosine between the query and the person's most similar photo.
    source : str
        Source of that photo.

    Examples
    --------
    >>> Match("Ann", 0.71, "Ann/1.jpg").similarity
    0.71
    """

    name: str
    similarity: float
    source: str


@dataclass(frozen=True)
class Change:
    """The result of removing, moving or renaming.

    Attributes
    ----------
    photos : int
        Number of photos removed or moved.
    erased : bool
        Whether no byte of the removed data is left in the files of the store.
    left : str
        Where bytes are left, and how long; empty if there are none.

    Examples
    --------
    >>> Change(3, True)
    Change(photos=3, erased=True, left='')
    """

    photos: int
    erased: bool
    left: str = ""


# Run-time aliases need the names of `typing` on Python 3.8.
Entries = Dict[str, List[Entry]]


class GalleryStore(ABC):
    """People with the embeddings of their photos. Every change is atomic and durable when the call returns.

    `Gallery` checks names and embeddings before it calls a store. A store raises GluonFRError if a person does not exist or
    exists already, and if its file or server fails.

    Attributes
    ----------
    where : str
        Path or address, for messages.
    card : Card
        Card of the network that computed the embeddings.

    Examples
    --------
    >>> import os, tempfile
    >>> from gluonfr.apps.gallery.stores.sqlite_store import SQLiteStore
    >>> from gluonfr.core import Card
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = SQLiteStore(os.path.join(folder, "g.db"), Card(network="n", embedding_size=2))
    ...     added = store.add({"Ann": [Entry(np.array([1, 0], np.float32), b"d" * 32)]})
    ...     found = store.search(np.array([[1, 0]], np.float32), 1)
    ...     store.close()
    >>> isinstance(store, GalleryStore), added, found
    (True, 1, [[Match(name='Ann', similarity=1.0, source='')]])
    """

    where: str
    card: Card

    @staticmethod
    @abstractmethod
    def exists(where: str) -> bool:
        """Return whether there is a gallery at this path or address."""

    @abstractmethod
    def add(self, people: Entries) -> int:
        """Add photos to new or existing people, and return the number of new photos.

        A digest that the same person has already is skipped. A digest of another person raises GluonFRError; nothing is
        added then.
        """

    @abstractmethod
    def remove(self, name: str) -> Change:
        """Remove a person."""

    @abstractmethod
    def remove_photos(self, name: str, digests: list[bytes]) -> Change:
        """Remove these photos of a person; a person without photos is removed."""

    @abstractmethod
    def move_photos(self, name: str, digests: list[bytes], into: str) -> Change:
        """Move these photos of a person to another person, who may be new."""

    @abstractmethod
    def rename(self, old: str, new: str) -> Change:
        """Give a person a name that is not in use."""

    @abstractmethod
    def merge(self, name: str, into: str) -> Change:
        """Move all photos of a person to another person."""

    @abstractmethod
    def people(self) -> list[Person]:
        """Return all people in the order of their enrollment."""

    @abstractmethod
    def count(self) -> tuple[int, int]:
        """Return the numbers of people and photos."""

    @abstractmethod
    def owners(self, digests: Iterable[bytes]) -> dict[bytes, str]:
        """Return the names of the people to whom enrolled digests belong; other digests are left out."""

    @abstractmethod
    def entries(self, name: str | None = None) -> Iterator[tuple[str, Entry]]:
        """Iterate over (name, entry) of all photos, or of one person, in the order of enrollment."""

    @abstractmethod
    def search(self, queries: np.ndarray, k: int) -> list[list[Match]]:
        """Return the k most similar people per query, best first, by an exact search over all photos.

        Parameters
        ----------
        queries : np.ndarray, (Q, D) float32
            Embeddings of norm 1.
        k : int
            Number of people.
        """

    @abstractmethod
    def sample(self, limit: int) -> tuple[list[str], np.ndarray]:
        """Return names and embeddings (n, D) of at most `limit` random photos; the same ones until the gallery changes."""

    @abstractmethod
    def save_note(self, key: str, text: str) -> None:
        """Store a text that can be recomputed; it is dropped silently if the store cannot be written now."""

    @abstractmethod
    def load_note(self, key: str) -> str | None:
        """Return the text stored under a key, or None."""

    @abstractmethod
    def close(self) -> None:
        """Release files and connections."""

    def impostor_scores(self, limit: int = _SAMPLE) -> tuple[np.ndarray, list[str]]:
        """Return the best score of sampled photos to any *other* person: the scores of impostors.

        Two names of one person would look like an impostor with a very high score. Two people are therefore not compared if
        a photo of one is at least as similar to the other as photos of the same person typically are.

        Parameters
        ----------
        limit : int, default 1000
            Maximum number of photos.

        Returns
        -------
        scores : np.ndarray, (n,) float64
        names : list of str
            Person of each photo.
        """
        names, embeddings = self.sample(limit)
        found = self.search(embeddings, _CANDIDATES)
        genuine = _typical_genuine_score(embeddings, names)
        same_person = {
            frozenset((name, match.name))
            for name, matches in zip(names, found)
            for match in matches
            if match.name != name and match.similarity >= genuine
        }
        scores, of = [], []
        for name, matches in zip(names, found):
            others = [
                match.similarity for match in matches if match.name != name and frozenset((name, match.name)) not in same_person
            ]
            if others:
                scores.append(max(others))
                of.append(name)
        return np.array(scores), of


def unknown_person(name: str, where: str) -> UsageError:
    """Return the error about a person who is not enrolled.

    Examples
    --------
    >>> print(unknown_person("Ann", "g.db"))
    g.db: 'Ann' is not enrolled; list the people of the gallery to see its names.
    """
    return UsageError(
        f"{display_path(where)}: '{display_path(name)}' is not enrolled; list the people of the gallery to see its names."
    )


def name_in_use(name: str) -> UsageError:
    """Return the error about a new name that another person has.

    Examples
    --------
    >>> print(name_in_use("Ann"))
    'Ann' is enrolled already; merge the two if they are the same person.
    """
    return UsageError(f"'{display_path(name)}' is enrolled already; merge the two if they are the same person.")


def same_person_twice(name: str) -> UsageError:
    """Return the error about a person who is to be merged with themselves.

    Examples
    --------
    >>> print(same_person_twice("Ann"))
    'Ann' cannot be merged into itself; give two different names.
    """
    return UsageError(f"'{display_path(name)}' cannot be merged into itself; give two different names.")


def photo_in_use(entry: Entry, name: str, owner: str) -> UsageError:
    """Return the error about a photo of `name` that is enrolled for `owner`.

    Examples
    --------
    >>> print(photo_in_use(Entry(np.zeros(2), b"d" * 32, "1.jpg"), "Ann", "Bea"))
    1.jpg of 'Ann' is enrolled as 'Bea'; leave it out, move it, or merge the two if they are the same person.
    """
    return UsageError(
        f"{display_path(entry.source or 'a photo')} of '{display_path(name)}' is enrolled as '{display_path(owner)}'; "
        "leave it out, move it, or merge the two if they are the same person."
    )


def unknown_photo(name: str) -> UsageError:
    """Return the error about a photo that a person does not have.

    Examples
    --------
    >>> print(unknown_photo("Ann"))
    'Ann' does not have this photo; list the photos of the person.
    """
    return UsageError(f"'{display_path(name)}' does not have this photo; list the photos of the person.")


def _typical_genuine_score(embeddings: np.ndarray, names: list[str]) -> float:
    """Return the median best similarity of a photo to another photo of the same person; infinity if there is none."""
    _, people = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
    same = people[:, None] == people
    np.fill_diagonal(same, False)
    has_another = same.any(axis=1)
    best = np.where(same, embeddings @ embeddings.T, -2).max(axis=1, initial=-2)
    return float(np.median(best[has_another])) if has_another.any() else np.inf

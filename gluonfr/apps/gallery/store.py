"""What every engine of a gallery does, whatever it keeps its people in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from gluonfr.core import GluonFRError, display_path

# Photos from which the scores of strangers are taken: enough to tell one in two hundred, in seconds where there are many.
_SAMPLE = 1000
# People to look at for each of them: the photo's own, and others who may be the same one under another name.
_CANDIDATES = 6


@dataclass(frozen=True)
class Entry:
    """One photo of a person.

    Attributes
    ----------
    embedding : float32 (D,), norm 1
    digest : bytes, 32
        What tells the photo from all others: the same digest twice is one photo.
    source : str
        Where it came from, for people who read it; may be empty.
    """

    embedding: np.ndarray
    digest: bytes
    source: str = ""


@dataclass(frozen=True)
class Person:
    """`name` and the number of `photos`."""

    name: str
    photos: int


@dataclass(frozen=True)
class Match:
    """A person of the gallery who was found.

    Attributes
    ----------
    name : str
    similarity : float
        Cosine to the person's best photo.
    source : str
        Of that photo.
    """

    name: str
    similarity: float
    source: str


@dataclass(frozen=True)
class Change:
    """What a change that takes something away did.

    Attributes
    ----------
    photos : int
        Removed or moved.
    erased : bool
        Whether no byte of what was removed is left in the engine's files.
    left : str
        Where bytes are left, and what becomes of them; empty when none are.
    """

    photos: int
    erased: bool
    left: str = ""


class GalleryStore(ABC):
    """People with embeddings of their photos. Every change is whole or not at all and safe when the call returns.

    Attributes
    ----------
    where : str
        What names the gallery in messages.
    card : Card
        Of the network that the embeddings are from.

    Names and embeddings are checked by `Gallery`; an engine raises GluonFRError for people who are not there or are there
    already, and for what happens to its files or its server.
    """

    @staticmethod
    @abstractmethod
    def is_there(where):
        """Whether there is something at that place already."""

    @abstractmethod
    def add(self, people):
        """Add photos to people, new ones or not: `people` is a dict of name to list of Entry. Returns how many were new.

        A digest that belongs to the same person already is skipped; one of another person is refused, and nothing is added.
        """

    @abstractmethod
    def remove(self, name):
        """Take a person away: Change."""

    @abstractmethod
    def rename(self, old, new):
        """Give a person another name, which nobody has: Change."""

    @abstractmethod
    def merge(self, name, into):
        """Give all photos of a person to another one: Change."""

    @abstractmethod
    def people(self):
        """List of Person, in the order in which they came."""

    @abstractmethod
    def count(self):
        """(people, photos)."""

    @abstractmethod
    def owners(self, digests):
        """Dict of those digests that are enrolled to the name of their person."""

    @abstractmethod
    def entries(self, name=None):
        """Iterator of (name, Entry) over all photos, or those of one person, in the order in which they came."""

    @abstractmethod
    def search(self, queries, k):
        """The k most similar people for each query, exactly; the best photo of a person counts.

        Inputs:
            - **queries**: (Q, D) float32 of norm 1.

        Outputs:
            - list of Q lists of at most k Match, best first.
        """

    @abstractmethod
    def sample(self, limit):
        """(names, embeddings (n, D)) of at most so many photos, drawn at random; the same ones until the gallery changes."""

    @abstractmethod
    def note(self, key, text):
        """Keep a text with the gallery if that is possible now; it is a copy of what can be worked out again."""

    @abstractmethod
    def notes(self, key):
        """The text kept under a key, or None."""

    @abstractmethod
    def close(self):
        """Let go of files and connections."""

    def strangers(self, limit=_SAMPLE):
        """What a stranger's best score looks like: for some of the photos, the best score to any *other* person.

        Two names of one person would pass for a stranger who is very like somebody. Where a photo of one is at least as like
        the other as photos of one person typically are, the two are not compared.

        Returns
        -------
        scores : (n,) float64
        names : list of n str
            Whose photo each is.
        """
        names, embeddings = self.sample(limit)
        found = self.search(embeddings, _CANDIDATES)
        alike = _typical_of_one(embeddings, names)
        one = {
            frozenset((name, match.name))
            for name, matches in zip(names, found)
            for match in matches
            if match.name != name and match.similarity >= alike
        }
        scores = [
            max((each.similarity for each in matches if each.name != name and {name, each.name} not in one), default=None)
            for name, matches in zip(names, found)
        ]
        told = [(score, name) for score, name in zip(scores, names) if score is not None]
        return np.array([score for score, _ in told]), [name for _, name in told]


def not_here(name, where):
    """GluonFRError of a name that nobody has."""
    return GluonFRError(f"{display_path(name)} is not in {display_path(where)}; `gluonfr people` lists who is.")


def enrolled_already(name):
    """GluonFRError of a new name that somebody has."""
    return GluonFRError(f"{display_path(name)} is enrolled already; merge the two if they are one person.")


def same_person(name):
    """GluonFRError of a person that is to be merged into itself."""
    return GluonFRError(f"{display_path(name)} cannot be merged into the same person; name two.")


def taken(entry, name, owner):
    """GluonFRError of a photo of `name` that is enrolled as `owner`."""
    return GluonFRError(
        f"{display_path(entry.source or 'a photo')} of {display_path(name)} is enrolled as {display_path(owner)}; "
        "leave it out, or merge the two if they are one person."
    )


def _typical_of_one(embeddings, names):
    """Median over photos of the best similarity to another photo of the same person; infinite where there is none."""
    _, people = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
    same = people[:, None] == people
    np.fill_diagonal(same, False)
    having = same.any(axis=1)
    best = np.where(same, embeddings @ embeddings.T, -2).max(axis=1, initial=-2)
    return float(np.median(best[having])) if having.any() else np.inf

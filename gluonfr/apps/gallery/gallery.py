from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from dataclasses import dataclass

import numpy as np

from gluonfr.apps.gallery.milvus_server import is_address
from gluonfr.apps.gallery.sqlite_store import SQLiteStore
from gluonfr.apps.gallery.store import Entry, Match
from gluonfr.apps.gallery.unknown import given_threshold, need_fpir, threshold_for
from gluonfr.core import GluonFRError, display_path
from gluonfr.metrics.unit import unit_rows
from gluonfr.weights.network_identity import need_same_network

LONGEST_NAME = 200
FPIR = 0.01
# The scores of strangers are taken anew when the gallery has grown or shrunk by more than this share.
_DRIFT = 0.05
_NOTE = "strangers"


@dataclass(frozen=True)
class Answer:
    """Who a face is.

    Attributes
    ----------
    name : str or None
        The person, or None: unknown.
    matches : tuple of Match
        The most similar people, best first, also below the threshold.
    """

    name: str | None
    matches: tuple[Match, ...]

    @property
    def similarity(self):
        """Of the best match; -1 in an empty gallery."""
        return self.matches[0].similarity if self.matches else -1.0

    def to_dict(self):
        """Plain Python, for JSON."""
        return {"name": self.name, "matches": [dict(vars(match)) for match in self.matches]}


class Gallery:
    """People, each with embeddings of several photos, and who a new face is among them.

        with Gallery("g.db", embedder.card) as gallery:
            gallery.enroll("Ann Lee", embedder(["a.jpg", "b.jpg"]))
            gallery.identify(embedder(["new.jpg"]))[0].name

    Every change is whole or not at all, and safe on the disk when the call returns. Changes by other processes are seen.

    Parameters
    ----------
    where : str or GalleryStore
        Path of the gallery's file; `milvus://HOST:PORT/NAME`, a gallery on a Milvus server; or the engine that keeps it.
    card : Card, optional
        Of the network that the embeddings are from, with its embedding size. Needed to make a gallery; a gallery of another
        network is refused.
    create : bool, default True
        Make the file when it is missing and there is a card.

    Attributes
    ----------
    card : Card
        Of the gallery's network.
    where : str

    Raises
    ------
    GluonFRError
        The file is missing, locked, damaged, of a later format or no gallery; no server answers; the network is another.
    """

    def __init__(self, where, card=None, create=True) -> None:
        if isinstance(where, (str, os.PathLike)):
            if card is not None and not card.embedding_size:
                raise GluonFRError("card: its embedding_size is 0; a gallery must know how long its embeddings are.")
            self._engine = _engine_of(where)(where, card, create)
        else:
            self._engine = where
        self.card, self.where = self._engine.card, self._engine.where
        self._strangers = None
        if card is not None:
            try:
                self.need(card)
            except GluonFRError:
                self.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Let go of the file or the server."""
        self._engine.close()

    def need(self, card) -> None:
        """GluonFRError unless `card` is of the network that the gallery's embeddings are from."""
        need_same_network(self.card, self.where, card, "the network here")

    def people(self):
        """List of Person (`name`, `photos`), in the order in which they came."""
        return self._engine.people()

    def count(self):
        """(people, photos)."""
        return self._engine.count()

    def enroll(self, name, embeddings, digests=None, sources=None):
        """Add photos of a person, who may be enrolled already.

        Parameters
        ----------
        name : str
            1 to 200 characters.
        embeddings : array-like, (N, D) or (D,) float
            Of the gallery's network; they are normalized here.
        digests : sequence of N bytes, optional
            SHA-256 of each photo, which tells it from others: the same photo twice is one. By default, of its embedding.
        sources : sequence of N str, optional
            Where each photo came from.

        Returns
        -------
        int
            How many photos were new.

        Raises
        ------
        GluonFRError
            A bad name, embeddings that do not fit or are NaN or zero, or a photo that is enrolled as somebody else; nothing is
            added then.
        """
        return self.enroll_people({name: (embeddings, digests, sources)})

    def enroll_people(self, people):
        """As `enroll` for many people in one transaction: a dict of name to (embeddings, digests or None, sources or None)."""
        return self._engine.add({checked_name(name): self._entries(name, *each) for name, each in people.items()})

    def owners(self, digests):
        """Of these digests, those that are enrolled: a dict to the name of the person."""
        return self._engine.owners(digests)

    def entries(self, name=None):
        """Iterator of (name, Entry) over all photos, or one person's."""
        return self._engine.entries(None if name is None else checked_name(name))

    def remove(self, name):
        """Take a person away, with every byte of the name and the embeddings where the engine can: Change.

        In a file, `erased` is False only while another process reads them; the next change or the next opening makes up for
        it. On a Milvus server it is always False.
        """
        return self._engine.remove(checked_name(name))

    def rename(self, old, new):
        """Give a person another name, which nobody has: Change. Paths that begin with the old name get the new one."""
        return self._engine.rename(checked_name(old), checked_name(new))

    def merge(self, name, into):
        """Give all photos of one person to another, who is the same one: Change. Paths as with `rename`."""
        removed = self._engine.merge(checked_name(name), checked_name(into))
        # The two counted as strangers of each other.
        self._strangers = None
        self._engine.note(_NOTE, "")
        return removed

    def identify(self, embeddings, k=5, threshold=None):
        """Who faces are.

        Parameters
        ----------
        embeddings : array-like, (N, D) or (D,) float
            Of the gallery's network.
        k : int, default 5
            How many people to name as candidates.
        threshold : Threshold, optional
            From `threshold`; by default that for false alarms of 1 %.

        Returns
        -------
        list of N Answer
        """
        if k < 1:
            raise GluonFRError(f"k must be at least 1, got {k}.")
        queries = self._unit(embeddings, "embeddings")
        threshold = self.threshold() if threshold is None else threshold
        found = self._engine.search(queries, k)
        return [
            Answer(matches[0].name if matches and matches[0].similarity > threshold.similarity else None, tuple(matches))
            for matches in found
        ]

    def threshold(self, fpir=FPIR, similarity=None):
        """From where on somebody is named, at this gallery's size.

        Parameters
        ----------
        fpir : float, default 0.01
            The rate of false alarms wanted: the share of faces of strangers for which somebody is named.
        similarity : float, optional
            A threshold of your own, of which the rate is told.

        Returns
        -------
        Threshold
        """
        need_fpir(fpir)
        (people, photos), (scores, names) = self.count(), self._stranger_scores()
        if similarity is not None:
            if not -1 <= similarity <= 1:
                raise GluonFRError(f"the threshold must be a cosine from -1 to 1, got {similarity}.")
            return given_threshold(float(similarity), people, photos, scores, names, self.card)
        return threshold_for(fpir, people, photos, scores, names, self.card)

    def _stranger_scores(self):
        count = self.count()
        if self._strangers is None:
            self._strangers = _read_note(self._engine.notes(_NOTE))
        if self._strangers is None or _drifted(self._strangers[0], count):
            scores, names = self._engine.strangers() if count[0] > 1 else ((), ())
            # Whose is whose matters, who is not: removed names must not stay here.
            numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
            self._strangers = count, [round(float(each), 6) for each in scores], [numbers[name] for name in names]
            self._engine.note(_NOTE, json.dumps(self._strangers))
        return self._strangers[1:]

    def _entries(self, name, embeddings, digests, sources):
        rows = self._unit(embeddings, f"embeddings of {display_path(str(name))}")
        digests = [hashlib.sha256(row.tobytes()).digest() for row in rows] if digests is None else list(digests)
        sources = [""] * len(rows) if sources is None else [valid_text(each) for each in sources]
        if len(digests) != len(rows) or len(sources) != len(rows):
            raise GluonFRError(f"{len(rows)} embeddings, {len(digests)} digests, {len(sources)} sources; give one for each.")
        if not all(isinstance(each, bytes) and len(each) == 32 for each in digests):
            raise GluonFRError("digests must be the 32 bytes of a SHA-256 each.")
        return [Entry(*each) for each in zip(rows, digests, sources)]

    def _unit(self, embeddings, what):
        embeddings = np.asarray(embeddings)
        rows = unit_rows(embeddings[None] if embeddings.ndim == 1 else embeddings, what)
        if rows.shape[1] != self.card.embedding_size:
            raise GluonFRError(
                f"{what} have {rows.shape[1]} numbers and those of {display_path(self.where)} {self.card.embedding_size}; "
                "use its network."
            )
        return rows


def _engine_of(where):
    if not is_address(where):
        return SQLiteStore
    # Its client takes a second, which only those wait for who ask for it.
    from gluonfr.apps.gallery.milvus_store import MilvusStore

    return MilvusStore


def gallery_is_there(where):
    """Whether a gallery lies in that file or at that address; GluonFRError where no server answers."""
    return _engine_of(where).is_there(where)


def checked_name(name):
    """A person's name as galleries keep it: composed Unicode, without space at its ends. GluonFRError where it is none."""
    if not isinstance(name, str):
        raise GluonFRError(f"a person's name must be text, got {type(name).__name__}.")
    name = unicodedata.normalize("NFC", valid_text(name)).strip()
    if not name or len(name) > LONGEST_NAME or "\0" in name:
        what = "empty" if not name else f"{len(name)} characters long" if len(name) > LONGEST_NAME else "holding a zero byte"
        raise GluonFRError(
            f"a person's name must have 1 to {LONGEST_NAME} characters, this one is {what}: '{display_path(name[:40])}'."
        )
    return name


def valid_text(text):
    """Bytes of file names that are no UTF-8 as their escapes: a database takes nothing else."""
    return os.fspath(text).encode("utf-8", "backslashreplace").decode("utf-8")


def _drifted(before, now):
    return any(abs(a - b) > _DRIFT * a for a, b in zip(before, now))


def _read_note(text):
    try:
        count, scores, people = json.loads(text) if text else (None, [], [])
        return (tuple(count), scores, people) if count and len(scores) == len(people) else None
    except (ValueError, TypeError):
        return None

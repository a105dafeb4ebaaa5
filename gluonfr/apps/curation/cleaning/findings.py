"""The errors of a training set, as far as its embeddings reveal them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gluonfr.apps.curation.cleaning.duplicates import Duplicates, find_duplicates
from gluonfr.apps.curation.cleaning.embedded_set import EmbeddedSet
from gluonfr.apps.curation.cleaning.identities import Identities
from gluonfr.apps.curation.cleaning.label_errors import (
    DuplicateLabels,
    WrongLabels,
    find_duplicate_labels,
    find_wrong_labels,
)
from gluonfr.apps.curation.cleaning.overlap import Overlap, find_overlap
from gluonfr.core import DataError, display_path

# Other people among whose images copies of an image are searched.
_NEAREST = 2
REMOVE, RELABEL = "remove", "relabel"


@dataclass(frozen=True)
class LabelChange:
    """A proposed change to an image.

    Attributes
    ----------
    image : int
        Number among the embedded images.
    action : {'remove', 'relabel'}
    to : int or None
        The new label.
    why : str

    Examples
    --------
    >>> LabelChange(3, "remove", None, "copy").action
    'remove'
    """

    image: int
    action: str
    to: int | None
    why: str


@dataclass
class Findings:
    """The errors that were found in a set.

    Attributes
    ----------
    embedded : EmbeddedSet
    people : Identities
    wrong : WrongLabels
    doubled : DuplicateLabels
    copies : Duplicates
    test : EmbeddedSet or None
    test_people : Identities or None
    shared : Overlap or None
    changes : list of LabelChange
        Sorted by image, at most one per image.

    Examples
    --------
    >>> clean_set(embedder, open_set("emore"), "report")  # doctest: +SKIP
    Findings('/data/emore', wrong_labels=120, two_labels=3, duplicates=80, overlap=0)
    """

    embedded: EmbeddedSet
    people: Identities
    wrong: WrongLabels
    doubled: DuplicateLabels
    copies: Duplicates
    test: EmbeddedSet | None
    test_people: Identities | None
    shared: Overlap | None
    changes: list[LabelChange]

    def __repr__(self) -> str:
        counts = f"wrong_labels={len(self.wrong.images)}, two_labels={len(self.doubled.pairs)}"
        shared = len(self.shared.found) if self.shared else 0
        return f"Findings({self.embedded.set.path!r}, {counts}, duplicates={len(self.copies.pairs)}, overlap={shared})"

    @property
    def left_out(self) -> dict[str, dict[str, str]]:
        """Images that could not be used: key and reason for "set" and "test set", where there are some."""
        kinds = {"set": self.embedded.left_out, "test set": self.test.left_out if self.test else {}}
        return {kind: of for kind, of in kinds.items() if of}

    def explain(self) -> list[str]:
        """Return the findings and their thresholds, one sentence per kind."""
        findings = [self.wrong, self.doubled, self.copies, self.shared]
        return [str(finding) for finding in findings if finding is not None]

    def to_dict(self) -> dict[str, Any]:
        """Return counts and thresholds as plain Python values, for JSON."""
        values = {
            "set": display_path(self.embedded.set.path),
            "images": len(self.embedded.rows),
            "people": len(self.people),
            "wrong_labels": len(self.wrong.images),
            "two_labels": len(self.doubled.pairs),
            "duplicates": len(self.copies.pairs),
            "removed": sum(change.action == REMOVE for change in self.changes),
            "relabeled": sum(change.action == RELABEL for change in self.changes),
            "left_out": self.left_out,
            "meaning": self.explain(),
        }
        if self.shared and self.test and self.test_people:
            path = display_path(self.test.set.path)
            values.update(test_set=path, test_people=len(self.test_people), overlap=len(self.shared.found))
        return values


def analyze(embedded: EmbeddedSet, test: EmbeddedSet | None = None, progress: bool | None = None) -> Findings:
    """Find the errors of a set from its embeddings.

    Parameters
    ----------
    embedded : EmbeddedSet
    test : EmbeddedSet, optional
        The test set.
    progress : bool, optional
        Show progress bars.

    Returns
    -------
    Findings

    Examples
    --------
    >>> analyze(embed_set(embedder, open_set("emore"), "work"))  # doctest: +SKIP
    Findings('/data/emore', wrong_labels=120, two_labels=3, duplicates=80, overlap=0)
    """
    people = Identities(embedded.embeddings, embedded.labels)
    if len(people) < 2:
        raise DataError(
            f"{display_path(embedded.set.path)}: only images of one person can be used; a label can only be judged with others."
        )
    wrong = find_wrong_labels(people, "labels" if progress else None)
    doubled = find_duplicate_labels(people)
    copies = find_duplicates(people, embedded.prints, people.nearest_others(_NEAREST)[1])
    test_people = Identities(test.embeddings, test.labels) if test else None
    shared = find_overlap(people, test_people, "overlap" if progress else None) if test_people else None
    changes = _propose(people, wrong, doubled, copies, shared)
    return Findings(embedded, people, wrong, doubled, copies, test, test_people, shared, changes)


def _propose(
    people: Identities, wrong: WrongLabels, doubled: DuplicateLabels, copies: Duplicates, shared: Overlap | None
) -> list[LabelChange]:
    changes: dict[int, LabelChange] = {}

    def remove(image: int, why: str) -> None:
        changes.setdefault(int(image), LabelChange(int(image), REMOVE, None, why))

    for _, person, _ in shared.found if shared else ():
        for image in people.images(person):
            remove(image, "in the test set")
    for image in wrong.images:
        remove(image, "wrong label")
    becomes = np.arange(len(people))
    becomes[list(doubled.becomes)] = list(doubled.becomes.values())
    for a, b in copies.pairs.tolist():
        if a not in changes and b not in changes:
            if becomes[people.of[a]] == becomes[people.of[b]]:
                remove(b, "copy")
            else:
                # One of the two labels is wrong.
                remove(min((a, b), key=lambda image: np.nan_to_num(wrong.margin[image])), "copy under another label")
    for person, to in doubled.becomes.items():
        for image in people.images(person).tolist():
            changes.setdefault(image, LabelChange(image, RELABEL, int(people.labels[to]), "same person"))
    return [changes[image] for image in sorted(changes)]

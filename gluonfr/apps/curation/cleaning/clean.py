"""What is wrong with a training set, as far as its embeddings tell."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from gluonfr.apps.curation.cleaning.duplicates import Duplicates, duplicates
from gluonfr.apps.curation.cleaning.embedded import Embedded, embed_set
from gluonfr.apps.curation.cleaning.identities import Identities
from gluonfr.apps.curation.cleaning.labels import TwoLabels, WrongLabels, two_labels, wrong_labels
from gluonfr.apps.curation.cleaning.overlap import Overlap, overlap
from gluonfr.core import GluonFRError, display_path, require_new_folder
from gluonfr.photos.resumable import work_folder, working_in

# Other people among whose images copies of an image are looked for.
_NEAREST = 2
REMOVE, RELABEL = "remove", "relabel"


@dataclass(frozen=True)
class Change:
    """What is to become of an image.

    Attributes
    ----------
    image : int
        A number of the images with an embedding.
    action : {'remove', 'relabel'}
    to : int or None
        The new label.
    why : str
    """

    image: int
    action: str
    to: int | None
    why: str


@dataclass
class Findings:
    """What was found in a set.

    Attributes
    ----------
    embedded : Embedded
    people : Identities
    wrong : WrongLabels
    doubled : TwoLabels
    copies : Duplicates
    test : Embedded or None
    test_people : Identities or None
    shared : Overlap or None
    changes : list of Change
        At most one an image, by image.
    """

    embedded: Embedded
    people: Identities
    wrong: WrongLabels
    doubled: TwoLabels
    copies: Duplicates
    test: Embedded | None
    test_people: Identities | None
    shared: Overlap | None
    changes: list[Change]

    @property
    def left_out(self):
        """Images that could not be looked at: "set" and "test set", where some are -> key -> why."""
        kinds = {"set": self.embedded.left_out, "test set": self.test.left_out if self.test else {}}
        return {kind: of for kind, of in kinds.items() if of}

    def explain(self):
        """What was found, and from where on: a sentence each."""
        said = [str(self.wrong), str(self.doubled), str(self.copies)]
        return said + ([str(self.shared)] if self.shared else [])

    def to_dict(self):
        """Counts and thresholds in plain Python, for JSON."""
        values = {
            "set": display_path(self.embedded.set.path),
            "images": len(self.embedded.rows),
            "people": len(self.people),
            "wrong_labels": len(self.wrong.images),
            "two_labels": len(self.doubled.pairs),
            "duplicates": len(self.copies.pairs),
            "removed": sum(each.action == REMOVE for each in self.changes),
            "relabeled": sum(each.action == RELABEL for each in self.changes),
            "left_out": self.left_out,
            "meaning": self.explain(),
        }
        if self.shared:
            values.update(
                test_set=display_path(self.test.set.path), test_people=len(self.test_people), overlap=len(self.shared.found)
            )
        return values


def clean(embedder, faces, out, against=None, keep=None, progress=None):
    """Look for wrong labels, people under two labels, copies, and people of a test set; write a report.

    Nothing but `out` is written. Embeddings are kept beside it until it is whole: the same call goes on after an interruption.

    Parameters
    ----------
    embedder : Embedder
    faces : RecordSet or FolderSet
        From `open_set`.
    out : str
        New folder of the report, see `write_report`.
    against : RecordSet, FolderSet or PairSet, optional
        The test set.
    keep : str, optional
        Folder in which the embeddings stay, for another run.
    progress : bool, optional
        Show progress bars.

    Returns
    -------
    Findings

    Raises
    ------
    GluonFRError
        The set is of one person, or only of pairs; the test set is the set itself; a folder cannot be used; damaged images.
    """
    from gluonfr.apps.curation.cleaning.report import write_report

    _need_set(faces, against)
    out = require_new_folder(out)
    work = work_folder(out) if keep is None else os.path.abspath(os.path.expanduser(keep))
    with working_in(work, keep is not None):
        embedded = embed_set(embedder, faces, os.path.join(work, "set"), progress and "embed")
        test = against and embed_set(embedder, against, os.path.join(work, "against"), progress and "embed the test set")
        findings = analyze(embedded, test, progress)
        write_report(findings, embedder, out)
    return findings


def _need_set(faces, against) -> None:
    if faces.kind == "pairs":
        raise GluonFRError(
            f"{display_path(faces.path)}: is a verification set, which has no labels to clean; name it with --against."
        )
    if len(np.unique(faces.labels)) < 2:
        raise GluonFRError(f"{display_path(faces.path)}: holds one person; a label can be told wrong only beside others.")
    if against is not None and os.path.realpath(against.path) == os.path.realpath(faces.path):
        raise GluonFRError(f"{display_path(against.path)}: is the set itself, all of whose people are in it; name a test set.")


def analyze(embedded, test=None, progress=None):
    """The `Findings` of embeddings: `embedded` and `test` are `Embedded`."""
    people = Identities(embedded.embeddings, embedded.labels)
    if len(people) < 2:
        raise GluonFRError(
            f"{display_path(embedded.set.path)}: images of one person only can be used; others are needed beside."
        )
    wrong = wrong_labels(people, progress and "labels")
    doubled = two_labels(people)
    _, nearest = people.others(_NEAREST)
    copies = duplicates(people, embedded.prints, nearest)
    test_people = test and Identities(test.embeddings, test.labels)
    shared = test and overlap(people, test_people, progress and "overlap")
    changes = _changes(people, wrong, doubled, copies, shared)
    return Findings(embedded, people, wrong, doubled, copies, test, test_people, shared, changes)


def _changes(people, wrong, doubled, copies, shared):
    changes: dict[int, Change] = {}

    def remove(image, why) -> None:
        changes.setdefault(int(image), Change(int(image), REMOVE, None, why))

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
                # One of the labels is wrong.
                remove(min((a, b), key=lambda image: np.nan_to_num(wrong.margin[image])), "copy under another label")
    for person, to in doubled.becomes.items():
        for image in people.images(person).tolist():
            changes.setdefault(image, Change(image, RELABEL, int(people.labels[to]), "same person"))
    return [changes[image] for image in sorted(changes)]

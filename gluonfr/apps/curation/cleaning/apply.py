"""A set without what was found in it."""

from __future__ import annotations

import csv
import json
import os
import shutil

import numpy as np

from gluonfr.apps.curation.cleaning.clean import RELABEL, REMOVE
from gluonfr.apps.curation.cleaning.report import CHANGES, CHANGES_HEADER, REPORT
from gluonfr.core import GluonFRError, display_path, new_folder, require_new_folder
from gluonfr.data.operations.source import write_set
from gluonfr.photos.resumable import digest, network_settings
from gluonfr.weights.network_identity import network_name

CHANGED = "changes.csv"


def is_report(folder):
    """Whether a finished report lies there."""
    return os.path.isfile(os.path.join(os.path.expanduser(folder), REPORT))


def need_report_of(report, against=None, embedder=None) -> None:
    """GluonFRError where a finished report is of another test set or network than those that are given."""
    values, differ = _values(report), []
    if against is not None and values.get("test_state") != digest(against.state()):
        differ.append(f"the test set {display_path(against.path)}")
    if embedder is not None and values.get("made_by") != json.loads(json.dumps(network_settings(embedder))):
        differ.append(f"the network {network_name(embedder.card)}")
    if differ:
        raise GluonFRError(
            f"{display_path(report)} is finished and was not made with {' and '.join(differ)}; name a new folder with --out, or "
            "leave that option out."
        )


def _values(report):
    try:
        with open(os.path.join(os.path.expanduser(report), REPORT), encoding="utf-8") as file:
            values = json.load(file)
        return {"state": values["state"], **values}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_report(report, error) from error


def _no_report(report, error):
    return GluonFRError(f"{display_path(report)} is no report of `gluonfr clean`, or a damaged one ({error}).")


def apply_changes(faces, report, out):
    """Write a new set without the images that a report's `changes.csv` removes, and with the labels that it gives.

    The old set is only read. A line that was taken out of `changes.csv` keeps its image. `changes.csv` lies in the new set's
    folder too. Of records, labels start from 0 without gaps and `identities.csv` says who each was; of photos, those that are
    kept are copied, a folder a person.

    Parameters
    ----------
    faces : RecordSet or FolderSet
    report : str
        Folder that `write_report` wrote of this set.
    out : str
        A new folder.

    Returns
    -------
    (kept, removed, relabeled) : ints

    Raises
    ------
    GluonFRError
        The report is of another set or the set has changed since, `changes.csv` cannot be read, or nothing would be left.
    """
    out, report = require_new_folder(out), os.path.abspath(os.path.expanduser(os.fspath(report)))
    changes = _read(faces, report)
    removed = {key for key, (action, _) in changes.items() if action == REMOVE}
    moved = {key: to for key, (action, to) in changes.items() if action == RELABEL}
    kept = [i for i, key in enumerate(faces.keys) if _text(key) not in removed]
    if not kept:
        raise GluonFRError(f"{display_path(os.path.join(report, CHANGES))} removes every image; take lines out of it.")
    labels = np.array([moved.get(_text(faces.keys[i]), faces.labels[i]) for i in kept], dtype=np.int64)
    with new_folder(out) as folder:
        if faces.kind == "records":
            _write_records(faces, kept, labels, folder)
        else:
            _copy_photos(faces, kept, labels, folder)
        shutil.copyfile(os.path.join(report, CHANGES), os.path.join(folder, CHANGED))
    return len(kept), len(removed), len(moved)


def _write_records(faces, kept, labels, folder) -> None:
    people = np.unique(labels).tolist()
    new = {label: number for number, label in enumerate(people)}
    # Damaged images are passed over, so that each label must go with its image.
    to = {int(faces.keys[i]): new[int(label)] for i, label in zip(kept, labels)}
    images = ((to[number], payload) for number, payload in faces.source.read_numbered(list(to)))
    write_set(folder, images, [faces.name(label) for label in people], faces.source.image_size)


def _copy_photos(faces, kept, labels, folder) -> None:
    for i, label in zip(kept, labels.tolist()):
        file = faces.keys[i]
        person, inside = file.split(os.sep, 1)
        if label != faces.labels[i]:
            # Another person's folder may have a photo of that name.
            inside = os.path.join(person, inside)
        target = os.path.join(folder, faces.name(label), inside)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(os.path.join(faces.path, file), target)


def _read(faces, report):
    """Key of an image -> (action, new label)."""
    path, state = os.path.join(report, CHANGES), _values(report)["state"]
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise _no_report(report, error) from error
    if state != digest(faces.state()):
        raise GluonFRError(
            f"{display_path(report)} is of another set than {display_path(faces.path)}, or of other options, or the set has changed "
            "since; write a new report."
        )
    if not rows or rows[0] != CHANGES_HEADER:
        raise GluonFRError(f"{display_path(path)}: the first line is not {','.join(CHANGES_HEADER)}; leave it as it was.")
    known, labels, changes = {_text(key) for key in faces.keys}, {str(label) for label in faces.labels.tolist()}, {}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != len(CHANGES_HEADER) or row[0] not in known or row[1] not in (REMOVE, RELABEL):
            raise GluonFRError(f"{display_path(path)}: line {number} names no image of the set or no action; take it out.")
        if row[1] == RELABEL and row[4] not in labels:
            raise GluonFRError(f"{display_path(path)}: line {number} gives a label that the set has not; take it out.")
        changes[row[0]] = (row[1], int(row[4]) if row[1] == RELABEL else None)
    return changes


def _text(key):
    return str(key)

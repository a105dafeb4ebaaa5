"""A new set with the changes of a report."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

import numpy as np

from gluonfr.apps.curation.cleaning.face_sets import FaceSet, RecordSet
from gluonfr.apps.curation.cleaning.findings import RELABEL, REMOVE
from gluonfr.apps.curation.cleaning.report import CHANGES, CHANGES_HEADER, REPORT
from gluonfr.core import DataError, PathLike, UsageError, absolute_path, display_path, new_folder, require_new_folder
from gluonfr.core.reading import csv_rows, read_json
from gluonfr.data.operations.source import write_set
from gluonfr.deploy import Embedder
from gluonfr.photos.resumable import digest, network_settings, remove_finished_work
from gluonfr.weights.network_identity import network_name


def is_report(folder: PathLike) -> bool:
    """Return whether there is a finished report in a folder.

    Examples
    --------
    >>> is_report("missing")
    False
    """
    return os.path.isfile(os.path.join(os.path.expanduser(folder), REPORT))


def check_report(report: PathLike, against: FaceSet | None = None, embedder: Embedder | None = None) -> None:
    """Raise UsageError if a finished report is of another test set or network.

    Examples
    --------
    >>> check_report("report", open_set("lfw"))  # doctest: +SKIP
    """
    values, differences = _values(report), []
    remove_finished_work(absolute_path(report))
    if against is not None and values.get("test_state") != digest(against.state()):
        differences.append(f"the test set {display_path(against.path)}")
    if embedder is not None and values.get("made_by") != json.loads(json.dumps(network_settings(embedder))):
        differences.append(f"the network {network_name(embedder.card)}")
    if differences:
        raise UsageError(
            f"{display_path(report)} holds a finished report that was not made with {' and '.join(differences)}; choose a new "
            "folder for the report, or leave out that argument."
        )


def _values(report: PathLike) -> dict[str, Any]:
    try:
        values = read_json(os.path.join(os.path.expanduser(report), REPORT))
        return {"state": values["state"], **values}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged_report(report, error) from error


def _damaged_report(report: PathLike, error: Exception) -> DataError:
    return DataError(f"{display_path(report)} is not a report of `gluonfr clean`, or is damaged ({error}); write a new report.")


def apply_changes(faces: FaceSet, report: PathLike, out: PathLike) -> tuple[int, int, int]:
    """Write a new set with the removals and labels that the `changes.csv` of a report lists.

    The old set is only read. An image whose line was deleted from `changes.csv` is kept. The new folder contains `changes.csv`
    too. Labels of new records start from 0 without gaps, and `identities.csv` has their names. Of photos, those that are kept
    are copied into one folder per person.

    Parameters
    ----------
    faces : RecordSet or FolderSet
    report : str
        Folder that `write_report` wrote for this set.
    out : str
        A new folder.

    Returns
    -------
    kept, removed, relabeled : int

    Raises
    ------
    GluonFRError
        The report is of another set, the set has changed since, `changes.csv` cannot be read, or no image would be left.

    Examples
    --------
    >>> apply_changes(open_set("emore"), "report", "emore-clean")  # doctest: +SKIP
    (5822453, 120, 80)
    """
    out, report = require_new_folder(out), absolute_path(report)
    changes = _read_changes(faces, report)
    removed = {key for key, (action, _) in changes.items() if action == REMOVE}
    relabeled = {key: to for key, (action, to) in changes.items() if action == RELABEL}
    kept = [i for i, key in enumerate(faces.keys) if str(key) not in removed]
    if not kept:
        raise DataError(f"{display_path(os.path.join(report, CHANGES))} removes every image; delete some of its lines.")
    labels = np.array([relabeled.get(str(faces.keys[i]), faces.labels[i]) for i in kept], dtype=np.int64)
    with new_folder(out) as folder:
        if isinstance(faces, RecordSet):
            _write_records(faces, kept, labels, folder)
        else:
            _copy_photos(faces, kept, labels, folder)
        shutil.copyfile(os.path.join(report, CHANGES), os.path.join(folder, CHANGES))
    return len(kept), len(removed), len(relabeled)


def _write_records(faces: RecordSet, kept: list[int], labels: np.ndarray, folder: str) -> None:
    people = np.unique(labels).tolist()
    new = {label: number for number, label in enumerate(people)}
    # Damaged images may be skipped while reading, so each label belongs to the number of its image.
    to = {int(faces.keys[i]): new[int(label)] for i, label in zip(kept, labels)}
    images = ((to[number], payload) for number, payload in faces.source.read_numbered(list(to)))
    write_set(folder, images, [faces.name(label) for label in people], faces.source.image_size)


def _copy_photos(faces: FaceSet, kept: list[int], labels: np.ndarray, folder: str) -> None:
    for i, label in zip(kept, labels.tolist()):
        file = faces.keys[i]
        person, inside = file.split(os.sep, 1)
        if label != faces.labels[i]:
            # The folder of the other person may have a photo with this name.
            inside = os.path.join(person, inside)
        target = os.path.join(folder, faces.name(label), inside)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(os.path.join(faces.path, file), target)


def _read_changes(faces: FaceSet, report: str) -> dict[str, tuple[str, int | None]]:
    """Return action and new label by the key of the image."""
    path, state = os.path.join(report, CHANGES), _values(report)["state"]
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = [row for _, row in csv_rows(file, display_path(path))]
    except (OSError, ValueError) as error:
        raise _damaged_report(report, error) from error
    if state != digest(faces.state()):
        raise DataError(
            f"{display_path(report)} does not describe {display_path(faces.path)} as it is now: the set, the options or the "
            "images differ; write a new report."
        )
    if not rows or rows[0] != CHANGES_HEADER:
        raise DataError(f"{display_path(path)}: the first line must be {','.join(CHANGES_HEADER)}; restore it.")
    known, labels = {str(key) for key in faces.keys}, {str(label) for label in faces.labels.tolist()}
    changes: dict[str, tuple[str, int | None]] = {}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != len(CHANGES_HEADER) or row[0] not in known or row[1] not in (REMOVE, RELABEL):
            raise DataError(f"{display_path(path)}: line {number} has no image of the set or no action; delete the line.")
        if row[1] == RELABEL and row[4] not in labels:
            raise DataError(f"{display_path(path)}: line {number} has a label that is not in the set; delete the line.")
        changes[row[0]] = (row[1], int(row[4]) if row[1] == RELABEL else None)
    return changes

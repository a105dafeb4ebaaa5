"""IJB-B's and IJB-C's files, as InsightFace's evaluation lays them out."""

from __future__ import annotations

import csv
import os
import warnings
from dataclasses import dataclass

import numpy as np

from gluonfr.core import GluonFRError, require_file

_SETS = ("ijbb", "ijbc")


@dataclass
class IJB:
    """The lists of one set.

    Attributes
    ----------
    name : str
        'ijbb' or 'ijbc'.
    images : list of str
        Paths of the crops.
    landmarks : float32 (N, 5, 2) or None
        x and y of the five landmarks on each crop.
    detector_scores : float32 (N,) or None
    template_ids, media_ids : int64 (N,)
        Of each image.
    pairs : int64 (M, 2) or None
        Templates to compare.
    issame : bool (M,) or None
    galleries : dict of str to (template ids, subject ids)
    probes : (template ids, subject ids) or None
    """

    name: str
    images: list[str]
    landmarks: np.ndarray | None
    detector_scores: np.ndarray | None
    template_ids: np.ndarray
    media_ids: np.ndarray
    pairs: np.ndarray | None
    issame: np.ndarray | None
    galleries: dict[str, tuple[np.ndarray, np.ndarray]]
    probes: tuple[np.ndarray, np.ndarray] | None


def read_ijb(folder):
    """Read a set's lists.

    Parameters
    ----------
    folder : str
        Holds `loose_crop/` with the images and `meta/` with, X being ijbb or ijbc: `X_face_tid_mid.txt` (image, template,
        medium), `X_name_5pts_score.txt` (image, ten coordinates, the detector's score), `X_template_pair_label.txt` (template,
        template, 1 or 0), `X_1N_gallery_*.csv` and `X_1N_probe_mixed.csv` (template, subject). Only the first must be there.

    Returns
    -------
    IJB

    Raises
    ------
    GluonFRError
        The folder or its first list is missing, or a list is damaged; the message names file and line.
    """
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    meta = os.path.join(folder, "meta")
    names = [name for name in _SETS if os.path.isfile(os.path.join(meta, f"{name}_face_tid_mid.txt"))]
    if len(names) != 1:
        raise GluonFRError(
            f"{meta} must hold ijbb_face_tid_mid.txt or ijbc_face_tid_mid.txt, one of the two; give that folder's parent."
        )
    (name,) = names

    def beside(rest):
        path = os.path.join(meta, f"{name}_{rest}")
        return path if os.path.isfile(path) else None

    rows = _lines(beside("face_tid_mid.txt"), 3)
    template_ids, media_ids = (_whole(beside("face_tid_mid.txt"), [row[i] for row in rows]) for i in (1, 2))
    landmarks, scores = _landmarks(beside("name_5pts_score.txt"), [row[0] for row in rows])
    pairs, issame = _pairs(beside("template_pair_label.txt"))
    probes = beside("1N_probe_mixed.csv")
    start, end = f"{name}_1N_gallery_", ".csv"
    galleries = sorted(each for each in os.listdir(meta) if each.startswith(start) and each.endswith(end))
    return IJB(
        name=name,
        images=[os.path.join(folder, "loose_crop", row[0]) for row in rows],
        landmarks=landmarks,
        detector_scores=scores,
        template_ids=template_ids,
        media_ids=media_ids,
        pairs=pairs,
        issame=issame,
        galleries={each[len(start) : -len(end)]: _subjects(os.path.join(meta, each)) for each in galleries},
        probes=_subjects(probes) if probes else None,
    )


def _lines(path, columns):
    require_file(path, "list")
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.split() for line in file if line.strip()]
    wrong = next((number for number, row in enumerate(rows, 1) if len(row) != columns), None)
    if wrong:
        raise GluonFRError(f"{path}: line {wrong} has not {columns} columns but {len(rows[wrong - 1])}; fetch the list again.")
    return rows


def _whole(path, values):
    try:
        return np.array(values, dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise GluonFRError(f"{path}: an id is no whole number ({error}); fetch the list again.") from error


def _landmarks(path, images):
    if path is None:
        return None, None
    rows = _lines(path, 12)
    if [row[0] for row in rows] != images:
        raise GluonFRError(
            f"{path} does not list the same images in the same order as the list of templates; fetch both again."
        )
    try:
        numbers = np.array([row[1:] for row in rows], dtype=np.float32)
    except ValueError as error:
        raise GluonFRError(f"{path}: a landmark is no number ({error}); fetch the list again.") from error
    return numbers[:, :10].reshape(-1, 5, 2), numbers[:, 10]


def _pairs(path):
    if path is None:
        return None, None
    # 15 million lines: read as one run of numbers, which takes seconds instead of a minute.
    lines = _lines_of_three(path)
    with warnings.catch_warnings():
        # What is no number ends the run of numbers early, which shows below.
        warnings.simplefilter("ignore", DeprecationWarning)
        numbers = np.fromfile(path, dtype=np.int64, sep=" ")
    if not lines or len(numbers) != 3 * lines or numbers.max() == np.iinfo(np.int64).max:
        raise GluonFRError(
            f"{path} is damaged: each line needs three whole numbers, template, template, 1 or 0; fetch it again."
        )
    numbers = numbers.reshape(-1, 3)
    wrong = np.flatnonzero((numbers[:, 2] != 0) & (numbers[:, 2] != 1))
    if len(wrong):
        raise GluonFRError(f"{path}: line {wrong[0] + 1} ends in {numbers[wrong[0], 2]} instead of 1 or 0; fetch it again.")
    return numbers[:, :2], numbers[:, 2] == 1


def _lines_of_three(path):
    """Number of lines, all of which must have three columns; 0 where one has not."""
    lines, columns, before = 0, 0, True
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 22), b""):
            letters = np.frombuffer(block, dtype=np.uint8)
            blank = letters <= 32
            begins = np.cumsum(~blank & np.append(before, blank[:-1]))
            ends = columns + begins[letters == 10]
            counts = np.diff(np.append(0, ends))
            if not np.isin(counts, (0, 3)).all():
                return 0
            lines += int(np.count_nonzero(counts))
            columns = columns + int(begins[-1]) - (int(ends[-1]) if len(ends) else 0)
            before = bool(blank[-1])
    return lines + (columns == 3) if columns in (0, 3) else 0


def _subjects(path):
    """(template ids, subject ids) of a CSV whose first two columns they are; a template's row comes once an image."""
    with open(require_file(path, "list"), encoding="utf-8", errors="surrogateescape", newline="") as file:
        try:
            rows = [row for row in csv.reader(file) if row]
        except csv.Error as error:
            raise GluonFRError(f"{path} is no CSV ({error}); fetch the list again.") from error
    if rows and not all(cell.strip().isdecimal() for cell in rows[0][:2]):
        rows = rows[1:]
    if not rows or min(map(len, rows)) < 2:
        raise GluonFRError(f"{path}: template and subject are needed on each line below the first; fetch the list again.")
    both = _whole(path, [row[:2] for row in rows])
    templates, first = np.unique(both[:, 0], return_index=True)
    subjects = both[first, 1]
    if (subjects[np.searchsorted(templates, both[:, 0])] != both[:, 1]).any():
        raise GluonFRError(f"{path}: a template stands there with two subjects; fetch the list again.")
    return templates, subjects

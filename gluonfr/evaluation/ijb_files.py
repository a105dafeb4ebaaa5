"""The lists of IJB-B and IJB-C, in the layout of InsightFace's evaluation."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import Sequence

import numpy as np

from gluonfr.core import DataError, require_file
from gluonfr.core.reading import csv_rows

_SETS = ("ijbb", "ijbc")


@dataclass(repr=False)
class IJB:
    """The lists of IJB-B or IJB-C.

    Attributes
    ----------
    name : {'ijbb', 'ijbc'}
    images : list of str
        Paths of the N crops.
    landmarks : np.ndarray, float32 (N, 5, 2), or None
        x and y of the five landmarks on each crop, in pixels.
    detector_scores : np.ndarray, float32 (N,), or None
    template_ids, media_ids : np.ndarray, int64 (N,)
        Template and medium of each image.
    pairs : np.ndarray, int64 (M, 2), or None
        Pairs of templates to compare.
    issame : np.ndarray, bool (M,), or None
    galleries : dict of str to (template ids, subject ids)
    probes : (template ids, subject ids), or None

    Examples
    --------
    >>> read_ijb("IJBC/")  # doctest: +SKIP
    IJB('ijbc', 469,375 images, 23,124 templates, 15,658,489 pairs)
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

    def __repr__(self) -> str:
        pairs = f", {len(self.pairs):,} pairs" if self.pairs is not None else ""
        return f"IJB({self.name!r}, {len(self.images):,} images, {len(np.unique(self.template_ids)):,} templates{pairs})"


def read_ijb(folder: str | os.PathLike[str]) -> IJB:
    """Read the lists of IJB-B or IJB-C.

    Parameters
    ----------
    folder : str
        Contains `loose_crop/` with the images and `meta/` with the lists. With X for ijbb or ijbc, these are
        `X_face_tid_mid.txt` (image, template, medium), which is required, and if present `X_name_5pts_score.txt` (image, ten
        coordinates, detection score), `X_template_pair_label.txt` (template, template, 1 or 0), `X_1N_gallery_*.csv` and
        `X_1N_probe_mixed.csv` (template, subject).

    Returns
    -------
    IJB

    Raises
    ------
    DataError
        The required list is missing, or a list is damaged; the message names file and line.

    Examples
    --------
    >>> lists = read_ijb("IJBC/")  # doctest: +SKIP
    """
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    meta = os.path.join(folder, "meta")
    names = [name for name in _SETS if os.path.isfile(os.path.join(meta, f"{name}_face_tid_mid.txt"))]
    if len(names) != 1:
        raise DataError(
            f"{meta} must contain either ijbb_face_tid_mid.txt or ijbc_face_tid_mid.txt. Give the parent folder of meta/."
        )
    name = names[0]

    def present(rest: str) -> str | None:
        path = os.path.join(meta, f"{name}_{rest}")
        return path if os.path.isfile(path) else None

    media = os.path.join(meta, f"{name}_face_tid_mid.txt")
    rows = _read_rows(media, 3)
    template_ids, media_ids = (_integers(media, [row[column] for row in rows]) for column in (1, 2))
    landmarks, scores = _read_landmarks(present("name_5pts_score.txt"), [row[0] for row in rows])
    pairs, issame = _read_pairs(present("template_pair_label.txt"))
    probes = present("1N_probe_mixed.csv")
    start, end = f"{name}_1N_gallery_", ".csv"
    galleries = sorted(file for file in os.listdir(meta) if file.startswith(start) and file.endswith(end))
    return IJB(
        name=name,
        images=[os.path.join(folder, "loose_crop", row[0]) for row in rows],
        landmarks=landmarks,
        detector_scores=scores,
        template_ids=template_ids,
        media_ids=media_ids,
        pairs=pairs,
        issame=issame,
        galleries={file[len(start) : -len(end)]: _read_subjects(os.path.join(meta, file)) for file in galleries},
        probes=_read_subjects(probes) if probes else None,
    )


def _read_rows(path: str, columns: int) -> list[list[str]]:
    require_file(path, "list")
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.split() for line in file if line.strip()]
    wrong = next((number for number, row in enumerate(rows, 1) if len(row) != columns), None)
    if wrong:
        raise DataError(
            f"{path}: line {wrong} has {len(rows[wrong - 1])} columns (expected {columns}). Download the list again."
        )
    return rows


def _integers(path: str, values: Sequence[object]) -> np.ndarray:
    try:
        return np.array(values, dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{path}: an id is not an integer ({error}). Download the list again.") from error


def _read_landmarks(path: str | None, images: list[str]) -> tuple[np.ndarray | None, np.ndarray | None]:
    if path is None:
        return None, None
    rows = _read_rows(path, 12)
    if [row[0] for row in rows] != images:
        raise DataError(f"{path} does not list the images in the order of the list of templates. Download both lists again.")
    try:
        numbers = np.array([row[1:] for row in rows], dtype=np.float32)
    except ValueError as error:
        raise DataError(f"{path}: a landmark is not a number ({error}). Download the list again.") from error
    return numbers[:, :10].reshape(-1, 5, 2), numbers[:, 10]


def _read_pairs(path: str | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    if path is None:
        return None, None
    # 15 million lines: parsed as one sequence of numbers, which takes seconds instead of a minute.
    lines = _count_lines_of_three(path)
    with warnings.catch_warnings():
        # NumPy stops at text that is not a number, which the length then shows.
        warnings.simplefilter("ignore", DeprecationWarning)
        numbers = np.fromfile(path, dtype=np.int64, sep=" ")
    if not lines or len(numbers) != 3 * lines or numbers.max() == np.iinfo(np.int64).max:
        raise DataError(
            f"{path} is damaged; each line must have three integers: template, template, 1 or 0. Download it again."
        )
    numbers = numbers.reshape(-1, 3)
    wrong = np.flatnonzero((numbers[:, 2] != 0) & (numbers[:, 2] != 1))
    if len(wrong):
        raise DataError(f"{path}: line {wrong[0] + 1} ends in {numbers[wrong[0], 2]} (expected 1 or 0). Download it again.")
    return numbers[:, :2], numbers[:, 2] == 1


def _count_lines_of_three(path: str) -> int:
    """Return the number of lines, or 0 if one of them does not have three columns."""
    lines, columns, previous_blank = 0, 0, True
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 22), b""):
            letters = np.frombuffer(block, dtype=np.uint8)
            blank = letters <= 32
            starts = np.cumsum(~blank & np.append(previous_blank, blank[:-1]))
            ends = columns + starts[letters == 10]
            counts = np.diff(np.append(0, ends))
            if not np.isin(counts, (0, 3)).all():
                return 0
            lines += int(np.count_nonzero(counts))
            columns = columns + int(starts[-1]) - (int(ends[-1]) if len(ends) else 0)
            previous_blank = bool(blank[-1])
    return lines + (columns == 3) if columns in (0, 3) else 0


def _read_subjects(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Return template ids and subject ids, the first two columns of a CSV that has one row per image of a template."""
    with open(require_file(path, "list"), encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = [row for _, row in csv_rows(file, path) if row]
    if rows and not all(cell.strip().isdecimal() for cell in rows[0][:2]):
        rows = rows[1:]
    if not rows or min(map(len, rows)) < 2:
        raise DataError(f"{path}: each line after the header must have a template and a subject. Download the list again.")
    ids = _integers(path, [row[:2] for row in rows])
    templates, first = np.unique(ids[:, 0], return_index=True)
    subjects = ids[first, 1]
    conflicts = np.flatnonzero(subjects[np.searchsorted(templates, ids[:, 0])] != ids[:, 1])
    if len(conflicts):
        raise DataError(f"{path}: template {ids[conflicts[0], 0]} has two subjects. Download the list again.")
    return templates, subjects

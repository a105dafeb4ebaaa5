"""Pairs of embeddings in `.npz` files, for verification without a network."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

from gluonfr.core import DataError, GluonFRError, atomic_file, generator, read_npz
from gluonfr.data.identities import person_names
from gluonfr.data.pairs.table import PEOPLE, PairTable, listed_columns
from gluonfr.metrics import linked_people, pair_distances
from gluonfr.metrics.unit import unit_rows
from gluonfr.photos.pair_lists import read_pair_list

_ORDER = 403
_MOST_PAIRS = 20_000_000
# Present in files with people that were inferred from shared images. The name is part of the file format.
_INFERRED = "people_told"
_LAYOUTS = "embeddings0, embeddings1 and issame; or embeddings and labels; or embeddings and files with a list of pairs"


@dataclass(repr=False)
class ScoredPairs:
    """Distances of pairs of embeddings.

    Attributes
    ----------
    distances : np.ndarray, (N,)
        Squared Euclidean distances of the normalized embeddings, 0 to 4.
    issame : np.ndarray, bool (N,)
    table : PairTable

    Examples
    --------
    >>> ScoredPairs(np.array([0.3, 1.9]), np.array([True, False]), PairTable())
    ScoredPairs(2 pairs, 1 genuine)
    """

    distances: np.ndarray
    issame: np.ndarray
    table: PairTable

    def __repr__(self) -> str:
        return f"ScoredPairs({len(self.distances):,} pairs, {int(np.count_nonzero(self.issame)):,} genuine)"


def write_pair_embeddings(
    path: str, embeddings0: np.ndarray, embeddings1: np.ndarray, issame: np.ndarray, table: PairTable | None = None
) -> None:
    """Write pairs of embeddings for :func:`read_pair_embeddings`; the file is replaced atomically.

    Parameters
    ----------
    path : str
        `.npz` to write.
    embeddings0, embeddings1 : np.ndarray, (N, D)
    issame : array-like of bool, (N,)
    table : PairTable, optional
        People and groups of the pairs, stored with them.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "pairs.npz")
    >>> write_pair_embeddings(path, np.eye(2), np.ones((2, 2)), [True, False])
    >>> read_pair_embeddings(path)
    ScoredPairs(2 pairs, 1 genuine)
    """
    table = table or PairTable()
    columns = dict(table.groups)
    if table.people is not None:
        columns.update(zip(PEOPLE, table.people.T))
    arrays = {name: np.asarray(column).astype(np.str_) for name, column in columns.items()}
    if table.people is not None and not table.known:
        arrays[_INFERRED] = np.array(True)
    with atomic_file(path) as file:
        np.savez(
            file,
            embeddings0=np.asarray(embeddings0, dtype=np.float32),
            embeddings1=np.asarray(embeddings1, dtype=np.float32),
            issame=np.asarray(issame, dtype=bool),
            **arrays,
        )


def read_pair_embeddings(path: str, pair_list: str | None = None) -> ScoredPairs:
    """Read pairs of embeddings, or embeddings to form pairs of, and compare them.

    Parameters
    ----------
    path : str
        `.npz` without pickles, in one of three layouts:

        - `embeddings0` (N, D), `embeddings1` (N, D) and `issame` (N,), optionally the people `identity0` and `identity1`
          (N,), and further (N,) arrays as groups of the pairs;
        - `embeddings` (N, D) and `labels` (N,): all pairs of two rows, in a fixed random order;
        - `embeddings` (N, D) and `files` (N,), as `gluonfr embed` writes them, with `pair_list`.
    pair_list : str, optional
        List of pairs for `photos.pair_lists.read_pair_list`; a file is found by the end of its path.

    Returns
    -------
    ScoredPairs

    Raises
    ------
    DataError
        The layout is another one, lengths do not match, an embedding is NaN or zero, a listed file is missing, or there are
        more than 20 million pairs.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "faces.npz")
    >>> np.savez(path, embeddings=np.eye(3), labels=["ann", "ann", "bob"])
    >>> read_pair_embeddings(path).distances.tolist()
    [2.0, 2.0, 2.0]
    """
    arrays = read_npz(path, _LAYOUTS)
    names = set(arrays)
    try:
        if pair_list is not None:
            if not {"embeddings", "files"} <= names:
                raise DataError("a list of pairs needs the arrays embeddings and files. Remove the list.")
            return _score_listed(arrays["embeddings"], arrays["files"], pair_list)
        if {"embeddings0", "embeddings1", "issame"} <= names:
            return _score_pairs(arrays)
        if {"embeddings", "labels"} <= names:
            return _score_all_pairs(arrays["embeddings"], arrays["labels"])
    except GluonFRError as error:
        raise DataError(f"{path}: {error}") from error
    raise DataError(f"{path} contains {', '.join(sorted(names)) or 'no arrays'}; pairs need {_LAYOUTS}.")


def _score_pairs(arrays: dict[str, np.ndarray]) -> ScoredPairs:
    first, second, issame = (arrays.pop(name) for name in ("embeddings0", "embeddings1", "issame"))
    distances = pair_distances(unit_rows(first, "embeddings0"), unit_rows(second, "embeddings1"))
    if issame.shape != (len(distances),):
        raise DataError(f"{len(distances)} pairs have issame of shape {issame.shape}; store one label per pair.")
    inferred = arrays.pop(_INFERRED, None) is not None
    arrays.pop("card", None)
    wrong = next((name for name, column in arrays.items() if column.shape != issame.shape), None)
    if wrong is not None:
        raise DataError(f"{wrong} has shape {arrays[wrong].shape} for {len(issame)} pairs; store one value per pair.")
    identities = [arrays.pop(name) for name in PEOPLE if name in arrays]
    if len(identities) == 1:
        raise DataError(f"only one of {' and '.join(PEOPLE)} is present; store both or neither.")
    people = np.stack([person_names(column, "identities") for column in identities], axis=1) if identities else None
    table = PairTable(people, {name: _text(column) for name, column in arrays.items()}, not inferred)
    return ScoredPairs(distances, issame, table)


def _text(column: np.ndarray) -> np.ndarray:
    if column.dtype.kind == "S":
        return person_names(column, "a group column")
    return column.astype(np.str_)


def _score_all_pairs(embeddings: np.ndarray, labels: np.ndarray) -> ScoredPairs:
    embeddings = unit_rows(embeddings, "embeddings")
    count = len(embeddings)
    if labels.shape != (count,):
        raise DataError(f"{count} embeddings have labels of shape {labels.shape}; store one label per embedding.")
    if count * (count - 1) // 2 > _MOST_PAIRS:
        raise DataError(f"{count:,} embeddings have more than {_MOST_PAIRS:,} pairs. List pairs, or store fewer embeddings.")
    # The folds of the protocol are consecutive, so a random order makes each of them a sample of all pairs.
    order = generator(0, _ORDER).permutation(count * (count - 1) // 2)
    first, second = (index.astype(np.int32)[order] for index in np.triu_indices(count, 1))
    # Numbers, because the names of millions of pairs would need more memory than all else.
    person = np.unique(person_names(labels, "labels"), return_inverse=True)[1].astype(np.int32)
    people = np.stack([person[first], person[second]], axis=1)
    return _score(embeddings, first, second, people[:, 0] == people[:, 1], PairTable(people))


def _score_listed(embeddings: np.ndarray, files: np.ndarray, pair_list: str) -> ScoredPairs:
    embeddings = unit_rows(embeddings, "embeddings")
    if files.shape != (len(embeddings),):
        raise DataError(f"{len(embeddings)} embeddings have files of shape {files.shape}; store one file per embedding.")
    pairs = read_pair_list(pair_list, "/")
    find = _FileIndex(person_names(files, "files").tolist())
    rows = np.array([[find(first, pair_list), find(second, pair_list)] for _, first, second, _ in pairs])
    issame = np.array([pair[3] for pair in pairs])
    return _score(embeddings, rows[:, 0], rows[:, 1], issame, _listed_table(pair_list, pairs, rows, issame))


def _listed_table(pair_list: str, pairs: Sequence[Any], rows: np.ndarray, issame: np.ndarray) -> PairTable:
    """Return the people and groups of the list; people are inferred from shared images where the list has none."""
    names, cells = listed_columns(pair_list)
    columns = {name: np.array([cells[line][i] for line, *_ in pairs]) for i, name in enumerate(names)}
    first, second = (columns.pop(name, None) for name in PEOPLE)
    if first is None or second is None:
        return PairTable(linked_people(rows.ravel(), issame), columns, False)
    return PairTable(np.stack([first, second], axis=1), columns)


class _FileIndex:
    """Finds the row of a file by the end of its path."""

    def __init__(self, files: Sequence[str]) -> None:
        self._rows: dict[str, list[int]] = {}
        # Without the ending, which LFW's lists do not contain.
        self._stems: dict[str, list[int]] = {}
        for row, file in enumerate(files):
            parts = file.replace("\\", "/").split("/")
            for start in range(len(parts)):
                end_of_path = "/".join(parts[start:])
                self._rows.setdefault(end_of_path, []).append(row)
                self._stems.setdefault(os.path.splitext(end_of_path)[0], []).append(row)

    def __call__(self, listed: str, pair_list: str) -> int:
        name = listed.lstrip("/")
        rows = self._rows.get(name) or self._stems.get(os.path.splitext(name)[0], [])
        if len(rows) != 1:
            what = "is not among the embedded files" if not rows else f"matches {len(rows)} of the embedded files"
            raise DataError(f"{name} in {os.fspath(pair_list)} {what}. Embed the listed files, and list them with folders.")
        return rows[0]


def _score(embeddings: np.ndarray, first: np.ndarray, second: np.ndarray, issame: np.ndarray, table: PairTable) -> ScoredPairs:
    distances = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), 1 << 18):
        part = slice(start, start + (1 << 18))
        distances[part] = pair_distances(embeddings[first[part]], embeddings[second[part]])
    return ScoredPairs(distances, issame, table)

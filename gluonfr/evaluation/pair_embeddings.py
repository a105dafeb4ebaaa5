"""Pairs as embeddings in `.npz`: verification without a network."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from gluonfr.core import GluonFRError, atomic_file, generator, read_npz
from gluonfr.data.identities import person_names
from gluonfr.data.pair_table import PEOPLE, PairTable, listed_columns
from gluonfr.metrics import linked_people, pair_distances
from gluonfr.metrics.unit import unit_rows
from gluonfr.photos.pair_lists import read_pair_list

_ORDER = 403
_MOST_PAIRS = 20_000_000
# Stands in a file whose people were told from shared images.
_TOLD = "people_told"
_LAYOUTS = "embeddings0, embeddings1 and issame; or embeddings and labels; or embeddings and files with a list of pairs"


@dataclass
class ScoredPairs:
    """Pairs of embeddings, compared.

    Attributes
    ----------
    distances : (N,) float
        Squared Euclidean, of the embeddings made unit vectors.
    issame : (N,) bool
    table : PairTable
    """

    distances: np.ndarray
    issame: np.ndarray
    table: PairTable


def write_pair_embeddings(path, embeddings0, embeddings1, issame, table=None) -> None:
    """Write pairs as `.npz` that `read_pair_embeddings` reads: whole or not at all, without pickles.

    Parameters
    ----------
    path : str
    embeddings0, embeddings1 : (N, D) float
    issame : (N,) of bool
    table : PairTable, optional
        Its people and groupings go along.
    """
    table = table or PairTable()
    columns = dict(table.groups)
    if table.people is not None:
        columns.update(zip(PEOPLE, table.people.T))
    arrays = {name: np.asarray(column).astype(np.str_) for name, column in columns.items()}
    if table.people is not None and not table.known:
        arrays[_TOLD] = np.array(True)
    with atomic_file(path) as file:
        np.savez(
            file,
            embeddings0=np.asarray(embeddings0, dtype=np.float32),
            embeddings1=np.asarray(embeddings1, dtype=np.float32),
            issame=np.asarray(issame, dtype=bool),
            **arrays,
        )


def read_pair_embeddings(path, pair_list=None):
    """Read pairs of embeddings, or embeddings of which pairs are made, and compare them.

    Parameters
    ----------
    path : str
        `.npz` without pickles, in one of these layouts. `embeddings0` (N, D), `embeddings1` (N, D) and `issame` (N,), perhaps
        with `identity0` and `identity1` (N,), the people, and further (N,) arrays as groupings of the pairs. `embeddings`
        (N, D) and `labels` (N,), the people: all pairs of two rows are compared, in a fixed random order. `embeddings` (N, D)
        and `files` (N,), as `gluonfr embed` writes them, with `pair_list`.
    pair_list : str, optional
        What `data.pairing.read_pair_list` reads; its files are found by the end of their paths.

    Returns
    -------
    ScoredPairs

    Raises
    ------
    GluonFRError
        Another layout, lengths that do not match, NaN or zero embeddings, files that are not there, or too many pairs.
    """
    arrays = read_npz(path, _LAYOUTS)
    names = set(arrays)
    try:
        if pair_list is not None:
            if not {"embeddings", "files"} <= names:
                raise GluonFRError("a list of pairs was given, and the file has no embeddings and files; leave the list out.")
            return _listed(arrays["embeddings"], arrays["files"], pair_list)
        if {"embeddings0", "embeddings1", "issame"} <= names:
            return _given(arrays)
        if {"embeddings", "labels"} <= names:
            return _all_pairs(arrays["embeddings"], arrays["labels"])
    except GluonFRError as error:
        raise GluonFRError(f"{path}: {error}") from error
    raise GluonFRError(f"{path} holds {', '.join(sorted(names)) or 'nothing'}, where pairs need {_LAYOUTS}.")


def _given(arrays):
    first, second, issame = (arrays.pop(name) for name in ("embeddings0", "embeddings1", "issame"))
    distances = pair_distances(unit_rows(first, "embeddings0"), unit_rows(second, "embeddings1"))
    if issame.shape != (len(distances),):
        raise GluonFRError(
            f"{len(distances)} pairs of embeddings came with issame {issame.shape}; give one label for each pair."
        )
    told = arrays.pop(_TOLD, None) is not None
    arrays.pop("card", None)
    wrong = next((name for name, column in arrays.items() if column.shape != issame.shape), None)
    if wrong is not None:
        raise GluonFRError(f"{wrong} has shape {arrays[wrong].shape} for {len(issame)} pairs; give one value a pair, or none.")
    people = [arrays.pop(name, None) for name in PEOPLE]
    if sum(each is None for each in people) == 1:
        raise GluonFRError(f"there is only one of {' and '.join(PEOPLE)}; give both or neither.")
    people = None if people[0] is None else np.stack([person_names(each, "identities") for each in people], axis=1)
    return ScoredPairs(distances, issame, PairTable(people, {name: _text(each) for name, each in arrays.items()}, not told))


def _text(column):
    if column.dtype.kind == "S":
        return person_names(column, "a grouping")
    return column.astype(np.str_)


def _all_pairs(embeddings, labels):
    embeddings = unit_rows(embeddings, "embeddings")
    count = len(embeddings)
    if labels.shape != (count,):
        raise GluonFRError(f"{count} embeddings came with labels {labels.shape}; give one label for each.")
    if count * (count - 1) // 2 > _MOST_PAIRS:
        raise GluonFRError(f"all pairs of {count:,} embeddings are more than {_MOST_PAIRS:,}; list pairs, or take fewer.")
    # The protocol's folds follow one another, so that each must be a sample of all.
    order = generator(0, _ORDER).permutation(count * (count - 1) // 2)
    first, second = (each.astype(np.int32)[order] for each in np.triu_indices(count, 1))
    # Numbers, because the names of so many pairs would take more memory than all else.
    person = np.unique(person_names(labels, "labels"), return_inverse=True)[1].astype(np.int32)
    people = np.stack([person[first], person[second]], axis=1)
    return _compared(embeddings, first, second, people[:, 0] == people[:, 1], PairTable(people))


def _listed(embeddings, files, pair_list):
    embeddings = unit_rows(embeddings, "embeddings")
    if files.shape != (len(embeddings),):
        raise GluonFRError(f"{len(embeddings)} embeddings came with files {files.shape}; give one file for each.")
    pairs = read_pair_list(pair_list, "/")
    find = _Finder(person_names(files, "files").tolist())
    places = np.array([[find(first, pair_list), find(second, pair_list)] for _, first, second, _ in pairs])
    issame = np.array([pair[3] for pair in pairs])
    return _compared(embeddings, places[:, 0], places[:, 1], issame, _listed_table(pair_list, pairs, places, issame))


def _listed_table(pair_list, pairs, places, issame):
    """What the list says of its pairs, and people told from shared images where it names none."""
    names, rows = listed_columns(pair_list)
    columns = {name: np.array([rows[line][i] for line, *_ in pairs]) for i, name in enumerate(names)}
    people = [columns.pop(name, None) for name in PEOPLE]
    if any(each is None for each in people):
        return PairTable(linked_people(places.ravel(), issame), columns, False)
    return PairTable(np.stack(people, axis=1), columns)


class _Finder:
    """Places of files by the end of their paths."""

    def __init__(self, files) -> None:
        self._places = {}
        for place, file in enumerate(files):
            parts = file.replace("\\", "/").split("/")
            for start in range(len(parts)):
                self._places.setdefault("/".join(parts[start:]), []).append(place)

    def __call__(self, listed, pair_list):
        name = listed.lstrip("/")
        places = self._places.get(name, [])
        if len(places) != 1:
            what = "is not among the embedded files" if not places else f"could be {len(places)} of the embedded files"
            raise GluonFRError(f"{name} of {os.fspath(pair_list)} {what}; embed the listed files, and list them with folders.")
        return places[0]


def _compared(embeddings, first, second, issame, table):
    distances = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), 1 << 18):
        part = slice(start, start + (1 << 18))
        distances[part] = pair_distances(embeddings[first[part]], embeddings[second[part]])
    return ScoredPairs(distances, issame, table)

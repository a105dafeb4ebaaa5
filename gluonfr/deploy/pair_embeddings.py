"""Pairs as embeddings in `.npz`: verification without a network."""

import os
import zipfile
from dataclasses import dataclass

import numpy as np

from gluonfr.core import GluonFRError, generator, need_file, whole_file
from gluonfr.data.pair_table import PEOPLE, PairTable
from gluonfr.data.pairing import read_pair_list
from gluonfr.metrics import pair_distances
from gluonfr.metrics.unit import unit_rows

_ORDER = 403
_MOST_PAIRS = 100_000_000
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


def write_pair_embeddings(path, embeddings0, embeddings1, issame, table=None):
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
    with whole_file(path) as file:
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
    path = need_file(path, "file of embeddings")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise GluonFRError(f"{path} cannot be read as .npz without pickles ({error}); it needs {_LAYOUTS}.") from error
    names = set(arrays)
    try:
        if {"embeddings0", "embeddings1", "issame"} <= names:
            return _given(arrays)
        if {"embeddings", "labels"} <= names:
            return _all_pairs(arrays["embeddings"], arrays["labels"])
        if {"embeddings", "files"} <= names and pair_list is not None:
            return _listed(arrays["embeddings"], arrays["files"], pair_list)
    except GluonFRError as error:
        raise GluonFRError(f"{path}: {error}") from error
    raise GluonFRError(f"{path} holds {', '.join(sorted(names)) or 'nothing'}, where pairs need {_LAYOUTS}.")


def _given(arrays):
    first, second, issame = (arrays.pop(name) for name in ("embeddings0", "embeddings1", "issame"))
    arrays.pop("card", None)
    columns = {name: column.astype(str) for name, column in arrays.items() if column.shape == issame.shape}
    people = [columns.pop(name, None) for name in PEOPLE]
    people = None if any(each is None for each in people) else np.stack(people, axis=1)
    distances = pair_distances(unit_rows(first, "embeddings0"), unit_rows(second, "embeddings1"))
    if len(issame) != len(distances):
        raise GluonFRError(f"{len(distances)} pairs of embeddings came with {len(issame)} labels; give one label for each.")
    return ScoredPairs(distances, issame, PairTable(people, columns))


def _all_pairs(embeddings, labels):
    embeddings = unit_rows(embeddings, "embeddings")
    count = len(embeddings)
    if labels.shape != (count,):
        raise GluonFRError(f"{count} embeddings came with labels {labels.shape}; give one label for each.")
    if count * (count - 1) // 2 > _MOST_PAIRS:
        raise GluonFRError(f"all pairs of {count:,} embeddings are more than {_MOST_PAIRS:,}; list pairs, or take fewer.")
    first, second = np.triu_indices(count, 1)
    # The protocol's folds follow one another, so that each must be a sample of all.
    order = generator(0, _ORDER).permutation(len(first))
    first, second = first[order], second[order]
    people = np.stack([labels[first], labels[second]], axis=1)
    return _compared(embeddings, first, second, people[:, 0] == people[:, 1], people)


def _listed(embeddings, files, pair_list):
    embeddings = unit_rows(embeddings, "embeddings")
    if files.shape != (len(embeddings),):
        raise GluonFRError(f"{len(embeddings)} embeddings came with files {files.shape}; give one file for each.")
    pairs = read_pair_list(pair_list, "/")
    find = _Finder(files.tolist())
    places = np.array([[find(first, pair_list), find(second, pair_list)] for _, first, second, _ in pairs])
    return _compared(embeddings, places[:, 0], places[:, 1], np.array([pair[3] for pair in pairs]), None)


class _Finder:
    """Places of files by the end of their paths."""

    def __init__(self, files):
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


def _compared(embeddings, first, second, issame, people):
    distances = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), 1 << 18):
        part = slice(start, start + (1 << 18))
        distances[part] = pair_distances(embeddings[first[part]], embeddings[second[part]])
    return ScoredPairs(distances, issame, PairTable(people))

"""Verification sets (`NAME.bin`) of listed pairs of photos."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

import numpy as np
from tqdm import tqdm

from gluonfr.core import DataError, UsageError, disk_errors, display_path
from gluonfr.core.tables import write_table
from gluonfr.data.pairs import write_pairs
from gluonfr.data.pairs.table import listed_columns, table_path, write_pair_table
from gluonfr.photos.packing.crops import CropResult, make_cropper
from gluonfr.photos.packing.pack import CRASHED
from gluonfr.photos.packing.process_pool import run_in_processes
from gluonfr.photos.pair_lists import ListedPair, read_pair_list
from gluonfr.photos.reading import PhotoError

logger = logging.getLogger(__name__)


@dataclass
class PairSet:
    """The result of :func:`make_pairs`.

    Attributes
    ----------
    path : str
        The `.bin`.
    pairs, same : int
        Number of pairs in the set, and of those that show one person.
    left_out : list of (line, file, reason, detail)
        Pairs that are not in the set, with the photo that is unusable.
    ambiguous : list of str
        Photos of which another face could be the subject as well.
    replaced : list of str
        Photos without a usable face of which `fallback` made the crop.

    Examples
    --------
    >>> PairSet("lfw.bin", pairs=6000, same=3000).left_out
    []
    """

    path: str
    pairs: int
    same: int
    left_out: list[tuple[int, str, str, str]] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)


def make_pairs(
    pair_list: str,
    folder: str | os.PathLike,
    out: str | os.PathLike,
    workers: int = 1,
    fallback: Callable[[str], bytes] | None = None,
    **cropping: Any,
) -> PairSet:
    """Make a verification set from a list of pairs of photos.

    A pair with an unusable photo is left out and listed in `OUT.left_out.csv` (line, file, reason, detail), where OUT is `out`
    without its .bin. The others keep their order, in which the ten folds of the protocol follow each other. Further columns
    of the list, people or groups, are written to `OUT.pairs.csv`.

    Parameters
    ----------
    pair_list : path
        See :func:`gluonfr.photos.pair_lists.read_pair_list`.
    folder : path
        The folder of the photos.
    out : path
        The `.bin`; an older one is replaced.
    workers : int, default 1
        Processes.
    fallback : callable, optional
        Makes the crop of a photo without a usable face, from its path to the bytes of an image file, so that no pair is left
        out. A photo that is missing, or for which it raises PhotoError, is then an error.
    **cropping
        See :func:`gluonfr.photos.packing.make_cropper`: template, aligned, image_size, detector, min_face, quality.

    Returns
    -------
    PairSet

    Raises
    ------
    UsageError
        An option is invalid.
    DataError
        The list cannot be read, or no pair can be made.

    Examples
    --------
    >>> make_pairs("pairs.csv", "photos/", "my.bin").pairs  # doctest: +SKIP
    """
    out = bin_path(out)
    if workers < 0:
        raise UsageError(f"workers must be 0 or more processes, got {workers}.")
    cropper = make_cropper(**cropping)
    pairs = read_pair_list(pair_list, folder)
    paths = list(dict.fromkeys(path for pair in pairs for path in (pair.first, pair.second)))
    missing = [path for path in paths if not os.path.isfile(path)] if fallback else []
    if missing:
        raise DataError(
            f"{display_path(missing[0])} is missing, one of {len(missing)} photos of {display_path(pair_list)}. "
            "Fetch them again."
        )
    crops = {}
    with tqdm(total=len(paths), desc="photos", unit="photo", disable=None) as bar:
        for path, crop in run_in_processes(cropper, paths, workers, CRASHED):
            crops[path] = crop
            bar.update()
    replaced = _replace_unusable(paths, crops, fallback) if fallback else []
    return _write(out, pairs, crops, folder, replaced, listed_columns(pair_list))


def _replace_unusable(paths: list[str], crops: dict[str, CropResult], fallback: Callable[[str], bytes]) -> list[str]:
    """Make the crops of unusable photos by `fallback`; returns these photos."""
    replaced = [path for path in paths if crops[path].payload is None]
    for path in replaced:
        try:
            crops[path] = CropResult(fallback(path))
        except PhotoError as error:
            raise DataError(f"{display_path(path)}: {error}. Fetch it again.") from error
    return replaced


def _write(
    out: str,
    pairs: list[ListedPair],
    crops: dict[str, CropResult],
    folder: str | os.PathLike,
    replaced: list[str],
    columns: tuple[list[str], dict[int, list[str]]],
) -> PairSet:
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    payloads, issame, left_out, lines = [], [], [], []
    for line, first, second, same in pairs:
        unusable = [path for path in dict.fromkeys((first, second)) if crops[path].payload is None]
        for path in unusable:
            left_out.append((line, os.path.relpath(path, folder), crops[path].reason, crops[path].detail))
        if not unusable:
            payloads += [crops[first].payload, crops[second].payload]
            issame.append(same)
            lines.append(line)
    table = out[: -len(".bin")] + ".left_out.csv"
    with disk_errors(out):
        os.makedirs(os.path.dirname(out), exist_ok=True)
        if left_out:
            write_table(table, ["line", "file", "reason", "detail"], left_out)
        elif os.path.exists(table):
            os.unlink(table)
        if not issame:
            raise DataError(f"{display_path(folder)}: no pair can be made of these photos. See {display_path(table)}.")
        _write_columns(table_path(out), issame, lines, *columns)
        write_pairs(out, payloads, issame)
    _warn_of_folds(out, issame)
    ambiguous = sorted(os.path.relpath(path, folder) for path, crop in crops.items() if crop.ambiguous)
    return PairSet(out, len(issame), sum(issame), left_out, ambiguous, [os.path.relpath(path, folder) for path in replaced])


def _write_columns(path: str, issame: list[bool], lines: list[int], names: Sequence[str], rows: dict[int, list[str]]) -> None:
    if names:
        write_pair_table(path, issame, {name: [rows[line][i] for line in lines] for i, name in enumerate(names)})
    elif os.path.exists(path):
        os.unlink(path)  # belongs to an older set with this name


def _warn_of_folds(out: str, issame: list[bool]) -> None:
    folds = np.array_split(np.array(issame), 10)
    if any(len(fold) and (fold.all() or not fold.any()) for fold in folds):
        logger.warning("%s: some of the ten folds contain only one kind of pairs; shuffle the list", display_path(out))


def bin_path(out: str | os.PathLike) -> str:
    """Return the absolute path of a `.bin` to write; another name raises UsageError.

    Examples
    --------
    >>> bin_path("/sets/my.bin")
    '/sets/my.bin'
    """
    out = os.path.abspath(os.path.expanduser(os.fspath(out)))
    if not out.endswith(".bin"):
        raise UsageError(f"{display_path(out)}: the name of a verification set must end in .bin. Rename it.")
    return out

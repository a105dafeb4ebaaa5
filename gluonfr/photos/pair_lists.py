"""Verification sets (`NAME.bin`) of lists of pairs."""

from __future__ import annotations

import csv
import io
import logging
import os
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from gluonfr.core import GluonFRError, disk_errors, display_path, require_file
from gluonfr.core.tables import write_table
from gluonfr.data.pairs import write_pairs
from gluonfr.data.pairs.table import listed_columns, table_path, write_pair_table
from gluonfr.photos.packing.crops import Cut, make_cropper
from gluonfr.photos.packing.process_pool import WorkerDiedError, run_in_processes
from gluonfr.photos.reading import PhotoError

logger = logging.getLogger(__name__)

_FLAGS = {"1": True, "true": True, "0": False, "false": False}
_EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


@dataclass
class Paired:
    """What became of a list of pairs.

    Attributes
    ----------
    path : str
        The `.bin`.
    pairs, same : int
        In the set.
    left_out : list of (line, file, reason, detail)
        Pairs that are missing there, by the photo that lacks.
    ambiguous : list of str
        Photos of which a face was taken although another could have been meant.
    replaced : list of str
        Photos without a usable face of which `instead` made the crop.
    """

    path: str
    pairs: int
    same: int
    left_out: list = field(default_factory=list)
    ambiguous: list = field(default_factory=list)
    replaced: list = field(default_factory=list)


def read_pair_list(path, folder):
    """Read a list of pairs.

    Parameters
    ----------
    path : str
        Either CSV, `first,second,issame` a line: two files in `folder` and 1 or 0 (or true, false); a first line with names
        of columns is passed over, and may name further columns, which `make_pairs` keeps. Or the format of LFW's `pairs.txt`,
        parted by tabs: `name, n, m` for two photos of a person, `name, n, other, m` for photos of two; photo n of NAME is
        the file NAME/NAME_000n.jpg (or .png, ...).
    folder : str
        Where the photos lie.

    Returns
    -------
    list of (line, first, second, issame)
        Number of the line, from 1, the paths and a bool.

    Raises
    ------
    GluonFRError
        The list is missing or empty, a line is something else, or LFW's first line tells of another number of pairs.
    """
    path = require_file(path, "list of pairs")
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        text = file.read()
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    # A name may hold a comma in LFW's format, but no name holds a tab.
    by_tabs = any("\t" in line for _, line in lines[:2])
    pairs = _read_lfw(path, lines, folder) if by_tabs else _read_csv(path, text, folder)
    if not pairs:
        raise GluonFRError(f"{display_path(path)}: names no pairs; write first,second,issame on each line.")
    return pairs


def _read_csv(path, text, folder):
    pairs, reader, columns = [], csv.reader(io.StringIO(text, newline="")), 3
    for row in reader:
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        flag = _FLAGS.get(cells[2].lower()) if len(cells) == columns else None
        if flag is None or not cells[0] or not cells[1]:
            # Names of columns, unless it is a pair with a flag that means nothing.
            if not pairs and reader.line_num == 1 and len(cells) >= 3 and not os.path.exists(os.path.join(folder, cells[0])):
                columns = len(cells)
                continue
            raise _wrong(path, reader.line_num, "first,second,issame with issame 1 or 0")
        pairs.append((reader.line_num, os.path.join(folder, cells[0]), os.path.join(folder, cells[1]), flag))
    return pairs


def _read_lfw(path, lines, folder):
    pairs, expected = [], None
    for place, (number, line) in enumerate(lines):
        cells = [cell.strip() for cell in line.split("\t")]
        if place == 0 and len(cells) <= 2 and all(cell.isdecimal() for cell in cells):
            expected = 2 * int(np.prod([int(cell) for cell in cells]))
        elif len(cells) == 3 and cells[1].isdecimal() and cells[2].isdecimal():
            pairs.append((number, _lfw_file(folder, *cells[:2]), _lfw_file(folder, cells[0], cells[2]), True))
        elif len(cells) == 4 and cells[1].isdecimal() and cells[3].isdecimal():
            pairs.append((number, _lfw_file(folder, *cells[:2]), _lfw_file(folder, *cells[2:]), False))
        else:
            raise _wrong(path, number, "name, n, m or name, n, other name, m, parted by tabs")
    if expected is not None and len(pairs) != expected:
        raise GluonFRError(
            f"{display_path(path)}: its first line tells of {expected} pairs, and {len(pairs)} follow: it is cut off; fetch it again."
        )
    return pairs


def _lfw_file(folder, name, number):
    stem = os.path.join(folder, name, f"{name}_{int(number):04d}")
    return next((stem + each for each in _EXTENSIONS if os.path.exists(stem + each)), stem + _EXTENSIONS[0])


def _wrong(path, number, expected):
    return GluonFRError(f"{display_path(path)}: line {number} is not {expected}; correct it.")


def make_pairs(pair_list, folder, out, workers=1, instead=None, **cropping):
    """Make a verification set of a list of pairs of photos.

    A pair of which a photo cannot be used is left out, and written to `OUT.left_out.csv` (line, file, reason, detail) where
    OUT is `out` without its .bin. The others keep their order, in which the protocol's ten folds lie one after the other.
    What the list says of its pairs besides, people or groupings, is kept for those in `OUT.pairs.csv` (`data.pair_table`).

    Parameters
    ----------
    pair_list : str
        See `read_pair_list`.
    folder : str
        Where the photos lie.
    out : str
        The `.bin`, an older one is replaced.
    workers : int, default 1
        Processes.
    instead : callable, default None
        Given the path of a photo without a usable face, makes the crop (bytes of an image file), so that no pair is lost: a
        photo of which it makes none either (it raises `packing.PhotoError`), or that is missing, stops the work.
    **cropping
        Of `packing.make_cropper`: template, aligned, image_size, detector, min_face, quality.

    Returns
    -------
    Paired
    """
    out = bin_path(out)
    if workers < 0:
        raise GluonFRError(f"workers must be 0 or more processes, got {workers}.")
    cropper = make_cropper(**cropping)
    pairs = read_pair_list(pair_list, folder)
    paths = list(dict.fromkeys(path for pair in pairs for path in pair[1:3]))
    missing = [path for path in paths if not os.path.isfile(path)] if instead else []
    if missing:
        raise GluonFRError(
            f"{display_path(missing[0])}: is missing, as {len(missing)} photos of {display_path(pair_list)}; fetch them again."
        )
    cuts, replaced = {}, []
    with tqdm(total=len(paths), desc="photos", unit="photo", disable=None) as bar:
        for path, cut in run_in_processes(cropper, paths, workers):
            cuts[path] = Cut(reason="failed", detail="a process died of it, twice") if cut is WorkerDiedError else cut
            bar.update()
    for path in paths if instead else ():
        if cuts[path].payload is None:
            try:
                cuts[path] = Cut(instead(path))
            except PhotoError as refused:
                raise GluonFRError(f"{display_path(path)}: {refused.reason} ({refused.detail}); fetch it again.") from refused
            replaced.append(path)
    return _write(out, pairs, cuts, folder, replaced, listed_columns(pair_list))


def _write(out, pairs, cuts, folder, replaced, columns):
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    payloads, issame, left_out, kept = [], [], [], []
    for line, first, second, same in pairs:
        lacking = [path for path in dict.fromkeys((first, second)) if cuts[path].payload is None]
        for path in lacking:
            left_out.append((line, os.path.relpath(path, folder), cuts[path].reason, cuts[path].detail))
        if not lacking:
            payloads += [cuts[first].payload, cuts[second].payload]
            issame.append(same)
            kept.append(line)
    table = out[: -len(".bin")] + ".left_out.csv"
    with disk_errors(out):
        os.makedirs(os.path.dirname(out), exist_ok=True)
        if left_out:
            write_table(table, ["line", "file", "reason", "detail"], left_out)
        elif os.path.exists(table):
            os.unlink(table)
        if not issame:
            raise GluonFRError(
                f"{display_path(folder)}: not one pair can be made of these photos; {display_path(table)} names what lacks."
            )
        _write_columns(table_path(out), issame, kept, *columns)
        write_pairs(out, payloads, issame)
    _warn_of_folds(out, issame)
    ambiguous = [os.path.relpath(path, folder) for path, cut in cuts.items() if cut.ambiguous]
    relative = [os.path.relpath(path, folder) for path in replaced]
    return Paired(out, len(issame), sum(issame), left_out, sorted(ambiguous), relative)


def _write_columns(path, issame, lines, names, rows) -> None:
    if names:
        write_pair_table(path, issame, {name: [rows[line][i] for line in lines] for i, name in enumerate(names)})
    elif os.path.exists(path):
        # Of an older set with this name.
        os.unlink(path)


def _warn_of_folds(out, issame) -> None:
    folds = np.array_split(np.array(issame), 10)
    if any(len(fold) and (fold.all() or not fold.any()) for fold in folds):
        logger.warning("%s: some of the protocol's ten folds hold pairs of one kind alone; mix the list", display_path(out))


def bin_path(out):
    """The absolute path of a `.bin` to write; another name raises GluonFRError."""
    out = os.path.abspath(os.path.expanduser(os.fspath(out)))
    if not out.endswith(".bin"):
        raise GluonFRError(f"{display_path(out)}: a verification set is a file called NAME.bin; name it so.")
    return out

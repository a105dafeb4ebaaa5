"""Readers of files from unknown sources: JSON, CSV, arrays and archives of arrays, with bounds on what they may ask for."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
import zipfile
from contextlib import contextmanager
from typing import IO, Any, Iterable, Iterator

import numpy as np

from gluonfr.core.errors import DataError
from gluonfr.core.paths import PathLike, absolute_path, display_path, open_regular, require_file

# Largest text of JSON, deepest nesting, most lists and objects, of which each takes 60 to 230 bytes, and longest integer.
MAX_JSON_BYTES, MAX_JSON_DEPTH, MAX_JSON_OBJECTS, MAX_DIGITS = 128 << 20, 64, 5_000_000, 40
# Longest text of a table, and most lines, of which each takes about 300 bytes.
MAX_TABLE_BYTES, MAX_TABLE_LINES = 256 << 20, 5_000_000
# An archive may unpack to this number of bytes plus this multiple of its own size.
_MAX_UNPACKED, _MAX_RATIO = 64 << 20, 20
_MAX_ENTRIES = 100_000
_MAX_ARRAY_HEADER = 10_000

_STRING = re.compile(r'"[^"]*"?')
_NOT_BRACKETS = re.compile(r"[^\[\]{}]+")


def parse_json(text: str | bytes, where: str, what: str = "JSON") -> Any:
    """Parse JSON of unknown origin.

    Parameters
    ----------
    text : str or bytes
        Text; bytes are decoded as UTF-8.
    where : str
        File or field that holds the text, for the message.
    what : str, default 'JSON'
        What the text should be, for the message.

    Raises
    ------
    DataError
        The text is not JSON, too long, nested too deeply, has more than 5,000,000 lists and objects, or an integer of more
        than 40 digits.

    Examples
    --------
    >>> parse_json('{"far": 0.001}', "card.json")
    {'far': 0.001}
    >>> parse_json("[" * 100, "card.json")
    Traceback (most recent call last):
        ...
    gluonfr.core.errors.DataError: card.json is not valid JSON (it is nested more than 64 deep); restore it.
    """
    try:
        if len(text) > MAX_JSON_BYTES:
            raise ValueError(f"it has more than {MAX_JSON_BYTES} bytes")
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        depth, objects = _depth_and_objects(text)
        if depth > MAX_JSON_DEPTH:
            raise ValueError(f"it is nested more than {MAX_JSON_DEPTH} deep")
        if objects > MAX_JSON_OBJECTS:
            raise ValueError(f"it has {objects} lists and objects")
        return json.loads(text, parse_int=_short_integer)
    except (ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"{where} is not valid {what} ({_reason(error)}); restore it.") from error


def read_json(path: PathLike, what: str = "JSON") -> Any:
    """Read a JSON file of unknown origin; see `parse_json`.

    Parameters
    ----------
    path : str or os.PathLike
        Path of the file.
    what : str, default 'JSON'
        What the file should be, for the message.

    Raises
    ------
    DataError
        The file is missing or unreadable, or its text is invalid.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "card.json"
    >>> _ = path.write_text('{"network": "mobilefacenet"}')
    >>> read_json(path)
    {'network': 'mobilefacenet'}
    """
    path = absolute_path(path)
    try:
        with open_regular(path) as file:
            text = file.read(MAX_JSON_BYTES + 1)
    except FileNotFoundError as error:
        raise DataError(f"{display_path(path)} is missing; restore it.") from error
    except OSError as error:
        raise DataError(f"{display_path(path)} cannot be read ({error.strerror}).") from error
    return parse_json(text, display_path(path), what)


def read_if_valid(path: str) -> dict[str, Any]:
    """Return the object in a JSON file, or an empty one where the file is missing or damaged.

    Examples
    --------
    >>> read_if_valid("missing/card.json")
    {}
    """
    try:
        values = read_json(path)
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def read_table_bytes(path: PathLike) -> bytes:
    """Return the content of a text file of unknown origin with one line per row.

    Raises
    ------
    OSError
        The file cannot be read.
    DataError
        It has more than 256 MB or 5,000,000 lines.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "pairs.csv"
    >>> _ = path.write_text("first,second,issame")
    >>> read_table_bytes(path)
    b'first,second,issame'
    """
    with open_regular(path) as file:
        content = file.read(MAX_TABLE_BYTES + 1)
    lines = max(content.count(b"\n"), content.count(b"\r"))
    if len(content) > MAX_TABLE_BYTES or lines > MAX_TABLE_LINES:
        raise DataError(
            f"{display_path(path)} has more than {MAX_TABLE_BYTES:,} bytes or {MAX_TABLE_LINES:,} lines; split or restore it."
        )
    return content


def csv_rows(lines: Iterable[str], where: str, **options: Any) -> Iterator[tuple[int, list[str]]]:
    """Iterate over the rows of a CSV file of unknown origin, with the number of the line where each ends.

    Parameters
    ----------
    lines : file or iterable of str
        Opened with ``newline=""``.
    where : str
        File that holds the lines, for the message.
    **options
        Of `csv.reader`, such as `delimiter`.

    Raises
    ------
    DataError
        A field is longer than 131,072 characters, a line contains NUL, or the text is not in the file's encoding.

    Examples
    --------
    >>> list(csv_rows(["name,label", "Ann,1"], "people.csv"))
    [(1, ['name', 'label']), (2, ['Ann', '1'])]
    """
    reader = csv.reader(lines, **options)
    try:
        for row in reader:
            yield reader.line_num, row
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{where}: line {reader.line_num} is not valid CSV ({_reason(error)}); correct it.") from error


def read_npz(path: PathLike, needs: str, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz` file of unknown origin by name, without unpickling anything.

    Before an array is read, all entries are checked: their number, their unpacked size, that they do not overlap, and that
    every header asks for as many bytes as the entry has.

    Parameters
    ----------
    path : str or os.PathLike
        Path of the file.
    needs : str
        What the file should hold, for the message.
    names : iterable of str, optional
        Arrays to read, which must be in the file. Default: all.

    Raises
    ------
    DataError
        The file is missing, damaged, not an `.npz` file, contains pickled objects or asks for too much memory.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "faces.npz"
    >>> np.savez(path, embeddings=np.zeros((2, 4), np.float32))
    >>> read_npz(path, "embeddings (N, D)")["embeddings"].shape
    (2, 4)
    """
    path = require_file(path, "archive of arrays (.npz)")
    with _array_errors(path, needs):
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, os.path.getsize(path))
            for entry in archive.infolist():
                if entry.filename.endswith(".npy"):
                    with archive.open(entry) as file:
                        _check_array(file, entry.file_size, f"the array {entry.filename!r}")
            stored = {entry.filename[: -len(".npy")] for entry in archive.infolist() if entry.filename.endswith(".npy")}
        names = sorted(stored) if names is None else list(names)
        missing = next((name for name in names if name not in stored), None)
        if missing is not None:
            raise ValueError(f"it has no array {missing!r}")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: _with_valid_text(arrays[f"{name}.npy"], name) for name in names}


def open_npy(path: PathLike, needs: str) -> np.ndarray:
    """Open a `.npy` file of unknown origin without unpickling anything; its numbers stay on the disk until they are used.

    Parameters
    ----------
    path : str or os.PathLike
        Path of the file.
    needs : str
        What the file should hold, for the message.

    Raises
    ------
    DataError
        The file is missing, damaged, not a `.npy` file, contains pickled objects, or has another size than its header declares.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "weight.npy"
    >>> np.save(path, np.ones((2, 3)))
    >>> open_npy(path, "weights").shape
    (2, 3)
    """
    path = require_file(path, "NumPy array")
    with _array_errors(path, needs):
        with open(path, "rb") as file:
            _check_array(file, os.path.getsize(path), "the array")
        return np.load(path, mmap_mode="r", allow_pickle=False)


def check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Raise `ValueError` when a ZIP archive has overlapping entries, too many, or unpacks to too much.

    Parameters
    ----------
    archive : zipfile.ZipFile
        Open archive.
    size : int
        Size of the archive in bytes. It may unpack to 64 MiB plus 20 times this size.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> with zipfile.ZipFile(file, "w") as archive:
    ...     archive.writestr("a", b"x" * 100)
    ...     check_archive(archive, 300)
    """
    entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    if len(entries) > _MAX_ENTRIES:
        raise ValueError(f"it has {len(entries)} entries")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > _MAX_UNPACKED + _MAX_RATIO * size:
        raise ValueError(f"it unpacks to {unpacked} bytes, which is too much for {size}")
    end = 0
    for entry in entries:
        if entry.header_offset < end:
            raise ValueError(f"its entry {entry.filename!r} overlaps another")
        # A local header has at least 30 bytes and the name.
        end = entry.header_offset + 30 + len(entry.filename) + entry.compress_size
    if end > size:
        raise ValueError("its entries reach beyond its end")


@contextmanager
def _array_errors(path: str, needs: str) -> Iterator[None]:
    try:
        yield
    # A damaged file can fail in many ways in NumPy and zipfile, with MemoryError among others.
    except Exception as error:
        kind = os.path.splitext(path)[1] or ".npz"
        raise DataError(f"{path} cannot be read as {kind} without pickles ({_reason(error)}); it needs {needs}.") from error


def _check_array(file: IO[bytes], size: int, name: str) -> None:
    """Raise `ValueError` when the header of an array asks for another number of bytes than there are."""
    version = np.lib.format.read_magic(file)
    first = version == (1, 0)
    start = file.read(2 if first else 4)
    length = int.from_bytes(start, "little")
    if length > _MAX_ARRAY_HEADER:
        # It is parsed as Python, which takes a hundred bytes for each of its own.
        raise ValueError(f"{name} has a header of {length} bytes")
    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(io.BytesIO(start + file.read(length)))
    header = file.tell()
    count = 1
    for length in shape:
        if not isinstance(length, int) or length < 0:
            raise ValueError(f"{name} has the shape {shape}")
        count *= length
    if dtype.hasobject or dtype.names:
        raise ValueError(f"{name} contains pickled objects or fields")
    if dtype.kind not in "biufcSU":
        raise ValueError(f"{name} holds values of type {dtype}, not numbers or text")
    expected, found = count * dtype.itemsize, size - header
    if expected != found:
        raise ValueError(f"{name} has {found} bytes, expected {expected}")


def _with_valid_text(array: np.ndarray, name: str) -> np.ndarray:
    """Return an array; raise `ValueError` for text beyond Unicode, on which Python crashes."""
    if array.dtype.kind == "U" and array.size:
        codes = np.ascontiguousarray(array).reshape(-1).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if codes.max() > sys.maxunicode:
            raise ValueError(f"the array {name!r} contains text that is not Unicode")
    return array


def _depth_and_objects(text: str) -> tuple[int, int]:
    """Return how deeply brackets are nested outside strings, and the number of opening ones."""
    # Without escapes, a string is found without a stack, which would take more memory than the text.
    text = text.replace("\\\\", "").replace('\\"', "")
    brackets = np.frombuffer(_NOT_BRACKETS.sub("", _STRING.sub("", text)).encode("ascii"), dtype=np.uint8)
    if not len(brackets):
        return 0, 0
    opening = (brackets == ord("[")) | (brackets == ord("{"))
    return int(np.cumsum(np.where(opening, 1, -1)).max()), int(opening.sum())


def _short_integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"it has an integer of {len(text)} digits")
    return int(text)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__

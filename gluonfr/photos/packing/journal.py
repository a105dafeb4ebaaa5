"""A journal of finished photos, so that packing can be resumed after it was killed at any moment."""

from __future__ import annotations

import json
import logging
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from gluonfr.core import UsageError, display_path
from gluonfr.core.reading import parse_json
from gluonfr.photos.packing.crops import CropResult

logger = logging.getLogger(__name__)

_VERSION = 1


class Journal:
    """Two files that only grow: all crops in sequence, and one line per photo with its result.

    A photo's crop is written before its line. A line is valid when it is complete and its crop has the checksum in the line.
    Whatever follows the last valid line is removed when the journal is opened again.

    Parameters
    ----------
    folder : str
        Created when missing.
    settings : dict
        What the results depend on; a journal with other settings is refused.
    restart : bool, default False
        Start again when the settings differ, instead of refusing.

    Raises
    ------
    UsageError
        The settings of the journal differ.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     journal = Journal(os.path.join(parent, "work"), {"quality": 95})
    ...     journal.add("Ann/1.jpg", None, CropResult(b"crop", digest="ab"))
    ...     journal.result("Ann/1.jpg").payload, len(journal)
    ...     journal.remove()
    (b'crop', 1)
    """

    def __init__(self, folder: str, settings: dict[str, Any], restart: bool = False) -> None:
        self._folder = folder
        self._path, self._crops_path = os.path.join(folder, "journal"), os.path.join(folder, "crops")
        os.makedirs(folder, exist_ok=True)
        self._rows: dict[str, dict[str, Any]] = {}
        end = self._load(settings, restart)
        self._lines, self._crops = open(self._path, "r+b" if end else "wb"), open(self._crops_path, "a+b")  # noqa: SIM115
        self._lines.truncate(end)
        self._lines.seek(end)
        self._end = max((row["at"] + row["length"] for row in self._rows.values() if "at" in row), default=0)
        self._crops.truncate(self._end)
        if not end:
            self._write({"version": _VERSION, "settings": settings})

    @staticmethod
    def exists(folder: str) -> bool:
        """Return whether the folder contains unfinished work."""
        return os.path.exists(os.path.join(folder, "journal"))

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"Journal({self._folder!r}, {len(self)} photos)"

    def has(self, name: str, status: os.stat_result | None) -> bool:
        """Return whether the photo was read and is still the same file; `status` is from `os.stat`, or None."""
        row = self._rows.get(name)
        return row is not None and row["digest"] != "" and row["file"] == _file_state(status)

    def add(self, name: str, status: os.stat_result | None, result: CropResult) -> None:
        """Record the result of a photo."""
        row: dict[str, Any] = {"name": name, "file": _file_state(status), "digest": result.digest}
        if result.payload is None:
            row.update(reason=result.reason, detail=result.detail)
        else:
            payload = result.payload
            row.update(at=self._end, length=len(payload), crc=zlib.crc32(payload), ambiguous=result.ambiguous)
            self._crops.write(payload)
            self._crops.flush()
            self._end += len(payload)
        self._write(row)
        self._rows[name] = row

    def result(self, name: str, payload: bool = True) -> CropResult:
        """Return the result of a finished photo; without `payload` its crop is replaced by empty bytes."""
        row = self._rows[name]
        if "at" not in row:
            return CropResult(reason=row["reason"], detail=row["detail"], digest=row["digest"])
        content = os.pread(self._crops.fileno(), row["length"], row["at"]) if payload else b""
        return CropResult(content, ambiguous=row["ambiguous"], digest=row["digest"])

    def close(self) -> None:
        """Close the files; what a full disk refused is lost and computed again by the next run."""
        for file in (self._lines, self._crops):
            try:
                file.close()
            except OSError as error:
                logger.warning("%s: %s", display_path(file.name), error.strerror)

    def remove(self) -> None:
        """Delete the folder, the journal first: without it there is nothing to resume."""
        self.close()
        os.unlink(self._path)
        shutil.rmtree(self._folder)

    def _write(self, row: dict[str, Any]) -> None:
        self._lines.write(json.dumps(row).encode("ascii") + b"\n")
        self._lines.flush()

    def _load(self, settings: dict[str, Any], restart: bool) -> int:
        """Fill `_rows` and return where the last valid line ends, 0 when there is none."""
        try:
            with open(self._path, "rb") as file:
                lines = file.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return 0
        first = _parse(lines[0]) if lines else None
        if first is None:
            return 0
        if first != {"version": _VERSION, "settings": settings}:
            if restart:
                return 0
            raise UsageError(
                f"{display_path(os.path.dirname(self._folder))} contains unfinished work with other options "
                f"({_difference(first.get('settings'), settings)}). Use the same options to resume it, or overwrite=True "
                "to start again."
            )
        end = len(lines[0]) + 1
        with _open_if_exists(self._crops_path) as crops:
            for line in lines[1:]:
                row = _parse(line)
                if row is None or not _is_result(row) or ("at" in row and not _is_complete(crops, row)):
                    break
                self._rows[row["name"]] = row
                end += len(line) + 1
        return end


def _file_state(status: os.stat_result | None) -> list[int] | None:
    return None if status is None else [status.st_size, status.st_mtime_ns]


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        row = parse_json(line, "a line")
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _is_result(row: dict[str, Any]) -> bool:
    """Return whether a line has the entries of a result, with their types."""
    file = row.get("file", "")
    state = file is None or (isinstance(file, list) and len(file) == 2 and all(_is_count(number) for number in file))
    if not state or not all(isinstance(row.get(name), str) for name in ("name", "digest")):
        return False
    if "at" in row:
        return all(_is_count(row.get(name)) for name in ("at", "length", "crc")) and isinstance(row.get("ambiguous"), bool)
    return all(isinstance(row.get(name), str) for name in ("reason", "detail"))


def _is_count(value: Any) -> bool:
    # Offsets and sizes of files, and times in nanoseconds.
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _is_complete(crops: BinaryIO | None, row: dict[str, Any]) -> bool:
    if crops is None or row["at"] + row["length"] > os.fstat(crops.fileno()).st_size:
        return False
    return zlib.crc32(os.pread(crops.fileno(), row["length"], row["at"])) == row["crc"]


@contextmanager
def _open_if_exists(path: str) -> Iterator[BinaryIO | None]:
    try:
        file = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        yield None
        return
    with file:
        yield file


def _difference(before: Any, now: dict[str, Any]) -> str:
    before = before if isinstance(before, dict) else {}
    return ", ".join(f"{name} {before.get(name)} before, {now.get(name)} now" for name in now if before.get(name) != now[name])

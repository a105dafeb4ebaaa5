"""What is done already, kept so that a run that was killed at any moment goes on where it was."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import zlib
from contextlib import contextmanager

from gluonfr.core import GluonFRError, display_path
from gluonfr.photos.packing.crops import Cut

logger = logging.getLogger(__name__)

_VERSION = 1


class Journal:
    """Two files that only grow: crops one behind the other, and a line for each photo that says what became of it.

    A photo's crop is written before its line, and a line counts only when it is whole and its crop has the checksum it
    names. What comes after the last line that counts is cut off when the journal is opened again.

    Parameters
    ----------
    folder : str
        Created when missing.
    settings : dict
        What the results depend on; a journal of other settings is refused.
    anew : bool
        Start again when the settings differ, instead of refusing.

    Raises
    ------
    GluonFRError
        The journal's settings differ.
    """

    def __init__(self, folder, settings, anew=False) -> None:
        self._folder = folder
        self._path, self._crops_path = os.path.join(folder, "journal"), os.path.join(folder, "crops")
        os.makedirs(folder, exist_ok=True)
        self._rows = {}
        end = self._load(settings, anew)
        self._lines, self._crops = open(self._path, "r+b" if end else "wb"), open(self._crops_path, "a+b")  # noqa: SIM115
        self._lines.truncate(end)
        self._lines.seek(end)
        self._end = max((row["at"] + row["length"] for row in self._rows.values() if "at" in row), default=0)
        self._crops.truncate(self._end)
        if not end:
            self._write({"version": _VERSION, "settings": settings})

    @staticmethod
    def exists(folder):
        """Whether unfinished work lies there."""
        return os.path.exists(os.path.join(folder, "journal"))

    def __len__(self) -> int:
        return len(self._rows)

    def has(self, name, status):
        """Whether the photo could be read, and is still the file that it was then. `status` is from `os.stat`, or None."""
        row = self._rows.get(name)
        return row is not None and row["digest"] != "" and row["file"] == _identity(status)

    def add(self, name, status, cut) -> None:
        """Note what became of a photo."""
        row = {"name": name, "file": _identity(status), "digest": cut.digest}
        if cut.payload is None:
            row.update(reason=cut.reason, detail=cut.detail)
        else:
            row.update(at=self._end, length=len(cut.payload), crc=zlib.crc32(cut.payload), ambiguous=cut.ambiguous)
            self._crops.write(cut.payload)
            self._crops.flush()
            self._end += len(cut.payload)
        self._write(row)
        self._rows[name] = row

    def cut(self, name, payload=True):
        """The Cut of a photo that is done; without `payload` its place is taken by empty bytes."""
        row = self._rows[name]
        if "at" not in row:
            return Cut(reason=row["reason"], detail=row["detail"], digest=row["digest"])
        content = os.pread(self._crops.fileno(), row["length"], row["at"]) if payload else b""
        return Cut(content, ambiguous=row["ambiguous"], digest=row["digest"])

    def close(self) -> None:
        # What a full disk did not take is lost, and done again the next time.
        for file in (self._lines, self._crops):
            try:
                file.close()
            except OSError as error:
                logger.warning("%s: %s", display_path(file.name), error.strerror)

    def remove(self) -> None:
        """Take the folder away, the journal first: without it nothing is left to go on with."""
        self.close()
        os.unlink(self._path)
        shutil.rmtree(self._folder)

    def _write(self, row) -> None:
        self._lines.write(json.dumps(row).encode("ascii") + b"\n")
        self._lines.flush()

    def _load(self, settings, anew):
        """Fill `_rows`; returns where the last line that counts ends, 0 when there is none."""
        try:
            with open(self._path, "rb") as file:
                lines = file.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return 0
        first = _row(lines[0]) if lines else None
        if first is None:
            return 0
        if first != {"version": _VERSION, "settings": settings}:
            if anew:
                return 0
            raise GluonFRError(
                f"{display_path(os.path.dirname(self._folder))}: holds unfinished work with other options "
                f"({_difference(first.get('settings'), settings)}); give the same ones to go on, or --overwrite to begin again."
            )
        end = len(lines[0]) + 1
        with _opened(self._crops_path) as crops:
            for line in lines[1:]:
                row = _row(line)
                if row is None or ("at" in row and not _whole(crops, row)):
                    break
                self._rows[row["name"]] = row
                end += len(line) + 1
        return end


def _identity(status):
    return None if status is None else [status.st_size, status.st_mtime_ns]


def _row(line):
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _whole(crops, row):
    content = os.pread(crops.fileno(), row["length"], row["at"]) if crops else b""
    return len(content) == row["length"] and zlib.crc32(content) == row["crc"]


@contextmanager
def _opened(path):
    try:
        file = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        yield None
        return
    with file:
        yield file


def _difference(before, now):
    before = before if isinstance(before, dict) else {}
    return ", ".join(f"{name} {before.get(name)} before, {now.get(name)} now" for name in now if before.get(name) != now[name])


@contextmanager
def alone(folder):
    """Hold a folder for this process while the block runs; another one that holds it raises GluonFRError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise GluonFRError(
                f"{display_path(folder)}: another process works in it; wait for it, or name another folder."
            ) from error
        except OSError:
            # Some network file systems have no locks.
            logger.info("%s: cannot be locked", display_path(folder))
        yield
    finally:
        os.close(descriptor)

"""The folder of a run: its lock, and the options that the run was started with."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import Any, Iterator, Mapping, Sequence

from gluonfr.core import DataError, UsageError, atomic_file
from gluonfr.core.reading import read_if_valid, read_json
from gluonfr.engine.loop.options import OPTIONS, RunOptions
from gluonfr.engine.tracking.provenance import PROVENANCE, write_provenance
from gluonfr.viz.curves import LOG


class RunFolder:
    """The folder of a run, used by one live process at a time.

    Parameters
    ----------
    path : str

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as path, RunFolder(path).locked():
    ...     os.listdir(path)
    ['.lock']
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"RunFolder({self.path!r})"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the folder, which is created when missing; the lock also ends with this process.

        Raises
        ------
        UsageError
            Another live process uses the folder, or it cannot be written.
        """
        import fcntl

        try:
            os.makedirs(self.path, exist_ok=True)
            file = open(os.path.join(self.path, ".lock"), "a+", encoding="utf-8")  # noqa: SIM115  (closed below)
        except FileExistsError as error:
            raise UsageError(f"out={self.path} is a file, but a run needs a folder; choose another name.") from error
        except OSError as error:
            raise UsageError(
                f"out={self.path}: the folder cannot be written ({error.strerror}); choose another one."
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                owner = file.read().strip() or "unknown"
                raise UsageError(
                    f"out={self.path} is in use by a live training run (process {owner}); wait for it, end it, or choose "
                    "another folder."
                ) from error
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield

    def check_start(self, options: RunOptions) -> None:
        """Raise UsageError if the folder has the log of a run with other options; a run without a checkpoint starts again."""
        if not os.path.exists(os.path.join(self.path, LOG)):
            return
        path = os.path.join(self.path, OPTIONS)
        try:
            before = type(options).from_dict(read_json(path), path).fixed_on_resume()
        except (OSError, ValueError) as error:
            raise UsageError(
                f"out={self.path} holds a run of which the options cannot be read ({error}); choose another folder."
            ) from error
        difference = options.first_difference(before)
        if difference:
            raise UsageError(f"out={self.path} holds a run with {difference}; choose another folder.")

    def write_description(self, options: RunOptions, contexts: Sequence[Any], files: Sequence[str], first_step: int) -> None:
        """Record in the folder what defines the run: its options, and the provenance of its result."""
        before = read_if_valid(os.path.join(self.path, PROVENANCE)) if first_step else None
        write_provenance(self.path, contexts, files, first_step, before)
        with atomic_file(os.path.join(self.path, OPTIONS), "w", encoding="utf-8") as file:
            json.dump(options.to_dict(), file, indent=1)


def check_same_options(path: str, meta: Mapping[str, Any], options: RunOptions) -> None:
    """Raise an error unless the checkpoint at `path` was written with the same options, where they decide the result.

    Raises
    ------
    UsageError
        An option differs.
    DataError
        The checkpoint does not contain the options of a run.

    Examples
    --------
    >>> check_same_options("checkpoints/step_1", meta, options)  # doctest: +SKIP
    """
    before = meta.get("options", {})
    if not isinstance(before, dict):
        raise DataError(f"{path}: the options in its meta.json are not an object; remove the checkpoint.")
    difference = options.first_difference(before)
    if difference:
        raise UsageError(
            f"{path} was written with {difference}; resume with the same options, or start a new run in another folder (out=)."
        )

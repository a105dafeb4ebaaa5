from __future__ import annotations

import json
import os

from gluonfr.core import GluonFRError, atomic_file
from gluonfr.engine.options import TrainOptions
from gluonfr.viz.curves import LOG

_OPTIONS = "options.json"


class RunFolder:
    """The folder of a run, taken by one live process at a time.

    Parameters
    ----------
    path : str

    Raises
    ------
    GluonFRError
        `take`: another live process has it, or it cannot be written.
    """

    def __init__(self, path) -> None:
        self.path, self._lock = path, None

    def take(self) -> None:
        """Keep other processes out of the folder until `release`, or the death of this one."""
        import fcntl

        try:
            os.makedirs(self.path, exist_ok=True)
            self._lock = open(os.path.join(self.path, ".lock"), "a+", encoding="utf-8")  # noqa: SIM115  (closed by release)
        except OSError as error:
            raise GluonFRError(f"{self.path}: cannot be written there ({error.strerror}); choose another folder.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.seek(0)
            owner = self._lock.read().strip() or "unknown"
            self.release()
            raise GluonFRError(
                f"{self.path} is in use by a live training run (process {owner}); wait for it, end it, or give another --out."
            ) from error
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()

    def release(self) -> None:
        """Let others take the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def check_start(self, options) -> None:
        """Refuse to start over what another run with other options left; one without any checkpoint is no loss."""
        if not os.path.exists(os.path.join(self.path, LOG)):
            return
        try:
            with open(os.path.join(self.path, _OPTIONS), encoding="utf-8") as file:
                before = TrainOptions(**json.load(file)).decisive()
        except (OSError, ValueError, TypeError, GluonFRError):
            before = {}
        changed = _first_change(before, options.decisive())
        if changed:
            raise GluonFRError(f"{self.path} holds a run with {changed}; give another folder with --out.")

    def write_options(self, options) -> None:
        """Note what the run was started with."""
        with atomic_file(os.path.join(self.path, _OPTIONS), "w", encoding="utf-8") as file:
            json.dump(options.to_dict(), file, indent=1)


def check_same_options(path, meta, options) -> None:
    """Refuse to go on from a checkpoint that other options led to."""
    changed = _first_change(meta.get("options", {}), options.decisive())
    if changed:
        raise GluonFRError(
            f"{path} was written with {changed}; resume with the same options, or start a new run with another --out."
        )


def _first_change(before, decisive) -> str:
    """In words, the first decisive option that was another before; empty where none was."""
    # Options that were not yet there had the value that they have by default.
    before = {**TrainOptions(dataset="", out="").decisive(), **before} if before else {}
    changed = [name for name, value in decisive.items() if before.get(name) != value]
    return f"{changed[0]} {before.get(changed[0])!r}, not {decisive[changed[0]]!r}" if changed else ""

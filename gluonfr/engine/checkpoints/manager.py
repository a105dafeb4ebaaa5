from __future__ import annotations

import logging
import os
import shutil
from typing import Any, Callable

from gluonfr.core import DataError, TrainingStopped, UsageError
from gluonfr.engine.checkpoints.format import folder_name, read_meta, steps_in, verify
from gluonfr.engine.checkpoints.publish import publish
from gluonfr.engine.checkpoints.writer import ArrayCache, CheckpointWriter
from gluonfr.engine.distributed.group import Group

logger = logging.getLogger(__name__)

Snapshot = Callable[[ArrayCache], "tuple[dict[str, Any], dict[str, Any]]"]


class CheckpointManager:
    """The checkpoints of a run, in folders `step_NNNNNNNN` that appear atomically.

    A thread writes a checkpoint while training continues: `save` starts it, and `publish` makes the checkpoint visible once all
    ranks have written their part. Ranks on several machines share the folder.

    Parameters
    ----------
    folder : str
    group : Group, optional
        Processes that train together.
    keep : int, default 2
        Number of checkpoints to keep, the latest ones.

    Attributes
    ----------
    cache : ArrayCache
        Reused memory for the copies of the arrays.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoints = CheckpointManager(folder)
    ...     checkpoints.save(20, lambda cache: ({"weight": np.zeros(4)}, {"updates": 20}))
    ...     checkpoints.finish()
    ...     path, meta = checkpoints.latest()
    >>> os.path.basename(path), meta["updates"]
    ('step_00000020', 20)
    """

    def __init__(self, folder: str, group: Group | None = None, keep: int = 2) -> None:
        self.folder, self._group, self._keep = folder, group or Group(), keep
        self._writer: CheckpointWriter | None = None
        self.cache = ArrayCache()

    def __repr__(self) -> str:
        return f"CheckpointManager({self.folder!r}, steps {steps_in(self.folder)})"

    def save(self, step: int, snapshot: Snapshot) -> None:
        """Start writing a checkpoint, after the previous one has been published.

        Parameters
        ----------
        step : int
        snapshot : callable
            `snapshot(cache)` returns `arrays` and `meta`; it may copy arrays into the cache, which is not in use then. `arrays`
            is a dict of name to array, or to a dict of arrays: those of this rank, with names that no other rank uses. An
            array becomes `NAME.npy`, which can be read in parts, and a dict `NAME.npz`. `meta` is a dict for JSON, equal on
            all ranks.
        """
        self.finish()
        arrays, meta = snapshot(self.cache)
        path = os.path.join(self.folder, f".{folder_name(step)}.writing")
        if self._group.rank == 0:
            self._remove_unfinished()
            try:
                os.makedirs(path)
            except OSError as error:
                raise UsageError(
                    f"{path} cannot be written ({error.strerror}); free some space, or set another out=."
                ) from error
        self._group.barrier()
        self._writer = CheckpointWriter(path, arrays, dict(meta, step=step))
        self._writer.start()

    @property
    def writing(self) -> bool:
        """Whether a checkpoint has been started and not yet published."""
        return self._writer is not None

    @property
    def written(self) -> bool:
        """Whether this rank's part of the checkpoint is on disk."""
        return self._writer is None or not self._writer.is_alive()

    def publish(self) -> None:
        """Wait until all ranks have written the current checkpoint, and make it visible; all ranks call this together.

        Raises
        ------
        TrainingStopped
            It could not be written; earlier checkpoints remain.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.join()
        errors = [error for error in self._group.gather_values(writer.error) if error]
        if errors:
            if self._group.rank == 0:
                shutil.rmtree(writer.path, ignore_errors=True)
            raise TrainingStopped(
                f"{writer.path} cannot be written ({errors[0]}); free some space and run the same command again, which resumes "
                "from the previous checkpoint."
            )
        parts = self._group.gather_values(writer.sums)
        if self._group.rank == 0:
            files = {name: sums for part in parts for name, sums in part.items()}
            publish(writer.path, self.folder, dict(writer.meta, files=files), self._keep)
        self._group.barrier()

    def finish(self) -> None:
        """Publish the checkpoint that is being written, if there is one; all ranks call this together."""
        if any(self._group.gather_values(self.writing)):
            self.publish()

    def latest(self) -> tuple[str, dict[str, Any]] | None:
        """Return `(path, meta)` of the latest undamaged checkpoint, or None if there are no checkpoints.

        Damaged checkpoints are skipped with a warning.

        Raises
        ------
        DataError
            All checkpoints are damaged.
        """
        steps = steps_in(self.folder)
        for step in reversed(steps):
            path = os.path.join(self.folder, folder_name(step))
            try:
                return path, verify(path)
            except (OSError, ValueError) as error:
                line = (str(error).splitlines() or [type(error).__name__])[0]
                logger.warning("%s is damaged (%s); trying the previous checkpoint", path, line)
        if steps:
            raise DataError(f"{self.folder}: all checkpoints are damaged; restore one, or remove the folder to start again.")
        return None

    def find_latest(self) -> tuple[str, dict[str, Any]] | None:
        """Return what `latest` returns on rank 0, on all ranks.

        Raises
        ------
        DataError
            This rank cannot read the checkpoint.
        """
        found = self.latest() if self._group.rank == 0 else None
        step = self._group.gather_values(found and found[1]["step"])[0]
        if step is None or self._group.rank == 0:
            return found
        path = os.path.join(self.folder, folder_name(step))
        try:
            return path, read_meta(path)
        except (OSError, ValueError) as error:
            raise DataError(
                f"rank {self._group.rank} cannot read {path}, from which rank 0 resumes: out= must be a folder that all ranks "
                "share."
            ) from error

    def _remove_unfinished(self) -> None:
        for name in os.listdir(self.folder) if os.path.isdir(self.folder) else []:
            if name.startswith(".step_"):
                shutil.rmtree(os.path.join(self.folder, name), ignore_errors=True)

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import threading
import zlib

import numpy as np

from gluonfr.core import GluonFRError, atomic_file, sync_folder
from gluonfr.core.mxnet_internals import copy_into

logger = logging.getLogger(__name__)

_NAME = re.compile(r"step_(\d{8,})$")
_META = "meta.json"
_BLOCK = 1 << 20


class Memory:
    """Where copies of arrays are made, again and again in the same place.

    The system clears memory that it hands out, which takes several times as long as copying into it does.
    """

    def __init__(self) -> None:
        self._arrays = {}

    def copy(self, name, array):
        """NumPy copy of an MXNet array, which the next copy of that name overwrites."""
        kept = self._arrays.get(name)
        if kept is None or kept.shape != array.shape or kept.dtype != np.dtype(array.dtype):
            kept = self._arrays[name] = np.empty(array.shape, array.dtype)
        copy_into(array, kept)
        return kept


class Checkpoints:
    """The checkpoints of a run, `folder/step_NNNNNNNN`, each whole or not there at all.

    A checkpoint is written by a thread while training goes on: `save` writes copies, `commit` makes the checkpoint count once
    all ranks have written their part. Ranks on several machines share the folder.

    Parameters
    ----------
    folder : str
    group : Group
    keep : int, default 2
        The newest so many stay, older ones are removed.

    Attributes
    ----------
    memory : Memory
        Where one checkpoint after the other is copied to.
    """

    def __init__(self, folder, group, keep=2) -> None:
        self.folder, self._group, self._keep = folder, group, keep
        self._writer, self.memory = None, Memory()

    def save(self, step, make) -> None:
        """Start to write a checkpoint, after the one before it is whole.

        Parameters
        ----------
        step : int
        make : callable
            `make(memory)` gives `arrays` and `meta`, and may copy into this memory, since nobody writes what is there any more.
            `arrays` is a dict of name to array, or to a dict of arrays: this rank's, whose names differ from other ranks'. An
            array becomes `NAME.npy`, which can be read in parts, a dict `NAME.npz`. `meta` is a JSON-able dict, the same on
            all ranks.
        """
        self.finish()
        arrays, meta = make(self.memory)
        path = os.path.join(self.folder, f".step_{step:08d}.writing")
        if self._group.rank == 0:
            self._clear()
            make_folder(path)
        self._group.barrier()
        self._writer = _Writer(path, arrays, dict(meta, step=step))
        self._writer.start()

    @property
    def writing(self):
        """Whether a checkpoint is under way that does not count yet."""
        return self._writer is not None

    @property
    def written(self):
        """Whether this rank's part of it is on the disk."""
        return self._writer is None or not self._writer.is_alive()

    def commit(self) -> None:
        """Let the checkpoint count that was being written, once it is on the disk; all ranks call it together.

        Raises
        ------
        GluonFRError
            It could not be written; those before it stand.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.join()
        if not writer.error and writer.left:
            writer.error = "it ended before all was written"
        failed = [each for each in self._group.gather_values(writer.error) if each]
        if failed:
            if self._group.rank == 0:
                shutil.rmtree(writer.path, ignore_errors=True)
            raise GluonFRError(
                f"{writer.path} cannot be written ({failed[0]}); make room there and run the same command again, it goes on "
                "from the checkpoint before."
            )
        parts = self._group.gather_values(writer.sums)
        if self._group.rank == 0:
            with atomic_file(os.path.join(writer.path, _META), "w", encoding="utf-8") as file:
                json.dump(dict(writer.meta, files={name: each for part in parts for name, each in part.items()}), file)
            path = os.path.join(self.folder, f"step_{writer.meta['step']:08d}")
            shutil.rmtree(path, ignore_errors=True)
            os.rename(writer.path, path)
            sync_folder(self.folder)
            numbers = steps_in(self.folder)
            # Later ones were passed over as damaged when the run went on from an earlier one.
            passed_over = [number for number in numbers if number > writer.meta["step"]]
            for number in passed_over + [each for each in numbers if each not in passed_over][: -self._keep]:
                shutil.rmtree(os.path.join(self.folder, f"step_{number:08d}"), ignore_errors=True)
        self._group.barrier()

    def finish(self) -> None:
        """Wait for what is being written, and let it count."""
        if any(self._group.gather_values(self.writing)):
            self.commit()

    def newest(self):
        """`(path, meta)` of the newest checkpoint whose files are whole, or None where there is none at all.

        Damaged ones are named in the log and passed over.

        Raises
        ------
        GluonFRError
            There are checkpoints, and not one is whole.
        """
        numbers = steps_in(self.folder)
        for number in reversed(numbers):
            path = os.path.join(self.folder, f"step_{number:08d}")
            try:
                return path, check(path)
            except (OSError, ValueError, KeyError, TypeError) as error:
                line = (str(error).splitlines() or [type(error).__name__])[0]
                logger.warning("%s is damaged (%s); looking for the checkpoint before it", path, line)
        if numbers:
            raise GluonFRError(f"{self.folder}: no checkpoint there is whole; remove the folder to start again, or restore it.")
        return None

    def find(self):
        """As `newest`, the same on all ranks: the first one looks.

        Raises
        ------
        GluonFRError
            Another rank does not see that checkpoint.
        """
        found = self.newest() if self._group.rank == 0 else None
        step = self._group.gather_values(found and found[1]["step"])[0]
        if step is None or self._group.rank == 0:
            return found
        path = os.path.join(self.folder, f"step_{step:08d}")
        try:
            return path, read_meta(path)
        except (OSError, ValueError) as error:
            raise GluonFRError(
                f"rank {self._group.rank} cannot read {path}, from which rank 0 goes on: --out has to be a folder that all "
                "share."
            ) from error

    def _clear(self) -> None:
        if os.path.isdir(self.folder):
            for name in os.listdir(self.folder):
                if name.startswith(".step_"):
                    shutil.rmtree(os.path.join(self.folder, name), ignore_errors=True)


class _Writer(threading.Thread):
    def __init__(self, path, arrays, meta) -> None:
        super().__init__(name="gluonfr-checkpoint")
        self.path, self.meta, self.error, self.sums = path, meta, None, {}
        self.left = arrays

    def run(self) -> None:
        try:
            for name in list(self.left):
                self._write(name, self.left[name])
                del self.left[name]
            sync_folder(self.path)
        except Exception as error:
            self.error = getattr(error, "strerror", None) or str(error) or type(error).__name__

    def _write(self, name, content) -> None:
        name += ".npz" if isinstance(content, dict) else ".npy"
        path = os.path.join(self.path, name)
        with open(path, "wb") as file:
            if isinstance(content, dict):
                np.savez(file, **content)
            else:
                np.save(file, content, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        self.sums[name] = [os.path.getsize(path), checksum(path)]


def make_folder(path) -> None:
    """A new, empty folder; GluonFRError where it cannot be."""
    try:
        os.makedirs(path)
    except OSError as error:
        raise GluonFRError(f"{path} cannot be written ({error.strerror}); make room there, or choose another --out.") from error


def checksum(path):
    """CRC-32 of a file."""
    value = 0
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            value = zlib.crc32(block, value)
    return value


def steps_in(folder):
    """Numbers of the checkpoints in `folder`, ascending."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(int(_NAME.match(name).group(1)) for name in names if _NAME.match(name))


def read_meta(path):
    """What a checkpoint says of itself."""
    with open(os.path.join(path, _META), encoding="utf-8") as file:
        return json.load(file)


def check(path):
    """The meta of the checkpoint at `path`, after all its files were read; ValueError or OSError where one is damaged."""
    meta = read_meta(path)
    for name, (size, value) in meta["files"].items():
        each = os.path.join(path, name)
        if os.path.getsize(each) != size or checksum(each) != value:
            raise ValueError(f"{name} is not what was written")
    return meta


def read(path, name):
    """The arrays of `name` in the checkpoint at `path`: a dict, or one array that stays on the disk."""
    one = os.path.join(path, name + ".npy")
    if os.path.exists(one):
        return np.load(one, mmap_mode="r", allow_pickle=False)
    with np.load(os.path.join(path, name + ".npz"), allow_pickle=False) as stored:
        return {each: stored[each] for each in stored.files}

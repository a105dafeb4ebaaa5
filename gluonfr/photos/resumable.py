"""Work on many images that is kept block by block, so that a run that ended in any way goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from contextlib import contextmanager

import numpy as np

from gluonfr.core import GluonFRError, atomic_file, disk_errors, display_path
from gluonfr.photos.packing.journal import alone

_VERSION = 1
_SETTINGS = "settings.json"


class Blocks:
    """Arrays by key in a folder, a file each, which is whole or not there.

    Parameters
    ----------
    folder : str
        Created when missing.
    settings : dict
        What the results depend on, as JSON takes it.

    Raises
    ------
    GluonFRError
        The folder holds blocks of other settings, or something else.
    """

    def __init__(self, folder, settings) -> None:
        self.folder = folder
        settings = json.loads(json.dumps({"version": _VERSION, **settings}))
        path = os.path.join(folder, _SETTINGS)
        with disk_errors(folder):
            os.makedirs(folder, exist_ok=True)
            if not os.path.exists(path):
                if os.listdir(folder):
                    raise GluonFRError(f"{display_path(folder)}: holds something else than embeddings; name a new folder.")
                with atomic_file(path, "w", encoding="utf-8") as file:
                    json.dump(settings, file, indent=1)
        before = _read_json(path)
        if before != settings:
            differ = ", ".join(name for name in settings if before.get(name) != settings[name])
            raise GluonFRError(
                f"{display_path(folder)}: holds unfinished work with another {differ or 'version'}; give the same command to go on, "
                "or delete that folder to begin anew."
            )

    def __contains__(self, key) -> bool:
        return os.path.exists(self._path(key))

    def write(self, key, **arrays) -> None:
        """Keep the arrays of a block."""
        with disk_errors(self.folder), atomic_file(self._path(key)) as file:
            np.savez(file, **arrays)

    def read(self, key, *names):
        """Some arrays of a block, in the order of their names."""
        try:
            with np.load(self._path(key), allow_pickle=False) as stored:
                return [stored[name] for name in names]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise GluonFRError(
                f"{display_path(self._path(key))} is damaged ({error}); delete it, and it is made again."
            ) from error

    def stacked(self, keys, name, file, shape, dtype):
        """One array of all blocks, behind each other, mapped to a file of the folder: what does not fit into memory."""
        with disk_errors(self.folder):
            path, start = os.path.join(self.folder, file), 0
            if not shape[0]:
                return np.empty(shape, dtype)
            rows = np.memmap(path, dtype, "w+", shape=shape)
            for key in keys:
                (part,) = self.read(key, name)
                rows[start : start + len(part)] = part
                start += len(part)
            return rows

    def _path(self, key):
        return os.path.join(self.folder, f"{key}.npz")


def work_folder(out):
    """Where unfinished work for a folder or file lies: a hidden folder beside it."""
    parent, name = os.path.split(out)
    return os.path.join(parent, f".{name}.unfinished")


@contextmanager
def working_in(folder, keep=False):
    """Hold the folder of unfinished work while the block runs; it goes when the block ends well, unless it is to be kept."""
    with disk_errors(folder):
        made = not os.path.isdir(folder)
        os.makedirs(folder, exist_ok=True)
    with alone(folder):
        if not keep and not made and not _is_work(folder):
            raise GluonFRError(f"{display_path(folder)}: holds something else than unfinished work; move it away.")
        try:
            yield folder
        except BaseException:
            # Where nothing was done yet nothing is left.
            if made and not keep and not _has_blocks(folder):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        if not keep:
            shutil.rmtree(folder)


def _is_work(folder):
    """Whether unfinished work lies there, or not a single file."""
    files = [(place, name) for place, _, names in os.walk(folder) for name in names]
    return not files or any(name == _SETTINGS and folder in (place, os.path.dirname(place)) for place, name in files)


def _has_blocks(folder):
    return any(name.endswith(".npz") for _, _, names in os.walk(folder) for name in names)


def network_settings(embedder):
    """What embeddings depend on."""
    card = embedder.card
    return {
        "network": [card.network, card.extra.get("original_sha256") or card.sha256, list(card.image_size), card.template],
        "flip": embedder.flip,
    }


def digest(values):
    """A short name for what JSON can hold."""
    return hashlib.sha256(json.dumps(values).encode("ascii")).hexdigest()[:24]


def file_state(path):
    """What changes when a file does: [size, time]; None where it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
    except (OSError, ValueError) as error:
        raise GluonFRError(f"{display_path(path)} is damaged ({error}); delete its folder to begin anew.") from error
    return values if isinstance(values, dict) else {}

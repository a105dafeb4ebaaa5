"""How a checkpoint becomes visible: its folder is renamed once all files are on disk, and old checkpoints are removed."""

from __future__ import annotations

import os
import shutil
from typing import Any, Mapping

from gluonfr.core import sync_folder
from gluonfr.engine.checkpoints.format import folder_name, steps_in, write_meta


def publish(temporary: str, folder: str, meta: Mapping[str, Any], keep: int) -> None:
    """Make a checkpoint visible, atomically, and remove those that are no longer needed.

    Parameters
    ----------
    temporary : str
        Folder with all arrays, on the same file system as `folder`.
    folder : str
        Folder of the checkpoints.
    meta : dict
        `step`, and size and checksum of all `files`, besides what `restore_snapshot` needs.
    keep : int
        Number of checkpoints to keep, the latest ones.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.mkdir(os.path.join(folder, "temporary"))
    ...     publish(os.path.join(folder, "temporary"), folder, {"step": 7, "files": {}}, keep=2)
    ...     os.listdir(folder)
    ['step_00000007']
    """
    step = meta["step"]
    write_meta(temporary, meta)
    path = os.path.join(folder, folder_name(step))
    shutil.rmtree(path, ignore_errors=True)
    os.rename(temporary, path)
    sync_folder(folder)
    _remove_old(folder, step, keep)


def _remove_old(folder: str, step: int, keep: int) -> None:
    steps = steps_in(folder)
    # Later checkpoints are damaged ones, which were skipped when the run resumed from an earlier one.
    skipped = [number for number in steps if number > step]
    for number in skipped + [number for number in steps if number <= step][:-keep]:
        shutil.rmtree(os.path.join(folder, folder_name(number)), ignore_errors=True)

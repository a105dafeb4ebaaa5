"""Where the result of a run comes from: program versions, machine, data, command line, environment."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import subprocess
import sys
from typing import Any, Iterable, Mapping, Sequence

import mxnet as mx
import numpy as np

from gluonfr.core import atomic_file
from gluonfr.core.cpu import cpu_info
from gluonfr.engine.options import TrainOptions
from gluonfr.engine.tracking.status import FORMAT, now
from gluonfr.version import __version__

PROVENANCE = "provenance.json"
_ENVIRONMENT = ("MXNET_", "OMP_", "KMP_", "GLUONFR_", "CUDA_VISIBLE_DEVICES", "NCCL_", "HOROVOD_", "DMLC_", "LD_PRELOAD")
_SECRET = ("TOKEN", "KEY", "SECRET", "PASSWORD")
# Larger files are identified by their size and index.
_HASHED = (".idx", ".bin", "property")


def write_provenance(folder: str, contexts: Sequence[Any], files: Iterable[str], first_step: int, before: Any = None) -> None:
    """Write `provenance.json` of a run folder; a run that resumes adds a session to those of `before`.

    Parameters
    ----------
    folder : str
        The run folder.
    contexts : list of Context
        Devices of this process.
    files : iterable of str
        Data files, see `data_files`.
    first_step : int
        Steps made before this session.
    before : dict, optional
        Contents of the file until now.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_provenance(folder, [mx.cpu()], [], 0)
    ...     with open(os.path.join(folder, PROVENANCE)) as file:
    ...         values = json.load(file)
    >>> values["sessions"][0]["mxnet"]
    '1.9.1'
    """
    sessions = before.get("sessions") if isinstance(before, Mapping) else None
    session = {"started": now(), "first_step": first_step, **program(), **machine(contexts)}
    values = {
        "format": FORMAT,
        "data": [describe_file(path) for path in files],
        "sessions": [*(sessions if isinstance(sessions, list) else []), session],
    }
    with atomic_file(os.path.join(folder, PROVENANCE), "w", encoding="utf-8") as file:
        json.dump(values, file, indent=1)


def program() -> dict[str, Any]:
    """Return versions, MXNet's build, the command line and the environment variables that change results or speed.

    Examples
    --------
    >>> sorted(program())[:3]
    ['command', 'environment', 'git']
    """
    features = mx.runtime.Features()
    return {
        "gluonfr": __version__,
        "git": git_commit(os.path.dirname(os.path.abspath(__file__))),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "mxnet": mx.__version__,
        "mxnet_features": sorted(name for name in features if features.is_enabled(name)),
        "command": list(sys.argv),
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(_ENVIRONMENT) and not any(word in name for word in _SECRET)
        },
    }


def machine(contexts: Sequence[Any]) -> dict[str, Any]:
    """Return the machine and the devices that train.

    Examples
    --------
    >>> machine([mx.cpu()])["devices"]
    ['cpu(0)']
    """
    found: dict[str, Any] = {
        "system": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "devices": [str(context) for context in contexts],
    }
    if any(context.device_type == "gpu" for context in contexts):
        names = _output("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
        found["gpus"] = names.splitlines() if names else []
    return found


def describe_file(path: str) -> dict[str, Any]:
    """Return path and size of a data file, and its SHA-256 for indices, `property` files and verification sets.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "property")
    ...     with open(path, "w") as file:
    ...         _ = file.write("2,112,112")
    ...     found = describe_file(path)
    >>> found["size"], found["sha256"][:8]
    (9, '1e98c255')
    """
    found: dict[str, Any] = {"path": path, "size": os.path.getsize(path)}
    if path.endswith(_HASHED):
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        found["sha256"] = digest.hexdigest()
    return found


def data_files(options: TrainOptions, sets: Mapping[str, Any]) -> list[str]:
    """Return the paths of the files of the training sets and of verification sets, as far as they exist.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> data_files(TrainOptions(dataset="missing"), {"lfw": SimpleNamespace(path=__file__)}) == [__file__]
    True
    """
    folders = [os.path.join(options.root, name.strip()) for name in options.dataset.split(",")]
    paths = [os.path.join(folder, name) for folder in folders for name in ("train.rec", "train.idx", "property")]
    paths += [pairs.path for pairs in sets.values() if hasattr(pairs, "path")]
    return [path for path in dict.fromkeys(paths) if os.path.isfile(path)]


def git_commit(folder: str) -> str | None:
    """Return the commit of the repository that contains a folder, with '+' when files differ from it; None outside of one.

    Examples
    --------
    >>> git_commit(os.path.sep) is None
    True
    """
    commit = _output("git", "-C", folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return commit + ("+" if _output("git", "-C", folder, "status", "--porcelain", "--untracked-files=no") else "")


def _output(*command: str) -> str | None:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()
    return None


def _cpu_name() -> str:
    return cpu_info().get("model name") or platform.processor() or platform.machine()

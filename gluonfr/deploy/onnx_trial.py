"""A trial run of an ONNX model of unknown origin, in a process of its own with limits of memory and time."""

from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
import sys
from typing import Any

from gluonfr.core import WeightsError
from gluonfr.core.paths import python_command
from gluonfr.deploy.card_values import MAX_NUMBERS
from gluonfr.deploy.onnx_export.model import CARD_ENTRY
from gluonfr.deploy.onnx_trial_run import OUT_OF_MEMORY

# A face network opens and runs in a few seconds of one core, in its weights' size several times over. The memory is in addition
# to that of Python and ONNX Runtime.
CPU_SECONDS, MEMORY = 30, 3 << 29
_WALL_SECONDS = 300
# Operators that repeat a part of the graph, as often as the file or the image specifies. Face networks have none.
_LOOPS = (b"Loop", b"Scan", b"SequenceMap")
_PROGRAM = "import runpy, sys; path = sys.argv.pop(1); runpy.run_path(path, run_name='__main__')"


def try_onnx(path: str, image_size: tuple[int, int] | None = None, fallback: tuple[int, int] | None = None) -> None:
    """Run an ONNX model on blank images in a limited process; refuse it when it loops, or exceeds the limits.

    A graph decides how much memory and time it takes, and a damaged one may crash ONNX Runtime. Errors that ONNX Runtime
    reports are not raised here: the caller meets them too.

    Parameters
    ----------
    path : str
        The ONNX file.
    image_size : (H, W), optional
        Size of the images where the model accepts any; by default that of the card in the model's metadata.
    fallback : (H, W), optional
        Size of the images where there is no such card either.

    Raises
    ------
    WeightsError
        The model loops, needs too much time or memory, or crashes ONNX Runtime.

    Examples
    --------
    >>> try_onnx("face.onnx")  # doctest: +SKIP
    """
    loop = _find_loop(path)
    if loop:
        raise WeightsError(f"{path}: its graph contains the operator {loop}, which no face network needs; use another model.")
    arguments: dict[str, Any] = {
        "path": path,
        "image_size": image_size,
        "fallback": fallback,
        "entry": CARD_ENTRY,
        "memory": MEMORY + 5 * _stored_bytes(path),
        "seconds": CPU_SECONDS,
        "max_numbers": MAX_NUMBERS,
    }
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "onnx_trial_run.py")
    if not sys.executable:
        # Python is embedded in another program and cannot be started.
        return
    command = python_command(_PROGRAM, program, json.dumps(arguments))
    try:
        finished = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_WALL_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(path) from error
    if finished.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise _too_slow(path)
    if finished.returncode == OUT_OF_MEMORY:
        raise WeightsError(
            f"{path}: it needs more than {arguments['memory'] / (1 << 30):.1f} GiB for two blank images; use another model."
        )
    if finished.returncode < 0:
        name = signal.Signals(-finished.returncode).name
        raise WeightsError(f"{path} is damaged: ONNX Runtime crashed on it ({name}); fetch it again.")


def _too_slow(path: str) -> WeightsError:
    return WeightsError(f"{path}: it did not process two blank images in {CPU_SECONDS} s of one core; use another model.")


def _find_loop(path: str) -> str | None:
    """Return the name of a loop operator in the file, found in its encoded form: field 4 of a node, length, name."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for name in _LOOPS:
            if content.find(b"\x22" + bytes([len(name)]) + name) >= 0:
                return name.decode("ascii")
    return None


def _stored_bytes(path: str) -> int:
    """Return the size of the model with weights in separate files, which lie in the same folder."""
    total = os.path.getsize(path)
    stem = os.path.splitext(os.path.basename(path))[0]
    with os.scandir(os.path.dirname(os.path.abspath(path))) as entries:
        return total + sum(
            entry.stat().st_size
            for entry in entries
            if entry.is_file() and entry.name.startswith(stem) and entry.name.endswith(("data", ".bin", ".weight"))
        )

"""The reports beside a packed set: what was left out, and a contact sheet of some crops."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from gluonfr.core import atomic_file, generator
from gluonfr.core.tables import write_table
from gluonfr.data import images
from gluonfr.data.contact_sheet import contact_sheet

LEFT_OUT, AMBIGUOUS, SAMPLE = "left_out.csv", "ambiguous.csv", "sample.png"
_SHOWN = 60
_SEED, _SAMPLE = 0, 104


def write_left_out(folder: str, rows: Iterable[Sequence[Any]]) -> None:
    """Write FOLDER/left_out.csv with the columns file, reason, detail.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_left_out(folder, [("Ann/1.jpg", "no face", "")])
    """
    write_table(os.path.join(folder, LEFT_OUT), ["file", "reason", "detail"], rows)


def choose_sample(count: int) -> np.ndarray:
    """Choose which of `count` crops the contact sheet shows: int64, ascending, always the same.

    Examples
    --------
    >>> choose_sample(3)
    array([0, 1, 2])
    """
    return np.sort(generator(_SEED, _SAMPLE).permutation(count)[:_SHOWN])


def write_sample(folder: str, crops: Iterable[tuple[bytes, str]]) -> None:
    """Write FOLDER/sample.png, a contact sheet of crops with captions.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_sample(folder, [(images.encode(np.zeros((112, 112, 3), np.uint8)), "Ann")])
    """
    pictures, captions = zip(*((images.decode(payload, "a crop"), caption) for payload, caption in crops))
    sheet = contact_sheet(pictures, captions, columns=10)
    with atomic_file(os.path.join(folder, SAMPLE)) as file:
        file.write(cv2.imencode(".png", sheet[:, :, ::-1])[1].tobytes())


def reasons(left_out: Iterable[Sequence[Any]]) -> str:
    """Summarize rows of (file, reason, detail).

    Examples
    --------
    >>> reasons([("a.jpg", "no face", ""), ("b.jpg", "no face", ""), ("c.jpg", "duplicate", "")])
    '2 no face, 1 duplicate'
    """
    return ", ".join(f"{count} {reason}" for reason, count in Counter(row[1] for row in left_out).most_common())

"""The files beside a packed set that people read."""

from __future__ import annotations

import os
from collections import Counter

import cv2
import numpy as np

from gluonfr.core import atomic_file, generator
from gluonfr.core.tables import write_table
from gluonfr.data import images
from gluonfr.data.contact_sheet import contact_sheet

LEFT_OUT, AMBIGUOUS, SAMPLE = "left_out.csv", "ambiguous.csv", "sample.png"
_SHOWN = 60
_SEED, _SAMPLE = 0, 104


def write_left_out(folder, rows) -> None:
    """FOLDER/left_out.csv: file, reason, detail."""
    write_table(os.path.join(folder, LEFT_OUT), ["file", "reason", "detail"], rows)


def some(count):
    """int64, ascending: which of `count` crops the sample shows, the same ones each time."""
    return np.sort(generator(_SEED, _SAMPLE).permutation(count)[:_SHOWN])


def write_sample(folder, crops) -> None:
    """FOLDER/sample.png, a contact sheet of `crops`: (payload, caption)."""
    pictures, captions = zip(*((images.decode(payload, "a crop"), caption) for payload, caption in crops))
    sheet = contact_sheet(pictures, captions, columns=10)
    with atomic_file(os.path.join(folder, SAMPLE)) as file:
        file.write(cv2.imencode(".png", sheet[:, :, ::-1])[1].tobytes())


def reasons(left_out):
    """'12 no face, 3 duplicate' for rows of (file, reason, detail)."""
    return ", ".join(f"{count} {reason}" for reason, count in Counter(row[1] for row in left_out).most_common())

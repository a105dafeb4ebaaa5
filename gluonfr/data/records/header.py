"""The header of a record, and the rule that distinguishes header records from images.

A record starts with (flag: uint32, label: float32, id: uint64, id2: uint64), followed by `flag` float32 values and the payload.
With flag 0 the label is a scalar. With flag > 0 the label is an array, and an image's label is the array's first value.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

HEADER = struct.Struct("<IfQQ")

# Labels are float32, which holds every whole number only below this limit.
LABEL_LIMIT = 1 << 24


def is_header_record(flag: Any, length: Any) -> Any:
    """Return whether a record is a header: its flag is above 0 and its payload is empty.

    Header records hold ranges of record numbers and no image. An image with several labels has a flag above 0 too, but it has a
    payload.

    Parameters
    ----------
    flag : int or np.ndarray
        The flag of one or several records, at least 64 bits wide.
    length : int or np.ndarray
        Bytes of the record: header, label values and payload.

    Returns
    -------
    bool or np.ndarray
        For each record.

    Examples
    --------
    >>> is_header_record(flag=2, length=HEADER.size + 8)
    True
    >>> is_header_record(flag=2, length=HEADER.size + 8 + 5000)
    False
    """
    return (flag > 0) & (length == HEADER.size + 4 * flag)


def split_record(record: bytes) -> tuple[float, bytes]:
    """Split an image's record into its label and its payload.

    Raises
    ------
    ValueError
        The record is too short, or its label is not a whole number from 0 to 2**24 - 1. The message continues a sentence.

    Examples
    --------
    >>> split_record(HEADER.pack(0, 7.0, 1, 0) + b"image file")
    (7.0, b'image file')
    """
    if len(record) < HEADER.size:
        raise ValueError(f"is too short for a header ({len(record)} bytes)")
    flag, label, _, _ = HEADER.unpack_from(record)
    begin = HEADER.size + 4 * flag
    if begin > len(record):
        raise ValueError(f"declares {flag} labels but is too short for them ({len(record)} bytes)")
    if flag:
        (label,) = struct.unpack_from("<f", record, HEADER.size)
    if not (0 <= label < LABEL_LIMIT and label.is_integer()):
        raise ValueError(f"has the invalid label {label:g}, expected a whole number from 0 to {LABEL_LIMIT - 1}")
    return label, record[begin:]


def split_labels(record: bytes) -> tuple[np.ndarray, bytes]:
    """Split a record with several labels into these, float32 (n,), and its payload.

    Raises
    ------
    ValueError
        The record is too short. The message continues a sentence.

    Examples
    --------
    >>> split_labels(HEADER.pack(1, 0.0, 7, 0) + struct.pack("<f", 3) + b"image file")
    (array([3.], dtype=float32), b'image file')
    """
    if len(record) < HEADER.size:
        raise ValueError(f"is too short for a header ({len(record)} bytes)")
    count = HEADER.unpack_from(record)[0]
    begin = HEADER.size + 4 * count
    if begin > len(record):
        raise ValueError(f"declares {count} labels but is too short for them ({len(record)} bytes)")
    return np.frombuffer(record, "<f4", count, HEADER.size), record[begin:]

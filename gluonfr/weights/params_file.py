from __future__ import annotations

import struct

import numpy as np

from gluonfr.core import GluonFRError, require_file

_LIST = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_DTYPES = dict(enumerate(("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8", "?", "<i2", "<u2")))
_MOST_DIMENSIONS = 32


def read_params(path, what="network's parameters"):
    """The arrays of a `.params` file, in its order: dict of name -> NumPy array.

    Reads what `mx.nd.save` of MXNet 0.8 to 1.9 writes (dense arrays), without MXNet's own reader, which trusts the sizes
    that a file claims: here none is believed before the file is seen to hold as many bytes.

    Returns
    -------
    dict of str -> array
        Read-only views into the file's bytes. Names as they stand, such as "arg:conv0_weight" or "features.0.weight".

    Raises
    ------
    GluonFRError
        It is no such file, ends too early, goes on behind its end, or holds sparse or unnamed arrays.
    """
    path = require_file(path, what)
    with open(path, "rb") as file:
        reader = _Reader(file.read(), path)
    if reader.take("<Q") != _LIST:
        raise GluonFRError(f"{path} is no MXNet .params file; give one that MXNet or Gluon saved.")
    reader.take("<Q")
    arrays = [_array(reader) for _ in range(reader.count(4))]
    names = [_name(reader) for _ in range(reader.count(8))]
    if reader.place != len(reader.data):
        raise reader.damaged(f"{len(reader.data) - reader.place} bytes follow its end")
    if len(names) != len(arrays):
        raise reader.damaged(f"{len(arrays)} arrays and {len(names)} names")
    if len(set(names)) != len(names):
        raise reader.damaged("two of its arrays have one name")
    return dict(zip(names, arrays))


class _Reader:
    """Bytes and a place in them; never gives more than there is."""

    def __init__(self, data, path) -> None:
        self.data, self.path, self.place = data, path, 0

    def damaged(self, reason):
        return GluonFRError(f"{self.path} is damaged ({reason}); fetch it again.")

    def skip(self, size):
        """Where the next `size` bytes begin."""
        start = self.place
        if size > len(self.data) - start:
            raise self.damaged(f"it ends at byte {len(self.data)}, in the middle of what it should hold")
        self.place += size
        return start

    def take(self, layout):
        return struct.unpack_from(layout, self.data, self.skip(struct.calcsize(layout)))[0]

    def count(self, least):
        """How many entries follow, of at least `least` bytes each."""
        count = self.take("<Q")
        if count * least > len(self.data) - self.place:
            raise self.damaged(f"it names {count} entries, more than it can hold")
        return count


def _array(reader):
    magic = reader.take("<I")
    if magic in (_V2, _V3):
        storage = reader.take("<i")
        if storage not in (0, -1):
            raise reader.damaged(f"array of storage type {storage}; only dense ones are read")
        dimensions = reader.take("<i")
        shape = _shape(reader, dimensions, "<q")
        empty = dimensions < 0 if magic == _V3 else dimensions == 0
    elif magic == _V1:
        shape = _shape(reader, reader.take("<I"), "<q")
        empty = not shape
    else:
        # Before MXNet 0.12 the number of dimensions stood in the place of the format's number, and sizes had 32 bits.
        shape = _shape(reader, magic, "<I")
        empty = not shape
    if empty:
        return np.zeros(0, np.float32)
    reader.take("<q")  # The device that it was saved from.
    flag = reader.take("<i")
    if flag not in _DTYPES:
        raise reader.damaged(f"array of unknown type {flag}")
    dtype = np.dtype(_DTYPES[flag])
    count = 1
    for size in shape:
        count *= size
    if not count:
        return np.zeros(0, dtype)
    start = reader.skip(count * dtype.itemsize)
    return np.frombuffer(reader.data, dtype, count, start).reshape(shape)


def _shape(reader, dimensions, layout):
    if dimensions > _MOST_DIMENSIONS:
        raise reader.damaged(f"array of {dimensions} dimensions")
    shape = tuple(reader.take(layout) for _ in range(max(0, dimensions)))
    if any(size < 0 for size in shape):
        raise reader.damaged(f"array of shape {shape}")
    return shape


def _name(reader):
    size = reader.take("<Q")
    start = reader.skip(size)
    try:
        return reader.data[start : start + size].decode("utf-8")
    except UnicodeDecodeError as error:
        raise reader.damaged("a name is no text") from error

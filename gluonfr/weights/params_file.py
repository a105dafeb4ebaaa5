from __future__ import annotations

import struct
from typing import Any

import numpy as np

from gluonfr.core import PathLike, WeightsError, require_file

_LIST = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_DTYPES = dict(enumerate(("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8", "?", "<i2", "<u2")))
_MOST_DIMENSIONS = 32


def read_params(path: PathLike, what: str = "network's parameters") -> dict[str, np.ndarray]:
    """Read the arrays of a `.params` file, as `mx.nd.save` of MXNet 0.8 to 1.9 writes them.

    MXNet's own reader trusts the sizes in a file; this one checks them against the bytes that exist.

    Parameters
    ----------
    path : str
        The file.
    what : str, optional
        Description of the file, for messages.

    Returns
    -------
    dict of str to array
        In the order of the file: read-only views of its bytes. The names are those in the file, such as "arg:conv0_weight" or
        "features.0.weight".

    Raises
    ------
    WeightsError
        The file is of another kind, incomplete, has bytes after its end, or has sparse or unnamed arrays.

    Examples
    --------
    >>> import mxnet as mx, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "x.params")
    ...     mx.nd.save(path, {"arg:weight": mx.nd.array([1, 2])})
    ...     read_params(path)
    {'arg:weight': array([1., 2.], dtype=float32)}
    """
    path = require_file(path, what)
    with open(path, "rb") as file:
        reader = _Reader(file.read(), path)
    if reader.take("<Q") != _LIST:
        raise WeightsError(f"{path} is not an MXNet .params file; give one that MXNet or Gluon saved.")
    reader.take("<Q")
    arrays = [_array(reader) for _ in range(reader.count(4))]
    names = [_name(reader) for _ in range(reader.count(8))]
    if reader.place != len(reader.data):
        raise reader.damaged(f"{len(reader.data) - reader.place} bytes follow its end")
    if len(names) != len(arrays):
        raise reader.damaged(f"it has {len(arrays)} arrays and {len(names)} names")
    if len(set(names)) != len(names):
        raise reader.damaged("two of its arrays have the same name")
    return dict(zip(names, arrays))


class _Reader:
    """The bytes of a file and a position in them; reading beyond the end is an error."""

    def __init__(self, data: bytes, path: str) -> None:
        self.data, self.path, self.place = data, path, 0

    def damaged(self, reason: str) -> WeightsError:
        """Return the error for a damaged file."""
        return WeightsError(f"{self.path} is damaged ({reason}); fetch it again.")

    def skip(self, size: int) -> int:
        """Skip the next `size` bytes and return where they begin."""
        start = self.place
        if size > len(self.data) - start:
            raise self.damaged(f"it ends at byte {len(self.data)}, before its last array")
        self.place += size
        return start

    def take(self, layout: str) -> Any:
        """Return the next number in a layout of `struct`."""
        return struct.unpack_from(layout, self.data, self.skip(struct.calcsize(layout)))[0]

    def count(self, least: int) -> int:
        """Return the number of entries that follow, of at least `least` bytes per entry."""
        count = self.take("<Q")
        if count * least > len(self.data) - self.place:
            raise self.damaged(f"it claims {count} entries, more than it can contain")
        return count


def _array(reader: _Reader) -> np.ndarray:
    magic = reader.take("<I")
    if magic in (_V2, _V3):
        storage = reader.take("<i")
        if storage not in (0, -1):
            raise reader.damaged(f"it has an array of storage type {storage}, and only dense ones are supported")
        dimensions = reader.take("<i")
        shape = _shape(reader, dimensions, "<q")
        empty = dimensions < 0 if magic == _V3 else dimensions == 0
    elif magic == _V1:
        shape = _shape(reader, reader.take("<I"), "<q")
        empty = not shape
    else:
        # Before MXNet 0.12 there was no format number but the number of dimensions, and sizes had 32 bits.
        shape = _shape(reader, magic, "<I")
        empty = not shape
    if empty:
        return np.zeros(0, np.float32)
    reader.take("<q")  # The device from which it was saved.
    flag = reader.take("<i")
    if flag not in _DTYPES:
        raise reader.damaged(f"it has an array of unknown type {flag}")
    dtype = np.dtype(_DTYPES[flag])
    count = 1
    for size in shape:
        count *= size
    if not count:
        return np.zeros(0, dtype)
    start = reader.skip(count * dtype.itemsize)
    return np.frombuffer(reader.data, dtype, count, start).reshape(shape)


def _shape(reader: _Reader, dimensions: int, layout: str) -> tuple[int, ...]:
    if dimensions > _MOST_DIMENSIONS:
        raise reader.damaged(f"it has an array of {dimensions} dimensions")
    shape = tuple(reader.take(layout) for _ in range(max(0, dimensions)))
    if any(size < 0 for size in shape):
        raise reader.damaged(f"it has an array of shape {shape}")
    return shape


def _name(reader: _Reader) -> str:
    size = reader.take("<Q")
    start = reader.skip(size)
    try:
        return reader.data[start : start + size].decode("utf-8")
    except UnicodeDecodeError as error:
        raise reader.damaged("a name is not UTF-8") from error

from __future__ import annotations

import math
import os
import zipfile
import zlib
from typing import Any

import numpy as np

from gluonfr.core import PathLike, WeightsError, require_file
from gluonfr.core.reading import check_archive
from gluonfr.weights.torch_pickle import Storage, Tensor, read_pickle

# Before PyTorch 1.6 a file began with this number as a pickle of its own.
_BEFORE_1_6 = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
# The tensors of a network with a thousand layers are described in half a megabyte.
_MOST_PICKLE_BYTES = 4 << 20


def read_torch(path: PathLike) -> Any:
    """Read a file of `torch.save`: dicts, lists and numbers, with tensors as NumPy arrays (bfloat16 as float32).

    PyTorch is not needed, and nothing in the file is run; see `gluonfr.weights.torch_pickle`. Sizes in the file are checked
    against the bytes that exist before memory is allocated.

    Parameters
    ----------
    path : str
        `.pt` or `.pth` of PyTorch 1.6 or later.

    Raises
    ------
    WeightsError
        The file is not a checkpoint, is damaged, was saved before PyTorch 1.6, is a TorchScript archive, or asks for anything
        but tensors and ordered dicts (which is named).

    Examples
    --------
    >>> state_dict = read_torch("backbone.pth")  # doctest: +SKIP
    """
    path = require_file(path, "PyTorch checkpoint")
    with open(path, "rb") as file:
        start = file.read(len(_BEFORE_1_6))
    if start == _BEFORE_1_6:
        raise WeightsError(
            f"{path} has the format of PyTorch before 1.6: convert it with "
            f"torch.save(torch.load({path!r}, map_location='cpu', weights_only=True), 'new.pt')."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, os.path.getsize(path))
            return _Archive(archive, path).read()
    except WeightsError:
        raise
    except (
        zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError,
        NotImplementedError, RuntimeError, OverflowError, MemoryError,
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise WeightsError(f"{path} is damaged or not a PyTorch checkpoint ({reason}); fetch it again.") from error


class _Archive:
    def __init__(self, archive: zipfile.ZipFile, path: str) -> None:
        self._archive, self._path = archive, path
        self._entries = {entry.filename: entry for entry in archive.infolist()}
        self._arrays: dict[Storage, np.ndarray] = {}
        self._root = ""

    def read(self) -> Any:
        roots = [name[: -len("data.pkl")] for name in self._entries if name.split("/")[1:] == ["data.pkl"]]
        if len(roots) != 1:
            raise WeightsError(
                f"{self._path} is not a PyTorch checkpoint: it has no data.pkl; save net.state_dict() with torch.save."
            )
        self._root = roots[0]
        if self._root + "constants.pkl" in self._entries:
            raise WeightsError(f"{self._path} is a TorchScript archive, which contains code; save its state_dict() instead.")
        order = self._root + "byteorder"
        if order in self._entries and self._bytes(order, 16) != b"little":
            raise WeightsError(f"{self._path} was saved on a big-endian machine; save it again on a little-endian one.")
        program = self._bytes(self._root + "data.pkl", _MOST_PICKLE_BYTES)
        return self._with_arrays(read_pickle(program, self._path))

    def _bytes(self, name: str, most: int | None = None) -> bytes:
        entry = self._entries.get(name)
        if entry is None:
            raise WeightsError(f"{self._path} is damaged (it lacks {name}); fetch it again.")
        # PyTorch never compresses, so an entry needs no more memory than the size of the file.
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise WeightsError(f"{self._path} is a compressed archive, which PyTorch never writes; fetch the original.")
        if most is not None and entry.file_size > most:
            raise WeightsError(f"{self._path} is not a PyTorch checkpoint: {name} is larger than {most} bytes; fetch it again.")
        return self._archive.read(entry)

    def _with_arrays(self, value: Any) -> Any:
        """Return the pickle's contents with arrays in place of tensors; without recursion, because nesting may be deep."""
        top = [value]
        waiting: list[tuple[Any, Any]] = [(top, 0)]
        seen: dict[int, Any] = {}
        while waiting:
            holder, key = waiting.pop()
            item = holder[key]
            if isinstance(item, Tensor):
                holder[key] = self._array(item)
            elif isinstance(item, (dict, list)) and id(item) not in seen:
                # A reference, so that no other object gets the same id.
                seen[id(item)] = item
                waiting.extend((item, inner) for inner in (item if isinstance(item, dict) else range(len(item))))
        return top[0]

    def _array(self, tensor: Tensor) -> np.ndarray:
        storage, offset, size, stride = tensor
        if storage not in self._arrays:
            bfloat = storage.dtype == "bfloat16"
            data = np.frombuffer(self._bytes(f"{self._root}data/{storage.key}"), "<u2" if bfloat else storage.dtype)
            if len(data) != storage.length:
                raise ValueError(f"storage {storage.key} has {len(data)} numbers instead of {storage.length}")
            self._arrays[storage] = (data.astype("<u4") << 16).view("<f4") if bfloat else data
        data = self._arrays[storage]
        if len(size) != len(stride) or len(size) > 16 or min((*size, *stride, offset), default=0) < 0:
            raise ValueError("a tensor has invalid sizes")
        if not math.prod(size):
            return np.zeros(0, data.dtype)
        last = offset + sum((count - 1) * step for count, step in zip(size, stride))
        if last >= len(data) or math.prod(size) > len(data):
            raise ValueError(f"a tensor reaches beyond its storage {storage.key}")
        steps = [step * data.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(data[offset:], size, steps, writeable=False)

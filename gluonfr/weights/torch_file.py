from __future__ import annotations

import io
import math
import pickletools
import zipfile
import zlib
from collections import namedtuple

import numpy as np

from gluonfr.core import GluonFRError, require_file

# Before PyTorch 1.6 a file began with this number as a pickle of its own.
_BEFORE_1_6 = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_MOST_PICKLE = 64 << 20

_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_TENSOR, _PARAMETER, _DICT = "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter", "collections OrderedDict"

_Global = namedtuple("_Global", "name")
_Storage = namedtuple("_Storage", "key dtype count")
_Tensor = namedtuple("_Tensor", "storage offset size stride")
_MARK = object()


def read_torch(path):
    """What `torch.save` wrote into a file: dicts, lists and numbers, with tensors as NumPy arrays (bfloat16 as float32).

    PyTorch is not needed, and nothing that the file holds is run: its pickle is not loaded but read, opcode by opcode, and
    may ask for tensors and ordered dicts only. No size that it claims is believed before the bytes are seen to be there.

    Raises
    ------
    GluonFRError
        It is no such file, damaged, saved before PyTorch 1.6, a TorchScript archive, or asks for anything else (which is
        named).
    """
    path = require_file(path, "PyTorch checkpoint")
    with open(path, "rb") as file:
        start = file.read(len(_BEFORE_1_6))
    if start == _BEFORE_1_6:
        raise GluonFRError(
            f"{path} was saved before PyTorch 1.6 (or with the old format asked for): convert it with "
            f"torch.save(torch.load({path!r}, map_location='cpu', weights_only=True), 'new.pt')."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(archive, path).read()
    except GluonFRError:
        raise
    except (
        zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError,
        NotImplementedError, RuntimeError, OverflowError, MemoryError,
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise GluonFRError(f"{path} is no PyTorch checkpoint, or damaged ({reason}); fetch it again.") from error


class _Archive:
    def __init__(self, archive, path) -> None:
        self._archive, self._path = archive, path
        self._entries = {each.filename: each for each in archive.infolist()}
        self._arrays = {}

    def read(self):
        roots = [name[: -len("data.pkl")] for name in self._entries if name.split("/")[1:] == ["data.pkl"]]
        if len(roots) != 1:
            raise GluonFRError(f"{self._path} is no PyTorch checkpoint: it holds no data.pkl.")
        self._root = roots[0]
        if self._root + "constants.pkl" in self._entries:
            raise GluonFRError(f"{self._path} is a TorchScript archive, which holds code; save its state_dict() instead.")
        order = self._root + "byteorder"
        if order in self._entries and self._bytes(order, 16) != b"little":
            raise GluonFRError(f"{self._path} was saved on a big-endian machine; save it again on another.")
        program = self._bytes(self._root + "data.pkl", _MOST_PICKLE)
        return self._with_arrays(_Reader(program, self._path).run())

    def _bytes(self, name, most=None):
        entry = self._entries.get(name)
        if entry is None:
            raise GluonFRError(f"{self._path} is damaged (it lacks {name}); fetch it again.")
        # PyTorch never compresses; so an entry cannot be larger than the file, and needs no more memory than that.
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise GluonFRError(f"{self._path} is compressed inside, which PyTorch does not do; fetch the original.")
        if most is not None and entry.file_size > most:
            raise GluonFRError(f"{self._path} is no PyTorch checkpoint: {name} is larger than {most} bytes.")
        return self._archive.read(entry)

    def _with_arrays(self, value):
        """The pickle's result with arrays for tensors; one level of nesting after another, without recursion."""
        top = [value]
        waiting = [(top, 0)]
        seen = {}
        while waiting:
            holder, key = waiting.pop()
            each = holder[key]
            if isinstance(each, _Tensor):
                holder[key] = self._array(each)
            elif isinstance(each, (dict, list)) and id(each) not in seen:
                # Kept, so that no other object gets its number.
                seen[id(each)] = each
                waiting.extend((each, inner) for inner in (each if isinstance(each, dict) else range(len(each))))
        return top[0]

    def _array(self, tensor):
        storage, offset, size, stride = tensor
        if storage not in self._arrays:
            bfloat = storage.dtype == "bfloat16"
            data = np.frombuffer(self._bytes(f"{self._root}data/{storage.key}"), "<u2" if bfloat else storage.dtype)
            if len(data) != storage.count:
                raise ValueError(f"storage {storage.key} holds {len(data)} numbers instead of {storage.count}")
            self._arrays[storage] = (data.astype("<u4") << 16).view("<f4") if bfloat else data
        data = self._arrays[storage]
        if len(size) != len(stride) or len(size) > 16 or min((*size, *stride, offset), default=0) < 0:
            raise ValueError("a tensor with wrong sizes")
        if not math.prod(size):
            return np.zeros(0, data.dtype)
        last = offset + sum((count - 1) * step for count, step in zip(size, stride))
        if last >= len(data) or math.prod(size) > len(data):
            raise ValueError(f"a tensor reaches beyond its storage {storage.key}")
        steps = [step * data.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(data[offset:], size, steps, writeable=False)


class _Reader:
    """Reads the pickle of a checkpoint: the opcodes that PyTorch writes, on a stack as pickle's, and nothing else."""

    def __init__(self, program, path) -> None:
        self._program, self._path = program, path
        self._stack, self._memo = [], {}

    def run(self):
        for opcode, argument, _ in pickletools.genops(io.BytesIO(self._program)):
            name = opcode.name
            if name == "STOP":
                return self._stack[-1]
            if name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name]())
            elif name in _LITERALS:
                self._stack.append(argument)
            else:
                step = getattr(self, "_" + name.lower(), None)
                if step is None:
                    raise self._refused(f"the pickle opcode {name}")
                step(argument)
        raise ValueError("its pickle has no end")

    def _refused(self, what):
        return GluonFRError(
            f"{self._path} asks for {what}, which no state dict needs, and was not read further: "
            "a file may run code that way; save net.state_dict() alone."
        )

    def _proto(self, _) -> None:
        pass

    _frame = _proto

    def _global(self, name) -> None:
        module, _, kind = name.partition(" ")
        known = name in (_TENSOR, _PARAMETER, _DICT) or module == "torch" and kind in _DTYPES
        if not known:
            raise self._refused(name.replace(" ", ".", 1))
        self._stack.append(_Global(name))

    def _stack_global(self, _) -> None:
        kind, module = self._stack.pop(), self._stack.pop()
        if not isinstance(kind, str) or not isinstance(module, str):
            raise ValueError("a global without name")
        self._global(f"{module} {kind}")

    def _binput(self, place) -> None:
        self._memo[place] = self._stack[-1]

    _long_binput = _put = _binput

    def _memoize(self, _) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _binget(self, place) -> None:
        self._stack.append(self._memo[place])

    _long_binget = _get = _binget

    def _pop_mark(self):
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _MARK:
                items = self._stack[place + 1 :]
                del self._stack[place:]
                return items
        raise ValueError("its pickle is out of step")

    def _mark(self, _) -> None:
        self._stack.append(_MARK)

    def _tuple(self, _) -> None:
        self._stack.append(tuple(self._pop_mark()))

    def _last(self, count) -> None:
        items = tuple(self._stack[-count:])
        if len(items) < count:
            raise ValueError("its pickle is out of step")
        del self._stack[-count:]
        self._stack.append(items)

    def _tuple1(self, _) -> None:
        self._last(1)

    def _tuple2(self, _) -> None:
        self._last(2)

    def _tuple3(self, _) -> None:
        self._last(3)

    def _append(self, _) -> None:
        item = self._stack.pop()
        _need(self._stack[-1], list).append(item)

    def _appends(self, _) -> None:
        items = self._pop_mark()
        _need(self._stack[-1], list).extend(items)

    def _setitem(self, _) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set((key, value))

    def _setitems(self, _) -> None:
        self._set(self._pop_mark())

    def _set(self, items) -> None:
        target = _need(self._stack[-1], dict)
        for key, value in zip(items[::2], items[1::2]):
            target[_need(key, (str, int))] = value

    def _binpersid(self, _) -> None:
        kind, storage, key, _, count = _need(self._stack.pop(), tuple)
        if kind != "storage" or not isinstance(storage, _Global) or storage.name.split(" ")[1] not in _DTYPES:
            raise ValueError("a storage of unknown kind")
        self._stack.append(_Storage(_need(key, str), _DTYPES[storage.name.split(" ")[1]], _need(count, int)))

    def _reduce(self, _) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, _Global) or not isinstance(arguments, tuple):
            raise ValueError("a call of nothing")
        if function.name == _DICT and not arguments:
            self._stack.append({})
        elif function.name == _PARAMETER and arguments and isinstance(arguments[0], _Tensor):
            self._stack.append(arguments[0])
        elif function.name == _TENSOR:
            storage, offset, size, stride = arguments[:4]
            whole = all(isinstance(each, int) for each in (*_need(size, tuple), *_need(stride, tuple)))
            if not whole:
                raise ValueError("a tensor with wrong sizes")
            self._stack.append(_Tensor(_need(storage, _Storage), _need(offset, int), size, stride))
        else:
            raise self._refused(f"a call of {function.name.replace(' ', '.', 1)} as no state dict has it")

    def _build(self, _) -> None:
        # The version numbers that PyTorch hangs on a state dict.
        self._stack.pop()
        _need(self._stack[-1], dict)


def _need(value, kind):
    if not isinstance(value, kind):
        raise ValueError("its pickle is out of step")
    return value


_CONSTANTS = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_LITERALS = {
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "BINFLOAT",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINBYTES",
    "SHORT_BINBYTES",
}

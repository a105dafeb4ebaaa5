"""A reader of the pickles of PyTorch checkpoints that runs nothing of what they ask for."""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gluonfr.core import WeightsError

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
_MARK = object()


class _Global(NamedTuple):
    name: str


class Storage(NamedTuple):
    """Numbers of a tensor in their own entry of the archive: its key, their type ("bfloat16" or NumPy's name) and how many.

    Examples
    --------
    >>> Storage("0", "<f4", 6).length
    6
    """

    key: str
    dtype: str
    length: int


class Tensor(NamedTuple):
    """A view of a storage: offset, sizes and strides, counted in numbers.

    Examples
    --------
    >>> Tensor(Storage("0", "<f4", 6), 0, (2, 3), (3, 1)).size
    (2, 3)
    """

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def read_pickle(program: bytes, path: str) -> Any:
    """Return the contents of a checkpoint's pickle: dicts, lists, numbers and `Tensor`.

    The pickle is not loaded but read opcode by opcode: the opcodes that PyTorch writes, and no others.

    Parameters
    ----------
    program : bytes
        The pickle.
    path : str
        The file, for messages.

    Raises
    ------
    WeightsError
        The pickle asks for anything but tensors and ordered dicts, which is named.
    ValueError, TypeError, KeyError, IndexError, AttributeError
        The pickle is damaged.

    Examples
    --------
    >>> import pickle
    >>> read_pickle(pickle.dumps({"epoch": 3, "lr": [0.1]}, protocol=2), "example")
    {'epoch': 3, 'lr': [0.1]}
    """
    return _Reader(program, path).run()


class _Reader:
    """The stack machine of pickle, with one method per opcode that PyTorch writes."""

    def __init__(self, program: bytes, path: str) -> None:
        self._program, self._path = program, path
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
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
                    raise self._unsafe(f"the pickle opcode {name}")
                step(argument)
        raise ValueError("its pickle has no end")

    def _unsafe(self, what: str) -> WeightsError:
        return WeightsError(
            f"{self._path} asks for {what}, which no state dict needs and which may run code; "
            "save only net.state_dict() into the file."
        )

    def _proto(self, _: Any) -> None:
        pass

    _frame = _proto

    def _global(self, name: str) -> None:
        module, _, kind = name.partition(" ")
        known = name in (_TENSOR, _PARAMETER, _DICT) or module == "torch" and kind in _DTYPES
        if not known:
            raise self._unsafe(name.replace(" ", ".", 1))
        self._stack.append(_Global(name))

    def _stack_global(self, _: Any) -> None:
        kind, module = self._stack.pop(), self._stack.pop()
        if not isinstance(kind, str) or not isinstance(module, str):
            raise ValueError("a global has no name")
        self._global(f"{module} {kind}")

    def _binput(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    _long_binput = _put = _binput

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _binget(self, place: int) -> None:
        self._stack.append(self._memo[place])

    _long_binget = _get = _binget

    def _pop_mark(self) -> list[Any]:
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _MARK:
                items = self._stack[place + 1 :]
                del self._stack[place:]
                return items
        raise ValueError("its pickle is inconsistent")

    def _mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._pop_mark()))

    def _last(self, count: int) -> None:
        items = tuple(self._stack[-count:])
        if len(items) < count:
            raise ValueError("its pickle is inconsistent")
        del self._stack[-count:]
        self._stack.append(items)

    def _tuple1(self, _: Any) -> None:
        self._last(1)

    def _tuple2(self, _: Any) -> None:
        self._last(2)

    def _tuple3(self, _: Any) -> None:
        self._last(3)

    def _append(self, _: Any) -> None:
        item = self._stack.pop()
        _require(self._stack[-1], list).append(item)

    def _appends(self, _: Any) -> None:
        items = self._pop_mark()
        _require(self._stack[-1], list).extend(items)

    def _setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set((key, value))

    def _setitems(self, _: Any) -> None:
        self._set(self._pop_mark())

    def _set(self, items: Sequence[Any]) -> None:
        target = _require(self._stack[-1], dict)
        for key, value in zip(items[::2], items[1::2]):
            target[_require(key, (str, int))] = value

    def _binpersid(self, _: Any) -> None:
        kind, storage, key, _, count = _require(self._stack.pop(), tuple)
        if kind != "storage" or not isinstance(storage, _Global) or storage.name.split(" ")[1] not in _DTYPES:
            raise ValueError("a storage has an unknown kind")
        self._stack.append(Storage(_require(key, str), _DTYPES[storage.name.split(" ")[1]], _require(count, int)))

    def _reduce(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, _Global) or not isinstance(arguments, tuple):
            raise ValueError("its pickle calls something that is not a function")
        if function.name == _DICT and not arguments:
            self._stack.append({})
        elif function.name == _PARAMETER and arguments and isinstance(arguments[0], Tensor):
            self._stack.append(arguments[0])
        elif function.name == _TENSOR:
            storage, offset, size, stride = arguments[:4]
            if not all(isinstance(number, int) for number in (*_require(size, tuple), *_require(stride, tuple))):
                raise ValueError("a tensor has invalid sizes")
            self._stack.append(Tensor(_require(storage, Storage), _require(offset, int), size, stride))
        else:
            raise self._unsafe(f"a call of {function.name.replace(' ', '.', 1)} with arguments that no state dict has")

    def _build(self, _: Any) -> None:
        # The version numbers that PyTorch attaches to a state dict.
        self._stack.pop()
        _require(self._stack[-1], dict)


def _require(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError("its pickle is inconsistent")
    return value


_CONSTANTS: dict[str, Callable[[], Any]] = {
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

"""Reading a list of arrays that joblib wrote, without unpickling anything else."""

from __future__ import annotations

import io
import pickletools
from typing import Any

import numpy as np

from gluonfr.core import WeightsError

# The largest file of weights contains 1.5 MB; a small compressed file can be made to decompress to any size.
_LARGEST = 64 << 20
_MOST_INSTRUCTIONS = 100_000
_WRAPPER, _NDARRAY, _DTYPE = "joblib.numpy_pickle NumpyArrayWrapper", "numpy ndarray", "numpy dtype"
_MARK = object()


class _ForbiddenPickleError(Exception):
    """Something in the file that a list of arrays does not need."""


class _Global(str):
    """A name that the file refers to; nothing is ever imported."""


class _Float32:
    """In place of numpy.dtype('f4')."""


class _Wrapper:
    """In place of joblib's description of the array, whose bytes follow in the file."""


def read_arrays(path: str) -> list[np.ndarray]:
    """Read the float32 arrays that joblib wrote as a list into an LZ4 file.

    The file is a pickle with the arrays' bytes between its instructions. Nothing but arrays is made of it, and no code runs.

    Parameters
    ----------
    path : str

    Returns
    -------
    list of np.ndarray, float32

    Raises
    ------
    WeightsError
        The file is damaged, or contains anything else, which the message names.

    Examples
    --------
    >>> from gluonfr.detection.mtcnn_weights import package_file
    >>> len(read_arrays(package_file("pnet.lz4")))
    13
    """
    import lz4.frame

    try:
        with lz4.frame.open(path) as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise _ForbiddenPickleError(f"more than {_LARGEST >> 20} MB")
        arrays = _Interpreter(io.BytesIO(content)).run()
        if not isinstance(arrays, list) or not all(isinstance(array, np.ndarray) for array in arrays):
            raise _ForbiddenPickleError("something else than a list of arrays")
    except _ForbiddenPickleError as error:
        raise WeightsError(f"{path}: refused because it contains {error}; fetch the file from its publisher again.") from error
    except Exception as error:  # a damaged file can make the interpreter or LZ4 fail in any way
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise WeightsError(f"{path} is not a list of arrays written by joblib ({reason}); fetch it again.") from error
    return arrays


class _Interpreter:
    """Runs the few instructions of the pickle format that a list of arrays needs."""

    def __init__(self, stream: io.BytesIO) -> None:
        self._stream, self._stack, self._memo = stream, [], {}  # type: ignore[var-annotated]

    def run(self) -> Any:
        for count, (instruction, argument, _) in enumerate(pickletools.genops(self._stream)):
            name = instruction.name
            if count > _MOST_INSTRUCTIONS:
                raise _ForbiddenPickleError(f"more than {_MOST_INSTRUCTIONS:,} instructions")
            if name == "STOP":
                return self._stack.pop()
            if name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name]())
            elif name in _VALUES:
                self._stack.append(argument)
            elif name in _ACTIONS:
                _ACTIONS[name](self, argument)
            elif name not in ("PROTO", "FRAME"):
                raise _ForbiddenPickleError(f"the instruction {name}")
        raise EOFError("the file is truncated")

    def _items(self) -> list[Any]:
        """Return the values above the last mark, which are removed with it."""
        place = len(self._stack) - 1
        while self._stack[place] is not _MARK:
            place -= 1
        items = self._stack[place + 1 :]
        del self._stack[place:]
        return items

    def _memoize(self, index: int | None) -> None:
        self._memo[len(self._memo) if index is None else index] = self._stack[-1]

    def _recall(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _append(self, _: Any) -> None:
        value = self._stack.pop()
        self._stack[-1].append(value)

    def _append_items(self, _: Any) -> None:
        items = self._items()
        self._stack[-1].extend(items)

    def _set_item(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._stack[-1][key] = value

    def _set_items(self, _: Any) -> None:
        items = self._items()
        self._stack[-1].update(zip(items[::2], items[1::2]))

    def _make_tuple(self, count: int) -> None:
        items = [self._stack.pop() for _ in range(count)]
        self._stack.append(tuple(reversed(items)))

    def _make_tuple_of_items(self, _: Any) -> None:
        self._stack.append(tuple(self._items()))

    def _push_global(self, name: str | None) -> None:
        if name is None:
            attribute, module = self._stack.pop(), self._stack.pop()
            name = f"{module} {attribute}"
        if name not in (_WRAPPER, _NDARRAY, _DTYPE):
            raise _ForbiddenPickleError(_brief(name))
        self._stack.append(_Global(name))

    def _new_object(self, _: Any) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        if not _is_text(kind, _WRAPPER) or not isinstance(arguments, tuple) or arguments:
            raise _ForbiddenPickleError("a new object that is no array")
        self._stack.append(_Wrapper())

    def _call(self, _: Any) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        if not _is_text(kind, _DTYPE):
            raise _ForbiddenPickleError(f"a call of {_brief(kind)}")
        # Arrays among them would be compared by their elements.
        if repr(arguments) != "('f4', False, True)":
            raise _ForbiddenPickleError(f"numpy.dtype{_brief(repr(arguments))}")
        self._stack.append(_Float32())

    def _build(self, _: Any) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, _Wrapper):
            self._stack[-1] = _read_array(state, self._stream)
        elif not isinstance(target, _Float32) or state != (3, "<", None, None, None, -1, -1, 0):
            raise _ForbiddenPickleError("the state of something else than a float32 array")


_CONSTANTS: dict[str, Any] = {
    "MARK": lambda: _MARK,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
}
_VALUES = {"BININT", "BININT1", "BININT2", "SHORT_BINUNICODE", "BINUNICODE"}
_ACTIONS: dict[str, Any] = {
    "MEMOIZE": _Interpreter._memoize,
    "BINPUT": _Interpreter._memoize,
    "LONG_BINPUT": _Interpreter._memoize,
    "BINGET": _Interpreter._recall,
    "LONG_BINGET": _Interpreter._recall,
    "APPEND": _Interpreter._append,
    "APPENDS": _Interpreter._append_items,
    "SETITEM": _Interpreter._set_item,
    "SETITEMS": _Interpreter._set_items,
    "TUPLE1": lambda self, _: self._make_tuple(1),
    "TUPLE2": lambda self, _: self._make_tuple(2),
    "TUPLE3": lambda self, _: self._make_tuple(3),
    "TUPLE": _Interpreter._make_tuple_of_items,
    "GLOBAL": _Interpreter._push_global,
    "STACK_GLOBAL": _Interpreter._push_global,
    "NEWOBJ": _Interpreter._new_object,
    "REDUCE": _Interpreter._call,
    "BUILD": _Interpreter._build,
}


def _is_text(value: Any, text: str) -> bool:
    """Return whether a value is this text; arrays would be compared by their elements."""
    return isinstance(value, str) and value == text


def _brief(value: Any) -> str:
    """Return the name of a global, or any other value, in one line."""
    return ".".join(str(value).split())[:80]


def _read_array(state: Any, stream: io.BytesIO) -> np.ndarray:
    """Read the array that joblib describes by `state`, from the bytes at the stream's position."""
    if not isinstance(state, dict) or not _is_text(state.get("subclass"), _NDARRAY) or not _is_text(state.get("order"), "C"):
        raise _ForbiddenPickleError("an array with an unknown description")
    shape = state.get("shape")
    if not isinstance(shape, tuple) or not isinstance(state.get("dtype"), _Float32):
        raise _ForbiddenPickleError("an array that is not float32")
    if not all(type(length) is int and 0 < length < 2**20 for length in shape) or len(shape) > 4:
        raise _ForbiddenPickleError("an array of an impossible shape")
    if state.get("numpy_array_alignment_bytes") is not None:
        stream.read(stream.read(1)[0])
    count = 4
    for length in shape:
        count *= length
    content = stream.read(count)
    if len(content) != count:
        raise EOFError("an array is truncated")
    return np.frombuffer(content, dtype="<f4").reshape(shape).astype(np.float32)

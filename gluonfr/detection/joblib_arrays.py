from __future__ import annotations

import io
import pickle

import numpy as np

from gluonfr.core import GluonFRError

# What a list of arrays needs of a pickle, and no more.
_INSTRUCTIONS = [
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.MEMOIZE, pickle.BINPUT, pickle.LONG_BINPUT),
    *(pickle.BINGET, pickle.LONG_BINGET, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.SHORT_BINUNICODE, pickle.BINUNICODE),
    *(pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.NEWOBJ, pickle.REDUCE, pickle.BUILD),
]

# The largest file of weights holds 1.5 MB; a small compressed file can be made to unpack to any size.
_LARGEST = 64 << 20


class _ForbiddenPickleError(Exception):
    """What the file wants that a list of arrays does not need."""


class _Float32:
    """Stands for numpy.dtype('f4')."""

    def __init__(self, *arguments) -> None:
        if arguments != ("f4", False, True):
            raise _ForbiddenPickleError(f"numpy.dtype{arguments!r:.60}")


class _Ndarray:
    """Stands for the name numpy.ndarray; nothing is ever made of it."""

    def __new__(cls, *_):
        raise _ForbiddenPickleError("a call of numpy.ndarray")


class _ArrayWrapper:
    """Stands for joblib's description of the array whose bytes follow in the file."""

    def read(self, state, stream):
        expected = {"subclass": _Ndarray, "order": "C"}
        if not isinstance(state, dict) or any(state.get(name) != value for name, value in expected.items()):
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
            raise EOFError("an array is cut off")
        return np.frombuffer(content, dtype="<f4").reshape(shape).astype(np.float32)


_GLOBALS = {
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _ArrayWrapper,
    ("numpy", "ndarray"): _Ndarray,
    ("numpy", "dtype"): _Float32,
}


class _ArraysUnpickler(pickle._Unpickler):
    """The standard library's interpreter in Python, with the instructions above only: it can make nothing but arrays."""

    dispatch = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in _INSTRUCTIONS}

    def __init__(self, stream) -> None:
        super().__init__(stream)
        self._stream = stream

    def find_class(self, module, name):
        try:
            return _GLOBALS[module, name]
        except KeyError:
            raise _ForbiddenPickleError(f"{module}.{name}"[:80]) from None

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, _ArrayWrapper):
            self.stack[-1] = target.read(state, self._stream)
        elif not isinstance(target, _Float32) or state != (3, "<", None, None, None, -1, -1, 0):
            raise _ForbiddenPickleError("a state of something else than a float32 array")

    def _new(self) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        if kind is not _ArrayWrapper or arguments != ():
            raise _ForbiddenPickleError("a new object that is no array")
        self.stack.append(kind())

    def _reduce(self) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        if kind is not _Float32 or not isinstance(arguments, tuple):
            raise _ForbiddenPickleError("a call of something else than numpy.dtype")
        self.stack.append(kind(*arguments))

    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.NEWOBJ[0]] = _new
    dispatch[pickle.REDUCE[0]] = _reduce


def read_arrays(path):
    """The float32 arrays that joblib wrote as a list into an LZ4 file. Nothing else is made of the file, and no code is run.

    Raises
    ------
    GluonFRError
        The file is damaged, or holds something else, which is named.
    """
    import lz4.frame

    try:
        with lz4.frame.open(path) as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise _ForbiddenPickleError(f"more than {_LARGEST >> 20} MB")
        arrays = _ArraysUnpickler(io.BytesIO(content)).load()
        if not isinstance(arrays, list) or not all(isinstance(each, np.ndarray) for each in arrays):
            raise _ForbiddenPickleError("something else than a list of arrays")
    except _ForbiddenPickleError as error:
        raise GluonFRError(f"{path}: is refused because it holds {error}; fetch the file from its publisher again.") from error
    except Exception as error:  # whatever a damaged file makes the interpreter or LZ4 stumble over
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise GluonFRError(f"{path}: is no list of arrays that joblib wrote ({reason}); fetch it again.") from error
    return arrays

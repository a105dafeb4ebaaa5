"""An unpickler for verification sets that cannot run code."""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from typing import Any, Callable, Dict, NoReturn

import numpy as np

from gluonfr.core import DataError

# A set of a million images as arrays has fifteen per image.
_MOST_INSTRUCTIONS = 15_000_000
_INSTRUCTIONS = [
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1),
    *(pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8),
    *(pickle.UNICODE, pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.BINUNICODE8),
    *(pickle.EMPTY_LIST, pickle.LIST, pickle.APPEND, pickle.APPENDS),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.GET, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.INST, pickle.REDUCE, pickle.BUILD),
]


def load_pairs_pickle(content: bytes, path: str) -> Any:
    """Load a pickle of bytes, text, numbers, lists, tuples and numeric arrays; refuse everything else by name.

    Parameters
    ----------
    content : bytes
        The pickle, of protocol 0 to 5.
    path : str
        What names the file in messages.

    Returns
    -------
    object
        The value. Arrays are `PickledArray` objects.

    Raises
    ------
    DataError
        The pickle is damaged, or contains something that a verification set does not need.

    Examples
    --------
    >>> load_pairs_pickle(pickle.dumps(([b"a", b"b"], [True])), "set.bin")
    ([b'a', b'b'], [True])
    """
    try:
        return _PairsUnpickler(content).load()
    except _ForbiddenPickleError as error:
        raise DataError(
            f"{path}: refused, it holds {error}, which a verification set does not need (pickles can run code); "
            "use a file from a source you trust, written with plain bytes and bools."
        ) from None
    except KeyError as error:
        instruction = (
            pickletools.code2op.get(  # type: ignore[attr-defined, misc]
                chr(error.args[0])
            )
            if error.args and isinstance(error.args[0], int)
            else None
        )
        if instruction is not None and instruction.code.encode("latin1")[0] not in _PairsUnpickler.dispatch:
            raise DataError(
                f"{path}: refused, it holds the pickle instruction {instruction.name}, which a verification set does not need; "
                "use a file from a source you trust, written with plain bytes and bools."
            ) from None
        raise _unreadable(path) from error
    # Damaged pickles can fail in any way.
    except Exception as error:
        raise _unreadable(path) from error


class PickledArray:
    """A numpy.ndarray as read from the pickle: its dtype, shape and bytes, which are not copied.

    Examples
    --------
    >>> images = load_pairs_pickle(pickle.dumps(np.arange(3, dtype=np.uint8), 2), "set.bin")
    >>> images.flat().tolist()
    [0, 1, 2]
    """

    dtype: np.dtype | None = None
    shape: tuple[int, ...] = ()
    content: bytes | None = None

    def __repr__(self) -> str:
        return f"PickledArray(dtype={self.dtype}, shape={self.shape})"

    def build(self, state: Any) -> None:
        """Set the state that the pickle holds, after checking it."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise _ForbiddenPickleError("a numpy.ndarray with an unknown state")
        _, shape, dtype, _, content = state
        if not isinstance(dtype, _PickledDtype):
            raise _ForbiddenPickleError(f"a numpy.ndarray with the dtype {_printable(dtype)}")
        if not isinstance(shape, tuple) or not all(type(length) is int and 0 <= length < 2**40 for length in shape):
            raise _ForbiddenPickleError("a numpy.ndarray of an impossible shape")
        if not isinstance(content, bytes) or len(shape) > 32 or math.prod(shape) * dtype.value.itemsize != len(content):
            raise _ForbiddenPickleError("a numpy.ndarray whose bytes do not fill its shape")
        self.dtype, self.shape, self.content = dtype.value, shape, content

    def flat(self) -> np.ndarray | None:
        """Return the values as a 1-D array when at most one axis is longer than 1, else None."""
        if self.content is None or sum(length != 1 for length in self.shape) > 1:
            return None
        return np.frombuffer(self.content, dtype=self.dtype)


class _ForbiddenPickleError(Exception):
    """The pickle contains something that a verification set does not need."""


class _PickledDtype:
    """A numpy.dtype as read from the pickle."""

    def __init__(self, name: Any, *flags: Any) -> None:
        name = name.decode("latin1") if isinstance(name, bytes) else name
        if not isinstance(name, str) or len(flags) > 2 or not re.fullmatch(r"[<>=|]?([biu]1|[iuf][248])", name):
            raise _ForbiddenPickleError(f"a numpy.dtype that is not numeric, {_printable(name)}")
        self.value = np.dtype(name)

    def build(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) == 8 else None
        order = order.decode("latin1") if isinstance(order, bytes) else order
        if order not in ("<", ">", "=", "|") or state[2:5] != (None, None, None):
            raise _ForbiddenPickleError("a numpy.dtype with fields or metadata")
        self.value = self.value.newbyteorder(order)  # type: ignore[arg-type]


def _ndarray(*_: Any) -> NoReturn:
    raise _ForbiddenPickleError("a call of numpy.ndarray")


def _reconstruct(kind: Any, shape: Any, code: Any) -> PickledArray:
    if kind is not _ndarray or shape != (0,) or code not in (b"b", "b"):
        raise _ForbiddenPickleError("numpy.core.multiarray._reconstruct of something else than an empty numpy.ndarray")
    return PickledArray()


class _Limited(Dict[int, Any]):
    """The methods of the instructions, which may be looked up a limited number of times."""

    def __init__(self, methods: dict[int, Any]) -> None:
        super().__init__(methods)
        self._left = _MOST_INSTRUCTIONS

    def __getitem__(self, code: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _ForbiddenPickleError(f"more than {_MOST_INSTRUCTIONS:,} instructions")
        return super().__getitem__(code)


class _PairsUnpickler(pickle._Unpickler):  # type: ignore[name-defined, misc]
    """An interpreter of pickles that creates only numbers, strings, lists, tuples and the stand-ins above.

    It is the standard library's Python implementation without most of its instructions. What is left creates little more bytes
    than the file holds, because the number of instructions is limited: each may create a list or an entry of 100 bytes.
    """

    # The value stack of the base class.
    stack: list[Any]
    dispatch: dict[int, Any] = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in _INSTRUCTIONS}  # type: ignore[attr-defined, misc]

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self.dispatch: dict[int, Any] = _Limited(type(self).dispatch)  # type: ignore[misc]
        self._text_left = len(content)
        self._globals: dict[tuple[str, str], Callable[..., Any]] = {
            ("_codecs", "encode"): self._encode,
            ("numpy", "dtype"): _PickledDtype,
            ("numpy", "ndarray"): _ndarray,
            ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
            ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._globals[module, name]
        except (KeyError, TypeError):
            raise _ForbiddenPickleError(_printable(f"{module}.{name}")) from None

    def _encode(self, text: Any, encoding: Any = "utf-8") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1", b"latin1"):
            raise _ForbiddenPickleError(f"_codecs.encode with the encoding {_printable(encoding)}")
        self._text_left -= len(text)
        if self._text_left < 0:
            raise _ForbiddenPickleError("_codecs.encode of more text than the file holds")
        return text.encode("latin1")

    def load_build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], (PickledArray, _PickledDtype)):
            raise _ForbiddenPickleError(f"a state for {_printable(self.stack[-1])}")
        self.stack[-1].build(state)

    dispatch[pickle.BUILD[0]] = load_build


def _printable(value: Any) -> str:
    if not isinstance(value, str):
        return type(value).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in value[:60]) or "an empty name"


def _unreadable(path: str) -> DataError:
    return DataError(f"{path} is truncated, or is not a pickled pair (images, issame); fetch or write it again.")

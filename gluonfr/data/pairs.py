from __future__ import annotations

import io
import math
import os
import pickle
import pickletools
import re
from typing import NoReturn

import numpy as np

from gluonfr.core import GluonFRError, atomic_file
from gluonfr.data import images as codec

_SYNOPSIS = "a pickled pair (images, issame)"

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


class _ForbiddenPickleError(Exception):
    """What the file wants that the format does not need."""


class _Dtype:
    """Stands for a numpy.dtype while the pickle is read."""

    def __init__(self, name, *flags) -> None:
        name = name.decode("latin1") if isinstance(name, bytes) else name
        if not isinstance(name, str) or len(flags) > 2 or not re.fullmatch(r"[<>=|]?([biu]1|[iuf][248])", name):
            raise _ForbiddenPickleError(f"a numpy.dtype that is not numeric, {_short(name)}")
        self.value = np.dtype(name)

    def build(self, state) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) == 8 else None
        order = order.decode("latin1") if isinstance(order, bytes) else order
        if order not in ("<", ">", "=", "|") or state[2:5] != (None, None, None):
            raise _ForbiddenPickleError("a numpy.dtype with fields or metadata")
        self.value = self.value.newbyteorder(order)


class _Array:
    """Stands for a numpy.ndarray while the pickle is read: its dtype, shape and bytes, which are never copied."""

    dtype = shape = raw = None

    def build(self, state) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise _ForbiddenPickleError("a numpy.ndarray with an unknown state")
        _, shape, dtype, _, raw = state
        if not isinstance(dtype, _Dtype):
            raise _ForbiddenPickleError(f"a numpy.ndarray with the dtype {_short(dtype)}")
        if not isinstance(shape, tuple) or not all(type(length) is int and 0 <= length < 2**40 for length in shape):
            raise _ForbiddenPickleError("a numpy.ndarray of an impossible shape")
        if not isinstance(raw, bytes) or len(shape) > 32 or math.prod(shape) * dtype.value.itemsize != len(raw):
            raise _ForbiddenPickleError("a numpy.ndarray whose bytes do not fill its shape")
        self.dtype, self.shape, self.raw = dtype.value, shape, raw

    def flat(self):
        """The raw values as a 1-D array when at most one axis is longer than 1, else None."""
        if self.raw is None or sum(length != 1 for length in self.shape) > 1:
            return None
        return np.frombuffer(self.raw, dtype=self.dtype)


def _ndarray(*_) -> NoReturn:
    raise _ForbiddenPickleError("a call of numpy.ndarray")


def _reconstruct(kind, shape, code):
    if kind is not _ndarray or shape != (0,) or code not in (b"b", "b"):
        raise _ForbiddenPickleError("numpy.core.multiarray._reconstruct of something else than an empty numpy.ndarray")
    return _Array()


class _PairsUnpickler(pickle._Unpickler):
    """Reads what a verification set needs and refuses the rest by name, before anything of it is made.

    The interpreter is the standard library's own in Python, with most of its instructions left out; what is left makes
    nothing but numbers, strings, lists, tuples and the stand-ins above, and no more bytes than the file holds.
    """

    dispatch = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in _INSTRUCTIONS}

    def __init__(self, content) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self._budget = len(content)
        self._globals = {
            ("_codecs", "encode"): self._encode,
            ("numpy", "dtype"): _Dtype,
            ("numpy", "ndarray"): _ndarray,
            ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
            ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        }

    def find_class(self, module, name):
        try:
            return self._globals[module, name]
        except (KeyError, TypeError):
            raise _ForbiddenPickleError(_short(f"{module}.{name}")) from None

    def _encode(self, text, encoding="utf-8"):
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1", b"latin1"):
            raise _ForbiddenPickleError(f"_codecs.encode with the encoding {_short(encoding)}")
        self._budget -= len(text)
        if self._budget < 0:
            raise _ForbiddenPickleError("_codecs.encode of more text than the file holds")
        return text.encode("latin1")

    def load_build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], (_Array, _Dtype)):
            raise _ForbiddenPickleError(f"a state for {_short(self.stack[-1])}")
        self.stack[-1].build(state)

    dispatch[pickle.BUILD[0]] = load_build


def _short(thing):
    if not isinstance(thing, str):
        return type(thing).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in thing[:60]) or "an empty name"


def _load(path, content):
    try:
        return _PairsUnpickler(content).load()
    except _ForbiddenPickleError as refused:
        raise GluonFRError(
            f"{path}: refused, it holds {refused}, which is no part of a verification set (pickles can run code); "
            "use a file from a source you trust, written with plain bytes and bools."
        ) from None
    except KeyError as error:
        known = pickletools.code2op.get(chr(error.args[0])) if error.args and isinstance(error.args[0], int) else None
        if known is not None and known.code.encode("latin1")[0] not in _PairsUnpickler.dispatch:
            raise GluonFRError(
                f"{path}: refused, it holds the pickle instruction {known.name}, which is no part of a verification set; "
                "use a file from a source you trust, written with plain bytes and bools."
            ) from None
        raise _unreadable(path) from error
    # Bytes that are no pickle can fail in any way that Python knows.
    except Exception as error:
        raise _unreadable(path) from error


def _unreadable(path):
    return GluonFRError(f"{path}: is cut off, or is not {_SYNOPSIS}; fetch or write it again.")


def _image(path, i, element):
    if isinstance(element, _Array):
        values = element.flat()
        element = element.raw if values is not None and values.dtype == np.uint8 else element
    if not isinstance(element, bytes) or not element:
        what = "empty" if element == b"" else type(element).__name__
        what = "an array that is not 1-D uint8" if isinstance(element, _Array) else what
        raise GluonFRError(f"{path}: image {i % 2} of pair {i // 2} is {what}, not the bytes of an image file; write it again.")
    return element


def _issame(path, flags):
    values = flags.flat() if isinstance(flags, _Array) else flags
    if isinstance(values, tuple):
        values = list(values)
    if isinstance(values, list) and all(type(value) in (bool, int) and value in (0, 1) for value in values):
        return np.array(values, dtype=bool)
    if isinstance(values, np.ndarray) and np.isin(values, (0, 1)).all():
        return values.astype(bool)
    raise GluonFRError(f"{path}: issame is not one True or False a pair; write it again.")


def read_pairs(path):
    """Read a verification set, `NAME.bin`: InsightFace's pickle of (images, issame), from Python 2 or 3.

    The pickle cannot run code: of what pickles can hold, this reads bytes, text that stands for bytes, numbers, lists,
    tuples and numeric arrays, and refuses everything else by name.

    Returns
    -------
    images : list of bytes
        2 n encoded images (JPEG, PNG, ...); pair i is images[2 i] and images[2 i + 1]. They are not decoded here.
    issame : bool (n,)
        Whether the two images of a pair show one person.

    Raises
    ------
    GluonFRError
        The file is missing, cut off, of another kind, holds what the format does not need, or its counts do not match.
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise GluonFRError(f"{path}: cannot be read ({error.strerror}); check the path.") from error
    loaded = _load(path, content)
    if not isinstance(loaded, (tuple, list)) or len(loaded) != 2 or not isinstance(loaded[0], (list, tuple)):
        raise GluonFRError(f"{path}: is not {_SYNOPSIS}; write it again.")
    images, flags = loaded
    issame = _issame(path, flags)
    if len(images) != 2 * len(issame) or not len(issame):
        raise GluonFRError(
            f"{path}: has {len(images)} images for {len(issame)} pairs, where each pair needs two; write or fetch it again."
        )
    return [_image(path, i, element) for i, element in enumerate(images)], issame


def write_pairs(path, images, issame) -> None:
    """Write a verification set that `read_pairs` and InsightFace's own loader read; it appears whole or not at all.

    Parameters
    ----------
    path : str
        Usually `ROOT/NAME.bin`, or `val_data.bin` beside a `train.rec`.
    images : sequence
        2 n images, pair i is images[2 i] and images[2 i + 1]: encoded ones (bytes or 1-D uint8) are kept byte for byte,
        HWC uint8 RGB ones (array or NDArray) become JPEG of quality 95.
    issame : sequence of bool, (n,)
    """
    flags = list(issame.asnumpy() if hasattr(issame, "asnumpy") else issame)
    if not flags or not all(np.ndim(flag) == 0 and flag in (0, 1) for flag in flags):
        raise GluonFRError(f"{path}: issame must be one True or False a pair, and at least one; give a list of them.")
    if len(images) != 2 * len(flags):
        raise GluonFRError(f"{path}: {len(images)} images for {len(flags)} pairs; give two images for each pair.")
    payloads = [_encoded(image, f"{path}: image {i % 2} of pair {i // 2}") for i, image in enumerate(images)]
    with atomic_file(path) as file:
        pickle.dump((payloads, [bool(flag) for flag in flags]), file, protocol=2)


def _encoded(image, where):
    if hasattr(image, "asnumpy"):
        image = image.asnumpy()
    if isinstance(image, np.ndarray) and image.ndim == 1 and image.dtype == np.uint8:
        image = image.tobytes()
    if isinstance(image, (bytes, bytearray, memoryview)):
        image = bytes(image)
        codec.decode(image, where)
        return image
    return codec.encode(codec.as_rgb(image, where))

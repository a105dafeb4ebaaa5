"""Reader of the file of dlib's face recognition network."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

from gluonfr.core import WeightsError, require_file

DLIB_FILE = "dlib_face_recognition_resnet_model_v1.dat"

_START = b"\x01\x01\x01\x0dloss_metric_2"
_INPUT = b"\x01\x15input_rgb_image_sized"
_LAYER = re.compile(rb"\x01(?:\x05(con_)4|\x07(affine_)|\x04(fc_)2)")


class DlibWeights(NamedTuple):
    """Contents of a file of dlib's face recognition network.

    Attributes
    ----------
    mean : float64 array (3,)
        Subtracted from RGB pixels 0..255 before they are divided by 256.
    image_size : (H, W)
        Size of the crops in pixels.
    layers : list of (kind, array)
        Layers with weights from input to output: `("con_", filters and biases)`, `("affine_", scales and shifts)` as
        one-dimensional float32 arrays, or `("fc_", (in, out))`.

    Examples
    --------
    >>> DlibWeights(np.zeros(3), (150, 150), []).image_size
    (150, 150)
    """

    mean: np.ndarray
    image_size: tuple[int, int]
    layers: list[tuple[str, np.ndarray]]


def read_dlib(path: str) -> DlibWeights:
    """Read a file of dlib's face recognition network.

    Parameters
    ----------
    path : str
        `.dat`, as dlib's `serialize` writes it.

    Raises
    ------
    WeightsError
        The file is missing, of another kind, or incomplete.

    Examples
    --------
    >>> read_dlib("dlib_face_recognition_resnet_model_v1.dat").image_size  # doctest: +SKIP
    (150, 150)
    """
    path = require_file(path, "dlib face recognition network")
    with open(path, "rb") as file:
        return _Stream(file.read(), path).read_network()


class _Stream:
    def __init__(self, data: bytes, path: str) -> None:
        self._data, self._path, self._place = data, path, 0

    def read_network(self) -> DlibWeights:
        if not self._data.startswith(_START):
            raise self._error("was not saved by dlib as a face recognition network")
        self._place = self._data.find(_INPUT)
        if self._place < 0:
            raise self._error("does not record the size of its images")
        self._place += len(_INPUT)
        mean = np.array([self._float() for _ in range(3)])
        size = (self._integer(), self._integer())
        layers = []
        # The search continues after each tensor, because the bytes of a tensor may look like a layer's name.
        for found in iter(lambda: _LAYER.search(self._data, self._place), None):
            self._place = found.end()
            layers.append(self._layer(next(kind for kind in found.groups() if kind).decode()))
        return DlibWeights(mean, size, layers)

    def _layer(self, kind: str) -> tuple[str, np.ndarray]:
        if kind == "fc_":
            # Numbers of outputs and inputs, which the sizes of the tensor repeat.
            self._integer()
            self._integer()
        if self._integer() != 2:
            raise self._error(f"has a tensor of an unknown version in a layer {kind}")
        sizes = [self._integer() for _ in range(4)]
        count = math.prod(sizes)
        end = self._place + 4 * count
        if min(sizes) < 1 or end > len(self._data):
            raise self._incomplete()
        array = np.frombuffer(self._data, "<f4", count, self._place)
        self._place = end
        if not np.isfinite(array).all():
            raise self._error("has NaN or infinity in its weights")
        return kind, array.reshape(sizes[:2]) if kind == "fc_" and sizes[2:] == [1, 1] else array

    def _integer(self) -> int:
        """Read an integer: a byte with the sign and the number of bytes, then those bytes, the lowest first."""
        control = self._bytes(1)[0]
        size = control & 0x0F
        if control & 0x70 or size > 8:
            raise self._error("has an invalid number")
        value = int.from_bytes(self._bytes(size), "little")
        return -value if control & 0x80 else value

    def _float(self) -> float:
        mantissa, exponent = self._integer(), self._integer()
        if abs(exponent) > 1000:
            raise self._error("has an invalid number")
        return math.ldexp(mantissa, exponent)

    def _bytes(self, count: int) -> bytes:
        part = self._data[self._place : self._place + count]
        if len(part) < count:
            raise self._incomplete()
        self._place += count
        return part

    def _error(self, problem: str) -> WeightsError:
        return WeightsError(f"{self._path}: the file {problem}; give dlib's own {DLIB_FILE}.")

    def _incomplete(self) -> WeightsError:
        return self._error("is incomplete or damaged")

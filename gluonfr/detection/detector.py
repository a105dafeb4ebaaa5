"""What all face detectors share: their results, their interface, and the size at which they search a photo."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Protocol

import cv2
import mxnet as mx
import numpy as np

from gluonfr.align.image_checks import require_rgb
from gluonfr.core import check_number

# Side in pixels; smaller faces cannot be distinguished from other objects.
SMALLEST_FACE = 20
# Smaller faces are searched for only on request, and never below this size.
_LEAST_FACE = 10
# Pixels of the searched photo: the default, and the maximum where small faces are requested.
_SEARCHED, _MOST_SEARCHED = 1_500_000, 8_000_000


class Detections(NamedTuple):
    """Faces found in a photo, largest score first.

    Attributes
    ----------
    boxes : np.ndarray, float32 (n, 4)
        x0, y0, x1, y1 in pixels of the photo; they may reach beyond it.
    scores : np.ndarray, float32 (n,)
        In 0..1.
    landmarks : np.ndarray, float32 (n, 5, 2)
        x and y of left eye, right eye, nose, left and right mouth corner, as seen in the upright face.

    Examples
    --------
    >>> faces = Detections(np.array([[10, 10, 50, 60]]), np.array([0.9]), np.zeros((1, 5, 2)))
    >>> boxes, scores, landmarks = faces
    >>> faces.select([0]).boxes.shape
    (1, 4)
    """

    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray

    def select(self, index: Any) -> Detections:
        """Return the faces of these indices, or of a boolean mask."""
        return Detections(self.boxes[index], self.scores[index], self.landmarks[index])


class Detector(Protocol):
    """Anything that finds faces in a photo.

    Examples
    --------
    >>> class CenterDetector:
    ...     def detect(self, image):
    ...         height, width = image.shape[:2]
    ...         box = np.array([[width / 4, height / 4, width * 3 / 4, height * 3 / 4]], np.float32)
    ...         return box, np.ones(1, np.float32), np.full((1, 5, 2), (width / 2, height / 2), np.float32)
    >>> detector: Detector = CenterDetector()
    >>> boxes, scores, landmarks = detector.detect(np.zeros((80, 40, 3), np.uint8))
    >>> boxes.tolist()
    [[10.0, 20.0, 30.0, 60.0]]
    """

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return boxes, scores and landmarks of a uint8 (H, W, 3) RGB photo, as `Detections` describes them."""


class FaceDetector(ABC):
    """Base class of the detectors here; a subclass searches a photo that has been reduced to a bounded size.

    Parameters
    ----------
    ctx : mx.Context, default CPU
    min_size : float, optional
        Side in pixels of the photo of the smallest face to search for. Default: a 28th of the photo (of the square with as
        many pixels), at least 20. Half of it costs about four times the time.
    max_pixels : int, optional
        A larger photo is reduced to this number of pixels before the search. Default: 1,500,000, or with `min_size` as many
        as faces of that size need, at most 8,000,000. Faces of fewer than 10 pixels in the reduced photo are not found.

    Examples
    --------
    >>> class NoFaces(FaceDetector):
    ...     def _search(self, image, min_size):
    ...         return Detections(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))
    >>> NoFaces(None, None, None).detect(np.zeros((80, 40, 3), np.uint8)).boxes.shape
    (0, 4)
    """

    def __init__(self, ctx: mx.Context | None, min_size: float | None, max_pixels: int | None) -> None:
        self._ctx = ctx or mx.cpu()
        self._min_size = None if min_size is None else check_number("min_size", min_size, 1, 1e6)
        self._max_pixels = None if max_pixels is None else check_number("max_pixels", max_pixels, 1e4, 1e9)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(min_size={self._min_size}, max_pixels={self._max_pixels}, ctx={self._ctx})"

    def detect(self, image: Any, min_size: float | None = None) -> Detections:
        """Find all faces in a photo.

        Parameters
        ----------
        image : np.ndarray or mx.nd.NDArray, uint8 (H, W, 3)
            RGB.
        min_size : float, optional
            In place of the detector's own.

        Returns
        -------
        Detections
            Boxes (n, 4), scores (n,) and landmarks (n, 5, 2), which unpack like a tuple.

        Raises
        ------
        UsageError
            The image is not uint8 (H, W, 3).
        """
        image = require_rgb(image)
        least = self._min_size if min_size is None else check_number("min_size", min_size, 1, 1e6)
        small, ratio = shrink_photo(image, self._max_pixels or pixels_to_search(image.shape, least))
        least = default_min_size(small.shape) if least is None else max(_LEAST_FACE, least / max(ratio))
        return scale_detections(self._search(small, least), ratio)

    @abstractmethod
    def _search(self, image: np.ndarray, min_size: float) -> Detections:
        """Faces of at least `min_size` pixels, in pixels of this image, largest score first."""


def default_min_size(shape: tuple[int, ...]) -> float:
    """Return the side of the smallest face that is searched for by default in a photo of this shape.

    Examples
    --------
    >>> default_min_size((1120, 1120, 3))
    40.0
    """
    return max(SMALLEST_FACE, (shape[0] * shape[1]) ** 0.5 / 28)


def pixels_to_search(shape: tuple[int, ...], min_size: float | None) -> float:
    """Return how many pixels a photo may have for the search; a larger one is reduced to them.

    Examples
    --------
    >>> pixels_to_search((3000, 4000), None), pixels_to_search((3000, 4000), 40)
    (1500000, 3000000.0)
    """
    needed = 0.0 if min_size is None else shape[0] * shape[1] * (SMALLEST_FACE / min_size) ** 2
    return min(max(_SEARCHED, needed), _MOST_SEARCHED)


def shrink_photo(image: np.ndarray, max_pixels: float) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a photo to about `max_pixels` pixels at most.

    Returns
    -------
    image : np.ndarray, uint8 (h, w, 3)
    ratio : np.ndarray, float32 (2,)
        Pixels of the photo per pixel of the reduced one, in x and y.

    Examples
    --------
    >>> small, ratio = shrink_photo(np.zeros((400, 200, 3), np.uint8), 20_000)
    >>> small.shape, ratio
    ((200, 100, 3), array([2., 2.], dtype=float32))
    """
    height, width = image.shape[:2]
    factor = (max_pixels / (height * width)) ** 0.5
    if factor >= 1:
        return image, np.ones(2, np.float32)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    ratio = np.array([width / size[0], height / size[1]], np.float32)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), ratio


def scale_detections(faces: Detections, ratio: np.ndarray) -> Detections:
    """Convert faces found in a reduced photo to pixels of the photo itself.

    The networks count from the edge of a pixel; landmarks are returned as pixel centers, half a pixel less.

    Examples
    --------
    >>> faces = Detections(np.array([[10, 10, 50, 60]]), np.array([0.9]), np.full((1, 5, 2), 20.0))
    >>> scale_detections(faces, np.array([2, 2], np.float32)).landmarks[0, 0]
    array([39.5, 39.5], dtype=float32)
    """
    boxes, scores, landmarks = faces
    scaled = boxes * np.tile(ratio, 2), scores, landmarks * ratio - np.float32(0.5)
    return Detections(*(np.ascontiguousarray(array, np.float32) for array in scaled))

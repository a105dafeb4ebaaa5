"""Random changes of photos that move the boxes and landmarks of their faces along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import cv2
import numpy as np

from gluonfr.core import check_integer, check_number
from gluonfr.data.detection.annotations import PhotoFaces
from gluonfr.data.loading.augmentation import Augmentation

# The other side's landmark: eyes and mouth corners change places in a mirrored photo.
_MIRRORED = [1, 0, 2, 4, 3]
# Photos per row and column of a mosaic; more of them give smaller faces.
_GRIDS = (2, 3, 4)
# Share of the squares that are taken around a face, and the part of a face that must be visible to be learned.
_AROUND_FACE, _VISIBLE = 0.8, 0.4
_COLOR = Augmentation(
    color=0.8,
    brightness=0.3,
    contrast=0.3,
    saturation=0.4,
    hue=0.03,
    gray=0.1,
    blur=0.1,
    low_resolution=0.4,
    low_resolution_scale=(0.5, 1.0),
    noise=0.1,
    jpeg=0.2,
)

Read = Callable[[int, float], "tuple[np.ndarray, PhotoFaces]"]


@dataclass(frozen=True)
class DetectionAugmentation:
    """Crops, sizes, rotations, mirror images, colors and mosaics for training a face detector.

    A sample is one photo or, with probability `mosaic`, a square of 4 to 16 photos, which contains small faces. Of every photo
    a random square is taken, as in RetinaFace (https://arxiv.org/abs/1905.00641), or a larger one with a border around it.

    Parameters
    ----------
    size : int, default 320
        Side of the samples in pixels, a multiple of 32.
    mosaic : float, default 0.5
        Probability of a mosaic.
    crop : (float, float), default (0.3, 2)
        Side of the square, relative to the shorter side of the photo: from and to.
    rotation : float, default 10
        Standard deviation of the rotation in degrees.
    turn : float, default 0
        Probability of a rotation by 90, 180 or 270 degrees in addition, so that turned faces are learned.
    flip : float, default 0.5
        Probability of a mirror image.
    color : bool, default True
        Change brightness, contrast, color, sharpness and compression.
    smallest : float, default 8
        A face with fewer pixels per side is ignored: neither a face nor background.

    Raises
    ------
    UsageError
        A value is out of range.

    Examples
    --------
    >>> DetectionAugmentation(size=64, mosaic=0).flip
    0.5
    """

    size: int = 320
    mosaic: float = 0.5
    crop: tuple[float, float] = (0.3, 2.0)
    rotation: float = 10.0
    turn: float = 0.0
    flip: float = 0.5
    color: bool = True
    smallest: float = 8.0

    def __post_init__(self) -> None:
        check_integer("size", self.size, 32)
        for name in ("mosaic", "turn", "flip"):
            check_number(name, getattr(self, name), 0, 1)
        check_number("rotation", self.rotation, 0, 180)
        check_number("crop", self.crop[0], 0.05, self.crop[1])

    def __call__(self, number: int, read: Read, count: int, rng: np.random.Generator) -> tuple[np.ndarray, PhotoFaces]:
        """Return the sample of photo `number`.

        Parameters
        ----------
        number : int
        read : callable
            `read(i, shorter_side)` returns photo i, uint8 (H, W, 3), and its faces; the photo may be reduced, as long as its
            shorter side keeps this many pixels.
        count : int
            Number of photos, of which a mosaic uses random other ones.
        rng : np.random.Generator
            Decides everything.

        Returns
        -------
        image : np.ndarray, uint8 (size, size, 3)
        faces : PhotoFaces
            In pixels of the sample.
        """
        grid = int(rng.choice(_GRIDS)) if rng.random() < self.mosaic else 1
        edges = np.linspace(0, self.size, grid + 1).round().astype(int)
        image = np.empty((self.size, self.size, 3), np.uint8)
        parts = []
        numbers = [number, *rng.integers(count, size=grid * grid - 1).tolist()]
        for place, source in enumerate(rng.permutation(numbers).tolist()):
            row, column = divmod(place, grid)
            top, left = int(edges[row]), int(edges[column])
            side = max(int(edges[row + 1]) - top, int(edges[column + 1]) - left)
            tile, faces = self._tile(source, read, side, rng)
            height, width = int(edges[row + 1]) - top, int(edges[column + 1]) - left
            image[top : top + height, left : left + width] = tile[:height, :width]
            parts.append(faces._replace(boxes=faces.boxes + [left, top] * 2, landmarks=faces.landmarks + [left, top]))
        if self.color:
            image = _COLOR(image, rng)
        joined = (np.concatenate(arrays).astype(arrays[0].dtype) for arrays in list(zip(*parts))[1:])
        return image, PhotoFaces(str(number), *joined)

    def _tile(self, source: int, read: Read, side: int, rng: np.random.Generator) -> tuple[np.ndarray, PhotoFaces]:
        """Take a random square of a photo, `side` pixels wide afterwards."""
        part = np.exp(rng.uniform(*np.log(self.crop)))
        image, faces = read(source, side / part)
        height, width = image.shape[:2]
        square = min(height, width) * part
        angle = np.radians(rng.normal(0, self.rotation)) if self.rotation else 0.0
        if rng.random() < self.turn:
            angle += np.pi / 2 * rng.integers(1, 4)
        middle = _middle(faces, (width, height), square, rng)
        factor = side / square
        mirror = -1.0 if rng.random() < self.flip else 1.0
        turn = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * [[mirror], [1.0]]
        matrix = np.column_stack([turn, side / 2 - turn @ middle])
        moved = move_faces(faces, matrix, mirrored=mirror < 0)
        return warp(image, matrix, side), self._visible(moved, side)

    def _visible(self, faces: PhotoFaces, side: int) -> PhotoFaces:
        """Clip the faces to their tile; what is too small or hardly visible is ignored."""
        boxes = np.clip(faces.boxes, 0, side)
        sides = boxes[:, 2:] - boxes[:, :2]
        parts = np.prod(sides, 1) / np.prod(faces.boxes[:, 2:] - faces.boxes[:, :2], 1)
        inside = (sides >= 1).all(1)
        ignored = faces.ignored | (sides < self.smallest).any(1) | (parts < _VISIBLE)
        return PhotoFaces(faces.photo, boxes[inside], faces.landmarks[inside], ignored[inside])


def _middle(faces: PhotoFaces, size: tuple[int, int], square: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the middle of a square of a photo of this width and height: mostly around a face."""
    # A larger square than the photo contains all of it.
    low = np.minimum(square, size) / 2
    middle = rng.uniform(low, np.array(size) - low)
    wanted = np.flatnonzero(~faces.ignored)
    if len(wanted) and rng.random() < _AROUND_FACE:
        box = faces.boxes[rng.choice(wanted)]
        reach = np.maximum(square - (box[2:] - box[:2]), 0) / 2
        middle = np.clip((box[:2] + box[2:]) / 2 + rng.uniform(-reach, reach), low, np.array(size) - low)
    return middle


def move_faces(faces: PhotoFaces, matrix: np.ndarray, mirrored: bool = False) -> PhotoFaces:
    """Transform boxes and landmarks by a similarity.

    A box becomes the box around the transformed ellipse that fills it: nearer to a rotated face than the box around its
    corners.

    Parameters
    ----------
    faces : PhotoFaces
    matrix : np.ndarray, (2, 3)
        From pixels before to pixels after; the first pixel begins at 0.
    mirrored : bool, default False
        Whether the matrix mirrors, so that landmarks of the left and right side change places.

    Examples
    --------
    >>> from gluonfr.data.detection.annotations import make_faces
    >>> quarter = np.array([[0.0, -1, 100], [1, 0, 0]])
    >>> move_faces(make_faces("a.jpg", [[10, 20, 30, 60]]), quarter).boxes.tolist()
    [[40.0, 10.0, 80.0, 30.0]]
    """
    turn, shift = matrix[:, :2], matrix[:, 2]
    corners = faces.boxes.astype(np.float64)
    centers = (corners[:, :2] + corners[:, 2:]) / 2 @ turn.T + shift
    half = np.sqrt((((corners[:, None, 2:] - corners[:, None, :2]) / 2 * turn) ** 2).sum(2))
    landmarks = faces.landmarks @ turn.T + shift
    if mirrored:
        landmarks = landmarks[:, _MIRRORED]
    boxes = np.hstack([centers - half, centers + half])
    return PhotoFaces(faces.photo, boxes.astype(np.float32), landmarks.astype(np.float32), faces.ignored)


def warp(image: np.ndarray, matrix: np.ndarray, side: int) -> np.ndarray:
    """Transform a photo into a square of `side` pixels; what lies outside the photo is its mean color.

    Examples
    --------
    >>> warp(np.zeros((20, 40, 3), np.uint8), np.array([[0.5, 0, 0], [0, 0.5, 0]]), 16).shape
    (16, 16, 3)
    """
    factor = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if factor < 0.6:
        # Warping samples single pixels, so a photo is reduced by averaging first.
        before = image.shape[1::-1]
        size = [max(1, round(length * factor)) for length in before]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        matrix = np.column_stack([matrix[:, :2] * (np.array(before) / size), matrix[:, 2]])
    # OpenCV counts from the centers of pixels.
    turn, shift = matrix[:, :2], matrix[:, 2]
    pixels = np.column_stack([turn, shift + turn @ [0.5, 0.5] - 0.5])
    border = [int(value) for value in cv2.mean(image)[:3]]
    return cv2.warpAffine(image, pixels, (side, side), flags=cv2.INTER_LINEAR, borderValue=border)

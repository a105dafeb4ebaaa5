"""Rendered photos of several people, with the boxes and landmarks of their faces: data for training a detector."""

from __future__ import annotations

import os
from contextlib import closing
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from gluonfr.core import atomic_folder, check_integer, cores, disk_errors, generator
from gluonfr.data import images
from gluonfr.data.synthetic import conditions, face
from gluonfr.data.synthetic.canvas import Canvas
from gluonfr.data.synthetic.face import head_outline
from gluonfr.data.synthetic.geometry import Pose, smooth
from gluonfr.data.synthetic.identity import make_identity
from gluonfr.data.synthetic.render_pool import render_all
from gluonfr.data.synthetic.rendering import draw_person

_PURPOSE = 5
_MOST_FACES = 8
_SMALLEST_FACE, _LARGEST_PART = 24.0, 0.6
_LARGEST_SIDE = 4096
# Side in pixels of the picture of one person, and the scale that leaves room for hair and shoulders around the head.
_CUTOUT, _HEAD_SCALE = 224, 0.5
_LABEL = "label.txt"


class Scene(NamedTuple):
    """A rendered photo.

    Attributes
    ----------
    image : np.ndarray, uint8 (H, W, 3)
        RGB.
    boxes : np.ndarray, float32 (n, 4)
        x0, y0, x1, y1 of the faces from forehead to chin; n may be 0.
    landmarks : np.ndarray, float32 (n, 5, 2)

    Examples
    --------
    >>> render_scene(0).image.shape
    (320, 320, 3)
    """

    image: np.ndarray
    boxes: np.ndarray
    landmarks: np.ndarray


class _Cutout(NamedTuple):
    """A person without background: color (S, S, 3), opacity (S, S, 1), outline of the face (n, 2), landmarks (5, 2)."""

    color: np.ndarray
    opacity: np.ndarray
    outline: np.ndarray
    landmarks: np.ndarray


def render_scene(number: int, seed: int = 0, size: int = 320) -> Scene:
    """Render a photo of 0 to 8 people of many sizes before a textured background, some of them rotated or partly covered.

    The faces are 24 pixels high or larger, up to 0.6 of the side of the photo.

    Parameters
    ----------
    number : int
        Number of the scene, 0 <= number < 2**64; scenes of different numbers show different people.
    seed : int, default 0
        0 <= seed < 2**64.
    size : int, default 320
        Side in pixels, at least 64.

    Examples
    --------
    >>> scene = render_scene(number=3)
    >>> scene.boxes.shape[1], scene.landmarks.shape[1:]
    (4, (5, 2))
    """
    check_integer("number", number, 0, 2**64 - 1)
    check_integer("size", size, 64, _LARGEST_SIDE)
    rng = generator(seed, _PURPOSE, number)
    image = _background(rng, size)
    boxes: list[np.ndarray] = []
    landmarks: list[np.ndarray] = []
    count = 0 if rng.random() < 0.05 else 1 + min(int(rng.exponential(2.0)), _MOST_FACES - 1)
    sides = np.exp(rng.uniform(np.log(_SMALLEST_FACE), np.log(size * _LARGEST_PART), count))
    for side in np.sort(sides)[::-1]:
        cutout = _draw_cutout(rng, int(rng.integers(2**31)))
        for _ in range(10):
            matrix = _placement(rng, cutout, float(side), size)
            outline, marks = (_transform(points, matrix) for points in (cutout.outline, cutout.landmarks))
            box = np.concatenate([outline.min(0), outline.max(0)])
            if _is_free(box, boxes, size):
                _paste(rng, image, cutout, matrix, box)
                boxes.append(box)
                landmarks.append(marks)
                break
    image = conditions.develop(rng, image)
    shapes = np.array(boxes, np.float32).reshape(-1, 4), np.array(landmarks, np.float32).reshape(-1, 5, 2)
    return Scene(image, np.clip(shapes[0], 0, size), shapes[1])


def make_scenes(
    folder: str,
    count: int,
    first: int = 0,
    seed: int = 0,
    size: int = 320,
    progress: bool = True,
    workers: int | None = None,
) -> None:
    """Write scenes as photos and RetinaFace's `label.txt`, atomically; any number of workers writes the same bytes.

    Parameters
    ----------
    folder : str
        Must not exist, or be empty.
    count : int
        Number of scenes.
    first : int, default 0
        Number of the first scene.
    seed, size : int
        See `render_scene`.
    progress : bool, default True
        Show a progress bar on a terminal.
    workers : int, optional
        Processes that render; by default one per core.

    Examples
    --------
    >>> import tempfile
    >>> make_scenes(f"{tempfile.mkdtemp()}/scenes", count=2, progress=False, workers=1)
    """
    check_integer("count", count, 1)
    workers = cores() if workers is None else check_integer("workers", workers, 1)
    check_integer("first", first, 0, 2**64 - count)
    check_integer("seed", seed, 0, 2**64 - 1)
    check_integer("size", size, 64, _LARGEST_SIDE)
    numbers, lines = range(first, first + count), []
    with disk_errors(folder), atomic_folder(folder) as written, closing(
        render_all(partial(_encode_scene, seed, size), numbers, workers)
    ) as rendered:
        bar = tqdm(rendered, "rendering scenes", count, unit="photo", disable=None if progress else True)
        for number, (encoded, rows) in enumerate(bar, first):
            name = f"{number:06d}.jpg"
            with open(os.path.join(written, name), "wb") as photo:
                photo.write(encoded)
            lines += [f"# {name}", *rows]
        with open(os.path.join(written, _LABEL), "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


def _encode_scene(seed: int, size: int, number: int) -> tuple[bytes, list[str]]:
    """Render a scene; return its JPEG and the rows of its faces."""
    scene = render_scene(number, seed, size)
    rows = []
    for (x0, y0, x1, y1), marks in zip(scene.boxes, scene.landmarks):
        points = " ".join(f"{x:.2f} {y:.2f} 0.0" if min(x, y) >= 0 else "-1 -1 -1" for x, y in marks)
        rows.append(f"{x0:.2f} {y0:.2f} {x1 - x0:.2f} {y1 - y0:.2f} {points} 1.0")
    return images.encode(scene.image, 90), rows


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a gradient with bars, texture and shapes, some of the colors and roundness of faces."""
    image = conditions.background(rng, size)
    if rng.random() < 0.5:
        cell = int(rng.integers(2, 24))
        noise = rng.normal(0, rng.uniform(5, 40), (size // cell + 1, size // cell + 1, 3)).astype(np.float32)
        texture = cv2.resize(noise, (size, size), interpolation=cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_NEAREST)
        image = np.clip(image + texture, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 10))):
        center = tuple(rng.integers(0, size, 2).tolist())
        axes = tuple(rng.integers(4, size // 6, 2).tolist())
        skin = make_identity(int(rng.integers(2**31))).skin if rng.random() < 0.4 else rng.uniform(0, 255, 3)
        cv2.ellipse(image, center, axes, float(rng.uniform(0, 180)), 0, 360, tuple(map(float, skin)), -1)
        for _ in range(int(rng.integers(0, 4))):
            spot = tuple((np.array(center) + rng.integers(-axes[0], axes[0] + 1, 2)).tolist())
            cv2.circle(image, spot, int(rng.integers(1, 8)), tuple(rng.uniform(0, 255, 3).tolist()), -1)
    return image


def _draw_cutout(rng: np.random.Generator, number: int) -> _Cutout:
    person, expression = make_identity(number), conditions.expression(rng)
    yaw, pitch = conditions.pose(rng)
    pose = Pose(yaw, pitch, face.landmarks(person, expression), (0.0, _HEAD_SCALE, 0.0, 0.0))
    clothes = rng.uniform(0, 255, 3)
    # What is drawn over black and over white alike is opaque.
    pictures = [np.full((_CUTOUT, _CUTOUT, 3), value, np.uint8) for value in (0, 255)]
    for picture in pictures:
        draw_person(Canvas(picture, pose), person, pose, expression, clothes)
    lit = cv2.multiply(pictures[0], conditions.light(rng, _CUTOUT), scale=1 / 128)
    opacity = 255 - cv2.subtract(pictures[1], pictures[0]).max(axis=2, keepdims=True)
    scale = _CUTOUT / 112
    outline = pose.project(smooth(head_outline(person))) * scale
    return _Cutout(lit, opacity, outline, pose.project(face.landmarks(person, expression)) * scale)


def _placement(rng: np.random.Generator, cutout: _Cutout, side: float, size: int) -> np.ndarray:
    """Return the matrix (2, 3) that scales, rotates and moves a cutout to a random place; `side` is the height of the face."""
    angle = np.radians(rng.normal(0, 12) if rng.random() < 0.8 else rng.uniform(-60, 60))
    low, high = cutout.outline.min(0), cutout.outline.max(0)
    factor = side / (high[1] - low[1])
    turn = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = rng.uniform(0.3 * side, max(size - 0.3 * side, 0.31 * side), 2)
    return np.column_stack([turn, target - turn @ ((low + high) / 2)])


def _transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def _is_free(box: np.ndarray, others: list[np.ndarray], size: int) -> bool:
    """Whether most of the box is in the photo, and none of the others touches it."""
    inside = np.prod(np.clip(np.minimum(box[2:], size) - np.maximum(box[:2], 0), 0, None)) / np.prod(box[2:] - box[:2])
    gap = 0.15 * (box[2:] - box[:2]).max()
    return inside > 0.6 and all((box[:2] > other[2:] + gap).any() or (box[2:] < other[:2] - gap).any() for other in others)


def _paste(rng: np.random.Generator, image: np.ndarray, cutout: _Cutout, matrix: np.ndarray, box: np.ndarray) -> None:
    factor = np.linalg.norm(matrix[:, 0])
    color, opacity = cutout.color, cutout.opacity
    if factor < 0.7:
        # Warping samples single pixels, so a cutout is reduced by averaging first.
        side = max(8, round(_CUTOUT * float(factor)))
        color, opacity = (cv2.resize(array, (side, side), interpolation=cv2.INTER_AREA) for array in (color, opacity))
        opacity = opacity.reshape(side, side, 1)
        matrix = np.column_stack([matrix[:, :2] * (_CUTOUT / side), matrix[:, 2]])
    size = image.shape[1], image.shape[0]
    color = cv2.warpAffine(color, matrix, size, flags=cv2.INTER_LINEAR)
    share = cv2.warpAffine(opacity, matrix, size, flags=cv2.INTER_LINEAR)[..., None].astype(np.float32) / 255
    image[:] = (image * (1 - share) + color * share).astype(np.uint8)
    if rng.random() < 0.2:
        # Something before the lower or left part of the face.
        width, height = box[2:] - box[:2]
        corner = box[:2] + [0, height * rng.uniform(0.55, 0.8)] if rng.random() < 0.5 else box[:2]
        end = box[2:] if corner[1] > box[1] else np.array([box[0] + width * rng.uniform(0.15, 0.4), box[3]])
        first, last = (tuple(np.rint(point).astype(int).tolist()) for point in (corner, end))
        cv2.rectangle(image, first, last, tuple(rng.uniform(0, 255, 3).tolist()), -1)

"""Conditions that differ between images: pose, expression, light, background, optics, occlusion, compression."""

from __future__ import annotations

import cv2
import numpy as np

from gluonfr.core import generator
from gluonfr.data.synthetic.face import Expression

_PURPOSE = 2


def image_generator(seed: int, identity: int, image: int) -> np.random.Generator:
    """Return the random generator of one image.

    Examples
    --------
    >>> rng = image_generator(0, 3, 0)
    >>> background(rng, 16).shape, light(rng, 16).shape
    ((16, 16, 3), (16, 16, 3))
    """
    return generator(seed, _PURPOSE, identity, image)


def pose(rng: np.random.Generator) -> tuple[float, float]:
    """Draw yaw and pitch in radians.

    Examples
    --------
    >>> yaw, pitch = pose(image_generator(0, 3, 0))
    >>> bool(abs(yaw) < 0.5 and abs(pitch) < 0.3)
    True
    """
    yaw = np.clip(rng.normal(0, 11), -26, 26)
    pitch = np.clip(rng.normal(0, 6), -14, 14)
    return np.radians(yaw), np.radians(pitch)


def alignment_error(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Draw (angle, scale, dx, dy) of an aligner's error: radians, factor, pixels of a 112x112 image.

    Examples
    --------
    >>> angle, scale, dx, dy = alignment_error(image_generator(0, 3, 0))
    >>> bool(0.8 < scale < 1.25)
    True
    """
    return np.radians(rng.normal(0, 3)), np.exp(rng.normal(0, 0.04)), rng.normal(0, 2), rng.normal(0, 2)


def expression(rng: np.random.Generator) -> Expression:
    """Draw an expression.

    Examples
    --------
    >>> bool(expression(image_generator(0, 3, 0)).mouth_open >= 0)
    True
    """
    smile = rng.uniform(-0.5, 1.0)
    return Expression(
        smile=smile,
        mouth_open=max(0.0, rng.uniform(-0.7, 1.0)),
        brow_raise=rng.uniform(-0.6, 1.0),
        closed=max(0.0, rng.uniform(-1.2, 0.7)),
        gaze_x=rng.uniform(-1, 1),
        gaze_y=rng.uniform(-1, 1),
    )


def background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a background, uint8 (size, size, 3): a gradient and some bars and blobs, out of focus.

    Examples
    --------
    >>> background(image_generator(0, 3, 0), 112).shape
    (112, 112, 3)
    """
    small = np.empty((28, 28, 3), dtype=np.uint8)
    colors = rng.uniform(0, 255, (7, 3))
    corners = colors[:4].reshape(2, 2, 3).astype(np.float32) * np.float32(rng.uniform(0.3, 1.0))
    small[:] = cv2.resize(corners, (28, 28), interpolation=cv2.INTER_LINEAR)
    for color in colors[4 : 4 + rng.integers(0, 4)]:
        x, y, w, h = (int(v) for v in rng.integers((0, 0, 2, 4), (28, 28, 16, 28)))
        cv2.rectangle(small, (x - w // 2, y - h // 2), (x + w // 2, y + h // 2), tuple(map(float, color)), -1)
    if rng.random() < 0.6:
        small = cv2.blur(small, (3, 3))
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)


def light(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw the brightness of every pixel, uint8 (size, size, 3) with 128 for unchanged: a lamp, sometimes a shadow's edge.

    Examples
    --------
    >>> light(image_generator(0, 3, 0), 112).shape
    (112, 112, 3)
    """
    at = (np.arange(28, dtype=np.float32) - 13.5) / 14
    nx, ny = np.meshgrid(at / 0.85, at / 1.1)
    away = np.sqrt(nx**2 + ny**2)
    shrink = np.minimum(1, 0.97 / np.maximum(away, 1e-3))
    nx, ny = nx * shrink, ny * shrink
    nz = np.sqrt(1 - nx**2 - ny**2)
    around, up = rng.uniform(-1.35, 1.35), rng.uniform(-0.5, 0.9)
    lamp = (np.sin(around) * np.cos(up), -np.sin(up), np.cos(around) * np.cos(up))
    ambient = rng.uniform(0.3, 0.8)
    lit = np.maximum(0, nx * lamp[0] + ny * lamp[1] + nz * lamp[2])
    lamp_color = np.exp(rng.normal(0, 0.1, 3))
    ambient_color = np.exp(rng.normal(0, 0.1, 3))
    if rng.random() < 0.2:
        angle, where = rng.uniform(0, 2 * np.pi), rng.uniform(-0.35, 0.35)
        lit = lit * np.where(nx * np.cos(angle) + ny * np.sin(angle) > where, 1.0, 0.45)
    total = ambient * ambient_color + (1.25 - ambient) * lit[:, :, None] * lamp_color
    total *= 128 * rng.uniform(0.75, 1.15)
    return cv2.resize(np.clip(total, 0, 255).astype(np.uint8), (size, size), interpolation=cv2.INTER_LINEAR)


def occlude(rng: np.random.Generator, picture: np.ndarray) -> None:
    """Sometimes draw an object over a part near the border of an image, uint8 (S, S, 3), in place.

    Examples
    --------
    >>> picture = np.full((112, 112, 3), 128, np.uint8)
    >>> occlude(image_generator(0, 3, 0), picture)
    >>> picture.shape
    (112, 112, 3)
    """
    if rng.random() > 0.25:
        return
    size = len(picture)
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.42, 0.6)
    center = 0.5 + far * np.array([np.cos(angle), np.sin(angle)])
    corners = np.sort(rng.uniform(0, 2 * np.pi, 6))
    radii = rng.uniform(0.12, 0.26, 6)
    points = center + radii[:, None] * np.column_stack([np.cos(corners), np.sin(corners)])
    cv2.fillPoly(picture, [np.rint(points * size).astype(np.int32)], tuple(map(float, rng.uniform(10, 245, 3))))


def develop(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Apply exposure, contrast, white balance, lens and sensor of one camera to an image, uint8 (S, S, 3).

    Examples
    --------
    >>> picture = np.full((112, 112, 3), 128, np.uint8)
    >>> develop(image_generator(0, 3, 0), picture).shape
    (112, 112, 3)
    """
    level = np.arange(256, dtype=np.float32)[:, None] / 255
    gain = np.exp(rng.normal(0, 0.11, 3)) * np.exp(rng.normal(0, 0.12))
    gamma = np.exp(rng.normal(0, 0.22))
    contrast, lift = rng.uniform(0.7, 1.15), rng.uniform(-0.05, 0.12)
    curve = np.clip(contrast * np.minimum(level * gain, 1.2) ** gamma + lift, 0, 1) * 255
    picture = cv2.LUT(picture, curve.astype(np.uint8)[:, None, :])
    kind = rng.random()
    size = len(picture)
    if kind < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 1.2) * size / 112)
    elif kind < 0.45:
        length = int(rng.integers(3, 6))
        kernel = np.zeros((length, length), dtype=np.float32)
        angle = rng.uniform(0, np.pi)
        reach = (length - 1) / 2 * np.array([np.cos(angle), np.sin(angle)])
        first, last = (length - 1) / 2 - reach, (length - 1) / 2 + reach
        cv2.line(kernel, tuple(np.rint(first).astype(int).tolist()), tuple(np.rint(last).astype(int).tolist()), 1.0)
        picture = cv2.filter2D(picture, -1, kernel / kernel.sum())
    elif kind < 0.55:
        low = int(size * rng.uniform(0.5, 0.75))
        picture = cv2.resize(cv2.resize(picture, (low, low), interpolation=cv2.INTER_AREA), (size, size))
    strength = max(0.0, rng.uniform(-6, 10))
    if strength:
        noise = rng.standard_normal((size, size), dtype=np.float32) * np.float32(strength)
        picture = cv2.add(picture, cv2.merge([noise] * 3), dtype=cv2.CV_8U)
    return picture


def jpeg_quality(rng: np.random.Generator) -> int:
    """Draw a JPEG quality.

    Examples
    --------
    >>> 35 <= jpeg_quality(image_generator(0, 3, 0)) < 96
    True
    """
    return int(rng.integers(35, 96))

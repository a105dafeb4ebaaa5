"""An image in several sizes on one canvas, for a network that slides a window over it."""

from __future__ import annotations

import cv2
import numpy as np

# Sides of a canvas are multiples of this: oneDNN keeps in memory what it prepares for a shape, so there must be few shapes.
_STEP = 64

Place = tuple  # (x, y, width, height) in pixels of the canvas


def pyramid(image: np.ndarray, scales: list[float]) -> tuple[np.ndarray, list[Place]]:
    """Resize the image to several scales and place all of them on one canvas.

    Every size starts at an even row and column, so the output of a network of stride 2 for a window within one size does not
    depend on the rest of the canvas.

    Parameters
    ----------
    image : np.ndarray, uint8 (H, W, 3)
    scales : list of float
        At most 1, in falling order; at least one.

    Returns
    -------
    canvas : np.ndarray, uint8 (h, w, 3)
        Black between the sizes; h and w are multiples of 64.
    places : list of (x, y, width, height)
        Where each size lies on the canvas.

    Examples
    --------
    >>> canvas, places = pyramid(np.zeros((100, 200, 3), np.uint8), [0.5, 0.25])
    >>> canvas.shape, places
    ((128, 128, 3), [(0, 0, 100, 50), (0, 50, 50, 25)])
    """
    sizes = [(int(np.ceil(image.shape[1] * scale)), int(np.ceil(image.shape[0] * scale))) for scale in scales]
    places, (width, height) = _arrange(sizes)
    height, width = (-(-length // _STEP) * _STEP for length in (height, width))
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    for number, (x, y, w, h) in enumerate(places):
        source, interpolation = image, cv2.INTER_AREA
        if number >= 2 and scales[number] >= 0.4 * scales[number - 2]:
            # Sampling a size about twice as large equals averaging the image, in less time.
            left, top, wide, high = places[number - 2]
            source, interpolation = canvas[top : top + high, left : left + wide], cv2.INTER_LINEAR
        cv2.resize(source, (w, h), dst=canvas[y : y + h, x : x + w], interpolation=interpolation)
    return canvas, places


def windows(place: Place, side: int, stride: int) -> tuple[slice, slice]:
    """Return the rows and columns of a network's output whose windows lie within one size on the canvas.

    Parameters
    ----------
    place : (x, y, width, height)
        From :func:`pyramid`.
    side, stride : int
        Of the network's windows, in pixels.

    Examples
    --------
    >>> windows((0, 50, 50, 25), side=12, stride=2)
    (slice(25, 32, None), slice(0, 20, None))
    """
    x, y, width, height = place
    rows = slice(y // stride, (y + height - side) // stride + 1)
    return rows, slice(x // stride, (x + width - side) // stride + 1)


def _arrange(sizes: list[tuple[int, int]]) -> tuple[list[Place], tuple[int, int]]:
    """Places of rectangles, largest first, in rows as wide as the first: each goes into the first row with enough room."""
    rows: list[list[int]] = []  # x where the free part begins, and y
    places, height = [], 0
    whole = sizes[0][0] + sizes[0][0] % 2
    for w, h in sizes:
        row = next((row for row in rows if whole - row[0] >= w), None)
        if row is None:
            row = [0, height]
            rows.append(row)
            height += h + h % 2
        places.append((row[0], row[1], w, h))
        row[0] += w + w % 2
    return places, (whole, height)

from __future__ import annotations

import cv2
import numpy as np

# Sides of a canvas are multiples of this: what oneDNN prepares for a shape stays in memory for good, so shapes must be few.
_STEP = 64


def pyramid(image, scales):
    """The image in several sizes, all on one canvas, so that a network without padding sees them in one go.

    Every size starts at an even row and column: what a network of stride 2 says of a window that lies within one size does not
    depend on the rest of the canvas.

    Parameters
    ----------
    image : uint8 (H, W, 3)
    scales : list of float
        At most 1, falling; at least one.

    Returns
    -------
    canvas : uint8 (h, w, 3)
        Black between the sizes; h and w are multiples of 64.
    places : list of (x, y, width, height)
        Of each size on the canvas.
    """
    sizes = [tuple(int(np.ceil(length * scale)) for length in image.shape[1::-1]) for scale in scales]
    places, (width, height) = _shelves(sizes)
    height, width = (-(-length // _STEP) * _STEP for length in (height, width))
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    for number, (x, y, w, h) in enumerate(places):
        source, how = image, cv2.INTER_AREA
        if number >= 2 and scales[number] >= 0.4 * scales[number - 2]:
            # From a size about twice as large, four pixels for each: the same picture as the image's average, in less time.
            left, top, wide, high = places[number - 2]
            source, how = canvas[top : top + high, left : left + wide], cv2.INTER_LINEAR
        cv2.resize(source, (w, h), dst=canvas[y : y + h, x : x + w], interpolation=how)
    return canvas, places


def windows(place, side, stride):
    """Rows and columns (slices) of a network's output on the canvas whose windows lie within one size.

    Parameters
    ----------
    place : (x, y, width, height)
        Of `pyramid`.
    side, stride : int
        Of the network's windows.
    """
    x, y, width, height = place
    return tuple(slice(at // stride, (at + length - side) // stride + 1) for at, length in ((y, height), (x, width)))


def _shelves(sizes):
    """Places of rectangles, largest first, in rows as wide as the first: each goes into the first row that has room."""
    room, places, height = [], [], 0
    whole = sizes[0][0] + sizes[0][0] % 2
    for w, h in sizes:
        shelf = next((each for each in room if whole - each[0] >= w), None)
        if shelf is None:
            shelf = [0, height]
            room.append(shelf)
            height += h + h % 2
        places.append((shelf[0], shelf[1], w, h))
        shelf[0] += w + w % 2
    return places, (whole, height)

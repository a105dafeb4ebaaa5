from __future__ import annotations

import math

import cv2
import numpy as np

from gluonfr.core.errors import GluonFRError

_GAP = 4
_CAPTION = 16
_PAPER, _INK = 255, 40
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.36


def contact_sheet(images, captions=None, columns=None, tile=112):
    """Many small pictures on one, row by row, each with a line of text below it.

    Parameters
    ----------
    images : sequence of uint8 arrays
        (H, W, 3) RGB or (H, W) grey, of any sizes. Each is scaled to fit its tile with its shape kept, and centered.
    captions : sequence of str, default None
        One an image. Letters outside ASCII, which OpenCV cannot draw, become "?"; what is wider than the tile is cut.
    columns : int, default None
        Tiles in a row; by default so many that the sheet is about a third wider than high.
    tile : int, default 112
        Side of a tile in pixels.

    Returns
    -------
    uint8 (H, W, 3) RGB

    Raises
    ------
    GluonFRError
        There are no images, one is no uint8 picture, or the captions are not one an image.
    """
    images = [_picture(image, number) for number, image in enumerate(images)]
    if not images:
        raise GluonFRError("images: a contact sheet needs at least one image; give some.")
    if captions is not None and len(captions) != len(images):
        raise GluonFRError(f"captions: {len(captions)} for {len(images)} images; give one an image.")
    if tile < 8 or (columns is not None and columns < 1):
        raise GluonFRError(f"a contact sheet needs tiles of 8 pixels or more and a column, got {tile} and {columns}.")
    columns = min(columns or math.ceil(math.sqrt(len(images) * 4 / 3)), len(images))
    rows = math.ceil(len(images) / columns)
    height = tile + _GAP + (_CAPTION if captions is not None else 0)
    width = tile + _GAP
    sheet = np.full((rows * height + _GAP, columns * width + _GAP, 3), _PAPER, dtype=np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * height + _GAP, number % columns * width + _GAP
        _place(sheet[top : top + tile, left : left + tile], image)
        if captions is not None:
            # A view of the strip, so that no letter reaches the neighbor.
            strip = np.ascontiguousarray(sheet[top + tile : top + tile + _CAPTION, left : left + tile])
            cv2.putText(strip, _ascii(captions[number]), (1, 11), _FONT, _FONT_SCALE, (_INK,) * 3, 1, cv2.LINE_AA)
            sheet[top + tile : top + tile + _CAPTION, left : left + tile] = strip
    return sheet


def _picture(image, number):
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim not in (2, 3) or not image.size:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise GluonFRError(f"images: number {number} must be uint8 (H, W, 3) or (H, W), got {got}; convert it first.")
    if image.ndim == 2:
        return np.repeat(image[:, :, None], 3, axis=2)
    if image.shape[2] != 3:
        raise GluonFRError(f"images: number {number} has {image.shape[2]} channels instead of 3; convert it to RGB first.")
    return image


def _place(space, image) -> None:
    tile = len(space)
    scale = tile / max(image.shape[:2])
    height, width = (max(1, min(tile, round(length * scale))) for length in image.shape[:2])
    if (height, width) != image.shape[:2]:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (tile - height) // 2, (tile - width) // 2
    space[top : top + height, left : left + width] = image


def _ascii(text):
    return "".join(letter if " " <= letter <= "~" else "?" for letter in str(text))

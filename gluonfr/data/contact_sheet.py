from __future__ import annotations

import math
from typing import Any, Sequence

import cv2
import numpy as np

from gluonfr.core.errors import UsageError

_GAP = 4
_CAPTION = 16
_BACKGROUND, _TEXT = 255, 40
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.36


def contact_sheet(
    images: Sequence[np.ndarray], captions: Sequence[Any] | None = None, columns: int | None = None, tile: int = 112
) -> np.ndarray:
    """Arrange many small images in rows on one image, each with a line of text below it.

    Parameters
    ----------
    images : sequence of np.ndarray
        uint8 (H, W, 3) RGB or (H, W) gray, of any sizes. Each is scaled to fit its tile with its aspect ratio, and centered.
    captions : sequence, optional
        One text per image. Letters outside ASCII, which OpenCV cannot draw, become "?"; text wider than the tile is cut off.
    columns : int, optional
        Tiles per row; by default the sheet is about a third wider than high.
    tile : int, default 112
        Side of a tile in pixels.

    Returns
    -------
    np.ndarray
        uint8 (H, W, 3), RGB.

    Raises
    ------
    UsageError
        There are no images, one is not a uint8 image, or the number of captions differs.

    Examples
    --------
    >>> contact_sheet([np.zeros((112, 112, 3), np.uint8)] * 6, columns=3).shape
    (236, 352, 3)
    """
    pictures = [_as_rgb(image, number) for number, image in enumerate(images)]
    if not pictures:
        raise UsageError("images: a contact sheet needs at least one image; pass some.")
    if captions is not None and len(captions) != len(pictures):
        raise UsageError(f"captions: {len(captions)} for {len(pictures)} images; pass one per image.")
    if tile < 8 or (columns is not None and columns < 1):
        raise UsageError(f"a contact sheet needs tile >= 8 and columns >= 1, got {tile} and {columns}.")
    columns = min(columns or math.ceil(math.sqrt(len(pictures) * 4 / 3)), len(pictures))
    rows = math.ceil(len(pictures) / columns)
    height = tile + _GAP + (_CAPTION if captions is not None else 0)
    width = tile + _GAP
    sheet = np.full((rows * height + _GAP, columns * width + _GAP, 3), _BACKGROUND, dtype=np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // columns * height + _GAP, number % columns * width + _GAP
        _place(sheet[top : top + tile, left : left + tile], picture)
        if captions is not None:
            # Drawn on a copy of the strip, so that no letter reaches the neighbor.
            strip = np.ascontiguousarray(sheet[top + tile : top + tile + _CAPTION, left : left + tile])
            cv2.putText(strip, _ascii(captions[number]), (1, 11), _FONT, _FONT_SCALE, (_TEXT,) * 3, 1, cv2.LINE_AA)
            sheet[top + tile : top + tile + _CAPTION, left : left + tile] = strip
    return sheet


def _as_rgb(image: Any, number: int) -> np.ndarray:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim not in (2, 3) or not image.size:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UsageError(f"images: number {number} must be uint8 (H, W, 3) or (H, W), got {got}; convert it first.")
    if image.ndim == 2:
        return np.repeat(image[:, :, None], 3, axis=2)
    if image.shape[2] != 3:
        raise UsageError(f"images: number {number} has {image.shape[2]} channels instead of 3; convert it to RGB first.")
    return image


def _place(space: np.ndarray, image: np.ndarray) -> None:
    tile = len(space)
    scale = tile / max(image.shape[:2])
    height, width = (max(1, min(tile, round(length * scale))) for length in image.shape[:2])
    if (height, width) != image.shape[:2]:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (tile - height) // 2, (tile - width) // 2
    space[top : top + height, left : left + width] = image


def _ascii(text: Any) -> str:
    return "".join(letter if " " <= letter <= "~" else "?" for letter in str(text))

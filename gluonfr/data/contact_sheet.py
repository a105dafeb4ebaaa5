from __future__ import annotations

import math
import textwrap
from typing import Any, Sequence

import cv2
import numpy as np

from gluonfr.core import UsageError, display_path
from gluonfr.data.lettering import font_and_text

_GAP, _GROUP_GAP = 4, 24
_CAPTION = 16
_BACKGROUND, _TEXT = 255, 40
_FONT_SIZE, _TITLE_SIZE, _LINE, _NARROWEST = 11, 14, 19, 360


def contact_sheet(
    images: Sequence[np.ndarray],
    captions: Sequence[Any] | None = None,
    columns: int | None = None,
    tile: int = 112,
    title: str = "",
    group: int = 0,
) -> np.ndarray:
    """Arrange many small images in rows on one image, each with a line of text below it.

    Parameters
    ----------
    images : sequence of np.ndarray
        uint8 (H, W, 3) RGB or (H, W) gray, of any sizes. Each is scaled to fit its tile with its aspect ratio, and centered.
    captions : sequence, optional
        One text per image, in any script for which the system has a font; wide texts are shortened in the middle.
    columns : int, optional
        Tiles per row; by default the sheet is about a third wider than high.
    tile : int, default 112
        Side of a tile in pixels.
    title : str, default ''
        Lines of text above the images.
    group : int, default 0
        Number of neighboring images that belong together; there is a wide gap after each group. 0: no groups.

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
    lefts = [_GAP + (tile + _GAP) * column + (_GROUP_GAP * (column // group) if group else 0) for column in range(columns)]
    heading = _heading(title, lefts[-1] + tile + _GAP)
    sheet = np.full((len(heading) + rows * height + _GAP, heading.shape[1], 3), _BACKGROUND, dtype=np.uint8)
    sheet[: len(heading)] = heading
    for number, picture in enumerate(pictures):
        top, left = len(heading) + number // columns * height + _GAP, lefts[number % columns]
        _place(sheet[top : top + tile, left : left + tile], picture)
        if captions is not None:
            sheet[top + tile : top + tile + _CAPTION, left : left + tile] = _caption(str(captions[number]), tile)
    return sheet


def _heading(title: str, width: int) -> np.ndarray:
    """Draw the lines of a title, wrapped; the strip is at least `width` wide, and empty without a title."""
    from PIL import Image, ImageDraw

    width = max(width, _NARROWEST if title else 0)
    paragraphs = title.splitlines()
    lines = [line for text in paragraphs for line in textwrap.wrap(display_path(text), max(20, (width - 2 * _GAP) // 8))]
    strip = Image.new("RGB", (width, len(lines) * _LINE + (_GAP if lines else 0)), (_BACKGROUND,) * 3)
    for number, line in enumerate(lines):
        font, shown = font_and_text(line, _TITLE_SIZE)
        ImageDraw.Draw(strip).text((_GAP, _GAP + number * _LINE), shown, fill=(_TEXT,) * 3, font=font)
    return np.asarray(strip).reshape(-1, width, 3)


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


def _caption(text: str, width: int) -> np.ndarray:
    """Draw one line of text on a strip, so that no letter reaches the neighbor."""
    from PIL import Image, ImageDraw

    strip = Image.new("L", (width, _CAPTION), _BACKGROUND)
    font, text = font_and_text(display_path(text), _FONT_SIZE)
    # Shortened in the middle, because the beginnings and ends of file names distinguish them.
    shown, removed = text, 0
    while font.getlength(shown) > width and removed < len(text):
        removed += 1
        half = (len(text) - removed) // 2
        shown = f"{text[:half]}…{text[len(text) - half :] if half else ''}"
    ImageDraw.Draw(strip).text((0, 0), shown, fill=_TEXT, font=font)
    return np.repeat(np.asarray(strip)[:, :, None], 3, axis=2)

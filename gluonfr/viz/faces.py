from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gluonfr.align.image_checks import require_rgb
from gluonfr.core import display_path
from gluonfr.data.lettering import font_and_text

_KNOWN_COLOR, _UNKNOWN_COLOR = (20, 160, 60), (200, 60, 30)
_MAX_CAPTION = 40


def draw_faces(image: Any, boxes: Sequence[Any], captions: Sequence[str], known: Sequence[bool]) -> np.ndarray:
    """Draw a box around each face of a photo, with a line of text below it.

    Parameters
    ----------
    image : (H, W, 3) uint8 array or NDArray
        RGB; it is not changed.
    boxes : sequence of (x0, y0, x1, y1)
        In pixels.
    captions : sequence of str
        Any text. Characters that cannot be printed are drawn as escapes, and long texts are shortened.
    known : sequence of bool
        True draws the box in green, False in red.

    Returns
    -------
    (H, W, 3) uint8
        RGB.

    Raises
    ------
    UsageError
        The image has another type or shape.

    Examples
    --------
    >>> import numpy as np
    >>> photo = np.zeros((80, 80, 3), np.uint8)
    >>> draw_faces(photo, [(10, 10, 60, 60)], ["Ann 0.71"], [True]).shape
    (80, 80, 3)
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(require_rgb(image).copy())
    draw = ImageDraw.Draw(picture)
    line = max(2, round(min(picture.size) / 300))
    for box, caption, is_known in zip(boxes, captions, known):
        color = _KNOWN_COLOR if is_known else _UNKNOWN_COLOR
        x0, y0, x1, y1 = (float(value) for value in box)
        draw.rectangle((x0, y0, x1, y1), outline=color, width=line)
        text = display_path(caption)
        text = text if len(text) <= _MAX_CAPTION else text[: _MAX_CAPTION - 1] + "…"
        font, text = font_and_text(text, int(min(max(12, (x1 - x0) / 6), 48)))
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        # Below the box, or inside it at the lower border of the photo, and always between the photo's sides.
        x = max(0, min(x0, picture.width - (right - left) - 2 * line))
        y = min(y1, picture.height - (bottom - top) - 2 * line)
        draw.rectangle((x, y, x + right - left + 2 * line, y + bottom - top + 2 * line), fill=color)
        draw.text((x + line - left, y + line - top), text, fill="white", font=font)
    return np.asarray(picture)

from __future__ import annotations

import os

import numpy as np

from gluonfr.align.image_checks import require_rgb
from gluonfr.core import display_path

_KNOWN, _UNKNOWN = (20, 160, 60), (200, 60, 30)
_LONGEST = 40


def draw_faces(image, boxes, captions, known):
    """A photo with a box around each face and a line of text below it.

    Parameters
    ----------
    image : uint8 (H, W, 3) array or NDArray
        RGB; it is not changed.
    boxes : sequence of (x0, y0, x1, y1)
        In pixels.
    captions : sequence of str
        Any text; what cannot be printed is drawn as its escapes, what is long is cut.
    known : sequence of bool
        Decides the color.

    Returns
    -------
    uint8 (H, W, 3) RGB

    Raises
    ------
    GluonFRError
        The image is something else.
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(require_rgb(image).copy())
    draw = ImageDraw.Draw(picture)
    line = max(2, round(min(picture.size) / 300))
    for box, caption, sure in zip(boxes, captions, known):
        color = _KNOWN if sure else _UNKNOWN
        x0, y0, x1, y1 = (float(each) for each in box)
        draw.rectangle((x0, y0, x1, y1), outline=color, width=line)
        font = _font(int(min(max(12, (x1 - x0) / 6), 48)))
        text = display_path(caption)
        text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        # Below the box, or in it where the photo ends, and never beyond the photo's sides.
        x = max(0, min(x0, picture.width - (right - left) - 2 * line))
        y = min(y1, picture.height - (bottom - top) - 2 * line)
        draw.rectangle((x, y, x + right - left + 2 * line, y + bottom - top + 2 * line), fill=color)
        draw.text((x + line - left, y + line - top), text, fill="white", font=font)
    return np.asarray(picture)


def _font(size):
    import matplotlib
    from PIL import ImageFont

    # It comes with matplotlib and knows Latin, Greek, Cyrillic and more; OpenCV draws ASCII alone.
    return ImageFont.truetype(os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)

"""Fonts for names in any script: the one that Matplotlib includes, or one of the system's that has the letters."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Any

# Fonts for many scripts, which are asked first.
_WIDE = re.compile(r"cjk|noto ?sans|wqy|droidsansfallback|arial ?uni|msgothic|msyh|simhei|pingfang|hiragino|malgun", re.I)


def font_and_text(text: str, size: int) -> tuple[Any, str]:
    """Return a Pillow font for a text, and the text with "?" for letters that no font on the system has.

    Parameters
    ----------
    text : str
        One line.
    size : int
        Size of the font in pixels.

    Examples
    --------
    >>> font, text = font_and_text("Łukasz", 12)
    >>> text
    'Łukasz'
    """
    from PIL import ImageFont

    path = _included_font()
    missing = frozenset(letter for letter in text if ord(letter) not in _letters(path))
    if missing:
        path = _font_with(missing, tuple(_system_fonts()))
    known = _letters(path)
    return ImageFont.truetype(path, size), "".join(letter if ord(letter) in known else "?" for letter in text)


@lru_cache(maxsize=256)
def _font_with(letters: frozenset[str], fonts: tuple[str, ...]) -> str:
    """Return the first font that has all letters, or else the one that has most of them."""
    best, most = _included_font(), 0
    for path in fonts:
        count = sum(ord(letter) in _letters(path) for letter in letters)
        if count > most:
            best, most = path, count
        if count == len(letters):
            break
    return best


@lru_cache(maxsize=1)
def _system_fonts() -> list[str]:
    from matplotlib.font_manager import findSystemFonts

    return sorted(findSystemFonts(), key=lambda path: (not _WIDE.search(os.path.basename(path)), path))


@lru_cache(maxsize=64)
def _letters(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except RuntimeError:
        return frozenset()


def _included_font() -> str:
    import matplotlib

    return os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")

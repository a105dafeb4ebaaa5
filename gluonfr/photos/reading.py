from __future__ import annotations

import io
import os
import stat
import warnings

import cv2
import numpy as np
from PIL import Image

# Photos are reduced to this longest side: a face that matters is still larger than its crop, and a detector stays quick.
LONGEST_SIDE = 2048
SMALLEST_SIDE = 16
MOST_BYTES = 1 << 29
# What is decoded at full size must fit into memory. JPEG is decoded reduced, where Pillow's own bound (179 million) holds.
MOST_PIXELS = 100_000_000

# Pillow knows more, some of which calls other programs.
_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000")
_ORIENTATION = 0x0112
_HEIC = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1", b"ftyphevc")


class PhotoError(Exception):
    """Why a photo is left out: `reason`, one of a few words, and `detail`, which says more."""

    def __init__(self, reason, detail="") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def read_file(path):
    """The bytes of an ordinary file of sensible size; anything else raises PhotoError."""
    try:
        # A pipe would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise PhotoError("unreadable", "no ordinary file")
            if status.st_size > MOST_BYTES:
                raise PhotoError("too large", f"{status.st_size} bytes")
            content = file.read()
    except OSError as error:
        raise PhotoError("unreadable", error.strerror or str(error)) from error
    if not content:
        raise PhotoError("unreadable", "empty file")
    return content


class Photo:
    """An image file, of which only the header is read at first.

    Parameters
    ----------
    content : bytes
        The file: JPEG, PNG, WebP, BMP, GIF, TIFF, PNM, and AVIF and JPEG 2000 where Pillow has them.

    Attributes
    ----------
    format : str
        'JPEG', 'PNG', ...
    size : (H, W)
        As stored, before it is turned upright.

    Raises
    ------
    PhotoError
        It is no image, too large or too small; from `pixels` also when it is damaged.
    """

    def __init__(self, content) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                Image.init()
                self._image = Image.open(io.BytesIO(content), formats=[each for each in _FORMATS if each in Image.OPEN])
            except Image.DecompressionBombError as error:
                raise PhotoError("too large", "more pixels than a photo has") from error
            except Image.UnidentifiedImageError as error:
                heic = any(content[4:12] == each for each in _HEIC)
                raise PhotoError("no image", "HEIC: save it as JPEG" if heic else "no known image format") from error
            # Readers of damaged files fail in any way that Python knows.
            except Exception as error:
                raise PhotoError("unreadable", _reason(error)) from error
        self.format = "JPEG" if self._image.format == "MPO" else self._image.format
        width, height = self._image.size
        self.size = height, width
        if min(self.size) < SMALLEST_SIDE:
            raise PhotoError("too small", f"{height}x{width} pixels")
        if self.format != "JPEG" and width * height > MOST_PIXELS:
            raise PhotoError("too large", f"{height}x{width} pixels")

    @property
    def plain(self):
        """Whether every reader sees the same pixels in the file: 8 bits, RGB or grey, no transparency, stored upright."""
        transparent = "transparency" in self._image.info
        return self._image.mode in ("RGB", "L") and not transparent and self._orientation() == 1

    def pixels(self):
        """uint8 (H, W, 3) RGB: the first frame, upright, on white where it is transparent, at most LONGEST_SIDE a side."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if self.format == "JPEG":
                    # A quarter or an eighth of the pixels, still at least as large as needed.
                    self._image.draft(None, tuple(_bounded(self._image.size)))
                self._image.load()
                turned = self._orientation()
                pixels = _rgb(self._image)
            except PhotoError:
                raise
            # As above.
            except Exception as error:
                raise PhotoError("unreadable", _reason(error)) from error
        if max(pixels.shape[:2]) > LONGEST_SIDE:
            pixels = cv2.resize(pixels, _bounded(pixels.shape[1::-1]), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(_upright(pixels, turned))

    def _orientation(self):
        try:
            orientation = self._image.getexif().get(_ORIENTATION, 1)
        # A damaged EXIF block is no reason to lose the photo.
        except Exception:
            return 1
        return orientation if orientation in range(1, 9) else 1


def _bounded(size):
    scale = min(1, LONGEST_SIDE / max(size))
    return tuple(max(1, round(length * scale)) for length in size)


def _rgb(image):
    if image.mode.startswith("I"):
        values = np.asarray(image)
        # 16 bits, which convert() would clip instead of scale; some versions of Pillow read them as 32.
        values = values >> 8 if image.mode.startswith("I;16") or values.max() > 255 else values
        return np.repeat(np.clip(values, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise PhotoError("unreadable", "floating-point pixels")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    return np.asarray(image.convert("RGB"))


def _upright(pixels, orientation):
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    # What is stored: rows from the bottom in 3, 4, 7, 8, after the transposition columns from the right in 2, 3, 6, 7.
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _reason(error):
    text = " ".join(str(error).split())
    return (text or type(error).__name__)[:200]

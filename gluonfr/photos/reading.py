"""Reading photos: image files of any common format to upright RGB pixels."""

from __future__ import annotations

import importlib
import io
import os
import stat
import warnings
from functools import lru_cache

import numpy as np
from PIL import Image

from gluonfr.data.image_limits import MAX_SCANS, count_jpeg_scans, image_size
from gluonfr.photos.crop_mark import marked_template
from gluonfr.photos.exif_orientation import read_orientation, rotate_by_orientation
from gluonfr.photos.find import HEIC_BRANDS, begins_like_video

SMALLEST_SIDE = 16
MOST_BYTES = 1 << 29
# The pixels of a photo must fit into memory; Pillow has a limit of its own, 179 million, which alone holds for JPEG.
MOST_PIXELS = 100_000_000
# Decoding JPEG 2000 takes four bytes per pixel and channel, twice.
MOST_JPEG2000_PIXELS = 50_000_000

# Pillow knows more formats, some of which call other programs.
_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000", "HEIF")


class PhotoError(Exception):
    """A photo that cannot be used.

    Parameters
    ----------
    reason : str
        One of a few words, such as 'no face', 'too small' or 'unreadable'.
    detail : str, default ''
        More about the reason.

    Examples
    --------
    >>> str(PhotoError("too small", "a face of 20 pixels"))
    'too small (a face of 20 pixels)'
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


def read_file(path: str | os.PathLike) -> bytes:
    """Read a regular file of at most 512 MB.

    Raises
    ------
    PhotoError
        The file is missing, unreadable, empty, too large or not a regular file.

    Examples
    --------
    >>> len(read_file(__file__)) > 100
    True
    """
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise PhotoError("unreadable", "not a regular file")
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
        The file: JPEG, PNG, WebP, BMP, GIF, TIFF, PNM; AVIF and JPEG 2000 where Pillow supports them; HEIC where the package
        pi-heif or pillow-heif is installed.

    Attributes
    ----------
    format : str
        'JPEG', 'PNG', ...
    size : (H, W)
        As stored, before the EXIF orientation is applied.
    crop_template : str
        Template of an aligned crop that this toolkit wrote; '' for a photo, whatever its size.

    Raises
    ------
    PhotoError
        The content is not an image, or too large or too small; from `pixels` also when it is damaged.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("L", (40, 30)).save(file, "PNG")
    >>> photo = Photo(file.getvalue())
    >>> photo
    Photo(PNG, 30x40)
    >>> photo.pixels().shape
    (30, 40, 3)
    """

    def __init__(self, content: bytes) -> None:
        if content[:1] == b"P" and content[1:2].isdigit() and image_size(content) is None:
            raise PhotoError("unreadable", "no size in its header")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self._image = Image.open(io.BytesIO(content), formats=_known_formats())
            except Image.DecompressionBombError as error:
                raise PhotoError("too large", "more than 179 million pixels") from error
            except Image.UnidentifiedImageError as error:
                raise _unknown(content) from error
            except Exception as error:  # readers of damaged files fail in any way
                raise PhotoError("unreadable", _describe(error)) from error
        self.format: str = "JPEG" if self._image.format == "MPO" else self._image.format or ""
        self.crop_template = marked_template(content)
        width, height = self._image.size
        self.size = height, width
        if min(self.size) < SMALLEST_SIDE:
            raise PhotoError("too small", f"{height}x{width} pixels")
        most = MOST_JPEG2000_PIXELS if self.format == "JPEG2000" else MOST_PIXELS
        if self.format != "JPEG" and width * height > most:
            raise PhotoError("too large", f"{height}x{width} pixels")
        # A marker may also occur within a thumbnail; only then are the scans counted one by one.
        suspicious = self.format == "JPEG" and content.count(b"\xff\xda") > MAX_SCANS
        scans = count_jpeg_scans(content) if suspicious else 0
        if scans > MAX_SCANS:
            raise PhotoError("too large", f"{scans} scans (at most {MAX_SCANS} are read)")

    def __repr__(self) -> str:
        return f"Photo({self.format}, {self.size[0]}x{self.size[1]})"

    @property
    def plain(self) -> bool:
        """Whether every reader sees the same pixels in the file: 8 bits, RGB or gray, no transparency, stored upright."""
        transparent = "transparency" in self._image.info
        return self._image.mode in ("RGB", "L") and not transparent and read_orientation(self._image) == 1

    def pixels(self) -> np.ndarray:
        """Return uint8 (H, W, 3) RGB: the first frame, upright, transparent parts on white."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self._image.load()
                orientation = read_orientation(self._image)
                pixels = _to_rgb(self._image)
            except PhotoError:
                raise
            except Exception as error:  # as above
                raise PhotoError("unreadable", _describe(error)) from error
        return np.ascontiguousarray(rotate_by_orientation(pixels, orientation))


@lru_cache(maxsize=None)
def _known_formats() -> tuple[str, ...]:
    Image.init()
    for name in ("pi_heif", "pillow_heif"):
        try:
            importlib.import_module(name).register_heif_opener()
            break
        except ImportError:
            continue
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):
        values = np.asarray(image)
        # 16 bits, which convert() would clip instead of scale; some versions of Pillow read them as 32.
        values = values >> 8 if image.mode.startswith("I;16") or values.max() > 255 else values
        return np.repeat(np.clip(values, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise PhotoError("unreadable", "floating-point pixels")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _unknown(content: bytes) -> PhotoError:
    """Return the error for a file that no reader recognizes."""
    heic, avif = content[4:8] == b"ftyp" and content[8:12] in HEIC_BRANDS, content[4:12] == b"ftypavif"
    if (heic and "HEIF" in _known_formats()) or (avif and "AVIF" in _known_formats()):
        return PhotoError("unreadable", "truncated or damaged")
    if heic:
        return PhotoError("no image", "HEIC: install pi-heif, or save it as JPEG")
    if avif:
        return PhotoError("no image", "AVIF: update Pillow to 11.3, or save it as JPEG")
    return PhotoError("no image", "a video" if begins_like_video(content[:200]) else "unknown image format")


def _describe(error: Exception) -> str:
    text = " ".join(str(error).split())
    return (text or type(error).__name__)[:200]

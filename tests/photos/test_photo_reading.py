import importlib.util
import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from gluonfr.photos import reading
from gluonfr.photos.reading import Photo, PhotoError, read_file

SMOOTH = np.stack(np.broadcast_arrays(np.arange(60)[:, None] * 4, np.arange(80)[None] * 3, 128), -1).astype(np.uint8)


def save(image, kind, **options):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
    return file.getvalue()


def refusal(content):
    with pytest.raises(PhotoError) as caught:
        Photo(content).pixels()
    return caught.value.reason, caught.value.detail


def near(a, b, tolerance):
    return a.shape == b.shape and np.abs(a.astype(int) - b).max() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    content = save(SMOOTH, kind, exif=exif, **options)
    photo = Photo(content)
    assert photo.plain == (orientation == 1)
    # The eight orientations by the standard, which defines where the first row and column lie.
    rows, columns = SMOOTH[::-1], SMOOTH[:, ::-1]
    turned = SMOOTH.transpose(1, 0, 2)
    expected = {
        1: SMOOTH,
        2: columns,
        3: rows[:, ::-1],
        4: rows,
        5: turned,
        6: turned[:, ::-1],
        7: turned[::-1, ::-1],
        8: turned[::-1],
    }[orientation]
    assert near(photo.pixels(), expected, 6)
    if kind == "JPEG":
        opencv = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        assert near(photo.pixels(), opencv, 6)
    assert near(photo.pixels(), np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")), 6)


def test_damaged_exif_block_does_not_lose_the_photo():
    content = save(SMOOTH, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert Photo(content).pixels().shape == (60, 80, 3)


def test_gray_photos_of_1_8_and_16_bits():
    grey = SMOOTH[:, :, 0]
    for kind in ("PNG", "TIFF", "BMP"):
        assert (Photo(save(grey, kind)).pixels() == grey[:, :, None]).all()
    deep = (grey.astype(np.uint16) << 8) | 0x37
    assert deep.max() > 40000
    for kind in ("PNG", "TIFF"):
        assert (Photo(save(deep, kind)).pixels() == grey[:, :, None]).all()
    encoded = cv2.imencode(".png", np.repeat(deep[:, :, None], 3, axis=2))[1].tobytes()
    assert (Photo(encoded).pixels() == grey[:, :, None]).all()
    bits = Image.fromarray(grey > 100)
    assert set(np.unique(Photo(save(bits, "PNG")).pixels())) == {0, 255}


def test_cmyk_is_not_inverted():
    red = Image.new("RGB", (40, 30), (220, 20, 30)).convert("CMYK")
    pixels = Photo(save(red, "JPEG", quality=95)).pixels()
    assert near(pixels, np.full((30, 40, 3), (220, 20, 30)), 12)


def test_transparent_parts_are_white():
    rgba = np.dstack([SMOOTH, np.full(SMOOTH.shape[:2], 255, np.uint8)])
    rgba[:20, :, 3] = 0
    rgba[20:40, :, 3] = 128
    pixels = Photo(save(rgba, "PNG")).pixels()
    assert (pixels[:20] == 255).all()
    assert (pixels[40:] == SMOOTH[40:]).all()
    assert near(pixels[20:40], (SMOOTH[20:40].astype(int) * 128 + 255 * 127) / 255, 1)
    palette = Image.fromarray(SMOOTH).quantize(8)
    first = int(np.asarray(palette)[0, 0])
    shown = Photo(save(palette, "PNG", transparency=first)).pixels()
    assert (shown[0, 0] == 255).all()
    assert (Photo(save(Image.fromarray(rgba[:, :, [0, 3]], "LA"), "PNG")).pixels()[:20] == 255).all()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame_of_several_is_read(kind):
    frames = [Image.new("RGB", (32, 24), color) for color in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = save(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert near(Photo(content).pixels(), np.full((24, 32, 3), (200, 0, 0)), 3)


def test_large_photos_keep_their_size():
    wide = cv2.resize(SMOOTH, (3000, 750), interpolation=cv2.INTER_LINEAR)
    for kind in ("JPEG", "PNG"):
        pixels = Photo(save(wide, kind)).pixels()
        assert near(pixels, wide, 6)


def png_header(width, height):
    """A PNG that announces a size and holds next to nothing."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(20_000, 20_000), (2**31 - 1, 2**31 - 1), (11_000, 10_000)])
def test_decompression_bombs_are_refused_by_their_header(size):
    reason, detail = refusal(png_header(*size))
    assert reason == "too large"
    assert "pixels" in detail


@pytest.mark.full
def test_jpeg_of_150_million_pixels_is_read():
    content = save(np.full((10_000, 15_000, 3), 77, np.uint8), "JPEG")
    pixels = Photo(content).pixels()
    assert pixels.shape == (10_000, 15_000, 3)
    assert abs(int(pixels[5000, 5000, 0]) - 77) <= 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"hello, this is a text file\n" * 10, "no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n", "no image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "no image"),
        (save(SMOOTH, "JPEG")[:700], "unreadable"),
        (save(np.random.RandomState(0).randint(0, 256, (60, 80, 3), np.uint8), "PNG")[:9000], "unreadable"),
        (save(SMOOTH[:10, :40], "PNG"), "too small"),
        (save(Image.fromarray(np.full((30, 30), 0.5, np.float32)), "TIFF"), "unreadable"),
    ],
)
def test_unusable_photos_are_refused_with_a_reason(content, reason):
    found, detail = refusal(content)
    readable = b"heic" in content and importlib.util.find_spec("pi_heif") is not None
    assert found == ("unreadable" if readable else reason)
    assert detail
    assert len(detail.splitlines()) == 1
    if b"heic" in content and not readable:
        assert "JPEG" in detail


def test_damaged_files_raise_photo_errors_only():
    rng = np.random.RandomState(1)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"):
        whole = save(SMOOTH, kind)
        for _ in range(60):
            content = bytearray(whole)
            for place in rng.randint(0, len(whole), 20):
                content[place] = rng.randint(256)
            try:
                pixels = Photo(bytes(content)).pixels()
            except PhotoError:
                continue
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 3


def test_unreadable_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("pipe", "empty", "dangling", "missing", "."):
        with pytest.raises(PhotoError) as caught:
            read_file(str(tmp_path / name))
        assert caught.value.reason == "unreadable"
        assert caught.value.detail
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(2**30)
    with pytest.raises(PhotoError, match="too large"):
        read_file(str(tmp_path / "sparse"))


def test_headers_of_pnm_files_with_endless_comments_are_refused():
    header = b"P6\n" + b"#x\n" * 4000 + b"16 16\n255\n"
    with pytest.raises(PhotoError, match="unreadable"):
        Photo(header + bytes(3 * 16 * 16))
    assert Photo(b"P6\n#x\n16 17\n255\n" + bytes(3 * 16 * 17)).size == (17, 16)


def test_jpeg_2000_has_a_lower_limit_of_pixels(monkeypatch):
    file = io.BytesIO()
    Image.new("L", (64, 48)).save(file, "JPEG2000")
    assert Photo(file.getvalue()).pixels().shape == (48, 64, 3)
    monkeypatch.setattr(reading, "MOST_JPEG2000_PIXELS", 3000)
    with pytest.raises(PhotoError, match="too large"):
        Photo(file.getvalue())

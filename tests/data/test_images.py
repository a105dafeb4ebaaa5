import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from gluonfr.core import DataError
from gluonfr.data.image_limits import MAX_PIXELS, MAX_SCANS, count_jpeg_scans, exceeded_limit, image_size
from gluonfr.data.images import decode, encode, jpeg_reduction

PICTURE = cv2.resize(np.random.RandomState(0).randint(0, 256, (4, 4, 3), np.uint8), (60, 40))


def save(kind, **options):
    content = io.BytesIO()
    Image.fromarray(PICTURE).save(content, kind, **options)
    return content.getvalue()


def scan_many(content, scans):
    """Repeat the last scan of a progressive JPEG."""
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * scans + b"\xff\xd9"


def png_of_size(width, height):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def jpeg_of_size(width, height):
    content = bytearray(save("JPEG"))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
def test_the_size_is_read_from_the_header(kind):
    assert image_size(save(kind)) == (40, 60)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"text", b"BM" + bytes(50)])
def test_a_damaged_header_has_no_size(content):
    assert image_size(content) is None
    with pytest.raises(DataError, match="it does not decode"):
        decode(content, "it")


def test_formats_that_store_their_size_twice_are_not_read():
    with pytest.raises(DataError, match="it does not decode"):
        decode(save("JPEG2000"), "it")


@pytest.mark.parametrize(
    ("shorter_side", "reduction"), [(402, 1), (201, 1), (200.5, 2), (101, 2), (100, 4), (50, 8), (1, 8), (float("nan"), 1)]
)
def test_a_jpeg_is_reduced_as_far_as_its_shorter_side_keeps_the_pixels(shorter_side, reduction):
    content = encode(cv2.resize(PICTURE, (603, 401)))
    assert jpeg_reduction(content, shorter_side) == reduction
    assert min(decode(content, "it", reduction).shape[:2]) >= min(shorter_side, 401) or reduction == 1


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(("reduction", "shape"), [(1, (40, 60)), (2, (20, 30)), (4, (10, 15)), (8, (5, 8))])
def test_jpegs_are_decoded_at_a_part_of_their_size(progressive, reduction, shape):
    decoded = decode(save("JPEG", progressive=progressive), "it", reduction)
    assert decoded.shape == (*shape, 3)
    expected = cv2.resize(PICTURE, shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(decoded.astype(int) - expected).mean() < 12


def test_other_formats_than_jpeg_are_not_reduced():
    assert [jpeg_reduction(save(kind), 1) for kind in ("JPEG", "PNG", "WEBP")] == [8, 1, 1]
    assert jpeg_reduction(b"\xff\xd8", 1) == 1


def test_scans_are_counted_without_thumbnails():
    assert count_jpeg_scans(save("JPEG")) == 1
    progressive = save("JPEG", progressive=True)
    scans = count_jpeg_scans(progressive)
    assert scans > 1
    assert count_jpeg_scans(scan_many(progressive, 7)) == scans + 7
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + 400) + b"\xff\xda" * 200
    with_thumbnail = progressive[:2] + thumbnail + progressive[2:]
    assert count_jpeg_scans(with_thumbnail) == scans
    assert (decode(with_thumbnail, "it") == decode(progressive, "it")).all()
    assert count_jpeg_scans(save("PNG")) == 0


def test_fill_bytes_and_garbage_between_segments_hide_no_scan():
    progressive = save("JPEG", progressive=True)
    scans = count_jpeg_scans(progressive)
    assert count_jpeg_scans(progressive.replace(b"\xff\xda", b"\xff\xff\xff\xda")) == scans
    assert count_jpeg_scans(progressive[:2] + b"garbage" + progressive[2:]) == scans
    assert image_size(progressive[:2] + b"garbage" + progressive[2:]) == (40, 60)


def test_images_beyond_the_limits_are_refused_before_decoding(monkeypatch):
    side = int(MAX_PIXELS**0.5)
    crafted = [jpeg_of_size(side, side + 1), png_of_size(60_000, 60_000), scan_many(save("JPEG", progressive=True), MAX_SCANS)]
    monkeypatch.setattr(cv2, "imdecode", None)
    for content, words in zip(crafted, ("4097x4096 pixels", "60000x60000 pixels", "scans")):
        with pytest.raises(DataError, match=f"train.rec: image 7 has .*{words}.*at most"):
            decode(content, "train.rec: image 7")


def test_limits_are_inclusive():
    content = save("JPEG")
    assert not exceeded_limit(content, (40, 60), max_pixels=2400)
    assert exceeded_limit(content, (40, 60), max_pixels=2399)
    progressive = save("JPEG", progressive=True)
    scans = count_jpeg_scans(progressive)
    assert not exceeded_limit(progressive, (40, 60), max_scans=scans)
    assert exceeded_limit(progressive, (40, 60), max_scans=scans - 1)


def test_png_with_chunks_beyond_its_end_is_refused_before_it_is_decoded(monkeypatch):
    content = cv2.imencode(".png", np.full((4, 6, 3), 9, np.uint8))[1].tobytes()
    place = content.index(b"IDAT")
    broken = content[: place - 4] + (0x7FFFFFF0).to_bytes(4, "big") + content[place:]
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    for damaged in (broken, content[:-1], content[:8] + content[8:33] * 2 + content[33:]):
        with pytest.raises(DataError, match="does not decode"):
            decode(damaged, "x.png")


def test_animated_png_is_read_as_its_first_frame():
    file = io.BytesIO()
    frames = [Image.new("RGB", (6, 4), color) for color in ("red", "blue", "lime")]
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    content = file.getvalue()
    assert b"acTL" in content
    assert decode(content, "x.png").tolist() == np.array(frames[0]).tolist()
    assert decode(content + b"more", "x.png").shape == (4, 6, 3)

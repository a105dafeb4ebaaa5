"""What is a crop and what is a photo: the mark of crops that were packed, never the size."""

import io

import numpy as np
import pytest
from PIL import Image

from gluonfr.core import Card, DataError
from gluonfr.data.images import encode
from gluonfr.deploy import Embedder, RawPixels
from gluonfr.photos.crop_mark import mark_crop, marked_template
from gluonfr.photos.faces import is_crop
from gluonfr.photos.packing import make_cropper
from gluonfr.photos.reading import Photo

NOISE = np.random.RandomState(0).randint(0, 256, (112, 112, 3), np.uint8)
CROP = mark_crop(encode(NOISE), "arcface")


def test_mark_changes_no_pixel_and_every_reader_opens_it():
    assert (Photo(CROP).pixels() == Photo(encode(NOISE)).pixels()).all()
    assert Photo(CROP).crop_template == "arcface"
    assert Photo(encode(NOISE)).crop_template == ""
    assert Image.open(io.BytesIO(CROP)).info["comment"].startswith(b"gluonfr aligned crop arcface")


def test_changed_copies_of_a_crop_are_photos():
    # Pillow copies the comment of an image to what is made of it.
    crop, copy = Image.open(io.BytesIO(CROP)), io.BytesIO()
    crop.transpose(Image.Transpose.ROTATE_180).save(copy, "JPEG", comment=crop.info["comment"])
    assert b"gluonfr aligned crop" in copy.getvalue()
    assert marked_template(copy.getvalue()) == ""


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", CROP[:40], b"\xff\xd8\xff\xe0\xff\xff", b"\x89PNG\r\n\x1a\n"])
def test_other_files_have_no_mark(content):
    assert marked_template(content) == ""


@pytest.mark.parametrize(
    ("card", "mark", "size", "expected"),
    [
        (Card(), "", (112, 112), False),
        (Card(), "arcface", (112, 112), True),
        (Card(image_size=(150, 150), template="dlib"), "arcface", (112, 112), True),
        (Card(image_size=(150, 150), template="dlib"), "dlib", (150, 150), True),
        # Crops of another template than ArcFace's are not aligned again, so a face is searched on them.
        (Card(), "dlib", (150, 150), False),
        (Card(image_size=(96, 96), template="dlib"), "dlib", (150, 150), False),
    ],
)
def test_marked_crops_are_crops_for_the_networks_that_can_use_them(card, mark, size, expected):
    embedder, pixels = Embedder(RawPixels(), card), np.zeros((*size, 3), np.uint8)
    assert is_crop(embedder, pixels, None, mark) is expected
    assert is_crop(embedder, pixels, False, mark) is False
    assert is_crop(embedder, pixels, True, mark) is True


def test_embedder_uses_marked_files_as_they_are(tmp_path):
    (tmp_path / "crop.jpg").write_bytes(CROP)
    (tmp_path / "photo.jpg").write_bytes(encode(NOISE))
    embedder = Embedder(RawPixels(), Card(image_size=(112, 112)))
    assert (embedder.crop(tmp_path / "crop.jpg") == Photo(CROP).pixels()).all()
    with pytest.raises(DataError, match="no face"):
        embedder.crop(tmp_path / "photo.jpg")
    with pytest.raises(DataError, match="no face"):
        embedder.crop(tmp_path / "crop.jpg", aligned=False)


def test_packed_crops_are_packed_again_with_the_same_bytes(tmp_path):
    (tmp_path / "crop.jpg").write_bytes(CROP)
    assert make_cropper()()(str(tmp_path / "crop.jpg")).payload == CROP
    assert make_cropper("dlib")()(str(tmp_path / "crop.jpg")).reason == "no face"

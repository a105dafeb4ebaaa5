"""Which face of a photo is meant, and how enrolled photos are recognized."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image
from synthetic_people import CARD, SyntheticEmbedder

from gluonfr.apps.gallery.enrolling import enroll_folder, enroll_photo
from gluonfr.apps.gallery.face_choice import select_face
from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.core import GluonFRError
from gluonfr.photos.reading import Photo, PhotoError

BOXES = [(200.0, 40.0, 300.0, 160.0), (20.0, 30.0, 120.0, 150.0), (150.0, 10.0, 170.0, 30.0)]


@pytest.fixture
def content():
    random = np.random.default_rng(0).integers(0, 256, (200, 320, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(random).save(file, "PNG")
    return file.getvalue()


def test_box_or_position_selects_the_face(content):
    pixels = Photo(content).pixels()
    # The third face is smaller than the smallest face to use.
    for box, meant in [(BOXES[0], 0), (BOXES[1], 1), ((10, 20, 110, 140), 1), ((205.0, 50.0, 290.0, 155.0), 0)]:
        chosen = select_face(SyntheticEmbedder(BOXES), pixels, box)
        assert chosen.face.box == BOXES[meant]
        assert chosen.faces == 2
        assert not chosen.ambiguous
    chosen = select_face(SyntheticEmbedder(BOXES), pixels)
    assert chosen.face.box in BOXES[:2]
    assert chosen.faces == 2
    assert chosen.ambiguous
    assert not select_face(SyntheticEmbedder(BOXES[:1]), pixels).ambiguous
    elsewhere = [(120, 40, 200, 160), BOXES[2], (0, 0, 320, 200), (300, 160, 200, 40), (60, 60, 60, 60), (np.nan,) * 4]
    for box in elsewhere:
        with pytest.raises(PhotoError, match="no face"):
            select_face(SyntheticEmbedder(BOXES), pixels, box)
    with pytest.raises(PhotoError, match="no face"):
        select_face(SyntheticEmbedder(BOXES[2:]), pixels)


def test_each_face_of_a_group_photo_counts_as_a_photo(path, content):
    pixels = Photo(content).pixels()
    with Gallery(path, CARD) as gallery:
        with pytest.raises(PhotoError, match="several faces"):
            enroll_photo(gallery, SyntheticEmbedder(BOXES), "Ann", content, pixels)
        assert enroll_photo(gallery, SyntheticEmbedder(BOXES), " Ann ", content, pixels, BOXES[0], "group.png") == 1
        assert enroll_photo(gallery, SyntheticEmbedder(BOXES), "Bob", content, pixels, BOXES[1]) == 1
        # The same face again, pointed at a little differently.
        assert enroll_photo(gallery, SyntheticEmbedder(BOXES), "Ann", content, pixels, (203.0, 41.0, 301.0, 158.0)) == 0
        with pytest.raises(GluonFRError, match="enrolled as 'Ann'"):
            enroll_photo(gallery, SyntheticEmbedder(BOXES), "Bob", content, pixels, BOXES[0])
        with pytest.raises(GluonFRError, match="1 to 200"):
            enroll_photo(gallery, SyntheticEmbedder(BOXES), " ", content, pixels, BOXES[0])
        assert [(person.name, person.photos) for person in gallery.people()] == [("Ann", 1), ("Bob", 1)]
        assert next(gallery.entries("Ann"))[1].source == "group.png"


def test_single_face_photo_has_the_digest_of_its_file(path, content, tmp_path):
    (tmp_path / "photos" / "Ann").mkdir(parents=True)
    (tmp_path / "photos" / "Ann" / "a.png").write_bytes(content)
    embedder, pixels = SyntheticEmbedder(BOXES[:1]), Photo(content).pixels()
    with Gallery(path, CARD) as gallery:
        assert enroll_photo(gallery, embedder, "Ann", content, pixels, BOXES[0]) == 1
        assert next(gallery.entries())[1].digest == hashlib.sha256(content).digest()
        done = enroll_folder(gallery, embedder, tmp_path / "photos")
        assert (done.photos, done.before) == (0, 1)
        assert gallery.count() == (1, 1)


def test_photos_moved_to_another_folder_are_moved_in_the_gallery(path, content, tmp_path):
    photos = tmp_path / "photos"
    for person in ("Ann", "Bea"):
        (photos / person).mkdir(parents=True)
    (photos / "Ann" / "a.png").write_bytes(content)
    embedder = SyntheticEmbedder(BOXES[:1])
    with Gallery(path, CARD) as gallery:
        assert enroll_folder(gallery, embedder, photos).photos == 1
        # The photo is in both folders: it is not clear to whom it belongs.
        (photos / "Bea" / "b.png").write_bytes(content)
        assert [reason for _, reason, _ in enroll_folder(gallery, embedder, photos).left_out] == ["two people", "no photo left"]
        (photos / "Ann" / "a.png").unlink()
        result = enroll_folder(gallery, embedder, photos)
        assert (result.moved, result.photos) == (1, 0)
        assert [(person.name, person.photos) for person in gallery.people()] == [("Bea", 1)]

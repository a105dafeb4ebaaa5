"""Photos that are unlike the other photos of their person, with embeddings of chosen similarities."""

import io
import math

import numpy as np
import pytest
from PIL import Image
from synthetic_people import CARD

from gluonfr.apps.gallery.agreement import disagreeing_photos
from gluonfr.apps.gallery.enrolling import enroll_folder
from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.core import Card
from gluonfr.deploy import Embedder

# 1 of 100 pairs of different people is above 0.5, and 1 of 10 above 0.2.
WITH_THRESHOLDS = Card(**{**CARD.to_dict(), "thresholds": [{"far": 0.1, "similarity": 0.2}, {"far": 0.01, "similarity": 0.5}]})


def direction(*parts):
    """A unit vector of 16 numbers that begins with these parts; the rest of its length is in a place of its own."""
    row = np.zeros(16, np.float32)
    row[: len(parts)] = parts
    row[-1] = math.sqrt(max(0.0, 1 - float(row @ row)))
    return row


ANN = [direction(1.0), direction(0.9), direction(0.8)]


@pytest.fixture
def gallery(path):
    with Gallery(path, WITH_THRESHOLDS) as opened:
        yield opened


def test_photo_of_a_stranger_disagrees(gallery):
    people = {"Ann": np.array([*ANN[:2], direction(0, 1.0)]), "Bea": np.array([direction(0, 0, 1.0)] * 3)}
    found = disagreeing_photos(gallery, people)
    assert list(found) == ["Ann"]
    assert list(found["Ann"]) == [2]
    assert "similarity 0.00 to the nearest of 2 other photos of the person, at least 0.20" in found["Ann"][2]


def test_doubtful_photo_disagrees_only_if_it_is_more_similar_to_another_person(gallery):
    doubtful = direction(0.3, 0.6)
    ann = np.array([direction(1.0), direction(1.0), doubtful])
    assert not disagreeing_photos(gallery, {"Ann": ann})
    other = np.array([direction(0, 1.0)])
    assert list(disagreeing_photos(gallery, {"Ann": ann, "Bea": other})["Ann"]) == [2]
    # Also if the other person is enrolled already.
    gallery.enroll("Bea", other)
    assert list(disagreeing_photos(gallery, {"Ann": ann})["Ann"]) == [2]


def test_enrolled_photos_of_the_person_count(gallery):
    gallery.enroll("Ann", np.array(ANN))
    found = disagreeing_photos(gallery, {"Ann": np.array([direction(0.95), direction(0, 1.0)])})
    assert list(found["Ann"]) == [1]
    assert "of 4 other photos" in found["Ann"][1]


def test_nothing_disagrees_without_two_other_photos_or_thresholds(gallery, tmp_path):
    assert not disagreeing_photos(gallery, {"Ann": np.array([direction(1.0), direction(0, 1.0)])})
    assert not disagreeing_photos(gallery, {})
    with Gallery(str(tmp_path / "other.db"), CARD) as without:
        assert not disagreeing_photos(without, {"Ann": np.array([*ANN, direction(0, 1.0)])})


class ColorEmbedder(Embedder):
    """Embeds an aligned image by its mean color."""

    def __init__(self):
        self.card = Card(**{**WITH_THRESHOLDS.to_dict(), "image_size": (112, 112)})

    def detect(self, pixels, min_face=None):
        raise AssertionError("the images are crops")

    def __call__(self, crops, aligned):
        colors = np.stack([np.asarray(crop, np.float32).mean((0, 1)) / 255 for crop in crops])
        rows = np.pad(colors, ((0, 0), (0, 13))) + 1e-3
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("keep_poor", [False, True])
def test_enrolling_reports_photos_that_are_unlike_the_others(gallery, tmp_path, keep_poor):
    from gluonfr.photos.crop_mark import mark_crop

    folder = tmp_path / "photos" / "Ann"
    folder.mkdir(parents=True)
    for number, color in enumerate([(250, 0, 0), (240, 10, 0), (230, 0, 10), (0, 0, 250)]):
        file = io.BytesIO()
        Image.new("RGB", (112, 112), color).save(file, "JPEG")
        (folder / f"{number}.jpg").write_bytes(mark_crop(file.getvalue(), "arcface"))
    result = enroll_folder(gallery, ColorEmbedder(), tmp_path / "photos", keep_poor=keep_poor)
    assert result.photos == (4 if keep_poor else 3)
    expected = [] if keep_poor else [("Ann/3.jpg", "unlike the others")]
    assert [row[:2] for row in result.left_out] == expected
    # Again: what is enrolled is skipped, and the other photo is judged in the same way.
    again = enroll_folder(gallery, ColorEmbedder(), tmp_path / "photos", keep_poor=keep_poor)
    assert (again.photos, again.before) == (0, result.photos)
    assert [row[:2] for row in again.left_out] == expected

import os

import matplotlib
import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.data import lettering
from gluonfr.data.contact_sheet import contact_sheet


def plain(color, size=(10, 10)):
    return np.full((*size, 3), color, dtype=np.uint8)


def test_images_are_placed_row_by_row_unchanged():
    rng = np.random.RandomState(0)
    images = [rng.randint(0, 256, (20, 20, 3), dtype=np.uint8) for _ in range(5)]
    sheet = contact_sheet(images, columns=3, tile=20)
    assert sheet.shape == (4 + 2 * 24, 4 + 3 * 24, 3)
    assert sheet.dtype == np.uint8
    for number, image in enumerate(images):
        top, left = 4 + 24 * (number // 3), 4 + 24 * (number % 3)
        assert (sheet[top : top + 20, left : left + 20] == image).all()
    # The empty sixth tile and all gaps have the background color.
    assert (sheet[28:, 52:] == 255).all()
    assert (sheet[:4] == 255).all()
    assert (sheet[24:28] == 255).all()


def test_images_are_centered_with_their_aspect_ratio():
    sheet = contact_sheet([plain((200, 0, 0), (40, 20)), plain((0, 0, 200), (10, 40))], columns=2, tile=20)
    tall, wide = sheet[4:24, 4:24], sheet[4:24, 28:48]
    assert (tall[:, 5:15] == (200, 0, 0)).all()
    assert (tall[:, :5] == 255).all()
    assert (tall[:, 15:] == 255).all()
    painted = (wide == (0, 0, 200)).all(axis=(1, 2))
    assert painted.sum() == 5
    assert painted[7:12].all()


def test_gray_images_and_one_pixel_lines_are_drawn():
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert (contact_sheet([grey], tile=8)[4:12, 4:12] == grey[:, :, None]).all()
    assert contact_sheet([plain(9, (1, 4000))], tile=16).shape == (24, 24, 3)


def test_captions_stay_below_their_own_tile():
    images = [plain(100)] * 4
    bare = contact_sheet(images, ["", "", "", ""], columns=2, tile=30)
    sheet = contact_sheet(images, ["w" * 200, "", "张伟", "\udcff\n\0"], columns=2, tile=30)
    assert sheet.shape == bare.shape
    changed = (sheet != bare).any(axis=2)
    height = 30 + 4 + 16
    assert changed[34:50, 4:34].any()
    assert changed[34 + height : 50 + height, 4:34].any()
    allowed = np.zeros_like(changed)
    for top, left in ((34, 4), (34 + height, 4), (34 + height, 38)):
        allowed[top : top + 16, left : left + 30] = True
    assert not (changed & ~allowed).any()


def test_default_columns_make_a_sheet_a_little_wider_than_high():
    for count in (1, 2, 7, 48, 100):
        height, width, _ = contact_sheet([plain(0)] * count, tile=16).shape
        assert width >= height
        assert count < 7 or width < 2 * height


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        ([], {}, "at least one image"),
        ([np.zeros((4, 4, 3))], {}, "number 0 must be uint8"),
        ([plain(0), "x.png"], {}, "number 1 must be uint8"),
        ([np.zeros((4, 4, 4), np.uint8)], {}, "4 channels"),
        ([np.zeros((0, 4, 3), np.uint8)], {}, "number 0"),
        ([plain(0)], {"captions": ["a", "b"]}, "2 for 1 images"),
        ([plain(0)], {"columns": 0}, "columns >= 1"),
    ],
)
def test_invalid_arguments_are_rejected(images, options, words):
    with pytest.raises(GluonFRError, match=words):
        contact_sheet(images, **options)


def test_groups_are_apart_and_a_title_is_above():
    images = [plain(100)] * 8
    bare, sheet = (contact_sheet(images, columns=4, tile=30, **more) for more in ({}, {"title": "Pairs\nof one", "group": 2}))
    rows = len(sheet) - len(bare)
    assert rows > 2 * 11
    assert (sheet[:rows] != 255).any()
    painted = (sheet[rows + 4] == 100).all(axis=1)
    begins = np.flatnonzero(np.diff(painted.astype(int)) == 1) + 1
    # Within a group 4 pixels lie between two images of 30, between groups more.
    assert np.diff(begins).tolist() == [34, np.diff(begins)[1], 34]
    assert np.diff(begins)[1] >= 34 + 16


@pytest.mark.parametrize("name", ["Łukasz Żółć", "Ιωάννης", "Анна"])
def test_captions_keep_letters_of_other_scripts(name):
    written, question = (contact_sheet([plain(0)], [text], tile=200) for text in (name, "?" * len(name)))
    assert (written != question).any()


def test_letters_without_a_font_become_question_marks_not_boxes(monkeypatch):
    monkeypatch.setattr(lettering, "_system_fonts", list)
    assert lettering.font_and_text("Ann 张伟", 12)[1] == "Ann ??"


def test_a_font_of_the_system_is_used_for_letters_that_the_included_one_lacks(monkeypatch):
    # The included fonts exchange their roles: this one has only mathematical letters.
    folder = os.path.join(matplotlib.get_data_path(), "fonts", "ttf")
    small, large = (os.path.join(folder, name) for name in ("cmsy10.ttf", "DejaVuSans.ttf"))
    monkeypatch.setattr(lettering, "_included_font", lambda: small)
    monkeypatch.setattr(lettering, "_system_fonts", lambda: [large])
    lettering._font_with.cache_clear()
    font, text = lettering.font_and_text("Анна", 12)
    lettering._font_with.cache_clear()
    assert (font.path, text) == (large, "Анна")

import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.viz import draw_faces


def test_boxes_and_names_are_drawn_on_a_copy():
    photo = np.full((200, 300, 3), 90, np.uint8)
    drawn = draw_faces(photo, [(40, 30, 120, 110), (180, 60, 240, 130)], ["Ann Lee 0.71", "unknown"], [True, False])
    assert drawn.shape == photo.shape
    assert drawn.dtype == np.uint8
    assert (photo == 90).all()
    # Boxes of known people are green, others red; nothing changes outside boxes and texts.
    assert drawn[30, 80, 1] > drawn[30, 80, 0]
    assert drawn[60, 210, 0] > drawn[60, 210, 1]
    assert (drawn[:20] == 90).all()
    assert (drawn[50:100, 60:100] == 90).all()


@pytest.mark.parametrize("name", ["x" * 300, "a\nb\x00", '<img onerror="x">', "张伟 🙂 \udcff", ""], ids=range(5))
def test_any_name_and_any_box_can_be_drawn(name):
    photo = np.zeros((60, 50, 3), np.uint8)
    drawn = draw_faces(photo, [(-20, -10, 90, 80), (45, 55, 49, 59)], [name, name], [True, True])
    assert drawn.shape == photo.shape
    assert drawn.any()


def test_arrays_that_are_not_photos_are_refused():
    with pytest.raises(GluonFRError, match="uint8"):
        draw_faces(np.zeros((4, 4)), [], [], [])

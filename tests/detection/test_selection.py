import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.detection.selection import choose_face


def box(x, y, side):
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2]


def test_a_single_face_is_chosen():
    assert choose_face(np.array([box(5, 5, 4)]), np.array([0.2]), (100, 200, 3)) == (0, False)


def test_size_and_distance_from_the_center_decide():
    # Width 400, height 100: the middle is (200, 50).
    boxes = [box(200, 50, 40), box(20, 50, 60), box(380, 50, 20)]
    # The second loses 10 columns outside: merits 40; sqrt(50 * 60) * (1 - 180 / |(200, 50)| / 2) = 30.9; 11.3.
    assert choose_face(boxes, [1, 1, 1], (100, 400)) == (0, True)
    assert choose_face(boxes, [0.7, 1, 1], (100, 400)) == (1, True)
    assert choose_face([boxes[0], boxes[2]], [1, 1], (100, 400)) == (0, False)
    # With width and height swapped the same faces lie elsewhere.
    assert choose_face([box(200, 50, 40), box(50, 200, 30)], [1, 1], (400, 100))[0] == 1


def test_only_the_part_within_the_photo_counts():
    # The second box is larger, but all except a strip of 5 pixels is outside.
    assert choose_face([box(50, 50, 40), [-75, 10, 5, 90]], [1, 1], (100, 100)) == (0, False)


def test_equal_faces_are_ambiguous():
    assert choose_face([box(30, 50, 20), box(70, 50, 20)], [0.9, 0.9], (100, 100)) == (0, True)


def test_no_face_is_an_error():
    with pytest.raises(GluonFRError, match="at least one face"):
        choose_face(np.empty((0, 4)), np.empty(0), (10, 10))

import numpy as np
import pytest

from gluonfr.core import UsageError
from gluonfr.metrics.detection import average_precision, landmark_error, match_detections


def square(x, y, side=10):
    return [x, y, x + side, y + side]


def test_average_precision_is_the_area_under_the_best_precision():
    # By score: hit, false alarm, hit, false alarm, hit; four faces.
    truth = [square(0, 0), square(100, 0), square(200, 0), square(300, 0)]
    boxes = [square(0, 0), square(0, 500), square(100, 0), square(50, 500), square(200, 0)]
    matches = match_detections(boxes, [0.9, 0.8, 0.7, 0.6, 0.5], truth)
    result = average_precision([matches], [[True] * 4])
    assert result.recall.tolist() == [0.25, 0.25, 0.5, 0.5, 0.75]
    # Precision at each recall is the best one at this or a higher recall: 1, 2/3 and 3/5.
    assert result.ap == pytest.approx(0.25 * (1 + 2 / 3 + 3 / 5))
    assert result.recall_at(0.7) == 0.5
    assert result.precision_at(0.65) == pytest.approx(2 / 3)


def test_second_detections_of_a_face_are_false_alarms():
    matches = match_detections([square(0, 0), square(1, 0)], [0.9, 0.8], [square(0, 0)])
    result = average_precision([matches], [[True]])
    assert result.precision.tolist() == [1.0, 0.5]


def test_detections_of_faces_that_do_not_count_are_ignored():
    truth = [square(0, 0), square(100, 0)]
    matches = match_detections([square(100, 0), square(0, 0)], [0.9, 0.8], truth)
    result = average_precision([matches], [[True, False]])
    assert (result.ap, result.faces, result.scores.tolist()) == (1.0, 1, [0.8])


def test_order_of_photos_and_detections_does_not_matter():
    rng = np.random.RandomState(0)
    photos = []
    for _ in range(8):
        truth = [square(*rng.randint(0, 200, 2)) for _ in range(4)]
        boxes = truth[:3] + [square(*rng.randint(0, 200, 2)) for _ in range(5)]
        photos.append((boxes, rng.rand(8), truth))
    first = average_precision([match_detections(*photo) for photo in photos], [[True] * 4] * 8)
    shuffled = []
    for boxes, scores, truth in photos[::-1]:
        order = rng.permutation(8)
        shuffled.append((np.array(boxes)[order], scores[order], truth))
    second = average_precision([match_detections(*photo) for photo in shuffled], [[True] * 4] * 8)
    assert first.ap == second.ap


def test_equal_scores_are_one_point_of_the_curve():
    matches = match_detections([square(0, 0), square(0, 500)], [0.5, 0.5], [square(0, 0)])
    result = average_precision([matches], [[True]])
    assert result.precision.tolist() == [0.5]
    assert result.ap == 0.5


def test_overlap_counts_whole_pixels():
    # 10 x 10 pixels each when the last pixel counts: 45 of 155... below a half; 6 of 14 columns.
    truth = [0, 0, 9, 9]
    assert match_detections([[3, 0, 12, 9]], [1.0], [truth]).faces.tolist() == [0]  # 70 of 130
    assert match_detections([[4, 0, 13, 9]], [1.0], [truth]).faces.tolist() == [-1]  # 60 of 140


def test_nothing_found_and_nothing_to_find():
    empty = match_detections([], [], [square(0, 0)])
    assert average_precision([empty], [[True]]).ap == 0
    assert np.isnan(average_precision([match_detections([square(0, 0)], [0.9], [])], [[]]).ap)


def test_landmark_error_is_relative_to_the_eyes():
    truth = np.array([[[0, 0], [20, 0], [10, 10], [4, 16], [16, 16]]], float)
    assert landmark_error(truth + [3, 4], truth) == pytest.approx([0.25])
    assert np.isnan(landmark_error(truth, truth * np.nan)).all()
    assert np.isnan(landmark_error(truth, truth * 0)).all()


def test_different_numbers_are_refused():
    with pytest.raises(UsageError, match="boxes"):
        match_detections([square(0, 0)], [], [])
    with pytest.raises(UsageError, match="counts"):
        average_precision([match_detections([], [], [])], [])

import numpy as np

from gluonfr.detection.anchors import anchor_boxes, anchor_grid, encode_boxes
from gluonfr.detection.matching import (
    BACKGROUND,
    BOX,
    CLASS,
    FACE,
    HAS_LANDMARKS,
    IGNORED,
    LANDMARKS,
    box_overlaps,
    match_anchors,
)

NO_LANDMARKS = np.full((5, 2), np.nan)


def match(boxes, anchors, landmarks=None, ignored=None, **options):
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    landmarks = np.stack([NO_LANDMARKS] * len(boxes)) if landmarks is None and len(boxes) else landmarks
    ignored = np.zeros(len(boxes), bool) if ignored is None else np.array(ignored)
    return match_anchors(boxes, landmarks, ignored, np.array(anchors, np.float32), **options)


def overlap(first, second):
    """Intersection over union of two boxes, counted in cells of a fine grid."""
    x, y = np.meshgrid(np.arange(0, 64, 0.25) + 0.125, np.arange(0, 64, 0.25) + 0.125)
    inside = [(x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3]) for box in (first, second)]
    return (inside[0] & inside[1]).sum() / (inside[0] | inside[1]).sum()


def test_overlaps_equal_counted_areas():
    rng = np.random.RandomState(1)
    low = rng.randint(0, 40, (2, 6, 2)) * 1.0
    boxes = np.concatenate([low, low + rng.randint(1, 24, (2, 6, 2))], 2)
    expected = [[overlap(first, second) for second in boxes[1]] for first in boxes[0]]
    # Corners lie on the grid's lines, so counting is exact.
    assert np.allclose(box_overlaps(boxes[0], boxes[1]), expected, atol=1e-12)


def test_overlaps_of_integer_boxes_do_not_overflow():
    for kind, side in ((np.int16, 200), (np.int32, 60_000)):
        box = np.array([[0, 0, side, side]], kind)
        assert box_overlaps(box, box) == 1


def test_a_box_of_nan_takes_no_anchor_from_another_face():
    anchors = [[8, 8, 16], [40, 8, 16]]
    for order in ([0, 1], [1, 0]):
        targets = match(np.array([[0, 0, 16, 16], [np.nan] * 4])[order], anchors)
        assert targets[:, CLASS].tolist() == [FACE, BACKGROUND]
        assert np.isfinite(targets).all()


def test_anchors_learn_the_face_that_they_overlap_most_and_every_face_has_its_own():
    anchors = anchor_grid(64, 64)
    faces = [[4, 4, 36, 36], [8, 8, 30, 34]]
    targets = match(faces, anchors, negative=0.2)
    overlaps = box_overlaps(np.array(faces, float), anchor_boxes(anchors).astype(float))
    best = overlaps.max(0)
    assert set(np.flatnonzero(best >= 0.5)) <= set(np.flatnonzero(targets[:, CLASS] == FACE))
    own = overlaps.argmax(1)  # of the two faces, which choose different anchors
    assert own[0] != own[1]
    for anchor in np.flatnonzero(best >= 0.5):
        face = own.tolist().index(anchor) if anchor in own else overlaps[:, anchor].argmax()
        expected = encode_boxes(np.array(faces[face], float)[None], anchors[anchor][None])[0]
        assert np.allclose(targets[anchor, BOX], expected, atol=1e-6)
    assert (targets[best < 0.2, CLASS] != IGNORED).all()
    between = (best >= 0.2) & (best < 0.5)
    assert between.any()
    assert set(targets[between, CLASS]) <= {IGNORED, FACE}


def test_two_faces_on_one_anchor_both_have_an_anchor():
    # The first face covers anchor 0 best, and the second too; the second takes the next one.
    anchors = [[8, 8, 16], [14, 8, 16], [60, 60, 16]]
    targets = match([[0, 0, 16, 16], [1, 0, 17, 16]], anchors, positive=0.99)
    assert targets[:, CLASS].tolist() == [FACE, FACE, BACKGROUND]
    assert np.allclose(targets[0, BOX], [0, 0, 0, 0])
    assert np.allclose(targets[1, BOX], [(9 - 14) / 16, 0, 0, 0])


def test_ties_give_the_first_anchor_to_the_first_face():
    targets = match([[4, 0, 20, 16]], [[8, 8, 16], [16, 8, 16]], positive=0.99, negative=0.1)
    assert targets[:, CLASS].tolist() == [FACE, IGNORED]
    same = match([[0, 0, 16, 16], [0, 0, 16, 16]], [[8, 8, 16]])
    assert same[:, CLASS].tolist() == [FACE]


def test_a_face_smaller_than_every_anchor_has_one():
    anchors = anchor_grid(32, 32)
    targets = match([[10, 10, 14, 14]], anchors)
    found = np.flatnonzero(targets[:, CLASS] == FACE)
    assert len(found) == 1
    assert anchors[found[0], 2] == 16


def test_a_photo_without_faces_is_background():
    assert (match([], anchor_grid(32, 32), landmarks=np.zeros((0, 5, 2)))[:, CLASS] == BACKGROUND).all()


def test_ignored_faces_are_neither_faces_nor_background():
    anchors = anchor_grid(64, 64)
    alone = match([[8, 8, 40, 40]], anchors, ignored=[True])
    assert set(alone[:, CLASS]) == {BACKGROUND, IGNORED}
    overlaps = box_overlaps(np.array([[8.0, 8, 40, 40]]), anchor_boxes(anchors).astype(float))[0]
    assert np.array_equal(alone[:, CLASS] == IGNORED, overlaps >= 0.3)
    # A face at the same place keeps its anchors.
    both = match([[8, 8, 40, 40], [8, 8, 38, 40]], anchors, ignored=[True, False])
    assert np.array_equal(both[:, CLASS] == FACE, match([[8, 8, 38, 40]], anchors)[:, CLASS] == FACE)


def test_landmarks_are_learned_where_a_face_has_them():
    marks = np.arange(10.0).reshape(5, 2)
    targets = match([[0, 0, 16, 16], [40, 40, 56, 56]], [[8, 8, 16], [48, 48, 16]], np.stack([marks, NO_LANDMARKS]))
    assert targets[:, HAS_LANDMARKS].tolist() == [1, 0]
    assert np.allclose(targets[0, LANDMARKS], ((marks - 8) / 16).ravel())
    assert np.isfinite(targets).all()


def test_thousands_of_faces_in_one_photo_are_matched():
    rng = np.random.RandomState(2)
    low = rng.uniform(0, 300, (3000, 2))
    boxes = np.hstack([low, low + rng.uniform(4, 20, (3000, 2))])
    targets = match(boxes, anchor_grid(320, 320))
    assert np.isfinite(targets).all()
    assert (targets[:, CLASS] == FACE).sum() > 1000

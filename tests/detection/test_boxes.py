import mxnet as mx
import numpy as np
import pytest

from gluonfr.detection import mtcnn
from gluonfr.detection.boxes import crop_boxes, shift_boxes, square_boxes, suppress, to_batch
from gluonfr.detection.detector import Detections, scale_detections, shrink_photo
from gluonfr.detection.mtcnn_networks import PNet
from gluonfr.detection.pyramid import pyramid, windows


def literal_suppress(boxes, scores, overlap, of_smaller):
    """Non-maximum suppression by its definition, one pair at a time."""
    keep = []
    for i in sorted(range(len(boxes)), key=lambda index: -scores[index]):
        x0, y0, x1, y1 = boxes[i].tolist()
        for k in keep:
            a0, b0, a1, b1 = boxes[k].tolist()
            shared = max(0, min(x1, a1) - max(x0, a0)) * max(0, min(y1, b1) - max(y0, b0))
            mine, other = (x1 - x0) * (y1 - y0), (a1 - a0) * (b1 - b0)
            if shared / (min(mine, other) if of_smaller else mine + other - shared) > overlap:
                break
        else:
            keep.append(i)
    return keep


@pytest.mark.parametrize("of_smaller", [False, True])
@pytest.mark.parametrize("overlap", [0.3, 0.5, 0.7])
def test_suppression_equals_a_literal_implementation(overlap, of_smaller):
    rng = np.random.RandomState(0)
    corners = rng.uniform(-10, 60, (300, 2))
    boxes = np.hstack([corners, corners + rng.uniform(5, 40, (300, 2))]).astype(np.float32)
    scores = rng.permutation(300) / 300
    keep = suppress(boxes, scores, overlap, of_smaller)
    assert keep.tolist() == literal_suppress(boxes.astype(float), scores, overlap, of_smaller)
    assert 1 < len(keep) < 300


def test_suppression_of_boxes_computed_by_hand():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5], [20, 0, 30, 10]], np.float32)
    scores = np.array([0.5, 0.9, 0.7])
    assert suppress(boxes, scores, 0.49).tolist() == [1, 2]  # the first two share 50 of 100
    assert suppress(boxes, scores, 0.51).tolist() == [1, 2, 0]
    assert suppress(boxes, scores, 0.99, of_smaller=True).tolist() == [1, 2]  # the second lies in the first
    assert suppress(boxes[:0], scores[:0], 0.5).tolist() == []


def test_dropped_boxes_do_not_suppress_others():
    # The middle one goes because of the first; the third overlaps only the middle one.
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], np.float32)
    assert suppress(boxes, np.array([0.9, 0.8, 0.7]), 0.4).tolist() == [0, 2]


def test_shift_and_square_of_a_box_computed_by_hand():
    box = np.array([[10, 20, 30, 60]], np.float32)
    assert shift_boxes(box, np.array([[0.1, 0.1, -0.1, 0.5]], np.float32)).tolist() == [[12, 24, 28, 80]]
    assert square_boxes(box).tolist() == [[0, 20, 40, 60]]


def test_crop_boxes_pads_with_black():
    image = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    boxes = np.array([[2, 1, 6, 5], [-2, -2, 2, 2], [6, 4, 10, 8], [-9, -9, -5, -5], [20, 20, 24, 24]], np.float32)
    crops = crop_boxes(image, boxes, 4)
    assert crops.dtype == np.float32
    assert crops.shape == (5, 3, 4, 4)
    assert np.array_equal(crops[0], image[1:5, 2:6].transpose(2, 0, 1))
    assert np.array_equal(crops[1, :, 2:, 2:], image[:2, :2].transpose(2, 0, 1))
    assert not crops[1, :, :2].any()
    assert np.array_equal(crops[2, :, :2, :2], image[4:, 6:].transpose(2, 0, 1))
    assert not crops[2, :, :, 2:].any()
    assert not crops[3:].any()


def test_pyramid_sizes_do_not_overlap():
    y, x = np.mgrid[:300, :403]
    image = np.stack([x * 0.6, y * 0.8, 120 + 0 * x], -1).astype(np.uint8)
    scales = [0.6 * 0.709**number for number in range(7)]
    canvas, places = pyramid(image, scales)
    seen = np.zeros(canvas.shape[:2], int)
    for scale, (left, top, width, height) in zip(scales, places):
        assert left % 2 == 0
        assert top % 2 == 0
        assert (width, height) == (np.ceil(403 * scale), np.ceil(300 * scale))
        seen[top : top + height, left : left + width] += 1
        part = canvas[top : top + height, left : left + width].astype(float)
        # Pixel (row, column) shows the image around its own share of the sides.
        at_x = (np.arange(width) + 0.5) * 403 / width - 0.5
        at_y = (np.arange(height) + 0.5) * 300 / height - 0.5
        assert np.abs(part[..., 0] - at_x * 0.6).max() < 2.5
        assert np.abs(part[..., 1] - at_y[:, None] * 0.8).max() < 2.5
    assert seen.max() == 1
    assert not canvas[seen == 0].any()
    assert (seen > 0).mean() > 0.7
    # Few shapes in all, and none larger than it must be.
    assert canvas.shape[0] % 64 == canvas.shape[1] % 64 == 0
    assert seen[-64:].any()
    assert seen[:, -64:].any()


@pytest.mark.parametrize(("height", "width"), [(150, 201), (97, 64), (40, 41)])
def test_sizes_on_one_canvas_do_not_influence_each_other(height, width):
    mx.random.seed(0)
    net = PNet()
    net.initialize(mx.init.Xavier())
    image = np.random.RandomState(0).randint(0, 256, (height, width, 3), dtype=np.uint8)
    canvas, places = pyramid(image, [0.709**number for number in range(4) if min(height, width) * 0.709**number >= 12])
    together = [output.asnumpy()[0] for output in net(mx.nd.array(to_batch([canvas])))]
    for place in places:
        x, y, w, h = place
        rows, columns = windows(place, 12, 2)
        # Alone, P-Net gives one more row or column where its pooling sticks out of an odd size.
        alone = [output.asnumpy()[0] for output in net(mx.nd.array(to_batch([canvas[y : y + h, x : x + w]])))]
        for mine, other in zip(together, alone):
            part = mine[:, rows, columns]
            assert part.shape[1:] == ((h - 12) // 2 + 1, (w - 12) // 2 + 1)
            assert np.abs(part - other[:, : part.shape[1], : part.shape[2]]).max() < 1e-5


def test_detections_in_a_reduced_photo_are_scaled_to_the_photo():
    photo = np.zeros((300, 600, 3), np.uint8)
    small, ratio = shrink_photo(photo, 20_000)
    assert small.shape == (100, 200, 3)
    assert ratio.tolist() == [3, 3]
    # The first pixel of the small photo is the first three of the photo: edges 0 to 3, center 1.
    box, landmarks = np.array([[0, 0, 1, 1]], np.float32), np.full((1, 5, 2), 0.5, np.float32)
    boxes, _, landmarks = scale_detections(Detections(box, np.ones(1), landmarks), ratio)
    assert boxes.tolist() == [[0, 0, 3, 3]]
    assert (landmarks == 1).all()
    assert shrink_photo(photo, 180_000)[0] is photo
    wide, ratio = shrink_photo(np.zeros((2, 5000, 3), np.uint8), 100)
    assert wide.shape == (1, 500, 3)
    assert ratio.tolist() == [10, 2]


def test_strips_of_a_large_pyramid_equal_the_whole(monkeypatch):
    detector = mtcnn.MTCNN()
    canvas = np.random.RandomState(0).randint(0, 256, (320, 128, 3), dtype=np.uint8)
    whole = detector._propose(canvas)
    for strip in (64, 96, 128):
        monkeypatch.setattr(mtcnn, "_STRIP", strip)
        for one, other in zip(detector._propose(canvas), whole):
            rows, columns = ((length - 12) // 2 + 1 for length in canvas.shape[:2])
            assert np.abs(one[:, :, :rows, :columns] - other[:, :, :rows, :columns]).max() < 1e-5

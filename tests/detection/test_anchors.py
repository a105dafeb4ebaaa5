import mxnet as mx
import numpy as np
import pytest

from gluonfr.detection.anchors import (
    AnchorSpec,
    anchor_grid,
    decode_boxes,
    decode_landmarks,
    encode_boxes,
    encode_landmarks,
    flatten_outputs,
)


def test_every_place_of_every_stride_has_its_anchors_in_the_order_of_the_outputs():
    grid = anchor_grid(64, 96, AnchorSpec(center=7.5))
    expected = []
    for stride, sides in ((32, (512, 256)), (16, (128, 64)), (8, (32, 16))):
        for side in sides:
            for row in range(64 // stride):
                for column in range(96 // stride):
                    expected.append((column * stride + 7.5, row * stride + 7.5, side))
    assert np.array_equal(grid, np.array(expected, np.float32))


def test_boxes_survive_encoding_and_decoding():
    rng = np.random.RandomState(0)
    anchors = np.column_stack([rng.uniform(0, 300, (50, 2)), rng.choice([16, 64, 512], 50)])
    low = rng.uniform(-20, 300, (50, 2))
    boxes = np.hstack([low, low + rng.uniform(1, 200, (50, 2))])
    assert np.allclose(decode_boxes(encode_boxes(boxes, anchors), anchors), boxes, atol=1e-9)
    landmarks = rng.uniform(-20, 300, (50, 5, 2))
    assert np.allclose(decode_landmarks(encode_landmarks(landmarks, anchors), anchors), landmarks, atol=1e-9)


def test_shifts_are_in_sides_of_the_anchor():
    anchor = np.array([[100.0, 50.0, 20.0]])
    # Center (110, 45), 40 wide and 10 high.
    box = np.array([[90.0, 40.0, 130.0, 50.0]])
    assert np.allclose(encode_boxes(box, anchor), [[0.5, -0.25, np.log(2), np.log(0.5)]])


def test_absurd_predictions_do_not_overflow():
    boxes = decode_boxes(np.array([[0, 0, 1e4, 1e4]], np.float32), np.array([[0, 0, 512]], np.float32))
    assert np.isfinite(boxes).all()


@pytest.mark.parametrize("hybrid", [False, True])
def test_outputs_are_joined_in_the_order_of_the_anchors(hybrid):
    # Every output holds its own place: anchor, row and column of the value.
    outputs, expected = [], {2: [], 4: [], 10: []}
    for stride in (32, 16, 8):
        h, w = 64 // stride, 96 // stride
        for values in (2, 4, 10):
            array = np.zeros((1, 2 * values, h, w), np.float32)
            for anchor in range(2):
                for value in range(values):
                    channel = value * 2 + anchor if values == 2 else anchor * values + value
                    for row in range(h):
                        for column in range(w):
                            array[0, channel, row, column] = stride * 1e4 + anchor * 1e3 + row * 100 + column * 10 + value
            for anchor in range(2):
                for row in range(h):
                    for column in range(w):
                        start = stride * 1e4 + anchor * 1e3 + row * 100 + column * 10
                        expected[values].append([start + value for value in range(values)])
            outputs.append(array)
    if hybrid:
        joined = [array.asnumpy() for array in flatten_outputs([mx.nd.array(array) for array in outputs], mx.nd)]
    else:
        joined = flatten_outputs(outputs)
    assert np.array_equal(joined[0][0].T, expected[2])
    assert np.array_equal(joined[1][0], expected[4])
    assert np.array_equal(joined[2][0], expected[10])

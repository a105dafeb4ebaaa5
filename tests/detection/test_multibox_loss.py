import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from gluonfr.core import UsageError
from gluonfr.detection.anchors import anchor_grid
from gluonfr.detection.matching import match_anchors
from gluonfr.detection.multibox_loss import MultiBoxLoss

SIZE = 64


def make_batch(seed=0):
    """Random outputs for two images, the second without a face, and their targets."""
    rng = np.random.RandomState(seed)
    outputs = [
        rng.randn(2, 2 * values, SIZE // stride, SIZE // stride).astype(np.float32)
        for stride in (32, 16, 8)
        for values in (2, 4, 10)
    ]
    boxes = np.array([[6.0, 6, 24, 28], [30, 30, 60, 58]])
    landmarks = np.stack([rng.uniform(0, 64, (5, 2)), np.full((5, 2), np.nan)])
    anchors = anchor_grid(SIZE, SIZE)
    first = match_anchors(boxes, landmarks, np.zeros(2, bool), anchors)
    return outputs, np.stack([first, np.zeros_like(first)])


def smooth_l1(x):
    x = np.abs(x)
    return np.where(x < 1, x**2 / 2, x - 0.5)


def reference(outputs, targets, positives, negatives=7):
    """The loss of every image in float64, anchor by anchor."""
    losses = []
    for image in range(len(targets)):
        rows = []
        for level, _ in enumerate((32, 16, 8)):
            logits, boxes, marks = (array[image].astype(np.float64) for array in outputs[3 * level : 3 * level + 3])
            for anchor in range(2):
                for row in range(logits.shape[1]):
                    for column in range(logits.shape[2]):
                        rows.append(
                            (
                                logits[anchor, row, column],
                                logits[2 + anchor, row, column],
                                boxes[4 * anchor : 4 * anchor + 4, row, column],
                                marks[10 * anchor : 10 * anchor + 10, row, column],
                            )
                        )
        total, background = 0.0, []
        for (no, yes, box, mark), target in zip(rows, targets[image].astype(np.float64)):
            norm = np.logaddexp(no, yes)
            if target[0] == 1:
                total += norm - yes
                total += smooth_l1((box - target[1:5]) / [0.1, 0.1, 0.2, 0.2]).sum()
                total += 0.25 * target[15] * smooth_l1((mark - target[5:15]) / 0.1).sum()
            elif target[0] == 0:
                background.append(norm - no)
        count = len(background) if negatives is None else negatives * max(1, int((targets[image][:, 0] == 1).sum()))
        total += sum(sorted(background, reverse=True)[:count])
        losses.append(total / positives)
    return np.array(losses)


def run(loss, outputs, targets, positives):
    arrays = [mx.nd.array(array) for array in outputs]
    for array in arrays:
        array.attach_grad()
    with autograd.record():
        losses = loss(arrays, mx.nd.array(targets), mx.nd.array([positives]))
    losses.backward()
    return losses.asnumpy(), [array.grad.asnumpy() for array in arrays]


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("negatives", [1, 3, 7, None])
def test_loss_equals_the_sum_over_anchors(hybrid, negatives):
    outputs, targets = make_batch()
    loss = MultiBoxLoss(negatives)
    if hybrid:
        loss.hybridize()
    losses, _ = run(loss, outputs, targets, 5.0)
    assert np.allclose(losses, reference(outputs, targets, 5.0, negatives), rtol=1e-4)


def test_gradient_equals_finite_differences():
    outputs, targets = make_batch(3)
    _, gradients = run(MultiBoxLoss(), outputs, targets, 5.0)
    rng = np.random.RandomState(0)
    for number, gradient in enumerate(gradients):
        places = np.flatnonzero(gradient) if gradient.any() else [0]
        for place in rng.choice(places, min(4, len(places)), replace=False):
            values = []
            for step in (1e-4, -1e-4):
                changed = [array.astype(np.float64) for array in outputs]
                changed[number].flat[place] += step
                values.append(reference(changed, targets, 5.0).sum())
            assert gradient.flat[place] == pytest.approx((values[0] - values[1]) / 2e-4, rel=1e-2, abs=1e-4)


def test_only_faces_with_landmarks_pull_landmarks():
    outputs, targets = make_batch()
    _, gradients = run(MultiBoxLoss(), outputs, targets, 1.0)
    marked = targets[0, :, 15] > 0
    per_anchor = np.concatenate([gradient[0].reshape(2, 10, -1).swapaxes(1, 2).reshape(-1, 10) for gradient in gradients[2::3]])
    assert (np.abs(per_anchor).sum(1) > 0).tolist() == marked.tolist()
    assert not gradients[2][1].any()


def test_ignored_anchors_have_no_gradient():
    outputs, targets = make_batch()
    assert (targets[0, :, 0] == -1).any()
    _, gradients = run(MultiBoxLoss(negatives=1000), outputs, targets, 1.0)
    logits = np.concatenate([gradient[0].reshape(2, -1) for gradient in gradients[0::3]], 1)
    assert not logits[:, targets[0, :, 0] == -1].any()
    assert logits[:, targets[0, :, 0] == 0].any(0).all()


@pytest.mark.parametrize("options", [{"negatives": 0}, {"box_weight": -1}, {"landmark_weight": float("nan")}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        MultiBoxLoss(**options)

"""What the parts of a run report before training."""

from types import SimpleNamespace

import pytest

from gluonfr.core import UsageError
from gluonfr.engine import Run, TrainOptions
from gluonfr.engine.build import warn_of_large_scale
from gluonfr.loss import get_loss


@pytest.mark.parametrize(
    ("loss", "people", "warned"),
    [("arcface", 293, True), ("arcface", 85_000, False), ("softmax", 293, False), ("adacos", 293, False)],
)
def test_a_scale_for_many_classes_is_reported_with_few(loss, people, warned, caplog):
    warn_of_large_scale(get_loss(loss, classes=people), SimpleNamespace(num_people=people))
    assert ("loss='cos' with loss_args s=24, m=0.3" in caplog.text) == warned


def test_a_small_scale_is_not_reported(caplog):
    warn_of_large_scale(get_loss("cosface", classes=293, s=24, m=0.3), SimpleNamespace(num_people=293))
    assert not caplog.text


def test_arguments_of_the_augmentation_reach_the_images(small_options):
    run = Run(TrainOptions(**dict(small_options, augment="none", augment_args={"gray": 1, "brightness": 0})))
    images, _ = next(iter(run._make_loader()))
    pixels = images.asnumpy().astype(int)
    assert (pixels.max(axis=1) - pixels.min(axis=1)).max() <= 1
    assert pixels.std() > 1


def test_wrong_arguments_of_the_augmentation_are_refused_before_a_teacher_is_loaded(small_options):
    with pytest.raises(UsageError, match="has no argument 'low_res'"):
        Run(TrainOptions(**dict(small_options, teacher="nowhere", distill_weight=1.0, augment_args={"low_res": 1})))

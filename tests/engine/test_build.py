"""What the parts of a run report before training."""

from types import SimpleNamespace

import pytest

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

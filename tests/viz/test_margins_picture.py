"""Curves of the margins are compared with the formulas of the papers, in NumPy."""

import cv2
import mxnet as mx
import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.loss import ArcLoss, get_loss
from gluonfr.viz import plot_margins
from gluonfr.viz.margins import target_logit

DEGREES = np.arange(0, 181, 7.5)
THETA = np.radians(DEGREES)
COS = np.cos(THETA)


def arc(m):
    return np.where(THETA + m < np.pi, np.cos(THETA + m), COS - m * np.sin(m))


def sphere(m, weight):
    k = np.minimum(np.floor(m * THETA / np.pi), m - 1)
    return (weight * COS + (-1) ** k * np.cos(m * THETA) - 2 * k) / (1 + weight)


def initialized(name, **arguments):
    loss = get_loss(name, classes=2, **arguments)
    loss.initialize()
    return loss


def with_state(name, state, **arguments):
    loss = initialized(name, **arguments)
    for key, value in state.items():
        getattr(loss, key).set_data(mx.nd.full((1,), value))
    return loss


AT_60 = np.cos(np.radians(60))


@pytest.mark.parametrize(
    ("loss", "how", "wanted"),
    [
        (initialized("arc"), {}, arc(0.5)),
        (initialized("subcenter", m=0.3), {}, arc(0.3)),
        (initialized("arc", easy_margin=True), {}, np.where(COS > 0, np.cos(THETA + 0.5), COS)),
        (initialized("cos"), {}, COS - 0.35),
        (initialized("combined"), {}, arc(0.3) - 0.2),
        (initialized("sphereface", lambda_min=5, lambda_max=5), {}, sphere(4, 5)),
        (initialized("sphereface", lambda_min=0, lambda_max=0, m=3), {}, sphere(3, 0)),
        (initialized("lsoftmax", lambda_min=2, lambda_max=2), {}, sphere(4, 2)),
        (with_state("sphereface", {"steps": 990}), {}, sphere(4, 15)),
        (initialized("magface"), {"norm": 5}, arc(0.45)),
        (initialized("magface"), {"norm": 60}, arc(0.625)),
        (initialized("magface"), {"norm": 500}, arc(0.8)),
        (
            with_state("adaface", {"mean": 30, "std": 10}),
            {"norm": 30 + 10 / 0.333},
            np.cos(np.clip(THETA - 0.4, 1e-3, np.pi)) - 0.8,
        ),
        (with_state("adaface", {"mean": 30, "std": 10}), {"norm": 30}, COS - 0.4),
        (
            with_state("adaface", {"mean": 30, "std": 10}),
            {"norm": 0.001},
            np.cos(np.clip(THETA + 0.333 * 2.99970003 * 0.4, 1e-3, np.pi - 1e-3)) - 0.4 * (1 - 0.333 * 2.99970003),
        ),
        (initialized("svx"), {}, arc(0.5)),
        (
            initialized("svx", t=1.3),
            {"other": 60},
            arc(0.5) - (np.cos(THETA + 0.5) < AT_60) * (0.3 * AT_60 + 0.3),
        ),
        (
            with_state("curricular", {"t": 0.7}),
            {"other": 60},
            arc(0.5) - (np.cos(THETA + 0.5) < AT_60) * (AT_60 * (0.7 + AT_60) - AT_60),
        ),
        (
            initialized("circle"),
            {"other": 60},
            np.maximum(0, 1.25 - COS) * (COS - 0.75) - ((AT_60 + 0.25) * (AT_60 - 0.25) - AT_60),
        ),
    ],
)
def test_curves_equal_the_formulas_of_the_papers(loss, how, wanted):
    np.testing.assert_allclose(target_logit(loss, DEGREES, **how), wanted, atol=5e-4)


def curves(figure):
    return {line.get_label(): line for axes in figure.axes for line in axes.lines}


def test_every_margin_is_drawn_as_its_loss_computes_it():
    figure = plot_margins()
    drawn = curves(figure)
    for name in ("ArcFace", "CosFace", "SphereFace", "combined", "AdaFace", "MagFace", "SV-Arc", "CurricularFace", "Circle"):
        assert any(label.startswith(name) for label in drawn), name
    for start, wanted in [("ArcFace", arc(0.5)), ("CosFace", COS - 0.35), ("SphereFace", sphere(4, 5))]:
        (line,) = [line for label, line in drawn.items() if label.startswith(start)]
        at = np.searchsorted(line.get_xdata(), DEGREES)
        np.testing.assert_array_equal(line.get_xdata()[at], DEGREES)
        np.testing.assert_allclose(line.get_ydata()[at], wanted, atol=5e-4)
    assert sum(label.endswith("‖x‖ = 60") for label in drawn) == 2
    assert "45°" in figure.axes[2].get_title()
    # A margin lowers the target logit: no curve lies above the plain cosine.
    for line in drawn.values():
        below = np.cos(np.radians(line.get_xdata())) + 1e-6
        assert (line.get_ydata() <= below + (0.5 if line.get_label().startswith("Circle") else 0)).all(), line.get_label()


def test_custom_losses_are_drawn_by_name(tmp_path):
    path = tmp_path / "margins.png"
    figure = plot_margins({"mild": ArcLoss(2, m=0.1), "strong": ArcLoss(2, m=1.0)}, path, title="two")
    assert len(figure.axes) == 1
    assert set(curves(figure)) == {"cos θ, no margin", "mild", "strong"}
    assert cv2.imread(str(path)).shape[1] >= 700
    assert path.stat().st_size < 100_000
    assert set(curves(plot_margins(["cos", initialized("magface")], norms=[20]))) == {
        "cos θ, no margin",
        "CosLoss",
        "MagFace, ‖x‖ = 20",
    }


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plot_margins({}), "no losses"),
        (lambda: plot_margins(["softmax"]), "has no margin"),
        (lambda: plot_margins(["arc", "arc"]), "twice"),
        (lambda: plot_margins({"mine": get_loss("curricular", classes=2)}), "initialize"),
        (lambda: plot_margins(["magface"], norms=[0]), "positive norm"),
        (lambda: plot_margins(["svx"], other=200), "between 0 and 180"),
        (lambda: target_logit(initialized("arc"), [10, 190]), "0 to 180"),
        (lambda: plot_margins(["arc"], "margins.jpg"), "PNG"),
    ],
)
def test_invalid_losses_and_angles_are_refused(call, words):
    with pytest.raises(GluonFRError, match=words):
        call()

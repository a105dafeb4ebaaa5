"""Every loss on cosines that is more than a margin on the target, against its paper's formula in float64 NumPy: value, and
gradient by central differences. What the papers keep out of the gradient is held at the point of differentiation."""

import math

import numpy as np
import pytest
from formulas import cosines, cross_entropy, features, numeric_gradient, ready, run
from mxnet import autograd, nd

from gluonfr.core import GluonFRError
from gluonfr.nn import NormDense


def arc(cos, m):
    theta = np.arccos(cos)
    return np.where(theta + m < math.pi, np.cos(theta + m), cos - m * np.sin(m))


def psi(cos, m):
    theta = np.arccos(cos)
    k = np.floor(m * theta / math.pi)
    return (-1) ** k * np.cos(m * theta) - 2 * k


def replaced(z, y, target):
    z = z.copy()
    z[np.arange(len(y)), y] = target
    return z


def lengths(x):
    return np.sqrt((x**2).sum(axis=1))


# Each formula: (cosines, embedding, labels, the same two where the gradient is taken) -> losses.


def normface(cos, x, y, *still):
    return cross_entropy(11 * cos, y)


def adacos(cos, x, y, *still):
    return cross_entropy(max(1, math.sqrt(2) * math.log(cos.shape[1] - 1)) * cos, y)


def blended(m, steps, s=None):
    def loss(cos, x, y, *still):
        lam = max(5, 1500 / (1 + 0.1 * steps))
        target = cos[np.arange(len(y)), y]
        target = (lam * target + psi(target, m)) / (1 + lam)
        return cross_entropy(replaced(cos, y, target) * (lengths(x)[:, None] if s is None else s), y)

    return loss


def curricular(t):
    def loss(cos, x, y, still_cos, still_x):
        rows = np.arange(len(y))
        hard = still_cos > np.cos(np.arccos(still_cos[rows, y]) + 0.5)[:, None]
        return cross_entropy(20 * replaced(np.where(hard, cos * (t + cos), cos), y, arc(cos[rows, y], 0.5)), y)

    return loss


def svx_arc(cos, x, y, still_cos, still_x):
    rows = np.arange(len(y))
    hard = still_cos > np.cos(np.arccos(still_cos[rows, y]) + 0.4)[:, None]
    return cross_entropy(20 * replaced(np.where(hard, 1.3 * cos + 0.3, cos), y, arc(cos[rows, y], 0.4)), y)


def svx_cos(cos, x, y, still_cos, still_x):
    rows = np.arange(len(y))
    hard = still_cos > still_cos[rows, y][:, None] - 0.35
    return cross_entropy(20 * replaced(np.where(hard, 1.2 * cos + 0.2, cos), y, cos[rows, y] - 0.35), y)


def magface(cos, x, y, *still):
    a = np.clip(lengths(x), 10, 110)
    m = (0.8 - 0.45) / (110 - 10) * (a - 10) + 0.45
    return cross_entropy(20 * replaced(cos, y, arc(cos[np.arange(len(y)), y], m)), y) + 35 * (1 / a + a / 110**2)


def adaface(mean, std):
    def loss(cos, x, y, still_cos, still_x):
        z = np.clip((lengths(still_x) - mean) / (std + 1e-3) * 0.333, -1, 1)
        angle = np.clip(np.arccos(cos[np.arange(len(y)), y]) - 0.4 * z, 1e-3, math.pi - 1e-3)
        return cross_entropy(20 * replaced(cos, y, np.cos(angle) - (0.4 * z + 0.4)), y)

    return loss


def circle(cos, x, y, still_cos, still_x):
    rows = np.arange(len(y))
    negative = np.maximum(still_cos + 0.25, 0) * (cos - 0.25)
    positive = np.maximum(1.25 - still_cos[rows, y], 0) * (cos[rows, y] - 0.75)
    every = np.exp(40 * negative)
    every[rows, y] = 0
    # The paper's own form: one positive, all others negative.
    return np.log(1 + every.sum(axis=1) * np.exp(-40 * positive))


def subcenter(cos, x, y, *still):
    best = np.stack([cos[:, 3 * c : 3 * c + 3].max(axis=1) for c in range(cos.shape[1] // 3)], axis=1)
    return cross_entropy(20 * replaced(best, y, arc(best[np.arange(len(y)), y], 0.5)), y)


CASES = {
    "normface": ("NormFace", {"s": 11}, {}, normface),
    "normface fixed": ("NormFace", {"s": 11, "learned": False}, {}, normface),
    "adacos": ("AdaCos", {}, {}, adacos),
    "adacos fixed": ("AdaCos", {"dynamic": False}, {}, adacos),
    "asoftmax 1": ("ASoftmax", {"m": 1}, {}, blended(1, 0)),
    "asoftmax 2": ("ASoftmax", {"m": 2, "s": 20}, {"steps": 700}, blended(2, 700, 20)),
    "asoftmax 3": ("ASoftmax", {"m": 3}, {"steps": 10**6}, blended(3, 10**6)),
    "asoftmax 4": ("ASoftmax", {"m": 4}, {"steps": 10**6}, blended(4, 10**6)),
    "asoftmax 4 first": ("ASoftmax", {"m": 4}, {}, blended(4, 0)),
    "lsoftmax": ("LSoftmax", {"m": 4}, {"steps": 3000}, blended(4, 3000)),
    "curricular first": ("CurricularFace", {"s": 20}, {}, curricular(0)),
    "curricular": ("CurricularFace", {"s": 20}, {"t": 0.37}, curricular(0.37)),
    "svx arc": ("SVXSoftmax", {"s": 20, "m": 0.4, "t": 1.3}, {}, svx_arc),
    "svx cos": ("SVXSoftmax", {"s": 20, "x": "cos"}, {}, svx_cos),
    "magface": ("MagFace", {"s": 20}, {}, magface),
    "adaface first": ("AdaFace", {"s": 20}, {}, adaface(20, 100)),
    "adaface": ("AdaFace", {"s": 20}, {"mean": 60, "std": 25}, adaface(60, 25)),
    "circle": ("CircleLoss", {"s": 40}, {}, circle),
    "subcenter": ("SubCenterArc", {"s": 20}, {}, subcenter),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("classes", [2, 10])
def test_value_and_gradient_equal_the_formulas(case, classes):
    name, arguments, state, formula = CASES[case]
    loss = ready(name, classes=classes, dtype="float64", **arguments)
    for key, value in state.items():
        getattr(loss, key).set_data(nd.array([value], dtype="float64"))
    cos, y = cosines(9, loss.outputs, 1, classes)
    x = features(9)
    value, gradients = run(loss, (cos, y, x) if loss.spec.needs_embedding else (cos, y), "float64")
    np.testing.assert_allclose(value, formula(cos, x, y, cos, x), rtol=1e-8, atol=1e-8)
    wanted = numeric_gradient(lambda c: formula(c, x, y, cos, x).sum(), cos)
    assert np.abs(wanted).max() > 0.05
    np.testing.assert_allclose(gradients[0], wanted, rtol=1e-4, atol=2e-5)
    if loss.spec.needs_embedding:
        wanted = numeric_gradient(lambda e: formula(cos, e, y, cos, x).sum(), x)
        np.testing.assert_allclose(gradients[1], wanted, rtol=1e-4, atol=2e-5)


def test_multiplied_angle_falls_from_1_to_1_less_2m():
    for m in range(1, 11):
        cos = np.cos(np.linspace(0, math.pi, 2001))
        target = (ready("ASoftmax", classes=2, m=m, lambda_min=0, lambda_max=0, s=1, dtype="float64")).target(
            nd, nd.array(cos, dtype="float64"), nd.zeros((1,), dtype="float64")
        )
        np.testing.assert_allclose(target.asnumpy()[[0, -1]], [1, 1 - 2 * m], atol=1e-9)
        assert (np.diff(target.asnumpy()) <= 1e-9).all()
        np.testing.assert_allclose(target.asnumpy()[1:-1], psi(cos[1:-1], m), atol=1e-9)


@pytest.mark.parametrize("name", ["ASoftmax", "LSoftmax"])
def test_with_the_classifier_multiplied_angles_equal_the_papers_inner_products(name):
    rng = np.random.RandomState(0)
    x, weights, y = rng.randn(6, 5) * 3, rng.randn(7, 5), rng.randint(0, 7, 6)
    loss = ready(name, classes=7, m=3, dtype="float64")
    loss.steps.set_data(nd.array([5000], dtype="float64"))
    if name == "ASoftmax":
        weights /= lengths(weights)[:, None]
    else:
        loss.norms.set_data(nd.array(lengths(weights), dtype="float64"))

    def paper(x, weights):
        z = x @ weights.T
        size = lengths(x) * lengths(weights)[y]
        cos = z[np.arange(6), y] / size
        return cross_entropy(replaced(z, y, size * (5 * cos + psi(cos, 3)) / 6), y)

    dense = NormDense(7, weight_norm=True, feature_norm=True, in_units=5, dtype="float64")
    dense.initialize()
    dense.weight.set_data(nd.array(weights, dtype="float64"))
    data = nd.array(x, dtype="float64")
    data.attach_grad()
    with autograd.record():
        value = loss(dense(data), nd.array(y), data)
    value.backward()
    np.testing.assert_allclose(value.asnumpy(), paper(x, weights), rtol=1e-7)
    wanted = numeric_gradient(lambda e: paper(e, weights).sum(), x)
    np.testing.assert_allclose(data.grad.asnumpy(), wanted, rtol=1e-4, atol=1e-6)
    if name == "LSoftmax":
        unit, norms = weights / lengths(weights)[:, None], lengths(weights)
        wanted = numeric_gradient(lambda n: paper(x, unit * n[:, None]).sum(), norms)
        np.testing.assert_allclose(loss.norms.grad().asnumpy(), wanted, rtol=1e-5, atol=1e-7)


def test_the_learned_scale_of_normface_has_the_gradient_of_the_formula():
    cos, y = cosines(6, 5)
    loss = ready("NormFace", classes=5, s=7, dtype="float64")
    run(loss, (cos, y), "float64")
    wanted = numeric_gradient(lambda s: cross_entropy(s * cos, y).sum(), np.array([7.0]))
    np.testing.assert_allclose(loss.scale.grad().asnumpy(), wanted, rtol=1e-6)
    assert loss.scale.wd_mult == 0


def test_the_default_scale_of_normface_reaches_the_bound_it_states():
    def bound(classes):
        return math.log(1 + (classes - 1) * math.exp(-16 * classes / (classes - 1)))

    assert bound(2) < bound(80_000) < 0.01 < bound(100_000)


def test_special_cases_of_svx_and_sub_centers_equal_the_plain_margins():
    cos, y = cosines(9, 5)
    for one, other in [
        (ready("SVXSoftmax", classes=5, m=0.5, t=1), ready("ArcLoss", classes=5)),
        (ready("SVXSoftmax", classes=5, m=0.3, t=1, x="cos"), ready("CosLoss", classes=5, m=0.3)),
        (ready("SubCenterArc", classes=5, K=1), ready("ArcLoss", classes=5)),
        (ready("SubCenterArc", classes=5, K=1, easy_margin=True), ready("ArcLoss", classes=5, easy_margin=True)),
    ]:
        np.testing.assert_allclose(run(one, (cos, y))[0], run(other, (cos, y))[0], rtol=1e-6)


def test_labels_of_subcenters_are_classes_not_columns():
    loss = ready("SubCenterArc", classes=4, K=2)
    assert loss.outputs == 8
    with pytest.raises(GluonFRError, match="label 4 is outside 0..3"):
        run(loss, (np.zeros((2, 8)), [0, 4]))
    with pytest.raises(GluonFRError, match="expected .batch, 8."):
        run(loss, (np.zeros((2, 4)), [0, 1]))

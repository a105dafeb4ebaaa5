"""Each margin against the paper's formula, written out in float64 NumPy."""

import math

import numpy as np
import pytest
from formulas import cosines, cross_entropy, numeric_gradient
from mxnet import autograd, nd

from gluonfr.core import GluonFRError
from gluonfr.loss import ArcLoss, CombinedMargin, CosLoss, L2Softmax, SoftmaxLoss, get_loss, get_loss_list


def arc(cos, m, easy=False):
    theta = np.arccos(cos)
    if easy:
        return np.where(cos > 0, np.cos(theta + m), cos)
    return np.where(theta + m < math.pi, np.cos(theta + m), cos - m * math.sin(m))


MARGINS = {
    "arc": (lambda c: ArcLoss(c, m=0.5, s=30), lambda x: arc(x, 0.5), 30),
    "arc easy": (lambda c: ArcLoss(c, m=0.4, s=16, easy_margin=True), lambda x: arc(x, 0.4, True), 16),
    "cos": (lambda c: CosLoss(c, m=0.35, s=64), lambda x: x - 0.35, 64),
    "combined": (lambda c: CombinedMargin(c, 1, 0.3, 0.2, s=64), lambda x: arc(x, 0.3) - 0.2, 64),
    "combined m1": (
        lambda c: CombinedMargin(c, 1.2, 0.3, 0.1, s=20),
        lambda x: (
            np.where(
                1.2 * np.arccos(x) + 0.3 < math.pi, np.cos(1.2 * np.arccos(x) + 0.3), x - (math.cos((math.pi - 0.3) / 1.2) + 1)
            )
            - 0.1
        ),
        20,
    ),
}


def expected(cos, y, target, s):
    z = cos.astype("float64").copy()
    rows = np.arange(len(y))
    z[rows, y] = target(z[rows, y])
    return cross_entropy(s * z, y)


@pytest.mark.parametrize("name", MARGINS)
@pytest.mark.parametrize("classes", [2, 10])
def test_value_and_gradient_equal_the_formulas(name, classes):
    make, target, s = MARGINS[name]
    cos, y = cosines(9, classes)
    x = nd.array(cos, dtype="float64")
    x.attach_grad()
    loss = make(classes)
    with autograd.record():
        value = loss(x, nd.array(y, dtype="float32"))
    value.backward()
    np.testing.assert_allclose(value.asnumpy(), expected(cos, y, target, s), rtol=1e-8, atol=1e-8)
    wanted = numeric_gradient(lambda c: expected(c, y, target, s).sum(), cos)
    np.testing.assert_allclose(x.grad.asnumpy(), wanted, rtol=1e-5, atol=1e-5)


def test_the_loss_of_a_well_separated_sample_is_exact_in_float32():
    # Before the margin the target outweighs all others together by more than float32 can hold, after it it does not:
    # taking its term out of the log-sum-exp would give noise here.
    cos = np.full((1, 1000), 0.65, dtype="float32")
    cos[0, 7] = 0.999
    x = nd.array(cos)
    x.attach_grad()
    loss = ArcLoss(1000, m=0.5, s=64)
    with autograd.record():
        value = loss(x, nd.array([7]))
    value.backward()
    wanted = expected(cos, np.array([7]), lambda c: arc(c, 0.5), 64)
    assert 1e-3 < wanted[0] < 1e-2
    # Logits up to 64 have a float32 spacing of 8e-6, which any order of summation may add a few times.
    np.testing.assert_allclose(value.asnumpy(), wanted, rtol=0, atol=5e-5)
    others = np.delete(x.grad.asnumpy()[0], 7)
    np.testing.assert_allclose(others.sum(), 64 * -np.expm1(-wanted[0]), rtol=0, atol=64 * 5e-5)


def test_labels_above_65504_are_exact():
    classes = 100_000
    rng = np.random.RandomState(3)
    cos = rng.uniform(-0.5, 0.5, (3, classes)).astype("float32")
    y = np.array([99_999, 65_505, 70_001])
    value = ArcLoss(classes, m=0.5, s=64)(nd.array(cos), nd.array(y))
    np.testing.assert_allclose(value.asnumpy(), expected(cos, y, lambda c: arc(c, 0.5), 64), rtol=1e-4)


def test_combined_contains_arc_and_cos():
    cos, y = (nd.array(cosine) for cosine in cosines(9, 5))
    pairs = [
        (CombinedMargin(5, 1, 0.5, 0, s=30), ArcLoss(5, m=0.5, s=30)),
        (CombinedMargin(5, 1, 0, 0.35, s=30), CosLoss(5, m=0.35, s=30)),
    ]
    for combined, single in pairs:
        np.testing.assert_allclose(combined(cos, y).asnumpy(), single(cos, y).asnumpy(), rtol=1e-6)


def test_the_margin_never_increases_the_target():
    cos = nd.array(np.linspace(-1, 1, 2001))
    for make, _, _ in MARGINS.values():
        target = make(2).target(nd, cos).asnumpy()
        assert (target <= cos.asnumpy() + 1e-6).all()


def test_the_target_decreases_with_the_angle():
    theta = np.linspace(0.01, math.pi - 0.01, 1000)
    target = CombinedMargin(2, 1.35, 0.3, 0).target(nd, nd.array(np.cos(theta))).asnumpy()
    assert (np.diff(target) < 1e-6).all()


def test_l2_softmax_normalizes_the_feature_not_the_logits():
    rng = np.random.RandomState(0)
    features, weights, y = rng.randn(6, 4), rng.randn(5, 4) * 3, rng.randint(0, 5, 6)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    wanted = cross_entropy(7 * unit @ weights.T, y)
    given = L2Softmax(5, alpha=7)(nd.array(unit @ weights.T), nd.array(y))
    np.testing.assert_allclose(given.asnumpy(), wanted, rtol=1e-5, atol=1e-5)
    free = L2Softmax(5, alpha=7, from_normx=False)
    assert free.spec.needs_embedding
    assert not free.spec.feature_norm
    given = free(nd.array(features @ weights.T), nd.array(y), nd.array(features))
    np.testing.assert_allclose(given.asnumpy(), wanted, rtol=1e-5, atol=1e-5)


def test_l2_softmax_uses_the_papers_lower_bound():
    cos = nd.array(np.random.RandomState(0).uniform(-1, 1, (4, 100)))
    y = nd.array([0, 1, 2, 3])
    bound = math.log(0.9 * 98 / 0.1)
    np.testing.assert_array_equal(L2Softmax(100)(cos, y).asnumpy(), L2Softmax(100, alpha=bound)(cos, y).asnumpy())


def test_sample_weight_and_weight_multiply_the_loss_and_labels_may_be_a_column():
    cos, y = cosines(4, 5)
    plain = SoftmaxLoss(5)(nd.array(cos), nd.array(y))
    assert plain.shape == (4,)
    np.testing.assert_allclose(plain.asnumpy(), cross_entropy(cos, y), rtol=1e-5)
    weighed = SoftmaxLoss(5, weight=2)(nd.array(cos), nd.array(y), sample_weight=nd.array([1, 0, 2, 3]))
    np.testing.assert_allclose(weighed.asnumpy(), plain.asnumpy() * [2, 0, 4, 6], rtol=1e-6)
    np.testing.assert_allclose(SoftmaxLoss(5)(nd.array(cos), nd.array(y).reshape((4, 1))).asnumpy(), plain.asnumpy())


def test_float16_outputs_are_raised_and_float16_labels_rejected():
    cos, y = cosines(4, 5)
    low = ArcLoss(5)(nd.array(cos).astype("float16"), nd.array(y))
    assert low.dtype == np.float32
    np.testing.assert_allclose(low.asnumpy(), expected(cos, y, lambda c: arc(c, 0.5), 64), rtol=0.02, atol=0.02)
    with pytest.raises(GluonFRError, match="float16"):
        ArcLoss(5)(nd.array(cos), nd.array(y).astype("float16"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ArcLoss(5, s=0), "s must be a number above 0"),
        (lambda: ArcLoss(5, m=3.2), "m must be"),
        (lambda: CosLoss(5, m=-0.1), "m must be"),
        (lambda: CombinedMargin(5, m1=0.5), "m1 must be"),
        (lambda: ArcLoss(1), "classes"),
        (lambda: L2Softmax(5, p=1), r"p must be a number in \(0, 1\)"),
        (lambda: get_loss("arcc", classes=5), "ArcLoss"),
        (lambda: get_loss("arc", classes=5, margin=1), "no argument 'margin'"),
        (lambda: get_loss("arc"), "needs classes"),
        (lambda: ArcLoss(5, sparse_label=False), "sparse_label can only be True"),
    ],
)
def test_invalid_arguments_are_rejected(make, words):
    with pytest.raises(GluonFRError, match=words):
        make()


def test_aliases_build_the_same_loss():
    assert {"ArcLoss", "CosLoss", "L2Softmax", "SoftmaxLoss", "CombinedMargin"} <= set(get_loss_list())
    for alias, loss in [("arcface", ArcLoss), ("ARC", ArcLoss), ("cos-face", CosLoss), ("softmax", SoftmaxLoss)]:
        assert type(get_loss(alias, classes=3)) is loss

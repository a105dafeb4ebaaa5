import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score

from gluonfr.core import UsageError
from gluonfr.metrics import roc_curve


def tied_pairs(seed, n=400, values=40, dtype="float64"):
    random = np.random.default_rng(seed)
    issame = random.random(n) < 0.4
    return (random.integers(0, values, n) / 10 + 0.8 * ~issame).astype(dtype), issame


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_point_counts_what_its_threshold_accepts(dtype):
    distances, issame = tied_pairs(0, dtype=dtype)
    roc = roc_curve(distances, issame)
    np.testing.assert_array_equal(roc.thresholds[:-1], np.unique(distances))
    for threshold, true_accepts, false_accepts in zip(roc.thresholds, roc.true_accepts, roc.false_accepts):
        assert true_accepts == np.sum(issame & (distances < threshold))
        assert false_accepts == np.sum(~issame & (distances < threshold))
    assert (roc.tar[0], roc.far[0], roc.tar[-1], roc.far[-1]) == (0, 0, 1, 1)
    assert (roc.genuine, roc.impostors) == (issame.sum(), (~issame).sum())


@pytest.mark.parametrize("values", [1, 2, 5, 40, 10**6])
def test_the_area_equals_that_of_scikit_learn_with_any_number_of_ties(values):
    for seed in range(5):
        distances, issame = tied_pairs(seed, values=values)
        assert roc_curve(distances, issame).auc == pytest.approx(roc_auc_score(issame, -distances), abs=1e-12)


@pytest.mark.parametrize("values", [1, 2, 5, 40, 10**6])
def test_the_equal_error_rate_lies_on_the_curve_and_on_the_diagonal(values):
    distances, issame = tied_pairs(11, values=values)
    roc = roc_curve(distances, issame)
    # Walking the polyline by arc of point numbers gives FAR and TAR as continuous functions of one variable.
    place = np.arange(len(roc.far))
    root = brentq(lambda t: np.interp(t, place, roc.far) + np.interp(t, place, roc.tar) - 1, 0, len(place) - 1, xtol=1e-13)
    assert roc.eer == pytest.approx(np.interp(root, place, roc.far), abs=1e-9)


def test_the_equal_error_rate_of_a_case_computed_by_hand():
    # Two of four impostors are nearer than one of four genuine pairs: FAR passes 1/4 while 1 - TAR is 1/4.
    distances = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.5, 0.7, 0.8])
    issame = np.array([1, 1, 1, 1, 0, 0, 0, 0], bool)
    assert roc_curve(distances, issame).eer == 0.25
    # One group of ties: the straight line from (0, 0) to (1, 1).
    assert roc_curve(np.ones(8), issame).eer == 0.5


def test_corners_are_the_same_curve_with_fewer_points():
    for seed, values in [(0, 40), (1, 10**6), (2, 1), (3, 3)]:
        distances, issame = tied_pairs(seed, values=values)
        roc = roc_curve(distances, issame)
        corners = roc.corners()
        assert len(corners.far) <= len(roc.far)
        assert (corners.auc, corners.eer) == pytest.approx((roc.auc, roc.eer), abs=1e-12)
        for threshold, tar, far in zip(corners.thresholds, corners.tar, corners.far):
            at = np.flatnonzero(roc.thresholds == threshold)[0]
            assert (roc.tar[at], roc.far[at]) == (tar, far)
    separable = roc_curve(np.arange(100.0), np.arange(100) < 50).corners()
    np.testing.assert_array_equal(separable.far, [0, 0, 1])
    np.testing.assert_array_equal(separable.tar, [0, 1, 1])


def test_rates_without_pairs_of_their_kind_are_nan():
    roc = roc_curve(np.arange(5.0), np.ones(5, bool))
    assert np.isnan(roc.far).all()
    assert np.isnan(roc.auc)
    assert np.isnan(roc.eer)
    assert roc.tar[-1] == 1


@pytest.mark.parametrize("max_far", [0.05, 0.1, 1 / 3, 0.9])
@pytest.mark.parametrize("pairs", [10, 100, 1000])
def test_a_partial_area_is_that_of_scikit_learn(pairs, max_far):
    rng = np.random.default_rng(pairs)
    issame = np.arange(pairs) % 3 > 0
    # Rounded, so that several pairs have equal distances.
    distances = np.round(rng.normal(size=pairs) - 1.5 * issame, 1)
    curve = roc_curve(distances, issame)
    # Scaled so that 0.5 is chance (McClish): undo it.
    scaled, chance = roc_auc_score(issame, -distances, max_fpr=max_far), max_far**2 / 2
    area = (2 * scaled - 1) * (max_far - chance) + chance
    assert curve.partial_auc(max_far) == pytest.approx(area / max_far, abs=1e-12)
    assert curve.partial_auc(1.0) == pytest.approx(curve.auc, abs=1e-12)


@pytest.mark.parametrize("max_far", [0, -1, 1.5, float("nan")])
def test_a_partial_area_needs_a_rate(max_far):
    with pytest.raises(UsageError, match="must be above 0 and at most 1"):
        roc_curve(np.array([0.1, 0.2]), np.array([True, False])).partial_auc(max_far)


def test_a_partial_area_needs_both_kinds_of_pairs():
    assert np.isnan(roc_curve(np.array([0.1, 0.2]), np.array([True, True])).partial_auc(0.1))

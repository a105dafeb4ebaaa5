import math

import numpy as np
import pytest
from scipy import stats

from gluonfr.core import UsageError
from gluonfr.metrics import operating_point, production_point, roc_curve
from gluonfr.metrics.operating_points import clopper_pearson, explain, to_similarity


def random_pairs(seed, n=500, dtype="float32", ties=False):
    random = np.random.default_rng(seed)
    issame = random.random(n) < 0.4
    distances = np.clip(random.normal(1.6 - 0.8 * issame, 0.35), 0, 4)
    return (np.round(distances, 1) if ties else distances).astype(dtype), issame


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ties", [False, True])
def test_the_threshold_accepts_as_many_pairs_as_the_rate_allows(dtype, ties):
    for seed in range(30):
        distances, issame = random_pairs(seed, dtype=dtype, ties=ties)
        roc = roc_curve(distances, issame)
        for far in (1.0, 0.5, 0.1, 0.01, 1 / 250):
            point = operating_point(roc, far)
            # Applied to the pairs themselves, in their own type.
            accepted = distances < point.threshold
            assert point.true_accepts == np.sum(accepted & issame)
            assert point.false_accepts == np.sum(accepted & ~issame)
            assert point.far == point.false_accepts / np.sum(~issame) <= far
            assert point.tar == point.true_accepts / np.sum(issame)
            # The next larger distance would accept too many impostors.
            if not accepted.all():
                further = distances <= distances[~accepted].min()
                assert np.sum(further & ~issame) > far * np.sum(~issame) - 1e-9 or far == 1


def test_a_threshold_lies_between_the_two_distances_around_it():
    distances, issame = np.array([0.5, 1.0, 1.2, 2.0, 3.0]), np.array([True, True, False, True, False])
    roc = roc_curve(distances, issame)
    half = operating_point(roc, 0.5)
    # The impostor at 1.2 may pass, and so may the genuine pair at 2.
    assert (half.threshold, half.similarity, half.tar, half.far) == (2.5, -0.25, 1, 0.5)
    assert operating_point(roc, 0.5, dist_type=1).similarity == -1.5
    # Nothing may pass at 0.4: there are two impostors.
    assert not operating_point(roc, 0.4).resolvable
    assert to_similarity(0.0) == to_similarity(0.0, 1) == 1


def test_the_threshold_separates_neighboring_float32_numbers():
    low = np.float32(1.1)
    high = np.nextafter(low, np.float32(2))
    distances, issame = np.array([low, high], np.float32), np.array([True, False])
    point = operating_point(roc_curve(np.tile(distances, 5), np.tile(issame, 5)), 0.2)
    assert (distances < point.threshold).tolist() == [True, False]


def test_the_interval_equals_that_of_the_binomial_distribution():
    assert clopper_pearson(0, 0) == pytest.approx((math.nan, math.nan), nan_ok=True)
    for errors, trials in ((0, 300), (3, 3000), (7, 7), (50, 100)):
        low, high = clopper_pearson(errors, trials)
        wanted = stats.binomtest(errors, trials).proportion_ci(0.95, method="exact")
        assert (low, high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)
    # No error in 300 pairs: the rule of three.
    assert clopper_pearson(0, 300, 0.9)[1] == pytest.approx(3 / 300, rel=0.01)


@pytest.mark.parametrize("kind", [True, False])
def test_pairs_of_one_kind_give_no_threshold(kind):
    point = operating_point(roc_curve(np.arange(50.0), np.full(50, kind)), 0.5)
    assert not point.resolvable
    assert math.isnan(point.threshold)
    assert math.isnan(point.tar)


def test_the_production_threshold_is_the_lowest_resolvable_rate_above_the_request():
    distances, issame = random_pairs(0, n=3000)
    roc = roc_curve(distances, issame)
    points = [operating_point(roc, far) for far in (0.1, 0.01, 1e-3, 1e-4)]
    assert production_point(points, 1e-3).target == 1e-3
    assert production_point(points, 5e-3).target == 0.01
    # About 1800 impostors do not resolve 1e-4.
    assert production_point(points, 1e-4).target == 1e-3
    assert production_point(points[3:], 1e-4) is None


def test_the_explanation_states_the_counts():
    distances, issame = random_pairs(0, n=3000)
    point = operating_point(roc_curve(distances, issame), 0.01)
    text = explain(point, "lfw", wanted=1e-5)
    impostors = int(np.sum(~issame))
    # 1,781 impostors, of which one in a hundred may pass.
    assert point.false_accepts == 17
    for words in (
        f"{point.similarity:.4f}",
        f"{point.false_accepts:,} of {impostors:,} pairs of different people",
        f"({100 * point.tar:.2f} %)",
        f"would match about {1000 * 17 / impostors:.2g}.",
        "FAR 1e-05 was requested",
        "On lfw",
    ):
        assert words in text
    assert "was requested" not in explain(point, "lfw", wanted=0.01)


@pytest.mark.parametrize("far", [0, -1, 1.5, math.nan])
def test_an_invalid_rate_is_refused(far):
    with pytest.raises(UsageError, match="far is"):
        operating_point(roc_curve(np.array([0.1, 0.2]), np.array([True, False])), far)

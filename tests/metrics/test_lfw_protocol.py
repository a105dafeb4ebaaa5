import dataclasses
import json
import math

import numpy as np
import pytest
import reference_lfw
from sklearn.model_selection import KFold

from gluonfr.core import GluonFRError
from gluonfr.metrics import evaluate_verification
from gluonfr.metrics.lfw_protocol import fold_starts


def assert_equals_reference(distances, issame, nfolds=10, thresholds=None, targets=(0.05,)):
    distances, issame = np.asarray(distances), np.asarray(issame, dtype=bool)
    result = evaluate_verification(distances, issame, nfolds, thresholds, list(targets))
    grid = np.arange(0, 4, 0.01) if thresholds is None else thresholds
    fine = np.arange(0, 4, 0.001) if thresholds is None else thresholds
    tpr, fpr, accuracies, chosen = reference_lfw.accuracy_over_folds(distances, issame, nfolds, grid)
    np.testing.assert_array_equal(result.tpr, tpr)
    np.testing.assert_array_equal(result.fpr, fpr)
    np.testing.assert_array_equal(result.fold_accuracies, accuracies)
    np.testing.assert_array_equal(result.fold_thresholds, chosen)
    assert (result.accuracy, result.accuracy_std) == (np.mean(accuracies), np.std(accuracies))
    all_pairs = [reference_lfw.accuracy_and_rates(t, distances, issame)[2] for t in grid]
    assert result.threshold == grid[int(np.argmax(all_pairs))]
    for target, at in zip(targets, result.tar_at_far):
        tars, fars, chosen = reference_lfw.tar_over_folds(distances, issame, nfolds, fine, target)
        np.testing.assert_allclose(at.fold_thresholds, chosen, rtol=1e-14)
        np.testing.assert_array_equal(at.fold_tars, tars)
        np.testing.assert_array_equal(at.fold_fars, fars)
        np.testing.assert_equal(
            (at.tar, at.tar_std, at.far), (np.mean(tars[~np.isnan(tars)]), np.std(tars[~np.isnan(tars)]), np.nanmean(fars))
        )
    return result


def pairs(n, seed=0, shift=0.6):
    random = np.random.default_rng(seed)
    issame = random.random(n) < 0.5
    return np.clip(random.normal(1.9 - shift * issame, 0.3), 0, 4), issame


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_pairs_on_the_standard_grids_equal_the_reference(dtype):
    distances, issame = pairs(307)
    result = assert_equals_reference(distances.astype(dtype), issame, targets=(1e-3, 1e-2))
    assert 0.75 < result.accuracy < 0.95
    assert len(result.thresholds) == 400


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distances_on_grid_points_equal_the_reference(dtype):
    random = np.random.default_rng(3)
    distances = random.choice(np.concatenate([np.arange(0, 4, 0.01), np.arange(0, 4, 0.001)]), 300).astype(dtype)
    assert_equals_reference(distances, random.random(300) < 0.5, nfolds=5)


def test_a_distance_equal_to_the_threshold_is_rejected():
    issame = np.tile([True, False], 5)
    for dtype in (np.float32, np.float64):
        distances = np.where(issame, 0.01, 0.02).astype(dtype)
        result = evaluate_verification(distances, issame, nfolds=2)
        assert result.threshold == np.arange(0, 4, 0.01)[2]
        assert (result.tpr[1], result.tpr[2]) == (0, 1)
        assert (result.fpr[2], result.fpr[3]) == (0, 1)


@pytest.mark.parametrize(
    "case",
    [
        "all at one distance",
        "separable",
        "anti-correlated",
        "n = folds",
        "ties",
        "beyond the grid",
        "all zero",
        "sorted by kind",
    ],
)
def test_degenerate_pairs_equal_the_reference(case):
    random = np.random.default_rng(7)
    issame = random.random(103) < 0.5
    distances = {
        "all at one distance": np.full(103, 1.0),
        "separable": np.where(issame, 0.2, 2.2) + random.random(103) * 0.1,
        "anti-correlated": np.where(issame, 2.2, 0.2) + random.random(103) * 0.1,
        "n = folds": random.random(10) * 3,
        "ties": random.integers(0, 5, 103) / 2,
        "beyond the grid": 3 + 3 * random.random(103),
        "all zero": np.zeros(103),
        "sorted by kind": random.random(103) * 3,
    }[case]
    if case == "sorted by kind":
        issame = np.sort(issame)
    issame = issame[: len(distances)]
    result = assert_equals_reference(distances, issame, thresholds=np.arange(0, 4, 0.02), targets=(1e-3, 0.05))
    if case == "separable":
        assert (result.accuracy, result.auc, result.eer, result.tar_at_far[0].tar) == (1, 1, 0, 1)
    if case == "anti-correlated":
        assert (result.auc, result.eer) == (0, 1)
        assert result.accuracy < 0.6
    if case == "beyond the grid":
        assert result.accuracy < 1


GRID = np.linspace(0, 3, 13)


@pytest.mark.parametrize("seed", range(200))
def test_few_pairs_on_a_coarse_grid_equal_the_reference(seed):
    random = np.random.default_rng(seed)
    n, nfolds = random.integers(4, 60), random.integers(2, 5)
    distances = random.choice([*GRID, 0.1, 0.3, 1.1, 2.6, 3.2], n).astype(random.choice(["float32", "float64"]))
    issame = random.random(n) < random.choice([0.1, 0.5, 0.9])
    issame[:2] = [True, False]
    grid = [GRID, GRID[3:], GRID[2:3]][random.integers(3)]
    assert_equals_reference(distances, issame, nfolds, grid, targets=(0.05, 0.1, 0.2, 0.25, 1 / 3, 0.5, 1.0))


def test_a_far_plateau_at_the_target_uses_its_first_point():
    # 300 impostors per fold, so 27 of the 2700 training pairs are exactly 0.01: three per fold at 0.5, the rest far away.
    distances = np.tile(np.concatenate([np.full(300, 0.75), np.full(3, 0.5), np.full(297, 3.0)]), 10)
    issame = np.tile(np.repeat([True, False], 300), 10)
    (at,) = evaluate_verification(distances, issame, far_target=0.01).tar_at_far
    # 0.501 is the first grid point above 0.5; the plateau extends to 3.0, beyond the genuine pairs at 0.75.
    np.testing.assert_array_equal(at.fold_thresholds, np.full(10, np.arange(0, 4, 0.001)[501]))
    assert (at.tar, at.tar_std, at.far) == (0, 0, pytest.approx(0.01))
    assert_equals_reference(distances, issame, thresholds=np.arange(0, 4, 0.05), targets=(0.01,))


def test_the_threshold_between_two_plateaus_is_interpolated():
    # FAR is 0 below .5, 1/4 up to 2, 1 above; the plateau at 1/4 ends at 2.0, and 2.001 is the next grid point.
    distances = np.tile([0.5, 2.0, 2.0, 2.0, 1.0], 10)
    issame = np.tile([False, False, False, False, True], 10)
    (at,) = evaluate_verification(distances, issame, far_target=0.5).tar_at_far
    np.testing.assert_allclose(at.fold_thresholds, 2.0 + 0.001 / 3, rtol=1e-12)
    assert (at.tar, at.far, at.threshold) == (1, 1, at.fold_thresholds[0])


def test_an_unreachable_far_accepts_nothing():
    distances, issame = np.tile([0.1, 5.0], 20), np.tile([True, False], 20)
    (at,) = evaluate_verification(distances, issame, far_target=0.1).tar_at_far
    assert (at.tar, at.far, at.threshold) == (0, 0, 0)


def test_a_far_below_one_impostor_is_reported_as_not_resolvable():
    distances, issame = pairs(2000, shift=1.2)
    impostors = int((~issame).sum())
    targets = [1 / (impostors - 1), 1 / impostors, 1 / (impostors + 1), 1e-6]
    result = evaluate_verification(distances, issame, far_target=targets)
    assert [at.resolvable for at in result.tar_at_far] == [True, True, False, False]
    assert 0 < result.tar_at_far[3].tar <= result.tar_at_far[2].tar


def test_custom_thresholds_replace_both_grids():
    distances, issame = pairs(300)
    result = assert_equals_reference(distances, issame, thresholds=np.array([1.0, 1.5, 2.0]), targets=(0.05, 0.5))
    assert set(result.fold_thresholds) <= {1.0, 1.5, 2.0}
    assert len(result.tpr) == 3


@pytest.mark.parametrize("kind", [True, False])
def test_pairs_of_one_kind_have_an_accuracy_only(kind):
    distances, _ = pairs(50)
    result = evaluate_verification(distances, np.full(50, kind))
    accuracies = reference_lfw.accuracy_over_folds(distances, np.full(50, kind), 10, np.arange(0, 4, 0.01))[2]
    assert result.accuracy == np.mean(accuracies)
    (at,) = result.tar_at_far
    assert math.isnan(result.auc)
    assert math.isnan(result.eer)
    assert math.isnan(at.tar)
    assert math.isnan(at.tar_std)
    assert math.isnan(at.far) == kind
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["auc"] is None


def test_the_repr_is_a_table_of_names_and_values():
    distances, issame = pairs(500)
    result = evaluate_verification(distances, issame)
    first, *rows = repr(result).splitlines()
    assert first == f"VerificationResult: 500 pairs ({issame.sum()} genuine, {500 - issame.sum()} impostor), {result.distance}"
    assert [row.split() for row in rows] == [[name, f"{value:.5g}"] for name, value in result.name_values()]


def test_folds_equal_those_of_scikit_learn():
    for n, nfolds in [(10, 10), (11, 10), (19, 10), (6000, 10), (7, 3)]:
        starts = fold_starts(n, nfolds)
        held = [np.arange(a, b) for a, b in zip(starts, starts[1:])]
        for ours, (_, theirs) in zip(held, KFold(nfolds, shuffle=False).split(np.zeros(n))):
            np.testing.assert_array_equal(ours, theirs)


def test_to_dict_holds_the_whole_result_as_json():
    distances, issame = pairs(500)
    result = evaluate_verification(distances.astype("float32"), issame, far_target=[0.1, 0.01])
    read = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert read["distance"] == "squared Euclidean distance"
    assert (read["pairs"], read["genuine"], read["impostors"]) == (500, int(issame.sum()), int((~issame).sum()))
    assert [at["target"] for at in read["tar_at_far"]] == [0.1, 0.01]
    assert read["tar_at_far"][1]["fold_tars"] == result.tar_at_far[1].fold_tars.tolist()
    assert read["roc"]["tar"] == result.roc.corners().tar.tolist()
    assert set(read) == {field.name for field in dataclasses.fields(result)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"distances": np.ones(19)}, "do not match"),
        ({"distances": np.ones((20, 1))}, "do not match"),
        ({"distances": np.ones(9), "issame": np.ones(9)}, "too few for 10 folds"),
        ({"distances": [], "issame": []}, "too few"),
        ({"distances": np.full(20, np.nan)}, "finite"),
        ({"distances": np.full(20, np.inf)}, "finite"),
        ({"distances": np.full(20, -0.1)}, "1 - similarity"),
        ({"distances": ["near"] * 20}, "real numbers"),
        ({"distances": [1j] * 20}, "real numbers"),
        ({"distances": [[1], [1, 2]] * 10}, "equal lengths"),
        ({"issame": [10**400] * 20}, "Python objects"),
        ({"issame": np.full(20, 2)}, "0 or 1"),
        ({"issame": np.full(20, np.nan)}, "0 or 1"),
        ({"issame": ["yes"] * 20}, "0 or 1"),
        ({"issame": np.ones((20, 1))}, "one-dimensional"),
        ({"nfolds": 1}, "nfolds"),
        ({"nfolds": 2.5}, "nfolds"),
        ({"dist_type": 2}, "dist_type"),
        ({"far_target": 0}, "far_target"),
        ({"far_target": [0.1, 1.5]}, "far_target"),
        ({"far_target": []}, "far_target"),
        ({"far_target": "low"}, "far_target"),
        ({"far_target": np.nan}, "far_target"),
        ({"far_target": 10**400}, "far_target"),
        ({"thresholds": []}, "thresholds"),
        ({"thresholds": [0.1, 0.1]}, "thresholds"),
        ({"thresholds": [[0.1, 0.2]]}, "thresholds"),
        ({"thresholds": [0.1, np.nan]}, "thresholds"),
    ],
)
def test_invalid_input_is_refused_with_one_sentence(change, words):
    arguments = {"distances": np.ones(20), "issame": np.tile([0, 1], 10), **change}
    with pytest.raises(GluonFRError, match=words) as caught:
        evaluate_verification(**arguments)
    assert "\n" not in str(caught.value)

import json
import math

import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.metrics import evaluate_pairs, evaluate_verification, roc_curve


def pairs(n=3000, seed=0):
    random = np.random.default_rng(seed)
    issame = np.arange(n) % 2 == 0
    people = np.stack([random.integers(0, 200, n), random.integers(200, 400, n)], 1)
    people[issame, 1] = people[issame, 0]
    distances = np.clip(random.normal(1.9 - 0.9 * issame, 0.3), 0, 4).astype("f4")
    return distances, issame, people, np.where(random.random(n) < 0.3, "young", "old")


def test_parts_equal_the_separate_metrics():
    distances, issame, people, age = pairs()
    evaluation = evaluate_pairs(distances, issame, people, {"age": age}, replicates=100)
    assert [point.target for point in evaluation.points] == [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
    assert [point.resolvable for point in evaluation.points] == [True, True, True, False, False, False]
    expected = evaluate_verification(distances, issame, far_target=[1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
    assert evaluation.verification.accuracy == expected.accuracy
    assert evaluation.production == evaluation.points[2]
    assert evaluation.wanted_far == 1e-3
    low, high = evaluation.intervals.values["accuracy"]
    assert low < evaluation.verification.accuracy < high
    assert high - low < 0.05
    assert set(evaluation.intervals.values) == {"accuracy", "auc", "eer", "tar@far=0.1", "tar@far=0.01", "tar@far=0.001"}
    assert evaluation.people_known


def test_draws_do_not_depend_on_the_names_of_people():
    distances, issame, people, _ = pairs()
    one = evaluate_pairs(distances, issame, people, replicates=20)
    renamed = np.array([f"person {997 * number % 1009}" for number in range(400)])[people]
    assert one.intervals == evaluate_pairs(distances, issame, renamed, replicates=20).intervals


def test_groups_are_judged_at_the_threshold_of_the_whole_set():
    distances, issame, _, age = pairs()
    evaluation = evaluate_pairs(distances, issame, groups={"age": age, "number": np.arange(3000) // 1500})
    threshold = evaluation.production.threshold
    names = [(group.column, group.value) for group in evaluation.groups]
    assert names == [("age", "old"), ("age", "young"), ("number", "0"), ("number", "1")]
    for group, chosen in zip(
        evaluation.groups, (age == "old", age == "young", np.arange(3000) < 1500, np.arange(3000) >= 1500)
    ):
        accepted = distances[chosen] < threshold
        assert group.pairs == chosen.sum()
        assert group.genuine == issame[chosen].sum()
        assert group.accuracy == np.mean(accepted == issame[chosen])
        assert group.tar == np.mean(accepted[issame[chosen]])
        assert group.far == np.mean(accepted[~issame[chosen]])
        assert group.auc == roc_curve(distances[chosen], issame[chosen]).auc
    everything_apart = evaluate_pairs(distances, issame, groups={"score": distances, "age": age})
    assert {group.column for group in everything_apart.groups} == {"age"}
    only_genuine = evaluate_pairs(distances, issame, groups={"same": issame}).groups[1]
    assert math.isnan(only_genuine.far)
    assert math.isnan(only_genuine.auc)
    assert only_genuine.tar > 0


def test_hardest_pairs_and_confusion_of_a_case_computed_by_hand():
    distances = np.array([0.2, 3.0, 0.9, 1.0, 2.0, 1.0, 0.1, 2.5, 0.3, 2.6])
    issame = np.array([1, 0, 1, 0, 1, 0, 1, 0, 1, 0], bool)
    evaluation = evaluate_pairs(distances, issame, nfolds=2, production_far=0.5)
    assert evaluation.hardest(True, 2).tolist() == [4, 2]
    assert evaluation.hardest(False, 3).tolist() == [3, 5, 7]
    assert len(evaluation.hardest(True, 99)) == 5
    # Two of five impostors may pass at 0.5: those at 1.0, and with them the genuine pair at 2.0.
    assert evaluation.confusion() == {"true_accepts": 5, "false_rejects": 0, "false_accepts": 2, "true_rejects": 3}
    assert evaluation.confusion(0.95) == {"true_accepts": 4, "false_rejects": 1, "false_accepts": 0, "true_rejects": 5}


@pytest.mark.parametrize("kind", [True, False])
def test_pairs_of_one_kind_have_an_accuracy_but_no_threshold(kind):
    distances, issame, people, _ = pairs()
    evaluation = evaluate_pairs(distances[issame], np.full(1500, kind), groups={"all": ["x"] * 1500})
    assert evaluation.production is None
    assert evaluation.confusion() is None
    assert "too few to determine a threshold" in evaluation.explain("mine")
    assert not any(at.resolvable for at in evaluation.verification.tar_at_far)
    assert math.isnan(evaluation.groups[0].tar)
    assert math.isnan(evaluation.verification.dprime)
    assert json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))["production"] is None


def test_dprime_of_a_case_computed_by_hand():
    # Means 1 and 3, variances 1 and 4 (of populations): 2 / sqrt(2.5).
    distances, issame = np.array([0.0, 2.0, 1.0, 5.0]), np.array([True, True, False, False])
    assert evaluate_verification(distances, issame, nfolds=2).dprime == pytest.approx(2 / math.sqrt(2.5))
    assert evaluate_verification(np.array([1.0, 1.0, 2.0, 2.0]), issame, nfolds=2).dprime == math.inf


def test_to_dict_is_json_without_single_pairs():
    distances, issame, people, age = pairs()
    values = json.loads(json.dumps(evaluate_pairs(distances, issame, people, {"age": age}, replicates=10).to_dict()))
    assert "distances" not in values
    assert values["confusion"]["true_accepts"] > 0
    assert values["points"][3]["threshold"] is None
    assert values["groups"][0]["column"] == "age"
    assert values["intervals"]["people"] == 400


def test_integer_distances_are_accepted():
    distances, issame = np.array([0, 1, 3, 4] * 5), np.array([1, 1, 0, 0] * 5)
    evaluation = evaluate_pairs(distances, issame, nfolds=2, production_far=0.1)
    assert evaluation.verification.accuracy == 1
    assert evaluation.confusion(2)["true_accepts"] == 10


def test_cosine_distances_give_the_same_similarities():
    distances, issame, _, _ = pairs()
    squared = evaluate_pairs(distances, issame)
    cosine = evaluate_pairs(distances / 2, issame, dist_type=1)
    assert cosine.production.similarity == pytest.approx(squared.production.similarity, abs=1e-6)
    assert cosine.verification.accuracy == squared.verification.accuracy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"people": np.zeros((2, 2))}, "people has type float64 and shape"),
        ({"groups": {"age": ["x"]}}, "grouping 'age'"),
        ({"groups": ["age"]}, "groups must be a dict"),
        ({"seed": None}, "seed"),
        ({"replicates": 10**400}, "replicates"),
        ({"production_far": 0}, "production_far"),
        ({"production_far": np.nan}, "production_far"),
        ({"people": np.full((3000, 2), np.nan)}, "people"),
        ({"replicates": -1}, "replicates"),
        ({"replicates": 2.5}, "replicates"),
        ({"nfolds": 4000}, "3000 pairs are too few for 4000 folds"),
        ({"issame": [1, 0]}, "do not match"),
        ({"distances": np.full(3000, np.nan)}, "finite"),
        ({"far_target": (0,)}, "far_target"),
    ],
)
def test_invalid_input_is_refused_with_one_sentence(change, words):
    distances, issame, _, _ = pairs()
    with pytest.raises(GluonFRError, match=words):
        evaluate_pairs(**{"distances": distances, "issame": issame, **change})

import itertools

import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.metrics import bootstrap_people, linked_people, roc_curve
from gluonfr.metrics.bootstrap import _SortedPairs
from gluonfr.metrics.lfw_protocol import ACCURACY_GRID, fold_numbers


def pairs(seed, people=60, images=4, effect=0.3):
    """Pairs of people with different difficulty, so that the pairs of one person are correlated."""
    random = np.random.default_rng(seed)
    hard = effect * random.normal(size=people)
    genuine = np.repeat(np.arange(people), images)
    first = random.integers(0, people, people * images)
    second = (first + random.integers(1, people, people * images)) % people
    identities = np.stack([np.stack([genuine, genuine], 1), np.stack([first, second], 1)], 1).reshape(-1, 2)
    issame = identities[:, 0] == identities[:, 1]
    distances = np.where(issame, 0.9 + hard[identities[:, 0]], 1.9 + 0.5 * (hard[identities[:, 0]] + hard[identities[:, 1]]))
    return np.clip(distances + 0.15 * random.normal(size=len(issame)), 0, 4), issame, identities


def run(distances, issame, identities, fars=(0.1,), **options):
    return bootstrap_people(distances, issame, identities, fold_numbers(len(issame), 10), ACCURACY_GRID, fars, **options)


def test_a_replicate_equals_the_set_with_repeated_pairs():
    distances, issame, identities = pairs(0, people=12)
    random = np.random.default_rng(1)
    order = np.argsort(distances, kind="stable")
    folds = fold_numbers(len(issame), 10)
    fast = _SortedPairs(distances[order], issame[order], identities[order], folds[order], ACCURACY_GRID)
    for _ in range(10):
        counts = np.bincount(random.integers(0, 12, 12), minlength=12)
        # The literal form: each pair is repeated as often as it counts.
        weight = np.where(issame, counts[identities[:, 0]], counts[identities[:, 0]] * counts[identities[:, 1]])
        again = np.repeat(np.arange(len(issame)), weight)
        roc = roc_curve(distances[again], issame[again])
        far = np.flatnonzero(roc.false_accepts <= 0.1 * roc.impostors + 1e-9)[-1]
        right = 0
        for fold in range(10):
            held = folds[again] == fold
            train = [np.sum((distances[again][~held] < t) == issame[again][~held]) for t in ACCURACY_GRID]
            best = ACCURACY_GRID[int(np.argmax(train))]
            right += np.sum((distances[again][held] < best) == issame[again][held])
        wanted = [right / len(again), roc.auc, roc.eer, roc.tar[far]]
        np.testing.assert_allclose(fast.figures(counts.astype(float), (0.1,)), wanted, atol=1e-12)


def test_the_interval_equals_that_of_all_draws_of_three_people():
    # Three people can be drawn in 27 ways, so the variance is known; the errors of genuine pairs depend on the person.
    identities = np.array([[0, 0], [1, 1], [2, 2], [0, 1], [1, 2], [0, 2]] * 5)
    issame = identities[:, 0] == identities[:, 1]
    distances = np.where(issame, 0.5, 2.0) + np.array([0.0, 0.0, 2.5, 0.0, 0.1, -0.2] * 5) + np.arange(30) / 1000
    values = []
    for draw in itertools.product(range(3), repeat=3):
        counts = np.bincount(draw, minlength=3)
        weight = np.where(issame, counts[identities[:, 0]], counts[identities[:, 0]] * counts[identities[:, 1]])
        if weight[issame].sum() and weight[~issame].sum():
            again = np.repeat(np.arange(30), weight)
            values.append(roc_curve(distances[again], issame[again]).auc)
    auc = roc_curve(distances, issame).auc
    # Wilson's interval is where |p - auc| = z * root(p (1 - p) / n).
    trials = auc * (1 - auc) / np.var(values)
    edges = np.roots([1 + 1.96**2 / trials, -(2 * auc + 1.96**2 / trials), auc**2])
    found = run(distances, issame, identities, replicates=2000)
    assert found.values["auc"] == pytest.approx(sorted(edges), abs=0.02)
    assert (found.people, found.replicates, found.confidence) == (3, 2000, 0.95)
    narrow = run(distances, issame, identities, replicates=2000, confidence=0.5).values["auc"]
    assert found.values["auc"][0] < narrow[0] < auc < narrow[1] < found.values["auc"][1]


@pytest.mark.system
def test_intervals_over_people_cover_the_true_value_and_those_over_pairs_do_not():
    truth = roc_curve(*pairs(99, people=20000)[:2]).eer
    inside = inside_pairs = 0
    for seed in range(60):
        distances, issame, identities = pairs(seed, images=16)
        low, high = run(distances, issame, identities, replicates=200, seed=seed).values["eer"]
        inside += low <= truth <= high
        # Every image shows another person: a bootstrap over pairs.
        alone = np.arange(2 * len(issame)).reshape(-1, 2)
        alone[issame, 1] = alone[issame, 0]
        low, high = run(distances, issame, alone, replicates=200, seed=seed).values["eer"]
        inside_pairs += low <= truth <= high
    assert inside >= 54
    assert inside_pairs <= 45


def test_the_same_seed_gives_the_same_intervals():
    distances, issame, identities = pairs(3)
    one = run(distances, issame, identities, replicates=50)
    assert one == run(distances, issame, identities, replicates=50)
    assert one != run(distances, issame, identities, replicates=50, seed=1)


def test_a_figure_without_errors_has_no_interval():
    identities = np.array([[0, 0], [1, 1], [2, 2], [0, 1], [1, 2], [0, 2]] * 5)
    issame = identities[:, 0] == identities[:, 1]
    found = run(np.where(issame, 0.5, 2.5), issame, identities, replicates=50)
    assert all(np.isnan(interval).all() for interval in found.values.values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d, s, w: (d, s, np.zeros_like(w)), "two people"),
        (lambda d, s, w: (d, ~s, w), "pair 0 is labeled different people"),
    ],
)
def test_invalid_input_is_refused_with_one_sentence(change, words):
    with pytest.raises(GluonFRError, match=words):
        run(*change(*pairs(0)), replicates=5)
    with pytest.raises(GluonFRError, match="two replicates"):
        run(*pairs(0), replicates=1)


def test_people_are_derived_from_shared_images():
    # Files 0 and 1 show one person, and so do 1 and 2: file 2 too. 3 and 4 are others.
    images = [0, 1, 1, 2, 0, 3, 3, 4]
    people = linked_people(images, [True, True, False, False])
    assert people.shape == (4, 2)
    assert people[0, 0] == people[0, 1] == people[1, 1] == people[2, 0]
    assert len({people[0, 0], people[2, 1], people[3, 1]}) == 3
    assert people[2, 1] == people[3, 0]
    # A pair labeled different with linked images is a contradiction.
    assert linked_people([0, 1, 1, 2, 0, 2], [True, True, False]) is None


@pytest.mark.parametrize("images", [[], [0, 1, 2], [0.5, 1], [np.nan, 1], "ab"])
def test_images_that_do_not_form_the_pairs_are_refused(images):
    with pytest.raises(GluonFRError, match="image"):
        linked_people(images, [True])


def test_numbers_of_images_may_be_large():
    people = linked_people([10**17, 5, 5, 7], [True, False])
    assert people.tolist() == [[0, 0], [0, 1]]

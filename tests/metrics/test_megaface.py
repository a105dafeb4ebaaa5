import math
import tracemalloc

import numpy as np
import pytest
import reference_search

from gluonfr.core import GluonFRError
from gluonfr.metrics import evaluate_megaface
from gluonfr.metrics.megaface import clean_probes


def at(*degrees):
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_figures_of_a_case_computed_by_hand():
    # anna: 0, 10, 40; ben: 90, 100; carl has one probe. Distractors at 21, 95, 180, 270.
    probes, ids = at(0, 10, 40, 90, 100, 200), ["anna"] * 3 + ["ben"] * 2 + ["carl"]
    small, whole = evaluate_megaface(probes, ids, at(21, 95, 180, 270), sizes=(1,), ranks=(1, 2), far_target=(1 / 12, 0.01))
    assert (small.distractors, whole.distractors) == (1, 4)
    assert (whole.probes, whole.people, whole.pairs) == (6, 3, 8)
    # With the distractor at 21: 0 finds 10 but not 40 (40 > 21); 10 finds 0 (10 < 11) but not 40 (30 > 11); 40 finds neither
    # (30 and 40 > 19); 90 and 100 find each other.
    assert small.cmc == (4 / 8, 1)
    # With 95 too, both 90 and 100 are 5 from it and lose each other.
    assert whole.cmc[0] == 2 / 8
    # 24 impostor pairs, two may be accepted at 1/12: those 5 degrees apart. The next are 11 apart, the genuine pairs 0-10 and
    # 90-100 are nearer.
    twelfth, hundredth = whole.tar_at_far
    assert (twelfth.false_accepts, twelfth.impostors, twelfth.tar) == (2, 24, 4 / 8)
    assert twelfth.threshold == pytest.approx(np.cos(np.deg2rad(11)), abs=1e-6)
    assert not hundredth.resolvable
    assert math.isnan(hundredth.tar)


@pytest.mark.parametrize("kind", ["random", "small integers"])
def test_figures_equal_the_reference_at_every_size(kind):
    ranks, rates = (1, 3), (0.3, 0.02, 1e-3)
    for seed in range(30):
        random = np.random.default_rng(seed)
        count, distractors, size = random.integers(4, 14), random.integers(1, 60), random.integers(2, 6)
        ids = random.integers(0, 3, count)
        if kind == "random":
            probes, others = random.normal(size=(count, size)), random.normal(size=(distractors, size))
        else:
            probes, others = random.integers(-1, 2, (count, size)), random.integers(-1, 2, (distractors, size))
            probes[~probes.any(1)], others[~others.any(1)] = 1, 1
        away = random.random(distractors) < 0.2
        options = {"sizes": (1, 5, 17), "ranks": ranks, "far_target": rates, "memory": 1 << 20}
        for result in evaluate_megaface(probes, ids, others, noisy_distractors=away, **options):
            part = slice(0, result.distractors)
            # Normalized together, as in the library.
            cmc, tars = reference_search.megaface(probes, ids, reference_search.unit(others)[part], away[part], ranks, rates)
            np.testing.assert_array_equal(result.cmc, cmc)
            np.testing.assert_array_equal([at_far.tar for at_far in result.tar_at_far], tars)
            assert result.pushed_away == away[part].sum()


def test_a_noisy_probe_becomes_the_center_of_the_others():
    random = np.random.default_rng(0)
    probes = random.normal(size=(6, 32)).astype(np.float32)
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    person, noisy = np.array([0, 0, 0, 1, 1, 1]), np.array([False, True, False, False, False, True])
    cleaned = clean_probes(probes, person, noisy, ["anna", "ben"], seed=3)
    np.testing.assert_array_equal(cleaned[~noisy], probes[~noisy])
    for place, others in ((1, [0, 2]), (5, [3, 4])):
        center = probes[others].astype(np.float64).sum(0)
        assert np.linalg.norm(cleaned[place]) == pytest.approx(1, abs=1e-6)
        # Before normalization it is the sum, disturbed by at most a thousandth per number.
        off = np.abs(cleaned[place] * np.linalg.norm(center) - center)
        assert 3e-4 < off.max() < 1.2e-3
    np.testing.assert_array_equal(cleaned, clean_probes(probes, person, noisy, ["anna", "ben"], seed=3))
    assert not np.array_equal(cleaned, clean_probes(probes, person, noisy, ["anna", "ben"], seed=4))


def test_ranks_beyond_the_distractors_are_certain():
    (result,) = evaluate_megaface(at(0, 90), [1, 1], at(20, 200), ranks=(1, 2, 3, 2**62), far_target=0.5)
    assert result.cmc == (0, 1, 1, 1)


def test_cleaning_removes_the_effect_of_noise():
    # anna's third probe shows another person; the distractor at 5 degrees shows anna.
    probes, ids, distractors = at(0, 10, 170, 60, 70), ["anna"] * 3 + ["ben"] * 2, at(5, 120)
    (unchanged,) = evaluate_megaface(probes, ids, distractors, sizes=(2,), far_target=(0.5,))
    noisy, away = np.array([0, 0, 1, 0, 0], bool), np.array([1, 0], bool)
    (cleaned,) = evaluate_megaface(probes, ids, distractors, noisy, away, sizes=(2,), far_target=(0.5,))
    assert unchanged.cmc[0] == 2 / 8
    assert cleaned.cmc[0] == 1
    assert (cleaned.replaced, cleaned.pushed_away, unchanged.replaced) == (1, 1, 0)
    # A removed distractor still counts as an impostor.
    assert cleaned.tar_at_far[0].impostors == unchanged.tar_at_far[0].impostors == 10


def test_memory_stays_within_bounds():
    random = np.random.default_rng(1)
    probes, distractors = random.normal(size=(400, 16)).astype("f4"), random.normal(size=(100_000, 16)).astype("f4")
    for rows in (probes, distractors):
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    away = random.random(100_000) < 0.5
    tracemalloc.start()
    evaluate_megaface(probes, np.arange(400) // 4, distractors, None, away, far_target=(1e-4, 1e-5), memory=16 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All scores would take 160 MB.
    assert peak < 40 << 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"probe_ids": [1, 2, 3]}, "no person has two probes"),
        ({"probe_ids": [1, 1]}, "probe_ids"),
        ({"probe_ids": [1, 1, np.nan]}, "probe_ids"),
        ({"distractors": np.ones((2, 3))}, "do not match"),
        ({"distractors": np.zeros((2, 2))}, "distractors: row 0 is zero"),
        ({"noisy_probes": np.array([True, True, False])}, "all probes of 1 are noisy"),
        ({"noisy_probes": np.array([True])}, "noisy_probes"),
        ({"noisy_distractors": np.array([0, 1])}, "noisy_distractors"),
        ({"ranks": ()}, "ranks"),
        ({"sizes": (0,)}, "sizes"),
        ({"seed": np.nan}, "seed"),
        ({"probes": None}, "probes"),
        ({"far_target": (2,)}, "far_target"),
        ({"ranks": (1.5,)}, "one integer or several"),
        (
            {"distractors": np.ones((10**6, 2)), "probes": np.ones((20, 2)), "probe_ids": [1] * 20, "far_target": 0.5},
            "lower rate",
        ),
    ],
)
def test_invalid_input_is_refused_with_one_sentence(change, words):
    arguments = {"probes": at(0, 10, 90), "probe_ids": [1, 1, 2], "distractors": at(20, 200), **change}
    with pytest.raises(GluonFRError, match=words):
        evaluate_megaface(**arguments)

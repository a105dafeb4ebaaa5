import math
import tracemalloc

import numpy as np
import pytest
import reference_search

from gluonfr.core import GluonFRError
from gluonfr.metrics import evaluate_identification


def at(*degrees):
    """Return unit vectors in the plane at these angles."""
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_figures_of_a_case_computed_by_hand():
    # anna at 0 and 40 degrees, ben at 90, carl at 180; no probe shows carl.
    gallery, people = at(0, 40, 90, 180), ["anna", "anna", "ben", "carl"]
    # 30: anna, 10 degrees off, rank 1. 70: anna is 30 off, ben 20, rank 2. 100: ben, rank 1. 110: ben's, rank 1.
    # 85: a stranger, 5 off ben. 230: a stranger, 50 off carl.
    probes, identities = at(30, 70, 100, 110, 85, 230), ["anna", "anna", "ben", "ben", "dora", "emil"]
    result = evaluate_identification(gallery, people, probes, identities, ranks=(1, 2, 3), fpir_target=(0.4, 0.5, 1.0))
    assert (result.gallery_images, result.gallery_people, result.probes) == (4, 3, 6)
    assert (result.mated, result.strangers) == (4, 2)
    assert result.mate_ranks.tolist() == [1, 2, 1, 1]
    assert result.cmc == (0.75, 1, 1)
    np.testing.assert_allclose(result.mate_scores, np.cos(np.deg2rad([10, 30, 10, 20])), atol=1e-6)
    np.testing.assert_allclose(result.stranger_scores, np.cos(np.deg2rad([5, 50])), atol=1e-6)
    none, half, everything = result.dir_at_fpir
    # Two strangers do not resolve a rate of 0.4.
    assert not none.resolvable
    assert math.isnan(none.dir)
    assert math.isnan(none.threshold)
    # One of two may match: the threshold is the other's score.
    assert (half.dir, half.fpir, half.false_alarms) == (0.75, 0.5, 1)
    assert half.threshold == pytest.approx(np.cos(np.deg2rad(50)), abs=1e-6)
    assert (everything.dir, everything.fpir, everything.threshold) == (0.75, 1, -math.inf)


def test_a_tie_with_another_person_is_no_success():
    gallery = at(0, 0, 50)
    result = evaluate_identification(gallery, [1, 2, 3], at(10), [1], ranks=(1, 2))
    assert result.mate_ranks.tolist() == [2]
    assert result.cmc == (0, 1)
    # A tie with another image of the same person is.
    assert evaluate_identification(gallery, [1, 1, 3], at(10), [1], ranks=(1,)).cmc == (1,)


@pytest.mark.parametrize("kind", ["random", "small integers", "copies"])
def test_figures_equal_the_reference(kind):
    for seed in range(60):
        random = np.random.default_rng(seed)
        queries, images, size, people = (
            random.integers(1, 30),
            random.integers(1, 80),
            random.integers(1, 6),
            random.integers(1, 20),
        )
        if kind == "random":
            gallery, probes = random.normal(size=(images, size)), random.normal(size=(queries, size))
        else:
            gallery, probes = random.integers(-1, 2, (images, size)), random.integers(-1, 2, (queries, size))
            gallery[~gallery.any(1)], probes[~probes.any(1)] = 1, 1
        if kind == "copies":
            gallery[:] = gallery[random.integers(0, max(1, images // 8), images)]
        gallery_ids, probe_ids = random.integers(0, people, images), random.integers(0, people + 3, queries)
        ranks, rates = (1, 2, 5), (0.2, 0.5, 1.0)
        result = evaluate_identification(gallery, gallery_ids, probes, probe_ids, ranks, rates, memory=1 << 20)
        cmc, dirs, places = reference_search.identify(gallery, gallery_ids, probes, probe_ids, ranks, rates)
        np.testing.assert_array_equal(result.cmc, cmc)
        np.testing.assert_array_equal([at_fpir.dir for at_fpir in result.dir_at_fpir], dirs)
        np.testing.assert_array_equal(result.mate_ranks, np.minimum(places, 6))


def test_a_person_with_many_images_is_searched_in_blocks_of_bounded_memory():
    random = np.random.default_rng(0)
    images = random.normal(size=(30_000, 8)).astype(np.float32)
    people = np.concatenate([np.zeros(29_000, int), random.integers(1, 20, 1000)])
    probes, ids = random.normal(size=(300, 8)).astype(np.float32), random.integers(0, 25, 300)
    tracemalloc.start()
    small = evaluate_identification(images, people, probes, ids, memory=4 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All scores at once would be 36 MB, and the scores per person as many again.
    assert peak < 16 << 20
    whole = evaluate_identification(images, people, probes, ids, memory=1 << 30)
    np.testing.assert_array_equal(small.mate_ranks, whole.mate_ranks)
    np.testing.assert_array_equal(small.mate_scores, whole.mate_scores)
    unit = reference_search.unit(images)
    for probe, person, score in list(zip(reference_search.unit(probes)[ids < 20], ids[ids < 20], small.mate_scores))[:20]:
        assert score == pytest.approx((unit[people == person] @ probe).max(), abs=1e-12)


def test_integers_above_2_to_the_53_stay_distinct():
    big = 2**60 + np.arange(4)
    rows = at(0, 30, 60, 90)
    result = evaluate_identification(rows, big.astype(np.uint64), rows, big.astype(np.int64))
    assert result.cmc[0] == 1


def test_people_with_equal_embeddings_are_beyond_the_last_rank():
    gallery, probes = np.ones((4000, 8), np.float32), np.ones((200, 8), np.float32)
    result = evaluate_identification(gallery, np.arange(4000), probes, np.arange(200), ranks=(1, 10), memory=1 << 20)
    assert set(result.mate_ranks.tolist()) == {11}
    assert result.cmc == (0, 0)


def test_scores_that_float32_cannot_distinguish_are_compared_in_float64():
    # They differ in the last digit of one number of 512: a product in float32 sees a tie or the reverse.
    size = 512
    random = np.random.default_rng(5)
    probe = random.normal(size=size)
    mate = probe + random.normal(size=size)
    rows = np.stack([mate, mate]).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[1, 0] = np.nextafter(rows[1, 0], np.float32(9))
    exact = (reference_search.unit(probe[None]) * reference_search.unit(rows)).sum(1)
    assert exact[0] != exact[1]
    better = int(np.argmax(exact))
    result = evaluate_identification(rows, [0, 1], probe[None], [better], ranks=(1,))
    assert result.cmc == (1,)
    assert evaluate_identification(rows, [0, 1], probe[None], [1 - better], ranks=(1,)).cmc == (0,)


def test_figures_without_mates_or_without_strangers_are_nan():
    only_strangers = evaluate_identification(at(0), [1], at(10, 20), [2, 3], fpir_target=(0.5,))
    assert math.isnan(only_strangers.cmc[0])
    assert not only_strangers.dir_at_fpir[0].resolvable
    no_strangers = evaluate_identification(at(0), [1], at(10, 20), [1, 1], fpir_target=(0.5,))
    assert no_strangers.cmc[0] == 1
    assert math.isnan(no_strangers.dir_at_fpir[0].dir)
    assert no_strangers.to_dict()["dir_at_fpir"][0]["dir"] is None
    assert dict(no_strangers.name_values())["rank-1"] == 1


def test_lengths_have_no_effect_and_names_may_be_strings_of_any_length():
    gallery, probes = at(0, 90), at(20, 80)
    plain = evaluate_identification(gallery, ["a", "bb"], probes, ["a", "bb"])
    scaled = evaluate_identification(7 * gallery, ["a", "bb"], 0.1 * probes, ["a", "bb"])
    np.testing.assert_allclose(plain.mate_scores, scaled.mate_scores, atol=1e-6)
    assert evaluate_identification(gallery, ["a", "b"], probes, ["a", "a very long name"]).strangers == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gallery": np.zeros((2, 2))}, "gallery: row 0 is zero"),
        ({"probes": np.array([[1, 0], [np.nan, 1]])}, "probes: row 1 holds NaN"),
        ({"gallery": np.ones((2, 3))}, "length 3, the probes' 2"),
        ({"gallery": np.empty((0, 2)), "gallery_ids": []}, "gallery: there are no embeddings"),
        ({"probes": np.empty((0, 2)), "probe_ids": []}, "probes: there are no embeddings"),
        ({"gallery_ids": [1]}, "gallery_ids"),
        ({"probe_ids": [1.5, 2.5]}, "probe_ids"),
        ({"probe_ids": [1, np.nan]}, "probe_ids"),
        ({"probe_ids": [1, np.inf]}, "probe_ids"),
        ({"probe_ids": ["1", "2"]}, "different types"),
        ({"ranks": (0,)}, "ranks"),
        ({"ranks": (1.7,)}, "ranks"),
        ({"gallery_ids": np.array([b"1", b"2"]), "probe_ids": ["1", "2"]}, "different types"),
        ({"fpir_target": (0,)}, "fpir_target"),
        ({"fpir_target": (np.nan,)}, "fpir_target"),
    ],
)
def test_invalid_input_is_refused_with_one_sentence(change, words):
    arguments = {"gallery": at(0, 90), "gallery_ids": [1, 2], "probes": at(10, 80), "probe_ids": [1, 2], **change}
    with pytest.raises(GluonFRError, match=words) as caught:
        evaluate_identification(**arguments)
    assert "\n" not in str(caught.value)

import math
import tracemalloc

import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.metrics import evaluate_ijb_identification, evaluate_ijb_verification, pool_ijb_templates


def unit(*rows):
    rows = np.array(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_pooling_of_a_case_computed_by_hand():
    # Template 7: a video of three frames and a photo. Template 3: a single image.
    embeddings = np.array([[3, 0], [0, 2], [0, 4], [6, 0], [5, 12]], np.float32)
    pooled, ids = pool_ijb_templates(embeddings, [7, 7, 7, 7, 3], [20, 10, 10, 10, 20])
    assert ids.tolist() == [3, 7]
    # The video's mean is (2, 2), the photo (3, 0): their sum (5, 2).
    np.testing.assert_allclose(pooled, unit([5, 12], [5, 2]), atol=1e-6)
    assert pooled.dtype == np.float32


def test_weights_multiply_images_and_media_are_separate_per_ijb_template():
    embeddings = np.array([[2, 0], [0, 2], [1, 1]], np.float32)
    pooled, _ = pool_ijb_templates(embeddings, [1, 1, 2], [5, 5, 5], weights=[0.5, 1, 0.3])
    np.testing.assert_allclose(pooled, unit([1, 2], [1, 1]), atol=1e-6)


def test_pooling_averages_per_medium_in_any_order_of_images():
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(500, 6)).astype(np.float32)
    templates, media = random.integers(100, 140, 500), random.integers(0, 4, 500)
    pooled, ids = pool_ijb_templates(embeddings, templates, media)
    order = random.permutation(500)
    again, _ = pool_ijb_templates(embeddings[order], templates[order], media[order])
    np.testing.assert_allclose(pooled, again, atol=1e-6)
    wanted = []
    for template in ids:
        chosen = templates == template
        parts = [embeddings[chosen & (media == medium)].mean(0) for medium in set(media[chosen].tolist())]
        wanted.append(np.sum(parts, 0, dtype=np.float64))
    np.testing.assert_allclose(pooled, unit(*wanted), atol=1e-6)


def test_verification_uses_the_roc_point_nearest_to_each_rate():
    # Genuine pairs have cosine .9, .8, .3, impostors .85, .5, .2, .1.
    templates = np.array([[1, 0]] + [[c, math.sqrt(1 - c * c)] for c in (0.9, 0.8, 0.3, 0.85, 0.5, 0.2, 0.1)])
    pairs = [(0, place) for place in range(1, 8)]
    issame = [1, 1, 1, 0, 0, 0, 0]
    fars = (1.0, 0.25, 0.3, 0.4, 0.375, 0.2)
    result = evaluate_ijb_verification(templates, np.arange(8), pairs, issame, fars)
    # FAR is 1/4 from TAR 1/3 to 2/3. 0.375 lies as near to 1/4 as to 1/2, where TAR is 2/3 and then 1.
    assert result.tars[:5] == (1, 2 / 3, 2 / 3, 1, 1)
    # Four impostors do not resolve 0.2.
    assert math.isnan(result.tars[5])
    assert (result.pairs, result.genuine, result.impostors) == (7, 3, 4)
    assert result.auc == pytest.approx((4 + 3 + 2) / 12)
    assert result.to_dict()["tars"][5] is None
    assert dict(result.name_values())["tar@far=0.25"] == 2 / 3


def test_ids_may_be_in_any_order_and_memory_is_bounded():
    random = np.random.default_rng(1)
    templates, ids = random.normal(size=(300, 16)), random.permutation(1000)[:300]
    pairs, issame = ids[random.integers(0, 300, (50_000, 2))], random.random(50_000) < 0.3
    result = evaluate_ijb_verification(templates, ids, pairs, issame, memory=1 << 20)
    place = {number: row for row, number in enumerate(ids.tolist())}
    rows = unit(*templates)
    scores = np.sum(rows[[place[a] for a, _ in pairs.tolist()]] * rows[[place[b] for _, b in pairs.tolist()]], 1)
    order = np.argsort(-scores)
    tar, far = np.cumsum(issame[order]) / issame.sum(), np.cumsum(~issame[order]) / (~issame).sum()
    for target, got in zip((0.1, 0.01), result.tars):
        nearest = np.abs(far - target) == np.abs(far - target).min()
        assert got == pytest.approx(tar[nearest].max(), abs=1e-4)
    tracemalloc.start()
    evaluate_ijb_verification(templates, ids, pairs, issame, memory=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Both sides of all pairs at once would be 6.4 MB alone, in float32.
    assert peak < 6 << 20


def test_identification_in_two_galleries_computed_by_hand():
    # Two galleries of different people. Probe 50 shows anna, 51 ben, 52 a stranger, 53 anna at a bad angle.
    ids = np.array([10, 20, 21, 50, 51, 52, 53])
    angle = np.deg2rad([0, 90, 180, 5, 82, 170, 95])
    templates = np.stack([np.cos(angle), np.sin(angle)], 1)
    galleries = {"G1": ([10], ["anna"]), "G2": ([20, 21], ["ben", "carl"])}
    probes = ([50, 51, 52, 53], ["anna", "ben", "dora", "anna"])
    result = evaluate_ijb_identification(templates, ids, galleries, probes, ranks=(1,), fpir_target=(0.5,))
    one, two = result.galleries["G1"], result.galleries["G2"]
    assert (one.mated, one.strangers, two.mated, two.strangers) == (2, 2, 1, 3)
    # Alone in G1, anna is found at rank 1 from every side.
    assert one.cmc == (1,)
    assert two.cmc == (1,)
    # G1: strangers at cos 82 and cos 170, one of two may pass: above cos 170, where anna's cos 5 and cos 95 are.
    assert one.dir_at_fpir[0].dir == 1
    assert one.dir_at_fpir[0].false_alarms == 1
    # G2: strangers 50 (85 off ben), 52 (10 off carl), 53 (5 off ben): one of three passes, above cos 10; ben is 8 off.
    assert two.dir_at_fpir[0].false_alarms == 1
    assert two.dir_at_fpir[0].dir == 1
    assert two.dir_at_fpir[0].threshold == pytest.approx(np.cos(np.deg2rad(10)), abs=1e-6)
    assert result.mean["rank-1"] == 1
    strict = evaluate_ijb_identification(templates, ids, galleries, probes, ranks=(1,), fpir_target=(0.4,))
    # Two strangers do not resolve 0.4 in G1, three do in G2: no mean.
    assert math.isnan(strict.mean["dir@fpir=0.4"])
    assert result.mean["dir@fpir=0.5"] == 1
    assert set(result.to_dict()) == {"galleries", "mean"}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pool_ijb_templates(np.ones((2, 3)), [1], [1, 2]), "template_ids"),
        (lambda: pool_ijb_templates(np.ones((2, 3)), [1, 1], [1, 1], weights=[1, np.nan]), "weights"),
        (lambda: pool_ijb_templates(np.array([[1, 0], [-1, 0.0]]), [1, 1], [1, 2]), "templates: 1 is zero"),
        (lambda: pool_ijb_templates(np.array([[1, np.nan]]), [1], [1]), "templates: 1 holds NaN"),
        (lambda: pool_ijb_templates(np.empty((0, 2)), [], []), "at least one image"),
        (lambda: pool_ijb_templates(np.ones((2, 3)), [1, 1], [1, 1], weights=["a", "b"]), "weights"),
        (lambda: pool_ijb_templates(np.full((2, 3), 3e38), [1, 1], [1, 2]), "templates: 1 holds"),
        (lambda: evaluate_ijb_identification(np.eye(2), [1, 2], ["G1"], ([1], [1])), "galleries must be a dict"),
        (lambda: evaluate_ijb_identification(np.eye(2), [1, 2], {"G1": ([1], [1])}, 5), "the probes: give two lists"),
        (lambda: pool_ijb_templates(np.ones((2, 3)), [1, np.nan], [1, 2]), "ijb_template_ids"),
        (lambda: evaluate_ijb_verification(np.eye(2), [1, 2], [(1, 3)], [1]), "template 3"),
        (lambda: evaluate_ijb_verification(np.eye(2), [1, 1], [(1, 1)], [1]), "twice"),
        (lambda: evaluate_ijb_verification(np.eye(2), [1, 2], [(1, 2)], [1, 0]), "do not match"),
        (lambda: evaluate_ijb_verification(np.eye(2), [1], [(1, 1)], [1]), "ids"),
        (lambda: evaluate_ijb_verification(np.eye(2), [1, 2], [(1, 2)], [1], fars=(0,)), "fars"),
        (lambda: evaluate_ijb_identification(np.eye(2), [1, 2], {}, ([1], [1])), "galleries"),
        (
            lambda: evaluate_ijb_identification(np.eye(2), [1, 2], {"G1": ([9], [1])}, ([1], [1])),
            "gallery G1 names IJB template 9",
        ),
    ],
)
def test_invalid_input_is_refused_with_one_sentence(call, words):
    with pytest.raises(GluonFRError, match=words):
        call()

"""From where on a stranger is unknown: the rule, and announced false alarms against counted ones."""

import os

import numpy as np
import pytest
from made_up import CARD, faces_of

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.apps.gallery.unknown import given_threshold, threshold_for
from gluonfr.core import Card, GluonFRError
from gluonfr.data import FRValDataset, get_recognition_dataset
from gluonfr.deploy import Embedder
from gluonfr.metrics.false_accept import far_from_fpir, fpir_from_far

POINTS = [{"far": far, "similarity": similarity} for far, similarity in ((1e-2, 0.25), (1e-1, 0.15), (1e-3, 0.35))]
WITH_POINTS = Card(network="some", embedding_size=16, thresholds=POINTS)


def test_chances_of_pairs_and_of_searches():
    # 1 - 0.999 ** 100, worked out by hand.
    assert fpir_from_far(1e-3, 100) == pytest.approx(0.0952078, abs=1e-6)
    for fpir in (0.5, 0.1, 1e-4):
        assert fpir_from_far(far_from_fpir(fpir, 1234), 1234) == pytest.approx(fpir)


def test_a_small_gallery_takes_the_cards_thresholds():
    assert threshold_for(0.1, 1, 1, card=WITH_POINTS).similarity == pytest.approx(0.15)
    assert threshold_for(fpir_from_far(1e-3, 7), 3, 7, card=WITH_POINTS).similarity == pytest.approx(0.35)
    # Between and beyond what was measured: straight in the logarithm.
    assert threshold_for(10**-1.5, 1, 1, card=WITH_POINTS).similarity == pytest.approx(0.2)
    assert threshold_for(1e-5, 1, 1, card=WITH_POINTS).similarity == pytest.approx(0.55)
    assert threshold_for(0.1, 10, 20, card=WITH_POINTS).basis == "card"
    more = [threshold_for(0.01, people, 2 * people, card=WITH_POINTS).similarity for people in (1, 10, 100, 1000)]
    assert more == sorted(more)
    assert len(set(more)) == 4


def test_nothing_tells_a_threshold():
    for threshold in (threshold_for(0.1, 5, 9), threshold_for(0.1, 0, 0, card=WITH_POINTS)):
        assert threshold.similarity == np.inf
        assert threshold.basis == "none"
        assert "nobody is named" in str(threshold)
        assert threshold.to_dict()["similarity"] is None


def test_a_large_gallery_takes_its_own_scores():
    scores, names = np.linspace(0, 1, 1000, endpoint=False), [str(n) for n in range(1000)]
    threshold = threshold_for(0.1, 1000, 1000, scores, names, WITH_POINTS)
    # 99 scores exceed it: a tenth, less what a person more means.
    assert threshold.basis == "gallery"
    assert threshold.similarity == pytest.approx(0.9)
    assert threshold_for(0.1, 1000, 1000, scores, names).similarity == threshold.similarity
    # People count alike: one with very many photos that are like everybody is one of 1,001.
    crowd = threshold_for(0.1, 1001, 6000, [*scores, *[2.0] * 5000], [*names, *["crowd"] * 5000])
    assert crowd.similarity == pytest.approx(0.9)


def test_rarer_alarms_than_people_tell_are_carried_on_by_the_card():
    # Scores no further apart than the card has it: the best of a hundred, where a tenth of the rate is 0.1.
    scores, names = np.linspace(0.4, 0.5, 100, endpoint=False), [str(n) for n in range(100)]
    told = threshold_for(0.05, 100, 100, scores, names, WITH_POINTS)
    rarer = threshold_for(0.005, 100, 100, scores, names, WITH_POINTS)
    assert (told.basis, rarer.basis) == ("gallery", "gallery and card")
    # A tenth of the rate is a tenth a pair, and so 0.1 further along the card.
    assert rarer.similarity - told.similarity == pytest.approx(0.1, abs=0.002)
    assert threshold_for(0.005, 100, 100, scores, names).basis == "none"


def test_scores_that_spread_wider_than_the_cards_are_carried_on_further():
    names = [str(n) for n in range(12)]
    # The best of many whose logarithm falls by 1 in 0.1 / log(10) spread like Gumbel's: pi / sqrt(6) times as much.
    spread = 0.1 / np.log(10) * np.pi / np.sqrt(6)
    for times in (0.5, 1, 3):
        steps = np.arange(12) - 5.5
        scores = 0.4 + times * spread * steps / steps.std(ddof=1)
        told, rare, rarer = (
            threshold_for(fpir, 12, 100, scores, names, WITH_POINTS).similarity for fpir in (5 / 12 - 1e-9, 0.05, 0.005)
        )
        by_card = 0.1 * np.log10(far_from_fpir(5 / 12, 100) / far_from_fpir(0.05, 100))
        assert rare - told == pytest.approx(by_card * (1 + max(1, times)) / 2, rel=0.05)
        # Where single people decide, the card is right again.
        assert rarer - rare == pytest.approx(0.1, abs=0.002)


def test_a_threshold_of_your_own_is_told_what_it_means():
    scores, names = np.linspace(0, 1, 100, endpoint=False), [str(n) for n in range(100)]
    assert given_threshold(0.799, 100, 100, scores, names).fpir == pytest.approx(0.2, abs=0.01)
    # Above all scores that tell something, by the card; without one, not at all.
    assert given_threshold(0.35, 9, 10, card=WITH_POINTS).fpir == pytest.approx(fpir_from_far(1e-3, 10))
    assert np.isnan(given_threshold(0.999, 100, 100, scores, names).fpir)
    assert given_threshold(-1, 10, 10, card=WITH_POINTS).fpir == 1
    # What is announced for a rate is told of its threshold.
    for fpir in (0.03, 0.001):
        threshold = threshold_for(fpir, 100, 100, scores, names, WITH_POINTS)
        assert given_threshold(threshold.similarity, 100, 100, scores, names, WITH_POINTS).fpir == pytest.approx(fpir, rel=1e-3)


def test_two_names_of_one_person_are_no_strangers(tmp_path):
    with Gallery(tmp_path / "g.db", CARD) as gallery:
        for person in range(60):
            gallery.enroll(f"p{person}", faces_of(person, 4, 0.2))
        alone = gallery.threshold(0.1)
        for person in range(12):
            gallery.enroll(f"again {person}", faces_of(person, 8, 0.2)[4:])
        both = gallery.threshold(0.1)
        assert both.people == 72
        assert abs(both.similarity - alone.similarity) < 0.05


def test_the_threshold_follows_the_gallery(tmp_path):
    with Gallery(tmp_path / "g.db", CARD) as gallery, Gallery(tmp_path / "g.db", CARD) as other:
        seen = []
        for first in (0, 60, 180):
            gallery.enroll_people({f"p{n}": (faces_of(n), None, None) for n in range(first, 3 * first or 60)})
            seen.append(gallery.threshold(0.1))
            assert other.threshold(0.1) == seen[-1]
        assert [each.people for each in seen] == [60, 180, 540]
        assert seen[0].similarity < seen[1].similarity < seen[2].similarity
        for wrong in (0, 1, -1, 2):
            with pytest.raises(GluonFRError, match="fpir"):
                gallery.threshold(wrong)
        with pytest.raises(GluonFRError, match="cosine"):
            gallery.threshold(similarity=1.5)


def measured(faces, people, photos, strangers, per_stranger):
    """Embeddings by y1: of celeb's people for the gallery and as known probes, of its other people, and of LFW."""
    # Without the mirrored images, which take as long again.
    embedder = Embedder(os.path.join(faces, "weights", "mobilefacenet-y1-symbol.json"), flip=False)
    celeb, lfw = get_recognition_dataset("celeb", root=faces), FRValDataset("lfw", root=faces)
    order = np.random.default_rng(5).permutation(len(celeb.identities))
    chosen = [celeb.identities[person] for person in order[:people]]
    others = [image for person in order[people:] for image in celeb.identities[person][:per_stranger]]
    first, _ = lfw.distinct()
    places = [int(number) for number in np.array(first)[:: max(1, len(first) // strangers)][:strangers]]
    images = [celeb.read(int(i))[0] for each in chosen for i in each[: photos + 2]]
    images += [celeb.read(int(i))[0] for i in others] + [lfw.image(place) for place in places]
    rows = embedder(images, aligned=True)
    counts = [len(each[: photos + 2]) for each in chosen]
    known = np.split(rows[: sum(counts)], np.cumsum(counts)[:-1])
    return embedder.card, known, rows[sum(counts) : sum(counts) + len(others)], rows[sum(counts) + len(others) :]


def announced_against_counted(faces, path, people, photos, strangers, per_stranger):
    """{fpir: (share of other celebrities named, share of LFW's faces named, known people named rightly)}."""
    card, known, others, lfw = measured(faces, people, photos, strangers, per_stranger)
    with Gallery(path, card) as gallery:
        # celeb holds some crops under two labels, which a gallery would refuse by itself.
        marks = [[(100 * n + i).to_bytes(32, "big") for i in range(len(rows[:photos]))] for n, rows in enumerate(known)]
        gallery.enroll_people({f"p{n}": (rows[:photos], marks[n], None) for n, rows in enumerate(known)})
        found = {}
        for fpir in (0.1, 0.01):
            threshold = gallery.threshold(fpir)
            assert threshold.fpir == fpir
            alarms = [
                np.mean([answer.name is not None for answer in gallery.identify(rows, 1, threshold)]) if len(rows) else 0.0
                for rows in (others, lfw)
            ]
            right = [
                answer.name == f"p{n}"
                for n, rows in enumerate(known)
                if len(rows) > photos
                for answer in gallery.identify(rows[photos:], 1, threshold)
            ]
            found[fpir] = (*alarms, np.mean(right))
    print(found)
    return found


@pytest.mark.system
def test_announced_false_alarms_against_counted_ones(faces, tmp_path):
    found = announced_against_counted(faces, tmp_path / "g.db", 60, 3, 120, 1)
    # Strangers like the gallery's people: what is announced, within what 60 people tell. LFW's faces are less like them.
    assert 0.04 < found[0.1][0] < 0.25
    assert found[0.01][0] < 0.04
    assert found[0.1][1] < 0.15
    assert found[0.01][1] < 0.02
    assert found[0.1][2] > 0.93
    assert found[0.01][2] > 0.9


@pytest.mark.full
def test_announced_false_alarms_in_a_large_gallery(faces, tmp_path):
    found = announced_against_counted(faces, tmp_path / "g.db", 200, 8, 3000, 8)
    assert 0.05 < found[0.1][0] < 0.2
    assert 0.002 < found[0.01][0] < 0.03
    assert 0.01 < found[0.1][1] < 0.12
    assert found[0.01][1] < 0.01
    assert found[0.1][2] > 0.95
    assert found[0.01][2] > 0.93

"""The threshold of a gallery: the rule, and announced false positive rates against counted ones."""

import os

import numpy as np
import pytest
from synthetic_people import CARD, faces_of

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.apps.gallery.unknown import calibrate, given_threshold
from gluonfr.core import Card, GluonFRError
from gluonfr.data import FRValDataset, get_recognition_dataset
from gluonfr.deploy import Embedder
from gluonfr.metrics.false_accept import far_from_fpir, fpir_from_far

POINTS = [{"far": far, "similarity": similarity} for far, similarity in ((1e-2, 0.25), (1e-1, 0.15), (1e-3, 0.35))]
WITH_POINTS = Card(network="some", embedding_size=16, thresholds=POINTS)


def test_rates_of_pairs_and_of_searches():
    # 1 - 0.999 ** 100, calculated by hand.
    assert fpir_from_far(1e-3, 100) == pytest.approx(0.0952078, abs=1e-6)
    for fpir in (0.5, 0.1, 1e-4):
        assert fpir_from_far(far_from_fpir(fpir, 1234), 1234) == pytest.approx(fpir)


def test_small_gallery_uses_the_thresholds_of_the_card():
    assert calibrate(0.1, 1, 1, card=WITH_POINTS).similarity == pytest.approx(0.15)
    assert calibrate(fpir_from_far(1e-3, 7), 3, 7, card=WITH_POINTS).similarity == pytest.approx(0.35)
    # Between and beyond what was measured: straight in the logarithm.
    assert calibrate(10**-1.5, 1, 1, card=WITH_POINTS).similarity == pytest.approx(0.2)
    assert calibrate(1e-5, 1, 1, card=WITH_POINTS).similarity == pytest.approx(0.55)
    assert calibrate(0.1, 10, 20, card=WITH_POINTS).basis == "card"
    more = [calibrate(0.01, people, 2 * people, card=WITH_POINTS).similarity for people in (1, 10, 100, 1000)]
    assert more == sorted(more)
    assert len(set(more)) == 4


def test_no_threshold_without_card_and_people():
    for threshold in (calibrate(0.1, 5, 9), calibrate(0.1, 0, 0, card=WITH_POINTS)):
        assert threshold.similarity == np.inf
        assert threshold.basis == "none"
        assert "no face gets a name" in str(threshold)
        assert threshold.to_dict()["similarity"] is None


def test_large_gallery_uses_its_own_scores():
    scores, names = np.linspace(0, 1, 1000, endpoint=False), [str(n) for n in range(1000)]
    threshold = calibrate(0.1, 1000, 1000, scores, names, WITH_POINTS)
    # 99 scores exceed it: a tenth of the scores, less one for the additional person.
    assert threshold.basis == "gallery"
    assert threshold.similarity == pytest.approx(0.9)
    assert calibrate(0.1, 1000, 1000, scores, names).similarity == threshold.similarity
    # All people have the same weight: a person with very many photos is one of 1,001.
    crowd = calibrate(0.1, 1001, 6000, [*scores, *[2.0] * 5000], [*names, *["crowd"] * 5000])
    assert crowd.similarity == pytest.approx(0.9)


def test_low_rates_are_extrapolated_with_the_card():
    # Scores that spread no wider than the card's: a tenth of the rate is 0.1.
    scores, names = np.linspace(0.4, 0.5, 100, endpoint=False), [str(n) for n in range(100)]
    measured = calibrate(0.05, 100, 100, scores, names, WITH_POINTS)
    lower = calibrate(0.005, 100, 100, scores, names, WITH_POINTS)
    assert (measured.basis, lower.basis) == ("gallery", "gallery and card")
    # A tenth of the rate is a tenth of the rate per pair, and thus 0.1 higher on the card.
    assert lower.similarity - measured.similarity == pytest.approx(0.1, abs=0.002)
    assert calibrate(0.005, 100, 100, scores, names).basis == "none"


def test_wide_spread_of_scores_enlarges_the_extrapolation():
    names = [str(n) for n in range(12)]
    # The maximum of many exponential scores of scale 0.1 / log(10) is Gumbel distributed: its deviation is pi / sqrt(6) scales.
    spread = 0.1 / np.log(10) * np.pi / np.sqrt(6)
    for times in (0.5, 1, 3):
        steps = np.arange(12) - 5.5
        scores = 0.4 + times * spread * steps / steps.std(ddof=1)
        measured, low, lowest = (
            calibrate(fpir, 12, 100, scores, names, WITH_POINTS).similarity for fpir in (5 / 12 - 1e-9, 0.05, 0.005)
        )
        by_card = 0.1 * np.log10(far_from_fpir(5 / 12, 100) / far_from_fpir(0.05, 100))
        assert low - measured == pytest.approx(by_card * (1 + max(1, times)) / 2, rel=0.05)
        # At rates of single people the card is used as it is.
        assert lowest - low == pytest.approx(0.1, abs=0.002)


def test_rate_of_a_given_threshold_is_estimated():
    scores, names = np.linspace(0, 1, 100, endpoint=False), [str(n) for n in range(100)]
    assert given_threshold(0.799, 100, 100, scores, names).fpir == pytest.approx(0.2, abs=0.01)
    # Above the informative scores, the card determines the rate; without a card it is NaN.
    assert given_threshold(0.35, 9, 10, card=WITH_POINTS).fpir == pytest.approx(fpir_from_far(1e-3, 10))
    assert np.isnan(given_threshold(0.999, 100, 100, scores, names).fpir)
    assert given_threshold(-1, 10, 10, card=WITH_POINTS).fpir == 1
    # The inverse of `calibrate`.
    for fpir in (0.03, 0.001):
        threshold = calibrate(fpir, 100, 100, scores, names, WITH_POINTS)
        assert given_threshold(threshold.similarity, 100, 100, scores, names, WITH_POINTS).fpir == pytest.approx(fpir, rel=1e-3)


def test_two_names_of_one_person_are_not_impostors(tmp_path):
    with Gallery(tmp_path / "g.db", CARD) as gallery:
        for person in range(60):
            gallery.enroll(f"p{person}", faces_of(person, 4, 0.2))
        alone = gallery.threshold(0.1)
        for person in range(12):
            gallery.enroll(f"again {person}", faces_of(person, 8, 0.2)[4:])
        both = gallery.threshold(0.1)
        assert both.people == 72
        assert abs(both.similarity - alone.similarity) < 0.05


def test_threshold_rises_with_the_size_of_the_gallery(tmp_path):
    with Gallery(tmp_path / "g.db", CARD) as gallery, Gallery(tmp_path / "g.db", CARD) as other:
        seen = []
        for first in (0, 60, 180):
            gallery.enroll_people({f"p{n}": (faces_of(n), None, None) for n in range(first, 3 * first or 60)})
            seen.append(gallery.threshold(0.1))
            assert other.threshold(0.1) == seen[-1]
        assert [gallery.people for gallery in seen] == [60, 180, 540]
        assert seen[0].similarity < seen[1].similarity < seen[2].similarity
        for wrong in (0, 1, -1, 2):
            with pytest.raises(GluonFRError, match="fpir"):
                gallery.threshold(wrong)
        with pytest.raises(GluonFRError, match="cosine"):
            gallery.threshold(similarity=1.5)


def measured(faces, people, photos, strangers, per_stranger):
    """Return y1's card and embeddings: of celeb's people for the gallery and as known probes, of its other people, of LFW."""
    # Without mirrored images, which would double the time.
    embedder = Embedder(os.path.join(faces, "weights", "mobilefacenet-y1-symbol.json"), flip=False)
    celeb, lfw = get_recognition_dataset("celeb", root=faces), FRValDataset("lfw", root=faces)
    order = np.random.default_rng(5).permutation(len(celeb.identities))
    chosen = [celeb.identities[person] for person in order[:people]]
    others = [image for person in order[people:] for image in celeb.identities[person][:per_stranger]]
    first, _ = lfw.distinct()
    places = [int(number) for number in np.array(first)[:: max(1, len(first) // strangers)][:strangers]]
    images = [celeb.read(int(i))[0] for indices in chosen for i in indices[: photos + 2]]
    images += [celeb.read(int(i))[0] for i in others] + [lfw.image(place) for place in places]
    rows = embedder(images, aligned=True)
    counts = [len(indices[: photos + 2]) for indices in chosen]
    known = np.split(rows[: sum(counts)], np.cumsum(counts)[:-1])
    return embedder.card, known, rows[sum(counts) : sum(counts) + len(others)], rows[sum(counts) + len(others) :]


def announced_against_counted(faces, path, people, photos, strangers, per_stranger):
    """Return per rate the fractions of other celebrities named, of LFW's faces named, and of known people named correctly."""
    card, known, others, lfw = measured(faces, people, photos, strangers, per_stranger)
    with Gallery(path, card) as gallery:
        # Some crops of celeb are there under two labels, and a gallery would refuse equal digests.
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
def test_announced_rates_match_counted_rates(faces, tmp_path):
    found = announced_against_counted(faces, tmp_path / "g.db", 60, 3, 120, 1)
    # Celebrities resemble the gallery's people, LFW's faces less. Bounds allow for the few people.
    assert 0.04 < found[0.1][0] < 0.25
    assert found[0.01][0] < 0.04
    assert found[0.1][1] < 0.15
    assert found[0.01][1] < 0.02
    assert found[0.1][2] > 0.93
    assert found[0.01][2] > 0.9


@pytest.mark.full
def test_announced_rates_match_counted_rates_in_a_large_gallery(faces, tmp_path):
    found = announced_against_counted(faces, tmp_path / "g.db", 200, 8, 3000, 8)
    assert 0.05 < found[0.1][0] < 0.2
    assert 0.002 < found[0.01][0] < 0.03
    assert 0.01 < found[0.1][1] < 0.12
    assert found[0.01][1] < 0.01
    assert found[0.1][2] > 0.95
    assert found[0.01][2] > 0.93

"""Wrong labels, people under two labels, copies and overlap in synthetic sets."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from gluonfr.apps.curation.cleaning.duplicates import find_duplicates
from gluonfr.apps.curation.cleaning.embedded_set import fingerprint, mirrored
from gluonfr.apps.curation.cleaning.error_threshold import find_threshold
from gluonfr.apps.curation.cleaning.findings import Findings
from gluonfr.apps.curation.cleaning.identities import Identities
from gluonfr.apps.curation.cleaning.label_errors import find_duplicate_labels, find_wrong_labels
from gluonfr.apps.curation.cleaning.overlap import find_overlap
from gluonfr.apps.curation.cleaning.report import left_out_rows


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def synthetic_set(seed=0, people=60, noise=1.3, size=48, shift=0.0):
    """(embeddings, labels): 2 to 20 images per person, labels with gaps; `shift` moves all near each other, like dlib's."""
    random = np.random.default_rng(seed)
    of = np.repeat(np.arange(people), random.integers(2, 21, people))
    rows = random.normal(size=(people, size))[of] + noise * random.normal(size=(len(of), size)) + shift
    order = random.permutation(len(of))
    return unit(rows)[order], of[order] * 3 + 5


def mislabeled(labels, share, seed=0):
    random = np.random.default_rng(seed)
    people = np.unique(labels)
    wrong = random.choice(len(labels), round(share * len(labels)), replace=False)
    changed = labels.copy()
    place = np.searchsorted(people, labels[wrong])
    changed[wrong] = people[(place + random.integers(1, len(people), len(wrong))) % len(people)]
    return changed, wrong


def test_threshold_estimates_the_fraction_of_errors():
    random = np.random.default_rng(0)
    right, simulated = random.normal(5, 1, 9500), random.normal(0, 1, 5000)
    found = find_threshold(np.concatenate([right, random.normal(0, 1, 500)]), simulated)
    assert found.share == pytest.approx(0.05, rel=0.1)
    assert 1.5 < found.score < 3.5
    assert found.right > 0.95
    assert found.missed < 0.05
    # With more overlap and other fractions, the estimates are right too.
    for middle, count in ((3, 2000), (3, 200)):
        scores = np.concatenate([random.normal(middle, 1, 9000), random.normal(0, 1, count)])
        found = find_threshold(scores, simulated)
        real = (np.flatnonzero(scores <= found.score) >= 9000).sum()
        assert real / found.found == pytest.approx(found.right, abs=0.08)
        assert 1 - real / count == pytest.approx(found.missed, abs=0.08)


def test_threshold_finds_no_errors_in_a_correct_set():
    random = np.random.default_rng(1)
    found = find_threshold(random.normal(8, 1, 3000), random.normal(0, 1, 3000))
    assert found.found == 0
    assert found.score == -np.inf
    assert "none has the score" in str(found)
    assert find_threshold([], [1.0]).found == find_threshold([1.0], []).found == 0


def test_own_similarity_excludes_the_image_itself():
    rows, labels = synthetic_set(people=9)
    labels[labels == 5] = np.arange(1000, 1000 + (labels == 5).sum())
    people, own = Identities(rows, labels), Identities(rows, labels).own_similarity()
    similarity, nearest = people.nearest_others(2)
    for i in range(0, len(rows), 3):
        rest = (labels == labels[i]) & (np.arange(len(rows)) != i)
        if not rest.any():
            assert np.isnan(own[i])
            continue
        mean = rows[rest].astype(np.float64).mean(0)
        assert own[i] == pytest.approx(rows[i] @ mean / np.linalg.norm(mean), abs=1e-5)
        means = {label: rows[labels == label].astype(np.float64).mean(0) for label in set(labels) - {labels[i]}}
        like = sorted(((rows[i] @ center / np.linalg.norm(center), label) for label, center in means.items()), reverse=True)[:2]
        assert similarity[i] == pytest.approx([cosine for cosine, _ in like], abs=1e-5)
        assert people.labels[nearest[i]].tolist() == [label for _, label in like]


@pytest.mark.parametrize("shift", [0.0, 4.0])
@pytest.mark.parametrize("share", [0.03, 0.25])
def test_wrong_labels_are_found(share, shift):
    rows, labels = synthetic_set(1, people=150, shift=shift)
    changed, wrong = mislabeled(labels, share)
    found = find_wrong_labels(Identities(rows, changed))
    hits = np.isin(found.images, wrong).sum()
    assert hits >= 0.85 * len(wrong)
    assert hits >= 0.85 * len(found.images)
    assert found.threshold.share == pytest.approx(share, rel=0.5)
    # The most certain first, attributed to the right people.
    assert (np.diff(found.margin[found.images]) >= 0).all()
    people = Identities(rows, changed)
    hit = [image for image in found.images if image in wrong]
    assert np.mean([people.labels[found.person[image]] == labels[image] for image in hit]) > 0.8


def test_correct_labels_are_kept_and_single_images_not_judged():
    rows, labels = synthetic_set(2)
    labels[:3] = [1000, 1001, 1002]
    found = find_wrong_labels(Identities(rows, labels))
    alone = np.isin(labels, [label for label in labels if (labels == label).sum() == 1])
    assert len(found.images) <= 2
    assert np.isnan(found.margin[alone]).all()
    assert found.judged == (~alone).sum()


def test_one_person_under_two_labels_is_found():
    rows, labels = synthetic_set(3, noise=1.0)
    large = [label for label in np.unique(labels) if (labels == label).sum() > 12][:3]
    for number, label in enumerate(large):
        labels[np.flatnonzero(labels == label)[:4]] = 1000 + number
    people = Identities(rows, labels)
    found = find_duplicate_labels(people)
    pairs = {tuple(people.labels[list(pair[:2])]) for pair in found.pairs}
    # With 60 people in few dimensions, another pair may be as similar.
    assert {(label, 1000 + number) for number, label in enumerate(large)} <= pairs
    assert len(pairs) <= 4
    # The label with fewer images becomes the one with more.
    becomes = {people.labels[a]: people.labels[b] for a, b in found.becomes.items()}
    assert becomes.items() >= dict(zip((1000, 1001, 1002), large)).items()
    assert len(find_duplicate_labels(Identities(*synthetic_set(3, noise=1.0))).pairs) <= 1


def test_people_of_a_test_set_are_found():
    rows, labels = synthetic_set(4, people=90, noise=1.1)
    random = np.random.default_rng(4)
    train, in_both = np.ones(len(rows), bool), np.unique(labels)[:12]
    for label in in_both:
        train[random.permutation(np.flatnonzero(labels == label))[: random.integers(1, 3)]] = False
    in_both = np.intersect1d(in_both, labels[train])
    strangers, of = synthetic_set(5, people=200, noise=1.1)
    test = Identities(np.concatenate([rows[~train], strangers]), np.concatenate([labels[~train], of + 5000]))
    people = Identities(rows[train], labels[train])
    found = find_overlap(people, test)
    right = [people.labels[ours] == test.labels[theirs] for theirs, ours, _ in found.found]
    assert sum(right) >= 0.9 * len(in_both)
    assert sum(right) >= 0.75 * len(right)
    # Of 200 strangers in few dimensions, one or two may be as similar to a person.
    assert len(find_overlap(people, Identities(strangers, of)).found) <= 2


def pictures(count, seed=0):
    """Yield images that differ as photos do: blobs of light."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        small = random.normal(128, 60, (9, 9, 3)).clip(0, 255).astype(np.uint8)
        yield cv2.resize(small, (112, 112), interpolation=cv2.INTER_CUBIC)


def changed_copies(picture):
    yield cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], 1)
    yield cv2.resize(cv2.resize(picture, (56, 56), interpolation=cv2.INTER_AREA), (112, 112))
    yield np.ascontiguousarray(picture[:, ::-1])
    yield (0.7 * picture.astype(float) + np.linspace(0, 40, 112)[:, None]).clip(0, 255).astype(np.uint8)


def test_copies_match_in_pixels_and_embedding():
    random = np.random.default_rng(0)
    crops, labels = list(pictures(200)), np.repeat(np.arange(20), 10)
    rows = random.normal(size=(20, 32))[labels] + random.normal(size=(200, 32))
    expected = set()
    for number, copy in enumerate(changed_copies(crops[0])):
        # Copies of the first photo of the first person; the last one under another label.
        place = number + 1 if number < 3 else 57
        crops[place], rows[place] = copy, rows[0] + 0.05 * random.normal(size=32)
        expected.add((0, place))
    # The same pixels with another embedding, or the same embedding with other pixels, are not copies.
    crops[15], rows[17] = crops[14], rows[16]
    rows = unit(rows)
    people, prints = Identities(rows, labels), np.array([fingerprint(crop) for crop in crops], np.float16)
    _, nearest = people.nearest_others(2)
    found = find_duplicates(people, prints, nearest)
    pairs = set(map(tuple, found.pairs.tolist()))
    assert expected <= pairs
    assert not {(14, 15), (16, 17)} & pairs
    assert {index for pair in pairs for index in pair} == {0, 1, 2, 3, 57}
    assert (np.diff(found.pixels) <= 0).all()
    assert found.pixels.min() >= found.least_pixels


def test_fingerprint_ignores_lighting_and_can_be_mirrored():
    picture = next(pictures(1))
    look, dark = fingerprint(picture), fingerprint((picture * 0.5 + 20).astype(np.uint8))
    assert look.shape == (256,)
    assert np.linalg.norm(look) == pytest.approx(1)
    assert look @ dark > 0.999
    assert mirrored(look[None])[0] == pytest.approx(fingerprint(np.ascontiguousarray(picture[:, ::-1])), abs=1e-4)
    assert np.isfinite(fingerprint(np.full((112, 112, 3), 7, np.uint8))).all()


def test_left_out_images_of_both_sets_are_listed():
    one, other = SimpleNamespace(left_out={"0": "damaged"}), SimpleNamespace(left_out={"0": "no face"})
    found = Findings(one, *[None] * 4, other, None, None, [])
    assert list(left_out_rows(found)) == [["set", "0", "damaged"], ["test set", "0", "no face"]]

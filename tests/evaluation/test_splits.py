import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.evaluation.identification import split_people

LABELS = np.array(["a"] * 4 + ["b"] * 3 + ["c"] * 2 + ["d"])[np.random.default_rng(0).permutation(10)]


def test_every_image_is_in_one_part_and_each_person_has_enroll_gallery_images():
    for seed in range(20):
        gallery, probes = split_people(LABELS, 2, seed=seed)
        assert sorted([*gallery, *probes]) == list(range(10))
        assert {name: int(np.sum(LABELS[gallery] == name)) for name in "abcd"} == {"a": 2, "b": 2, "c": 2, "d": 1}
    # Over the seeds, every image is enrolled at least once.
    drawn = {i for seed in range(20) for i in split_people(LABELS, 1, seed=seed)[0].tolist()}
    assert drawn == set(range(10))


def test_all_images_of_strangers_are_probes():
    chosen = set()
    for seed in range(20):
        gallery, probes = split_people(LABELS, 1, 0.5, seed)
        left_out = set(LABELS) - set(LABELS[gallery])
        assert len(left_out) == 2
        assert np.isin(np.flatnonzero(np.isin(LABELS, list(left_out))), probes).all()
        chosen |= left_out
    assert chosen == set("abcd")
    first, again = split_people(LABELS, 1, 0.5, 7), split_people(LABELS, 1, 0.5, 7)
    assert all(np.array_equal(one, other) for one, other in zip(first, again))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0,), "enroll must be"),
        ((1, 1.0), "strangers"),
        ((9,), "no images for the probes"),
        ((1, 0.99), "strangers=0.99 leave no images for the gallery"),
    ],
)
def test_invalid_splits_are_reported(arguments, words):
    with pytest.raises(GluonFRError, match=words):
        split_people(LABELS, *arguments)

"""Training sets derived from another: re-aligned crops, some of the people, people held out, images without labels."""

import numpy as np
import pytest

from gluonfr.align import get_template, realign
from gluonfr.core import DataError, UsageError
from gluonfr.data import FRTrainRecordDataset, RecordLoader, RecordWriter
from gluonfr.data.dataset.views import PartlyLabeled, PeoplePairs, RealignedSet, SelectedPeople, hold_out


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Ten people with eight images; the gray level of an image is 20 * person + number. Label 10 has no image."""
    root = str(tmp_path_factory.mktemp("sets"))
    with RecordWriter(f"{root}/ten", image_size=(16, 16)) as writer:
        for person in range(10):
            for number in range(8):
                writer.add(np.full((16, 16, 3), 20 * person + number, np.uint8), person)
    return FRTrainRecordDataset("ten", root)


def person_of(image):
    return int(image.mean()) // 20


def test_selected_people_have_labels_from_zero(dataset):
    some = SelectedPeople(dataset, [7, 2, 9])
    assert (len(some), some.num_classes, some.num_people) == (24, 3, 3)
    for i in range(len(some)):
        image, label = some.read(i)
        assert person_of(image) == [2, 7, 9][label]
        assert (image == dataset.read(int(some.items[i]))[0]).all()


def test_people_held_out_are_not_trained_on_and_the_choice_follows_the_seed(dataset):
    training, validation = hold_out(dataset, 0.3, seed=1)
    assert (training.num_people, validation.num_people) == (7, 3)
    assert sorted([*training.items, *validation.items]) == list(range(len(dataset)))
    again = hold_out(dataset, 0.3, seed=1)[1]
    assert (again.items == validation.items).all()
    assert any((hold_out(dataset, 0.3, seed=seed)[1].items != validation.items).any() for seed in range(2, 6))
    with pytest.raises(UsageError, match="name a verification set"):
        hold_out(SelectedPeople(dataset, [1, 2, 3]), 0.3)


def test_pairs_of_people_are_half_genuine_distinct_and_what_they_state(dataset):
    pairs = PeoplePairs(SelectedPeople(dataset, [1, 4, 6]), seed=3)
    # 3 people with 8 * 7 / 2 pairs of images each.
    assert len(pairs) == 2 * 3 * 28
    assert sum(pairs.issame) == len(pairs) // 2
    seen = set()
    for i, same in enumerate(pairs.issame):
        first, second = pairs.image(2 * i), pairs.image(2 * i + 1)
        assert (person_of(first) == person_of(second)) == same
        values = tuple(sorted((int(first.mean()), int(second.mean()))))
        assert values[0] != values[1]
        seen.add(values)
    assert len(seen) == len(pairs)
    first, place = pairs.distinct()
    assert len(first) == 24
    for k in range(2 * len(pairs)):
        assert (pairs.image(first[place[k]]) == pairs.image(k)).all()
    assert len(PeoplePairs(dataset, max_pairs=50)) == 50


def test_people_with_too_few_pairs_are_refused(dataset):
    one_each = SelectedPeople(dataset, [1])
    with pytest.raises(DataError, match="too few pairs to validate on"):
        PeoplePairs(one_each)


def test_images_without_labels_have_a_label_that_is_no_class(dataset):
    both = PartlyLabeled(SelectedPeople(dataset, [1, 2]), SelectedPeople(dataset, [5]))
    assert (len(both), both.num_classes) == (24, 2)
    assert [both.read(i)[1] for i in (0, 8, 16, 23)] == [0, 1, 2, 2]
    assert [person_of(both.read(i)[0]) for i in (0, 8, 16, 23)] == [1, 2, 5, 5]


def test_re_aligned_crops_equal_those_of_the_template(tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (112, 112, 3)).astype(np.uint8)
    with RecordWriter(str(tmp_path / "one"), image_size=(112, 112), quality=100) as writer:
        writer.add(image, 0)
    base = FRTrainRecordDataset("one", str(tmp_path))
    view = RealignedSet(base, (150, 150), "dlib")
    assert view.image_size == get_template("dlib").image_size
    assert (view.read(0)[0] == realign(base.read(0)[0], "dlib")).all()
    images, _ = next(iter(RecordLoader(view, 1, augment=None)))
    assert (images[0].asnumpy() == realign(base.read(0)[0], "dlib").transpose(2, 0, 1)).all()


def test_a_loader_with_items_names_the_images_of_each_batch(dataset):
    loader = RecordLoader(dataset, 7, augment=None, with_items=True)
    seen = []
    for images, labels, items in loader:
        assert (labels.asnumpy() == dataset.labels[items]).all()
        assert [int(image.mean().asscalar()) for image in images.astype("float32")] == [
            int(dataset.read(int(item))[0].mean()) for item in items
        ]
        seen.extend(items.tolist())
    assert sorted(seen) == list(range(len(dataset)))

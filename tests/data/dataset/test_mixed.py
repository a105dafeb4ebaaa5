"""Mixed faces: which images are mixed, and how."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from gluonfr.core import DataError, UsageError
from gluonfr.data import FRTrainRecordDataset, RecordWriter, TrainingSet
from gluonfr.data.dataset.mixed import MixedFaces


def flat_people(folder, levels, images=2):
    with RecordWriter(str(folder), image_size=(112, 112)) as writer:
        for label, level in enumerate(levels):
            for _ in range(images):
                writer.add(np.full((112, 112, 3), level, np.uint8), label)
    return FRTrainRecordDataset(folder.name, root=str(folder.parent))


def test_two_flat_people_are_blended_or_share_the_image_as_halves_or_face_and_head(tmp_path):
    mixed = MixedFaces(flat_people(tmp_path / "flat", [40, 200]), 400)
    kinds = {"color of one": 0, "blend": 0, "halves": 0, "face": 0}
    for number in range(len(mixed)):
        image = mixed.read(number)[0].astype(int)
        assert image.shape == (112, 112, 3)
        assert 40 <= image.min() <= image.max() <= 200
        top, center, bottom = (image[row, column, 0] for row, column in ((0, 0), (66, 56), (111, 0)))
        if np.ptp(image) == 0:
            kinds["color of one" if top in (40, 200) else "blend"] += 1
            # Neither person is less than 30 % of a blend.
            assert top in (40, 200) or 40 + 0.3 * 160 - 1 <= top <= 200 - 0.3 * 160 + 1
        elif abs(top - bottom) > 100:
            kinds["halves"] += 1
            assert (np.ptp(image, axis=1) == 0).all()
        else:
            kinds["face"] += 1
            assert abs(center - top) > 100
            # Within 45 % of the height and 34 % of the width around the face.
            assert abs(image[66, 5, 0] - top) < 20
    # An even face takes the color of the other one in 80 % of the images, of whatever kind.
    assert 0.74 < kinds["color of one"] / 400 < 0.86
    assert 20 <= kinds["blend"] <= 65
    assert min(kinds["halves"], kinds["face"]) >= 7


def test_images_depend_on_the_seed_and_their_number_and_mix_two_people(tmp_path, monkeypatch):
    dataset = flat_people(tmp_path / "flat", [0, 60, 120, 255], images=5)
    first, other = MixedFaces(dataset, 60, seed=3), MixedFaces(dataset, 30, seed=4)
    images = [first.read(i)[0] for i in range(60)]
    read = []
    monkeypatch.setattr(dataset, "read", lambda i: read.append(i) or type(dataset).read(dataset, i))
    again = MixedFaces(dataset, 1000, seed=3)
    assert all((again.read(i)[0] == images[i]).all() for i in reversed(range(60)))
    pairs = dataset.labels[np.array(read).reshape(-1, 2)]
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert len({tuple(pair) for pair in pairs}) >= 9
    assert sum((other.read(i)[0] != images[i]).any() for i in range(30)) > 10
    assert (first.num_classes, first.labels.sum()) == (1, 0)


def test_one_person_cannot_be_mixed_and_a_count_must_be_positive(tmp_path):
    with pytest.raises(DataError, match="but all images have one label; label the people"):
        MixedFaces(flat_people(tmp_path / "one", [9]), 5)
    two = flat_people(tmp_path / "two", [9, 10])
    for count in (0, 10**19):
        with pytest.raises(UsageError, match="count"):
            MixedFaces(two, count)


def test_a_single_image_among_thousands_of_another_label_is_found_at_once(tmp_path):
    labels = np.zeros(5000, np.int64)
    labels[1234] = 1

    class OneAmongMany(TrainingSet):
        records = SimpleNamespace(path="many.rec")

        def read(self, i):
            read.append(i)
            return np.full((8, 8, 3), labels[i], np.uint8), int(labels[i])

    read = []
    mixed = MixedFaces(OneAmongMany("many", labels, 2, (8, 8), None), 10)
    for i in range(10):
        mixed.read(i)
    assert len(read) == 20
    assert read.count(1234) == 10


def test_half_of_the_faces_are_mirrored(tmp_path):
    with RecordWriter(str(tmp_path / "ramp"), image_size=(112, 112)) as writer:
        for label in range(2):
            writer.add(np.repeat(np.tile(2 * np.arange(112, dtype=np.uint8), (112, 1))[:, :, None], 3, axis=2), label)
    mixed = MixedFaces(FRTrainRecordDataset("ramp", root=str(tmp_path)), 60)
    slopes = np.array([np.diff(mixed.read(i)[0][:, :, 0].astype(float).mean(axis=0)).mean() for i in range(60)])
    # Both rise, both fall, or one rises and the other falls.
    assert (slopes > 1.9).sum() >= 6
    assert (slopes < -1.9).sum() >= 6
    assert (np.abs(slopes) < 1.9).sum() >= 15


def test_the_spread_of_colors_is_matched(tmp_path):
    rng = np.random.RandomState(0)
    noise = np.repeat(cv2.resize(rng.randn(14, 14), (112, 112), interpolation=cv2.INTER_CUBIC)[:, :, None], 3, axis=2)
    with RecordWriter(str(tmp_path / "noise"), image_size=(112, 112)) as writer:
        for label, contrast in enumerate((15, 60)):
            writer.add(np.clip(128 + contrast * noise, 0, 255).astype(np.uint8), label)
    mixed = MixedFaces(FRTrainRecordDataset("noise", root=str(tmp_path)), 120)
    # The upper and the lower part have nearly the same contrast where colors are matched; in other halves, one is four-fold.
    ratios = []
    for i in range(120):
        image = mixed.read(i)[0].astype(float)
        upper, lower = image[5:35].std(), image[95:108].std()
        ratios.append(max(upper / lower, lower / upper))
    assert np.mean(np.array(ratios) < 2.5) > 0.85
    assert np.max(ratios) > 2.8

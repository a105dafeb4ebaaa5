"""Mixed faces: which images are mixed, and how."""

import numpy as np
import pytest

from gluonfr.core import DataError, UsageError
from gluonfr.data import FRTrainRecordDataset, RecordWriter
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
    assert len({tuple(pair) for pair in pairs}) == 12
    assert sum((other.read(i)[0] != images[i]).any() for i in range(30)) > 10
    assert (first.num_classes, first.labels.sum()) == (1, 0)


def test_one_person_cannot_be_mixed_and_a_count_must_be_positive(tmp_path):
    with pytest.raises(DataError, match="but all images show one"):
        MixedFaces(flat_people(tmp_path / "one", [9]), 5)
    with pytest.raises(UsageError, match="count"):
        MixedFaces(flat_people(tmp_path / "two", [9, 10]), 0)


def test_faces_are_moved_smoothly_and_not_far(tmp_path):
    ramp = np.repeat((2 * np.arange(112, dtype=np.uint8))[:, None, None], 112, axis=1)
    with RecordWriter(str(tmp_path / "ramp"), image_size=(112, 112)) as writer:
        for label in range(2):
            writer.add(np.repeat(ramp, 3, axis=2), label)
    mixed = MixedFaces(FRTrainRecordDataset("ramp", root=str(tmp_path)), 60)
    # Without the border, whose outside is mirrored; a level is half a pixel.
    shifts = np.stack([mixed.read(i)[0][20:92, :, 0].astype(float) - ramp[20:92, :, 0] for i in range(60)]) / 2
    assert np.abs(shifts).max() < 12
    assert 0.5 < shifts.std() < 2.5
    assert abs(shifts.mean()) < 0.4
    assert np.abs(np.diff(shifts, axis=2)).mean() < 0.3
    # 9 % of the images mix two faces of which neither is changed.
    assert np.mean(np.abs(shifts).mean(axis=(1, 2)) > 0.3) > 0.6

import importlib.util
import os
import shutil

import cv2
import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.data import read_pairs
from gluonfr.photos.lfw import fetch_lfw

pytestmark = pytest.mark.system


@pytest.fixture
def cache(faces, tmp_path):
    """scikit-learn's cache of LFW, made of other real photos: 24 people, photos of 250 x 250 pixels; 40 pairs in 10 folds."""
    if importlib.util.find_spec("mtcnn") is None:
        pytest.skip("the package mtcnn, whose weights the detector uses, is not installed")
    home = tmp_path / "scikit_learn_data" / "lfw_home"
    people = sorted(os.listdir(os.path.join(faces, "photos", "people")))
    for person in people:
        source = os.path.join(faces, "photos", "people", person)
        folder = home / "lfw_funneled" / f"Person_{person}"
        folder.mkdir(parents=True)
        for number, name in enumerate(sorted(os.listdir(source))[:3], 1):
            image = cv2.resize(cv2.imread(os.path.join(source, name)), (250, 250), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(folder / f"Person_{person}_{number:04d}.jpg"), image)
    names = [f"Person_{person}" for person in people]
    rows = ["10\t2"]
    for fold in range(10):
        first, second = names[2 * fold], names[2 * fold + 1]
        rows += [f"{first}\t1\t2", f"{second}\t3\t1", f"{first}\t1\t{second}\t1", f"{second}\t2\t{first}\t3"]
    (home / "pairs.txt").write_text("\n".join(rows) + "\n")
    (home / "pairsDevTest.txt").write_text("1\n" + "\n".join(rows[i] for i in (1, 3)) + "\n")
    return home


def test_lfw_keeps_the_official_order(cache, tmp_path):
    made = fetch_lfw(tmp_path / "root", data_home=cache.parent)
    assert made.pairs == 40
    assert made.same == 20
    assert made.path == str(tmp_path / "root" / "lfw.bin")
    images, issame = read_pairs(made.path)
    assert issame.tolist() == [True, True, False, False] * 10
    # Image 0 of the first and of the third pair of a fold is one photo, as is image 0 of the second and image 1 of none.
    for fold in range(10):
        of_fold = images[8 * fold : 8 * fold + 8]
        assert of_fold[0] == of_fold[4]
        assert len(set(of_fold)) == 6
    assert all(cv2.imdecode(np.frombuffer(image, np.uint8), 1).shape == (112, 112, 3) for image in images)
    assert len(made.replaced) <= 2
    small = fetch_lfw(tmp_path / "root", "lfw_dev", data_home=str(cache.parent))
    assert small.pairs == 2
    assert read_pairs(small.path)[0] == images[:2] + images[4:6]


def test_photo_without_a_face_is_replaced_by_its_center(cache, tmp_path):
    name = sorted(os.listdir(cache / "lfw_funneled"))[0]
    path = cache / "lfw_funneled" / name / f"{name}_0001.jpg"
    grey = np.full((250, 250, 3), 60, np.uint8)
    cv2.rectangle(grey, (110, 110), (140, 140), (0, 0, 255), -1)
    cv2.imwrite(str(path), grey)
    made = fetch_lfw(tmp_path, "lfw_dev", data_home=cache.parent)
    assert made.pairs == 2
    assert made.replaced == [os.path.join(name, path.name)]
    image = cv2.imdecode(np.frombuffer(read_pairs(made.path)[0][0], np.uint8), 1)
    assert image.shape == (112, 112, 3)
    red = image.astype(int)[:, :, 2] - image[:, :, 0]
    rows, columns = np.nonzero(red > 100)
    assert abs(rows.mean() - 55.5) < 2
    assert abs(columns.mean() - 55.5) < 2
    assert 20 < rows.max() - rows.min() < 35


def test_missing_and_damaged_photos_are_errors(cache, tmp_path):
    name = sorted(os.listdir(cache / "lfw_funneled"))[0]
    path = cache / "lfw_funneled" / name / f"{name}_0001.jpg"
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(GluonFRError, match="_0001.jpg: unreadable"):
        fetch_lfw(tmp_path, "lfw_dev", data_home=cache.parent)
    path.unlink()
    with pytest.raises(GluonFRError, match="_0001.jpg is missing"):
        fetch_lfw(tmp_path, "lfw_dev", data_home=cache.parent)
    assert not (tmp_path / "lfw_dev.bin").exists()
    (cache / "pairs.txt").write_text("10\t300\n" + (cache / "pairs.txt").read_text().partition("\n")[2])
    with pytest.raises(GluonFRError, match="6000 pairs, and 40 follow"):
        fetch_lfw(tmp_path, data_home=cache.parent)


def test_missing_cache_is_fetched_by_scikit_learn(tmp_path, monkeypatch):
    asked = []

    def fetcher(**options):
        asked.append(options)
        raise OSError("no network")

    monkeypatch.setattr("sklearn.datasets.fetch_lfw_pairs", fetcher)
    with pytest.raises(GluonFRError) as caught:
        fetch_lfw(tmp_path, data_home=tmp_path / "nothing")
    sentence = str(caught.value)
    assert "no network" in sentence
    assert "pairs.txt and lfw_funneled" in sentence
    assert len(sentence.splitlines()) == 1
    assert asked == [{"subset": "10_folds", "data_home": str(tmp_path / "nothing")}]
    with pytest.raises(GluonFRError, match="lfw, lfw_dev"):
        fetch_lfw(tmp_path, "agedb")


def test_fetched_cache_is_used(cache, tmp_path, monkeypatch):
    home = tmp_path / "later"

    def fetcher(subset, data_home):
        shutil.copytree(cache, os.path.join(data_home, "lfw_home"))

    monkeypatch.setattr("sklearn.datasets.fetch_lfw_pairs", fetcher)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(home))
    assert fetch_lfw(tmp_path, "lfw_dev").pairs == 2

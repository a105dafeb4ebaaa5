import json
import os
import struct

import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.evaluation.megaface_files import (
    FeatureFolder,
    read_feature,
    read_features,
    read_image_list,
    read_noise_list,
    write_feature,
)


def test_a_feature_is_what_opencv_writes_of_a_column(tmp_path):
    path = tmp_path / "a" / "x.jpg_y1.bin"
    write_feature(str(path), [1.5, -2.0, 0.25])
    assert path.read_bytes() == struct.pack("<4i3f", 3, 1, 4, 5, 1.5, -2.0, 0.25)
    feature = read_feature(str(path))
    assert feature.dtype == np.float32
    assert feature.tolist() == [1.5, -2.0, 0.25]
    assert feature.flags.writeable


def folder(tmp_path, names, ending="_y1.bin", size=4):
    for number, name in enumerate(names):
        write_feature(str(tmp_path / "features" / (name + ending)), np.full(size, number + 1.0))
    return str(tmp_path / "features")


def test_images_are_found_by_the_end_of_listed_paths(tmp_path):
    names = ["Anna_B/Anna_B_1.jpg", "Anna_B/Anna_B_2.jpg", "Ben/Ben_1.jpg"]
    features = folder(tmp_path, names)
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps({"path": ["faces/" + names[2], "other\\" + names[0].replace("/", "\\")], "id": ["b", "a"]}))
    (tmp_path / "noises.txt").write_text("# noise\nAnna_B_1.jpg\n")
    found = FeatureFolder(features, "_y1.bin", str(listed), 2, str(tmp_path / "noises.txt"))
    assert found.images == [names[2], names[0]]
    assert found.ids == ["b", "a"]
    assert found.noisy.tolist() == [False, True]
    np.testing.assert_array_equal(found.read(), [[3] * 4, [1] * 4])
    # A text list has no ids: the folder names the person.
    (tmp_path / "list").write_text("".join(name + "\n" for name in names))
    assert FeatureFolder(features, "_y1.bin", str(tmp_path / "list")).ids == ["Anna_B", "Anna_B", "Ben"]
    everything = FeatureFolder(features, "_y1.bin")
    assert everything.images == names
    assert everything.noisy is None
    # Images in deeper folders keep their paths, and a list may start with a byte-order mark.
    np.testing.assert_array_equal(FeatureFolder(str(tmp_path), "_y1.bin").read(), [[1] * 4, [2] * 4, [3] * 4])
    (tmp_path / "list").write_text("\ufeff" + names[0] + "\n", encoding="utf-8")
    assert FeatureFolder(features, "_y1.bin", str(tmp_path / "list")).images == [names[0]]
    flat = FeatureFolder(os.path.join(features, "Ben"), "_y1.bin")
    assert flat.images == ["Ben_1.jpg"]
    assert len(flat.read()) == 1
    with pytest.raises(GluonFRError, match="Ben_1.jpg is in no person's folder"):
        flat.ids  # noqa: B018


def test_distractors_have_three_path_components(tmp_path):
    names = ["1/7@N08/5.jpg", "2/8@N08/5.jpg"]
    features = folder(tmp_path, names)
    (tmp_path / "noises").write_text("17\t2/8@N08/5.jpg\n")
    found = FeatureFolder(features, "_y1.bin", parts=3, noise_list=str(tmp_path / "noises"))
    assert found.images == names
    assert found.noisy.tolist() == [False, True]
    assert read_noise_list(str(tmp_path / "noises")) == {"2/8@N08/5.jpg"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"abc", "not a MegaFace feature"),
        (struct.pack("<4i2f", 3, 1, 4, 5, 1, 2), "expected 28 bytes, found 24"),
        (struct.pack("<4i2f", 1, 1, 4, 5, 1, 2), "expected 20 bytes, found 24"),
        (struct.pack("<4i", 1 << 30, 1, 4, 5), "not a MegaFace feature"),
        (struct.pack("<4i1f", 1, 1, 4, 6, 1), "not a MegaFace feature"),
        (struct.pack("<4i1f", -1, 1, 4, 5, 1), "not a MegaFace feature"),
        (struct.pack("<4i1f", 1, 1, 4, 5, float("nan")), "NaN"),
    ],
)
def test_a_damaged_feature_is_reported_with_its_path(tmp_path, content, words):
    path = tmp_path / "damaged.bin"
    path.write_bytes(content)
    with pytest.raises(GluonFRError, match=words) as caught:
        read_feature(str(path))
    assert "damaged.bin" in str(caught.value)


def test_invalid_sets_are_reported(tmp_path):
    features = folder(tmp_path, ["A/1.jpg", "A/2.jpg"])
    write_feature(str(tmp_path / "features" / "A" / "3.jpg_y1.bin"), np.ones(5))
    with pytest.raises(GluonFRError, match="3.jpg_y1.bin has 5 numbers"):
        FeatureFolder(features, "_y1.bin").read()
    (tmp_path / "list").write_text("A/1.jpg\nx/A/1.jpg\n")
    with pytest.raises(GluonFRError, match="A/1.jpg is listed 2 times"):
        FeatureFolder(features, "_y1.bin", str(tmp_path / "list"))
    (tmp_path / "list").write_text("A/9.jpg\n")
    with pytest.raises(GluonFRError, match="9.jpg_y1.bin is missing"):
        FeatureFolder(features, "_y1.bin", str(tmp_path / "list")).read()
    (tmp_path / "noises").write_text("other.jpg\n")
    with pytest.raises(GluonFRError, match="names none of the images"):
        FeatureFolder(features, "_y1.bin", noise_list=str(tmp_path / "noises"))
    with pytest.raises(GluonFRError, match="contains no image"):
        FeatureFolder(features, "_other.bin")
    with pytest.raises(GluonFRError, match="no such folder"):
        FeatureFolder(str(tmp_path / "nothing"), "")
    for text, words in (
        ("{", "damaged JSON"),
        ('{"path": 3}', "path"),
        ('{"path": ["a"], "id": []}', "same length"),
        ('{"path": ["a"], "id": [null]}', "same length"),
    ):
        (tmp_path / "list").write_text(text)
        with pytest.raises(GluonFRError, match=words):
            read_image_list(str(tmp_path / "list"))
    with pytest.raises(GluonFRError, match="finite"):
        write_feature(str(tmp_path / "x"), [np.nan])
    assert not (tmp_path / "x").exists()
    with pytest.raises(GluonFRError, match="no feature files"):
        read_features([])

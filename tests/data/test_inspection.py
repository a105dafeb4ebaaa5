import pickle
import struct

import numpy as np
import pytest
from record_sets import damage, digest, encoded, make, put_records

from gluonfr.core import GluonFRError
from gluonfr.data import RecordWriter, write_pairs
from gluonfr.data.inspection import contact_sheet_of_set, inspect


def test_inspecting_records_counts_their_contents(tmp_path):
    folder = tmp_path / "in"
    with RecordWriter(folder, (32, 32)) as writer:
        for label, seed, kind in [
            (0, 0, ".jpg"),
            (0, 1, ".png"),
            (0, 0, ".jpg"),
            (2, 0, ".jpg"),
            (2, 4, ".jpg"),
            (3, 5, ".jpg"),
        ]:
            writer.add(encoded(seed, kind), label)
    damage(folder, [5])
    before = digest(folder)
    found = inspect(folder)
    assert (found.images, found.headers, found.identities, found.classes) == (6, 4, 3, 4)
    assert found.layout == "header and identity records"
    assert found.kind == "training"
    assert found.sizes == {"32x32": 5}
    assert found.formats == {"jpg": 4, "png": 1}
    assert found.images_per_identity == {"min": 1, "median": 2.0, "max": 3}
    assert found.duplicates == [[0, 2, 3]] == found.mixed
    assert list(found.bad) == [5]
    assert "image 5" in found.bad[5]
    assert "pairs" not in found.to_dict()
    assert digest(folder) == before


def test_inspecting_reports_invalid_labels(tmp_path):
    folder = make(tmp_path / "in", [0, 0, 1, 1])
    path = folder / "train.rec"
    raw = bytearray(path.read_bytes())
    start = int((folder / "train.idx").read_text().splitlines()[2].split("\t")[1])
    struct.pack_into("<f", raw, start + 12, 0.5)
    path.write_bytes(raw)
    found = inspect(path)
    assert list(found.bad) == [2]
    assert "label 0.5" in found.bad[2]
    assert found.identities == 2
    assert found.images_per_identity["min"] == 1


def test_inspecting_pairs_counts_their_contents(tmp_path):
    pictures = [encoded(seed) for seed in range(8)]
    flags = [True, False] * 10
    images = [pictures[(3 * k) % 8] for k in range(40)]
    images[6] = images[7] = pictures[0]
    path = tmp_path / "x.bin"
    write_pairs(path, images, flags)
    found = inspect(path)
    assert (found.pairs, found.same, found.images, found.distinct) == (20, 10, 40, 8)
    assert found.folds == [1] * 10
    assert found.duplicates == [[6, 7]]
    assert not found.bad
    write_pairs(path, images, sorted(flags))
    assert inspect(path).folds == [0] * 5 + [2] * 5
    images[5] = b"no image"
    path.write_bytes(pickle.dumps((images, flags), 2))
    found = inspect(path)
    assert list(found.bad) == [5]
    assert "image 1 of pair 2" in found.bad[5]
    assert contact_sheet_of_set(path).dtype == np.uint8


def test_inspecting_warns_of_labels_without_images(tmp_path):
    found = inspect(make(tmp_path / "dense", [0, 1, 2]))
    assert (found.empty_labels, found.warnings) == (0, [])
    found = inspect(make(tmp_path / "gaps", [0, 5, 9]))
    assert found.empty_labels == 7
    assert "7 of 10 labels have no images" in found.warnings[0]
    (tmp_path / "dense" / "property").write_text("5,32,32")
    assert inspect(tmp_path / "dense").empty_labels == 2


def test_inspecting_warns_of_a_wrong_property(tmp_path):
    folder = make(tmp_path / "set", [0, 1, 2])
    (folder / "property").write_text("2,32,32")
    assert "declares 2 classes, but the largest label is 2" in inspect(folder).warnings[0]
    (folder / "property").write_text("two classes")
    assert "num_classes,H,W" in inspect(folder).warnings[0]


@pytest.mark.parametrize("label", [-1.0, 0.5, float("nan"), float("-inf"), 2.0**24])
def test_a_set_without_usable_labels_is_reported(tmp_path, label):
    found = inspect(put_records(tmp_path / "set", [(label, encoded(0))] * 3))
    assert sorted(found.bad) == [0, 1, 2]
    assert (found.identities, found.images_per_identity) == (0, None)
    assert "no label can be used" in found.warnings[0]
    with pytest.raises(GluonFRError, match="no image can be shown"):
        contact_sheet_of_set(tmp_path / "set")

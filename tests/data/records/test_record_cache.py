"""The cache of a large `.rec` is optional, and is used only where it matches the records."""

import logging
import os
import shutil
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.data import FRTrainRecordDataset, RecordFile
from gluonfr.data.records import cache
from gluonfr.data.records import file as record_file
from gluonfr.data.records.cache import save_cache

MAGIC = b"\x0a\x23\xd7\xce"


@pytest.fixture(autouse=True)
def small_sets_count_as_big(monkeypatch):
    monkeypatch.setattr(cache, "_MIN_IMAGES", 10)


@pytest.fixture
def folder(tmp_path):
    """Write a header record, 30 images of which one contains the magic word, and header records between them and at the end."""
    write(tmp_path / "set", [i // 3 for i in range(30)])
    return tmp_path / "set"


def write(folder, labels):
    folder.mkdir(exist_ok=True)
    path = str(folder / "train.rec")
    writer = mx.recordio.MXIndexedRecordIO(path[:-3] + "idx", path, "w")
    records = [(label, (MAGIC if i == 7 else b"") + b"%d" % i * (5 + i)) for i, label in enumerate(labels)]
    for place in (0, 12, 13, len(records) + 3):
        records.insert(place, ([1.0, 2.0], b""))
    for key, (label, payload) in enumerate(records):
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), payload))
    writer.close()


def everything(folder):
    file = RecordFile(str(folder / "train.rec"))
    return file.headers, [file.read(i) for i in range(len(file))], file.labels.tolist()


def fails(*_):
    raise AssertionError("the records were scanned")


def test_the_second_opening_scans_no_record(folder, monkeypatch):
    first = everything(folder)
    assert first[0] == 4
    assert first[2] == [i // 3 for i in range(30)]
    for module, name in ((record_file, "find_labels"), (record_file, "find_headers"), (record_file, "read_index")):
        monkeypatch.setattr(module, name, fails)
    assert everything(folder) == first
    labels = RecordFile(str(folder / "train.rec")).labels
    assert labels.dtype == np.int64
    assert not labels.flags.writeable


def test_offsets_found_without_an_index_are_cached(folder, monkeypatch):
    first = everything(folder)
    (folder / "train.idx").unlink()
    assert everything(folder) == first
    monkeypatch.setattr(record_file, "find_records", fails)
    assert everything(folder) == first


def test_small_sets_are_not_cached(folder, monkeypatch):
    monkeypatch.setattr(cache, "_MIN_IMAGES", 31)
    everything(folder)
    assert sorted(os.listdir(str(folder))) == ["train.idx", "train.rec"]


def test_damage_is_reported_at_every_opening(folder):
    (folder / "property").write_text("10,112,112")
    with open(str(folder / "train.rec"), "r+b") as file:
        file.seek(int((folder / "train.idx").read_text().splitlines()[4].split()[1]))
        file.write(b"\xff" * 4)
    first = RecordFile(str(folder / "train.rec")).scan()[1]
    assert list(first) == [3]
    assert (folder / "train.cache").exists()
    labels, again = RecordFile(str(folder / "train.rec")).scan()
    assert again == first
    assert labels[3] == -1
    assert labels[2] == 0
    assert labels[4] == 1
    with pytest.raises(GluonFRError, match="image 3 "):
        FRTrainRecordDataset("set", root=str(folder.parent))
    skipping = FRTrainRecordDataset("set", root=str(folder.parent), on_error="skip")
    assert skipping.skipped == [3]
    assert skipping.labels.tolist() == [i // 3 for i in range(30) if i != 3]


def _touch(folder):
    os.utime(str(folder / "train.rec"), ns=(1, 1))


def _other_labels(folder):
    write(folder, [20 + i // 3 for i in range(30)])


def _other_labels_at_the_same_time(folder):
    files = [str(folder / name) for name in ("train.rec", "train.idx")]
    times = [os.stat(file).st_mtime_ns for file in files]
    _other_labels(folder)
    for file, time in zip(files, times):
        os.utime(file, ns=(time, time))


def _fewer(folder):
    write(folder, [i // 3 for i in range(24)])


def _no_index(folder):
    (folder / "train.idx").unlink()


@pytest.mark.parametrize("change", [_touch, _other_labels, _other_labels_at_the_same_time, _fewer, _no_index])
def test_a_cache_of_other_records_is_not_used(folder, change, caplog, tmp_path):
    everything(folder)
    change(folder)
    shutil.copytree(str(folder), str(tmp_path / "fresh"))
    (tmp_path / "fresh" / "train.cache").unlink()
    expected = everything(tmp_path / "fresh")
    with caplog.at_level(logging.WARNING):
        assert everything(folder) == expected
    assert "train.cache: does not match the records" in caplog.text
    caplog.clear()
    assert everything(folder) == expected
    assert not caplog.records


def _flip(content):
    content[-3] ^= 1
    return content


@pytest.mark.parametrize(
    "damage",
    [_flip, lambda content: content[:-8], lambda content: content + b"\0" * 8, lambda content: b"", lambda content: b"[1]" * 9]
    + [lambda content: content.replace(b'"headers": 4', b'"headers":  "')]
    + [lambda content: content.replace(b'"headers": 4', b'"headers": 5'), lambda content: b"[1]".ljust(4096)],
    ids=["flipped", "cut", "longer", "empty", "rubbish", "head", "count", "list"],
)
def test_a_damaged_cache_is_replaced(folder, damage, caplog):
    first = everything(folder)
    cache = Path(str(folder / "train.cache"))
    good = cache.read_bytes()
    cache.write_bytes(damage(bytearray(good)))
    with caplog.at_level(logging.WARNING):
        assert everything(folder) == first
    assert "train.cache: is damaged" in caplog.text
    assert cache.read_bytes() == good


def test_a_read_only_folder_works_without_a_cache(folder, caplog, monkeypatch):
    # root may write everywhere, so the check is replaced.
    monkeypatch.setattr(os, "access", lambda path, mode: path != str(folder))
    with caplog.at_level(logging.WARNING):
        assert everything(folder)[2] == [i // 3 for i in range(30)]
    assert "train.cache cannot be written (the folder is read-only)" in caplog.text
    assert len(caplog.records) == 1
    assert not (folder / "train.cache").exists()


def test_an_unwritable_cache_is_logged(folder, caplog):
    (folder / "train.cache").mkdir()
    with caplog.at_level(logging.WARNING):
        assert everything(folder)[2] == [i // 3 for i in range(30)]
    assert "cannot be written (Is a directory)" in caplog.text
    assert sorted(os.listdir(str(folder))) == ["train.cache", "train.idx", "train.rec"]


def test_files_that_change_during_the_scan_are_not_cached(folder, monkeypatch):
    find_labels = record_file.find_labels

    def and_touch(*arguments):
        yield from find_labels(*arguments)
        _touch(folder)

    monkeypatch.setattr(record_file, "find_labels", and_touch)
    everything(folder)
    assert not (folder / "train.cache").exists()


def test_a_wrong_label_in_the_cache_is_found_when_the_image_is_read(folder):
    file = RecordFile(str(folder / "train.rec"))
    labels = file.labels.copy()
    labels[5] = 9
    assert save_cache(file.path, file._fingerprints, file._offsets, file.headers, labels)
    file = RecordFile(str(folder / "train.rec"))
    assert file.read(4)[0] == 1
    with pytest.raises(
        GluonFRError, match="image 5 .* has the label 1, but train.cache records another one; delete train.cache"
    ):
        file.read(5)

"""Files beyond 4 GiB, record numbers and ranges beyond 2**24, and blocks of records: no number is truncated."""

import struct

import mxnet as mx
import numpy as np
import pytest

from gluonfr.data import FRTrainRecordDataset, RecordFile
from gluonfr.data.records import index, offsets, scan
from gluonfr.data.records.framing import LENGTH_MASK, MAGIC_BYTES

FIRST = 2**24 + 1
LABELS = [0] + [1] * 9 + [2, 2, 3, 2**24 - 1]


@pytest.fixture
def big(tmp_path):
    """Write a sparse file of 4.5 GiB: a small image, nine of 512 MiB, four small ones, header records."""
    path = str(tmp_path / "train.rec")
    rows = []
    with open(path, "wb") as file:

        def add(key, flag, label, payload, length=None):
            begin = file.tell()
            rows.append((key, begin))
            length = 24 + len(payload) if length is None else length
            file.write(MAGIC_BYTES + struct.pack("<I", length) + struct.pack("<IfQQ", flag, label, key, 0) + payload)
            file.seek(begin + 8 + (length + 3) // 4 * 4)

        for number, label in enumerate(LABELS):
            if label == 1:
                add(FIRST + number, 0, label, b"big", LENGTH_MASK - 3)
            else:
                add(FIRST + number, 0, label, b"image %d!" % number)
        for begin, end in ((0, 1), (1, 10), (10, 12), (12, 13), (13, 14)):
            # In float32, FIRST + begin and FIRST + end are rounded to other numbers.
            add(FIRST + len(LABELS) + begin, 2, 0, struct.pack("<ff", FIRST + begin, FIRST + end))
        file.truncate()
    with open(path[:-3] + "idx", "w") as file:
        file.writelines("%d\t%d\n" % row for row in rows)
    (tmp_path / "property").write_text("%d,112,112" % 2**24)
    return path


def test_offsets_beyond_4_gib_and_numbers_beyond_2_24(big):
    file = RecordFile(big)
    assert file.headers == 5
    assert file.labels.tolist() == LABELS
    assert file.span(13)[0] > 2**32
    # MXNet finds a record by its number in the index, this package by its offset.
    reader = mx.recordio.MXIndexedRecordIO(big[:-3] + "idx", big, "r")
    for i in (0, 10, 11, 12, 13):
        header, payload = mx.recordio.unpack(reader.read_idx(FIRST + i))
        assert header.id == FIRST + i
        assert file.read(i) == (header.label, payload) == (float(LABELS[i]), b"image %d!" % i)


def test_people_are_derived_from_labels_not_from_rounded_ranges(big, tmp_path):
    dataset = FRTrainRecordDataset(tmp_path.name, root=str(tmp_path.parent))
    assert dataset.num_classes == 2**24 == len(dataset.identities)
    people = {label: dataset.identities[label].tolist() for label in (0, 1, 2, 3, 4, 2**24 - 1)}
    assert people == {0: [0], 1: list(range(1, 10)), 2: [10, 11], 3: [12], 4: [], 2**24 - 1: [13]}


@pytest.mark.parametrize(("rows", "size"), [(1, 1 << 26), (3, 1 << 26), (7, 200), (1 << 18, 1), (1 << 18, 333)])
def test_results_do_not_depend_on_the_block_size(tmp_path, monkeypatch, rows, size):
    random = np.random.RandomState(0)
    records = [(float(random.randint(50)), bytes(random.randint(0, 256, random.randint(0, 60)).tolist())) for _ in range(60)]
    for place in (0, 5, 6, 7, 30, 63, 65):
        records.insert(place, ([3.0, 4.0], b""))
    path = str(tmp_path / "train.rec")
    writer = mx.recordio.MXIndexedRecordIO(path[:-3] + "idx", path, "w")
    for key, (label, payload) in enumerate(records):
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), payload))
    writer.close()
    monkeypatch.setattr(scan, "_BLOCK_ROWS", rows)
    monkeypatch.setattr(offsets, "_BLOCK_ROWS", rows)
    monkeypatch.setattr(scan, "_BLOCK_BYTES", size)
    file = RecordFile(path)
    images = [record for record in records if not isinstance(record[0], list)]
    assert file.headers == 7
    assert file.labels.tolist() == [label for label, _ in images]
    assert [file.read(i) for i in range(len(file))] == images


def test_spans_of_images_are_right_around_header_records():
    starts = np.array([0, 8, 20, 40, 48, 60, 100])
    for headers in ([], [0], [6], [1, 2], [0, 3, 6], [2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5]):
        places = offsets.ImageOffsets.from_records(starts.copy(), 132, np.array(headers, dtype=np.int64))
        whole = [(begin, end) for begin, end in zip(starts, [*starts[1:], 132])]
        expected = [whole[i] for i in range(7) if i not in headers]
        assert [places.span(i) for i in range(len(places))] == expected
        for begin in range(len(expected)):
            for end in range(begin + 1, len(expected) + 1):
                lengths = [last - first for first, last in expected[begin:end]]
                assert places.lengths(slice(begin, end)).tolist() == lengths
    assert len(offsets.ImageOffsets.from_records(starts.copy(), 132, np.arange(7))) == 0


def test_an_index_is_read_in_blocks(tmp_path, monkeypatch):
    starts = np.arange(300) * 40
    text = "".join("%d\t%d\n" % row for row in zip(np.arange(300) + 2**33, starts))
    for end in ("", "\n\n"):
        for piece in (7, 64, 1000, 1 << 24):
            monkeypatch.setattr(index, "_BLOCK_BYTES", piece)
            (tmp_path / "x.idx").write_text(text.rstrip("\n") + end)
            assert (index.read_offsets(str(tmp_path / "x.idx")) == starts).all()
            for wrong in (text + "7\n", text.replace("\t4000\n", "\n"), text.replace("\t4000\n", "\tx\n"), "", "\n"):
                (tmp_path / "x.idx").write_text(wrong)
                assert index.read_offsets(str(tmp_path / "x.idx")) is None

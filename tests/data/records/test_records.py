import logging
import os
import pickle
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.data import RecordFile, RecordWriter
from gluonfr.data.records.framing import join_frames, split_frames

MAGIC = b"\x0a\x23\xd7\xce"


def picture(seed, size=(112, 112)):
    small = np.random.RandomState(seed).randint(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.kron(small, np.ones((size[0] // 4, size[1] // 4, 1), dtype=np.uint8))


def cv2_jpeg(image):
    return cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def write_with_mxnet(folder, records):
    """Write (label, payload) records with MXNet, with keys from 0."""
    path = os.path.join(str(folder), "train.rec")
    writer = mx.recordio.MXIndexedRecordIO(path[:-3] + "idx", path, "w")
    for key, (label, payload) in enumerate(records):
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), payload))
    writer.close()
    return path


@pytest.fixture
def plain(tmp_path):
    """A set without header records: 12 payloads of many lengths, label i // 3."""
    return write_with_mxnet(tmp_path, [(i // 3, bytes([65 + i]) * (3000 + 7 * i)) for i in range(12)])


def index_rows(path):
    return Path(path[:-3] + "idx").read_text().splitlines()


def write_index(path, rows):
    Path(path[:-3] + "idx").write_text("".join(row + "\n" for row in rows))


def test_real_records_equal_mxnets_reader(faces):
    path = os.path.join(faces, "celeb", "train.rec")
    file = RecordFile(path)
    assert len(file) == 5967
    assert file.headers == 294
    reader = mx.recordio.MXIndexedRecordIO(path[:-3] + "idx", path, "r")
    for i in range(len(file)):
        header, payload = mx.recordio.unpack(reader.read_idx(i + 1))
        label, ours = file.read(i)
        assert label == header.label == file.labels[i]
        assert ours == payload
    assert file.labels.dtype == np.int64
    assert len(np.unique(file.labels)) == 293


def test_a_set_without_headers_starts_with_an_image(plain):
    file = RecordFile(plain)
    assert len(file) == 12
    assert file.headers == 0
    assert file.read(0) == (0.0, b"A" * 3000)
    assert file.read(11) == (3.0, b"L" * 3077)
    assert file.labels.tolist() == [i // 3 for i in range(12)]
    with pytest.raises(IndexError):
        file.read(12)
    with pytest.raises(IndexError):
        file.read(-1)


def test_label_arrays_on_images_give_their_first_value(tmp_path):
    records = [([7.0, 0.25, -3.0], b"first"), ([5.0], b"second"), (3.0, b"third"), ([1.0, 2.0], b""), ([4.0] * 600, b"long")]
    file = RecordFile(write_with_mxnet(tmp_path, records))
    assert file.headers == 1
    assert [file.read(i) for i in range(len(file))] == [(7.0, b"first"), (5.0, b"second"), (3.0, b"third"), (4.0, b"long")]
    assert file.labels.tolist() == [7, 5, 3, 4]


def test_ranges_in_header_records_are_ignored(tmp_path):
    records = [([999.0, -5.0], b"")] + [(i, b"x%d" % i) for i in (3, 1, 2)] + [([0.0, 2.0**24 + 2], b"")] * 2
    file = RecordFile(write_with_mxnet(tmp_path, records))
    assert file.headers == 3
    assert file.labels.tolist() == [3, 1, 2]


@pytest.mark.parametrize("layout", ["one", "start", "end", "only", "twice", "shifted", "header"])
def test_payloads_may_contain_the_magic_word(tmp_path, layout):
    payload = {
        "one": b"abcd" * 5 + MAGIC + b"tail!",
        "start": MAGIC + b"rest",
        "end": b"abcd" * 3 + MAGIC,
        "only": MAGIC,
        "twice": b"abcd" + MAGIC + MAGIC + b"efgh" * 2 + MAGIC + b"i",
        "shifted": b"abc" + MAGIC + b"d" + MAGIC + b"ef" + MAGIC * 2,
        "header": b"xyz",
    }[layout]
    # The second label has the bits of the magic word.
    label = [2.0, struct.unpack("<f", MAGIC)[0], 1.0] if layout == "header" else 2.0
    path = write_with_mxnet(tmp_path, [(1.0, b"before"), (label, payload), (3.0, b"after")])
    for remove in (False, True):
        if remove:
            os.unlink(path[:-3] + "idx")
        file = RecordFile(path)
        assert [file.read(i) for i in range(3)] == [(1.0, b"before"), (2.0, payload), (3.0, b"after")]
        assert file.labels.tolist() == [1, 2, 3]


def test_frames_equal_mxnets_bytes(tmp_path):
    random = np.random.RandomState(3)
    contents = [b"", b"a", MAGIC, MAGIC[:3], b"a" + MAGIC * 3]
    for _ in range(300):
        pieces = [
            MAGIC if random.rand() < 0.4 else bytes(random.randint(0, 256, random.randint(0, 6)).tolist()) for _ in range(8)
        ]
        contents.append(b"".join(pieces))
    path = str(tmp_path / "x.rec")
    writer = mx.recordio.MXRecordIO(path, "w")
    for content in contents[1:]:
        writer.write(content)
    writer.close()
    assert b"".join(split_frames(content) for content in contents[1:]) == Path(path).read_bytes()
    assert [join_frames(split_frames(content)) for content in contents] == contents


def test_offsets_are_found_without_an_index_and_logged(plain, caplog):
    expected = [RecordFile(plain).read(i) for i in range(12)]
    os.unlink(plain[:-3] + "idx")
    with caplog.at_level(logging.WARNING):
        file = RecordFile(plain)
    assert [file.read(i) for i in range(12)] == expected
    assert "train.idx" in caplog.text
    assert len(caplog.records) == 1


def test_the_rows_of_an_index_may_come_in_any_order(plain):
    expected = [RecordFile(plain).read(i) for i in range(12)]
    write_index(plain, index_rows(plain)[::-1])
    file = RecordFile(plain)
    assert [file.read(i) for i in range(12)] == expected


def _read_all(file):
    return [file.read(i) for i in range(len(file))]


def test_threads_forks_and_pickles_share_one_file(plain):
    file = RecordFile(plain)
    expected = _read_all(file)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda k: file.read(k % 12), range(2400))) == expected * 200
    copy = pickle.loads(pickle.dumps(file))
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            right = all(_read_all(file) == expected and _read_all(copy) == expected for _ in range(50))
            os._exit(0 if right else 1)
        children.append(pid)
    assert _read_all(file) == expected
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    file = None
    assert _read_all(copy) == expected


BAD_INDEXES = {
    "empty": lambda rows: [],
    "rubbish": lambda rows: ["not\tan", "index at all"],
    "words among numbers": lambda rows: rows[:3] + ["3\tnine"] + rows[4:],
    "three columns": lambda rows: [row + "\t1" for row in rows],
    "duplicate row": lambda rows: rows + rows[4:5],
    "last row missing": lambda rows: rows[:-1],
    "first row missing": lambda rows: rows[1:],
    "row beyond the end": lambda rows: rows + ["12\t999999"],
    "row at the largest integer": lambda rows: rows + ["12\t9223372036854775804"],
    "odd byte": lambda rows: rows[:-1] + [rows[-1] + "1"],
    "last row in an image": lambda rows: rows + ["12\t%d" % (int(rows[-1].split()[1]) + 400)],
    "negative": lambda rows: ["9\t-4"] + rows,
}


@pytest.mark.parametrize("kind", BAD_INDEXES)
def test_a_wrong_index_is_refused_on_opening(plain, kind):
    write_index(plain, BAD_INDEXES[kind](index_rows(plain)))
    with pytest.raises(GluonFRError) as caught:
        RecordFile(plain)
    sentence = str(caught.value)
    assert "train.idx" in sentence
    assert "delete it so that it is rebuilt" in sentence
    assert "\n" not in sentence
    os.unlink(plain[:-3] + "idx")
    assert len(RecordFile(plain)) == 12


@pytest.mark.parametrize("kind", ["fewer", "more", "shifted"])
def test_an_index_that_is_wrong_in_the_middle_is_refused_on_reading(plain, kind):
    rows = index_rows(plain)
    inside = "6\t%d" % (int(rows[6].split()[1]) + 40)
    write_index(
        plain,
        {"fewer": rows[:6] + rows[7:], "more": rows[:7] + [inside] + rows[7:], "shifted": rows[:6] + [inside] + rows[7:]}[kind],
    )
    file = RecordFile(plain)
    assert file.read(2)[0] == 0
    with pytest.raises(GluonFRError, match=r"train\.rec: image [56] .*delete the \.idx"):
        file.labels  # noqa: B018
    bad = min(file.scan()[1])
    with pytest.raises(GluonFRError, match=f"image {bad} "):
        file.read(bad)


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("lost", [1, 4, 8, 3000, 3090, 20000])
def test_a_truncated_file_is_refused(plain, indexed, lost):
    os.truncate(plain, os.path.getsize(plain) - lost)
    if not indexed:
        os.unlink(plain[:-3] + "idx")
    with pytest.raises(GluonFRError, match=r"train\.rec .*truncated.*copy"):
        RecordFile(plain)


def test_records_beside_a_damaged_one_are_readable(plain):
    start = int(index_rows(plain)[7].split()[1])
    with open(plain, "r+b") as file:
        file.seek(start)
        file.write(b"\0\0\0\0")
    file = RecordFile(plain)
    with pytest.raises(GluonFRError, match=rf"train\.rec: image 7 \(its record starts at byte {start}\)"):
        file.read(7)
    labels, problems = file.scan()
    assert list(problems) == [7]
    assert labels.tolist() == [-1 if i == 7 else i // 3 for i in range(12)]
    assert file.read(8) == (2.0, b"I" * 3056)
    os.unlink(plain[:-3] + "idx")
    with pytest.raises(GluonFRError, match=rf"no record starts at byte {start}"):
        RecordFile(plain)


@pytest.mark.parametrize("label", [float("nan"), float("inf"), -1.0, 0.5, 2.0**31, [float("nan"), 1.0], [-2.0]])
def test_invalid_labels_are_refused(tmp_path, label):
    file = RecordFile(write_with_mxnet(tmp_path, [(0.0, b"good"), (label, b"bad"), (1.0, b"good")]))
    assert file.read(2) == (1.0, b"good")
    for use in (lambda: file.read(1), lambda: file.labels):
        with pytest.raises(GluonFRError, match=r"train\.rec: image 1 .*label"):
            use()


def test_records_too_short_for_their_header_are_refused(tmp_path):
    path = str(tmp_path / "train.rec")
    for content, words in (
        (b"tiny", "too short for a header"),
        (struct.pack("<IfQQ", 1000, 0, 0, 0) + b"abcd", "declares 1000 labels"),
    ):
        Path(path).write_bytes(split_frames(struct.pack("<IfQQ", 0, 1, 0, 0) + b"good") + split_frames(content))
        file = RecordFile(path)
        assert file.read(0) == (1.0, b"good")
        for use in (lambda file=file: file.read(1), lambda file=file: file.labels):
            with pytest.raises(GluonFRError, match=f"image 1 .*{words}"):
                use()


def test_files_without_images_are_refused(tmp_path):
    with pytest.raises(GluonFRError, match="missing.rec"):
        RecordFile(tmp_path / "missing.rec")
    with pytest.raises(GluonFRError, match="cannot be read"):
        RecordFile(tmp_path)
    (tmp_path / "empty.rec").write_bytes(b"")
    with pytest.raises(GluonFRError, match="empty.rec.*empty"):
        RecordFile(tmp_path / "empty.rec")
    (tmp_path / "text.rec").write_bytes(b"these are no records\n" * 20)
    with pytest.raises(GluonFRError, match="text.rec.*byte 0"):
        RecordFile(tmp_path / "text.rec")
    with pytest.raises(GluonFRError, match="only 1 header"):
        RecordFile(write_with_mxnet(tmp_path, [([1.0, 1.0], b"")]))


def read_layout(folder):
    """Return every record of a written set by key, read with struct alone."""
    content = Path(folder, "train.rec").read_bytes()
    records, keys = {}, []
    for line in Path(folder, "train.idx").read_text().splitlines():
        key, place = (int(number) for number in line.split("\t"))
        magic, length = struct.unpack_from("<II", content, place)
        assert magic == 0xCED7230A
        assert length >> 29 == 0
        flag, label, number, number2 = struct.unpack_from("<IfQQ", content, place + 8)
        body = content[place + 32 : place + 8 + length]
        labels = list(struct.unpack_from("<%df" % flag, body)) if flag else label
        records[key] = (labels, body[4 * flag :], number, number2)
        keys.append(key)
    return records, keys


def test_written_layout_is_insightfaces(tmp_path):
    with RecordWriter(tmp_path / "set") as writer:
        for i, label in enumerate([0, 0, 1, 1, 1, 2]):
            writer.add(picture(i), label)
    records, keys = read_layout(tmp_path / "set")
    assert keys == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert [records[k][0] for k in range(1, 7)] == [0, 0, 1, 1, 1, 2]
    assert [records[k][:2] for k in (7, 8, 9)] == [([1, 3], b""), ([3, 6], b""), ([6, 7], b"")]
    assert records[0][:2] == ([7, 10], b"")
    assert [records[k][2:] for k in keys] == [(k, 0) for k in keys]
    assert (tmp_path / "set" / "property").read_text() == "3,112,112\n"
    assert sorted(os.listdir(tmp_path / "set")) == ["property", "train.idx", "train.rec"]


def test_a_copy_of_a_real_set_has_the_same_bytes(faces, tmp_path):
    """A real set that is copied image by image is identical."""
    source = os.path.join(faces, "celeb")
    file = RecordFile(os.path.join(source, "train.rec"))
    with RecordWriter(tmp_path) as writer:
        for i in range(len(file)):
            label, payload = file.read(i)
            writer.add(payload, int(label))
    for name in ("train.rec", "train.idx", "property"):
        assert (tmp_path / name).read_bytes() == Path(source, name).read_bytes(), name


def test_images_added_in_any_order_are_grouped_by_label(tmp_path):
    labels = [4, 0, 4, 1, 0, 3, 2, 4]
    payloads = []
    with RecordWriter(tmp_path / "any") as writer:
        for i, label in enumerate(labels):
            # A trailing magic word makes a record of several parts, which reordering must preserve.
            payloads.append(cv2_jpeg(picture(i)) + (MAGIC * 2 if i % 2 else b""))
            writer.add(payloads[-1], label)
    order = [1, 4, 3, 6, 5, 0, 2, 7]
    file = RecordFile(tmp_path / "any" / "train.rec")
    assert [file.read(i) for i in range(8)] == [(labels[k], payloads[k]) for k in order]
    reader = mx.recordio.MXIndexedRecordIO(str(tmp_path / "any" / "train.idx"), str(tmp_path / "any" / "train.rec"), "r")
    for number, k in enumerate(order, 1):
        header, payload = mx.recordio.unpack(reader.read_idx(number))
        assert (header.label, header.id, payload) == (labels[k], number, payloads[k])
    first, last = mx.recordio.unpack(reader.read_idx(0))[0].label
    ranges = [mx.recordio.unpack(reader.read_idx(k))[0].label.tolist() for k in range(int(first), int(last))]
    assert ranges == [[1, 3], [3, 4], [4, 5], [5, 6], [6, 9]]
    assert sorted(os.listdir(tmp_path / "any")) == ["property", "train.idx", "train.rec"]


def test_pixels_are_encoded_and_files_are_stored_unchanged(tmp_path):
    image, png = picture(5), cv2.imencode(".png", picture(6)[:, :, ::-1])[1].tobytes()
    with RecordWriter(tmp_path) as writer:
        writer.add(image, 0)
        writer.add(mx.nd.array(image, dtype=np.uint8), 0)
        writer.add(png, np.int64(0))
    file = RecordFile(tmp_path / "train.rec")
    assert [file.read(i)[1] for i in range(3)] == [cv2_jpeg(image), cv2_jpeg(image), png]


def test_labels_without_images_keep_their_number(tmp_path, caplog):
    with caplog.at_level(logging.WARNING), RecordWriter(tmp_path) as writer:
        writer.add(picture(0), 2)
        writer.add(picture(1), 5)
    assert "4 labels have no images, 0 is the first" in caplog.text
    records, keys = read_layout(tmp_path)
    assert keys == [1, 2, 3, 4, 0]
    assert records[0][0] == [3, 5]
    assert records[3][0] == [1, 2]
    assert records[4][0] == [2, 3]
    assert (tmp_path / "property").read_text() == "6,112,112\n"


@pytest.mark.parametrize(
    ("image", "label", "words"),
    [
        (picture(0).astype(np.float32), 0, "uint8"),
        (picture(0)[:, :, 0], 0, "uint8"),
        (picture(0, (96, 112)), 0, "size"),
        ("photo.jpg", 0, "str"),
        (b"no image", 0, "decode"),
        (cv2_jpeg(picture(0))[:-500], 0, "decode"),
        (cv2_jpeg(picture(0, (96, 112))), 0, "size"),
        (picture(0), -1, "label"),
        (picture(0), 1.0, "label"),
        (picture(0), True, "label"),
        (picture(0), 2**24, "label"),
    ],
)
def test_invalid_images_are_refused_and_leave_no_files(tmp_path, image, label, words):
    def write():
        with RecordWriter(tmp_path / "set") as writer:
            writer.add(picture(0), 0)
            writer.add(image, label)

    with pytest.raises(GluonFRError, match=f"image 1 .*{words}"):
        write()
    assert os.listdir(tmp_path / "set") == []


def test_a_failing_writer_preserves_the_previous_set(tmp_path):
    with RecordWriter(tmp_path) as writer:
        writer.add(picture(0), 0)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}

    def write_until_interrupted():
        with RecordWriter(tmp_path) as writer:
            writer.add(picture(1), 1)
            writer.add(picture(1), 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_until_interrupted()
    with pytest.raises(GluonFRError, match="no image"), RecordWriter(tmp_path):
        pass
    with pytest.raises(GluonFRError, match="with RecordWriter"):
        RecordWriter(tmp_path).add(picture(1), 0)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before

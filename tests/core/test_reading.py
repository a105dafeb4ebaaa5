"""Readers of files from unknown sources: valid files are read, hostile ones are refused before they cost memory."""

import io
import json
import os
import zipfile

import numpy as np
import pytest

from gluonfr.core import Card, DataError, GluonFRError, display_lines, display_path, reading
from gluonfr.core.reading import csv_rows, open_npy, parse_json, read_json, read_npz
from gluonfr.core.tables import read_table


@pytest.mark.parametrize(
    "value",
    [{"a": [1, -2.5, None, True, "x"]}, "[[[[" * 100, '\\"[[', [[1] * 1000] * 50, 10**39, {"]": "}"}, []],
    ids=range(7),
)
def test_valid_json_is_read(value, tmp_path):
    text = json.dumps(value)
    assert parse_json(text, "x") == value
    assert parse_json(text.encode(), "x") == value
    path = tmp_path / "x.json"
    path.write_text(text)
    assert read_json(path) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested more than 64 deep"),
        ('{"path":' * 65 + "1" + "}" * 65, "nested more than 64 deep"),
        ("9" * 5000, "an integer of 5000 digits"),
        ("-" + "9" * 41, "an integer of 42 digits"),
        ('{"a": ', "Expecting value"),
        (b"\xff\xfe", "utf-8"),
        ("", "Expecting value"),
    ],
)
def test_hostile_json_is_refused_in_one_sentence(text, words):
    with pytest.raises(DataError, match=words) as caught:
        parse_json(text, "card.json")
    message = str(caught.value)
    assert message.startswith("card.json is not valid JSON")
    assert "\n" not in message
    assert len(message) < 300


def test_json_of_64_levels_is_still_read():
    assert parse_json("[" * 64 + "]" * 64, "x") == eval("[" * 64 + "]" * 64)


def test_missing_json_file_is_named(tmp_path):
    with pytest.raises(DataError, match="card.json is missing"):
        read_json(tmp_path / "card.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_json(tmp_path)


def test_csv_with_a_huge_field_or_nul_is_refused():
    assert list(csv_rows(io.StringIO('a,"b,c"\n'), "x.csv")) == [(1, ["a", "b,c"])]
    with pytest.raises(DataError, match="x.csv: line 1 is not valid CSV .*field larger than field limit"):
        list(csv_rows(io.StringIO("a," + "b" * 200_000), "x.csv"))


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_arrays_are_read(tmp_path):
    arrays = {"embeddings": np.eye(3, dtype=np.float32), "names": np.array(["a", "bc"]), "empty": np.zeros((0, 4))}
    found = read_npz(save(tmp_path / "x.npz", **arrays), "arrays")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    np.savez_compressed(tmp_path / "y.npz", zeros=np.zeros((1000, 1000)))
    assert not read_npz(tmp_path / "y.npz", "arrays")["zeros"].any()


def forge(path, shape, data=b"", dtype="<f4"):
    """An archive with one array whose header asks for `shape`."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue() + data)
    return path


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 20, 1 << 20), (3,), (-1,)])
def test_array_headers_larger_than_their_file_are_refused(tmp_path, shape):
    with pytest.raises(DataError, match=r"x.npz cannot be read as .npz .*; it needs vectors\."):
        read_npz(forge(tmp_path / "x.npz", shape, b"\0" * 8), "vectors")


def test_pickled_objects_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read as .npz without pickles"):
        read_npz(save(tmp_path / "x.npz", x=np.array([{}], dtype=object)), "vectors")


def test_archives_that_unpack_to_too_many_bytes_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as file:
        for _ in range(100):
            file.write(b"\0" * (1 << 20))
    with pytest.raises(DataError, match="it unpacks to 104857600 bytes"):
        read_npz(path, "vectors")


def test_overlapping_entries_are_refused(tmp_path):
    path = save(tmp_path / "x.npz", a=np.zeros(1000), b=np.zeros(1000))
    data = bytearray(path.read_bytes())
    # The second entry of the central directory points to the data of the first one.
    second = data.rfind(b"PK\x01\x02")
    data[second + 42 : second + 46] = (0).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="overlaps another"):
        read_npz(path, "vectors")


@pytest.mark.parametrize("cut", [0, 1, 10, 50, 200])
def test_truncated_archives_are_refused(tmp_path, cut):
    path = save(tmp_path / "x.npz", a=np.zeros(100))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError):
        read_npz(path, "vectors")


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("image_size", [10**12, 112]),
        ("image_size", [112]),
        ("image_size", [112.0, 112]),
        ("embedding_size", 10**9),
        ("embedding_size", True),
        ("arguments", []),
        ("arguments", {"width": {"deep": 1}}),
        ("arguments", {"width": float("nan")}),
        ("mean", [1, 2]),
        ("std", 0),
        ("std", [1, 2, float("inf")]),
        ("color", "GBR"),
        ("color", []),
        ("thresholds", [{"far": 0.1}]),
        ("license", None),
    ],
)
def test_invalid_card_entries_are_named(entry, value):
    with pytest.raises(GluonFRError, match=f"^card.json: {entry} must be ") as caught:
        Card.from_dict({entry: value}, "card.json")
    assert len(str(caught.value)) < 400


def test_cards_are_read_as_they_were_written(tmp_path):
    card = Card("mobilefacenet", {"width": 0.5}, 128, (112, 96), thresholds=[{"far": 0.001, "similarity": 0.3}], extra={"a": 1})
    card.write(tmp_path / "card.json")
    assert Card.read(tmp_path / "card.json") == card
    assert Card.from_dict({"colour": "BGR", "licence": "MIT"}).color == "BGR"


def test_arrays_on_the_disk_are_read_and_damaged_ones_refused(tmp_path):
    path, rows = tmp_path / "x.npy", np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(path, rows)
    np.testing.assert_array_equal(open_npy(path, "weights"), rows)
    content = path.read_bytes()
    for damaged in (
        content[:-1],
        content + b"x",
        content.replace(b"<f4", b"|O8"),
        content.replace(b"(2, 3)", b"(2,-3)"),
        content[:20],
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="x.npy cannot be read as .npy without pickles"):
            open_npy(path, "weights")


def test_json_with_too_many_lists_is_refused(monkeypatch):
    monkeypatch.setattr(reading, "MAX_JSON_OBJECTS", 10)
    assert parse_json('["[[[[[[[[[[[[", ' + ", ".join(["{}"] * 9) + "]", "x.json")[1:] == [{}] * 9
    with pytest.raises(DataError, match=r"x\.json is not valid JSON \(it has 11 lists and objects\)"):
        parse_json("[" + ", ".join(["{}"] * 10) + "]", "x.json")


@pytest.mark.parametrize("order", ["<", ">"])
def test_text_beyond_unicode_is_refused(order, tmp_path):
    path = tmp_path / "x.npz"
    codes = np.array([[ord("a"), 0x10FFFF], [0x1F600, 0]], np.uint32)
    for extra, is_valid in ((0, True), (1, False)):
        codes[0, 1] = 0x10FFFF + extra
        np.savez(path, names=codes.astype(np.dtype(np.uint32).newbyteorder(order)).view(f"{order}U2")[:, 0])
        if is_valid:
            assert read_npz(path, "names")["names"].tolist() == ["a\U0010ffff", "\U0001f600"]
        else:
            with pytest.raises(DataError, match="'names' contains text that is not Unicode"):
                read_npz(path, "names")


def test_entries_that_are_no_arrays_are_left_out_and_fields_refused(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.arange(3))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("b", b"text")
        archive.writestr("c", archive.read("a.npy"))
    assert list(read_npz(path, "a")) == ["a"]
    with pytest.raises(DataError, match="it has no array 'b'"):
        read_npz(path, "b", ["b"])
    np.savez(path, a=np.zeros(3, [("x", "f4"), ("y", "O")])[["x"]].astype([("x", "f4")]))
    with pytest.raises(DataError, match="fields"):
        read_npz(path, "a")


@pytest.mark.parametrize("version", [b"\x01\x00", b"\x02\x00"])
def test_long_headers_of_arrays_are_not_parsed(version, tmp_path):
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (0,), 'x': [" + b"0, " * 20_000 + b"]}"
    path = tmp_path / "x.npy"
    path.write_bytes(b"\x93NUMPY" + version + len(header).to_bytes(2 if version == b"\x01\x00" else 4, "little") + header)
    with pytest.raises(DataError, match=f"the array has a header of {len(header)} bytes"):
        open_npy(path, "numbers")


def test_tables_with_too_many_lines_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(reading, "MAX_TABLE_LINES", 3)
    path = tmp_path / "pairs.csv"
    for end in ("\n", "\r", "\r\n"):
        path.write_bytes(("a,b" + end).encode() * 3)
        assert len(read_table(path)) == 3
        path.write_bytes(("a,b" + end).encode() * 4)
        with pytest.raises(DataError, match=r"pairs\.csv has more than 268,435,456 bytes or 3 lines"):
            read_table(path)


@pytest.mark.parametrize("read", [read_json, read_table, lambda path: read_npz(path, "x"), lambda path: open_npy(path, "x")])
def test_pipes_and_devices_are_refused_without_waiting(read, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises((DataError, OSError), match="not a regular file"):
            read(path)


def test_paths_in_messages_are_one_line_of_valid_text():
    # A byte that is not UTF-8, a lone surrogate as JSON may contain it, a change of direction, and an escape sequence.
    assert display_path("a\udcff\ud800\u202e\x1b[31m\n") == r"a\xff\ud800\u202e\x1b[31m\n"
    assert display_lines("a\x1b\nb\r") == "a\\x1b\nb\\r"

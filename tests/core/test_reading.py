"""Readers of files from unknown sources: valid files are read, hostile ones are refused before they cost memory."""

import io
import json
import zipfile

import numpy as np
import pytest

from gluonfr.core import Card, DataError, GluonFRError
from gluonfr.core.reading import csv_rows, open_npy, parse_json, read_json, read_npz


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

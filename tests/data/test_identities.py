import os

import pytest

from gluonfr.core import GluonFRError
from gluonfr.data.identities import person_names, read_identities, write_identities


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"label,name,images\n0,a,1\n0,b,1\n", "line 3"),
        (b"label,name,images\nx,a,1\n", "line 2"),
        (b"label,name,images\n7\n", "line 2"),
        (b"name,images\n", "first line"),
        (b"", "first line"),
        (b"label,name,images\n" + b"9" * 5000 + b",a,1\n", "line 2"),
        (b'label,name,images\n0,"' + b"x" * 200_000, "not valid CSV"),
    ],
)
def test_an_invalid_identities_file_is_named(tmp_path, text, words):
    (tmp_path / "identities.csv").write_bytes(text)
    with pytest.raises(GluonFRError, match=words):
        read_identities(tmp_path)


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), (",", "utf-8")])
def test_identities_of_spreadsheet_programs_are_read(tmp_path, separator, encoding):
    text = "\r\n".join(separator.join(row) for row in (["label", "name", "images"], ["7", "Zoë B", "3"], ["2", "李", "1"]))
    (tmp_path / "identities.csv").write_bytes(text.encode(encoding))
    assert read_identities(tmp_path) == {7: "Zoë B", 2: "李"}


def test_identities_preserve_any_name(tmp_path):
    names = {0: "a,b", 1: 'q"q', 2: os.fsdecode(b"\xff\xfe"), 3: "line\nbreak", 4: "", 9: "张"}
    write_identities(tmp_path, [(label, name, 1) for label, name in names.items()])
    assert read_identities(tmp_path) == names
    assert read_identities(tmp_path / "nowhere") is None


def test_floats_are_refused_as_names_of_people():
    assert person_names([[b"Ada", b"\xff"]], "labels").tolist() == [["Ada", "\\xff"]]
    with pytest.raises(GluonFRError, match="labels have type float64"):
        person_names([0.5], "labels")

import pytest

from gluonfr.core import DataError
from gluonfr.photos.pair_lists import read_pair_list

PAIRS = [("a b.jpg", "c.JPG", True), ("d.png", "/abs/e.jpg", False)]


def write(tmp_path, content):
    path = tmp_path / "pairs.txt"
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("header", [True, False])
def test_lists_with_any_separator_line_end_and_encoding_are_read(tmp_path, separator, end, encoding, header):
    rows = [["first", "second", "issame"]] * header + [[first, second, str(int(same))] for first, second, same in PAIRS]
    text = end.join(separator.join(row) for row in rows) + end
    found = read_pair_list(write(tmp_path, text.encode(encoding)), "/photos")
    assert [pair.issame for pair in found] == [True, False]
    assert [pair.first for pair in found] == ["/photos/a b.jpg", "/photos/d.png"]
    assert [pair.second for pair in found] == ["/photos/c.JPG", "/abs/e.jpg"]
    assert [pair.line for pair in found] == [1 + header, 2 + header]


@pytest.mark.parametrize("separator", ["\t", " ", "  ", ",", ";"])
@pytest.mark.parametrize("ending", [".jpg", ".JPG", ".png", ".PNG", ".webp"])
def test_lfw_lists_with_any_separator_and_ending(tmp_path, separator, ending):
    for name in ("Ann_Lee", "Bo"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}_0002{ending}").write_bytes(b"x")
    rows = [["1", "1"], ["Ann_Lee", "2", "3"], ["Ann_Lee", "2", "Bo", "2"]]
    found = read_pair_list(write(tmp_path, "\n".join(separator.join(row) for row in rows).encode()), tmp_path)
    assert [pair.issame for pair in found] == [True, False]
    assert found[1].first == str(tmp_path / "Ann_Lee" / f"Ann_Lee_0002{ending}")
    assert found[1].second == str(tmp_path / "Bo" / f"Bo_0002{ending}")
    assert found[0].second == str(tmp_path / "Ann_Lee" / "Ann_Lee_0003.jpg")


def test_commas_in_names_do_not_divide_a_list_with_semicolons(tmp_path):
    found = read_pair_list(write(tmp_path, b"Lee, Ann/1.jpg;Lee, Ann/2.jpg;1\nLee, Ann/1.jpg;Bo/1.jpg;0\n"), "/photos")
    assert [(pair.first, pair.issame) for pair in found] == [
        ("/photos/Lee, Ann/1.jpg", True),
        ("/photos/Lee, Ann/1.jpg", False),
    ]


@pytest.mark.parametrize(("stored", "listed"), [("Jose\u0301", "Jos\u00e9"), ("Jos\u00e9", "Jose\u0301")])
def test_names_in_another_form_of_unicode_are_found(tmp_path, stored, listed):
    # macOS decomposes letters with accents in the names of files; spreadsheet programs write them composed.
    (tmp_path / stored).mkdir()
    for number in (1, 2):
        (tmp_path / stored / f"{stored}_000{number}.JPG").write_bytes(b"x")
    lists = [f"{listed}/{listed}_0001.JPG,{listed}/{listed}_0002.JPG,1\n", f"{listed}\t1\t2\n"]
    for text in lists:
        (found,) = read_pair_list(write(tmp_path, text.encode()), tmp_path)
        assert found.first == str(tmp_path / stored / f"{stored}_0001.JPG")
        assert found.second == str(tmp_path / stored / f"{stored}_0002.JPG")


def test_backslashes_of_windows_are_folders(tmp_path):
    (tmp_path / "Ann").mkdir()
    found = read_pair_list(write(tmp_path, b"Ann\\1.jpg,Ann\\2.jpg,1\n"), tmp_path)
    assert found[0].first == str(tmp_path / "Ann" / "1.jpg")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a.jpg b.jpg\n", "line 1 does not have the form"),
        (b"a.jpg;b.jpg;1\nc.jpg;d.jpg;x\n", "line 2 does not have the form"),
        (b"\xff\xfea\0b\0\0", "neither UTF-8 nor UTF-16"),
        (b"A\t1\t2\nA\t1\n", "line 2 does not have the form"),
        (b"2\t1\nA\t1\t2\n", "declares 4 pairs, and 1 follow"),
        (b"\n\n", "contains no pairs"),
    ],
)
def test_invalid_lists_are_rejected(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        read_pair_list(write(tmp_path, content), tmp_path)

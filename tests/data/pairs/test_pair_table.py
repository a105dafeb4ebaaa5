import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.data import RecordWriter, read_pairs
from gluonfr.data.images import encode
from gluonfr.data.pairs.table import read_pair_table, table_path, write_pair_table
from gluonfr.photos.pair_drawing import draw_pairs
from gluonfr.photos.pair_sets import make_pairs


def test_a_written_table_is_read(tmp_path):
    path = str(tmp_path / "a.pairs.csv")
    columns = {"identity0": ["Anna, B.", "ben"], "identity1": ["Anna, B.", "çağrı"], "age gap": ["0-5", "20+"]}
    write_pair_table(path, [True, False], columns)
    table = read_pair_table(path, [True, False])
    assert table.people.tolist() == [["Anna, B.", "Anna, B."], ["ben", "çağrı"]]
    assert {name: column.tolist() for name, column in table.groups.items()} == {"age gap": ["0-5", "20+"]}
    assert table_path("x/lfw.bin") == "x/lfw.pairs.csv"


def test_lfws_pairs_txt_names_the_people(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("1\t1\nAnna_B\t1\t4\nAnna_B\t1\tBen\t2\n")
    table = read_pair_table(str(path), [True, False])
    assert table.people.tolist() == [["Anna_B", "Anna_B"], ["Anna_B", "Ben"]]
    assert not table.groups


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_spreadsheet_programs_are_read(tmp_path, separator, end, encoding):
    rows = [["issame", "identity0", "identity1", "age gap"], ["1", "Müller A", "Müller A", "0-5"], ["FALSE", "b", "ç", "20+"]]
    (tmp_path / "a.csv").write_bytes((end.join(separator.join(row) for row in rows) + end).encode(encoding))
    table = read_pair_table(str(tmp_path / "a.csv"), [True, False])
    assert table.people.tolist() == [["Müller A", "Müller A"], ["b", "ç"]]
    assert table.groups["age gap"].tolist() == ["0-5", "20+"]


@pytest.mark.parametrize("separator", ["\t", " ", ";", ","])
@pytest.mark.parametrize("first", ["2", "1 1", ""])
def test_lfw_lists_with_any_separator_name_the_people(tmp_path, separator, first):
    lines = [first.replace(" ", separator)] * bool(first) + [
        separator.join(row) for row in (["A", "1", "4"], ["A", "1", "Ben", "2"])
    ]
    (tmp_path / "pairs.txt").write_bytes("\r\n".join(lines).encode("utf-16"))
    assert read_pair_table(str(tmp_path / "pairs.txt"), [True, False]).people.tolist() == [["A", "A"], ["A", "Ben"]]


def test_people_named_by_numbers_are_no_lfw_list(tmp_path):
    (tmp_path / "a.csv").write_text("identity0,identity1,age\n17,17,3\n17,23,7\n")
    table = read_pair_table(str(tmp_path / "a.csv"), [True, False])
    assert table.people.tolist() == [["17", "17"], ["17", "23"]]
    assert table.groups["age"].tolist() == ["3", "7"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("identity0,identity1\na,a\n", "1 rows for 2 pairs"),
        ("issame,age\n1,x\n1,y\n", "line 3 has issame 1, but the set has 0"),
        ("identity0\na\nb\n", "only one of the columns"),
        ("age,age\n1,2\n1,2\n", "name each column once"),
        ("a,b\n1,2\n1\n", "line 3 does not have 2 columns"),
        ("", "empty"),
        ("\n\n", "no rows"),
        ("A\t1\t2\nA\t1\n", "line 2"),
        ("file\n1\n2\n", "cannot be called file"),
        ('a\n"' + "x" * 200_000 + "\n", "not valid CSV"),
    ],
)
def test_invalid_tables_are_refused(tmp_path, text, words):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(GluonFRError, match=words) as caught:
        read_pair_table(str(path), [True, False])
    assert "bad.csv" in str(caught.value)


def picture(number):
    return np.full((32, 32, 3), number, dtype=np.uint8)


def test_drawn_pairs_have_a_table_of_people(tmp_path):
    with RecordWriter(str(tmp_path / "set"), image_size=(32, 32)) as writer:
        for person in range(20):
            for number in range(4):
                writer.add(picture(10 * person + number), person)
    draw_pairs(str(tmp_path / "set"), str(tmp_path / "drawn.bin"), 40)
    images, issame = read_pairs(str(tmp_path / "drawn.bin"))
    table = read_pair_table(str(tmp_path / "drawn.pairs.csv"), issame)
    payload_of = {encode(picture(10 * person + number)): str(person) for person in range(20) for number in range(4)}
    assert [payload_of[image] for image in images] == table.people.ravel().tolist()
    assert ((table.people[:, 0] == table.people[:, 1]) == issame).all()


def test_further_columns_of_a_list_follow_their_pairs(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(encode(picture(40 * number)))
    (tmp_path / "3.png").write_bytes(b"no image")
    rows = ["first,second,issame,identity0,identity1,light", "0.png,1.png,1,anna,anna,day", "1.png,3.png,0,anna,ben,night"]
    rows += ["0.png,2.png,0,anna,carl,night"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    out = str(tmp_path / "mine.bin")
    made = make_pairs(str(tmp_path / "list.csv"), str(tmp_path), out, aligned=True, image_size=(32, 32))
    assert made.pairs == 2
    assert len(made.left_out) == 1
    table = read_pair_table(table_path(out), [True, False])
    assert table.people.tolist() == [["anna", "anna"], ["anna", "carl"]]
    assert table.groups["light"].tolist() == ["day", "night"]
    # A set that is written again without columns has no table.
    (tmp_path / "list.csv").write_text("0.png,0.png,1\n0.png,2.png,0\n")
    make_pairs(str(tmp_path / "list.csv"), str(tmp_path), out, aligned=True, image_size=(32, 32))
    assert not (tmp_path / "mine.pairs.csv").exists()

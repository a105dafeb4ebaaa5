import os

import numpy as np
import pytest

from gluonfr.core import DataError
from gluonfr.data.detection import read_detection_folder

HEADER = ["image", "face", "easy", "medium", "hard", "invalid"]
ROWS = [["a.jpg", "0", "1", "1", "1", "0"], ["a.jpg", "2", "0", "1", "1", "1"], ["b, c.jpg", "0", "0", "0", "1", "0"]]


@pytest.fixture
def photos(tmp_path):
    """A folder that annotates three faces in a.jpg and one in 'b, c.jpg'."""
    (tmp_path / "label.txt").write_text("# a.jpg\n1 1 9 9\n20 1 9 9\n40 1 9 9\n# b, c.jpg\n1 1 9 9\n")
    return tmp_path


@pytest.mark.parametrize(("separator", "encoding"), [("\t", "utf-8"), (";", "utf-16"), (";", "utf-8-sig")])
def test_subsets_in_the_forms_of_spreadsheet_programs(photos, separator, encoding):
    lines = [separator.join(row) for row in [HEADER, *ROWS]]
    (photos / "subsets.csv").write_bytes("\r\n".join(lines).encode(encoding))
    subsets = read_detection_folder(photos).subsets
    expected = {"easy": [[1, 0, 0], [0]], "medium": [[1, 0, 0], [0]], "hard": [[1, 0, 0], [1]]}
    assert {name: [photo.astype(int).tolist() for photo in subsets[name]] for name in subsets} == expected


@pytest.mark.parametrize(
    ("column", "value"), [(0, "z.jpg"), (1, "-1"), (1, "3"), (1, "9" * 5000), (1, "first"), (1, ""), (1, "1.0")]
)
def test_rows_of_subsets_that_name_no_face(photos, column, value):
    row = list(ROWS[0])
    row[column] = value
    (photos / "subsets.csv").write_text("\n".join(",".join(cells) for cells in [HEADER, row]))
    with pytest.raises(DataError, match="line 2 must name a photo and the number of one of its faces"):
        read_detection_folder(photos)


@pytest.mark.parametrize("content", ["image,face\na.jpg,0", "a.jpg,0,1,1,1"])
def test_subsets_without_their_columns(photos, content):
    (photos / "subsets.csv").write_text(content + "\n" + content)
    with pytest.raises(DataError, match="line 2 must name"):
        read_detection_folder(photos)


def test_without_lists_all_faces_that_are_not_ignored_count(tmp_path):
    (tmp_path / "wider_face_val_bbx_gt.txt").write_text(
        "a.jpg\n2\n1 1 9 9 0 0 0 0 0 0\n20 1 9 9 0 0 0 1 0 0\nb.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n"
    )
    subsets = read_detection_folder(tmp_path).subsets
    assert list(subsets) == ["all"]
    np.testing.assert_array_equal(subsets["all"][0], [True, False])
    assert subsets["all"][1].shape == (0,)


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/hostname", "pipe"])
def test_photos_outside_the_folder_and_pipes_are_refused(name, tmp_path):
    (tmp_path / "set" / "images").mkdir(parents=True)
    (tmp_path / "set" / "secret.jpg").write_bytes(b"\xff\xd8")
    os.mkfifo(tmp_path / "set" / "images" / "pipe")
    (tmp_path / "set" / "label.txt").write_text(f"# {name}\n1 2 20 20\n")
    faces = read_detection_folder(tmp_path / "set")
    with pytest.raises(DataError, match="not a regular file" if name == "pipe" else "is outside the folder"):
        faces.read(0)

import json

import numpy as np
import pytest

from gluonfr.core import DataError
from gluonfr.data.detection import read_annotations

LANDMARKS = [[12.0, 25], [22, 24], [17, 30], [13, 36], [21, 35]]


@pytest.fixture
def write(tmp_path):
    def write_file(text, name="label.txt", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write_file


def test_wider_rows_are_corners_and_invalid_faces_are_ignored(write):
    faces = read_annotations(
        write(
            "0--Parade/a.jpg\n2\n10 20 30 40 0 0 0 0 0 0 \n1 2 3 4 2 0 0 1 0 0 \n"
            "0--Parade/empty.jpg\n0\n0 0 0 0 0 0 0 0 0 0 \n0--Parade/b.jpg\n1\n5 6 7 8 0 0 0 0 0 0 \n"
        )
    )
    assert [photo.photo for photo in faces] == ["0--Parade/a.jpg", "0--Parade/empty.jpg", "0--Parade/b.jpg"]
    assert faces[0].boxes.tolist() == [[10, 20, 40, 60], [1, 2, 4, 6]]
    assert faces[0].ignored.tolist() == [False, True]
    assert len(faces[1].boxes) == 0
    assert faces[2].boxes.tolist() == [[5, 6, 12, 14]]


def test_retinaface_rows_have_landmarks_or_none(write):
    marks = " ".join(f"{x} {y} 0.0" for x, y in LANDMARKS)
    missing = " ".join(["-1 -1 -1"] * 5)
    text = f"# a.jpg\n10 20 15 18 {marks} 0.9\n1 2 3 4 {missing} 0.5\n# none.jpg\n# b.jpg\n5 6 7 8\n"
    faces = read_annotations(write(text, encoding="utf-8-sig"))
    assert np.array_equal(faces[0].landmarks[0], LANDMARKS)
    assert np.isnan(faces[0].landmarks[1]).all()
    assert [len(photo.boxes) for photo in faces] == [2, 0, 1]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_windows_files_are_read(write, encoding):
    faces = read_annotations(write("# ä.jpg\r\n10 20 30 40\r\n", encoding=encoding))
    assert (faces[0].photo, faces[0].boxes.tolist()) == ("ä.jpg", [[10, 20, 40, 60]])


def test_voc_files_count_pixels_from_one(tmp_path):
    for name, difficult in (("a", 0), ("b", 1)):
        (tmp_path / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.png</filename><object><name>face</name><difficult>{difficult}</difficult><bndbox>"
            "<xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object></annotation>"
        )
    faces = read_annotations(tmp_path)
    assert [photo.photo for photo in faces] == ["a.png", "b.png"]
    assert faces[0].boxes.tolist() == [[0, 1, 30, 40]]
    assert [photo.ignored.tolist() for photo in faces] == [[False], [True]]


def test_coco_files_have_keypoints_and_crowds(write):
    content = {
        "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "empty.jpg"}],
        "annotations": [
            {"image_id": 7, "bbox": [10, 20, 15, 18], "keypoints": [value for x, y in LANDMARKS for value in (x, y, 2)]},
            {"image_id": 7, "bbox": [1, 2, 3, 4], "iscrowd": 1},
        ],
    }
    faces = read_annotations(write(json.dumps(content), "faces.json"))
    assert faces[0].boxes.tolist() == [[10, 20, 25, 38], [1, 2, 4, 6]]
    assert np.array_equal(faces[0].landmarks[0], LANDMARKS)
    assert np.isnan(faces[0].landmarks[1]).all()
    assert faces[0].ignored.tolist() == [False, True]
    assert len(faces[1].boxes) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# a.jpg\n10 20 30\n", "line 2 has 3 numbers"),
        ("# a.jpg\n10 20 x 40\n", "line 2 must hold the numbers"),
        ("10 20 30 40\n", "line 1|line 2"),
        ("#\n1 2 3 4\n", "line 1 names no photo"),
        ("a.jpg\n3\n1 2 3 4\n", "3 faces are declared"),
        ("a.jpg\nmany\n", "number of faces"),
        ("a.jpg\n9999999999999\n1 2 3 4\n", "number of faces"),
        ("# a.jpg\n1 2 3 4\n# a.jpg\n1 2 3 4\n", "annotated twice"),
        ("\n", "annotates no photo"),
        ("{", "label.txt"),
        ('{"images": [{"id": 1}], "annotations": []}', "COCO"),
        ('{"images": [], "annotations": [{"bbox": 3}]}', "COCO"),
        ("<annotation><object></object></annotation>", "Pascal VOC"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "document type"),
        ("<annotation>", "Pascal VOC"),
    ],
)
def test_damaged_files_are_refused_with_the_line(write, text, words):
    with pytest.raises(DataError, match=words):
        read_annotations(write(text))


def test_binary_files_are_refused(tmp_path):
    path = tmp_path / "label.txt"
    path.write_bytes(b"\xff\x00\x01\x02" * 40)
    with pytest.raises(DataError, match="label.txt"):
        read_annotations(path)

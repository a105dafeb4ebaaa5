"""Several training sets as one."""

import pickle

import cv2
import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.data import (
    FRJoinedDataset,
    FRTrainRecordDataset,
    IdentityBatchSampler,
    RecordLoader,
    RecordWriter,
    get_recognition_dataset,
    write_pairs,
)

SIZE = (16, 16)
PEOPLE = {"a": [0, 0, 0, 1, 2, 2], "b": [0, 0, 1, 3, 3], "c": [0, 1]}


def picture(number):
    return np.full((*SIZE, 3), number * 9 % 250, np.uint8)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    first = 0
    for name, labels in PEOPLE.items():
        with RecordWriter(str(root / name), SIZE) as writer:
            for number, label in enumerate(labels, first):
                writer.add(picture(number), label)
        first += len(labels)
    with RecordWriter(str(root / "tall"), (20, 16)) as writer:
        writer.add(np.zeros((20, 16, 3), np.uint8), 0)
    with RecordWriter(str(root / "a, b"), SIZE) as writer:
        writer.add(picture(0), 0)
    (root / "link").symlink_to(root / "a")
    write_pairs(str(root / "pairs.bin"), [cv2.imencode(".png", picture(1))[1].tobytes()] * 4, [True, False])
    return str(root)


def rows(tmp_path, text):
    path = tmp_path / "who.csv"
    path.write_text("dataset,label,identity\n" + text)
    return str(path)


@pytest.mark.parametrize("name", ["a,b,c", ["a", "b", "c"], ("a", " b".strip(), "c"), "a,b , c"])
def test_labels_of_a_set_follow_those_of_the_sets_before(root, name):
    joined = get_recognition_dataset(name, root=root)
    # b has four labels, of which one has no image.
    expected = [0, 0, 0, 1, 2, 2, 3, 3, 4, 6, 6, 7, 8]
    assert isinstance(joined, FRJoinedDataset)
    assert joined.labels.tolist() == expected
    assert joined.labels.dtype == np.int64
    assert joined.num_classes == 9
    assert joined.image_size == SIZE
    assert len(joined) == 13
    for i, label in enumerate(expected):
        image, got = joined.read(i)
        assert got == label
        assert abs(int(image[0, 0, 0]) - i * 9 % 250) < 3
        image, got = joined[i - 13]
        assert got == np.float32(label)
        assert got.dtype == np.float32
        assert image.shape == (*SIZE, 3)
    assert [numbers.tolist() for numbers in joined.identities] == [[0, 1, 2], [3], [4, 5], [6, 7], [8], [], [9, 10], [11], [12]]
    for i in (13, -14):
        with pytest.raises(IndexError):
            joined[i]
    assert all(f"/{letter}/train.rec" in joined.records.path for letter in "abc")
    assert joined.records.describe(6) == joined.members[1].records.describe(0)
    assert joined.records.describe(12) == joined.members[2].records.describe(1)
    assert [label for _, label in (pickle.loads(pickle.dumps(joined))[i] for i in range(13))] == expected


def test_a_transform_gets_the_label_of_the_union(root):
    joined = get_recognition_dataset("b,a", root=root, transform=lambda image, label: (image.shape, label + 0.5))
    assert joined[5] == ((*SIZE, 3), 4.5)
    assert joined[4] == ((*SIZE, 3), 3.5)


def test_a_folder_whose_name_has_a_comma_is_found_first(root):
    assert isinstance(get_recognition_dataset("a, b", root=root), FRTrainRecordDataset)
    assert isinstance(get_recognition_dataset(["a"], root=root), FRTrainRecordDataset)
    assert get_recognition_dataset("a,b", root=root).num_classes == 7


def test_an_identity_file_joins_labels(root, tmp_path):
    text = ["b,3,Ada", "a,0,Bo", "b,0,Bo", 'a,1,"Cy, Jr."', "a,2,Ada", "b,1,Dé", "z,0,Bo", "z,x", "b,2,Eve"]
    # The classes do not depend on the order of the rows. Eve has no image, but has a class.
    expected = [0, 0, 0, 1, 2, 2, 0, 0, 3, 2, 2]
    for some in (text, text[::-1]):
        joined = get_recognition_dataset("a,b", root=root, identities=rows(tmp_path, "\n".join(some)))
        assert joined.labels.tolist() == expected
        assert joined.num_classes == 5
        assert [joined.read(i)[1] for i in range(11)] == expected
        assert joined.identities[0].tolist() == [0, 1, 2, 6, 7]
        assert joined.identities[4].tolist() == []
    one = get_recognition_dataset("a", root=root, identities=rows(tmp_path, "a,0,X\na,1,Y\na,2,X\n"))
    assert one.labels.tolist() == [0, 0, 0, 1, 0, 0]
    assert one.num_classes == 2


GOOD = "a,0,1\na,1,2\na,2,3\nb,0,4\nb,1,5\nb,3,6\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("b,1,5\n", ""), "no row for 1 labels of b that have images, 1 is the first"),
        ("a,0,1\na,1,2\na,2,3\n", "no row for 3 labels of b that have images, 0 is the first"),
        (GOOD + "a,3,7\n", "line 8: a has no label 3, its labels are 0 to 2"),
        (GOOD + "a,2,7\n", "line 8: label 2 of a has a row already"),
        (GOOD + "b,2,\n", "line 8 is not dataset,label,identity"),
        (GOOD + "b,2\n", "line 8 is not"),
        (GOOD + "b,-1,x\n", "line 8 is not"),
        (GOOD + "b,²,x\n", "line 8 is not"),
        (GOOD + "b,2,x,y\n", "line 8 is not"),
    ],
)
def test_an_identity_file_that_does_not_match_is_refused(root, tmp_path, text, words):
    with pytest.raises(GluonFRError, match=words) as raised:
        get_recognition_dataset("a,b", root=root, identities=rows(tmp_path, text))
    assert "who.csv" in str(raised.value)


def test_an_invalid_identity_file_is_refused(root, tmp_path):
    (tmp_path / "x.csv").write_text("label,name\n1,2\n")
    for path, words in ((tmp_path / "x.csv", "first line is not dataset,label,identity"), (tmp_path / "y.csv", "is missing")):
        with pytest.raises(GluonFRError, match=words):
            get_recognition_dataset("a,b", root=root, identities=str(path))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a,x", "no data set 'x'; available are a"),
        ("a,", "the name of a data set must be a non-empty string, got ''"),
        ("a,,b", "the name of a data set must be a non-empty string, got ''"),
        ("a,a", "a and a are the same set"),
        ("a,b,link", "a and link are the same set"),
        ("a,tall", "tall/train.rec has images of 20x16 and .*a/train.rec of 16x16"),
        ("a,pairs", "'pairs' is a verification set"),
        (["a", 3], "the name of a data set must be a non-empty string, got 3"),
        ([], "no training set was named"),
    ],
)
def test_incompatible_sets_are_refused(root, name, words):
    with pytest.raises(GluonFRError, match=words):
        get_recognition_dataset(name, root=root)


def test_more_classes_than_float32_labels_are_refused(root, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for file in ("train.rec", "train.idx"):
            (tmp_path / name / file).symlink_to(f"{root}/{name}/{file}")
        (tmp_path / name / "property").write_text("9000000,16,16")
    with pytest.raises(GluonFRError, match="18000000 classes are more than the 16777216"):
        get_recognition_dataset("a,b", root=str(tmp_path))


def test_declared_classes_without_images_are_counted(root, tmp_path):
    for name, count in (("a", 5), ("b", 6)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.rec").symlink_to(f"{root}/{name}/train.rec")
        (tmp_path / name / "property").write_text(f"{count},16,16")
    joined = get_recognition_dataset("a,b", root=str(tmp_path))
    assert joined.num_classes == 11
    assert joined.labels.tolist() == [0, 0, 0, 1, 2, 2, 5, 5, 6, 8, 8]
    assert joined.identities[8].tolist() == [9, 10]
    assert joined.identities[10].tolist() == []


def test_damaged_images_are_numbered_over_all_sets(root, tmp_path):
    for name in ("a", "b"):
        with RecordWriter(str(tmp_path / name), SIZE) as writer:
            for number, label in enumerate(PEOPLE[name]):
                writer.add(picture(number), label)
        path = tmp_path / name / "train.rec"
        content = bytearray(path.read_bytes())
        begin = int((tmp_path / name / "train.idx").read_text().splitlines()[1].split()[1])
        # The label of b's image, and the pixels of a's.
        content[begin + 12 : begin + 16] = b"\xff" * 4 if name == "b" else content[begin + 12 : begin + 16]
        content[begin + 32 : begin + 40] = b"\0" * 8
        path.write_bytes(bytes(content))
    with pytest.raises(GluonFRError, match="b/train.rec: image 1 "):
        get_recognition_dataset("a,b", root=str(tmp_path))
    joined = get_recognition_dataset("a,b", root=str(tmp_path), on_error="skip")
    assert joined.skipped == [7]
    assert joined.labels.tolist() == [0, 0, 0, 1, 2, 2, 3, 4, 6, 6]
    assert joined.read(1)[1] == 0
    assert joined.read(7)[1] == 4
    assert joined.skipped == [1, 7]


def test_loaders_and_samplers_work_on_a_union(root):
    joined = get_recognition_dataset("a,b,c", root=root)
    batches = [batch for epoch in (0, 1) for batch in RecordLoader(joined, 5, threads=2).epoch(epoch)]
    labels = np.concatenate([labels.asnumpy() for _, labels in batches])
    for part in (labels[:13], labels[13:]):
        assert sorted(part.tolist()) == joined.labels.tolist()
    # Each image comes with its own label.
    for images, labels in batches:
        for image, label in zip(images.asnumpy(), labels.asnumpy()):
            near = [i for i in range(13) if abs(int(image[0, 0, 0]) - i * 9 % 250) < 3]
            assert label in joined.labels[near]
    sampler = IdentityBatchSampler(joined, 4, 2)
    for _, labels in RecordLoader(joined, 8, sampler=sampler).epoch(0):
        people, counts = np.unique(labels.asnumpy(), return_counts=True)
        assert counts.tolist() == [2] * 4

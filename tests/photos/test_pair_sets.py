import importlib.util
import os
from collections import Counter

import cv2
import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.data import RecordWriter, get_recognition_dataset, read_pairs
from gluonfr.photos.pair_drawing import draw_pairs
from gluonfr.photos.pair_lists import read_pair_list
from gluonfr.photos.pair_sets import make_pairs
from gluonfr.photos.unpacking import unpack


def crop(seed, kind=".jpg"):
    image = cv2.resize(np.random.RandomState(seed).randint(0, 256, (4, 4, 3), np.uint8), (112, 112))
    return cv2.imencode(kind, image)[1].tobytes()


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(6):
        (folder / f"{seed}.jpg").write_bytes(crop(seed))
    return folder


def listed(tmp_path, text):
    path = tmp_path / "list"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def wrong(tmp_path, text):
    with pytest.raises(GluonFRError) as caught:
        read_pair_list(listed(tmp_path, text), tmp_path / "photos")
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "first,second,issame\n0.jpg,1.jpg,1\n2.jpg,3.jpg,0\n",
        "0.jpg,1.jpg,1\n2.jpg,3.jpg,0",
        "\ufeff0.jpg , 1.jpg , True\r\n\r\n2.jpg,3.jpg,false\r\n",
        '"0.jpg","1.jpg",1\n"2.jpg","3.jpg","0"\n\n',
    ],
)
def test_csv_lists_are_read(tmp_path, photos, text):
    made = make_pairs(listed(tmp_path, text), photos, tmp_path / "x.bin", aligned=True, workers=0)
    assert (made.pairs, made.same, made.left_out) == (2, 1, [])
    images, issame = read_pairs(tmp_path / "x.bin")
    assert images == [crop(seed) for seed in range(4)]
    assert issame.tolist() == [True, False]
    assert not (tmp_path / "x.left_out.csv").exists()


def test_invalid_lists_are_rejected_with_the_line(tmp_path, photos):
    assert "line 1" in wrong(tmp_path, "0.jpg,1.jpg,2\n")
    assert "line 3" in wrong(tmp_path, "a,b,same\n0.jpg,1.jpg,1\n2.jpg,3.jpg,maybe\n")
    assert "line 2" in wrong(tmp_path, "0.jpg,1.jpg,1\n2.jpg,3.jpg\n")
    assert "line 2" in wrong(tmp_path, "a,b,same\n,3.jpg,1\n")
    assert "line 2" in wrong(tmp_path, "a,b,same\n3.jpg,,1\n")
    assert "contains no pairs" in wrong(tmp_path, "first,second,issame\n")
    assert "contains no pairs" in wrong(tmp_path, "\n\n")
    assert "empty" in wrong(tmp_path, "")
    assert "line 2" in wrong(tmp_path, "1\nA\t1\n")
    assert "line 3" in wrong(tmp_path, "1\nA\t1\t2\nA\tx\tB\t1\n")
    assert "20 pairs, and 1 follow" in wrong(tmp_path, "10\t1\nA\t1\t2\n")


def test_lfw_lists_are_read(tmp_path):
    photos = tmp_path / "photos"
    for name, numbers in {"Ann_B": (1, 2), "C, D.": (3, 11)}.items():
        (photos / name).mkdir(parents=True)
        for number in numbers:
            (photos / name / f"{name}_{number:04d}.{'png' if number == 11 else 'jpg'}").write_bytes(crop(number))
    text = "1\t2\nAnn_B\t1\t2\nC, D.\t3\t11\nAnn_B\t1\tC, D.\t3\nC, D.\t11\tAnn_B\t2\n"
    made = make_pairs(listed(tmp_path, text), photos, tmp_path / "x.bin", aligned=True, workers=0)
    assert (made.pairs, made.same) == (4, 2)
    images, issame = read_pairs(tmp_path / "x.bin")
    assert images == [crop(number) for number in (1, 2, 3, 11, 1, 3, 11, 2)]
    assert issame.tolist() == [True, True, False, False]


def test_pairs_with_an_unusable_photo_are_left_out(tmp_path, photos):
    (photos / "3.jpg").write_bytes(b"no image")
    text = "0.jpg,1.jpg,1\n2.jpg,3.jpg,0\n4.jpg,missing.jpg,0\n3.jpg,3.jpg,1\n4.jpg,5.jpg,0\n"
    made = make_pairs(listed(tmp_path, text), photos, tmp_path / "x.bin", aligned=True, workers=0)
    assert [row[:3] for row in made.left_out] == [
        (2, "3.jpg", "no image"),
        (3, "missing.jpg", "unreadable"),
        (4, "3.jpg", "no image"),
    ]
    assert (tmp_path / "x.left_out.csv").read_text().splitlines()[1].startswith("2,3.jpg,no image")
    assert read_pairs(tmp_path / "x.bin")[1].tolist() == [True, False]
    # A run without problems removes the old report.
    make_pairs(listed(tmp_path, "0.jpg,1.jpg,1\n"), photos, tmp_path / "x.bin", aligned=True, workers=0)
    assert not (tmp_path / "x.left_out.csv").exists()
    with pytest.raises(GluonFRError, match="no pair can be made"):
        make_pairs(listed(tmp_path, "3.jpg,0.jpg,1\n"), photos, tmp_path / "y.bin", aligned=True, workers=0)
    assert not (tmp_path / "y.bin").exists()


def test_invalid_file_names_are_rejected(tmp_path, photos):
    for out in ("x", "x.rec", photos):
        with pytest.raises(GluonFRError, match="end in .bin"):
            make_pairs(listed(tmp_path, "0.jpg,1.jpg,1\n"), photos, tmp_path / out, aligned=True, workers=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(GluonFRError, match="cannot be written"):
        make_pairs(listed(tmp_path, "0.jpg,1.jpg,1\n"), photos, tmp_path / "file" / "x.bin", aligned=True, workers=0)


def test_unpacked_pairs_can_be_packed_to_the_same_bytes(tmp_path, photos):
    text = "0.jpg,1.jpg,1\n2.jpg,3.jpg,0\n0.jpg,3.jpg,0\n4.jpg,4.jpg,1\n"
    (photos / "4.jpg").write_bytes(crop(4, ".png"))
    make_pairs(listed(tmp_path, text), photos, tmp_path / "x.bin", aligned=True, workers=0)
    unpack(tmp_path / "x.bin", tmp_path / "files")
    make_pairs(tmp_path / "files" / "pairs.csv", tmp_path / "files", tmp_path / "y.bin", aligned=True, workers=0)
    assert (tmp_path / "x.bin").read_bytes() == (tmp_path / "y.bin").read_bytes()


@pytest.mark.system
def test_real_photos_become_pairs_of_aligned_faces(faces, tmp_path):
    if importlib.util.find_spec("mtcnn") is None:
        pytest.skip("the package mtcnn, whose weights the detector uses, is not installed")
    folder = os.path.join(faces, "photos", "pairs")
    made = make_pairs(os.path.join(folder, "pairs.csv"), folder, tmp_path / "x.bin")
    assert (made.pairs, made.same, made.left_out) == (300, 38, [])
    data = get_recognition_dataset("x", root=tmp_path)
    assert data.image_size == (112, 112)
    assert len(data.distinct()[0]) == 25
    # Crops of one person look more alike than crops of two, even as blurred pixels: they are aligned.
    small = [cv2.resize(data.image(k), (14, 14), interpolation=cv2.INTER_AREA)[3:11, 3:11].astype(float) for k in range(600)]
    off = np.array([np.abs(small[2 * i] - small[2 * i + 1]).mean() for i in range(300)])
    same = np.array(data.issame)
    assert (off[same][:, None] < off[~same]).mean() > 0.6


def people(folder, counts, copies=()):
    """Set with `counts` images of each person; `copies`: image numbers with the bytes of their predecessor."""
    with RecordWriter(folder, (112, 112)) as writer:
        number = 0
        for label, count in enumerate(counts):
            for _ in range(count):
                writer.add(crop(number - (number in copies)), label)
                number += 1
    return folder


def owners(folder, counts):
    return {crop(sum(counts[:label]) + i): label for label, count in enumerate(counts) for i in range(count)}


@pytest.mark.parametrize(("counts", "count"), [([4] * 24, 200), ([1] * 20 + [3] * 20, 60), ([2] * 10 + [1] * 10, 20)])
def test_drawn_pairs_are_balanced_distinct_and_disjoint(tmp_path, counts, count):
    people(tmp_path / "in", counts)
    drawn = draw_pairs(tmp_path / "in", tmp_path / "x.bin", count, seed=4)
    assert drawn.pairs == count
    assert drawn.disjoint
    owner = owners(tmp_path / "in", counts)
    images, issame = read_pairs(tmp_path / "x.bin")
    assert len(issame) == count
    assert issame.tolist() == [True, False] * (count // 2)
    pairs = [(images[2 * i], images[2 * i + 1]) for i in range(count)]
    assert len({frozenset(pair) for pair in pairs}) == count
    assert [owner[a] == owner[b] for a, b in pairs] == issame.tolist()
    folds = [
        {owner[image] for pair in pairs[fold * count // 10 : (fold + 1) * count // 10] for image in pair} for fold in range(10)
    ]
    assert sum(map(len, folds)) == len(set().union(*folds))
    same = Counter(owner[a] for (a, _), one in zip(pairs, issame) if one)
    of_folds = [[same[label] for label in fold if counts[label] > 1] for fold in folds]
    if counts[0] == counts[-1]:
        assert all(max(of_fold) - min(of_fold) <= 1 for of_fold in of_folds)


def test_seed_reproduces_the_drawn_pairs(tmp_path):
    people(tmp_path / "in", [4] * 24)
    content = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        draw_pairs(tmp_path / "in" / "train.rec", tmp_path / f"{name}.bin", 40, seed)
        content.append((tmp_path / f"{name}.bin").read_bytes())
    assert content[0] == content[1] != content[2]


def test_few_people_appear_in_several_folds_which_is_reported(tmp_path):
    counts = [6, 6, 6]
    people(tmp_path / "in", counts)
    drawn = draw_pairs(tmp_path / "in", tmp_path / "x.bin", 80)
    assert not drawn.disjoint
    owner = owners(tmp_path / "in", counts)
    images, issame = read_pairs(tmp_path / "x.bin")
    assert len({frozenset(images[2 * i : 2 * i + 2]) for i in range(80)}) == 80
    # 40 of the 45 pairs that there are; each fold has its half.
    assert [owner[images[2 * i]] == owner[images[2 * i + 1]] for i in range(80)] == issame.tolist() == [True, False] * 40


def test_copies_of_an_image_are_never_paired(tmp_path):
    # Of the three images of each person two have the same bytes: two pairs of the three, and these look alike.
    people(tmp_path / "in", [3] * 10, copies=range(1, 30, 3))
    draw_pairs(tmp_path / "in", tmp_path / "x.bin", 40)
    images, issame = read_pairs(tmp_path / "x.bin")
    assert all(images[2 * i] != images[2 * i + 1] for i in range(40))
    assert issame.sum() == 20
    with pytest.raises(GluonFRError, match="too few"):
        draw_pairs(tmp_path / "in", tmp_path / "x.bin", 60)


@pytest.mark.parametrize("count", [0, -20, 10, 30, 6001])
def test_count_must_be_a_multiple_of_twenty(tmp_path, count):
    people(tmp_path / "in", [3] * 20)
    with pytest.raises(GluonFRError, match="multiple of 20"):
        draw_pairs(tmp_path / "in", tmp_path / "x.bin", count)


@pytest.mark.parametrize("counts", [[5], [1] * 30, [2] * 5])
def test_too_few_people_are_rejected(tmp_path, counts):
    people(tmp_path / "in", counts)
    with pytest.raises(GluonFRError, match="too few"):
        draw_pairs(tmp_path / "in", tmp_path / "x.bin", 20)
    assert not (tmp_path / "x.bin").exists()

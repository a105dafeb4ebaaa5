import hashlib
import os
import pickle
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from rules import read_by_the_rules

from gluonfr.core import GluonFRError
from gluonfr.data import FRTrainRecordDataset, RecordFile, RecordWriter, read_pairs, write_pairs
from gluonfr.data.identities import read_identities, write_identities
from gluonfr.data.inspection import contact_sheet_of_set, inspect
from gluonfr.data.operations import merge, shuffle, split
from gluonfr.photos.unpacking import unpack


def encoded(seed, extension=".jpg", size=(32, 32)):
    image = np.random.RandomState(seed).randint(0, 256, (4, 4, 3), dtype=np.uint8)
    image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_NEAREST)
    return cv2.imencode(extension, image)[1].tobytes()


def make(folder, labels, first=0, names=None, image_size=(32, 32)):
    with RecordWriter(folder, image_size) as writer:
        for seed, label in enumerate(labels, first):
            writer.add(encoded(seed, ".png" if seed % 3 == 1 else ".jpg", image_size), label)
    if names:
        write_identities(folder, [(label, name, 1) for label, name in names.items()])
    return folder


def content(folder):
    """{label: [payload, ...]} by this package's reader, which other tests hold against MXNet's."""
    records = RecordFile(os.path.join(str(folder), "train.rec"))
    found = {}
    for i in range(len(records)):
        label, payload = records.read(i)
        found.setdefault(int(label), []).append(payload)
    return found


def digest(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def damage(folder, numbers):
    """Spoil the payload of some images in place: their records stay whole."""
    path = os.path.join(str(folder), "train.rec")
    records = RecordFile(path)
    raw = bytearray(Path(path).read_bytes())
    for number in numbers:
        payload = records.read(number)[1]
        place = raw.find(payload)
        raw[place : place + len(payload)] = bytes(len(payload))
    Path(path).write_bytes(raw)


@pytest.fixture
def five(tmp_path):
    return make(
        tmp_path / "five", [0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 4, 4], names=dict(enumerate(["Ann", "Bob", "张 伟", "d'É", "e"]))
    )


def test_unpacked_files_are_the_very_bytes_and_pack_again(five, tmp_path):
    before = digest(five)
    assert unpack(five, tmp_path / "out") == {}
    assert digest(five) == before
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == sorted(["Ann", "Bob", "张 伟", "d'É", "e", "identities.csv"])
    expected = content(five)
    for label, name in read_identities(out).items():
        files = sorted((out / name).iterdir())
        assert [path.read_bytes() for path in files] == expected[label]
        assert all(path.suffix == (".png" if path.read_bytes()[1:4] == b"PNG" else ".jpg") for path in files)
    assert (out / "identities.csv").read_text(encoding="utf-8").splitlines()[1] == "0,Ann,3"


@pytest.mark.parametrize("bad", ["../up", ".", "a/b", "", "ann", " x", "y\0", "n" * 256, ".hidden"])
def test_names_that_fit_no_folder_are_replaced_by_labels(tmp_path, bad):
    make(tmp_path / "in", [0, 1, 1], names={0: "Ann", 1: bad})
    unpack(tmp_path / "in" / "train.rec", tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == ["000000", "000001", "identities.csv"]
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]


def test_gaps_between_labels_are_kept_by_unpacking(tmp_path):
    make(tmp_path / "in", [3, 3, 7])
    unpack(tmp_path / "in", tmp_path / "out")
    assert read_identities(tmp_path / "out") == {3: "000003", 7: "000007"}


def test_unpacking_pairs_writes_each_picture_once(tmp_path):
    a, b, c = encoded(0), encoded(1, ".png"), encoded(2)
    write_pairs(tmp_path / "x.bin", [a, b, a, c, b, b], [True, False, True])
    unpack(tmp_path / "x.bin", tmp_path / "out")
    out = tmp_path / "out"
    rows = [line.split(",") for line in (out / "pairs.csv").read_text().splitlines()]
    assert rows[0] == ["first", "second", "issame"]
    assert [row[2] for row in rows[1:]] == ["1", "0", "1"]
    assert [(out / name).read_bytes() for row in rows[1:] for name in row[:2]] == [a, b, a, c, b, b]
    assert len(os.listdir(out)) == 4


def test_shuffling_keeps_every_image_and_label_and_repeats(five, tmp_path):
    assert shuffle(five, tmp_path / "a", seed=1) == {}
    shuffle(five, tmp_path / "b", seed=1)
    shuffle(five, tmp_path / "c", seed=2)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")
    records = RecordFile(tmp_path / "a" / "train.rec")
    assert records.headers == 0
    assert records.labels.tolist() != sorted(records.labels.tolist())
    assert {label: sorted(images) for label, images in content(tmp_path / "a").items()} == {
        label: sorted(images) for label, images in content(five).items()
    }
    data = FRTrainRecordDataset("a", root=tmp_path)
    assert len(data) == 12
    assert data.num_classes == 5
    assert data.image_size == (32, 32)
    assert read_identities(tmp_path / "a") == read_identities(five)


def test_merged_people_stand_one_set_after_the_other(five, tmp_path):
    other = make(tmp_path / "other", [2, 2, 5], first=50, names={2: "Bob", 5: "Zoe"})
    assert merge([five, other], tmp_path / "out") == [{}, {}]
    found = read_by_the_rules(tmp_path / "out")
    expected = {**content(five), 5: content(other)[2], 6: content(other)[5]}
    assert found == expected
    assert list(read_identities(tmp_path / "out").values()) == ["Ann", "Bob", "张 伟", "d'É", "e", "Bob", "Zoe"]


def test_merging_by_name_makes_one_person_of_two_labels(five, tmp_path):
    other = make(tmp_path / "other", [0, 1, 1], first=50, names={0: "Zoe", 1: "Bob"})
    merge([five, other], tmp_path / "out", by_name=True)
    found = read_by_the_rules(tmp_path / "out")
    assert found[1] == content(five)[1] + content(other)[1]
    assert found[5] == content(other)[0]
    assert len(found) == 6
    assert (tmp_path / "out" / "identities.csv").read_text(encoding="utf-8").splitlines()[2] == "1,Bob,4"
    with pytest.raises(GluonFRError, match="no identities.csv"):
        merge([five, make(tmp_path / "nameless", [0])], tmp_path / "out2", by_name=True)
    with pytest.raises(GluonFRError, match="24, 24"):
        merge([five, make(tmp_path / "small", [0], image_size=(24, 24))], tmp_path / "out2")
    with pytest.raises(GluonFRError, match="two sets"):
        merge([five], tmp_path / "out2")
    assert not (tmp_path / "out2").exists()


def test_merging_nameless_sets_never_joins_equal_labels(tmp_path):
    a, b = make(tmp_path / "a", [0, 1]), make(tmp_path / "b", [0, 1], first=9)
    merge([a, b, a], tmp_path / "out")
    assert [len(images) for images in read_by_the_rules(tmp_path / "out").values()] == [1] * 6


def test_the_parts_of_a_split_share_nobody_and_miss_nobody(five, tmp_path):
    split(five, tmp_path / "a", tmp_path / "b", fraction=0.4, seed=3)
    names = [read_identities(tmp_path / part) for part in "ab"]
    assert [len(each) for each in names] == [2, 3]
    old = {name: label for label, name in read_identities(five).items()}
    together = {}
    for part, of_part in zip("ab", names):
        for label, payloads in read_by_the_rules(tmp_path / part).items():
            assert old[of_part[label]] not in together
            together[old[of_part[label]]] = payloads
    assert together == content(five)
    split(five, tmp_path / "c", tmp_path / "d", identities=2, seed=3)
    assert digest(tmp_path / "c") == digest(tmp_path / "a")
    assert digest(tmp_path / "d") == digest(tmp_path / "b")
    chosen = set()
    for seed in range(12):
        split(five, tmp_path / f"s{seed}", tmp_path / f"t{seed}", identities=1, seed=seed)
        chosen.update(read_identities(tmp_path / f"s{seed}").values())
    assert len(chosen) >= 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "exactly one"),
        ({"fraction": 0.5, "identities": 2}, "exactly one"),
        ({"fraction": 0.0}, "without a person"),
        ({"fraction": 1.0}, "without a person"),
        ({"fraction": float("nan")}, "fraction"),
        ({"identities": 5}, "without a person"),
        ({"identities": -1}, "without a person"),
    ],
)
def test_impossible_splits_are_refused_and_leave_nothing(five, tmp_path, options, words):
    with pytest.raises(GluonFRError, match=words):
        split(five, tmp_path / "a", tmp_path / "b", **options)
    assert sorted(os.listdir(tmp_path)) == ["five"]


def test_split_refuses_folders_in_each_other(five, tmp_path):
    for b in ("a", "a/b"):
        with pytest.raises(GluonFRError, match="each other"):
            split(five, tmp_path / "a", tmp_path / b, fraction=0.5)


@pytest.mark.parametrize("tool", ["unpack", "shuffle", "merge", "split"])
def test_damage_stops_by_name_or_is_left_out_on_demand(five, tmp_path, tool):
    damage(five, [0, 6])
    before = digest(five)

    def run(**options):
        if tool == "merge":
            return merge([five, make(tmp_path / "other", [0], first=70)], tmp_path / "out", **options)[0]
        if tool == "split":
            return split(five, tmp_path / "out", tmp_path / "out_b", fraction=0.5, **options)
        return {"unpack": unpack, "shuffle": shuffle}[tool](five, tmp_path / "out", **options)

    with pytest.raises(GluonFRError, match=r"image \d .* does not decode"):
        run()
    assert not [name for name in os.listdir(tmp_path) if "out" in name]
    assert sorted(run(skip=True)) == [0, 6]
    assert digest(five) == before
    if tool == "shuffle":
        assert sum(map(len, content(tmp_path / "out").values())) == 10


@pytest.mark.parametrize("tool", [unpack, shuffle, lambda path, out: merge([path, path], out)])
def test_what_is_there_is_never_written_over(five, tmp_path, tool):
    before = digest(five)
    with pytest.raises(GluonFRError, match="not empty"):
        tool(five, five)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(GluonFRError, match="not empty"):
        tool(five, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    tool(five, tmp_path / "empty")
    assert digest(five) == before
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"label,name,images\n0,a,1\n0,b,1\n", "line 3"),
        (b"label,name,images\nx,a,1\n", "line 2"),
        (b"label,name,images\n7\n", "line 2"),
        (b"name,images\n", "first line"),
        (b"", "first line"),
    ],
)
def test_a_wrong_identities_file_is_named(five, tmp_path, text, words):
    (five / "identities.csv").write_bytes(text)
    with pytest.raises(GluonFRError, match=words):
        unpack(five, tmp_path / "out")


def test_identities_keep_any_name(tmp_path):
    names = {0: "a,b", 1: 'q"q', 2: os.fsdecode(b"\xff\xfe"), 3: "line\nbreak", 4: "", 9: "张"}
    write_identities(tmp_path, [(label, name, 1) for label, name in names.items()])
    assert read_identities(tmp_path) == names
    assert read_identities(tmp_path / "nowhere") is None


def test_inspecting_records_counts_everything(tmp_path):
    folder = tmp_path / "in"
    with RecordWriter(folder, (32, 32)) as writer:
        for label, seed, kind in [
            (0, 0, ".jpg"),
            (0, 1, ".png"),
            (0, 0, ".jpg"),
            (2, 0, ".jpg"),
            (2, 4, ".jpg"),
            (3, 5, ".jpg"),
        ]:
            writer.add(encoded(seed, kind), label)
    damage(folder, [5])
    before = digest(folder)
    found = inspect(folder)
    assert (found.images, found.headers, found.identities, found.classes) == (6, 4, 3, 4)
    assert found.layout == "header and identity records"
    assert found.kind == "training"
    assert found.sizes == {"32x32": 5}
    assert found.formats == {"jpg": 4, "png": 1}
    assert found.images_per_identity == {"min": 1, "median": 2.0, "max": 3}
    assert found.duplicates == [[0, 2, 3]] == found.mixed
    assert list(found.bad) == [5]
    assert "image 5" in found.bad[5]
    assert "pairs" not in found.to_dict()
    assert digest(folder) == before


def test_inspecting_names_records_with_a_bad_label(tmp_path):
    folder = make(tmp_path / "in", [0, 0, 1, 1])
    path = folder / "train.rec"
    raw = bytearray(path.read_bytes())
    start = int((folder / "train.idx").read_text().splitlines()[2].split("\t")[1])
    struct.pack_into("<f", raw, start + 12, 0.5)
    path.write_bytes(raw)
    found = inspect(path)
    assert list(found.bad) == [2]
    assert "label 0.5" in found.bad[2]
    assert found.identities == 2
    assert found.images_per_identity["min"] == 1


def test_inspecting_pairs(tmp_path):
    pictures = [encoded(seed) for seed in range(8)]
    flags = [True, False] * 10
    images = [pictures[(3 * k) % 8] for k in range(40)]
    images[6] = images[7] = pictures[0]
    path = tmp_path / "x.bin"
    write_pairs(path, images, flags)
    found = inspect(path)
    assert (found.pairs, found.same, found.images, found.distinct) == (20, 10, 40, 8)
    assert found.folds == [1] * 10
    assert found.duplicates == [[6, 7]]
    assert not found.bad
    write_pairs(path, images, sorted(flags))
    assert inspect(path).folds == [0] * 5 + [2] * 5
    images[5] = b"no image"
    path.write_bytes(pickle.dumps((images, flags), 2))
    found = inspect(path)
    assert list(found.bad) == [5]
    assert "image 1 of pair 2" in found.bad[5]
    assert contact_sheet_of_set(path).dtype == np.uint8


@pytest.mark.system
def test_real_sets(faces, tmp_path):
    found = inspect(os.path.join(faces, "celeb"))
    assert (found.images, found.identities, found.classes, found.headers) == (5967, 293, 293, 294)
    assert found.sizes == {"112x112": 5967}
    assert not found.bad
    split(os.path.join(faces, "celeb"), tmp_path / "a", tmp_path / "b", fraction=0.1)
    assert len(read_by_the_rules(tmp_path / "a")) == 29
    assert len(read_by_the_rules(tmp_path / "b")) == 264
    found = inspect(os.path.join(faces, "lfw_dev.bin"))
    assert (found.pairs, found.same, found.sizes) == (1000, 500, {"112x112": 2000})
    unpack(os.path.join(faces, "small_lfw.bin"), tmp_path / "small")
    assert len(os.listdir(tmp_path / "small")) > 10
    assert read_pairs(os.path.join(faces, "small_lfw.bin"))[0][0] in [
        path.read_bytes() for path in (tmp_path / "small").glob("*.*")
    ]

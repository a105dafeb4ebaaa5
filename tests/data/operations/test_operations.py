import os

import pytest
from record_sets import damage, digest, encoded, make, put_records
from rules import read_by_the_rules

from gluonfr.core import DataError, GluonFRError
from gluonfr.data import FRTrainRecordDataset, RecordFile, read_pairs, write_pairs
from gluonfr.data.identities import read_identities
from gluonfr.data.inspection import inspect
from gluonfr.data.operations import merge, relabel, shuffle, split
from gluonfr.photos.unpacking import unpack


def content(folder):
    """Return {label: [payload, ...]} by this package's reader, which other tests compare with MXNet's."""
    records = RecordFile(os.path.join(str(folder), "train.rec"))
    found = {}
    for i in range(len(records)):
        label, payload = records.read(i)
        found.setdefault(int(label), []).append(payload)
    return found


@pytest.fixture
def five(tmp_path):
    return make(
        tmp_path / "five", [0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 4, 4], names=dict(enumerate(["Ann", "Bob", "张 伟", "d'É", "e"]))
    )


def test_unpacked_files_are_unchanged_and_can_be_packed(five, tmp_path):
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


@pytest.mark.parametrize("bad", ["../up", ".", "a/b", "", "ann", " ", "y\0", "n" * 256, ".hidden"])
def test_names_that_are_invalid_for_folders_are_replaced_by_labels(tmp_path, bad):
    make(tmp_path / "in", [0, 1, 1], names={0: "Ann", 1: bad})
    unpack(tmp_path / "in" / "train.rec", tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == ["000000", "000001", "identities.csv"]
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]


def test_spaces_around_names_are_not_part_of_folders(tmp_path):
    make(tmp_path / "in", [0, 1], names={0: "Ann", 1: " x "})
    unpack(tmp_path / "in" / "train.rec", tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == ["Ann", "identities.csv", "x"]


def test_unpacking_preserves_gaps_between_labels(tmp_path):
    make(tmp_path / "in", [3, 3, 7])
    unpack(tmp_path / "in", tmp_path / "out")
    assert read_identities(tmp_path / "out") == {3: "000003", 7: "000007"}


def test_unpacking_pairs_writes_each_image_once(tmp_path):
    a, b, c = encoded(0), encoded(1, ".png"), encoded(2)
    write_pairs(tmp_path / "x.bin", [a, b, a, c, b, b], [True, False, True])
    unpack(tmp_path / "x.bin", tmp_path / "out")
    out = tmp_path / "out"
    rows = [line.split(",") for line in (out / "pairs.csv").read_text().splitlines()]
    assert rows[0] == ["first", "second", "issame"]
    assert [row[2] for row in rows[1:]] == ["1", "0", "1"]
    assert [(out / name).read_bytes() for row in rows[1:] for name in row[:2]] == [a, b, a, c, b, b]
    assert len(os.listdir(out)) == 4


def test_shuffling_preserves_images_and_labels_and_is_reproducible(five, tmp_path):
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


def test_merged_people_follow_the_order_of_the_sets(five, tmp_path):
    other = make(tmp_path / "other", [2, 2, 5], first=50, names={2: "Bob", 5: "Zoe"})
    assert merge([five, other], tmp_path / "out") == [{}, {}]
    found = read_by_the_rules(tmp_path / "out")
    expected = {**content(five), 5: content(other)[2], 6: content(other)[5]}
    assert found == expected
    assert list(read_identities(tmp_path / "out").values()) == ["Ann", "Bob", "张 伟", "d'É", "e", "Bob", "Zoe"]


def test_merging_by_name_joins_labels_of_one_name(five, tmp_path):
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


def test_merging_without_names_never_joins_labels(tmp_path):
    a, b = make(tmp_path / "a", [0, 1]), make(tmp_path / "b", [0, 1], first=9)
    merge([a, b, a], tmp_path / "out")
    assert [len(images) for images in read_by_the_rules(tmp_path / "out").values()] == [1] * 6


def test_the_parts_of_a_split_are_disjoint_and_complete(five, tmp_path):
    split(five, tmp_path / "a", tmp_path / "b", fraction=0.4, seed=3)
    names = [read_identities(tmp_path / part) for part in "ab"]
    assert [len(names_of_image) for names_of_image in names] == [2, 3]
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
def test_impossible_splits_are_refused_and_leave_no_files(five, tmp_path, options, words):
    with pytest.raises(GluonFRError, match=words):
        split(five, tmp_path / "a", tmp_path / "b", **options)
    assert sorted(os.listdir(tmp_path)) == ["five"]


def test_split_refuses_nested_folders(five, tmp_path):
    for b in ("a", "a/b"):
        with pytest.raises(GluonFRError, match="each other"):
            split(five, tmp_path / "a", tmp_path / b, fraction=0.5)


@pytest.mark.parametrize("tool", ["unpack", "shuffle", "merge", "split"])
def test_damage_stops_an_operation_or_is_left_out(five, tmp_path, tool):
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
def test_existing_files_are_never_overwritten(five, tmp_path, tool):
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


def test_relabeling_removes_gaps_and_preserves_images_and_names(tmp_path):
    folder = make(tmp_path / "in", [0, 100_000, 100_000, 3], names={0: "Ada", 3: "Ben", 100_000: "Eve"})
    before = content(folder)
    assert relabel(folder, tmp_path / "out") == {}
    assert content(tmp_path / "out") == {0: before[0], 1: before[3], 2: before[100_000]}
    assert read_identities(tmp_path / "out") == {0: "Ada", 1: "Ben", 2: "Eve"}
    assert read_by_the_rules(tmp_path / "out").keys() == {0, 1, 2}
    assert FRTrainRecordDataset("out", root=tmp_path).num_classes == 3


@pytest.mark.parametrize("label", [2.0**24, 2.0**30, 3e38])
def test_a_label_that_float32_cannot_hold_is_damage(tmp_path, label):
    # A flipped bit of the exponent makes such labels. A table of 2**31 classes would need 16 GB.
    folder = put_records(tmp_path / "in", [(0, encoded(0)), (label, encoded(1)), (1, encoded(2))])
    for tool in (shuffle, relabel):
        with pytest.raises(DataError, match=r"image 1 .*invalid label"):
            tool(folder, tmp_path / "out")
        out = tmp_path / tool.__name__
        assert list(tool(folder, out, skip=True)) == [1]
        assert (out / "property").read_text() == "2,32,32\n"


@pytest.mark.system
def test_real_sets_are_inspected_and_split(faces, tmp_path):
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

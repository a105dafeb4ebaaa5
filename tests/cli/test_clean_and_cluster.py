import csv
import json
import os
import shutil

import cv2
import numpy as np
import pytest
from command_line import refused, run

from gluonfr.apps.curation.cleaning import embedded_set
from gluonfr.apps.curation.clustering import faces as clustering_faces
from gluonfr.data import FRTrainRecordDataset, images
from gluonfr.data.identities import read_identities
from gluonfr.data.pairs import read_pairs, write_pairs
from gluonfr.data.records import RecordFile, RecordWriter


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def content(path):
    with open(path, "rb") as file:
        return file.read()


@pytest.fixture(scope="module")
def model(y1):
    return ["--model", y1]


@pytest.fixture(scope="module")
def photos(faces, tmp_path_factory):
    """A tree with three photos of each of five people, a photo of six people, one without a face, and a text file."""
    folder, owner = tmp_path_factory.mktemp("photos"), {}
    source = os.path.join(faces, "photos", "people")
    for number, person in enumerate(sorted(os.listdir(source))[:5]):
        for place, file in enumerate(sorted(os.listdir(os.path.join(source, person)))[:3]):
            # The same name in several folders.
            inside = os.path.join(f"day {place}", "x" * (number % 2), f"{number // 2}.jpg")
            os.makedirs((folder / inside).parent, exist_ok=True)
            shutil.copyfile(os.path.join(source, person, file), folder / inside)
            owner[os.path.normpath(inside)] = number
    shutil.copyfile(os.path.join(faces, "photos", "group.jpg"), folder / "group.jpg")
    cv2.imwrite(str(folder / "wall.png"), np.full((300, 300, 3), 128, np.uint8))
    (folder / "text.jpg").write_text("no image")
    return folder, owner


@pytest.fixture(scope="module")
def clustered(photos, model, tmp_path_factory):
    """The result of a `cluster` command with a gallery of one person; it was interrupted once and resumed."""
    folder, owner = photos
    known, out = tmp_path_factory.mktemp("known"), tmp_path_factory.mktemp("out") / "sorted"
    os.makedirs(known / "people" / "Ann Lee")
    first = next(file for file, number in owner.items() if number == 0)
    shutil.copyfile(folder / first, known / "people" / "Ann Lee" / "a.jpg")
    assert run("enroll", known / "people", "--gallery", known / "g.db", *model)[0] == 0
    command = ["cluster", folder, out, "--gallery", known / "g.db", *model, "--json", known / "r.json"]
    look, seen = clustering_faces._find_in_block, []

    def interrupted(embedder, folder_, files, *options):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(files)
        return look(embedder, folder_, files, *options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clustering_faces, "_BLOCK", 6)
        patch.setattr(clustering_faces, "_find_in_block", interrupted)
        status, _, errors = run(*command)
        assert status == 130
        assert "rerun the command to resume" in errors
        assert not out.exists()
        assert len(seen) == 2
        assert "unfinished work with another min_face" in refused(*command, "--min-face", 40)
        again = []
        patch.setattr(clustering_faces, "_find_in_block", lambda *given: again.append(given[2]) or look(*given))
        status, printed, errors = run(*command)
    assert status == 1, errors
    # Finished blocks were not repeated.
    assert len(again) == 1
    assert not set(again[0]) & {file for block in seen for file in block}
    assert os.listdir(out.parent) == ["sorted"]
    return out, printed, json.loads((known / "r.json").read_text())


def test_each_person_gets_a_folder(photos, clustered):
    folder, owner = photos
    out, printed, results = clustered
    rows = table(out / "clusters.csv")
    assert "mobilefacenet-y1; " in printed
    assert "from the thresholds of the network's card" in printed
    person = {row["file"]: row["person"] for row in rows if row["file"] in owner and row["similarity"]}
    assert set(person) == set(owner)
    for number in range(5):
        names = {person[file] for file, cluster in owner.items() if cluster == number}
        assert len(names) == 1
        assert (names == {"Ann Lee"}) == (number == 0)
        place = out / "people" / names.pop()
        copies = {content(place / file) for file in os.listdir(place)}
        assert copies == {content(folder / file) for file, cluster in owner.items() if cluster == number}
    # Six people appear on one photo only.
    six = [row for row in rows if row["file"] == "group.jpg"]
    assert len({row["person"] for row in six}) == 6
    assert {row["folder"] for row in six} == {"once"}
    assert content(out / "once" / "group.jpg") == content(folder / "group.jpg")
    boxes = np.array([[float(word) for word in row["box"].split()] for row in six])
    height, width = cv2.imread(str(folder / "group.jpg")).shape[:2]
    assert boxes.shape == (6, 4)
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    assert (boxes[:, 2] <= width + 20).all()
    sheets = {os.path.splitext(file)[0] for file in os.listdir(out / "sheets")}
    assert sheets == {*os.listdir(out / "people"), "once"}
    assert cv2.imread(str(out / "sheets" / "Ann Lee.jpg")) is not None
    assert {row["file"]: row["reason"].split(" (")[0] for row in table(out / "left_out.csv")} == {
        "text.jpg": "no image",
        "wall.png": "no face",
    }
    assert results["named"] == ["Ann Lee"]
    assert results["once"] >= 6
    assert results["gallery"]["people"] == 1


def test_clusters_are_evaluated_and_files_are_linked(photos, clustered, model, tmp_path):
    folder, owner = photos
    for file, number in owner.items():
        os.makedirs(tmp_path / "in" / str(number), exist_ok=True)
        shutil.copyfile(folder / file, tmp_path / "in" / str(number) / file.replace(os.sep, "-"))
    status, printed, errors = run("cluster", tmp_path / "in", tmp_path / "out", "--evaluate", "--link", *model)
    assert status == 0, errors
    assert "B-cubed over 15 faces of 5 people: precision 1.0000, recall 1.0000, F 1.0000" in printed
    first = next(place for place, _, files in os.walk(tmp_path / "out" / "people") if files)
    assert os.stat(os.path.join(first, os.listdir(first)[0])).st_nlink == 2


def test_cluster_reports_invalid_input(photos, clustered, model, tmp_path):
    folder, _ = photos
    assert "exists already and is not empty" in refused("cluster", folder, clustered[0], *model)
    assert "is inside the folder of photos" in refused("cluster", folder, folder / "day 0" / "out", *model)
    assert "not a folder" in refused("cluster", folder / "none", tmp_path / "o", *model)
    assert "no image file" in refused("cluster", tmp_path, tmp_path.parent / "o", *model)
    assert "not in the folder of a person" in refused("cluster", folder, tmp_path / "o", "--evaluate", *model)
    shutil.copyfile(folder / "wall.png", tmp_path / "wall.png")
    assert "none of the 1 photos shows a face" in refused("cluster", tmp_path, tmp_path.parent / "o", *model)
    assert "is missing" in refused("cluster", folder, tmp_path.parent / "o", "--gallery", tmp_path / "none.db", *model)
    assert "must be a cosine" in refused("cluster", folder / "day 0", tmp_path.parent / "o", "--join", 3, *model)
    assert not os.path.exists(tmp_path.parent / "o")


# People of the small training set and images per person; the label of the person under two labels; people of the test set.
PEOPLE, EACH = 30, 7
TWICE, SHARED = 24, (26, 27, 28)


@pytest.fixture(scope="module")
def records(faces, tmp_path_factory):
    """A training set with known mistakes, and a test set that shares people with it; the wrong images and the copies."""
    folder, random = tmp_path_factory.mktemp("sets"), np.random.default_rng(3)
    source = RecordFile(os.path.join(faces, "celeb", "train.rec"))
    labels = source.labels
    # Without people that have wrong labels in celeb itself.
    people = [label for label in np.unique(labels)[:100] if (labels == label).sum() >= EACH + 2][:PEOPLE]
    rows = {number: np.flatnonzero(labels == label)[: EACH + 2].tolist() for number, label in enumerate(people)}
    items = [(source.read(row)[1], number) for number in range(PEOPLE) for row in rows[number][:EACH]]
    wrong = sorted(random.choice(20 * EACH, 8, replace=False).tolist())
    for image in wrong:
        items[image] = items[image][0], (items[image][1] + int(random.integers(1, 20))) % 20
    for image in range(TWICE * EACH, TWICE * EACH + 3):
        items[image] = items[image][0], PEOPLE
    copied = images.decode(items[22 * EACH][0], "")
    items[22 * EACH + 1] = images.encode(np.ascontiguousarray(copied[:, ::-1]), 60), 22
    items[22 * EACH + 2] = images.encode((copied * 0.8 + 20).astype(np.uint8), 90), 22
    with RecordWriter(folder / "train") as writer:
        for payload, label in items:
            writer.add(payload, label)
    # The writer sorts records by label and keeps the order of the images of a label.
    order = sorted(range(len(items)), key=lambda image: items[image][1])
    place = {image: number for number, image in enumerate(order)}
    pairs, issame = [], []
    for number in SHARED:
        pairs += [source.read(row)[1] for row in rows[number][EACH:]]
        issame.append(True)
    payloads, same = read_pairs(os.path.join(faces, "lfw_dev.bin"))
    for pair in range(0, 1000, 50):
        pairs += payloads[2 * pair : 2 * pair + 2]
        issame.append(bool(same[pair]))
    write_pairs(folder / "test.bin", pairs, issame)
    return folder, {place[image] for image in wrong}, [place[22 * EACH + offset] for offset in range(3)]


@pytest.fixture(scope="module")
def report(records, model):
    """The report of a `clean` command that was interrupted once and resumed."""
    folder, _, _ = records
    command = ["clean", "train", "--root", folder, "--out", folder / "report", "--against", "test", *model]
    block, done = embedded_set._embed_block, []

    def interrupted(embedder, faces, numbers):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(numbers)
        return block(embedder, faces, numbers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded_set, "_BLOCK", 64)
        patch.setattr(embedded_set, "_embed_block", interrupted)
        status, _, errors = run(*command)
        assert status == 130
        assert "rerun the command to resume" in errors
        patch.setattr(embedded_set, "_embed_block", lambda *given: done.append(given[2]) or block(*given))
        status, printed, errors = run(*command, "--json", folder / "r.json")
    assert status == 0, errors
    assert sorted(job.start for job in done)[:3] == [0, 0, 64]
    assert len({(job.start, job.stop) for job in done}) == len(done)
    assert not [name for name in os.listdir(folder) if name.startswith(".")]
    return folder / "report", printed, json.loads((folder / "r.json").read_text())


def test_wrong_labels_copies_and_shared_people_are_found(records, report):
    _, wrong, copies = records
    out, printed, results = report
    found = {int(row["image"]) for row in table(out / "wrong_labels.csv") if row["found"] == "1"}
    assert len(found & wrong) >= 7
    assert len(found - wrong) <= 1
    pairs = {frozenset((int(row["label"]), int(row["other_label"]))) for row in table(out / "two_labels.csv")}
    assert pairs == {frozenset((TWICE, PEOPLE))}
    pairs = {frozenset((int(row["image"]), int(row["other_image"]))) for row in table(out / "duplicates.csv")}
    assert {frozenset(copies[:2]), frozenset(copies[::2])} <= pairs
    shared = {int(row["label"]) for row in table(out / "overlap.csv")}
    assert shared == set(SHARED)
    for name in ("wrong_labels", "two_labels", "duplicates", "overlap"):
        assert cv2.imread(str(out / f"{name}.png")) is not None
    assert results["images"] == PEOPLE * EACH
    assert results["overlap"] == 3
    assert len(results["meaning"]) == 4
    assert "mobilefacenet-y1; 210 images of 31 people" in printed
    assert "people of the test set" in printed


def test_changes_are_applied_to_a_new_set(records, report, model, faces):
    folder, wrong, copies = records
    before = {name: content(folder / "train" / name) for name in os.listdir(folder / "train")}
    changes = table(report[0] / "changes.csv")
    # The user removes one line of the changes.
    kept_after_all = next(row for row in changes if row["why"] == "wrong label")
    with open(report[0] / "changes.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(changes[0]))
        writer.writeheader()
        writer.writerows(row for row in changes if row is not kept_after_all)
    command = ["clean", folder / "train", "--out", report[0], "--apply"]
    for other in (["--against", os.path.join(faces, "lfw_dev.bin")], ["--no-flip", *model]):
        assert "was not made with the" in refused(*command, folder / "other", *other)
    status, printed, errors = run(*command, folder / "new", "--against", folder / "test.bin", *model)
    assert status == 0, errors
    assert {name: content(folder / "train" / name) for name in os.listdir(folder / "train")} == before
    removed = {int(row["image"]) for row in changes if row["action"] == "remove"} - {int(kept_after_all["image"])}
    assert {copies[1], copies[2]} <= removed
    assert copies[0] not in removed
    old, new = RecordFile(folder / "train" / "train.rec"), FRTrainRecordDataset("new", root=str(folder))
    assert len(new) == len(old) - len(removed)
    assert f"{len(removed)} removed" in printed
    assert new.num_classes == 31 - len(SHARED) - 1
    names = read_identities(folder / "new")
    # Every remaining image has its person; the two labels of one person became the one with more images.
    people = {payload: str(int(label)) for label, payload in (old.read(i) for i in set(range(len(old))) - removed)}
    for i in range(len(new)):
        label, payload = new.records.read(i)
        was = people.pop(payload)
        assert names[int(label)] == (str(TWICE) if was == str(PEOPLE) else was)
    assert not people
    assert len(table(folder / "new" / "changes.csv")) == len(changes) - 1
    assert "exists already and is not empty" in refused(*command, folder / "new")


def test_clean_reports_invalid_input(records, report, model, tmp_path):
    folder, _, _ = records
    train, out = folder / "train", ["--out", tmp_path / "o", *model]
    assert "exists already and is not empty" in refused("clean", train, "--out", report[0], *model)
    assert "is the set itself" in refused("clean", train, "--against", folder / "train" / "train.rec", *out)
    assert "verification set, which has no labels" in refused("clean", folder / "test.bin", *out)
    assert "is missing" in refused("clean", tmp_path / "none", "--root", tmp_path / "no root", *out)
    assert "has no data set 'none'" in refused("clean", "none", "--root", folder, *out)
    with RecordWriter(tmp_path / "one") as writer:
        writer.add(np.zeros((112, 112, 3), np.uint8), 0)
    assert "has one person" in refused("clean", tmp_path / "one", *out)
    assert "does not describe" in refused("clean", tmp_path / "one", "--out", report[0], "--apply", tmp_path / "new", *model)
    broken = shutil.copytree(report[0], tmp_path / "broken")
    (broken / "changes.csv").write_text("image,action,label,name,to,why\n99999,remove,0,0,,x\n")
    assert "line 2 has no image" in refused("clean", train, "--out", broken, "--apply", tmp_path / "new")
    (broken / "changes.csv").write_text("image,action,label,name,to,why\n3,relabel,0,0,777,x\n")
    assert "has a label that is not in the set" in refused("clean", train, "--out", broken, "--apply", tmp_path / "new")
    assert "stored model" in refused("clean", train, "--out", tmp_path / "o", "--model", "nobody", "--models", tmp_path)
    assert not (tmp_path / "o").exists()
    assert not (tmp_path / "new").exists()
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_a_folder_of_photos_is_cleaned(photos, model, tmp_path):
    folder, owner = photos
    for file, number in owner.items():
        # One photo of the first person is in the folder of the second.
        to = 1 if number == 0 and file.startswith("day 2") else number
        os.makedirs(tmp_path / "in" / f"p{to}", exist_ok=True)
        shutil.copyfile(folder / file, tmp_path / "in" / f"p{to}" / f"{number} {file.replace(os.sep, '-')}")
    shutil.copyfile(folder / "wall.png", tmp_path / "in" / "p3" / "wall.png")
    status, printed, errors = run("clean", tmp_path / "in", "--out", tmp_path / "r", "--apply", tmp_path / "new", *model)
    assert status == 1, errors
    assert "1 image left out" in printed
    assert [(row["set"], row["image"]) for row in table(tmp_path / "r" / "left_out.csv")] == [("set", "p3/wall.png")]
    other = ["--apply", tmp_path / "other", "--min-face", 40]
    assert "the options or the images differ" in refused("clean", tmp_path / "in", "--out", tmp_path / "r", *other)
    gone = [os.path.join(place, name) for place, _, files in os.walk(tmp_path / "in") for name in files]
    gone = {os.path.relpath(path, tmp_path / "in") for path in gone if not os.path.exists(str(path).replace("/in/", "/new/"))}
    (lost,) = gone
    assert lost.startswith(os.path.join("p1", "0 day 2"))

import json
import os
import shutil

import cv2
import numpy as np
import pytest
from command_line import refused, succeeds

from gluonfr.cli.evaluate.pair_arguments import _file_name
from gluonfr.data import get_recognition_dataset
from gluonfr.data.pairs import read_pairs, write_pairs
from gluonfr.evaluation.labeled_embeddings import labeled_embeddings
from gluonfr.evaluation.megaface_files import FeatureFolder, write_feature
from gluonfr.metrics import evaluate_identification


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """pairs.npz: 400 pairs of 40 people, about 40 % genuine; those at night are harder."""
    random = np.random.default_rng(0)
    people = random.normal(size=(40, 32))
    first, second = random.integers(0, 40, 400), random.integers(0, 40, 400)
    same = random.random(400) < 0.4
    second[same] = first[same]
    night = random.random(400) < 0.5
    noise = np.where(night, 1.2, 0.5)[:, None]
    path = str(tmp_path_factory.mktemp("pairs") / "pairs.npz")
    np.savez(
        path,
        embeddings0=people[first] + noise * random.normal(size=(400, 32)),
        embeddings1=people[second] + noise * random.normal(size=(400, 32)),
        issame=first == second,
        identity0=first.astype(str),
        identity1=second.astype(str),
        light=np.where(night, "night", "day"),
    )
    return path


def test_verify_evaluates_stored_embeddings(pairs, tmp_path, literal):
    printed = succeeds("verify", "--data", pairs, "--json", tmp_path / "r.json", "--far", 0.05, "--bootstrap", 200)
    with np.load(pairs) as stored:
        first, second, issame = (stored[name] for name in ("embeddings0", "embeddings1", "issame"))
    first, second = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (first, second))
    distances = literal.squared_distances(first.astype(np.float32), second.astype(np.float32))
    accuracies = literal.accuracy_over_folds(distances, issame, 10, np.arange(0, 4, 0.01))[2]
    row = printed.splitlines()[1].split()
    assert row[:4] == ["pairs", "400", f"{np.mean(accuracies):.5f}", f"{np.std(accuracies):.5f}"]
    assert "TAR@FAR=0.01 " in printed
    assert "TAR@FAR=0.001" not in printed
    assert "over 40 people:" in " ".join(printed.split())
    assert "inferred" not in printed
    for words in ("light = day", "light = night", "In an application: accept two photos as the same person", "(FAR 0.0"):
        assert words in printed
    found = json.loads((tmp_path / "r.json").read_text())["pairs"]
    assert found["verification"]["accuracy"] == np.mean(accuracies)
    assert found["production"]["target"] == 0.05
    assert found["groups"][0]["auc"] > found["groups"][1]["auc"]
    assert found["intervals"]["people"] == 40
    assert "intervals over" not in succeeds("verify", "--data", pairs, "--bootstrap", 0)


def test_names_of_saved_embeddings_fit_into_a_folder():
    assert _file_name("lfw") == "lfw.npz"
    long = [f"/{first}/" + "张" * 100 for first in "ab"]
    names = [_file_name(name) for name in long]
    assert names[0] != names[1]
    assert all(len(name.encode()) < 255 and "/" not in name for name in names)


def test_verify_reports_invalid_input(pairs, tmp_path):
    assert "is missing" in refused("verify", "--data", tmp_path / "none.npz")
    np.savez(tmp_path / "few.npz", embeddings0=np.eye(3), embeddings1=np.eye(3), issame=[1, 1, 0])
    assert "3 pairs are too few for 10 folds" in refused("verify", "--data", tmp_path / "few.npz")
    np.savez(tmp_path / "nan.npz", embeddings0=np.full((20, 3), np.nan), embeddings1=np.ones((20, 3)), issame=[1] * 20)
    assert "nan.npz: embeddings0: row 0 holds NaN" in refused("verify", "--data", tmp_path / "nan.npz")
    (tmp_path / "table.csv").write_text("identity0,identity1\na,b\n")
    assert "1 rows for 400 pairs" in refused("verify", "--data", pairs, "--table", tmp_path / "table.csv")
    assert "must be a number in (0, 1]" in refused("verify", "--data", pairs, "--far", 0)
    assert "--model has no effect" in refused("verify", "--data", pairs, "--model", "y1")
    assert "Remove the list" in refused("verify", "--data", pairs, "--pairs", tmp_path / "table.csv")
    assert "replicates" in refused("verify", "--data", pairs, "--bootstrap", -3)
    np.savez(tmp_path / "same.npz", embeddings0=np.eye(20), embeddings1=np.eye(20), issame=[1] * 20)
    printed = succeeds("verify", "--data", tmp_path / "same.npz")
    assert "too few to determine a threshold" in " ".join(printed.split())
    assert "nan" not in printed


def test_saved_embeddings_of_pairs_give_the_same_results(faces, y1, tmp_path):
    payloads, issame = read_pairs(os.path.join(faces, "lfw_dev.bin"))
    chosen = [pair for start in (0, 500) for pair in range(start, start + 20)]
    write_pairs(tmp_path / "few.bin", [payloads[2 * pair + i] for pair in chosen for i in (0, 1)], issame[chosen])
    printed = succeeds("verify", "--model", y1, "--data", tmp_path / "few.bin", "--save", tmp_path / "saved")
    name, count, accuracy = printed.splitlines()[1].split()[:3]
    assert (name, count) == ("few", "40")
    # These pairs are easy: y1 has an accuracy of 0.987 on all 1,000.
    assert float(accuracy) > 0.9
    assert succeeds("verify", "--data", tmp_path / "saved" / "few.npz") == printed


@pytest.mark.system
def test_verify_reproduces_the_reference_accuracy_on_real_pairs(faces, y1):
    printed = succeeds("verify", "--model", y1, "--data", os.path.join(faces, "lfw_dev.bin"))
    assert printed.splitlines()[1].split()[:4] == ["lfw_dev", "1000", "0.98700", "0.01269"]
    assert "inferred from shared images" in " ".join(printed.split())


def test_identification_splits_photos_and_saves_their_embeddings(faces, y1, tmp_path):
    source = os.path.join(faces, "photos", "people")
    for person in sorted(os.listdir(source))[:4]:
        os.makedirs(tmp_path / "photos" / person)
        for file in sorted(os.listdir(os.path.join(source, person)))[:3]:
            shutil.copyfile(os.path.join(source, person, file), tmp_path / "photos" / person / file)
    common = ["--data", tmp_path / "photos", "--model", y1, "--enroll", 2, "--strangers", 0.25, "--fpir", 0.5]
    printed = succeeds("identification", *common, "--save", tmp_path, "--json", tmp_path / "r.json")
    counts = "6 images of 3 people in the gallery; 3 probes of enrolled people, 3 probes of unknown people"
    assert printed.startswith(counts)
    found = json.loads((tmp_path / "r.json").read_text())
    gallery, probes = (labeled_embeddings(str(tmp_path / f"{name}.npz")) for name in ("gallery", "probes"))
    expected = evaluate_identification(gallery.embeddings, gallery.labels, probes.embeddings, probes.labels)
    assert found["cmc"] == list(expected.cmc)
    stored = ["--gallery", tmp_path / "gallery.npz", "--probes", tmp_path / "probes.npz"]
    assert succeeds("identification", *stored, "--fpir", 0.5) == printed
    assert "give either --gallery and --probes" in refused("identification", "--gallery", tmp_path / "gallery.npz")
    succeeds("picture", tmp_path / "probes.npz", "--out", tmp_path / "p.png", "--method", "pca", "--people", 4)
    assert cv2.imread(str(tmp_path / "p.png")).shape[0] > 300


@pytest.mark.system
def test_identification_of_real_photos_is_accurate(faces, y1, tmp_path):
    photos = os.path.join(faces, "photos", "people")
    common = ["--data", photos, "--model", y1, "--enroll", 3, "--strangers", 0.25, "--fpir", 0.1]
    printed = succeeds("identification", *common, "--json", tmp_path / "r.json")
    # 24 people with 7 photos each, a quarter of them unknown.
    counts = "54 images of 18 people in the gallery; 72 probes of enrolled people, 42 probes of unknown people"
    assert printed.startswith(counts)
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["cmc"][0] > 0.95
    assert found["dir_at_fpir"][0]["dir"] > 0.9


def test_megaface_evaluates_feature_files(tmp_path):
    random = np.random.default_rng(0)
    people = random.normal(size=(5, 16))
    names = []
    for person in range(5):
        for number in range(4):
            names.append(f"p{person}/p{person}_{number}.png")
            # The last probe of each person shows another person.
            face = random.normal(size=16) if number == 3 else people[person] + 0.4 * random.normal(size=16)
            write_feature(str(tmp_path / "probes" / f"{names[-1]}_y.bin"), face)
    for number in range(60):
        # Ten of the distractors show people of the probes.
        face = people[number % 5] + 0.1 * random.normal(size=16) if number < 10 else random.normal(size=16)
        write_feature(str(tmp_path / "distractors" / "1" / "2" / f"{number:02}.jpg_y.bin"), face)
    (tmp_path / "probe_noises").write_text("".join(f"p{person}_3.png\n" for person in range(5)))
    (tmp_path / "distractor_noises").write_text("".join(f"1/2/{number:02}.jpg\n" for number in range(10)))
    (tmp_path / "list.json").write_text(json.dumps({"path": names, "id": [name[:2] for name in names]}))
    common = ["--probes", tmp_path / "probes", "--distractors", tmp_path / "distractors", "--ending", "_y.bin"]
    noises = ["--probe-noises", tmp_path / "probe_noises", "--distractor-noises", tmp_path / "distractor_noises"]
    more = ["--probe-list", tmp_path / "list.json", "--far", 0.01, "--json", tmp_path / "r.json"]
    printed = succeeds("megaface", *common, *noises, *more)
    assert "20 probes of 5 people, 60 pairs; 5 noisy probes replaced, 10 noisy distractors moved away" in printed
    found = json.loads((tmp_path / "r.json").read_text())
    assert [row["distractors"] for row in found["cleaned"]] == [10, 60]
    given, cleaned = found["as given"][-1], found["cleaned"][-1]
    assert given["cmc"][0] < 0.6
    assert cleaned["cmc"][0] > 0.95
    assert cleaned["tar_at_far"][0]["tar"] > 0.9
    assert "contains no image" in refused("megaface", *common[:-1], "_z.bin")


def test_embed_writes_megaface_features(faces, y1, tmp_path):
    photos = tmp_path / "photos"
    celeb = get_recognition_dataset("celeb", root=faces)
    for person in range(3):
        (photos / f"p{person}").mkdir(parents=True)
        for number, image in enumerate(celeb.identities[person][:2].tolist()):
            cv2.imwrite(str(photos / f"p{person}" / f"{number}.png"), celeb.read(image)[0][:, :, ::-1])
    succeeds("embed", photos, "--model", y1, "--out", tmp_path / "features", "--ending", "_y1.bin")
    found = FeatureFolder(str(tmp_path / "features"), "_y1.bin")
    assert found.images == [f"p{person}/{number}.png" for person in range(3) for number in range(2)]
    rows = found.read()
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    cosine = rows @ rows.T
    assert min(cosine[0, 1], cosine[2, 3], cosine[4, 5]) > cosine[[0, 0, 2], [2, 4, 4]].max()
    assert "exactly one folder" in refused(
        "embed", photos, photos, "--model", y1, "--out", tmp_path / "x", "--ending", "_y.bin"
    )


def test_ijb_evaluates_both_protocols(faces, y1, tmp_path):
    """Crops of celeb in the layout of IJB-C: three people with two templates each."""
    celeb = get_recognition_dataset("celeb", root=faces)
    (tmp_path / "meta").mkdir()
    (tmp_path / "loose_crop").mkdir()
    points = "38.3 51.7 73.5 51.5 56.0 71.7 41.5 92.4 70.7 92.2"
    media, marks, templates = [], [], []
    for subject in range(3):
        for part, images in enumerate((celeb.identities[subject][:3], celeb.identities[subject][3:6])):
            template = 10 * subject + part
            templates.append((template, subject))
            for number, image in enumerate(images.tolist()):
                name = f"{image}.png"
                cv2.imwrite(str(tmp_path / "loose_crop" / name), celeb.read(image)[0][:, :, ::-1])
                media.append(f"{name} {template} {0 if number < 2 else number}")
                # Scores that differ, so that they weight the images of a template.
                marks.append(f"{name} {points} {0.2 + 0.1 * number}")
    meta = {
        "face_tid_mid.txt": media,
        "name_5pts_score.txt": marks,
        "template_pair_label.txt": [f"{a} {b} {int(s == t)}" for a, s in templates for b, t in templates if a < b],
        "1N_gallery_G1.csv": ["TEMPLATE_ID,SUBJECT_ID", "0,0"],
        "1N_gallery_G2.csv": ["TEMPLATE_ID,SUBJECT_ID", "10,1", "20,2"],
        "1N_probe_mixed.csv": ["TEMPLATE_ID,SUBJECT_ID", "1,0", "11,1", "21,2"],
    }
    for name, lines in meta.items():
        (tmp_path / "meta" / f"ijbc_{name}").write_text("\n".join(lines) + "\n")
    printed = succeeds("ijb", tmp_path, "--model", y1, "--save", tmp_path / "e.npz", "--json", tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text())
    # These photos are easy for y1: all genuine pairs are more similar than all impostor pairs.
    assert (found["1:1"]["pairs"], found["1:1"]["genuine"], found["1:1"]["auc"]) == (15, 3, 1)
    assert found["1:N"]["mean"]["rank-1"] == 1
    assert set(found["1:N"]["galleries"]) == {"G1", "G2"}
    with np.load(tmp_path / "e.npz") as stored:
        # Not normalized: the norms weight the images of a template.
        assert np.ptp(np.linalg.norm(stored["embeddings"], axis=1)) > 0.1
    assert succeeds("ijb", tmp_path, "--embeddings", tmp_path / "e.npz") == printed
    scored = ["--detector-score", "--json", tmp_path / "scored.json"]
    succeeds("ijb", tmp_path, "--embeddings", tmp_path / "e.npz", *scored)
    weighted = json.loads((tmp_path / "scored.json").read_text())
    assert weighted["1:1"]["roc"]["thresholds"] != found["1:1"]["roc"]["thresholds"]
    (tmp_path / "meta" / "ijbc_name_5pts_score.txt").unlink()
    assert "5pts_score.txt is missing" in refused("ijb", tmp_path, "--model", y1)
    assert "must contain" in refused("ijb", tmp_path / "loose_crop", "--model", y1)

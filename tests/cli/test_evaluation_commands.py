import contextlib
import io
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from gluonfr.cli import main
from gluonfr.data import get_recognition_dataset
from gluonfr.evaluation.labeled_embeddings import labeled_embeddings
from gluonfr.evaluation.megaface_files import FeatureFolder, write_feature
from gluonfr.metrics import evaluate_identification


def gluonfr(*arguments):
    return subprocess.run([sys.executable, "-m", "gluonfr", *map(str, arguments)], capture_output=True, text=True)


def refused(*arguments):
    """The one sentence of a command that is refused with status 2, in this process, which saves its start."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert main([str(each) for each in arguments]) == 2
    return said.getvalue().strip().splitlines()[-1]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """pairs.npz: 400 pairs of 40 people, two in five of one person, those at night harder."""
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


def test_verify_on_embeddings_alone(pairs, tmp_path, literal):
    done = gluonfr("verify", "--data", pairs, "--json", tmp_path / "r.json", "--far", 0.05, "--bootstrap", 200)
    assert done.returncode == 0, done.stderr
    with np.load(pairs) as stored:
        first, second, issame = (stored[name] for name in ("embeddings0", "embeddings1", "issame"))
    first, second = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (first, second))
    distances = literal.squared_distances(first.astype(np.float32), second.astype(np.float32))
    accuracies = literal.accuracy_over_folds(distances, issame, 10, np.arange(0, 4, 0.01))[2]
    row = done.stdout.splitlines()[1].split()
    assert row[:4] == ["pairs", "400", f"{np.mean(accuracies):.5f}", f"{np.std(accuracies):.5f}"]
    assert "TAR@FAR=0.01 " in done.stdout
    assert "TAR@FAR=0.001" not in done.stdout
    assert "over 40 people:" in " ".join(done.stdout.split())
    assert "told apart" not in done.stdout
    for words in ("light = day", "light = night", "In an application: take two photos for one person", "(FAR 0.0"):
        assert words in done.stdout
    found = json.loads((tmp_path / "r.json").read_text())["pairs"]
    assert found["verification"]["accuracy"] == np.mean(accuracies)
    assert found["production"]["target"] == 0.05
    assert found["groups"][0]["auc"] > found["groups"][1]["auc"]
    assert found["intervals"]["people"] == 40
    without = gluonfr("verify", "--data", pairs, "--bootstrap", 0)
    assert without.returncode == 0
    assert "intervals over" not in without.stdout


def test_verify_says_what_is_wrong(pairs, tmp_path):
    assert "is missing" in refused("verify", "--data", tmp_path / "none.npz")
    np.savez(tmp_path / "few.npz", embeddings0=np.eye(3), embeddings1=np.eye(3), issame=[1, 1, 0])
    assert "3 pairs are too few for 10 folds" in refused("verify", "--data", tmp_path / "few.npz")
    np.savez(tmp_path / "nan.npz", embeddings0=np.full((20, 3), np.nan), embeddings1=np.ones((20, 3)), issame=[1] * 20)
    assert "nan.npz: embeddings0: row 0 is NaN" in refused("verify", "--data", tmp_path / "nan.npz")
    (tmp_path / "table.csv").write_text("identity0,identity1\na,b\n")
    assert "1 rows for 400 pairs" in refused("verify", "--data", pairs, "--table", tmp_path / "table.csv")
    assert "wanted must be above 0" in refused("verify", "--data", pairs, "--far", 0)
    assert "--model is about images" in refused("verify", "--data", pairs, "--model", "y1")
    assert "leave the list out" in refused("verify", "--data", pairs, "--pairs", tmp_path / "table.csv")
    assert "replicates" in refused("verify", "--data", pairs, "--bootstrap", -3)
    np.savez(tmp_path / "same.npz", embeddings0=np.eye(20), embeddings1=np.eye(20), issame=[1] * 20)
    done = gluonfr("verify", "--data", tmp_path / "same.npz")
    assert done.returncode == 0
    assert "too few to tell a threshold" in " ".join(done.stdout.split())
    assert "nan" not in done.stdout


@pytest.mark.system
def test_real_pairs_saved_and_read_again(faces, tmp_path):
    model = os.path.join(faces, "weights", "mobilefacenet-y1-symbol.json")
    data = os.path.join(faces, "lfw_dev.bin")
    done = gluonfr("verify", "--model", model, "--data", data, "--save", tmp_path / "kept")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[:4] == ["lfw_dev", "1000", "0.98700", "0.01269"]
    assert "told apart by shared images" in " ".join(done.stdout.split())
    again = gluonfr("verify", "--data", tmp_path / "kept" / "lfw_dev.npz")
    assert again.stdout == done.stdout


@pytest.mark.system
def test_identification_of_real_photos(faces, tmp_path):
    model = os.path.join(faces, "weights", "mobilefacenet-y1-symbol.json")
    photos = os.path.join(faces, "photos", "people")
    common = ["--data", photos, "--model", model, "--enroll", 3, "--strangers", 0.25, "--save", tmp_path, "--fpir", 0.1]
    done = gluonfr("identification", *common, "--json", tmp_path / "r.json")
    assert done.returncode == 0, done.stderr
    # 24 people with 7 photos each, a quarter of them strangers.
    assert done.stdout.startswith("54 images of 18 people in the gallery; 72 probes of them, 42 of strangers")
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["cmc"][0] > 0.95
    assert found["dir_at_fpir"][0]["dir"] > 0.9
    gallery, probes = (labeled_embeddings(str(tmp_path / f"{name}.npz")) for name in ("gallery", "probes"))
    expected = evaluate_identification(gallery.embeddings, gallery.labels, probes.embeddings, probes.labels)
    assert found["cmc"] == list(expected.cmc)
    again = gluonfr("identification", "--gallery", tmp_path / "gallery.npz", "--probes", tmp_path / "probes.npz", "--fpir", 0.1)
    assert again.stdout == done.stdout
    assert "give --gallery and --probes" in refused("identification", "--gallery", tmp_path / "gallery.npz")
    done = gluonfr("picture", tmp_path / "probes.npz", "--out", tmp_path / "p.png", "--method", "pca", "--people", 6)
    assert done.returncode == 0 and cv2.imread(str(tmp_path / "p.png")).shape[0] > 300, done.stderr


def test_megaface_on_feature_files(tmp_path):
    random = np.random.default_rng(0)
    people = random.normal(size=(5, 16))
    names = []
    for person in range(5):
        for number in range(4):
            names.append(f"p{person}/p{person}_{number}.png")
            # The last probe of everybody shows somebody else.
            face = random.normal(size=16) if number == 3 else people[person] + 0.4 * random.normal(size=16)
            write_feature(str(tmp_path / "probes" / f"{names[-1]}_y.bin"), face)
    for number in range(60):
        # Ten of the distractors are people who are looked for.
        face = people[number % 5] + 0.1 * random.normal(size=16) if number < 10 else random.normal(size=16)
        write_feature(str(tmp_path / "distractors" / "1" / "2" / f"{number:02}.jpg_y.bin"), face)
    (tmp_path / "probe_noises").write_text("".join(f"p{person}_3.png\n" for person in range(5)))
    (tmp_path / "distractor_noises").write_text("".join(f"1/2/{number:02}.jpg\n" for number in range(10)))
    (tmp_path / "list.json").write_text(json.dumps({"path": names, "id": [name[:2] for name in names]}))
    common = ["--probes", tmp_path / "probes", "--distractors", tmp_path / "distractors", "--ending", "_y.bin"]
    noises = ["--probe-noises", tmp_path / "probe_noises", "--distractor-noises", tmp_path / "distractor_noises"]
    more = ["--probe-list", tmp_path / "list.json", "--far", 0.01, "--json", tmp_path / "r.json"]
    done = gluonfr("megaface", *common, *noises, *more)
    assert done.returncode == 0, done.stderr
    assert "20 probes of 5 people, 60 pairs; 5 noisy probes replaced, 10 noisy distractors pushed away" in done.stdout
    found = json.loads((tmp_path / "r.json").read_text())
    assert [each["distractors"] for each in found["cleaned"]] == [10, 60]
    given, cleaned = found["as given"][-1], found["cleaned"][-1]
    assert given["cmc"][0] < 0.6
    assert cleaned["cmc"][0] > 0.95
    assert cleaned["tar_at_far"][0]["tar"] > 0.9
    assert "no image there" in refused("megaface", *common[:-1], "_z.bin")


@pytest.mark.system
def test_features_of_images_are_written_for_megaface(faces, tmp_path):
    photos = tmp_path / "photos"
    celeb = get_recognition_dataset("celeb", root=faces)
    for person in range(3):
        (photos / f"p{person}").mkdir(parents=True)
        for number, image in enumerate(celeb.identities[person][:2].tolist()):
            cv2.imwrite(str(photos / f"p{person}" / f"{number}.png"), celeb.read(image)[0][:, :, ::-1])
    model = os.path.join(faces, "weights", "mobilefacenet-y1-symbol.json")
    done = gluonfr("embed", photos, "--model", model, "--out", tmp_path / "features", "--ending", "_y1.bin")
    assert done.returncode == 0, done.stderr
    found = FeatureFolder(str(tmp_path / "features"), "_y1.bin")
    assert found.images == [f"p{person}/{number}.png" for person in range(3) for number in range(2)]
    rows = found.read()
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    cosine = rows @ rows.T
    assert min(cosine[0, 1], cosine[2, 3], cosine[4, 5]) > cosine[[0, 0, 2], [2, 4, 4]].max()
    assert "one folder" in refused(
        "embed", photos / "p0" / "0.png", "--model", model, "--out", tmp_path / "x", "--ending", "_y"
    )
    assert "one folder" in refused("embed", photos, photos, "--model", model, "--out", tmp_path / "x", "--ending", "_y.bin")


@pytest.mark.system
def test_ijb_from_images_to_both_protocols(faces, tmp_path):
    """Crops of celeb laid out as IJB-C: three people, two templates each, one of them of a video's frames."""
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
                # A score that is no face's would leave the template to the others.
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
    model = os.path.join(faces, "weights", "mobilefacenet-y1-symbol.json")
    done = gluonfr("ijb", tmp_path, "--model", model, "--save", tmp_path / "e.npz", "--json", tmp_path / "r.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "r.json").read_text())
    # Photos of film stars as these are no trouble to y1: all genuine pairs are nearer than all others.
    assert (found["1:1"]["pairs"], found["1:1"]["genuine"], found["1:1"]["auc"]) == (15, 3, 1)
    assert found["1:N"]["mean"]["rank-1"] == 1
    assert set(found["1:N"]["galleries"]) == {"G1", "G2"}
    with np.load(tmp_path / "e.npz") as stored:
        # Lengths are kept, as they weigh the images of a template.
        assert np.ptp(np.linalg.norm(stored["embeddings"], axis=1)) > 0.1
    again = gluonfr("ijb", tmp_path, "--embeddings", tmp_path / "e.npz")
    assert again.returncode == 0 and again.stdout == done.stdout, again.stderr
    scored = ["--detector-score", "--json", tmp_path / "scored.json"]
    assert gluonfr("ijb", tmp_path, "--embeddings", tmp_path / "e.npz", *scored).returncode == 0
    weighted = json.loads((tmp_path / "scored.json").read_text())
    assert weighted["1:1"]["roc"]["thresholds"] != found["1:1"]["roc"]["thresholds"]
    (tmp_path / "meta" / "ijbc_name_5pts_score.txt").unlink()
    assert "5pts_score.txt is missing" in refused("ijb", tmp_path, "--model", model)
    assert "must hold" in refused("ijb", tmp_path / "loose_crop", "--model", model)

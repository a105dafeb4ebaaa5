import csv
import json
import os
import shutil

import cv2
import numpy as np
import pytest
from command_line import refused, run, usage_error


@pytest.fixture(scope="module")
def world(faces, y1, tmp_path_factory):
    """Folder with five people, three photos each in `known` and two in `new`; options of the network; a group photo."""
    folder = tmp_path_factory.mktemp("world")
    source = os.path.join(faces, "photos", "people")
    for number, person in enumerate(sorted(os.listdir(source))[:5]):
        files = sorted(os.listdir(os.path.join(source, person)))
        name = ["Ann Lee", "'; DROP TABLE people; --", "<img src=x onerror=alert(1)>", "张伟", "a\nb"][number]
        os.makedirs(folder / "known" / name)
        os.makedirs(folder / "new", exist_ok=True)
        for file in files[:3]:
            shutil.copyfile(os.path.join(source, person, file), folder / "known" / name / file)
        for file in files[3:5]:
            shutil.copyfile(os.path.join(source, person, file), folder / "new" / f"{number}-{file}")
    # Left out: no face, no image, a photo of another person, a photo in no folder; duplicates are enrolled once.
    cv2.imwrite(str(folder / "known" / "Ann Lee" / "wall.png"), np.full((300, 300, 3), 128, np.uint8))
    (folder / "known" / "Ann Lee" / "text.jpg").write_text("no image")
    first = sorted((folder / "known" / "Ann Lee").glob("*.jpg"))[0]
    shutil.copyfile(first, folder / "known" / "Ann Lee" / "z-again.jpg")
    shutil.copyfile(first, folder / "known" / "张伟" / "ann.jpg")
    (folder / "known" / "loose.jpg").write_bytes(first.read_bytes())
    return folder, ["--model", y1], os.path.join(faces, "photos", "group.jpg")


@pytest.fixture(scope="module")
def gallery(world):
    folder, model, _ = world
    path = folder / "g.db"
    status, printed, errors = run("enroll", folder / "known", "--gallery", path, *model, "--json", folder / "done.json")
    assert status == 1, errors
    assert "15 photos of 5 people enrolled" in printed
    assert "by mobilefacenet-y1" in printed
    assert "above similarity" in printed
    with open(folder / "g.left_out.csv", encoding="utf-8", newline="") as file:
        rows = {row["file"]: row["reason"] for row in csv.DictReader(file)}
    ann = os.path.join("Ann Lee", "")
    assert {name: rows[name] for name in rows if rows[name] != "ambiguous"} == {
        "loose.jpg": "no person",
        ann + "text.jpg": "no image",
        ann + "wall.png": "no face",
        os.path.join("张伟", "ann.jpg"): "two people",
    }
    assert json.loads((folder / "done.json").read_text())["before"] == 1
    return path


def test_enrolled_photos_are_skipped(world, gallery):
    folder, model, _ = world
    status, printed, _ = run("enroll", folder / "known", "--gallery", gallery, *model)
    assert status == 1
    assert "0 photos of 0 people enrolled" in printed
    assert "16 photos were enrolled already" in printed
    assert "5 people, 15 photos" in printed


def test_an_old_report_is_removed_when_nothing_is_left_out(world, tmp_path):
    folder, model, _ = world
    shutil.copytree(folder / "known" / "张伟", tmp_path / "in" / "张伟")
    (tmp_path / "g.left_out.csv").write_text("old")
    os.unlink(tmp_path / "in" / "张伟" / "ann.jpg")
    status, _, errors = run("enroll", tmp_path / "in", "--gallery", tmp_path / "g.db", *model)
    rows = (tmp_path / "g.left_out.csv").read_text() if (tmp_path / "g.left_out.csv").exists() else ""
    assert status == 0
    assert "old" not in rows


def test_a_missing_folder_creates_no_gallery(world, tmp_path):
    assert "cannot be read" in refused("enroll", tmp_path / "none", "--gallery", tmp_path / "g.db")
    assert "no folders" in refused("enroll", world[0] / "new", "--gallery", tmp_path / "g.db")
    assert not os.listdir(tmp_path)


def test_blurred_faces_are_enrolled_only_on_request(world, tmp_path):
    folder, model, _ = world
    (photo,) = sorted((folder / "known" / "张伟").glob("*.jpg"))[-1:]
    image = cv2.imdecode(np.fromfile(str(photo), np.uint8), cv2.IMREAD_COLOR)
    os.makedirs(tmp_path / "people" / "Smear")
    # The face has about 10 pixels before the photo is enlarged again.
    small = cv2.resize(image, None, fx=0.08, fy=0.08, interpolation=cv2.INTER_AREA)
    cv2.imwrite(
        str(tmp_path / "people" / "Smear" / "a.jpg"), cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    )
    status, printed, _ = run("enroll", tmp_path / "people", "--gallery", tmp_path / "g.db", *model)
    assert status == 1
    assert "0 photos of 0 people enrolled" in printed
    rows = (tmp_path / "g.left_out.csv").read_text()
    assert 'a.jpg,blurred,"sharpness 0.0' in rows
    status, printed, _ = run("enroll", tmp_path / "people", "--gallery", tmp_path / "g.db", "--keep-poor", *model)
    assert "1 photo of 1 person enrolled" in printed


def test_people_on_photos_are_identified(world, gallery):
    folder, model, group = world
    out = ["--out", folder / "named", "--json", folder / "r.json"]
    status, printed, errors = run("identify", folder / "new", group, "--gallery", gallery, *model, *out)
    assert status == 0, errors
    found = json.loads((folder / "r.json").read_text())
    names = ["Ann Lee", "'; DROP TABLE people; --", "<img src=x onerror=alert(1)>", "张伟", "a\nb"]
    assert found["network"] == "mobilefacenet-y1"
    assert found["threshold"]["fpir"] == 0.01
    for picture in found["pictures"][:-1]:
        owner = names[int(os.path.basename(picture["file"]).split("-")[0])]
        assert owner in [face["name"] for face in picture["faces"]]
    # Six unknown people on one photo, listed from left to right.
    six = found["pictures"][-1]["faces"]
    assert [face["name"] for face in six] == [None] * 6
    assert [face["box"] for face in six] == sorted(face["box"] for face in six)
    assert printed.count("unknown") >= 6
    assert "a\\nb" in printed
    assert "mobilefacenet-y1; 5 people, 15 photos" in printed
    before, after = cv2.imread(group), cv2.imread(str(folder / "named" / "group.jpg"))
    assert before.shape == after.shape
    assert (np.abs(before.astype(int) - after) > 60).any()
    assert len(os.listdir(folder / "named")) == 11


def test_identify_accepts_a_threshold_and_writes_one_file(world, gallery, tmp_path):
    folder, model, group = world
    common = ["--gallery", gallery, *model]
    status, printed, _ = run("identify", group, *common, "--threshold", -1, "--out", tmp_path / "g.png", "--top", 1)
    assert status == 0
    assert " unknown " not in printed.split("candidates")[1]
    assert "given by the user" in printed
    assert cv2.imread(str(tmp_path / "g.png")) is not None
    photo = shutil.copyfile(group, tmp_path / "photo.jpg")
    assert "one of the photos that are read" in refused("identify", photo, *common, "--out", photo)
    assert "must end with .png or .jpg" in refused("identify", group, *common, "--out", tmp_path / "x.txt")
    status, _, errors = run("identify", folder / "known" / "Ann Lee" / "wall.png", group, *common)
    assert status == 1
    assert "wall.png: no face" in errors
    assert "is missing" in refused("identify", group, "--gallery", tmp_path / "none.db")
    assert "fpir must be" in refused("identify", group, *common, "--fpir", 0)
    assert "is missing" in refused("identify", tmp_path / "none.jpg", *common)


def test_photos_are_never_overwritten(world, gallery, tmp_path):
    folder, model, _ = world
    photo = sorted((folder / "new").iterdir())[0]
    for inside in ("a/1.jpg", "b/1.jpg", "dst/1.jpg"):
        os.makedirs((tmp_path / inside).parent)
        shutil.copyfile(photo, tmp_path / inside)
    common, before = ["--gallery", gallery, *model], (tmp_path / "dst" / "1.jpg").read_bytes()
    assert "not empty" in refused("identify", tmp_path / "a", *common, "--out", tmp_path / "dst")
    for place in (tmp_path / "a" / "1.jpg", tmp_path / "dst" / "1.jpg"):
        assert "one of the photos that are read" in refused(
            "search", tmp_path / "a" / "1.jpg", tmp_path / "dst", *model, "--out", place
        )
    assert "must end with .png" in refused("search", photo, tmp_path / "none.jpg", *model, "--out", tmp_path / "s.webp")
    assert "must be at least 1" in refused("search", photo, tmp_path / "a", *model, "--top", 0)
    assert (tmp_path / "dst" / "1.jpg").read_bytes() == (tmp_path / "a" / "1.jpg").read_bytes() == before
    assert run("identify", tmp_path / "a", tmp_path / "b", *common, "--out", tmp_path / "new")[0] == 0
    assert sorted(os.listdir(tmp_path / "new")) == ["1-2.jpg", "1.jpg"]


def test_frames_of_a_video_are_identified(world, gallery, tmp_path):
    folder, model, _ = world
    photo = cv2.imread(str(sorted((folder / "new").iterdir())[0]))
    photo = cv2.resize(photo, (320, 320 * photo.shape[0] // photo.shape[1] // 2 * 2))
    video = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, photo.shape[1::-1])
    for _ in range(25):
        video.write(photo)
    video.release()
    common = ["--gallery", gallery, *model, "--out", tmp_path / "frames", "--json", tmp_path / "r.json"]
    status, _, errors = run("identify", tmp_path / "v.avi", *common)
    assert status == 0, errors
    found = json.loads((tmp_path / "r.json").read_text())["pictures"]
    assert [row["file"][-8:] for row in found] == ["at 0.0 s", "at 1.0 s", "at 2.0 s"]
    assert all("Ann Lee" in [face["name"] for face in row["faces"]] for row in found)
    assert len(os.listdir(tmp_path / "frames")) == 3
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    status, _, errors = run("identify", tmp_path / "bad.mp4", "--gallery", gallery, *model)
    assert status == 1
    assert "the video cannot be opened" in errors


def test_a_person_is_found_in_a_folder(world, tmp_path):
    folder, model, group = world
    photo = sorted((folder / "new").iterdir())[0]
    out = ["--out", tmp_path / "s.png", "--json", tmp_path / "r.json", "--top", 4]
    status, printed, errors = run("search", photo, folder / "known", folder / "new", *model, *out)
    assert status == 1
    assert "text.jpg" in errors
    said_first = printed
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["found"][0]["similarity"] > 0.999
    assert len(found["found"]) == 4
    assert all("Ann Lee" in row["file"] or "0-" in row["file"] or "ann.jpg" in row["file"] for row in found["found"])
    status, printed, _ = run("search", group, folder / "new", *model, "--json", tmp_path / "g.json")
    probe = json.loads((tmp_path / "g.json").read_text())["photo"]
    assert "group.jpg shows 6 faces: the large face nearest the middle was used, box " in printed
    assert probe["faces"] == 6
    status, printed, _ = run("compare", group, photo, *model, "--json", tmp_path / "c.json")
    assert "group.jpg shows 6 faces" in printed
    assert [row["faces"] for row in json.loads((tmp_path / "c.json").read_text())["taken"]][0] == 6
    assert "same person" in said_first
    assert cv2.imread(str(tmp_path / "s.png")) is not None
    wall = folder / "known" / "Ann Lee" / "wall.png"
    assert "no face" in refused("search", wall, folder / "new", *model)
    assert "no photo shows a face" in refused("search", photo, wall, *model)


def test_an_interrupted_identification_leaves_no_images(world, gallery, monkeypatch, tmp_path):
    from gluonfr.apps.gallery import identifying

    identify, calls = identifying.identify_faces, []

    def interrupted(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return identify(*arguments, **options)

    monkeypatch.setattr(identifying, "identify_faces", interrupted)
    status, _, errors = run("identify", world[0] / "new", "--gallery", gallery, *world[1], "--out", tmp_path / "named")
    assert status == 130
    assert errors.endswith("gluonfr identify: interrupted; no partial files were left.\n")
    assert os.listdir(tmp_path) == []


def test_people_are_renamed_merged_removed_and_exported(world, gallery, tmp_path):
    folder, model, _ = world
    path = shutil.copyfile(gallery, tmp_path / "g.db")
    common = ["--gallery", path]
    assert run("people", *common, "--rename", "张伟", "Wei Zhang")[1].startswith("张伟 is now Wei Zhang, 3 photos")
    assert "is now Ann Lee" in run("people", *common, "--merge", "a\nb", "Ann Lee")[1]
    assert "'; DROP TABLE people; -- is removed" in run("people", *common, "--remove", "'; DROP TABLE people; --")[1]
    status, printed, _ = run("people", *common, "--json", tmp_path / "p.json")
    assert status == 0
    assert "3 people, 12 photos; embeddings of mobilefacenet-y1" in printed
    listed = {person["name"]: person["photos"] for person in json.loads((tmp_path / "p.json").read_text())}
    assert listed == {"Ann Lee": 6, "<img src=x onerror=alert(1)>": 3, "Wei Zhang": 3}
    assert "12 photos of 3 people" in run("people", *common, "--export", tmp_path / "out.npz")[1]
    assert "12 photos enrolled" in run("people", "--gallery", tmp_path / "new.db", "--import", tmp_path / "out.npz")[1]
    # An exported gallery can be evaluated.
    npz = ["--gallery", tmp_path / "out.npz", "--probes", tmp_path / "out.npz"]
    assert "12 images of 3 people in the gallery" in run("identification", *npz)[1]
    assert "'Bob' is not enrolled" in refused("people", *common, "--remove", "Bob")
    assert "is enrolled already" in refused("people", *common, "--rename", "Ann Lee", "Wei Zhang")
    assert "is missing" in refused("people", "--gallery", tmp_path / "none.db")


def test_a_network_other_than_that_of_the_gallery_is_refused(world, gallery):
    folder, _, group = world
    from gluonfr.weights.dlib import find_packaged_weights

    if not find_packaged_weights():
        pytest.skip("the free network is not installed")
    assert "has embeddings of mobilefacenet-y1" in refused("enroll", folder / "known", "--gallery", gallery)


def test_enroll_uses_the_network_of_the_gallery(world, gallery, tmp_path, monkeypatch):
    folder, _, _ = world
    from gluonfr.apps.gallery import gallery as galleries
    from gluonfr.weights.network_identity import find_same_stored_model

    seen = []
    monkeypatch.setattr(
        "gluonfr.weights.network_identity.find_same_stored_model",
        lambda card, root: seen.append(card.network) or find_same_stored_model(card, root),
    )
    # The network of the gallery is not stored, so the only network that is found is refused.
    run("enroll", folder / "known", "--gallery", gallery, "--models", tmp_path)
    assert len(seen) == 1
    (tmp_path / "empty.db").touch()
    assert galleries.gallery_exists(gallery)
    assert not galleries.gallery_exists(tmp_path / "empty.db")


def test_single_photos_are_listed_moved_and_removed(gallery, tmp_path):
    path = shutil.copyfile(gallery, tmp_path / "g.db")
    common = ["--gallery", path]
    listed = run("people", *common, "--show", "张伟")[1]
    source = next(word for word in listed.split() if word.startswith("张伟"))
    assert "moved from 张伟 to -x, 1 photo" in run("people", *common, "--move-photo", "张伟", source, "-x")[1]
    assert "-x is now Eve" in run("people", *common, "--rename", "-x", "Eve")[1]
    moved = run("people", *common, "--show", "Eve")[1].split()[-1]
    assert "removed from Eve, 1 photo" in run("people", *common, "--remove-photo", "Eve", moved)[1]
    assert "has no photo" in refused("people", *common, "--remove-photo", "张伟", source)
    assert "'--eve' is not enrolled" in refused("people", *common, "--remove", "--eve")


def test_photos_are_declared_as_photos_or_as_crops(world, tmp_path):
    folder, model, _ = world
    shutil.copytree(folder / "known" / "张伟", tmp_path / "in" / "张伟")
    os.unlink(tmp_path / "in" / "张伟" / "ann.jpg")
    assert run("enroll", tmp_path / "in", "--gallery", tmp_path / "g.db", *model, "--photos")[0] == 0
    assert run("cluster", tmp_path / "in", tmp_path / "sorted", *model, "--photos")[0] == 0
    assert "not allowed" in usage_error("enroll", tmp_path / "in", "--gallery", tmp_path / "g.db", "--photos", "--aligned")

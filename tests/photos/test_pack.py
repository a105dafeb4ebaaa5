import csv
import importlib.util
import io
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from rules import read_by_the_rules

from gluonfr.align import get_template
from gluonfr.core import GluonFRError
from gluonfr.data import RecordWriter, get_recognition_dataset
from gluonfr.data.identities import read_identities
from gluonfr.data.operations import split
from gluonfr.photos.packing import pack
from gluonfr.photos.packing.process_pool import run_in_processes
from gluonfr.photos.unpacking import unpack


class Dots:
    """Finds an upright face around every pure blue dot; the width of the dot determines the size of the face."""

    def detect(self, image):
        blue = (image.astype(int) @ (-1, -1, 1) > 150).astype(np.uint8)
        count, _, statistics, centers = cv2.connectedComponentsWithStats(blue)
        faces = sorted(
            ((statistics[i, cv2.CC_STAT_WIDTH] * 4.0, centers[i]) for i in range(1, count)), key=lambda found: -found[0]
        )
        boxes = [[*(center - side / 2), *(center + side / 2)] for side, center in faces]
        points = (np.array(get_template("arcface").points) - 56) / 112
        marks = [center + points * side for side, center in faces]
        return (
            np.array(boxes, np.float32).reshape(-1, 4),
            np.ones(len(faces), np.float32),
            np.array(marks, np.float32).reshape(-1, 5, 2),
        )


def photo(dots, size=(300, 400), color=(90, 90, 90)):
    """`dots`: (x, y, side of the dot, which is a quarter of the face's)."""
    image = np.full((*size, 3), color, np.uint8)
    for x, y, side in dots:
        cv2.rectangle(image, (x - side // 2, y - side // 2), (x + side // 2, y + side // 2), (0, 0, 255), -1)
    return image


def put(path, image, kind="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, kind)
    return path


def table(path):
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


def crops_of(folder):
    return {
        label: [cv2.imdecode(np.frombuffer(payload, np.uint8), 1)[:, :, ::-1] for payload in payloads]
        for label, payloads in read_by_the_rules(folder).items()
    }


def crop(seed, kind=".jpg", size=(112, 112)):
    image = cv2.resize(np.random.RandomState(seed).randint(0, 256, (4, 4, 3), np.uint8), size[::-1])
    return cv2.imencode(kind, image)[1].tobytes()


def aligned(folder, people, first=0):
    """A folder of crops: `people` maps names to numbers of images."""
    for name, count in people.items():
        Path(folder, name).mkdir(parents=True)
        for i in range(count):
            Path(folder, name, f"{i:03d}.jpg").write_bytes(crop(first + i))
        first += count
    return Path(folder)


def require_detector():
    if importlib.util.find_spec("mtcnn") is None:
        pytest.skip("the package mtcnn, whose weights the detector uses, is not installed")


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_main_face_of_each_photo_is_aligned_and_packed(tmp_path):
    photos = tmp_path / "photos"
    put(photos / "b" / "one.png", photo([(200, 150, 25)]))
    # The large face in the center is the subject; it is marked by a green frame around the dot.
    several = photo([(60, 60, 10), (220, 160, 25)])
    cv2.rectangle(several, (180, 120), (260, 200), (0, 255, 0), 3)
    put(photos / "a" / "several.png", several)
    put(photos / "a" / "twins.png", photo([(120, 150, 25), (280, 150, 25)]))
    put(photos / "a" / "none.png", photo([]))
    put(photos / "a" / "tiny.png", photo([(200, 150, 4)]))
    packed = pack(photos, tmp_path / "out", detector=Dots(), workers=0)
    assert (packed.images, packed.identities) == (3, 2)
    assert [row[:2] for row in packed.left_out] == [("a/none.png", "no face"), ("a/tiny.png", "too small")]
    assert packed.ambiguous == ["a/twins.png"] == [row[0] for row in table(tmp_path / "out" / "ambiguous.csv")]
    assert table(tmp_path / "out" / "left_out.csv") == packed.left_out
    found = crops_of(tmp_path / "out")
    assert [len(found[label]) for label in (0, 1)] == [2, 1]
    for image in [*found[0], *found[1]]:
        assert image.shape == (112, 112, 3)
        # The dot, a quarter of the face, is in the center of the crop.
        assert image[56, 56, 2] > 200 > image[56, 56, 0] + 100
        assert image[56, 90, 2] < 150
    green = found[0][0].astype(int)[:, :, 1] - found[0][0][:, :, 0]
    assert green[56, 10:30].max() > 100
    assert green[5].max() < 50
    assert read_identities(tmp_path / "out") == {0: "a", 1: "b"}
    data = get_recognition_dataset("out", root=tmp_path)
    assert len(data) == 3
    assert data.num_classes == 2
    assert data[0][0].shape == (112, 112, 3)
    sheet = cv2.imread(str(tmp_path / "out" / "sample.png"))
    assert sheet is not None
    assert sheet.shape[1] > 300
    assert sorted(os.listdir(tmp_path / "out")) == sorted(
        ["train.rec", "train.idx", "property", "identities.csv", "left_out.csv", "ambiguous.csv", "sample.png"]
    )


def test_exif_orientation_is_applied_before_detection(tmp_path):
    image = photo([(300, 100, 25)])
    cv2.rectangle(image, (280, 40), (320, 70), (255, 0, 0), -1)
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "photos" / "a").mkdir(parents=True)
    Image.fromarray(np.rot90(image)).save(tmp_path / "photos" / "a" / "x.png", exif=exif)
    pack(tmp_path / "photos", tmp_path / "out", detector=Dots(), workers=0)
    (image,) = crops_of(tmp_path / "out")[0]
    red = image.astype(int)[:, :, 0] - image[:, :, 2]
    assert red[:40, 40:70].max() > 100
    assert red[70:].max() < 60


def test_crops_have_the_size_of_the_template(tmp_path):
    put(tmp_path / "photos" / "a" / "x.png", photo([(200, 150, 25)]))
    for template, size in (("arcface_96x112", (112, 96)), ("dlib", (150, 150))):
        pack(tmp_path / "photos", tmp_path / template, detector=Dots(), workers=0, template=template)
        assert get_recognition_dataset(template, root=tmp_path)[0][0].shape == (*size, 3)


def test_unusable_files_are_listed_and_the_others_are_packed(tmp_path):
    photos, good = tmp_path / "photos", photo([(200, 150, 25)])
    names = ["with space.png", "qu'ote\".png", "张伟.png", os.fsdecode(b"latin-\xe9\xff.png"), "new\nline.png", "-rf.png"]
    for shade, name in enumerate(names):
        put(photos / f"person {name}" / name, np.where(good == 90, 90 + shade, good).astype(np.uint8))
    bad = photos / "z"
    put(bad / "deep" / "er" / "x.png", photo([(200, 150, 30)]))
    (bad / "text.jpg").write_text("no image")
    (bad / "cut.png").write_bytes((bad / "deep" / "er" / "x.png").read_bytes()[:300])
    (bad / "empty.jpg").write_bytes(b"")
    os.mkfifo(bad / "pipe.jpg")
    put(bad / "dot.png", good[:8, :8])
    (bad / "link").symlink_to(tmp_path)
    (bad / ".hidden.jpg").write_text("ignored")
    (bad / "Thumbs.db").write_text("ignored")
    (photos / "nobody.jpg").write_bytes(b"x")
    (photos / "empty person").mkdir()
    # A GIF that announces 65535 x 65535 pixels.
    (bad / "bomb.gif").write_bytes(
        b"GIF89a" + b"\xff" * 4 + b"\x80\0\0" + bytes(6) + b",\0\0\0\0" + b"\xff" * 4 + b"\0\x02\x02D\x01\0;"
    )
    packed = pack(photos, tmp_path / "out", detector=Dots(), workers=0)
    assert {row[0]: row[1] for row in packed.left_out} == {
        "nobody.jpg": "no person",
        "empty person": "no photo left",
        "z/text.jpg": "no image",
        "z/cut.png": "unreadable",
        "z/empty.jpg": "unreadable",
        "z/pipe.jpg": "unreadable",
        "z/dot.png": "too small",
        "z/link": "no image",
        "z/bomb.gif": "too large",
    }
    assert table(tmp_path / "out" / "left_out.csv") == packed.left_out
    assert packed.images == len(names) + 1
    people = sorted([os.fsencode(f"person {name}") for name in names] + [b"z"])
    assert read_identities(tmp_path / "out") == {label: os.fsdecode(name) for label, name in enumerate(people)}


def test_duplicates_and_photos_of_two_people_are_left_out(tmp_path):
    photos = aligned(tmp_path / "photos", {"a": 3, "b": 2, "c": 1})
    shutil.copy(photos / "a" / "000.jpg", photos / "a" / "005.jpg")
    shutil.copy(photos / "a" / "001.jpg", photos / "b" / "009.jpg")
    shutil.copy(photos / "b" / "000.jpg", photos / "c" / "000.jpg")
    packed = pack(photos, tmp_path / "out", aligned=True, workers=0)
    assert packed.left_out == [
        ("a/001.jpg", "two people", "the same bytes as b/009.jpg"),
        ("a/005.jpg", "duplicate", "the same bytes as a/000.jpg"),
        ("b/000.jpg", "two people", "the same bytes as c/000.jpg"),
        ("b/009.jpg", "two people", "the same bytes as a/001.jpg"),
        ("c", "no photo left", "of this person"),
        ("c/000.jpg", "two people", "the same bytes as b/000.jpg"),
    ]
    assert packed.images == 3
    assert read_identities(tmp_path / "out") == {0: "a", 1: "b"}
    packed = pack(photos, tmp_path / "all", aligned=True, workers=0, keep_duplicates=True)
    assert packed.images == 8
    assert not packed.left_out
    assert packed.identities == 3


def test_aligned_images_keep_their_bytes_or_are_resized(tmp_path):
    photos = tmp_path / "photos" / "a"
    photos.mkdir(parents=True)
    jpeg, png = crop(0), crop(1, ".png")
    larger = np.tile(np.arange(224, dtype=np.uint8)[:, None, None], (1, 224, 3))
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = io.BytesIO()
    gradient = np.ascontiguousarray(np.tile(np.arange(112, dtype=np.uint8)[:, None, None] * 2, (1, 112, 3)))
    Image.fromarray(gradient).save(turned, "JPEG", exif=exif, quality=95)
    for name, content in {
        "0.jpg": jpeg,
        "1.png": png,
        "2.png": cv2.imencode(".png", larger)[1].tobytes(),
        "3.jpg": turned.getvalue(),
        "4.png": crop(2, ".png", (112, 96)),
        "5.jpg": jpeg[:-300],
        "6.bmp": crop(3, ".bmp"),
    }.items():
        (photos / name).write_bytes(content)
    packed = pack(tmp_path / "photos", tmp_path / "out", aligned=True, workers=0)
    assert [row[:2] for row in packed.left_out] == [("a/4.png", "wrong shape"), ("a/5.jpg", "unreadable")]
    payloads = read_by_the_rules(tmp_path / "out")[0]
    assert payloads[0] == jpeg
    assert payloads[1] == png
    images = crops_of(tmp_path / "out")[0]
    assert np.abs(images[2][:, 50, 0].astype(int) - np.arange(112) * 2).max() <= 3
    assert np.abs(images[3][:, 50, 0].astype(int) - gradient[::-1, 50, 0]).max() <= 3
    assert payloads[4].startswith(b"\xff\xd8")
    assert np.abs(images[4].astype(int) - cv2.imdecode(np.frombuffer(crop(3), np.uint8), 1)[:, :, ::-1]).mean() < 3
    packed = pack(tmp_path / "photos", tmp_path / "small", aligned=True, image_size=(56, 48), workers=0)
    assert [row[0] for row in packed.left_out] == ["a/0.jpg", "a/1.png", "a/2.png", "a/3.jpg", "a/5.jpg", "a/6.bmp"]


@pytest.mark.parametrize("names", [None, {0: "zoë", 3: "Ann", 4: "张 伟"}])
def test_records_to_folders_to_records_keeps_every_byte(tmp_path, names):
    with RecordWriter(tmp_path / "in") as writer:
        for seed, label in enumerate([0, 0, 3, 3, 3, 4]):
            writer.add(crop(0 if seed == 4 else seed, ".png" if seed == 1 else ".jpg"), label)
        writer.add(crop(9), 12)
    if names:
        rows = "".join(f"{label},{name},1\n" for label, name in {**names, 12: "last"}.items())
        (tmp_path / "in" / "identities.csv").write_text("label,name,images\n" + rows, encoding="utf-8")
    unpack(tmp_path / "in", tmp_path / "folders")
    packed = pack(tmp_path / "folders", tmp_path / "out", aligned=True, keep_duplicates=True, workers=0)
    assert not packed.left_out
    for name in ("train.rec", "train.idx", "property"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "in" / name).read_bytes()
    # A new person gets the next label.
    aligned(tmp_path / "folders" / "..", {"folders/aaa": 1}, first=50)
    pack(tmp_path / "folders", tmp_path / "more", aligned=True, keep_duplicates=True, workers=0)
    assert read_identities(tmp_path / "more")[13] == "aaa"
    assert len(read_identities(tmp_path / "more")) == 5


@pytest.mark.system
def test_real_records_survive_the_round_trip(faces, tmp_path):
    split(os.path.join(faces, "celeb"), tmp_path / "some", tmp_path / "rest", identities=12)
    unpack(tmp_path / "some", tmp_path / "folders")
    packed = pack(tmp_path / "folders", tmp_path / "out", aligned=True, keep_duplicates=True, workers=2)
    assert not packed.left_out
    assert packed.identities == 12
    assert (tmp_path / "out" / "train.rec").read_bytes() == (tmp_path / "some" / "train.rec").read_bytes()


@pytest.mark.system
def test_real_photos_become_a_training_set(faces, tmp_path):
    require_detector()
    people = os.path.join(faces, "photos", "people")
    packed = pack(people, tmp_path / "out", workers=1)
    assert packed.identities == 24
    assert packed.images >= 150
    found = read_by_the_rules(tmp_path / "out")
    assert sum(map(len, found.values())) == packed.images == 168 - len(packed.left_out)
    assert list(read_identities(tmp_path / "out").values()) == sorted(os.listdir(people))


@pytest.mark.full
def test_the_number_of_workers_changes_no_byte(faces, tmp_path):
    require_detector()
    people = os.path.join(faces, "photos", "people")
    for workers in (1, 2, 3):
        pack(people, tmp_path / str(workers), workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "3")


def test_finished_set_is_replaced_only_with_overwrite(tmp_path):
    photos = aligned(tmp_path / "photos", {"a": 2, "b": 1})
    pack(photos, tmp_path / "out", aligned=True, workers=0)
    before = contents(tmp_path / "out")
    (photos / "a" / "001.jpg").unlink()
    with pytest.raises(GluonFRError, match="overwrite=True to replace it"):
        pack(photos, tmp_path / "out", aligned=True, workers=0)
    assert contents(tmp_path / "out") == before
    pack(photos, tmp_path / "out", aligned=True, workers=0, overwrite=True)
    pack(photos, tmp_path / "fresh", aligned=True, workers=0)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh") != before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"template": "none"}, "none"),
        ({"image_size": (112, 96)}, "aligned images only"),
        ({"aligned": True, "image_size": (4, 4)}, "from 16"),
        ({"aligned": True, "image_size": (112,)}, "height and width"),
        ({"workers": -1}, "workers"),
        ({"min_face": -1}, "min_face"),
        ({"quality": 0}, "quality"),
        ({"detector": "nothing"}, "nothing"),
    ],
)
def test_invalid_options_are_rejected(tmp_path, options, words):
    photos = aligned(tmp_path / "photos", {"a": 1})
    with pytest.raises(GluonFRError, match=words):
        pack(photos, tmp_path / "out", **{"workers": 0, **options})
    assert not (tmp_path / "out" / "train.rec").exists()


def test_unusable_folders_are_rejected(tmp_path):
    photos = aligned(tmp_path / "photos", {"a": 1})
    (tmp_path / "bare").mkdir()
    (tmp_path / "hollow" / "a").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    for source, out, words in (
        ("missing", "out", "No such file"),
        ("file", "out", "Not a directory"),
        ("bare", "out", "no folders"),
        ("hollow", "out", "no photo in its folders"),
        ("photos", "photos/out", "lies in the folder of photos"),
        ("photos", "photos", "lies in the folder of photos"),
        ("photos", "file", "cannot be written"),
        ("photos", "file/out", "cannot be written"),
    ):
        with pytest.raises(GluonFRError, match=words) as caught:
            pack(tmp_path / source, tmp_path / out, aligned=True, workers=0)
        assert len(str(caught.value).splitlines()) == 1
    assert sorted(os.listdir(tmp_path)) == ["bare", "file", "hollow", "photos"]
    assert sorted(os.listdir(photos)) == ["a"]


def test_folder_without_any_face_reports_the_reasons(tmp_path):
    put(tmp_path / "photos" / "a" / "x.png", photo([]))
    with pytest.raises(GluonFRError, match="1 no face"):
        pack(tmp_path / "photos", tmp_path / "out", detector=Dots(), workers=0)
    assert not (tmp_path / "out" / "train.rec").exists()
    assert table(tmp_path / "out" / "left_out.csv")[0][:2] == ("a", "no photo left")


def in_a_child(work):
    """Exit status of `work()` in a forked process: 0, 1 when it raised GluonFRError (printed to a file), 2 for other errors."""
    child = os.fork()
    if not child:
        status = 2
        try:
            status = work() or 0
        finally:
            os._exit(status)
    return (
        os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if hasattr(os, "waitstatus_to_exitcode") else os.waitpid(child, 0)[1]
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its user")
def test_files_without_permission_are_left_out():
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        photos = aligned(folder / "photos", {"a": 2, "b": 1, "c": 1})
        os.chmod(folder, 0o777)
        os.chmod(photos / "a" / "001.jpg", 0)
        os.chmod(photos / "b", 0)
        (folder / "locked").mkdir(mode=0o755)

        def work():
            os.setgid(65534)
            os.setuid(65534)
            packed = pack(photos, folder / "out", aligned=True, workers=0)
            assert [row[:2] for row in packed.left_out] == [
                ("a/001.jpg", "unreadable"),
                ("b", "unreadable"),
                ("b", "no photo left"),
            ]
            assert "Permission" in packed.left_out[0][2]
            assert packed.identities == 2
            for source, out in ((photos, folder / "locked" / "out"), (photos / "b", folder / "out2")):
                with pytest.raises(GluonFRError, match="Permission denied"):
                    pack(source, out, aligned=True, workers=0)

        assert in_a_child(work) == 0
        assert len(read_by_the_rules(folder / "out")) == 2
    finally:
        os.chmod(folder / "photos" / "b", 0o755)
        shutil.rmtree(folder)


@pytest.fixture(params=[40, 90, 150])
def tiny_disk(tmp_path, request):
    """A file system of this many kilobytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={request.param}k", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_full_disk_is_reported_and_the_run_resumes_when_there_is_room(tiny_disk, tmp_path):
    photos = aligned(tmp_path / "photos", {"a": 20, "b": 20})
    pack(photos, tmp_path / "reference", aligned=True, workers=0)
    size = sum(len(content) for content in contents(tmp_path / "reference").values())
    assert size > 150_000
    with pytest.raises(GluonFRError, match="No space left on device"):
        pack(photos, tiny_disk / "out", aligned=True, workers=0)
    assert not (tiny_disk / "out" / "train.rec").exists()
    subprocess.run(["mount", "-o", "remount,size=4m", str(tiny_disk)], check=True)
    packed = pack(photos, tiny_disk / "out", aligned=True, workers=0)
    assert contents(tiny_disk / "out") == contents(tmp_path / "reference")
    assert packed.done_before > 0


class Deadly:
    """Ends the process at item 3 always, at item 5 the first time."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self):
        return self.work

    def work(self, item):
        mark = os.path.join(self.folder, str(item))
        if item == 3 or (item == 5 and not os.path.exists(mark)):
            open(mark, "w").close()
            os._exit(1)
        return item * item


class Unusable:
    def __init__(self, error):
        self.error = error

    def __call__(self):
        if self.error is None:
            os._exit(3)
        raise self.error


@pytest.mark.system
def test_photo_that_crashes_its_process_does_not_affect_others(tmp_path):
    results = dict(run_in_processes(Deadly(str(tmp_path)), range(12), 2, crashed="crashed"))
    assert results.pop(3) == "crashed"
    assert results == {item: item * item for item in range(12) if item != 3}


@pytest.mark.system
def test_workers_that_cannot_start_end_the_run():
    with pytest.raises(GluonFRError, match="no weights"):
        list(run_in_processes(Unusable(GluonFRError("no weights")), range(3), 2))
    with pytest.raises(RuntimeError, match="KeyError"):
        list(run_in_processes(Unusable(KeyError("x")), range(3), 1))
    with pytest.raises(GluonFRError, match="exit code 3"):
        list(run_in_processes(Unusable(None), range(3), 1))

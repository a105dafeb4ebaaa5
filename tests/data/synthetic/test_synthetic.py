import hashlib
import os
import pickle
import signal
import subprocess
import sys

import cv2
import mxnet as mx
import numpy as np
import psutil
import pytest
from sklearn.model_selection import KFold

from gluonfr.core import GluonFRError
from gluonfr.data.synthetic import make_dataset, render

IDENTITIES, IMAGES, OTHERS, PAIRS, SEED = 6, 4, 24, 120, 5


def digest(picture):
    return hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()


def decoded(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "synthetic"
    make_dataset(str(folder), IDENTITIES, IMAGES, OTHERS, PAIRS, seed=SEED, workers=1, progress=False)
    return folder


@pytest.fixture(scope="module")
def val(made):
    with open(made / "val_data.bin", "rb") as file:
        encoded, issame = pickle.load(file)
    return [decoded(data) for data in encoded], issame


def test_render_returns_rgb_of_the_requested_size():
    for size in (32, 112, 150):
        picture = render(3, 4, size=size)
        assert picture.shape == (size, size, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 5


def test_channels_are_in_rgb_order():
    # No skin is blue: averaged over many people, the middle of the face has more red than blue.
    faces = np.mean([render(i, 0)[60:90, 40:72].reshape(-1, 3).mean(0) for i in range(30)], axis=0)
    assert faces[0] > faces[2] + 20


def test_an_image_is_the_same_in_another_process_and_order():
    asked = [(0, 0), (7, 3), (0, 1), (2**63, 2**62), (7, 2)]
    code = (
        "import hashlib; from gluonfr.data.synthetic import render\n"
        f"for i, k in {asked!r}: print(hashlib.sha256(render(i, k, seed=9).tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    here = {key: digest(render(*key, seed=9)) for key in reversed(asked)}
    assert there == [here[key] for key in asked]
    assert len(set(there)) == len(asked)


def test_identity_image_and_seed_change_the_image():
    pictures = [render(1, 1), render(1, 2), render(2, 1), render(1, 1, seed=1), render(1 + 2**32, 1), render(1, 1 + 2**32)]
    assert len({digest(picture) for picture in pictures}) == len(pictures)


def test_average_images_identify_the_person():
    people, images = 14, 20
    pictures = np.array([[render(i, k) for k in range(images)] for i in range(people)], dtype=np.float64)
    first, second = (half.reshape(people, -1) for half in (pictures[:, ::2].mean(1), pictures[:, 1::2].mean(1)))
    first, second = (half - half.mean(1, keepdims=True) for half in (first, second))
    first, second = (half / np.linalg.norm(half, axis=1, keepdims=True) for half in (first, second))
    nearest = np.argmax(first @ second.T, axis=1)
    assert np.sum(nearest == np.arange(people)) >= people - 3
    # A single image must not be enough, or there would be nothing to learn.
    single = pictures.reshape(people * images, -1)
    distance = np.linalg.norm(single[:, None, ::97] - single[None, :, ::97], axis=2)
    np.fill_diagonal(distance, np.inf)
    owner = np.arange(people * images) // images
    assert np.mean(owner[np.argmin(distance, axis=1)] == owner) < 0.6


def test_training_records_are_read_by_mxnet(made):
    assert (made / "property").read_text().split("\n")[0] == f"{IDENTITIES},112,112"
    reader = mx.recordio.MXIndexedRecordIO(str(made / "train.idx"), str(made / "train.rec"), "r")
    header, payload = mx.recordio.unpack(reader.read_idx(0))
    first, last = (int(number) for number in header.label)
    assert payload == b""
    assert (first, last) == (IDENTITIES * IMAGES + 1, IDENTITIES * IMAGES + IDENTITIES + 1)
    for key in range(1, first):
        header, payload = mx.recordio.unpack(reader.read_idx(key))
        assert header.flag == 0
        assert header.label == (key - 1) // IMAGES
        assert np.array_equal(decoded(payload), render((key - 1) // IMAGES, (key - 1) % IMAGES, seed=SEED))


def test_verification_people_are_not_in_the_training_set(val):
    pictures, issame = val
    training = {digest(render(i, k, seed=SEED)) for i in range(IDENTITIES) for k in range(IMAGES)}
    found = [digest(picture) for picture in pictures]
    assert len(set(found)) == len(found) == 2 * PAIRS
    assert not training & set(found)
    # The identities of the pairs, found by rendering the people after the training set again.
    owner = {digest(render(i, k, seed=SEED)): i for i in range(IDENTITIES, IDENTITIES + OTHERS) for k in range(22)}
    people = np.array([owner[index] for index in found]).reshape(-1, 2)
    assert np.array_equal(people[:, 0] == people[:, 1], issame)
    assert set(people.ravel()) == set(range(IDENTITIES, IDENTITIES + OTHERS))
    folds = [set(people[held].ravel()) for _, held in KFold(10, shuffle=False).split(people)]
    assert sum(len(fold) for fold in folds) == OTHERS


def test_every_fold_has_genuine_then_impostor_pairs(val):
    _, issame = val
    half = PAIRS // 20
    assert len(issame) == PAIRS
    assert all(type(flag) is bool for flag in issame)
    for _, held in KFold(10, shuffle=False).split(issame):
        assert [issame[i] for i in held] == [True] * half + [False] * half


def test_files_do_not_depend_on_the_number_of_processes(made, tmp_path):
    # A call that starts OpenCV's threads here must not hang the processes forked afterwards.
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (0, 0), 3)
    make_dataset(str(tmp_path / "b"), IDENTITIES, IMAGES, OTHERS, PAIRS, seed=SEED, workers=3, progress=False)
    assert contents(tmp_path / "b") == contents(made)


def test_images_do_not_depend_on_their_number(made, tmp_path):
    make_dataset(str(tmp_path / "more"), IDENTITIES + 1, IMAGES + 2, 20, 20, seed=SEED, workers=1, progress=False)
    more = mx.recordio.MXIndexedRecordIO(str(tmp_path / "more" / "train.idx"), str(tmp_path / "more" / "train.rec"), "r")
    fewer = mx.recordio.MXIndexedRecordIO(str(made / "train.idx"), str(made / "train.rec"), "r")
    for i in range(IDENTITIES):
        for k in range(IMAGES):
            one = mx.recordio.unpack(fewer.read_idx(1 + i * IMAGES + k))[1]
            other = mx.recordio.unpack(more.read_idx(1 + i * (IMAGES + 2) + k))[1]
            assert one == other


@pytest.mark.system
def test_raw_pixels_do_not_verify_people(tmp_path):
    make_dataset(str(tmp_path / "set"), 2, 1, 100, 600, workers=1, progress=False)
    with open(tmp_path / "set" / "val_data.bin", "rb") as file:
        encoded, issame = pickle.load(file)
    issame = np.array(issame)
    pixels = np.array([decoded(data) for data in encoded], dtype=np.float32)
    vectors = (pixels + pixels[:, :, ::-1]).reshape(len(pixels), -1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = np.sum(np.square(vectors[0::2] - vectors[1::2]), axis=1)
    accuracies = []
    for train, held in KFold(10, shuffle=False).split(distances):
        best, best_accuracy = None, -1
        for threshold in np.arange(0, 4, 0.01):
            accuracy = np.mean((distances[train] < threshold) == issame[train])
            if accuracy > best_accuracy:
                best, best_accuracy = threshold, accuracy
        accuracies.append(np.mean((distances[held] < best) == issame[held]))
    assert 0.52 < np.mean(accuracies) < 0.75


def children_named(folder):
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


# Prints a line when 30 images are written.
RUN = """
from gluonfr.data.records.writer import RecordWriter
from gluonfr.data.synthetic import make_dataset

add = RecordWriter.add


def add_and_report(writer, image, label):
    add(writer, image, label)
    if len(writer) == 30:
        print("30 images", flush=True)


RecordWriter.add = add_and_report
make_dataset(FOLDER, 500, 20, workers=2)
"""


def start_run(folder):
    command = [sys.executable, "-c", RUN.replace("FOLDER", repr(str(folder)))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline() == "30 images\n"
    return process


@pytest.mark.system
def test_a_killed_run_leaves_no_set_and_no_process(tmp_path):
    with start_run(tmp_path / "set") as process:
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
    assert len(workers) == 2
    assert children_named(tmp_path) == []
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive


@pytest.mark.system
def test_an_interrupted_run_keeps_the_previous_set(made, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for name, data in contents(made).items():
        (folder / name).write_bytes(data)
    with start_run(folder) as process:
        process.send_signal(signal.SIGINT)
    assert process.returncode != 0
    assert os.listdir(tmp_path) == ["set"]
    assert contents(folder) == contents(made)


def test_an_existing_synthetic_set_is_replaced(made, tmp_path):
    folder = tmp_path / "set"
    make_dataset(str(folder), 2, 1, 20, 20, workers=1, progress=False)
    make_dataset(str(folder), IDENTITIES, IMAGES, OTHERS, PAIRS, seed=SEED, workers=1, progress=False)
    assert contents(folder) == contents(made)


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(GluonFRError, match="thesis.tex"):
        make_dataset(str(tmp_path), 2, 1, 20, 20, progress=False)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_file_at_the_path_of_the_folder_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    for place in ("taken", "taken/set"):
        with pytest.raises(GluonFRError, match="taken"):
            make_dataset(str(tmp_path / place), 2, 1, 20, 20, workers=1, progress=False)


@pytest.mark.parametrize(
    "arguments",
    [
        {"identities": 1},
        {"identities": 2.5},
        {"identities": 2**25},
        {"images_per_identity": 0},
        {"val_identities": 19},
        {"val_pairs": 0},
        {"val_pairs": 50},
        {"seed": -1},
        {"seed": 2**64},
        {"seed": "0"},
        {"workers": 0},
        {"workers": True},
    ],
)
def test_invalid_arguments_of_make_dataset_are_rejected(arguments, tmp_path):
    (name,) = arguments
    with pytest.raises(GluonFRError, match=f"^{name} must be ") as caught:
        make_dataset(str(tmp_path / "set"), **dict({"progress": False}, **arguments))
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"identity": -1},
        {"identity": 1.0},
        {"image": -1},
        {"image": 2**64},
        {"seed": None},
        {"size": 0},
        {"size": "112"},
        {"size": 5000},
    ],
)
def test_invalid_arguments_of_render_are_rejected(arguments):
    (name,) = arguments
    with pytest.raises(GluonFRError, match=f"^{name} must be "):
        render(**dict({"identity": 0, "image": 0}, **arguments))


def test_numpy_integers_are_accepted():
    assert digest(render(np.int64(2), np.uint8(3), seed=np.uint64(4), size=np.int32(64))) == digest(render(2, 3, 4, 64))

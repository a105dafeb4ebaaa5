import collections
import logging
import multiprocessing
import os
import pickle
import random
import zlib
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon.data import DataLoader
from record_sets import put_records

from gluonfr.core import DataError, GluonFRError
from gluonfr.data import (
    FRTrainRecordDataset,
    FRValDataset,
    RecordFile,
    RecordLoader,
    RecordWriter,
    dataset,
    get_recognition_dataset,
    list_recognition_datasets,
    synthetic,
    write_pairs,
)
from gluonfr.data.dataset.lookup import get_training_set, get_verification_set

LOADERS = {"one process": {}, "two forked workers": {"num_workers": 2}, "threads": {"num_workers": 2, "thread_pool": True}}


def picture(seed, size=(112, 112)):
    small = np.random.RandomState(seed).randint(0, 256, (4, 4, 3), dtype=np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_LINEAR)


def jpeg(seed, size=(112, 112)):
    return cv2.imencode(".jpg", picture(seed, size)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def put_set(root, name="set", labels=(0, 0, 1, 1, 2, 2), size=(112, 112)):
    with RecordWriter(os.path.join(str(root), name), image_size=size) as writer:
        for i, label in enumerate(labels):
            writer.add(jpeg(i, size), label)
    return Path(str(root), name)


def only_first(image, label):
    return image[:2, :2], label


def test_items_of_a_real_set_are_its_images_and_labels(faces):
    train = get_recognition_dataset("celeb", root=faces)
    assert type(train) is FRTrainRecordDataset
    assert (len(train), train.num_classes, train.image_size) == (5967, 293, (112, 112))
    reader = RecordFile(os.path.join(faces, "celeb", "train.rec"))
    for i in (0, 1, 4000, 5966):
        image, label = train[i]
        expected = cv2.imdecode(np.frombuffer(reader.read(i)[1], np.uint8), 1)[:, :, ::-1]
        assert isinstance(image, mx.nd.NDArray)
        assert image.dtype == np.uint8
        assert (image.asnumpy() == expected).all()
        assert label == reader.read(i)[0]
        assert np.asarray(label).dtype == np.float32
    assert (train[-1][0].asnumpy() == train[5966][0].asnumpy()).all()
    assert (train.labels == reader.labels).all()
    assert train.skipped == []
    with pytest.raises(IndexError):
        train[5967]
    assert len(train.identities) == 293
    assert all((train.labels[items] == k).all() and (np.diff(items) > 0).all() for k, items in enumerate(train.identities))
    assert sorted(np.concatenate(train.identities)) == list(range(5967))


def digest(image, label):
    return zlib.crc32(image.tobytes()), int(label)


@pytest.mark.parametrize("kind", LOADERS)
def test_every_loader_returns_the_records_of_a_real_set(faces, kind):
    train = FRTrainRecordDataset("celeb", root=faces)
    reader = RecordFile(os.path.join(faces, "celeb", "train.rec"))
    chosen = list(range(0, 5967, 12))
    expected = collections.Counter()
    for i in chosen:
        label, payload = reader.read(i)
        expected[digest(cv2.cvtColor(cv2.imdecode(np.frombuffer(payload, np.uint8), 1), cv2.COLOR_BGR2RGB), label)] += 1
    found = collections.Counter()
    for images, labels in DataLoader(train, 64, sampler=np.random.RandomState(0).permutation(chosen).tolist(), **LOADERS[kind]):
        assert images.dtype == np.uint8
        assert images.shape[1:] == (112, 112, 3)
        assert labels.dtype == np.float32
        found.update(digest(image, label) for image, label in zip(images.asnumpy(), labels.asnumpy()))
    assert found == expected
    assert sum(found.values()) == len(chosen)


@pytest.mark.parametrize("kind", LOADERS)
def test_every_loader_returns_the_pairs_of_a_real_set(faces, kind):
    def flip(image):
        return mx.nd.flip(image, axis=1)

    with open(os.path.join(faces, "small_lfw.bin"), "rb") as file:
        payloads, flags = pickle.load(file, encoding="bytes")
    expected = [cv2.imdecode(payload, 1)[:, ::-1, ::-1] for payload in payloads]
    pairs = FRValDataset("small_lfw", root=faces, transform=flip)
    assert len(pairs) == 10
    assert pairs.issame == flags
    assert pairs.image_size == (112, 112)
    firsts, seconds, same = [], [], []
    for (first, second), issame in DataLoader(pairs, 4, **LOADERS[kind]):
        firsts.extend(first.asnumpy())
        seconds.extend(second.asnumpy())
        same.extend(issame.asnumpy().tolist())
    assert np.array_equal(firsts, expected[0::2])
    assert np.array_equal(seconds, expected[1::2])
    assert same == flags


def test_a_transform_is_called_with_image_and_label(tmp_path):
    put_set(tmp_path)
    to_tensor = mx.gluon.data.vision.transforms.ToTensor()

    def transform(image, label):
        assert isinstance(image, mx.nd.NDArray)
        assert image.dtype == np.uint8
        return to_tensor(image), label + 10

    train = get_recognition_dataset("set", root=tmp_path, transform=transform)
    image, label = train[2]
    assert image.shape == (3, 112, 112)
    assert image.dtype == np.float32
    assert label == 11
    expected = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg(2), np.uint8), 1), cv2.COLOR_BGR2RGB)
    assert np.abs(image.asnumpy().transpose(1, 2, 0) * 255 - expected).max() < 1e-4


class Draw:
    """A transform that draws a number from every global generator."""

    def __call__(self, *_):
        return np.array([np.random.rand(), random.random(), mx.nd.random.uniform().asscalar()]), 0


def draws(data, workers, epochs=2):
    loader = DataLoader(data, 3, num_workers=workers)
    return np.stack([np.concatenate([batch.asnumpy() for batch, _ in loader]) for _ in range(epochs)])


def seed_all(seed):
    np.random.seed(seed)
    random.seed(seed)
    mx.random.seed(seed)


def test_forked_workers_draw_different_numbers(tmp_path):
    put_set(tmp_path, labels=[0] * 24, size=(16, 16))
    drawn = draws(FRTrainRecordDataset("set", root=tmp_path, transform=Draw()), 2)
    assert drawn.shape == (2, 24, 3)
    for library in range(3):
        assert len(np.unique(drawn[..., library])) == 48


def test_runs_are_reproducible_with_any_number_of_workers(tmp_path):
    put_set(tmp_path, labels=[0] * 24, size=(16, 16))

    def run(seed, workers):
        seed_all(seed)
        before = np.random.get_state()[1].copy(), random.getstate()
        drawn = draws(FRTrainRecordDataset("set", root=tmp_path, transform=Draw()), workers)
        assert (np.random.get_state()[1] == before[0]).all()
        assert random.getstate() == before[1]
        return drawn

    first = run(5, 2)
    assert np.array_equal(first, run(5, 1))
    assert np.array_equal(first, run(5, 3))
    other = run(6, 2)
    assert all(len(np.unique([first[..., k], other[..., k]])) == 96 for k in range(3))


def test_wrapped_transforms_and_other_sets_draw_different_numbers(tmp_path):
    put_set(tmp_path, "a", labels=[0] * 12, size=(16, 16))
    put_set(tmp_path, "b", labels=[0] * 12, size=(16, 16))
    write_pairs(tmp_path / "v.bin", [jpeg(0)] * 24, [True] * 12)
    seed_all(7)
    sets = [get_recognition_dataset(name, root=tmp_path).transform(Draw()) for name in ("a", "b", "v")]
    drawn = np.concatenate([draws(dataset, 2) for dataset in sets])
    assert all(len(np.unique(drawn[..., library])) == 72 for library in range(3))


def _child(root, seeds, queue):
    if seeds:
        seed_all(11)
    data = FRTrainRecordDataset("set", root=root, transform=Draw())
    queue.put([data[i][0].tolist() for i in range(4)])


def test_generators_of_other_processes_are_unchanged(tmp_path):
    put_set(tmp_path, labels=[0] * 4, size=(16, 16))
    seed_all(11)
    plain = [Draw()()[0].tolist() for _ in range(4)]
    seed_all(11)
    data = FRTrainRecordDataset("set", root=tmp_path, transform=Draw())
    assert [data[i][0].tolist() for i in range(4)] == plain
    queue = multiprocessing.Queue()
    found = []
    for seeds in (True, False):
        process = multiprocessing.get_context("fork").Process(target=_child, args=(str(tmp_path), seeds, queue))
        process.start()
        found.append(queue.get(timeout=60))
        process.join()
    assert found[0] == plain
    assert found[1] != plain


@pytest.fixture
def root(tmp_path, monkeypatch):
    put_set(tmp_path, "emore")
    write_pairs(tmp_path / "emore" / "val_data.bin", [jpeg(0), jpeg(1)], [True])
    write_pairs(tmp_path / "emore" / "lfw.bin", [jpeg(0)] * 4, [True, False])
    write_pairs(tmp_path / "cfp_fp.bin", [jpeg(0)] * 6, [True, False, True])
    (tmp_path / "only_pairs").mkdir()
    write_pairs(tmp_path / "only_pairs" / "val_data.bin", [jpeg(0)] * 8, [True] * 4)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "train.idx").write_text("")
    (tmp_path / "readme.txt").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    return tmp_path


def test_every_set_below_a_root_is_found(root):
    lengths = {"emore": 6, "emore/val_data": 1, "emore/lfw": 2, "cfp_fp": 3, "only_pairs": 4}
    assert list_recognition_datasets(root) == sorted(lengths)
    for base in (root, str(root), os.path.join("~", root.name)):
        for name, length in lengths.items():
            found = get_recognition_dataset(name, root=base)
            assert type(found) is (FRTrainRecordDataset if name == "emore" else FRValDataset)
            assert len(found) == length
    assert len(FRValDataset("emore", root=root)) == 1
    assert len(get_recognition_dataset("only_pairs/val_data", root=root)) == 4
    assert dataset.get_recognition_dataset is get_recognition_dataset


def test_missing_sets_are_reported_with_the_available_ones(root, tmp_path):
    for name in ("emora", "notes", "emore/cfp", "readme"):
        with pytest.raises(GluonFRError) as caught:
            get_recognition_dataset(name, root=root)
        assert repr(name) in str(caught.value)
        assert str(root) in str(caught.value)
        assert "cfp_fp, emore, emore/lfw, emore/val_data, only_pairs" in str(caught.value)
    for name in ("", None, 3, "/", ".."):
        with pytest.raises(GluonFRError, match="name of a data set must be a non-empty string"):
            get_recognition_dataset(name, root=root)
    with pytest.raises(GluonFRError, match="is a verification set .*FRValDataset"):
        FRTrainRecordDataset("cfp_fp", root=root)
    put_set(root, "alone")
    with pytest.raises(GluonFRError, match="is a training set .*val_data.bin.*FRTrainRecordDataset"):
        FRValDataset("alone", root=root)
    with pytest.raises(GluonFRError, match="use 'emore' as name and .* as root"):
        get_recognition_dataset("train", root=root / "emore")
    for function in (list_recognition_datasets, lambda root: get_recognition_dataset("emore", root=root)):
        with pytest.raises(GluonFRError, match="nowhere.* does not exist; give"):
            function(root / "nowhere")
    (root / "empty").mkdir()
    with pytest.raises(GluonFRError, match="root is empty"):
        get_recognition_dataset("emore", root=root / "empty")


@pytest.mark.parametrize("text", ["3,112,112", "7, 112 ,112\r\n", "3,112,112\n9,9,9\n\xff\xfe rubbish\n"])
def test_only_the_first_line_of_property_is_read(tmp_path, text):
    (put_set(tmp_path) / "property").write_bytes(text.encode("latin1"))
    train = FRTrainRecordDataset("set", root=tmp_path)
    assert (train.num_classes, train.image_size) == (int(text[0]), (112, 112))
    assert [len(items) for items in train.identities] == [2, 2, 2] + [0] * (train.num_classes - 3)


@pytest.mark.parametrize(
    "text", ["", "\n3,112,112", "3,112", "3;112;112", "a,112,112", "0,112,112", "-3,112,112", "3,112,112,3", "3.5,1,1"]
)
def test_an_invalid_property_is_refused(tmp_path, text):
    (put_set(tmp_path) / "property").write_text(text)
    with pytest.raises(GluonFRError, match=r"property: the first line is not num_classes,H,W .*delete"):
        FRTrainRecordDataset("set", root=tmp_path)


@pytest.mark.parametrize("text", ["3,99999,112", "3,112,99999", "3,4097,112", "999999999,112,112", "16777217,112,112"])
def test_a_property_out_of_range_is_refused(tmp_path, text):
    # Buffers of such images, or a classifier with this many classes, would not fit into memory.
    (put_set(tmp_path) / "property").write_text(text)
    with pytest.raises(DataError, match="property: .* is out of range"):
        FRTrainRecordDataset("set", root=tmp_path)


def test_reprs_give_kind_path_counts_and_size(root):
    counts = "images=6, identities=3, classes=3, image_size=(112, 112)"
    assert repr(FRTrainRecordDataset("emore", root=root)) == (
        f"FRTrainRecordDataset('emore', path='{root}/emore/train.rec', {counts})"
    )
    assert repr(FRValDataset("cfp_fp", root=root)) == (
        f"FRValDataset('cfp_fp', path='{root}/cfp_fp.bin', pairs=3, genuine=2, image_size=(112, 112))"
    )
    loader = RecordLoader(FRTrainRecordDataset("emore", root=root), 2, threads=1)
    assert "images=6" in repr(loader)
    assert "batch_size=2, augment=Augmentation(flip=0.5), seed=0, threads=1)" in repr(loader)
    records = RecordFile(root / "emore" / "train.rec")
    assert repr(records) == f"RecordFile('{root}/emore/train.rec', images=6, headers=4)"


def test_labels_with_gaps_are_logged_or_refused_for_training(tmp_path, caplog):
    put_set(tmp_path, "dense")
    put_set(tmp_path, "gaps", labels=(0, 20, 40))
    put_set(tmp_path, "numbers", labels=(0, 100_000, 2**23))
    caplog.clear()
    assert get_training_set("dense", tmp_path).num_classes == 3
    assert "no images" not in caplog.text
    assert get_training_set("gaps", tmp_path).num_classes == 41
    assert "38 of 41 labels have no images" in caplog.text
    with pytest.raises(DataError, match="8,388,606 of 8,388,609 labels have no images.* relabel"):
        get_training_set("numbers", tmp_path)
    # Other uses of the set need no classifier.
    assert len(get_recognition_dataset("numbers", root=tmp_path)) == 3


def test_a_missing_property_is_derived_and_logged(tmp_path, caplog):
    os.unlink(put_set(tmp_path, labels=(0, 4, 2), size=(96, 112)) / "property")
    with caplog.at_level(logging.WARNING):
        train = FRTrainRecordDataset("set", root=tmp_path)
    assert (train.num_classes, train.image_size) == (5, (96, 112))
    assert "property is missing" in caplog.text
    assert "5 classes" in caplog.text
    assert "96x112" in caplog.text


def test_labels_beyond_the_declared_classes_are_refused_on_opening(tmp_path):
    folder = put_set(tmp_path, labels=(0, 1, 2, 3))
    (folder / "property").write_text("3,112,112\n")
    with pytest.raises(GluonFRError, match=r"train\.rec: image 3 .*label 3, but .*property declares 3 classes"):
        FRTrainRecordDataset("set", root=tmp_path)
    train = FRTrainRecordDataset("set", root=tmp_path, on_error="skip")
    assert len(train) == 3
    assert train.skipped == [3]
    assert train.labels.tolist() == [0, 1, 2]


def test_widespread_damage_is_not_skipped(tmp_path):
    """More than 1000 bad records (or 1 %) mean a wrong file, not damage."""
    payload = jpeg(0, (16, 16))
    put_records(tmp_path / "bad", [(0.5, payload)] * 1001 + [(0, payload)])
    put_records(tmp_path / "outside", [(0, payload)] + [(9, payload)] * 1001)
    put_records(tmp_path / "some", [(0, payload)] + [(0.5, payload)] * 1000)
    for name in ("outside", "some"):
        (tmp_path / name / "property").write_text("1,16,16")
    with pytest.raises(GluonFRError, match=r"more than 1000 records are damaged: .*train\.rec: image 0 .*label 0\.5"):
        FRTrainRecordDataset("bad", root=tmp_path, on_error="skip")
    with pytest.raises(GluonFRError, match=r"train\.rec: image 1 .*label 9, but .*property declares 1 classes"):
        FRTrainRecordDataset("outside", root=tmp_path, on_error="skip")
    assert len(FRTrainRecordDataset("some", root=tmp_path, on_error="skip").skipped) == 1000


def test_images_of_another_size_are_resized(tmp_path):
    sizes = [(112, 112), (250, 250), (56, 56), (300, 301), (112, 112)]
    put_records(tmp_path / "set", [(0, jpeg(i, size)) for i, size in enumerate(sizes)])
    (tmp_path / "set" / "property").write_text("1,112,112")
    train = FRTrainRecordDataset("set", root=tmp_path)
    for i, size in enumerate(sizes):
        full = cv2.imdecode(np.frombuffer(jpeg(i, size), np.uint8), 1)[:, :, ::-1]
        rule = cv2.INTER_AREA if size[0] > 112 else cv2.INTER_LINEAR
        expected = full if size == (112, 112) else cv2.resize(np.ascontiguousarray(full), (112, 112), interpolation=rule)
        assert (train[i][0].asnumpy() == expected).all()


@pytest.mark.parametrize("size", [(96, 112), (112, 96), (224, 112), (112, 113), (250, 252)])
def test_images_of_another_aspect_ratio_are_refused(tmp_path, size):
    put_records(tmp_path / "set", [(0, jpeg(0)), (0, jpeg(1, size))])
    (tmp_path / "set" / "property").write_text("1,112,112")
    write_pairs(tmp_path / "pairs.bin", [jpeg(0), jpeg(1), jpeg(2), jpeg(3, size)], [True, False])
    train, pairs = FRTrainRecordDataset("set", root=tmp_path), FRValDataset("pairs", root=tmp_path)
    assert train[0]
    assert pairs[0]
    with pytest.raises(GluonFRError, match=rf"train\.rec: image 1 .*{size[0]}x{size[1]} pixels .*112x112"):
        train[1]
    with pytest.raises(GluonFRError, match=rf"pairs\.bin: image 1 of pair 1 has {size[0]}x{size[1]} pixels"):
        pairs[1]


DAMAGED = {
    "rubbish": b"\xff\xd8\xff rubbish",
    "nothing": b"",
    "cut off": jpeg(2)[: len(jpeg(2)) // 2],
    "cut off behind a thumbnail": jpeg(2)[:2] + b"\xff\xe1\x00\x06ab\xff\xd9" + jpeg(2)[2:-300],
}


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("damage", DAMAGED)
def test_an_undecodable_image_is_named(tmp_path, damage, kind):
    put_records(tmp_path / "set", [(i % 2, DAMAGED[damage] if i == 4 else jpeg(i)) for i in range(6)])
    train = FRTrainRecordDataset("set", root=tmp_path, transform=only_first)
    with pytest.raises(GluonFRError, match=r"train\.rec: image 4 .*does not decode"):
        for _ in DataLoader(train, 3, **LOADERS[kind]):
            pass


def test_bytes_behind_a_jpeg_are_ignored(tmp_path):
    put_records(tmp_path / "set", [(0, jpeg(0) + b"\0" * 9 + b"camera"), (0, jpeg(0))])
    train = FRTrainRecordDataset("set", root=tmp_path)
    assert (train[0][0].asnumpy() == train[1][0].asnumpy()).all()


@pytest.mark.parametrize("kind", LOADERS)
def test_damaged_images_are_skipped_with_on_error_skip(tmp_path, kind, caplog):
    good = [jpeg(i) for i in range(8)]
    records = [(i, payload) for i, payload in enumerate(good)]
    records[2], records[3], records[7] = (2, b"rubbish"), (3, b""), (7, good[7][:-400])
    put_records(tmp_path / "set", records)
    train = FRTrainRecordDataset("set", root=tmp_path, on_error="skip")
    assert len(train) == 8
    assert train.num_classes == 8
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            labels = np.concatenate([label.asnumpy() for _, label in DataLoader(train, 3, **LOADERS[kind])])
            assert labels.tolist() == [0, 1, 4, 4, 4, 5, 6, 0]
    assert train.skipped == [2, 3, 7]
    image, label = train[2]
    expected = cv2.cvtColor(cv2.imdecode(np.frombuffer(good[4], np.uint8), 1), cv2.COLOR_BGR2RGB)
    assert label == 4
    assert (image.asnumpy() == expected).all()
    if kind != "two forked workers":
        assert [("image %d " % i) in caplog.text for i in range(8)] == [i in (2, 3, 7) for i in range(8)]
        assert len([record for record in caplog.records if "skipped" in record.message]) == 3


def test_invalid_labels_are_left_out_with_on_error_skip(tmp_path, caplog):
    put_records(tmp_path / "set", [(0, jpeg(0)), (float("nan"), jpeg(1)), (-1, jpeg(2)), (1, jpeg(3)), (0.5, jpeg(4))])
    with pytest.raises(GluonFRError, match=r"image 1 .*label nan"):
        FRTrainRecordDataset("set", root=tmp_path)
    with caplog.at_level(logging.WARNING):
        train = FRTrainRecordDataset("set", root=tmp_path, on_error="skip")
    assert [train[i][1] for i in range(len(train))] == [0, 1]
    assert train.labels.tolist() == [0, 1]
    assert train.skipped == [1, 2, 4]
    assert "image 2 " in caplog.text
    assert [items.tolist() for items in train.identities] == [[0], [1]]
    with pytest.raises(GluonFRError, match="on_error"):
        FRTrainRecordDataset("set", root=tmp_path, on_error="ignore")


def test_a_set_without_a_good_image_is_refused(tmp_path):
    put_records(tmp_path / "labels", [(-1, jpeg(0)), (0.5, jpeg(1))])
    put_records(tmp_path / "images", [(0, b"rubbish"), (0, b"")])
    for name in ("labels", "images"):
        with pytest.raises(GluonFRError, match=r"train\.rec: none"):
            FRTrainRecordDataset(name, root=tmp_path, on_error="skip")
    with pytest.raises(GluonFRError, match=r"image 0 .*does not decode"):
        FRTrainRecordDataset("images", root=tmp_path)
    write_pairs(tmp_path / "pairs.bin", [jpeg(0)] * 2, [True])
    with open(tmp_path / "pairs.bin", "wb") as file:
        pickle.dump(([b"rubbish", jpeg(0)], [True]), file, 2)
    with pytest.raises(GluonFRError, match=r"pairs\.bin: image 0 of pair 0 does not decode"):
        FRValDataset("pairs", root=tmp_path)


def test_sets_can_be_pickled(root):
    train = FRTrainRecordDataset("emore", root=root, transform=only_first)
    pairs = FRValDataset("emore/lfw", root=root)
    train_copy, pairs_copy = pickle.loads(pickle.dumps((train, pairs)))
    assert len(train_copy) == 6
    assert (train_copy.num_classes, train_copy.image_size) == (3, (112, 112))
    for i in range(6):
        assert (train_copy[i][0].asnumpy() == train[i][0].asnumpy()).all()
        assert train_copy[i][1] == train[i][1]
    assert train_copy[0][0].shape == (2, 2, 3)
    assert pairs_copy.issame == [True, False]
    assert (pairs_copy[1][0][1].asnumpy() == pairs[1][0][1].asnumpy()).all()


def test_slices_are_sets_of_their_items(tmp_path):
    synthetic.make_dataset(str(tmp_path / "mine"), 4, 3, 20, 20, progress=False)
    for name in ("mine", "mine/val_data"):
        dataset = get_recognition_dataset(name, root=str(tmp_path))
        part = dataset[2:9:3]
        assert len(part) == 3
        for number, item in zip((2, 5, 8), part):
            for mine, wanted in zip(flat(item), flat(dataset[number])):
                np.testing.assert_array_equal(mine, wanted)
        assert len(dataset[:-4]) == len(dataset) - 4
        assert len(dataset[:0]) == 0
        np.testing.assert_array_equal(flat(part[::-1][0])[0], flat(dataset[8])[0])
        np.testing.assert_array_equal(flat(part[-1])[0], flat(dataset[8])[0])
        with pytest.raises(IndexError):
            part[3]
        assert repr(part) == f"{dataset!r}[2:9:3]" or repr(part).endswith("[2:9:3]")


def flat(item):
    """Return the arrays and numbers of an item of any set."""
    first, second = item
    return [np.asarray(value.asnumpy()) for value in (first if isinstance(first, tuple) else [first])] + [np.asarray(second)]


@pytest.mark.parametrize(
    ("issame", "uneven"), [([1] * 50 + [0] * 50, 10), ([1, 0] * 50, 0), ([1] * 5 + [1, 0] * 45 + [0] * 5, 0)]
)
def test_folds_with_one_kind_of_pairs_are_reported(tmp_path, issame, uneven, caplog):
    content = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    write_pairs(tmp_path / "ordered.bin", [content] * 200, issame)
    get_verification_set("ordered", str(tmp_path))
    assert f"{uneven} of 10 folds hold pairs of one kind only" in caplog.text if uneven else not caplog.text

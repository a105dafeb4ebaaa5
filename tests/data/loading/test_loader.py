import subprocess
import sys
import threading
from collections import Counter

import cv2
import mxnet as mx
import numpy as np
import pytest

from gluonfr.core import GluonFRError, generator
from gluonfr.data import FRTrainRecordDataset, RecordLoader, RecordWriter
from gluonfr.data.loading.augmentation import Augmentation, get_augmentation

COUNT, CLASSES, SIZE = 50, 5, (16, 12)
THREADS = threading.active_count


def picture(i):
    """Return an RGB image that is different for every number, without symmetry."""
    return generator(99, i).integers(0, 256, SIZE + (3,)).astype(np.uint8)


def png(image):
    return cv2.imencode(".png", image[:, :, ::-1])[1].tobytes()


NUMBERS = {picture(i).tobytes(): i for i in range(COUNT)}


def label_of(i):
    return i // (COUNT // CLASSES)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    with RecordWriter(folder / "small", SIZE) as writer:
        for i in range(COUNT):
            writer.add(png(picture(i)), label_of(i))
    return str(folder)


@pytest.fixture(scope="module")
def dataset(root):
    return FRTrainRecordDataset("small", root=root)


def raw_set(folder, payloads, classes=3):
    """Write payloads unchanged with MXNet's own writer."""
    folder.mkdir()
    writer = mx.recordio.MXIndexedRecordIO(str(folder / "train.idx"), str(folder / "train.rec"), "w")
    for i, payload in enumerate(payloads):
        writer.write_idx(i, mx.recordio.pack(mx.recordio.IRHeader(0, i % classes, i, 0), payload))
    writer.close()
    (folder / "property").write_text("%d,%d,%d\n" % (classes, *SIZE))
    return str(folder.parent)


def arrays(batches):
    return [(images.asnumpy(), labels.asnumpy()) for images, labels in batches]


def same(one, other):
    pairs = [(x, y) for first, second in zip(one, other) for x, y in zip(first, second)]
    return len(one) == len(other) and all(x.shape == y.shape and (x == y).all() for x, y in pairs)


def numbers(batches):
    """Return the numbers of the images in the batches, by content."""
    return [[NUMBERS[np.ascontiguousarray(image.transpose(1, 2, 0)).tobytes()] for image in images] for images, _ in batches]


def by_picture(loader, epoch=0):
    """Return the augmented image of each number, found with an equal loader without augmentation."""
    untouched = RecordLoader(loader.dataset, loader.batch_size, None, loader.seed)
    order = sum(numbers(arrays(untouched.epoch(epoch))), [])
    return dict(zip(order, np.concatenate([images for images, _ in arrays(loader.epoch(epoch))])))


def test_an_epoch_has_every_image_once_with_its_label(dataset):
    batches = list(RecordLoader(dataset, 16, None))
    assert all(images.dtype == np.uint8 and labels.dtype == np.float32 for images, labels in batches)
    assert all(images.context == labels.context == mx.cpu() for images, labels in batches)
    assert [images.shape for images, _ in batches] == [(16, 3, 16, 12)] * 3 + [(2, 3, 16, 12)]
    batches = arrays(batches)
    assert Counter(sum(numbers(batches), [])) == Counter(range(COUNT))
    for found, (_, labels) in zip(numbers(batches), batches):
        assert labels.tolist() == [label_of(i) for i in found]


def test_every_epoch_and_seed_has_its_own_order(dataset):
    loader, other = RecordLoader(dataset, 16, None), RecordLoader(dataset, 16, None, seed=1)
    orders = [sum(numbers(arrays(batches)), []) for batches in (loader, loader, loader.epoch(2), other)]
    orders.append(list(range(COUNT)))
    assert all(one != two for k, one in enumerate(orders) for two in orders[:k])
    assert sum(numbers(arrays(RecordLoader(dataset, 16, None, shuffle=False))), []) == orders[-1]


def test_loops_are_successive_epochs(dataset):
    loader = RecordLoader(dataset, 16)
    loops = [arrays(loader) for _ in range(3)]
    again = RecordLoader(dataset, 16)
    assert all(same(loop, arrays(again.epoch(k))) for k, loop in enumerate(loops))


@pytest.mark.parametrize("settings", [{"threads": 1}, {"threads": 5}, {"threads": 2, "prefetch": 1}])
def test_results_do_not_depend_on_the_number_of_threads(dataset, settings):
    expected = arrays(RecordLoader(dataset, 7, "strong", seed=3, threads=3).epoch(4))
    assert same(expected, arrays(RecordLoader(dataset, 7, "strong", seed=3, **settings).epoch(4)))


def test_an_epoch_resumes_at_any_batch(dataset):
    whole = arrays(RecordLoader(dataset, 8, "standard").epoch(3))
    assert len(whole) == 7
    for start in range(8):
        assert same(whole[start:], arrays(RecordLoader(dataset, 8, "standard").epoch(3, start)))


def test_augmentation_depends_on_seed_epoch_and_image_alone(dataset):
    reference = by_picture(RecordLoader(dataset, 16, "strong", seed=5), 2)

    def differing(other):
        return sum((other[i] != reference[i]).any() for i in range(COUNT))

    assert differing(by_picture(RecordLoader(dataset, 3, "strong", seed=5), 2)) == 0
    in_order = np.concatenate([images for images, _ in arrays(RecordLoader(dataset, 9, "strong", 5, shuffle=False).epoch(2))])
    assert differing(dict(enumerate(in_order))) == 0
    assert differing(by_picture(RecordLoader(dataset, 16, "strong", seed=5), 3)) == COUNT
    assert differing(by_picture(RecordLoader(dataset, 16, "strong", seed=6), 2)) == COUNT


def test_augmentations_are_drawn_from_the_keyed_generator(dataset):
    strong = get_augmentation("strong")
    images = np.concatenate([images for images, _ in arrays(RecordLoader(dataset, 20, strong, 5, shuffle=False).epoch(2))])
    purpose = int.from_bytes(b"augment", "big")
    for i in range(COUNT):
        assert (images[i].transpose(1, 2, 0) == strong(picture(i), generator(5, purpose, 2, i))).all()


def test_flips_differ_within_a_batch(dataset):
    seen = by_picture(RecordLoader(dataset, 16, "flip"))
    mirrored = [(seen[i] == picture(i).transpose(2, 0, 1)[:, :, ::-1]).all() for i in range(COUNT)]
    untouched = [(seen[i] == picture(i).transpose(2, 0, 1)).all() for i in range(COUNT)]
    assert all(one != two for one, two in zip(mirrored, untouched))
    assert 12 < sum(mirrored) < 38


def test_loader_channels_are_in_rgb_order(tmp_path):
    red = np.zeros(SIZE + (3,), np.uint8)
    red[:, :, 0] = 230
    with RecordWriter(tmp_path / "red", SIZE) as writer:
        for _ in range(3):
            writer.add(red, 0)
    for augment in ("flip", Augmentation(jpeg=1, cutout=0)):
        ((images, _),) = arrays(RecordLoader(FRTrainRecordDataset("red", root=str(tmp_path)), 3, augment))
        assert (images[:, 0] > 200).all()
        assert (images[:, 1:] < 30).all()


@pytest.mark.parametrize(("last_batch", "sizes"), [("keep", [16, 16, 16, 2]), ("discard", [16, 16, 16])])
def test_the_last_batch_is_kept_or_discarded(dataset, last_batch, sizes):
    loader = RecordLoader(dataset, 16, None, last_batch=last_batch)
    for _ in range(2):
        assert len(loader) == len(sizes)
        batches = arrays(loader)
        assert [len(labels) for _, labels in batches] == sizes
        found = sum(numbers(batches), [])
        assert len(set(found)) == len(found) == sum(sizes)


@pytest.mark.parametrize("last_batch", ["keep", "discard"])
@pytest.mark.parametrize(("ranks", "size"), [(2, 4), (2, 24), (3, 5), (4, 12), (7, 7)])
def test_ranks_share_an_epoch(dataset, ranks, size, last_batch):
    loaders = [RecordLoader(dataset, size, None, 2, last_batch=last_batch, rank=r, num_ranks=ranks) for r in range(ranks)]
    parts = [numbers(arrays(loader.epoch(0))) for loader in loaders]
    assert len({len(part) for part in parts} | {len(loader) for loader in loaders}) == 1
    found = [i for part in parts for batch in part for i in batch]
    assert len(set(found)) == len(found)
    left_out = COUNT - len(found)
    assert left_out == COUNT % (size * ranks) if last_batch == "discard" else left_out < ranks
    for step, together in enumerate(numbers(arrays(RecordLoader(dataset, size * ranks, None, 2).epoch(0)))[: len(parts[0])]):
        shares = [part[step] for part in parts]
        assert sum(shares, []) == together
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
        assert max(map(len, shares)) <= size


@pytest.mark.parametrize(
    ("last_batch", "ranks", "size"), [("discard", 3, 5), ("discard", 2, 7), ("keep", 7, 7), ("keep", 4, 12)]
)
def test_images_left_out_by_ranks_come_first_in_the_next_epoch(dataset, last_batch, ranks, size):
    loaders = [RecordLoader(dataset, size, None, 2, last_batch=last_batch, rank=r, num_ranks=ranks) for r in range(ranks)]
    left_out, before, times, epochs = COUNT % (size * ranks), set(), Counter(), 12
    orders = []
    for epoch in range(epochs):
        steps = zip(*(numbers(arrays(loader.epoch(epoch))) for loader in loaders))
        order = [i for shares in steps for share in shares for i in share]
        assert len(set(order)) == len(order) == COUNT - left_out
        assert set(order[: len(before)]) == before
        before = set(range(COUNT)) - set(order)
        times.update(before)
        orders.append(order)
    assert max(times.values()) <= -(-left_out * epochs // COUNT)
    # The rest of the order is drawn for every epoch.
    kept = [[i for i in order[left_out:] if i in set(orders[3][left_out:])] for order in orders[3:5]]
    assert kept[0][:10] != kept[1][:10]
    assert numbers(arrays(loaders[1].epoch(5, 1))) == numbers(arrays(loaders[1].epoch(5)))[1:]


def test_a_sampler_defines_the_order(dataset):
    loader = RecordLoader(dataset, 4, None, sampler=lambda epoch: np.array([3, 1, 4, 1, 5, 9, 2, 6, 5]) + epoch)
    assert len(loader) == 3
    assert numbers(arrays(loader)) == [[3, 1, 4, 1], [5, 9, 2, 6], [5]]
    assert numbers(arrays(loader)) == [[4, 2, 5, 2], [6, 10, 3, 7], [6]]


def test_repetitions_of_an_image_are_augmented_differently(dataset):
    plain = np.concatenate([images for images, _ in arrays(RecordLoader(dataset, 16, "strong", shuffle=False))])
    loader = RecordLoader(dataset, 8, "strong", sampler=lambda epoch: [7, 7, 8, 7, 8])
    ((images, _),) = arrays(loader)
    assert (images[0] == plain[7]).all()
    assert (images[2] == plain[8]).all()
    assert all((images[one] != images[two]).any() for one, two in [(0, 1), (0, 3), (1, 3), (2, 4)])
    ((resumed, _),) = arrays(RecordLoader(dataset, 3, "strong", sampler=lambda epoch: [7, 7, 8, 7, 8]).epoch(0, 1))
    assert (resumed == images[3:]).all()


@pytest.mark.parametrize("order", [[0, COUNT], [-1], [[1, 2]], [0.5]])
def test_image_numbers_outside_the_set_are_rejected(dataset, order):
    with pytest.raises(GluonFRError, match="image numbers from 0 to 49"):
        next(RecordLoader(dataset, 2, sampler=lambda epoch: order).epoch(0))


def test_a_damaged_image_stops_the_epoch_and_is_named(tmp_path):
    payloads = [png(picture(i)) for i in range(40)]
    payloads[23] = b"\xff\xd8 no JPEG at all"
    root = raw_set(tmp_path / "broken", payloads)
    before = THREADS()
    loader = RecordLoader(FRTrainRecordDataset("broken", root=root), 5, None, shuffle=False, threads=3)
    seen = []

    def run():
        for images, _ in loader:
            seen.append(images.asnumpy())

    with pytest.raises(GluonFRError, match=r"broken/train\.rec: image 23 .*does not decode") as caught:
        run()
    assert "\n" not in str(caught.value)
    assert THREADS() == before
    assert sum(numbers([(images, None) for images in seen]), []) == list(range(20))
    assert len(arrays(loader.epoch(0, 5))) == 3


def test_a_damaged_image_is_replaced_with_on_error_skip(tmp_path):
    payloads = [png(picture(i)) for i in range(10)]
    payloads[6] = b""
    payloads[3] = b"nothing"
    root = raw_set(tmp_path / "broken", payloads)
    dataset = FRTrainRecordDataset("broken", root=root, on_error="skip")
    batches = arrays(RecordLoader(dataset, 4, None, shuffle=False))
    found = sum(numbers(batches), [])
    assert len(found) == len(dataset)
    assert found[:5] == [0, 1, 2, 4, 4]
    assert dataset.skipped == [3, 6]
    assert np.concatenate([labels for _, labels in batches]).tolist() == [i % 3 for i in found]


def test_images_of_another_size_are_resized_in_batches(tmp_path):
    double = cv2.resize(picture(1), (2 * SIZE[1], 2 * SIZE[0]), interpolation=cv2.INTER_NEAREST)
    root = raw_set(tmp_path / "double", [png(picture(0)), png(double), png(picture(2))])
    ((images, _),) = arrays(RecordLoader(FRTrainRecordDataset("double", root=root), 3, None, shuffle=False))
    assert numbers([(images, None)]) == [[0, 1, 2]]
    root = raw_set(tmp_path / "turned", [png(picture(0)), png(picture(1).transpose(1, 0, 2))])
    with pytest.raises(GluonFRError, match="image 1 .*12x16"):
        list(RecordLoader(FRTrainRecordDataset("turned", root=root), 2, None, shuffle=False))


def test_threads_end_with_the_loop(dataset):
    before = THREADS()
    loader = RecordLoader(dataset, 2, "strong", threads=4)
    for _ in range(3):
        for _ in loader:
            assert THREADS() > before
            break
        assert THREADS() == before
    assert Counter(sum(numbers(arrays(RecordLoader(dataset, 2, None))), [])) == Counter(range(COUNT))
    iterator = iter(loader)
    next(iterator)
    iterator.close()
    assert THREADS() == before


def test_a_process_can_end_during_an_epoch(root):
    program = (
        "from gluonfr.data import FRTrainRecordDataset\nfrom gluonfr.data import RecordLoader\n"
        f"batches = iter(RecordLoader(FRTrainRecordDataset('small', root={root!r}), 2, 'strong', threads=4))\n"
        "print(next(batches)[0].shape)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(2, 3, 16, 12)\n", "")


def test_batches_own_their_memory(dataset):
    held = list(RecordLoader(dataset, 4, None, shuffle=False, prefetch=1))
    assert sum(numbers(arrays(held)), []) == list(range(COUNT))
    loader = RecordLoader(dataset, 4, None, shuffle=False)
    converted = [images.astype("float32").transpose((0, 2, 3, 1)) for images, _ in loader]
    assert (np.concatenate([array.asnumpy() for array in converted]) == [picture(i) for i in range(COUNT)]).all()


def test_custom_augmentations_are_checked(dataset):
    loader = RecordLoader(dataset, 16, lambda image, rng: 255 - image, shuffle=False)
    images, _ = arrays(loader)[0]
    assert (images[3] == 255 - picture(3).transpose(2, 0, 1)).all()
    for wrong in (lambda image, rng: image[:8], lambda image, rng: image / 2, lambda image, rng: None):
        with pytest.raises(GluonFRError, match=r"augment=.*\(16, 12, 3\) of uint8"):
            next(iter(RecordLoader(dataset, 16, wrong)))

    def broken(image, rng):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        next(iter(RecordLoader(dataset, 16, broken)))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"batch_size": 0}, "batch_size must be .*, got 0"),
        ({"batch_size": 2.0}, "batch_size must be .*, got 2.0"),
        ({"threads": 0}, "threads must be .*, got 0"),
        ({"prefetch": -1}, "prefetch must be .*, got -1"),
        ({"rank": 2, "num_ranks": 2}, "rank must be .*, got 2"),
        ({"seed": -1}, "seed must be .*, got -1"),
        ({"last_batch": "rollover"}, "last_batch must be .*, got 'rollover'"),
        ({"augment": "stronk"}, "'stronk'"),
    ],
)
def test_arguments_out_of_range_are_rejected(dataset, arguments, named):
    with pytest.raises(GluonFRError, match=named):
        RecordLoader(dataset, **{"batch_size": 4, **arguments})


def test_epochs_and_batches_out_of_range_are_rejected(dataset):
    loader = RecordLoader(dataset, 10)
    assert list(loader.epoch(0, 5)) == []
    for number, start in ((0, 6), (0, -1), (-1, 0), (0.5, 0)):
        with pytest.raises(GluonFRError, match="start must|epoch must"):
            loader.epoch(number, start)


def test_too_few_images_for_a_batch_are_rejected(dataset):
    with pytest.raises(GluonFRError, match=r"small/train\.rec: the 50 images .* no batch of 51"):
        iter(RecordLoader(dataset, 51, last_batch="discard"))
    assert len(RecordLoader(dataset, 51)) == 1


def test_a_loader_rejects_a_dataset_with_a_transform(root):
    with pytest.raises(GluonFRError, match="augment"):
        RecordLoader(FRTrainRecordDataset("small", root=root, transform=lambda image, label: (image, label)), 4)


@pytest.mark.system
def test_real_batches_equal_the_items_of_the_dataset(faces):
    dataset = FRTrainRecordDataset("celeb", root=faces)
    loader = RecordLoader(dataset, 64, None, seed=1)
    seen = arrays(batch for _, batch in zip(range(3), loader))
    known = {image.asnumpy().tobytes(): label for image, label in (dataset[i] for i in range(len(dataset)))}
    for images, labels in seen:
        assert [known[np.ascontiguousarray(pixels.transpose(1, 2, 0)).tobytes()] for pixels in images] == labels.tolist()

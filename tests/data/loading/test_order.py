"""The order of an epoch, and the records that each rank reads."""

import os

import numpy as np
import pytest

from gluonfr.core import generator
from gluonfr.data import FRTrainRecordDataset, RecordLoader, RecordWriter
from gluonfr.data.loading.order import SHUFFLE_PURPOSE, EpochOrder, earlier_occurrences
from gluonfr.data.records import file as records

COUNT = 61


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    with RecordWriter(str(root / "set"), (16, 16)) as writer:
        for i in range(COUNT):
            writer.add(np.full((16, 16, 3), i, np.uint8), i)
    return FRTrainRecordDataset("set", root=str(root))


@pytest.mark.parametrize(("ranks", "size", "last_batch"), [(1, 8, "keep"), (3, 4, "keep"), (4, 7, "discard"), (5, 3, "keep")])
def test_a_rank_reads_only_its_own_records(dataset, monkeypatch, ranks, size, last_batch):
    asked, read = [], os.pread

    def watched(descriptor, length, begin):
        asked.append((begin, length))
        return read(descriptor, length, begin)

    monkeypatch.setattr(records.os, "pread", watched)
    number_of = {dataset.records.span(i)[0]: i for i in range(COUNT)}
    length_of = {begin: dataset.records.span(i)[1] - begin for begin, i in number_of.items()}
    reads = []
    for rank in range(ranks):
        asked.clear()
        batches = RecordLoader(dataset, size, rank=rank, num_ranks=ranks, last_batch=last_batch, threads=2).epoch(2)
        labels = np.concatenate([labels.asnumpy() for _, labels in batches]).astype(int)
        assert all(length == length_of[begin] for begin, length in asked)
        # Here the label of an image is its number.
        assert sorted(number_of[begin] for begin, _ in asked) == sorted(labels.tolist())
        reads += labels.tolist()
    assert len(set(reads)) == len(reads)
    assert len(reads) >= COUNT - (ranks - 1 if last_batch == "keep" else ranks * size - 1)


@pytest.mark.parametrize("count", [2, 100, 128, 129, 40_000, 100_000])
def test_the_order_equals_numpys_permutation(count):
    # Runs that were interrupted with an earlier version resume with this order.
    for epoch in (0, 5):
        order = EpochOrder(count, 2, seed=7).all_ranks(epoch)
        assert (order == generator(7, SHUFFLE_PURPOSE, epoch).permutation(count)).all()
        assert order.itemsize <= 4


@pytest.mark.parametrize("kind", [np.uint8, np.uint64, np.int16])
def test_a_sampler_may_return_any_integer_type(dataset, kind):
    order = np.array([3, 60, 3, 7, 60, 3])

    def batches(kind):
        return [
            images.asnumpy()
            for images, _ in RecordLoader(dataset, 4, "strong", sampler=lambda epoch: order.astype(kind), num_ranks=1).epoch(0)
        ]

    for one, other in zip(batches(kind), batches(np.int64)):
        assert (one == other).all()


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64])
def test_earlier_occurrences_are_counted(kind):
    random = np.random.RandomState(1)
    for count in (0, 1, 2, 50, 400):
        order = random.randint(0, 30, count).astype(kind)
        before, expected = {}, []
        for number in order.tolist():
            expected.append(before.get(number, 0))
            before[number] = expected[-1] + 1
        assert earlier_occurrences(order).tolist() == expected

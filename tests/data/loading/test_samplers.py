import numpy as np
import pytest
from mxnet import gluon, nd

from gluonfr.core import GluonFRError
from gluonfr.data import FRTrainRecordDataset, IdentityBatchSampler, RecordLoader, RecordWriter

# Images per person, P and K: equal, just enough people, people with one image, one with more than all others together.
SETS = {
    "equal": ([7] * 6, 3, 2),
    "as many people as places": ([7] * 6, 6, 2),
    "singles": ([1, 2, 3, 40, 1], 5, 3),
    "one giant": ([1] * 6 + [300], 3, 4),
    "two giants": ([1] * 7 + [50, 70], 8, 2),
    "staircase": (list(range(1, 41)), 11, 5),
}


def labeled(counts):
    """Return labels with gaps, in random order."""
    labels = np.repeat(np.arange(len(counts)) * 3 + 5, counts)
    return np.random.RandomState(0).permutation(labels)


@pytest.mark.parametrize("num_ranks", [1, 3])
@pytest.mark.parametrize("name", SETS)
def test_batches_have_p_people_with_k_images_and_an_epoch_has_all_people(name, num_ranks):
    counts, P, K = SETS[name]
    labels = labeled(counts)
    sampler = IdentityBatchSampler(labels, P, K, seed=3, num_ranks=num_ranks)
    for epoch in range(20):
        order = sampler(epoch).reshape(-1, P, K)
        assert len(order) == len(sampler) * num_ranks
        people = labels[order]
        assert (people == people[:, :, :1]).all()
        assert all(len(set(row)) == P for row in people[:, :, 0])
        assert set(people.ravel()) == set(labels)
        for group in order.reshape(-1, K):
            # K different images; fewer images are repeated equally often, or once more.
            often = np.unique(group, return_counts=True)[1]
            assert len(often) == min(K, np.sum(labels == labels[group[0]]))
            assert often.max() - often.min() <= 1
        seen = np.bincount(order.ravel(), minlength=len(labels))
        for person in np.unique(labels):
            assert np.ptp(seen[labels == person]) <= 1


def test_an_epoch_has_about_the_length_of_the_set_and_all_images():
    counts = np.random.RandomState(1).geometric(0.05, 400)
    labels = labeled(counts)
    sampler = IdentityBatchSampler(labels, 8, 4)
    assert len(sampler) == -(-sum(-(-counts // 4)) // 8)
    seen = np.bincount(sampler(0), minlength=len(labels))
    assert seen.min() == 1


def test_a_person_with_many_images_has_other_images_in_other_epochs():
    labels = np.repeat(np.arange(7), SETS["one giant"][0])
    sampler = IdentityBatchSampler(labels, 3, 4)
    epochs = [set(sampler(epoch)) for epoch in range(30)]
    assert len(epochs[0]) < 200
    assert len(set.union(*epochs)) == len(labels)


def test_people_are_combined_at_random():
    # 40 people: every pair of people is in a batch about equally often.
    labels = np.repeat(np.arange(40), 8)
    sampler = IdentityBatchSampler(labels, 10, 4)
    meetings = np.zeros((40, 40))
    for epoch in range(400):
        for people in labels[sampler(epoch)].reshape(-1, 10, 4)[:, :, 0]:
            meetings[np.ix_(people, people)] += 1
    off = meetings[~np.eye(40, dtype=bool)]
    expected = 400 * 8 * 10 * 9 / (40 * 39)
    assert abs(off.mean() - expected) < 1e-9
    assert 0.8 < off.std() / np.sqrt(expected) < 1.2
    assert (np.diag(meetings) == 400 * 2).all()


def test_order_is_a_function_of_seed_and_epoch():
    labels = labeled(SETS["staircase"][0])
    sampler, again = (IdentityBatchSampler(labels, 11, 5, seed=1) for _ in range(2))
    list(sampler), list(sampler)
    assert (sampler(1) == again(1)).all()
    assert (sampler(1) != sampler(2)).any()
    assert (sampler(1) != IdentityBatchSampler(labels, 11, 5, seed=2)(1)).any()
    whole = list(sampler.epoch(4))
    for start in (0, 1, 7, len(whole)):
        assert list(again.epoch(4, start)) == whole[start:]
    # Every iteration is the next epoch.
    assert list(sampler) == list(again.epoch(2))


def test_ranks_share_the_batches_of_an_epoch():
    labels = labeled(SETS["staircase"][0])
    ranks = [IdentityBatchSampler(labels, 11, 5, seed=1, rank=rank, num_ranks=3) for rank in range(3)]
    together = np.stack([list(sampler.epoch(2)) for sampler in ranks], axis=1)
    assert together.shape == (len(ranks[0]), 3, 55)
    assert (together.ravel() == ranks[0](2)).all()


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    with RecordWriter(str(root / "set"), image_size=(8, 8)) as writer:
        for person in range(5):
            for number in range(1 + 2 * person):
                writer.add(np.full((8, 8, 3), 10 * person + number, np.uint8), person)
    return FRTrainRecordDataset("set", root=str(root))


@pytest.mark.parametrize("num_ranks", [1, 2])
def test_a_record_loader_resumes_a_sampler_at_any_batch(records, num_ranks):
    sampler = IdentityBatchSampler(records, 3, 4, seed=5, num_ranks=num_ranks)
    for rank in range(num_ranks):
        loader = RecordLoader(records, 12, seed=5, sampler=sampler, rank=rank, num_ranks=num_ranks)
        assert len(loader) == len(sampler)
        mine = IdentityBatchSampler(records, 3, 4, seed=5, rank=rank, num_ranks=num_ranks)
        got = [labels.asnumpy().tolist() for _, labels in loader.epoch(2)]
        assert got == [records.labels[batch].tolist() for batch in mine.epoch(2)]
        assert [labels.asnumpy().tolist() for _, labels in loader.epoch(2, 1)] == got[1:]


def test_gluons_data_loader_uses_the_sampler(records):
    sampler = IdentityBatchSampler(records.labels, 3, 4)
    loader = gluon.data.DataLoader(records, batch_sampler=sampler)
    assert len(loader) == len(sampler)
    for epoch in range(2):
        got = nd.concat(*[label for _, label in loader], dim=0).asnumpy()
        assert (got == records.labels[sampler(epoch)]).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0, 1, 1], 3, 2), "P=3 people per batch are more than the 2 people"),
        (([0, 1], 2, 1), "K must be an integer of at least 2, got 1"),
        (([0, 1], 1.0, 2), "P must be .* got 1.0"),
        (([], 2, 2), "one label per image"),
        (([[0], [1]], 2, 2), r"array of \(2, 1\)"),
        (([0, 1], 2, 2, 0, 2, 2), "rank must be an integer from 0 to 1, got 2"),
    ],
)
def test_invalid_arguments_of_a_sampler_are_rejected(arguments, words):
    with pytest.raises(GluonFRError, match=words):
        IdentityBatchSampler(*arguments)

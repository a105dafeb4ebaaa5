from __future__ import annotations

import numpy as np

from gluonfr.core import GluonFRError, generator

# Images that are put into an order together.
_AT_ONCE = 1 << 20
_SAMPLE = int.from_bytes(b"identity", "big")


class IdentityBatchSampler:
    """Batches of P people with K images each, for the losses that compare the images of a batch.

    What an epoch holds is a pure function of `seed` and its number, and any batch of it can be asked for. In every epoch

    - everybody comes at least once, and nobody twice in a batch;
    - a person with n images comes about n / K times: the images go round in an order drawn for the epoch, so that each
      comes as often as every other one, or once more. Those of a person with fewer than K images are repeated to fill the
      K places (a loader that augments makes each repetition another picture);
    - a person who has more groups of K images than the epoch has batches comes in every batch, with other images in
      another epoch.

    It is the `sampler` of a `RecordLoader` whose batch size is P * K, and the `batch_sampler` of Gluon's `DataLoader`::

        RecordLoader(dataset, 64, sampler=IdentityBatchSampler(dataset, 16, 4))
        gluon.data.DataLoader(dataset, batch_sampler=IdentityBatchSampler(dataset, 16, 4))

    Parameters
    ----------
    data : FRTrainRecordDataset or sequence of int (n,)
        The training set, or the label of each of its images.
    P : int
        People a batch.
    K : int
        Images of each person, at least 2; they stand together in the batch.
    seed : int, default 0
    rank, num_ranks : int
        Of the processes that share an epoch. In a `RecordLoader` every rank gives the same `num_ranks` to both, the rank to
        the loader alone.

    Raises
    ------
    GluonFRError
        For fewer than P people, and arguments out of range.
    """

    def __init__(self, data, P, K, seed=0, rank=0, num_ranks=1) -> None:
        labels = np.asarray(data.labels if hasattr(data, "labels") else data)
        if labels.ndim != 1 or not len(labels):
            raise GluonFRError(f"an IdentityBatchSampler takes one label an image, got an array of shape {labels.shape}.")
        for name, value, least in (("P", P, 1), ("K", K, 2), ("num_ranks", num_ranks, 1), ("rank", rank, 0)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise GluonFRError(f"{name}={value!r} of an IdentityBatchSampler must be a whole number of at least {least}.")
        if rank >= num_ranks:
            raise GluonFRError(f"rank={rank} of an IdentityBatchSampler must be below num_ranks={num_ranks}.")
        self._images, self._begins, self._counts = _by_person(labels)
        if len(self._counts) < P:
            raise GluonFRError(
                f"P={P} people a batch are more than the {len(self._counts)} people of the set; take a smaller P."
            )
        self.P, self.K, self.seed = int(P), int(K), seed
        self._rank, self._num_ranks = int(rank), int(num_ranks)
        groups = -(-self._counts // self.K)
        batches = -(-int(groups.sum()) // self.P)
        self._batches = -(-batches // self._num_ranks) * self._num_ranks
        self._groups = np.minimum(groups, self._batches)
        self._next_epoch = 0

    def __len__(self) -> int:
        """Batches of an epoch on this rank; the same in every epoch."""
        return self._batches // self._num_ranks

    def __iter__(self):
        number = self._next_epoch
        self._next_epoch += 1
        return self.epoch(number)

    def __call__(self, epoch):
        """The image numbers of epoch `epoch` (from 0), batch after batch, those of all ranks: integers (batches * P * K,)."""
        rng = generator(self.seed, _SAMPLE, epoch)
        table = _seats(self._how_often(rng), self._batches, self.P, rng).ravel()
        # How often each seat's person sat before: the group of images that is next.
        by_person = np.argsort(table, kind="stable")
        often = np.bincount(table, minlength=len(self._counts))
        turn = np.empty(len(table), self._images.dtype)
        turn[by_person] = np.arange(len(table)) - np.repeat(np.cumsum(often) - often, often)
        del by_person
        counts, begins = self._counts[table], self._begins[table]
        places = turn[:, None] * self._images.dtype.type(self.K) + np.arange(self.K, dtype=turn.dtype)
        places %= counts[:, None]
        places += begins[:, None]
        return self._in_an_order(rng)[places.ravel()]

    def epoch(self, number, start=0):
        """Iterator over this rank's batches of epoch `number` from batch `start` on, lists of P * K image numbers, exactly
        as an unbroken run has them.
        """
        batches = self(number).reshape(self._batches, -1)[self._rank :: self._num_ranks]
        return iter(batches[start:].tolist())

    def _in_an_order(self, rng):
        """The images, person after person, each person's in a random order."""
        keys, images = rng.random(len(self._images)), np.empty_like(self._images)
        # People with equally many images are the rows of a matrix, and each row is sorted by its keys.
        by_count = np.argsort(self._counts, kind="stable")
        changes = np.flatnonzero(np.diff(self._counts[by_count])) + 1
        for people in np.split(by_count, changes):
            count = int(self._counts[people[0]])
            for some in np.array_split(people, 1 + len(people) * count // _AT_ONCE):
                places = self._begins[some][:, None] + np.arange(count)
                rows = self._images[places]
                images[places] = np.take_along_axis(rows, np.argsort(keys[rows], axis=1, kind="stable"), axis=1)
        return images

    def _how_often(self, rng):
        """How often each person comes: int64 (people,), at most once a batch, batches * P in all."""
        often = self._groups.copy()
        missing = self._batches * self.P - int(often.sum())
        while missing:
            chosen = rng.permutation(np.flatnonzero(often < self._batches))[:missing]
            often[chosen] += 1
            missing -= len(chosen)
        return often


def _by_person(labels):
    """The images, person after person in the order of the labels, and for each person where theirs begin and how many they
    are. In integers as short as they may be: for many images these are the largest arrays.
    """
    kind = np.promote_types(np.int32, np.min_scalar_type(-len(labels)))
    if (labels[1:] >= labels[:-1]).all():
        images = np.arange(len(labels), dtype=kind)
    else:
        images = np.argsort(labels, kind="stable").astype(kind)
        labels = labels[images]
    begins = np.flatnonzero(np.append(True, labels[1:] != labels[:-1])).astype(kind)
    return images, begins, np.diff(begins, append=kind.type(len(labels)))


def _seats(often, batches, size, rng):
    """Seat person i in `often[i]` <= `batches` different batches: a table (batches, size) of people, drawn at random.

    A shuffled table is right but for the few who sit twice in a batch. Each of those changes places with somebody in a batch
    without them, who is not in theirs or sits twice as well; by the pigeonhole principle there always is one, and every
    change leaves fewer who sit twice.
    """
    table = rng.permutation(np.repeat(np.arange(len(often)), often)).reshape(batches, size)
    for person in _twice(table):
        rows, seats = np.divmod(np.flatnonzero(table.ravel() == person), size)
        absent = np.ones(batches, dtype=bool)
        absent[rows] = False
        without = rng.permutation(np.flatnonzero(absent))
        too_many = np.append(False, rows[1:] == rows[:-1])
        for row, seat, other in zip(rows[too_many], seats[too_many], without):
            others, among = table[other], table[row]
            fits = [s for s in range(size) if others[s] not in among or np.count_nonzero(others == others[s]) > 1]
            chosen = fits[rng.integers(len(fits))]
            table[row, seat], table[other, chosen] = table[other, chosen], person
    return table


def _twice(table):
    """The people who sit twice in some batch, until there are none."""
    while True:
        in_order = np.sort(table, axis=1)
        people = np.unique(in_order[:, 1:][in_order[:, 1:] == in_order[:, :-1]])
        if not len(people):
            return
        yield from people

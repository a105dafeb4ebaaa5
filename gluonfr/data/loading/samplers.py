from __future__ import annotations

from typing import Any, Iterator

import numpy as np

from gluonfr.core import UsageError, check_integer, generator

# Images that are sorted together.
_BLOCK_IMAGES = 1 << 20
_PURPOSE = int.from_bytes(b"identity", "big")


class IdentityBatchSampler:
    """Batches of P people with K images each, for losses that compare the images of a batch.

    The content of an epoch is a pure function of `seed` and its number, and any of its batches can be requested. In every epoch

    - each person occurs at least once, and at most once per batch;
    - a person with n images occurs about n / K times. Their images are used in an order drawn for the epoch, so that each is
      used equally often, or once more. Those of a person with fewer than K images are repeated to fill the K places; a loader
      that augments changes each repetition differently;
    - a person with more groups of K images than the epoch has batches occurs in every batch, with other images in other epochs.

    It is the `sampler` of a `RecordLoader` with batch size P * K, and the `batch_sampler` of Gluon's `DataLoader`::

        RecordLoader(dataset, 64, sampler=IdentityBatchSampler(dataset, 16, 4))
        gluon.data.DataLoader(dataset, batch_sampler=IdentityBatchSampler(dataset, 16, 4))

    Parameters
    ----------
    data : TrainingSet or sequence of int
        The training set, or the label of each of its images (n,).
    P : int
        People per batch.
    K : int
        Images per person, at least 2; they are adjacent in the batch.
    seed : int, default 0
        From 0 to 2**64 - 1.
    rank, num_ranks : int, default 0 and 1
        This process, and the number of processes that share an epoch. With a `RecordLoader`, pass the same `num_ranks` to both
        and `rank` to the loader only.

    Raises
    ------
    UsageError
        There are fewer than P people, or an argument is out of range.

    Examples
    --------
    >>> sampler = IdentityBatchSampler([0, 0, 0, 1, 1, 2, 2, 2], P=2, K=2)
    >>> len(sampler), [len(batch) for batch in sampler]
    (3, [4, 4, 4])
    """

    def __init__(self, data: Any, P: int, K: int, seed: int = 0, rank: int = 0, num_ranks: int = 1) -> None:
        labels = np.asarray(data.labels if hasattr(data, "labels") else data)
        if labels.ndim != 1 or not len(labels):
            raise UsageError(f"data of an IdentityBatchSampler must be one label per image, got an array of {labels.shape}.")
        self.P, self.K, self.seed = check_integer("P", P, 1), check_integer("K", K, 2), seed
        self._num_ranks = check_integer("num_ranks", num_ranks, 1)
        self._rank = check_integer("rank", rank, 0, self._num_ranks - 1)
        self._images, self._begins, self._counts = _group_by_person(labels)
        if len(self._counts) < P:
            raise UsageError(
                f"P={P} people per batch are more than the {len(self._counts)} people of the set; use a smaller P."
            )
        groups = -(-self._counts // self.K)
        batches = -(-int(groups.sum()) // self.P)
        self._batches = -(-batches // self._num_ranks) * self._num_ranks
        self._groups = np.minimum(groups, self._batches)
        self._next_epoch = 0

    def __repr__(self) -> str:
        return (
            f"IdentityBatchSampler(P={self.P}, K={self.K}, images={len(self._images)}, people={len(self._counts)}, "
            f"batches={len(self)}, seed={self.seed})"
        )

    def __len__(self) -> int:
        """Return the number of batches of an epoch on this rank; all epochs have the same."""
        return self._batches // self._num_ranks

    def __iter__(self) -> Iterator[list[int]]:
        number = self._next_epoch
        self._next_epoch += 1
        return self.epoch(number)

    def __call__(self, epoch: int) -> np.ndarray:
        """Return the image numbers of an epoch on all ranks, batch after batch: integers (batches * P * K,)."""
        rng = generator(self.seed, _PURPOSE, epoch)
        people = _assign_people(self._occurrences(rng), self._batches, self.P, rng).ravel()
        # How often the person of each place occurred before: the number of the next group of images.
        by_person = np.argsort(people, kind="stable")
        often = np.bincount(people, minlength=len(self._counts))
        turn = np.empty(len(people), self._images.dtype)
        turn[by_person] = np.arange(len(people)) - np.repeat(np.cumsum(often) - often, often)
        del by_person
        counts, begins = self._counts[people], self._begins[people]
        places = turn[:, None] * self._images.dtype.type(self.K) + np.arange(self.K, dtype=turn.dtype)
        places %= counts[:, None]
        places += begins[:, None]
        return self._shuffled_images(rng)[places.ravel()]

    def epoch(self, number: int, start: int = 0) -> Iterator[list[int]]:
        """Iterate over this rank's batches of an epoch from batch `start`: lists of P * K image numbers."""
        batches = self(number).reshape(self._batches, -1)[self._rank :: self._num_ranks]
        return iter(batches[start:].tolist())

    def _shuffled_images(self, rng: np.random.Generator) -> np.ndarray:
        """Return the images, person after person, each person's in random order."""
        keys, images = rng.random(len(self._images)), np.empty_like(self._images)
        # People with the same number of images are the rows of a matrix, and each row is sorted by its keys.
        by_count = np.argsort(self._counts, kind="stable")
        changes = np.flatnonzero(np.diff(self._counts[by_count])) + 1
        for people in np.split(by_count, changes):
            count = int(self._counts[people[0]])
            for block in np.array_split(people, 1 + len(people) * count // _BLOCK_IMAGES):
                places = self._begins[block][:, None] + np.arange(count)
                rows = self._images[places]
                images[places] = np.take_along_axis(rows, np.argsort(keys[rows], axis=1, kind="stable"), axis=1)
        return images

    def _occurrences(self, rng: np.random.Generator) -> np.ndarray:
        """Draw how often each person occurs: int64 (people,), at most once per batch, batches * P in all."""
        often = self._groups.copy()
        missing = self._batches * self.P - int(often.sum())
        while missing:
            chosen = rng.permutation(np.flatnonzero(often < self._batches))[:missing]
            often[chosen] += 1
            missing -= len(chosen)
        return often


def _group_by_person(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the images in the order of the labels, and where each person's images begin and how many there are.

    The integers are as short as possible: for many images these are the largest arrays.
    """
    kind = np.promote_types(np.int32, np.min_scalar_type(-len(labels)))
    if (labels[1:] >= labels[:-1]).all():
        images = np.arange(len(labels), dtype=kind)
    else:
        images = np.argsort(labels, kind="stable").astype(kind)
        labels = labels[images]
    begins = np.flatnonzero(np.append(True, labels[1:] != labels[:-1])).astype(kind)
    return images, begins, np.diff(begins, append=kind.type(len(labels)))


def _assign_people(often: np.ndarray, batches: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Place person i in `often[i]` <= `batches` different batches: a random table (batches, size) of people.

    A shuffled table is right except for the few people who occur twice in a batch. Each of them changes places with a person
    of a batch without them, who is not in their batch or occurs twice as well. By the pigeonhole principle there always is
    one, and every change leaves fewer people who occur twice.
    """
    table = rng.permutation(np.repeat(np.arange(len(often)), often)).reshape(batches, size)
    for person in _repeated_people(table):
        rows, columns = np.divmod(np.flatnonzero(table.ravel() == person), size)
        absent = np.ones(batches, dtype=bool)
        absent[rows] = False
        without = rng.permutation(np.flatnonzero(absent))
        repeats = np.append(False, rows[1:] == rows[:-1])
        for row, column, other in zip(rows[repeats], columns[repeats], without):
            others, own = table[other], table[row]
            fits = [s for s in range(size) if others[s] not in own or np.count_nonzero(others == others[s]) > 1]
            chosen = fits[rng.integers(len(fits))]
            table[row, column], table[other, chosen] = table[other, chosen], person
    return table


def _repeated_people(table: np.ndarray) -> Iterator[int]:
    """Yield the people who occur twice in a batch, until there are none."""
    while True:
        in_order = np.sort(table, axis=1)
        people = np.unique(in_order[:, 1:][in_order[:, 1:] == in_order[:, :-1]])
        if not len(people):
            return
        yield from people

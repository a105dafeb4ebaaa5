"""Checks at the start of a distributed run: what must be equal on all ranks, and what a group cannot do."""

from __future__ import annotations

import hashlib
import os
import socket
from typing import TYPE_CHECKING, Any

import mxnet as mx
import numpy as np

from gluonfr.core import GluonFRError, UsageError
from gluonfr.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Sequence

    from gluonfr.engine.distributed.group import Group
    from gluonfr.engine.loop.options import RunOptions
    from gluonfr.engine.options import TrainOptions

# Options that may differ between machines.
_OWN = {"root", "gpus", "threads", "progress"}


def check_devices(gpus: Sequence[int], cpus: int, ranks: Any) -> None:
    """Check that every rank gets one device: as many GPUs as ranks on a machine, or one CPU context each.

    Parameters
    ----------
    gpus : sequence of int
        As given for all ranks of a machine.
    cpus : int
    ranks : int
        On a machine, at most.

    Raises
    ------
    GluonFRError

    Examples
    --------
    >>> check_devices((), 1, 2)
    """
    if not gpus and cpus > 1:
        raise GluonFRError(
            f"cpus={cpus} has no effect with several processes, which use one device each; leave it out and raise workers=."
        )
    if gpus and len(gpus) != ranks:
        raise GluonFRError(
            f"gpus= lists {len(gpus)} GPUs for the {ranks} processes of a machine, which use one GPU each; list {ranks} GPUs."
        )


def check_agreement(group: Group, options: TrainOptions, dataset: Any, sets: Any) -> None:
    """Check that all ranks have equal versions, options and data, and enough data for each; all ranks call it once.

    Parameters
    ----------
    group : Group
    options : TrainOptions
    dataset : TrainingSet
    sets : dict of name to FRValDataset

    Raises
    ------
    GluonFRError
        On every rank, with the first thing that differs.

    Examples
    --------
    >>> check_agreement(Group(), options, dataset, sets)  # doctest: +SKIP
    """
    if group.size == 1:
        return
    people = np.count_nonzero(np.bincount(dataset.labels))
    sizes = [(int(people), "identities"), (len(dataset), "images")]
    require_agreement(group, options, list(_data_facts(options, dataset, sets)), sizes, dataset.records.path)


def require_agreement(
    group: Group, options: RunOptions, data: Sequence[tuple[str, Any]], sizes: Sequence[tuple[int, str]], path: str
) -> None:
    """Check that all ranks have equal versions, options and facts about their data, and enough data for each.

    Parameters
    ----------
    group : Group
    options : RunOptions
    data : sequence of (str, str or number)
        Names and values of facts, such as the number of bytes of a file.
    sizes : sequence of (int, str)
        Numbers that must not be smaller than the number of ranks, and what they count.
    path : str
        The training data, for messages.

    Raises
    ------
    GluonFRError
        On every rank, with the first thing that differs.

    Examples
    --------
    >>> require_agreement(Group(), options, [("records of", "9 bytes")], [(5, "photos")], "faces.rec")  # doctest: +SKIP
    """
    if group.size == 1:
        return
    facts = [("host", socket.gethostname()), *_facts(options), *data]
    ranks = [dict(facts_of_rank) for facts_of_rank in group.gather_values(facts)]
    for rank, other in enumerate(ranks):
        for name in {**ranks[0], **other}:
            ours, theirs = ranks[0].get(name), other.get(name)
            if name != "host" and ours != theirs:
                raise GluonFRError(
                    f"rank {rank} on {other['host']} has {name} {theirs}, rank 0 on {ranks[0]['host']} has {ours}; they must "
                    "be equal on all ranks."
                )
    devices = len(options.gpus) or options.cpus
    if devices > 1:
        raise UsageError(
            f"each of the {group.size} processes got {devices} devices but uses one; start one process per device."
        )
    for count, what in sizes:
        if group.size > count:
            raise GluonFRError(f"{group.size} processes are more than the {count} {what} of {path}; start fewer of them.")


def _facts(options: RunOptions) -> Iterator[Any]:
    yield from (("gluonfr", __version__), ("mxnet", mx.__version__), ("numpy", np.__version__))
    for name, value in sorted(options.to_dict().items()):
        if name not in _OWN:
            yield f"the option {name}", value


def _data_facts(options: TrainOptions, dataset: Any, sets: Any) -> Iterator[Any]:
    yield f"{options.dataset} of", f"{dataset.records.size:,} bytes, with labels {_digest(dataset.labels)}"
    for name, pairs in sorted(sets.items()):
        issame = _digest(np.asarray(pairs.issame, dtype=np.uint8))
        yield f"{name} of", f"{os.path.getsize(pairs.path):,} bytes, with pairs {issame}"


def _digest(array: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:12]

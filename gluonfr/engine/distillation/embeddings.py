"""Embeddings of the images of a training set, computed once and cached on disk."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import logging
import os
from typing import TYPE_CHECKING, Any, Sequence

import numpy as np
from mxnet import nd
from mxnet.gluon import HybridBlock

from gluonfr.core import Card, DataError, GluonFRError, atomic_file, file_sha256
from gluonfr.core.mxnet_internals import parameter_value, parameters_by_path
from gluonfr.core.reading import open_npy
from gluonfr.data.dataset.mixed import MIXING_VERSION, MixedFaces
from gluonfr.data.dataset.views import PartlyLabeled, SelectedPeople
from gluonfr.deploy import embed
from gluonfr.deploy.inference import InferenceNetwork
from gluonfr.engine.finetuning.class_means import Crops
from gluonfr.engine.finetuning.start import fit_crops

if TYPE_CHECKING:
    import mxnet as mx

    from gluonfr.data import TrainingSet
    from gluonfr.engine.distributed.group import Group

logger = logging.getLogger(__name__)

# Rows in memory at once.
_ROWS = 20_000
# Rows that are computed and stored at once, a minute or less of work.
_PART = 4_000


def cached_embeddings(
    net: Any, card: Card, dataset: TrainingSet, contexts: Sequence[mx.Context], group: Group, progress: bool = True
) -> np.ndarray:
    """Return the embedding of every image of a training set, the mean over the image and its mirror image.

    The network's card decides the crops. The embeddings of all images of a record file are computed once and read from
    `cache_folder()` afterwards, as long as neither the network nor the records change; of mixed faces, neither their seed and
    number, nor the people among whom they are mixed.

    Parameters
    ----------
    net : Block
        As `load_model` returns it.
    card : Card
    dataset : TrainingSet
        As the records hold it, not re-aligned.
    contexts : list of Context
    group : Group
        Processes that share the work.
    progress : bool, default True
        Show a progress bar on a terminal.

    Returns
    -------
    float32 (len(dataset), D)
        Not normalized.

    Examples
    --------
    >>> cached_embeddings(net, card, dataset, [mx.cpu()], Group()).shape  # doctest: +SKIP
    (5967, 128)
    """
    if isinstance(dataset, SelectedPeople):
        return cached_embeddings(net, card, dataset.base, contexts, group, progress)[dataset.items]
    if isinstance(dataset, PartlyLabeled):
        parts = (dataset.labeled, dataset.unlabeled)
        return np.concatenate([cached_embeddings(net, card, part, contexts, group, progress) for part in parts])
    path = os.path.join(cache_folder(), f"{_key(net, card, dataset)}.npy")
    rows = _read(path, len(dataset))
    if not all(group.gather_values(rows is not None)):
        computed = _compute(path, net, card, dataset, contexts, group, progress)
        rows = _written(path, computed) if rows is None else rows
        for part in glob.glob(f"{glob.escape(path)}.*"):
            with contextlib.suppress(OSError):
                os.remove(part)
    assert rows is not None
    return rows


def cache_folder() -> str:
    """Return the folder of cached embeddings, `gluonfr/embeddings` in `XDG_CACHE_HOME` or `~/.cache`.

    Examples
    --------
    >>> cache_folder().endswith("gluonfr/embeddings")
    True
    """
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(root, "gluonfr", "embeddings")


def row_parts(rows: np.ndarray) -> list[slice]:
    """Return parts of equal length of the rows, which may be a file that does not fit into memory.

    Examples
    --------
    >>> row_parts(np.zeros((30_000, 1)))
    [slice(0, 15000, None), slice(15000, 30000, None)]
    """
    count = -(-len(rows) // _ROWS)
    return [slice(len(rows) * k // count, len(rows) * (k + 1) // count) for k in range(count)]


def _read(path: str, count: int) -> np.ndarray | None:
    """Return the cached embeddings; None where there are none, or where they are damaged."""
    if not os.path.lexists(path):
        return None
    try:
        rows = open_npy(path, "embeddings")
        if rows.ndim != 2 or len(rows) != count or rows.dtype != np.float32:
            raise DataError(f"{path} does not hold the embeddings of {count} images.")
        if not all(np.isfinite(rows[part]).all() for part in row_parts(rows)):
            raise DataError(f"{path} holds numbers that are not finite.")
    except (DataError, OSError) as error:
        logger.warning("cached embeddings cannot be used and are computed again: %s", error)
        return None
    return rows


def _written(path: str, rows: np.ndarray) -> np.ndarray:
    """Write embeddings to the cache and return them as it holds them, or with a warning as they are."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with atomic_file(path, "wb") as file:
            np.save(file, rows)
        return open_npy(path, "embeddings")
    except (GluonFRError, OSError) as error:
        logger.warning(
            "embeddings are not cached, so another run computes them again (%s); name a folder that can be written in "
            "XDG_CACHE_HOME",
            str(error).rstrip("."),
        )
        return rows


def _compute(path: str, net: Any, card: Card, dataset: Any, contexts: Any, group: Group, progress: bool) -> np.ndarray:
    """Return the embeddings, in parts that are stored beside `path` in case that the run ends early."""
    if isinstance(net, HybridBlock):
        net = InferenceNetwork(net, card.image_size)
    dataset = fit_crops(dataset, card)
    # With fewer images than ranks, every rank computes all.
    is_shared = group.size > 1 and len(dataset) >= group.size
    edges = [len(dataset) * rank // group.size for rank in range(group.size + 1)]
    own = range(edges[group.rank], edges[group.rank + 1]) if is_shared else range(len(dataset))
    logger.info("embeddings of %d images by %s", len(dataset), card.network or "the teacher")
    found: list[np.ndarray] = []
    stores = True
    for first in range(own.start, own.stop, _PART):
        items = own[first - own.start :][:_PART]
        part = f"{path}.{first}-{items.stop}"
        rows = _read(part, len(items))
        if rows is None:
            text = f"embeddings of images {first} to {items.stop - 1}" if progress and group.rank == 0 else None
            rows = embed(net, Crops(dataset, items), contexts, progress=text, normalize=False, after_batch=group.beat) / 2
            # What follows the last part takes no time, unless other processes are slower.
            if stores and (items.stop < own.stop or is_shared):
                stored = _written(part, rows)
                stores = stored is not rows
        found.append(rows)
    rows = np.concatenate(found)
    return group.gather(nd.array(rows), "references").asnumpy() if is_shared else rows


def network_digest(net: Any) -> str:
    """Return a hexadecimal number that changes with the parameters of a network.

    Examples
    --------
    >>> network_digest(net)[:8]  # doctest: +SKIP
    '5f0c9a1e'
    """
    digest = hashlib.sha256()
    parameters = parameters_by_path(net)
    for name, parameter in sorted(parameters.items()):
        digest.update(name.encode())
        digest.update(parameter_value(parameter).tobytes())
    if not parameters:
        digest.update(file_sha256(net.path).encode())
    return digest.hexdigest()


def _key(net: Any, card: Card, dataset: Any) -> str:
    """Return a name that changes with the parameters of the network, its crops, and the record files."""
    digest = hashlib.sha256(network_digest(net).encode())
    source = dataset
    if isinstance(dataset, MixedFaces):
        source, items = dataset.base, b""
        if isinstance(source, SelectedPeople):
            source, items = source.base, source.items.tobytes()
        digest.update(b"mixed %d %d" % (MIXING_VERSION, dataset.seed) + items + dataset.base.labels.tobytes())
    paths = [member.records.path for member in getattr(source, "members", [source])]
    files = [(path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in paths]
    crops = [card.template, list(card.image_size), card.color, card.mean, card.std]
    facts = [card.network, card.arguments, *crops, files, len(dataset)]
    digest.update(json.dumps(facts).encode())
    return digest.hexdigest()[:32]

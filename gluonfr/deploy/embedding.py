"""Embeddings of images and of the pairs of a verification set."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import gluon, nd
from tqdm import tqdm

from gluonfr.core import DataError, UsageError, WeightsError
from gluonfr.data.crops import crop_for_network
from gluonfr.data.images import as_rgb, decode


def to_unit(images: mx.nd.NDArray) -> mx.nd.NDArray:
    """Convert uint8 images to the float32 in [0, 1] that networks expect, on the same device.

    Examples
    --------
    >>> to_unit(nd.full((1, 3, 2, 2), 255, dtype="uint8")).max().asscalar()
    1.0
    """
    if images.dtype != np.uint8:
        return images
    unit = images.astype("float32")
    # In place: another copy of the batch costs more than the multiplication.
    unit *= 1 / 255
    return unit


def embed(
    net: Any,
    images: Any,
    contexts: Sequence[mx.Context] | None = None,
    batch_size: int = 64,
    flip: bool = True,
    progress: str | None = None,
    normalize: bool = True,
    after_batch: Callable[[], Any] | None = None,
) -> np.ndarray:
    """Compute L2-normalized embeddings of images.

    Parameters
    ----------
    net : HybridBlock
        Images (N, 3, H, W) in [0, 1] to embeddings (N, D), or to a tuple that begins with them; initialized on `contexts`.
    images : sequence
        Bytes of image files, or (H, W, 3) uint8 RGB arrays; all of one size.
    contexts : list of Context, default [mx.cpu()]
        Devices over which every batch is split.
    batch_size : int, default 64
        Number of images per batch, on all devices together.
    flip : bool, default True
        Add the embedding of the mirrored image before normalizing (the flip sum of the verification protocol).
    progress : str, optional
        Text of a progress bar.
    normalize : bool, default True
        False returns embeddings of the original length, which measures quality in some networks.
    after_batch : callable, optional
        Called without arguments after each batch.

    Returns
    -------
    (len(images), D) float32
        Rows of norm 1 unless `normalize` is False.

    Raises
    ------
    UsageError, DataError, WeightsError
        An image cannot be decoded or differs in size from the first, or the network returns NaN or zero for one.

    Examples
    --------
    >>> from gluonfr.deploy import RawPixels
    >>> embed(RawPixels(), [np.full((4, 4, 3), 200, np.uint8)] * 2).shape
    (2, 48)
    """
    contexts = list(contexts or [mx.cpu()])
    if batch_size < len(contexts):
        raise UsageError(f"batch_size must be at least 1 for each of {len(contexts)} devices, got {batch_size}.")
    rows: list[np.ndarray] = []
    waiting: deque[tuple[int, list[mx.nd.NDArray]]] = deque()
    starts = range(0, len(images), batch_size)
    with tqdm(total=len(images), desc=progress, unit="image", disable=None if progress else True, leave=False) as bar:
        for batch in _prefetch(starts, lambda start: _batch(images, start, batch_size)):
            waiting.append((len(batch), _forward(net, batch, contexts, batch_size, flip)))
            # The devices compute one batch while the next is transferred.
            if len(waiting) > 1:
                rows.append(_collect(*waiting.popleft()))
                bar.update(len(rows[-1]))
                if after_batch is not None:
                    after_batch()
        rows.extend(_collect(*part) for part in waiting)
    return _finish(np.concatenate(rows), normalize) if rows else np.zeros((0, 0), dtype=np.float32)


def embed_pairs(
    net: Any,
    dataset: Any,
    contexts: Sequence[mx.Context] | None = None,
    batch_size: int = 64,
    flip: bool = True,
    progress: str | None = None,
    image_size: tuple[int, int] | None = None,
    template: str = "arcface",
    group: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute embeddings of the pairs of a verification set; an image in several pairs is embedded once.

    Parameters
    ----------
    net, contexts, batch_size, flip, progress
        As for `embed`.
    dataset : FRValDataset
        Its own transform is not used.
    image_size : (H, W), optional
        Size that the network expects; by default that of the dataset.
    template : str, default 'arcface'
        Crop template of the network.
    group : optional
        Processes that share the work (`Group`): each embeds some of the batches, and all receive all embeddings.

    Returns
    -------
    (embeddings0, embeddings1) : (pairs, D) float32
        Rows of norm 1.

    Examples
    --------
    >>> from gluonfr.data import get_recognition_dataset
    >>> first, second = embed_pairs(net, get_recognition_dataset("lfw"))  # doctest: +SKIP
    """
    first, place = dataset.distinct()
    options: dict[str, Any] = {"contexts": contexts, "batch_size": batch_size, "flip": flip, "progress": progress}
    if group is None or group.size == 1:
        embeddings = embed(net, _PairImages(dataset, first, image_size, template), **options)
        return embeddings[place[0::2]], embeddings[place[1::2]]
    if group.rank:
        options["progress"] = None
    batches = -(-len(first) // batch_size)
    edges = [min(len(first), batches * rank // group.size * batch_size) for rank in range(group.size + 1)]
    counts = np.diff(edges)
    # MXNet has no arrays without rows, so a process without work embeds one image, which is dropped below.
    own = first[edges[group.rank] : edges[group.rank + 1]] or first[:1]
    failure, embeddings = None, np.empty(0)
    try:
        embeddings = embed(net, _PairImages(dataset, own, image_size, template), after_batch=group.beat, **options)
    except Exception as error:
        failure = error
    # All processes fail together, because those that go on would wait for the others.
    failures = group.gather_values(str(failure) if failure else "")
    if any(failures):
        raise WeightsError(next(filter(None, failures))) from failure
    embeddings = group.gather(nd.array(embeddings), "embeddings").asnumpy()
    embeddings = embeddings[np.repeat(counts > 0, np.maximum(counts, 1))]
    return embeddings[place[0::2]], embeddings[place[1::2]]


class _PairImages:
    """Some images of a verification set, decoded on access."""

    def __init__(self, dataset: Any, numbers: Sequence[int], image_size: tuple[int, int] | None, template: str) -> None:
        self._dataset, self._numbers = dataset, numbers
        self._size, self._template = tuple(image_size or dataset.image_size), template

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, i: int) -> np.ndarray:
        image = self._dataset.image(self._numbers[i])
        return crop_for_network(image, self._size, self._template, lambda: f"{self._dataset.path}: image {self._numbers[i]}")


def _prefetch(starts: Sequence[int], make: Callable[[int], np.ndarray]) -> Iterator[np.ndarray]:
    """Iterate over the results of `make` in order, with a few made in advance; a large set does not fit into memory."""
    if len(starts) == 1:
        # Starting threads would take longer than a single batch.
        yield make(starts[0])
        return
    made: deque[Future[np.ndarray]] = deque()
    with ThreadPoolExecutor(2) as pool:
        try:
            for start in starts:
                made.append(pool.submit(make, start))
                if len(made) > 3:
                    yield made.popleft().result()
            while made:
                yield made.popleft().result()
        finally:
            for future in made:
                future.cancel()


def _batch(images: Any, start: int, batch_size: int) -> np.ndarray:
    chunk = [_pixels(images[i], i) for i in range(start, min(start + batch_size, len(images)))]
    sizes = {image.shape for image in chunk}
    if len(sizes) > 1:
        raise DataError(f"images {start} to {start + len(chunk) - 1} differ in size ({sizes}); align them to one size.")
    return np.ascontiguousarray(np.stack(chunk).transpose(0, 3, 1, 2))


def _pixels(image: Any, number: int) -> np.ndarray:
    return decode(image, f"image {number}") if isinstance(image, bytes) else as_rgb(image, f"image {number}")


def _forward(net: Any, batch: np.ndarray, contexts: Sequence[mx.Context], batch_size: int, flip: bool) -> list[mx.nd.NDArray]:
    if len(batch) < batch_size and not getattr(net, "any_batch", False):
        # A network that is hybridized with static shapes plans its memory again for every other batch size.
        batch = np.concatenate([batch, np.zeros((batch_size - len(batch), *batch.shape[1:]), batch.dtype)])
    # A last batch may contain fewer images than there are devices, and MXNet copies no empty array.
    contexts = contexts[: len(batch)]
    parts = gluon.utils.split_data(nd.array(batch, dtype="uint8"), len(contexts), even_split=False)
    outputs = []
    for part, context in zip(parts, contexts):
        x = to_unit(part.as_in_context(context))
        embedding = _first(net(x))
        outputs.append(embedding + _first(net(nd.flip(x, axis=3))) if flip else embedding)
    return outputs


def _first(outputs: Any) -> mx.nd.NDArray:
    return outputs[0] if isinstance(outputs, (tuple, list)) else outputs


def _collect(count: int, outputs: list[mx.nd.NDArray]) -> np.ndarray:
    return np.concatenate([output.asnumpy() for output in outputs])[:count]


def _finish(embeddings: np.ndarray, normalize: bool) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if len(bad):
        raise WeightsError(
            f"the network returns {'zero' if norms[bad[0], 0] == 0 else 'NaN or infinity'} as the embedding of image {bad[0]} "
            f"({len(bad)} images in all); it is untrained or has diverged: load other weights."
        )
    return (embeddings / norms if normalize else embeddings).astype(np.float32)

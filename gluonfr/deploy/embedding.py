from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor

import mxnet as mx
import numpy as np
from mxnet import gluon, nd
from tqdm import tqdm

from gluonfr.core import GluonFRError
from gluonfr.data.crops import crop_for_network
from gluonfr.data.images import as_rgb, decode

# Of the crops in training and verification sets.


def to_unit(images):
    """uint8 images (N, 3, H, W) as the float32 in [0, 1] that networks take, on the device where they lie."""
    if images.dtype != np.uint8:
        return images
    unit = images.astype("float32")
    # In place: another copy of the batch costs more than the multiplication.
    unit *= 1 / 255
    return unit


def embed(net, images, contexts=None, batch_size=64, flip=True, progress=None, normalize=True, after_batch=None):
    """Embeddings of images, L2-normalized.

    Parameters
    ----------
    net : HybridBlock
        Images (N, 3, H, W) in [0, 1] to embeddings (N, D), or to a tuple that begins with them; initialized on `contexts`.
    images : sequence
        Each the bytes of an image file, or a uint8 (H, W, 3) RGB array; all of one size.
    contexts : list of Context, default [mx.cpu()]
        Every batch is split over them.
    batch_size : int, default 64
    flip : bool, default True
        Add the embedding of the mirrored image before normalizing (the flip sum of the verification protocol).
    progress : str, optional
        Text of a progress bar.
    normalize : bool, default True
        False keeps the lengths, which carry quality in some networks and count where images of a template are averaged.
    after_batch : callable, optional
        Called without arguments whenever a batch is done.

    Returns
    -------
    float32 (len(images), D), rows of norm 1 unless `normalize` is False.

    Raises
    ------
    GluonFRError
        An image does not decode or differs in size from the first, or the network gives NaN or zero for one.
    """
    contexts = list(contexts or [mx.cpu()])
    if batch_size < len(contexts):
        raise GluonFRError(f"batch_size must be at least 1 for each of {len(contexts)} devices, got {batch_size}.")
    rows, waiting = [], []
    starts = range(0, len(images), batch_size)
    with tqdm(total=len(images), desc=progress, unit="image", disable=None if progress else True, leave=False) as bar:
        for batch in _ahead(starts, lambda start: _batch(images, start, batch_size)):
            waiting.append((len(batch), _forward(net, batch, contexts, batch_size, flip)))
            # One batch is on the devices while the next is handed over.
            if len(waiting) > 1:
                rows.append(_collect(*waiting.pop(0)))
                bar.update(len(rows[-1]))
                if after_batch is not None:
                    after_batch()
        rows.extend(_collect(*each) for each in waiting)
    return _checked(np.concatenate(rows), normalize) if rows else np.zeros((0, 0), dtype=np.float32)


def embed_pairs(
    net, dataset, contexts=None, batch_size=64, flip=True, progress=None, image_size=None, template="arcface", group=None
):
    """Embeddings of a verification set's pairs; an image that stands in several pairs is embedded once.

    Parameters
    ----------
    net, contexts, batch_size, flip, progress
        As `embed`.
    dataset : FRValDataset
        Its own transform is not used.
    image_size : (H, W), optional
        What the network takes, see `crop_for_network`.
    template : str, default 'arcface'
        On the network's card.
    group : optional
        Processes that share the work (`Group`): each embeds whole batches of its own, and all get all.

    Returns
    -------
    (embeddings0, embeddings1) : float32 (pairs, D), rows of norm 1.
    """
    first, place = dataset.distinct()
    options = {"contexts": contexts, "batch_size": batch_size, "flip": flip, "progress": progress}
    if group is None or group.size == 1:
        embeddings = embed(net, _Images(dataset, first, image_size, template), **options)
        return embeddings[place[0::2]], embeddings[place[1::2]]
    if group.rank:
        options["progress"] = None
    batches = -(-len(first) // batch_size)
    edges = [min(len(first), batches * rank // group.size * batch_size) for rank in range(group.size + 1)]
    counts = np.diff(edges)
    # Arrays without rows are none to MXNet: who has nothing to do embeds an image for nothing.
    mine = first[edges[group.rank] : edges[group.rank + 1]] or first[:1]
    own = embed(net, _Images(dataset, mine, image_size, template), after_batch=group.beat, **options)
    embeddings = group.gather(nd.array(own), "embeddings").asnumpy()
    embeddings = embeddings[np.repeat(counts > 0, np.maximum(counts, 1))]
    return embeddings[place[0::2]], embeddings[place[1::2]]


class _Images:
    """Some of a verification set's images, decoded when they are asked for."""

    def __init__(self, dataset, numbers, image_size, template) -> None:
        self._dataset, self._numbers = dataset, numbers
        self._size, self._template = tuple(image_size or dataset.image_size), template

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, i):
        image = self._dataset.image(self._numbers[i])
        return crop_for_network(image, self._size, self._template, lambda: f"{self._dataset.path}: image {self._numbers[i]}")


def _ahead(starts, make):
    """Results of `make`, in order; a few are made ahead, not all, because a large set does not fit into memory."""
    if len(starts) == 1:
        # Threads would take longer than the one batch.
        yield make(starts[0])
        return
    made = deque()
    with ThreadPoolExecutor(2) as pool:
        try:
            for start in starts:
                made.append(pool.submit(make, start))
                if len(made) > 3:
                    yield made.popleft().result()
            while made:
                yield made.popleft().result()
        finally:
            for each in made:
                each.cancel()


def _batch(images, start, batch_size):
    chunk = [_image(images[i], i) for i in range(start, min(start + batch_size, len(images)))]
    sizes = {image.shape for image in chunk}
    if len(sizes) > 1:
        raise GluonFRError(f"images {start} to {start + len(chunk) - 1} differ in size ({sizes}); align them to one size.")
    return np.ascontiguousarray(np.stack(chunk).transpose(0, 3, 1, 2))


def _image(image, number):
    return decode(image, f"image {number}") if isinstance(image, bytes) else as_rgb(image, f"image {number}")


def _forward(net, batch, contexts, batch_size, flip):
    if len(batch) < batch_size and not getattr(net, "any_batch", False):
        # A network that is hybridized with static shapes plans its memory anew for every other size.
        batch = np.concatenate([batch, np.zeros((batch_size - len(batch), *batch.shape[1:]), batch.dtype)])
    # A last batch may hold fewer images than there are devices, and MXNet copies no empty array.
    contexts = contexts[: len(batch)]
    parts = gluon.utils.split_data(nd.array(batch, dtype="uint8"), len(contexts), even_split=False)
    outputs = []
    for part, context in zip(parts, contexts):
        x = to_unit(part.as_in_context(context))
        embedding = _first(net(x))
        outputs.append(embedding + _first(net(nd.flip(x, axis=3))) if flip else embedding)
    return outputs


def _first(outputs):
    return outputs[0] if isinstance(outputs, (tuple, list)) else outputs


def _collect(count, outputs):
    return np.concatenate([output.asnumpy() for output in outputs])[:count]


def _checked(embeddings, normalize):
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if len(bad):
        raise GluonFRError(
            f"the network gives {'zero' if norms[bad[0], 0] == 0 else 'NaN or infinity'} as the embedding of image {bad[0]} "
            f"({len(bad)} images in all); it is untrained or diverged."
        )
    return (embeddings / norms if normalize else embeddings).astype(np.float32)

from __future__ import annotations

from typing import Any, Callable

import mxnet as mx
import numpy as np
from mxnet.gluon.data import Dataset

from gluonfr.core import DEFAULT_ROOT
from gluonfr.data import images
from gluonfr.data.dataset.base import SetSlice, item_number
from gluonfr.data.dataset.catalog import find_set
from gluonfr.data.dataset.worker_seeds import SampleSeeds
from gluonfr.data.pairs.bin_file import describe_image, read_pairs


class FRValDataset(Dataset):
    """A verification set: the pairs of `root/NAME.bin` or `root/NAME/val_data.bin`.

    Item i is `((image0, image1), issame)`: two uint8 (H, W, 3) RGB NDArrays, each passed through `transform(image)`, and a
    bool. The set works in the same loaders as `FRTrainRecordDataset`. A damaged image raises DataError, because accuracies
    without some of the pairs cannot be compared with others.

    Parameters
    ----------
    name : str
        The set's name, such as "lfw" or "emore/lfw".
    root : str, default '~/.mxnet/datasets/face'
        Folder of the sets.
    transform : callable, optional
        Applied to each image.

    Attributes
    ----------
    path : str
        The `.bin` file.
    issame : list of bool
        Whether the two images of each pair show the same person.
    image_size : tuple of int
        (H, W) of the first image. Images of the same aspect ratio are resized to it, others are refused.

    Examples
    --------
    >>> import tempfile
    >>> from gluonfr.data.pairs import write_pairs
    >>> root = tempfile.mkdtemp()
    >>> write_pairs(f"{root}/tiny.bin", [np.zeros((8, 8, 3), np.uint8)] * 2, [True])
    >>> pairs = FRValDataset("tiny", root=root)
    >>> (image0, image1), issame = pairs[0]
    >>> image0.shape, issame
    ((8, 8, 3), True)
    """

    def __init__(self, name: str, root: str = DEFAULT_ROOT, transform: Callable[[Any], Any] | None = None) -> None:
        self.name = name
        self.path = find_set(name, root, "verification")
        self._transform = transform
        self._files, issame = read_pairs(self.path)
        self.issame: list[bool] = issame.tolist()
        self._seeds = SampleSeeds(name, len(self))
        self.image_size = images.height_and_width(self._decode(0))

    def __repr__(self) -> str:
        return (
            f"FRValDataset({self.name!r}, path={self.path!r}, pairs={len(self)}, genuine={sum(self.issame)}, "
            f"image_size={self.image_size})"
        )

    def __len__(self) -> int:
        return len(self.issame)

    def __getitem__(self, i: int | slice) -> Any:
        if isinstance(i, slice):
            return SetSlice(self, range(len(self))[i])
        i = item_number(i, len(self))
        self._seeds.begin(i)
        arrays, issame = self.read(i)
        pair = tuple(mx.nd.array(image, ctx=mx.cpu(), dtype=np.uint8) for image in arrays)
        if self._transform is not None:
            pair = tuple(self._transform(image) for image in pair)
        return pair, issame

    def read(self, i: int) -> tuple[tuple[np.ndarray, np.ndarray], bool]:
        """Read pair i without the transform: two uint8 (H, W, 3) RGB arrays and whether they show the same person."""
        return (self.image(2 * i), self.image(2 * i + 1)), self.issame[i]

    def image(self, k: int) -> np.ndarray:
        """Read one image without the transform: image `k % 2` of pair `k // 2`, uint8 (H, W, 3) RGB."""
        return images.resize(self._decode(k), self.image_size, lambda: describe_image(self.path, k))

    def distinct(self) -> tuple[list[int], list[int]]:
        """Find the images whose files are identical: benchmarks use an image in several pairs.

        Returns
        -------
        first : list of int
            The number k of the first image of every distinct file.
        place : list of int
            For each of the 2 * len(self) images, the position of its file in `first`.
        """
        seen: dict[bytes, int] = {}
        place = [seen.setdefault(content, len(seen)) for content in self._files]
        first: dict[int, int] = {}
        for k, number in enumerate(place):
            first.setdefault(number, k)
        return list(first.values()), place

    def _decode(self, k: int) -> np.ndarray:
        return images.decode(self._files[k], lambda: describe_image(self.path, k))

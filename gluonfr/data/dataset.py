from __future__ import annotations

import logging
import mmap
import os
import re

import mxnet as mx
import numpy as np
from mxnet.gluon.data import Dataset

from gluonfr.core import GluonFRError
from gluonfr.data import images
from gluonfr.data.catalog import DEFAULT_ROOT, find, is_training, list_recognition_datasets, training_names
from gluonfr.data.joined import FRJoinedDataset
from gluonfr.data.pairs import read_pairs
from gluonfr.data.records.file import RecordFile
from gluonfr.data.training import TrainingSet, item_number
from gluonfr.data.worker_seeds import SampleSeeds

__all__ = ["FRTrainRecordDataset", "FRValDataset", "get_recognition_dataset", "list_recognition_datasets"]

logger = logging.getLogger(__name__)


def get_recognition_dataset(name, root=DEFAULT_ROOT, transform=None, identities=None, **kwargs):
    """The set called `name` below `root`: training when `root/NAME/train.rec` exists, otherwise verification.

    Parameters
    ----------
    name : str or list of str
        "emore" (training), "lfw" (`root/lfw.bin`), "emore/lfw" or "emore/val_data" (the `.bin` files in a training folder);
        "emore,celeb" or a list of names are several training sets as one.
    root : str, default '~/.mxnet/datasets/face'
    transform : callable, default None
        Gets `(image, label)` of a training set, `(image)` of a verification set.
    identities : str, default None
        A CSV file that tells which labels of the training sets are one person, see `FRJoinedDataset`.
    **kwargs
        Further arguments of `FRTrainRecordDataset`.

    Returns
    -------
    FRTrainRecordDataset, FRJoinedDataset or FRValDataset
    """
    names = training_names(name, root)
    if len(names) != 1 or identities is not None:
        members = [FRTrainRecordDataset(each, root=root, **kwargs) for each in names]
        return FRJoinedDataset(members, transform, identities)
    if is_training(names[0], root):
        return FRTrainRecordDataset(names[0], root=root, transform=transform, **kwargs)
    return FRValDataset(names[0], root=root, transform=transform, **kwargs)


class FRTrainRecordDataset(TrainingSet):
    """A training set: `root/NAME/train.rec`, with `train.idx` and `property` beside it or derived from the records.

    Item i is `(image, label)`: an HWC uint8 RGB NDArray and a float32, or what `transform(image, label)` makes of them. It
    works in a DataLoader without workers, with forked ones, where every sample has its own random numbers in NumPy's,
    Python's and MXNet's global generators, and with `thread_pool=True`.

    Images of another size than the set's are resized when their shape is the same, otherwise refused (`data.images.fit`).

    Parameters
    ----------
    name : str
        The set's folder below `root`.
    root : str, default '~/.mxnet/datasets/face'
    transform : callable, default None
    on_error : {"raise", "skip"}
        What a damaged record does. "skip" leaves out the records whose place or label is bad when the set is opened, and
        puts the next good image, with its own label, in the place of one that turns out not to decode. Each is logged and
        counted in `skipped`.

    Attributes
    ----------
    num_classes : int
        From `property`, or the largest label + 1 when there is none, which is logged.
    image_size : (H, W)
        From `property`, or the first image's when there is none.
    labels : int64 (len,)
    records : RecordFile
        The file's images, damaged ones included.
    """

    def __init__(self, name, root=DEFAULT_ROOT, transform=None, on_error="raise") -> None:
        if on_error not in ("raise", "skip"):
            raise GluonFRError(f'on_error must be "raise" or "skip", got {on_error!r}.')
        self.records = RecordFile(find(name, root, "training"))
        self._skips = on_error == "skip"
        path = os.path.join(os.path.dirname(self.records.path), "property")
        declared = _read_property(path) if os.path.exists(path) else None
        labels, problems = self.records.scan()
        if declared:
            problems = {**problems, **self._outside(labels, declared[0], path)}
        # Shared with forked workers: 1 where an image did not decode.
        self._undecoded = np.frombuffer(mmap.mmap(-1, len(labels)), dtype=np.uint8)
        self._dropped = sorted(problems)
        self._numbers = self._leave_out(len(labels), problems)
        if problems:
            labels = labels[self._numbers]
            labels.setflags(write=False)
        super().__init__(name, labels, *(declared or self._derive(labels, path)), transform)

    def read(self, i):
        for step in range(len(self)):
            try:
                return self._read(int(self._numbers[(i + step) % len(self)]), self.image_size)
            except GluonFRError:
                if not self._skips:
                    raise
        raise GluonFRError(f"{self.records.path}: not one image decodes; write or fetch it again.")

    def _read(self, number, size=None):
        def where():
            return self.records.describe(number)

        try:
            label, payload = self.records.read(number)
            image = images.decode(payload, where)
            return (image if size is None else images.fit(image, size, where)), int(label)
        except GluonFRError as error:
            if self._skips and not self._undecoded[number]:
                self._undecoded[number] = 1
                logger.warning("skipped: %s", error)
            raise

    @property
    def skipped(self):
        return sorted({*self._dropped, *np.flatnonzero(self._undecoded).tolist()})

    def _outside(self, labels, num_classes, path):
        outside = np.flatnonzero(labels >= num_classes).tolist()
        sentences = {
            i: f"{self.records.describe(i)} has the label {labels[i]}, where {path} has {num_classes} classes: "
            "correct its first line (num_classes,H,W), or delete it so that it is derived."
            for i in outside[: self.records.most_problems]
        }
        if len(outside) > len(sentences):
            # So many are no damage: the property is another set's.
            raise GluonFRError(sentences[outside[0]])
        return sentences

    def _leave_out(self, count, problems):
        """The numbers of the good records."""
        if problems and not self._skips:
            raise GluonFRError(problems[min(problems)])
        for i in sorted(problems):
            logger.warning("skipped: %s", problems[i])
        if len(problems) == count:
            raise GluonFRError(f"{self.records.path}: not one of its {count} records is good; write or fetch it again.")
        return np.delete(np.arange(count), sorted(problems)) if problems else range(count)

    def _derive(self, labels, path):
        num_classes = int(labels.max()) + 1
        for number in map(int, self._numbers):
            try:
                size = self._read(number)[0].shape[:2]
            except GluonFRError:
                if not self._skips:
                    raise
                continue
            logger.warning("%s is missing: the records have %d classes, the first image %dx%d pixels", path, num_classes, *size)
            return num_classes, size
        raise GluonFRError(f"{self.records.path}: not one image decodes; write or fetch it again.")


class FRValDataset(Dataset):
    """A verification set: the pairs of `root/NAME.bin`, or of `root/NAME/val_data.bin`.

    Item i is `((image0, image1), issame)`: two HWC uint8 RGB NDArrays, each gone through `transform(image)`, and a bool. Works
    in the same loaders as `FRTrainRecordDataset`. A damaged image raises GluonFRError, since leaving out pairs would give
    numbers that compare with nothing.

    Parameters
    ----------
    name : str
    root : str, default '~/.mxnet/datasets/face'
    transform : callable, default None

    Attributes
    ----------
    issame : list of bool, (len,)
    image_size : (H, W)
        The first image's; images of the same shape are resized to it, others refused.
    path : str
        The `.bin`.
    """

    def __init__(self, name, root=DEFAULT_ROOT, transform=None) -> None:
        self.name = name
        self.path = find(name, root, "verification")
        self._transform = transform
        self._payloads, issame = read_pairs(self.path)
        self.issame = issame.tolist()
        self._seeds = SampleSeeds(name, len(self))
        self.image_size = self._decode(0).shape[:2]

    def __len__(self) -> int:
        return len(self.issame)

    def __getitem__(self, i):
        i = item_number(i, len(self))
        self._seeds.begin(i)
        pair, issame = self.read(i)
        pair = tuple(mx.nd.array(image, ctx=mx.cpu(), dtype=np.uint8) for image in pair)
        if self._transform is not None:
            pair = tuple(self._transform(image) for image in pair)
        return pair, issame

    def read(self, i):
        """`((image0, image1), issame)` of pair i without the transform: uint8 arrays (H, W, 3) RGB and a bool."""
        return (self.image(2 * i), self.image(2 * i + 1)), self.issame[i]

    def image(self, k):
        """Image k of all pairs' images, 0 <= k < 2 * len(self): uint8 (H, W, 3) RGB, without the transform."""
        return images.fit(self._decode(k), self.image_size, lambda: self._describe(k))

    def distinct(self):
        """Which images are the same file: `(first, place)`.

        `first` lists an image number k for each distinct file, `place` (2 * len(self),) tells for every image where its file
        stands in that list. Benchmarks use an image in several pairs, and need not embed it several times.
        """
        seen = {}
        place = [seen.setdefault(payload, len(seen)) for payload in self._payloads]
        first = {}
        for k, number in enumerate(place):
            first.setdefault(number, k)
        return list(first.values()), place

    def _decode(self, k):
        return images.decode(self._payloads[k], lambda: self._describe(k))

    def _describe(self, k) -> str:
        return f"{self.path}: image {k % 2} of pair {k // 2}"


def _read_property(path):
    with open(path, "rb") as file:
        line = file.readline(100)
    found = re.fullmatch(rb"\s*(\d{1,9})\s*,\s*(\d{1,5})\s*,\s*(\d{1,5})\s*", line)
    numbers = [int(each) for each in found.groups()] if found else [0]
    if min(numbers) < 1:
        raise GluonFRError(
            f"{path}: the first line is not num_classes,H,W (such as 293,112,112): correct it, or delete the file so that it "
            "is derived from the records."
        )
    return numbers[0], tuple(numbers[1:])

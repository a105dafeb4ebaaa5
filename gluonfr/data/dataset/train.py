from __future__ import annotations

import logging
import mmap
import os
from typing import Any, Callable

import numpy as np

from gluonfr.core import DEFAULT_ROOT, DataError, UsageError
from gluonfr.data import images
from gluonfr.data.dataset.base import TrainingSet
from gluonfr.data.dataset.catalog import find_set
from gluonfr.data.dataset.property_file import read_property
from gluonfr.data.records.file import RecordFile

logger = logging.getLogger(__name__)


class FRTrainRecordDataset(TrainingSet):
    """A training set: `root/NAME/train.rec`, with `train.idx` and `property` beside it or derived from the records.

    Item i is `(image, label)`: a uint8 (H, W, 3) RGB NDArray and a float32, or the result of `transform(image, label)`. The set
    works in a `DataLoader` without workers, with `thread_pool=True`, and with forked workers. In forked workers, every sample
    gets its own random numbers from the global generators of NumPy, Python and MXNet.

    Images of another size are resized when they have the set's aspect ratio, and are refused otherwise.

    Parameters
    ----------
    name : str
        The set's folder below `root`.
    root : str, default '~/.mxnet/datasets/face'
        Folder of the sets.
    transform : callable, optional
        Called with `(image, label)`.
    on_error : {'raise', 'skip'}
        What to do with a damaged record. "skip" leaves out records with a wrong offset or label when the set is opened. An
        image that turns out not to decode is replaced by the next good image with its label. All are logged and listed in
        `skipped`.

    Attributes
    ----------
    num_classes : int
        From `property`; without that file, the largest label + 1, which is logged.
    image_size : tuple of int
        (H, W) from `property`; without that file, the size of the first image.
    labels : np.ndarray
        int64 (len,), read-only.
    records : RecordFile
        All images of the file, including damaged ones.

    Examples
    --------
    >>> import tempfile
    >>> from gluonfr.data.records import RecordWriter
    >>> root = tempfile.mkdtemp()
    >>> with RecordWriter(f"{root}/tiny", image_size=(8, 8)) as writer:
    ...     for label in (0, 0, 1):
    ...         writer.add(np.zeros((8, 8, 3), np.uint8), label)
    >>> dataset = FRTrainRecordDataset("tiny", root=root)
    >>> len(dataset), dataset.num_classes, dataset.labels.tolist()
    (3, 2, [0, 0, 1])
    """

    records: RecordFile

    def __init__(
        self,
        name: str,
        root: str = DEFAULT_ROOT,
        transform: Callable[[Any, Any], Any] | None = None,
        on_error: str = "raise",
    ) -> None:
        if on_error not in ("raise", "skip"):
            raise UsageError(f'on_error must be "raise" or "skip", got {on_error!r}.')
        self.records = RecordFile(find_set(name, root, "training"))
        self._skip_damaged = on_error == "skip"
        path = os.path.join(os.path.dirname(self.records.path), "property")
        declared = read_property(path) if os.path.exists(path) else None
        labels, problems = self.records.scan()
        if declared:
            problems = {**problems, **self._labels_out_of_range(labels, declared[0], path)}
        # Shared with forked workers: 1 where an image did not decode.
        self._undecodable = np.frombuffer(mmap.mmap(-1, len(labels)), dtype=np.uint8)
        self._left_out = sorted(problems)
        self._numbers = self._good_numbers(len(labels), problems)
        if problems:
            labels = labels[self._numbers]
            labels.setflags(write=False)
        num_classes, size = declared or self._derive_property(labels, path)
        super().__init__(name, labels, num_classes, size, transform)

    def read(self, i: int) -> tuple[np.ndarray, int]:
        """Read item i without the transform: a uint8 (H, W, 3) RGB array and the label. Thread-safe."""
        for step in range(len(self)):
            try:
                return self._read_record(int(self._numbers[(i + step) % len(self)]), self.image_size)
            except DataError:
                if not self._skip_damaged:
                    raise
        raise self._no_image()

    @property
    def skipped(self) -> list[int]:
        """Numbers of the images in `records` that were left out or replaced up to now in all workers, sorted."""
        return sorted({*self._left_out, *np.flatnonzero(self._undecodable).tolist()})

    def _read_record(self, number: int, size: tuple[int, int] | None = None) -> tuple[np.ndarray, int]:
        def where() -> str:
            return self.records.describe(number)

        try:
            label, content = self.records.read(number)
            image = images.decode(content, where)
            return (image if size is None else images.resize(image, size, where)), int(label)
        except DataError as error:
            if self._skip_damaged and not self._undecodable[number]:
                self._undecodable[number] = 1
                logger.warning("skipped: %s", error)
            raise

    def _labels_out_of_range(self, labels: np.ndarray, num_classes: int, path: str) -> dict[int, str]:
        outside = np.flatnonzero(labels >= num_classes).tolist()
        sentences = {
            i: f"{self.records.describe(i)} has the label {labels[i]}, but {path} declares {num_classes} classes: "
            "correct its first line (num_classes,H,W), or delete the file so that it is derived."
            for i in outside[: self.records.max_problems]
        }
        if len(outside) > len(sentences):
            # This is not damage: the property file belongs to another set.
            raise DataError(sentences[outside[0]])
        return sentences

    def _good_numbers(self, count: int, problems: dict[int, str]) -> Any:
        if problems and not self._skip_damaged:
            raise DataError(problems[min(problems)])
        for i in sorted(problems):
            logger.warning("skipped: %s", problems[i])
        if len(problems) == count:
            raise DataError(f"{self.records.path}: none of its {count} records is usable; write the file again.")
        return np.delete(np.arange(count), sorted(problems)) if problems else range(count)

    def _derive_property(self, labels: np.ndarray, path: str) -> tuple[int, tuple[int, int]]:
        num_classes = int(labels.max()) + 1
        for number in map(int, self._numbers):
            try:
                size = images.height_and_width(self._read_record(number)[0])
            except DataError:
                if not self._skip_damaged:
                    raise
                continue
            logger.warning(
                "%s is missing: the records have %d classes, the first image has %dx%d pixels", path, num_classes, *size
            )
            return num_classes, size
        raise self._no_image()

    def _no_image(self) -> DataError:
        return DataError(f"{self.records.path}: none of its images decodes; write the file again.")

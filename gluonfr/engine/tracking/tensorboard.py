from __future__ import annotations

import os
import time
from typing import Any, Mapping

import numpy as np

from gluonfr.engine.loop.options import RunOptions
from gluonfr.engine.tracking.observer import TrainingObserver, ValidationResult

_BINS = 30


class TensorBoardObserver(TrainingObserver):
    """Writes `RUN/tensorboard`: scalars, a histogram of the embeddings' norms at each validation, the figures at the end.

    Parameters
    ----------
    folder : str
        The run folder.

    Raises
    ------
    ImportError
        tensorboard is not installed.

    Examples
    --------
    >>> observer = TensorBoardObserver("runs/a")  # doctest: +SKIP
    >>> observer.logged(20, {"loss": 3.5})  # doctest: +SKIP
    """

    def __init__(self, folder: str) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = event_pb2.Event, summary_pb2
        self._folder = os.path.join(folder, "tensorboard")
        self._writer_class, self._writer = EventFileWriter, None
        self._step = 0

    @classmethod
    def if_installed(cls, folder: str) -> list[TrainingObserver]:
        """Return a list with the observer, or an empty one without tensorboard."""
        try:
            return [cls(folder)]
        except (ImportError, TypeError):
            # A protobuf of another version raises TypeError.
            return []

    def started(self, options: RunOptions, first_step: int, total_steps: int) -> None:
        """Open an event file."""
        self._writer = self._writer_class(self._folder)

    def logged(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values as scalars."""
        self._add(step, [self._summary.Summary.Value(tag=name, simple_value=value) for name, value in values.items()])

    def validated(self, step: int, results: Mapping[str, ValidationResult], norms: np.ndarray) -> None:
        """Write the figures of all sets as scalars, and the histogram of norms."""
        named = {f"{name}/{key}": value for name, result in results.items() for key, value in result.name_values()}
        self.logged(step, named)
        if len(norms):
            self._add(step, [self._summary.Summary.Value(tag="embedding_norm", histo=self._histogram(norms))])

    def ended(self, state: str, reason: str, pictures: Mapping[str, str]) -> None:
        """Write the figures as images and close the file."""
        if self._writer is None:
            return
        values = []
        for name, path in pictures.items():
            with open(path, "rb") as file:
                data = file.read()
            # Width and height are in the header of a PNG.
            width, height = (int.from_bytes(data[place : place + 4], "big") for place in (16, 20))
            image = self._summary.Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=data)
            values.append(self._summary.Summary.Value(tag=name, image=image))
        if values:
            self._add(self._step, values)
        self._writer.close()
        self._writer = None

    def _histogram(self, values: np.ndarray) -> Any:
        values = values[np.isfinite(values)].astype(np.float64)
        counts, edges = np.histogram(values, bins=_BINS)
        return self._summary.HistogramProto(
            min=values.min() if len(values) else 0.0,
            max=values.max() if len(values) else 0.0,
            num=len(values),
            sum=values.sum(),
            sum_squares=(values**2).sum(),
            bucket_limit=edges[1:].tolist(),
            bucket=counts.tolist(),
        )

    def _add(self, step: int, values: list[Any]) -> None:
        self._step = step
        if self._writer is not None:
            self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=self._summary.Summary(value=values)))

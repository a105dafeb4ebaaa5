from __future__ import annotations

import json
import logging
import os
from abc import ABC, abstractmethod
from typing import Any, Mapping, Sequence

import numpy as np
from mxnet.gluon import HybridBlock

from gluonfr import viz
from gluonfr.core import GluonFRError, TrainingInterrupted, atomic_file, atomic_folder
from gluonfr.engine.loop.options import RunOptions
from gluonfr.engine.tracking.observer import TrainingObserver
from gluonfr.engine.tracking.observers import observers_of
from gluonfr.engine.training_log import TrainingLog

logger = logging.getLogger(__name__)


class RunOutputs(ABC):
    """What a run writes into its folder besides checkpoints: the log, networks with their cards, results and figures.

    Observers, such as the status file and TensorBoard, are called with everything that is logged. A subclass writes the network
    and draws the results of its kind of training.

    Parameters
    ----------
    options : RunOptions
    first_step : int
        Last step before this process resumed; later rows are removed from an existing log.
    total_steps : int
        Steps of the whole run.
    observers : sequence of TrainingObserver, optional
        Called besides those of the options.

    Examples
    --------
    >>> outputs = RecognizerOutputs(options, first_step=0, total_steps=1000)  # doctest: +SKIP
    >>> outputs.save_network("best", net, 100, results)  # doctest: +SKIP
    """

    def __init__(
        self, options: RunOptions, first_step: int, total_steps: int, observers: Sequence[TrainingObserver] = ()
    ) -> None:
        self.options = options
        self.log = TrainingLog(options.out, first_step)
        self.pictures: dict[str, str] = {}
        self._observers = observers_of(options, first_step, observers)
        # The status file comes last: a tracker that cannot start leaves no run that seems to be running.
        for observer in reversed(self._observers):
            observer.started(options, first_step, total_steps)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.options.out!r})"

    def add_training(self, step: int, epoch: float, loss: float, lr: float, speed: float) -> None:
        """Log a step: mean loss and images per second since the previous row, and the learning rate."""
        values = {"epoch": round(epoch, 4), "loss": loss, "lr": lr, "images_per_second": round(speed, 1)}
        self.log.add(step, **values)
        for observer in self._observers:
            observer.logged(step, values)
        logger.info("step %d epoch %.2f loss %.4f lr %.4f %.1f images/s", step, epoch, loss, lr, speed)

    def add_validation(self, step: int, epoch: float, results: Mapping[str, Any], norms: np.ndarray) -> None:
        """Log a validation, by the name of the validation set, with norms of embeddings for the observers."""
        values = {f"{name}/{key}": value for name, result in results.items() for key, value in result.name_values()}
        self.log.add(step, epoch=round(epoch, 4), **values)
        for name, result in results.items():
            logger.info("step %d %s: %s", step, name, self._describe(result))
        for observer in self._observers:
            observer.validated(step, results, norms)

    def save_network(self, name: str, net: HybridBlock, step: int, results: Mapping[str, Any]) -> None:
        """Write the network and its card to the folder `name` of the run folder, atomically."""
        with atomic_folder(os.path.join(self.options.out, name)) as folder:
            self._write_network(folder, net, step, results)

    def finish(self, validation: Mapping[str, Any]) -> list[str]:
        """Close the log, write the figures of the last validation to `results.json`, and return the paths of the pictures."""
        self.log.close()
        with atomic_file(os.path.join(self.options.out, "results.json"), "w", encoding="utf-8") as file:
            json.dump({name: result.to_dict() for name, result in validation.items()}, file)
        pictures = [os.path.join(self.options.out, "curves.png")]
        viz.plot_training_curves(self.log.rows, path=pictures[0])
        pictures += self._draw(validation)
        self.pictures = {os.path.splitext(os.path.basename(path))[0]: path for path in pictures}
        return pictures

    def close(self, error: BaseException | None = None) -> None:
        """Close the log, and end the observers with the state that follows from the error with which the run ended."""
        self.log.close()
        state, reason = "finished", ""
        if error is not None:
            stopped = isinstance(error, (TrainingInterrupted, KeyboardInterrupt))
            state, reason = "stopped" if stopped else "failed", str(error) or type(error).__name__
            if not isinstance(error, GluonFRError):
                reason = f"{type(error).__name__}: {error}".rstrip(": ")
        for observer in self._observers:
            observer.ended(state, reason, self.pictures)

    @abstractmethod
    def _describe(self, result: Any) -> str:
        """Return the figures of one validation set for the log."""

    @abstractmethod
    def _write_network(self, folder: str, net: HybridBlock, step: int, results: Mapping[str, Any]) -> None:
        """Write the parameters and the card."""

    @abstractmethod
    def _draw(self, validation: Mapping[str, Any]) -> list[str]:
        """Draw the results of the last validation, and return the paths of the pictures."""

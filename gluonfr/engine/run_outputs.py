from __future__ import annotations

import json
import logging
import os
from typing import Any, Mapping, Sequence

import numpy as np
from mxnet.gluon import HybridBlock

from gluonfr import viz
from gluonfr.core import Card, GluonFRError, TrainingInterrupted, atomic_file, atomic_folder
from gluonfr.engine.options import TrainOptions
from gluonfr.engine.tracking.observer import TrainingObserver
from gluonfr.engine.tracking.observers import observers_of
from gluonfr.engine.training_log import TrainingLog
from gluonfr.engine.validation import card_thresholds
from gluonfr.metrics import VerificationResult
from gluonfr.weights.saved import save_network

logger = logging.getLogger(__name__)


class RunOutputs:
    """What a run writes into its folder besides checkpoints: the log, networks with their cards, results and figures.

    Observers, such as the status file and TensorBoard, are called with everything that is logged.

    Parameters
    ----------
    options : TrainOptions
    start : Card
        Card of the network that training starts from.
    first_step : int
        Last step before this process resumed; later rows are removed from an existing log.
    total_steps : int
        Steps of the whole run.
    observers : sequence of TrainingObserver, optional
        Called besides those of the options.

    Examples
    --------
    >>> outputs = RunOutputs(options, Card(), first_step=0, total_steps=1000)  # doctest: +SKIP
    >>> outputs.save_network("best", net, 100, results)  # doctest: +SKIP
    """

    def __init__(
        self,
        options: TrainOptions,
        start: Card,
        first_step: int,
        total_steps: int,
        observers: Sequence[TrainingObserver] = (),
    ) -> None:
        self.options, self.start = options, start
        self.log = TrainingLog(options.out, first_step)
        self.pictures: dict[str, str] = {}
        self._observers = observers_of(options, first_step, observers)
        # The status file comes last: a tracker that cannot start leaves no run that seems to be running.
        for observer in reversed(self._observers):
            observer.started(options, first_step, total_steps)

    def __repr__(self) -> str:
        return f"RunOutputs({self.options.out!r})"

    def add_training(self, step: int, epoch: float, loss: float, lr: float, speed: float) -> None:
        """Log a step: mean loss and images per second since the previous row, and the learning rate."""
        values = {"epoch": round(epoch, 4), "loss": loss, "lr": lr, "images_per_second": round(speed, 1)}
        self.log.add(step, **values)
        for observer in self._observers:
            observer.logged(step, values)
        logger.info("step %d epoch %.2f loss %.4f lr %.4f %.1f images/s", step, epoch, loss, lr, speed)

    def add_validation(self, step: int, epoch: float, results: Mapping[str, VerificationResult], norms: np.ndarray) -> None:
        """Log a validation, by the name of the verification set, with norms of embeddings for the observers."""
        values = {f"{name}/{key}": value for name, result in results.items() for key, value in result.name_values()}
        self.log.add(step, epoch=round(epoch, 4), **values)
        for name, result in results.items():
            logger.info(
                "step %d %s: accuracy %.5f +- %.5f, AUC %.5f", step, name, result.accuracy, result.accuracy_std, result.auc
            )
        for observer in self._observers:
            observer.validated(step, results, norms)

    def save_network(self, name: str, net: HybridBlock, step: int, results: Mapping[str, VerificationResult]) -> None:
        """Write the network and its card to the folder `name` of the run folder, atomically."""
        card = {
            "network": self.options.network,
            "arguments": self.options.network_args,
            "image_size": list(self.start.image_size),
            "template": self.start.template,
            "license": self.start.license,
            "embedding_size": net.embedding_size,
            "trained_on": ", ".join(name for name in (self.start.trained_on, self.options.dataset) if name),
            "thresholds": card_thresholds(results),
            "step": step,
            "verification": {set_name: dict(result.name_values()) for set_name, result in results.items()},
        }
        with atomic_folder(os.path.join(self.options.out, name)) as folder:
            save_network(net, folder, card)

    def finish(self, validation: Mapping[str, VerificationResult], pairs: Mapping[str, Any]) -> list[str]:
        """Close the log, write the last validation and its pairs, and return the paths of the figures drawn.

        `results.json` holds the figures of the validation, `pairs.npz` the distance of every pair (`SET/distances`, float32)
        and whether it shows one person (`SET/issame`, bool), from which runs are compared.
        """
        self.log.close()
        with atomic_file(os.path.join(self.options.out, "results.json"), "w", encoding="utf-8") as file:
            json.dump({name: result.to_dict() for name, result in validation.items()}, file)
        with atomic_file(os.path.join(self.options.out, "pairs.npz")) as file:
            np.savez_compressed(file, **pairs)
        pictures = self._draw(validation)
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

    def _draw(self, validation: Mapping[str, VerificationResult]) -> list[str]:
        out = self.options.out
        pictures = [os.path.join(out, "curves.png")]
        viz.plot_training_curves(self.log.rows, path=pictures[0])
        both_kinds = {name: result for name, result in validation.items() if result.genuine and result.impostors}
        if both_kinds:
            pictures.append(os.path.join(out, "roc.png"))
            viz.plot_roc(both_kinds, path=pictures[-1])
        for name, result in validation.items():
            pictures.append(os.path.join(out, f"scores_{name.replace('/', '_')}.png"))
            viz.plot_score_histogram(result, path=pictures[-1])
        return pictures


def log_start(options: TrainOptions, dataset: Any, loss: str, steps: int, contexts: Sequence[Any], processes: int) -> None:
    """Log what is trained, on which data and devices.

    Examples
    --------
    >>> import mxnet as mx
    >>> options = TrainOptions(dataset="emore", network="mobilefacenet", batch_size=64)
    >>> log_start(options, FRTrainRecordDataset("emore"), "ArcLoss", 1000, [mx.cpu()], 1)  # doctest: +SKIP
    """
    logger.info(
        "%s on %s: %d images of %d identities, %s, %d steps of %d images on %s%s",
        options.network,
        options.dataset,
        len(dataset),
        dataset.num_classes,
        loss,
        steps,
        options.batch_size,
        ", ".join(map(str, contexts)),
        "" if processes == 1 else f" of each of {processes} processes",
    )

from __future__ import annotations

import logging
import os
from typing import Any, Mapping, Sequence

import numpy as np
from mxnet.gluon import HybridBlock

from gluonfr import viz
from gluonfr.core import Card, atomic_file
from gluonfr.engine.loop.outputs import RunOutputs
from gluonfr.engine.options import TrainOptions
from gluonfr.engine.tracking.observer import TrainingObserver
from gluonfr.engine.validation import Validator, card_thresholds
from gluonfr.metrics import VerificationResult
from gluonfr.weights.saved import save_network

logger = logging.getLogger(__name__)


class RecognizerOutputs(RunOutputs):
    """The outputs of a run that trains a recognition network.

    Besides what all runs write there is `pairs.npz`, the distance of every pair of the last validation (`SET/distances`,
    float32) and whether it shows one person (`SET/issame`, bool), from which runs are compared.

    Parameters
    ----------
    options : TrainOptions
    start : Card
        Card of the network that training starts from.
    validator : Validator
        Holds the pairs of the last validation.
    first_step, total_steps, observers
        See `RunOutputs`.

    Examples
    --------
    >>> outputs = RecognizerOutputs(options, Card(), validator, first_step=0, total_steps=1000)  # doctest: +SKIP
    >>> outputs.save_network("best", net, 100, results)  # doctest: +SKIP
    """

    options: TrainOptions

    def __init__(
        self,
        options: TrainOptions,
        start: Card,
        validator: Validator,
        first_step: int,
        total_steps: int,
        observers: Sequence[TrainingObserver] = (),
    ) -> None:
        self._start, self._validator = start, validator
        super().__init__(options, first_step, total_steps, observers)

    def finish(self, validation: Mapping[str, VerificationResult]) -> list[str]:
        """Also write the pairs of the last validation."""
        pictures = super().finish(validation)
        with atomic_file(os.path.join(self.options.out, "pairs.npz")) as file:
            np.savez_compressed(file, **self._validator.pairs)
        return pictures

    def _describe(self, result: VerificationResult) -> str:
        return f"accuracy {result.accuracy:.5f} +- {result.accuracy_std:.5f}, AUC {result.auc:.5f}"

    def _write_network(self, folder: str, net: HybridBlock, step: int, results: Mapping[str, VerificationResult]) -> None:
        card = {
            "network": self.options.network,
            "arguments": self.options.network_args,
            "image_size": list(self._start.image_size),
            "template": self._start.template,
            "license": self._start.license,
            "embedding_size": net.embedding_size,
            "trained_on": ", ".join(name for name in (self._start.trained_on, self.options.dataset) if name),
            "thresholds": card_thresholds(results),
            "step": step,
            "verification": {set_name: dict(result.name_values()) for set_name, result in results.items()},
        }
        save_network(net, folder, card)

    def _draw(self, validation: Mapping[str, VerificationResult]) -> list[str]:
        out, pictures = self.options.out, []
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

from __future__ import annotations

import json
import logging
import os
from typing import Mapping

from mxnet.gluon import HybridBlock

from gluonfr import viz
from gluonfr.core import Card, atomic_file, atomic_folder
from gluonfr.engine.options import TrainOptions
from gluonfr.engine.training_log import TrainingLog
from gluonfr.engine.validation import card_thresholds
from gluonfr.metrics import VerificationResult
from gluonfr.weights.saved import save_network

logger = logging.getLogger(__name__)


class RunOutputs:
    """What a run writes into its folder besides checkpoints: the log, networks with their cards, results and figures.

    Parameters
    ----------
    options : TrainOptions
    start : Card
        Card of the network that training starts from.
    first_step : int
        Last step before this process resumed; later rows are removed from an existing log.

    Examples
    --------
    >>> outputs = RunOutputs(options, Card(), first_step=0)  # doctest: +SKIP
    >>> outputs.save_network("best", net, 100, results)  # doctest: +SKIP
    """

    def __init__(self, options: TrainOptions, start: Card, first_step: int) -> None:
        self.options, self.start = options, start
        self.log = TrainingLog(options.out, first_step)

    def __repr__(self) -> str:
        return f"RunOutputs({self.options.out!r})"

    def add_training(self, step: int, epoch: float, loss: float, lr: float, speed: float) -> None:
        """Log a step: mean loss and images per second since the previous row, and the learning rate."""
        self.log.add(step, epoch=round(epoch, 4), loss=loss, lr=lr, images_per_second=round(speed, 1))
        logger.info("step %d epoch %.2f loss %.4f lr %.4f %.1f images/s", step, epoch, loss, lr, speed)

    def add_validation(self, step: int, epoch: float, results: Mapping[str, VerificationResult]) -> None:
        """Log a validation, by the name of the verification set."""
        values = {f"{name}/{key}": value for name, result in results.items() for key, value in result.name_values()}
        self.log.add(step, epoch=round(epoch, 4), **values)
        for name, result in results.items():
            logger.info(
                "step %d %s: accuracy %.5f +- %.5f, AUC %.5f", step, name, result.accuracy, result.accuracy_std, result.auc
            )

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

    def finish(self, validation: Mapping[str, VerificationResult]) -> list[str]:
        """Close the log, write the last validation to results.json, and return the paths of the figures drawn."""
        self.close()
        with atomic_file(os.path.join(self.options.out, "results.json"), "w", encoding="utf-8") as file:
            json.dump({name: result.to_dict() for name, result in validation.items()}, file)
        return self._draw(validation)

    def close(self) -> None:
        """Close the log."""
        self.log.close()

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

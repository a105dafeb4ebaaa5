from __future__ import annotations

import json
import logging
import os

from gluonfr import viz
from gluonfr.core import atomic_file, atomic_folder
from gluonfr.engine.history import History
from gluonfr.engine.validate import card_thresholds
from gluonfr.weights.saved import save_network

logger = logging.getLogger(__name__)


class Results:
    """What a run leaves in its folder beside checkpoints: a log, networks with their cards, results and pictures.

    Parameters
    ----------
    options : TrainOptions
    image_size : (H, W)
        What the network is trained on.
    first_step : int
        Where the run goes on from; rows after it are dropped from an older log.
    """

    def __init__(self, options, image_size, first_step) -> None:
        self.options, self.image_size = options, image_size
        self.history = History(options.out, first_step)

    def trained(self, step, epoch, loss, lr, speed) -> None:
        """A row of training: mean loss and images/s since the last one."""
        self.history.add(step, epoch=round(epoch, 4), loss=loss, lr=lr, images_per_second=round(speed, 1))
        logger.info("step %d epoch %.2f loss %.4f lr %.4f %.1f images/s", step, epoch, loss, lr, speed)

    def validated(self, step, epoch, results) -> None:
        """A row of verification; `results` is a dict of name to VerificationResult, as in what follows."""
        values = {f"{name}/{key}": value for name, result in results.items() for key, value in result.name_values()}
        self.history.add(step, epoch=round(epoch, 4), **values)
        for name, result in results.items():
            logger.info(
                "step %d %s: accuracy %.5f +- %.5f, AUC %.5f", step, name, result.accuracy, result.accuracy_std, result.auc
            )

    def save_network(self, name, net, step, results) -> None:
        """The network of a step as `OUT/name`, whole or not at all."""
        card = {
            "network": self.options.network,
            "arguments": self.options.network_args,
            "image_size": list(self.image_size),
            "embedding_size": net.embedding_size,
            "trained_on": self.options.dataset,
            "thresholds": card_thresholds(results),
            "step": step,
            "verification": {each: dict(result.name_values()) for each, result in results.items()},
        }
        with atomic_folder(os.path.join(self.options.out, name)) as folder:
            save_network(net, folder, card)

    def finish(self, validation):
        """Close the log, write the last verification and draw all; returns the paths of the pictures."""
        self.history.close()
        with atomic_file(os.path.join(self.options.out, "results.json"), "w", encoding="utf-8") as file:
            json.dump({name: result.to_dict() for name, result in validation.items()}, file)
        return self._draw(validation)

    def _draw(self, validation):
        out = self.options.out
        pictures = [os.path.join(out, "curves.png")]
        viz.plot_training_curves(self.history.rows, path=pictures[0])
        both_kinds = {name: result for name, result in validation.items() if result.genuine and result.impostors}
        if both_kinds:
            pictures.append(os.path.join(out, "roc.png"))
            viz.plot_roc(both_kinds, path=pictures[-1])
        for name, result in validation.items():
            pictures.append(os.path.join(out, f"scores_{name.replace('/', '_')}.png"))
            viz.plot_score_histogram(result, path=pictures[-1])
        return pictures

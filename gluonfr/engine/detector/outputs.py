from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Mapping, Sequence

from mxnet.gluon import HybridBlock

from gluonfr.detection.saved import DetectorCard, save_detector
from gluonfr.engine.detector.options import DetectorOptions
from gluonfr.engine.loop.outputs import RunOutputs
from gluonfr.engine.tracking.observer import TrainingObserver
from gluonfr.metrics.detection import DetectionResult
from gluonfr.viz.detection import plot_precision_recall

# A threshold outside of these would report every anchor, or nothing.
_LOWEST, _HIGHEST = 0.05, 0.99


class DetectorOutputs(RunOutputs):
    """The outputs of a run that trains a detector; `best/` and `last/` can be passed to `get_detector`.

    Parameters
    ----------
    options : DetectorOptions
    card : DetectorCard
        Card of the network, without an evaluation.
    first_step, total_steps, observers
        See `RunOutputs`.

    Examples
    --------
    >>> outputs = DetectorOutputs(options, DetectorCard(), first_step=0, total_steps=1000)  # doctest: +SKIP
    """

    def __init__(
        self,
        options: DetectorOptions,
        card: DetectorCard,
        first_step: int,
        total_steps: int,
        observers: Sequence[TrainingObserver] = (),
    ) -> None:
        self._card = card
        super().__init__(options, first_step, total_steps, observers)

    def _describe(self, result: DetectionResult) -> str:
        values = dict(result.name_values())
        return (
            f"average precision {result.ap:.4f}, at a score of {values['threshold']:.2f} precision {values['precision']:.3f} "
            f"and recall {values['recall']:.3f}"
        )

    def _write_network(self, folder: str, net: HybridBlock, step: int, results: Mapping[str, DetectionResult]) -> None:
        save_detector(net, folder, evaluated_card(self._card, results))

    def _draw(self, validation: Mapping[str, DetectionResult]) -> list[str]:
        if not validation:
            return []
        path = os.path.join(self.options.out, "precision_recall.png")
        plot_precision_recall({"detector": validation}, path)
        return [path]


def evaluated_card(card: DetectorCard, results: Mapping[str, DetectionResult]) -> DetectorCard:
    """Return the card with the results of a validation, and the threshold of the largest F1 on its last subset.

    Examples
    --------
    >>> from gluonfr.metrics.detection import average_precision, match_detections
    >>> result = average_precision([match_detections([[0, 0, 9, 9]], [0.7], [[0, 0, 9, 9]])], [[True]])
    >>> evaluated_card(DetectorCard(), {"all": result}).threshold
    0.7
    """
    if not results:
        return card
    evaluation: dict[str, Any] = {subset: result.to_dict() for subset, result in results.items()}
    *_, last = results.values()
    threshold = round(min(max(last.best_threshold(), _LOWEST), _HIGHEST), 4) if last.ap > 0 else card.threshold
    return replace(card, threshold=threshold, evaluation=evaluation)

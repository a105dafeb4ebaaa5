from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Sequence

import mxnet as mx
import numpy as np
from tqdm import tqdm

from gluonfr.core import TrainingStopped
from gluonfr.core.mxnet_internals import parameters_by_path
from gluonfr.data.detection import DetectionFolder
from gluonfr.detection.retinaface import RetinaFace
from gluonfr.detection.retinaface_network import RetinaFaceNetwork
from gluonfr.detection.saved import DetectorCard, build_network
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.weight_average import WeightAverage, shared_statistics
from gluonfr.metrics.detection import DetectionResult, PhotoMatches, average_precision, match_detections

# Detections of lower scores do not change the average precision, and faces of fewer pixels are not searched for.
_LOWEST_SCORE, _SMALLEST_FACE = 0.02, 10
_SIDE = 64


class DetectorValidator:
    """Measures the average precision of the detector of a run, and remembers the best one.

    Parameters
    ----------
    net : RetinaFaceNetwork
        In training, initialized on `contexts`.
    card : DetectorCard
        Card of the network.
    val : DetectionFolder, optional
        Annotated photos; without them nothing is measured.
    contexts : list of Context
        The first one searches the photos.
    average : WeightAverage, optional
        The averaged weights are validated instead of the current ones.
    group : Group, optional
        Processes that share the photos.
    progress : bool, default True
        Show a progress bar on a terminal of rank 0.

    Attributes
    ----------
    best : dict
        `step`, `ap` (mean over the subsets) and `ap_of` (by subset) of the best network, and `start_ap` of a pretrained one
        before training; empty at first.
    norms : (0,) float32
        A detector has no embeddings.

    Examples
    --------
    >>> results, is_best = validator.validate(step=100)  # doctest: +SKIP
    >>> results["easy"].ap  # doctest: +SKIP
    0.87
    """

    def __init__(
        self,
        net: RetinaFaceNetwork,
        card: DetectorCard,
        val: DetectionFolder | None,
        contexts: Sequence[mx.Context],
        average: WeightAverage | None = None,
        group: Group | None = None,
        progress: bool = True,
    ) -> None:
        self._net, self._card, self._val, self._context = net, card, val, contexts[0]
        self._average, self._group = average, group or Group()
        self._progress = progress and self._group.rank == 0
        self._detector: Any = None
        self.best: dict[str, Any] = {}
        self.norms = np.zeros(0, np.float32)

    @property
    def has_data(self) -> bool:
        """Whether there are photos to validate on."""
        return self._val is not None

    def as_saved(self) -> AbstractContextManager[None]:
        """Return a context in which the network has the weights and statistics that are validated and saved."""
        return shared_statistics(self._net, self._group) if self._average is None else self._average.applied()

    def validate(self, step: int) -> tuple[dict[str, DetectionResult], bool]:
        """Return the results of the network of a step by subset, and whether it is the best so far.

        Raises
        ------
        TrainingStopped
            The outputs of the network are not finite.
        """
        assert self._val is not None
        with self.as_saved():
            detector = self._current_detector(step)
        matches = self._match_all(detector, self._val)
        results = {subset: average_precision(matches, counts) for subset, counts in self._val.subsets.items()}
        ap_of = {subset: result.ap for subset, result in results.items() if result.faces}
        mean = float(np.mean(list(ap_of.values()))) if ap_of else 0.0
        is_best = mean > self.best.get("ap", -1)
        if is_best:
            best = {"step": step, "ap": mean, "ap_of": ap_of}
            self.best = {**self.best, **best} if step else {**best, "start_ap": mean}
        return results, is_best

    def _current_detector(self, step: int) -> RetinaFace:
        """Return a detector with a copy of the weights: photos of other sizes would disturb the graph of the training."""
        if self._detector is None:
            net = build_network(self._card)
            net.initialize(ctx=self._context)
            self._copy = net
            # Determines the shapes of all parameters.
            net(mx.nd.zeros((1, 3, _SIDE, _SIDE), ctx=self._context))
            self._detector = RetinaFace((net, self._card), self._context, _SMALLEST_FACE, _LOWEST_SCORE)
        current = parameters_by_path(self._net)
        for name, parameter in parameters_by_path(self._copy).items():
            parameter.set_data(current[name].list_data()[0])
        outputs = self._copy(mx.nd.ones((1, 3, _SIDE, _SIDE), ctx=self._context))
        if not all(np.isfinite(output.asnumpy()).all() for output in outputs):
            raise TrainingStopped(
                f"the validation after step {step} failed: the outputs of the network are not finite. The running statistics "
                "of a few small batches do not fit the weights: train for more steps, with more photos per device "
                "(batch_size=) or a lower lr=."
            )
        return self._detector

    def _match_all(self, detector: RetinaFace, val: DetectionFolder) -> list[PhotoMatches]:
        """Return the detections of all photos, each of which one of the processes searches."""
        rank, size = self._group.rank, self._group.size
        found: list[Any] = []
        own = range(rank, len(val.faces), size)
        for number in tqdm(own, "validation", unit="photo", leave=False, disable=None if self._progress else True):
            boxes, scores, _ = detector.detect(val.read(number))
            match = match_detections(boxes, scores, val.faces[number].boxes)
            found.append([number, match.scores.tolist(), match.faces.tolist(), match.first.tolist()])
            self._group.beat()
        rows = sorted(row for rows in self._group.gather_values(found) for row in rows)
        return [
            PhotoMatches(np.array(scores, np.float64), np.arange(len(scores)), np.array(faces, int), np.array(first, bool))
            for _, scores, faces, first in rows
        ]

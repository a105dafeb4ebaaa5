"""Validation of the network in training, and the thresholds that its card records."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Mapping, Sequence

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import HybridBlock

from gluonfr.core import Card, GluonFRError, TrainingStopped, WeightsError
from gluonfr.data import FRValDataset
from gluonfr.data.crops import crop_for_network
from gluonfr.deploy import embed, embed_pairs
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.overflow import describe_overflow, has_diverged
from gluonfr.engine.train_result import BEST_FAR
from gluonfr.engine.weight_average import WeightAverage, shared_statistics
from gluonfr.metrics import FaceVerification, VerificationResult, operating_point

# Number of images of which the norms of the embeddings are recorded.
_NORMS = 64
FAR_TARGETS = (1e-1, 1e-2, 1e-3)


def validate(
    net: HybridBlock,
    sets: FRValDataset | Mapping[str, FRValDataset],
    contexts: Sequence[mx.Context] | None = None,
    batch_size: int = 64,
    flip: bool = True,
    far_target: float | Sequence[float] = FAR_TARGETS,
    image_size: tuple[int, int] | None = None,
    progress: bool = True,
    group: Group | None = None,
    template: str = "arcface",
) -> Any:
    """Run 1:1 verification of a network on one or several sets, by the protocol of `FaceVerification`.

    Parameters
    ----------
    net : HybridBlock
        Network with images in [0, 1] as input and embeddings (or a tuple that begins with them) as output, initialized on
        `contexts`.
    sets : FRValDataset, or dict of str to FRValDataset
        One verification set, or several by name.
    contexts : list of Context, default [mx.cpu()]
        Devices that share the work.
    batch_size : int, default 64
        Images per batch.
    flip : bool, default True
        Add the embedding of the mirrored image, as the protocol does.
    far_target : float or list of float, default 0.1, 0.01, 0.001
        False-accept rates at which the true-accept rate is reported.
    image_size : (int, int), optional
        Height and width of the network's input in pixels. Images of another size are resized or refused. By default the size of
        the set's images.
    progress : bool, default True
        Show a progress bar on a terminal.
    group : Group, optional
        Processes that share the work, each with this network; all of them get the results.
    template : str, default 'arcface'
        Crop template of the network; images of another size are re-aligned to it.

    Returns
    -------
    VerificationResult, or dict of str to VerificationResult

    Examples
    --------
    >>> result = validate(net, FRValDataset("lfw"))  # doctest: +SKIP
    >>> result.accuracy  # doctest: +SKIP
    0.9912
    """
    if isinstance(sets, FRValDataset):
        named = {"pairs": sets}
        return validate(net, named, contexts, batch_size, flip, far_target, image_size, progress, group, template)["pairs"]
    settings = {"contexts": contexts, "batch_size": batch_size, "flip": flip, "image_size": image_size, "template": template}
    metrics = _measure(net, sets, progress, far_target, group=group, **settings)
    return {name: metric.result() for name, metric in metrics.items()}


def _measure(
    net: HybridBlock, sets: Mapping[str, FRValDataset], progress: bool, far_target: Any = FAR_TARGETS, **settings: Any
) -> dict[str, FaceVerification]:
    """Return the metric of each set; `settings` are those of `embed_pairs`."""
    metrics = {}
    for name, dataset in sets.items():
        first, second = embed_pairs(net, dataset, progress=name if progress else None, **settings)
        metrics[name] = FaceVerification(far_target=list(far_target) if isinstance(far_target, (tuple, list)) else far_target)
        metrics[name].update(dataset.issame, first, second)
    return metrics


def card_thresholds(results: Mapping[str, VerificationResult]) -> list[dict[str, Any]]:
    """Return the thresholds for the card of a network.

    Parameters
    ----------
    results : dict of str to VerificationResult
        Results on squared distances between embeddings of norm 1.

    Returns
    -------
    list of dict
        `far`, `similarity` and `measured_on` for every rate that a set has enough pairs to measure.

    Examples
    --------
    >>> card_thresholds({})
    []
    """
    points = [(name, operating_point(result.roc, at.target)) for name, result in results.items() for at in result.tar_at_far]
    return [
        {"far": point.target, "similarity": round(point.similarity, 4), "measured_on": name}
        for name, point in points
        if point.resolvable
    ]


_DIVERGED = "The training diverged: lower lr= or clip_norm=."
_POOR_STATISTICS = (
    "The running statistics of a few small batches do not fit the weights: train for more steps, with more images per "
    "device (batch_size=) or a lower lr=."
)


class Validator:
    """Validates the network of a run, and remembers its best results.

    Parameters
    ----------
    net : HybridBlock
    sets : dict of str to FRValDataset
        Verification sets by name; the first one decides which network is the best.
    contexts : list of Context
    average : WeightAverage, optional
        The averaged weights are validated instead of the current ones.
    group : Group, optional
        Processes that share the work.
    progress : bool, default True
        Show a progress bar on a terminal of rank 0.
    card : Card, optional
        Crops that the network expects.

    Attributes
    ----------
    best : dict
        `step`, `partial_auc` (mean TAR at FARs up to 0.1), `auc` and `accuracy` (by name of the set) of the best network, and
        `start_partial_auc` and `start_auc` of a pretrained one before training; empty at first.
    norms : (n,) float32
        Lengths of the embeddings of some images of the first set in the last validation, before they are normalized.
    pairs : dict of str to array
        `SET/distances` (N,) float32 and `SET/issame` (N,) bool of the last validation.

    Examples
    --------
    >>> results, is_best = validator.validate(step=100)  # doctest: +SKIP
    """

    def __init__(
        self,
        net: HybridBlock,
        sets: Mapping[str, FRValDataset],
        contexts: Sequence[mx.Context],
        average: WeightAverage | None = None,
        group: Group | None = None,
        progress: bool = True,
        card: Card | None = None,
    ) -> None:
        self._card = card or Card()
        self._net, self._sets, self._contexts = net, sets, contexts
        self._average, self._group = average, group or Group()
        self._progress = progress and self._group.rank == 0
        self.best: dict[str, Any] = {}
        self.norms = np.zeros(0, np.float32)
        self.pairs: dict[str, np.ndarray] = {}

    def __repr__(self) -> str:
        return f"Validator({', '.join(self._sets)})"

    @property
    def has_data(self) -> bool:
        """Whether there is a verification set."""
        return bool(self._sets)

    def as_saved(self) -> AbstractContextManager[None]:
        """Return a context in which the network has the weights and statistics that are validated and saved."""
        return shared_statistics(self._net, self._group) if self._average is None else self._average.applied()

    def _explain_failure(self, step: int, error: GluonFRError) -> TrainingStopped:
        """Return the error of a failed validation, with the layer that overflows, if there is one."""
        context = self._contexts[0]
        diverged = has_diverged(self._net, context)
        shape = (2, 3, *self._card.image_size)
        probes = (images(shape=shape, ctx=context) for images in (nd.zeros, nd.ones, nd.random.uniform))
        reason = next(filter(None, (describe_overflow(self._net, probe) for probe in probes)), "")
        if not reason and diverged and isinstance(error, WeightsError):
            reason = "embeddings are zero, NaN or infinite"
        if not reason:
            return TrainingStopped(f"the validation after step {step} failed: {error}")
        advice = _DIVERGED if diverged else _POOR_STATISTICS
        return TrainingStopped(f"the validation after step {step} failed: {reason}. {advice}")

    def _measure_norms(self) -> np.ndarray:
        dataset = next(iter(self._sets.values()))
        size, template = self._card.image_size, self._card.template
        images = [
            crop_for_network(dataset.image(number), size, template, f"image {number} of the first verification set")
            for number in dataset.distinct()[0][:_NORMS]
        ]
        embeddings = embed(self._net, images, self._contexts, batch_size=_NORMS, flip=False, normalize=False)
        return np.linalg.norm(embeddings, axis=1)

    def validate(self, step: int) -> tuple[dict[str, VerificationResult], bool]:
        """Return the results of the network of a step by set, and whether it is the best so far.

        Raises
        ------
        TrainingStopped
            The embeddings are not finite, or an image cannot be read; on all ranks together.
        """
        with self.as_saved():
            try:
                settings = {"image_size": self._card.image_size, "template": self._card.template}
                metrics = _measure(
                    self._net, self._sets, self._progress, contexts=self._contexts, group=self._group, **settings
                )
                results = {name: metric.result() for name, metric in metrics.items()}
                self.norms = self._measure_norms()
            except GluonFRError as error:
                raise self._explain_failure(step, error) from error
        self.pairs = {}
        for name, metric in metrics.items():
            self.pairs[f"{name}/distances"] = metric.distances.astype(np.float32)
            self.pairs[f"{name}/issame"] = metric.issame
        first = next(iter(results.values()))
        # An area under the ROC varies less than the accuracy, which depends on ten thresholds, and people use the part of the
        # ROC where few impostors are accepted. NaN is never better.
        partial = first.roc.partial_auc(BEST_FAR)
        if self.best and "partial_auc" not in self.best:
            # A run that an older version began chose by the whole area.
            is_best = first.auc > self.best["auc"]
        else:
            is_best = partial > self.best.get("partial_auc", -1)
        if is_best:
            accuracy = {name: result.accuracy for name, result in results.items()}
            best = {"step": step, "partial_auc": partial, "auc": first.auc, "accuracy": accuracy}
            start = {"start_partial_auc": partial, "start_auc": first.auc}
            self.best = {**self.best, **best} if step else {**best, **start}
        return results, is_best

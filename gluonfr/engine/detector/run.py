"""The training of a face detector: `train_detector`, and the `DetectorRun` that it builds."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import Any, Sequence

import mxnet as mx

from gluonfr.core import UsageError
from gluonfr.data.detection.augmentation import DetectionAugmentation
from gluonfr.data.detection.loader import DetectionLoader
from gluonfr.deploy.devices import devices
from gluonfr.detection.anchors import anchor_grid
from gluonfr.detection.matching import match_anchors
from gluonfr.detection.multibox_loss import MultiBoxLoss
from gluonfr.detection.retinaface_network import RetinaFaceNetwork
from gluonfr.detection.saved import DetectorCard, find_detector, load_detector
from gluonfr.engine.build import build_step
from gluonfr.engine.detector.data import open_detector_data
from gluonfr.engine.detector.head import DetectorHead
from gluonfr.engine.detector.options import DetectorOptions
from gluonfr.engine.detector.outputs import DetectorOutputs
from gluonfr.engine.detector.recipe import complete_detector_options
from gluonfr.engine.detector.validation import DetectorValidator
from gluonfr.engine.distributed.agreement import require_agreement
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.loop.outputs import RunOutputs
from gluonfr.engine.loop.training_loop import TrainingLoop
from gluonfr.engine.step import TrainStep
from gluonfr.engine.tracking.observer import TrainingObserver
from gluonfr.engine.train_result import TrainResult

logger = logging.getLogger(__name__)

# Smallest overlap of an anchor with the face that it learns. With the paper's 0.5, small faces have too few anchors.
_OVERLAP = 0.35


class DetectorRun(TrainingLoop):
    """The training of RetinaFace on annotated photos: build it from options, then call `train`.

    Parameters
    ----------
    options : DetectorOptions
    group : Group, optional
        Processes that train together; all build the same run. Rank 0 writes and logs.
    observers : sequence of TrainingObserver, optional
        Called by rank 0 with everything that is logged.

    Attributes
    ----------
    net : RetinaFaceNetwork
    card : DetectorCard
    head : DetectorHead
    step : TrainStep
    records : DetectionRecords
    loader : DetectionLoader

    Raises
    ------
    GluonFRError
        Options or files that cannot be used.

    Examples
    --------
    >>> DetectorRun(DetectorOptions(data="sets/wider", out="runs/wider")).train()  # doctest: +SKIP
    """

    divergence_advice = "use a lower lr=, a longer warmup= or a smaller limit of the gradient (clip_norm=1)"
    options: DetectorOptions

    def __init__(
        self, options: DetectorOptions, group: Group | None = None, observers: Sequence[TrainingObserver] = ()
    ) -> None:
        group, contexts = group or Group(), devices(options.gpus, options.cpus)
        self._start = _load_start(options, contexts)
        self.records, self._val = open_detector_data(options, group)
        options = complete_detector_options(options, len(self.records), self._start[1].backbone if self._start else None)
        _check_batch(options, len(self.records), len(contexts), group)
        size = f"{os.path.getsize(self.records.path):,} bytes"
        require_agreement(group, options, [("the packed photos of", size)], [(len(self.records), "photos")], self.records.path)
        super().__init__(options, contexts, group, observers)

    def __repr__(self) -> str:
        return (
            f"DetectorRun({self.options.backbone}, {len(self.records)} photos, step {self.step.step_number} of "
            f"{self.total_steps}, {self.options.out!r})"
        )

    def _build_network(self) -> RetinaFaceNetwork:
        if self._start:
            net, self.card = self._start
        else:
            mx.random.seed(self.options.seed)
            net = RetinaFaceNetwork(self.options.backbone)
            self.card = DetectorCard(net.backbone_name, net.channels)
            net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2), ctx=self.contexts)
            side = self.options.size
            for context in self.contexts:
                # Determines all shapes, and so draws the weights.
                net(mx.nd.zeros((1, 3, side, side), ctx=context))
        trained_on = f"{self.options.scenes} rendered scenes" if self.options.scenes else os.path.basename(self.options.data)
        names = ", ".join(name for name in (self.card.trained_on, trained_on) if name)
        self.card = replace(self.card, trained_on=names, evaluation={}, sha256="")
        net.hybridize(static_alloc=True, static_shape=True)
        return net

    def _make_loader(self) -> DetectionLoader:
        options, anchors = self.options, anchor_grid(self.options.size, self.options.size, self.card.anchors)
        # Mosaics and large squares reduce the faces; those of scenes are small already.
        mosaic, crop = (0.0, (0.3, 1.0)) if options.scenes else (0.5, (0.3, 2.0))
        return DetectionLoader(
            self.records,
            options.batch_size // self.group.size,
            DetectionAugmentation(options.size, mosaic, crop, turn=options.rotate),
            lambda faces: match_anchors(faces.boxes, faces.landmarks, faces.ignored, anchors, _OVERLAP),
            options.seed,
            options.threads,
            self.group.rank,
            self.group.size,
        )

    def _build_head(self, stored_kind: str | None) -> DetectorHead:
        head = DetectorHead(MultiBoxLoss(None, 0.25, 0.1), self.group)
        head.loss.hybridize(static_alloc=True)
        return head

    def _build_step(self) -> TrainStep:
        lengths = self.steps_per_epoch, self.total_steps
        return build_step(self.options, self.net, self.head, self.contexts, *lengths, self.group)

    def _make_validator(self) -> DetectorValidator:
        progress = self.options.progress
        return DetectorValidator(self.net, self.card, self._val, self.contexts, self.average, self.group, progress)

    def _make_outputs(self, first_step: int) -> RunOutputs:
        return DetectorOutputs(self.options, self.card, first_step, self.total_steps, self._observers)

    def _data_files(self) -> list[str]:
        return [self.records.path, os.path.splitext(self.records.path)[0] + ".idx"]

    def _log_start(self) -> None:
        options = self.options
        logger.info(
            "RetinaFace with %s on %d photos: %d steps of %d squares of %d pixels on %s%s",
            options.backbone,
            len(self.records),
            self.total_steps,
            options.batch_size,
            options.size,
            ", ".join(map(str, self.contexts)),
            "" if self.group.size == 1 else f" of each of {self.group.size} processes",
        )

    @property
    def starts_trained(self) -> bool:
        """Whether training starts from a detector."""
        return bool(self.options.pretrained)


def _load_start(options: DetectorOptions, contexts: Sequence[mx.Context]) -> tuple[RetinaFaceNetwork, DetectorCard] | None:
    """Return the network and card of the detector from which training starts, or None."""
    if not options.pretrained:
        return None
    folder = find_detector(options.pretrained)
    if folder is None:
        raise UsageError(
            f"pretrained={options.pretrained!r} is neither the folder nor the stored name of a detector; give a folder "
            "such as RUN/best, or that of mnet.25-symbol.json and mnet.25-0000.params."
        )
    net, card = load_detector(folder, contexts)
    if options.backbone not in (None, card.backbone):
        raise UsageError(f"backbone={options.backbone!r} differs from {card.backbone} of pretrained={options.pretrained!r}.")
    return net, card


def _check_batch(options: DetectorOptions, photos: int, contexts: int, group: Group) -> None:
    """Raise UsageError unless the photos fill a batch that can be divided over devices, processes and accumulation steps."""
    size = options.batch_size
    if size > photos:
        raise UsageError(f"batch_size={size} is more than the {photos} photos of the set; use a smaller batch.")
    if size % group.size:
        raise UsageError(f"batch_size={size} cannot be shared by {group.size} processes; choose a multiple of {group.size}.")
    if size < contexts * group.size * options.accumulate:
        raise UsageError(
            f"batch_size={size} cannot be divided over {contexts * group.size} devices in {options.accumulate} parts; use a "
            "larger batch or fewer devices."
        )


def train_detector(
    options: DetectorOptions | None = None,
    group: Group | None = None,
    observers: Sequence[TrainingObserver] = (),
    **kwargs: Any,
) -> TrainResult:
    """Train a face detector, or resume the run in the same folder.

    Parameters
    ----------
    options : DetectorOptions, optional
        All options; alternatively pass its fields as keyword arguments.
    group : Group, optional
        Processes that train together.
    observers : sequence of TrainingObserver, optional
        Called with everything that is logged.
    **kwargs
        Fields of `DetectorOptions`.

    Returns
    -------
    TrainResult
        `best/` and `last/` of its folder can be passed to `get_detector`.

    Raises
    ------
    GluonFRError
        Options or files that cannot be used.
    TrainingStopped
        A loss that is not finite, or a request to stop (the run is saved).

    Examples
    --------
    >>> from gluonfr.engine import train_detector
    >>> train_detector(data="sets/wider", val="wider/val", pretrained="mnet025/", rotate=0.5)  # doctest: +SKIP
    """
    return DetectorRun(options or DetectorOptions(**kwargs), group, observers).train()

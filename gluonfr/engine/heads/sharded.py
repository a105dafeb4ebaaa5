from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import mxnet as mx
import numpy as np
from mxnet import autograd, nd
from mxnet.gluon import Block

from gluonfr.core import GluonFRError
from gluonfr.core.mxnet_internals import has_fresh_gradient
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.heads.class_shard import ClassShard, sample_classes, sample_offset
from gluonfr.engine.heads.labels import gather_labels
from gluonfr.engine.heads.plain import gathered, row_slices
from gluonfr.loss import ClassifierLoss
from gluonfr.loss.base.functions import exact_log_sum_exp, row_norm
from gluonfr.loss.base.input_checks import check_label, nan_unless_finite

if TYPE_CHECKING:
    from typing import Sequence


class ShardedHead(Block):
    """A classifier whose classes are divided over the devices of all processes.

    ``head(embeddings, labels) -> losses`` has lists with one entry per device of this process. Every device gets the embeddings
    of the whole batch and computes its own classes. The devices exchange two numbers per sample, and the gradients of the
    embeddings are summed over the devices. No device holds the weights, gradients, momentum or logits of all classes.

    Parameters
    ----------
    loss : gluonfr.loss.ClassifierLoss
    classes, embedding_size : int
    contexts : list of Context
    group : Group, optional
        Processes that train together, all with the same number of devices.
    sample : float or int, default 1.0
        Fraction of the classes (at most 1), or their number over all devices (an int), that a step uses: Partial FC. The
        classes of the batch are always included.
    correct : bool, default False
        Weight each sampled class that is not in the batch by the number of classes that it represents, by adding the log of
        that number to its logit. The sum over the sample then estimates the sum over all classes (sampled softmax,
        https://arxiv.org/abs/1412.2007); Partial FC uses the sum over the sample as it is.
    seed : int, default 0
        Seed of weights and samples.

    Raises
    ------
    GluonFRError
        The loss is not a softmax over classes, there are more devices than classes, or the sample is out of range.

    Examples
    --------
    >>> from gluonfr.loss import get_loss
    >>> head = ShardedHead(get_loss("arc", classes=6), 6, 4, [mx.cpu(0), mx.cpu(1)])
    >>> head.initialize()
    >>> [loss.shape for loss in head([nd.ones((2, 4)), nd.ones((2, 4))], [nd.array([0, 5]), nd.array([1, 2])])]
    [(2,), (2,)]
    """

    def __init__(
        self,
        loss: Any,
        classes: int,
        embedding_size: int,
        contexts: Sequence[mx.Context],
        group: Group | None = None,
        sample: float | int = 1.0,
        seed: int = 0,
        correct: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(loss, ClassifierLoss):
            raise GluonFRError(
                f"{type(loss).__name__} is not a softmax over classes, so the classes cannot be divided; use the plain head."
            )
        self.group, self.contexts, self.seed = group or Group(), list(contexts), seed
        devices = self.group.size * len(self.contexts)
        if classes < devices:
            raise GluonFRError(f"{classes} classes cannot be divided over {devices} devices; use fewer.")
        self.ends = [classes * k // devices for k in range(devices + 1)]
        self.counts = _samples(sample, classes, self.ends)
        self.correct = correct
        self.classes, self.loss, self.factor = classes, loss, 1.0 if loss.weight is None else loss.weight
        here = range(self.group.rank * len(self.contexts), (self.group.rank + 1) * len(self.contexts))
        self.shards = [
            self._shard(self.ends[place], self.ends[place + 1], embedding_size, self.counts[place]) for place in here
        ]
        self._samples: list[_Sample | None] = [None] * len(here)
        self._passed: Any = None
        # State of the samples: whether their gradients are assigned, and whether the step that they were drawn for has ended.
        self._given = self._ended = False

    def _shard(self, begin: int, end: int, embedding_size: int, sampled: int | None) -> ClassShard:
        # The name identifies the classes in any process.
        return ClassShard(self.loss, begin, end - begin, embedding_size, sampled, self.correct, prefix=f"classes{begin}_")

    def initialize(self, init: Any = None, ctx: Any = None, **kwargs: Any) -> None:
        """Initialize the loss on all devices, and the classes of every device from the seed."""
        for parameter in self.loss.shared_parameters.values():
            parameter.initialize(init, ctx=self.contexts)
        for shard, context in zip(self.shards, self.contexts):
            shard.start(context, self.seed)

    def hybridize(self, active: bool = True, **kwargs: Any) -> None:
        """Compile the parts."""
        for shard in self.shards:
            shard.hybridize(active, **kwargs)

    def collect_params(self, select: Any = None) -> Any:
        """Return the parameters that all devices share: those of the loss."""
        shared = mx.gluon.ParameterDict()
        shared.update({parameter.name: parameter for parameter in self.loss.shared_parameters.values()})
        return shared

    def shared_parameters(self) -> dict[str, Any]:
        """Return the parameters that are on all devices, by their path."""
        return {f"loss.{name}": parameter for name, parameter in self.loss.shared_parameters.items()}

    @property
    def own_parameters(self) -> Any:
        """Parameters that only one device has: one list per device."""
        return [shard.own_parameters for shard in self.shards]

    @property
    def classifier_weights(self) -> Any:
        """Parameters whose weight decay is multiplied by the factor for classifiers."""
        return [shard.weight for shard in self.shards]

    @property
    def sampled(self) -> Any:
        """Classes that the step uses: one int64 array per shard of this process; None where all are used."""
        return [sample and shard.first + sample.ids for shard, sample in zip(self.shards, self._samples)]

    def gather_labels(self, labels: Any) -> tuple[Any, list[int]]:
        """Return the labels of the batches of all ranks as `begin` needs them, and the number of images per rank."""
        return gather_labels(self.group, [labels])

    def expect_passes(self, passes: int) -> None:
        """Declare how many training passes a step has, over all devices of this process."""
        self.loss.expect_passes(passes)

    def begin(self, labels: np.ndarray, step_number: int) -> None:
        """Draw the classes of a training step; `labels`, int64 (N,), are those of all ranks and passes of the step."""
        # Release the memory of the previous samples first.
        self._samples, self._given, self._ended = [None] * len(self.shards), False, False
        self._samples = [self._sample(shard, place, labels, step_number) for place, shard in self._placed()]

    def _placed(self) -> Any:
        return enumerate(self.shards, self.group.rank * len(self.contexts))

    def _sample(self, shard: ClassShard, place: int, labels: np.ndarray, step_number: int) -> Any:
        if shard.sampled is None:
            return None
        here = labels[(labels >= shard.first) & (labels < shard.first + shard.classes)] - shard.first
        positives = np.unique(here)
        ids = sample_classes(shard.classes, shard.sampled, positives, self.seed, step_number, place)
        rows, more = shard.copy_rows(ids), []
        if shard.corrected:
            more.append(nd.array(sample_offset(shard.classes, ids, positives), rows[0].context))
        return _Sample(ids, rows, more)

    def forward(self, embeddings: Sequence[mx.nd.NDArray], labels: Sequence[mx.nd.NDArray]) -> list[mx.nd.NDArray]:
        """Return the losses of the devices of this process."""
        training = autograd.is_recording()
        with autograd.pause():
            for label in labels:
                check_label(self.loss, label, label.shape[0], self.classes)
            (local,) = gathered(self.contexts[0], embeddings)
            batch = self.group.gather(local, "embeddings")
            all_labels, counts = gather_labels(self.group, labels)
            copies = [batch.copyto(context) for context in self.contexts]
        for copy in copies:
            copy.attach_grad()
        inputs = [self._inputs(*given, all_labels) for given in zip(self.shards, copies, self._samples)]
        if self.loss.spec.needs_target:
            with autograd.pause():
                self._add_targets(inputs, all_labels)
        parts = [shard(*given) for shard, given in zip(self.shards, inputs)]
        extras = self._extras(embeddings)
        with autograd.pause():
            total, gradients = self._together(parts, batch, training)
            begin = sum(counts[: self.group.rank])
            rows = row_slices(embeddings)
            losses = [
                total[begin + own.start : begin + own.stop].as_in_context(embedding.context)
                for own, embedding in zip(rows, embeddings)
            ]
            losses = [loss + nan_unless_finite(embedding.detach()) for loss, embedding in zip(losses, embeddings)]
            if extras:
                losses = [loss + extra for loss, extra in zip(losses, extras)]
        if training:
            self._passed = embeddings, rows, counts, copies, parts, gradients, extras
        return [loss * self.factor for loss in losses] if self.factor != 1 else losses

    def _inputs(self, shard: ClassShard, embedding: Any, sample: _Sample | None, labels: Any) -> Any:
        """Return the inputs of a shard: the batch, and the positions of its labels among the classes that it uses."""
        context = embedding.context
        if shard.sampled is not None and (sample is None or self._is_over(shard)):
            raise GluonFRError("no classes are drawn for this step; call head.begin(labels, step_number) before each step.")
        label = labels - shard.first
        own = (label >= 0) & (label < shard.classes)
        label = np.where(own, label, 0)
        if sample is not None:
            label = sample.places(label, own)
        given = [embedding, nd.array(label, context, "int32"), nd.array(own, context, "float32")]
        return given if sample is None else [*given, *sample.rows, *sample.more]

    def _is_over(self, shard: ClassShard) -> bool:
        """Return whether the step of the sample has ended: a trainer that used the gradients marks them as used."""
        return self._ended or (self._given and not has_fresh_gradient(shard.weight.list_data()[0]))

    def _add_targets(self, inputs: Any, labels: Any) -> None:
        """Add the output of the target, which one shard has, to the inputs of all shards."""
        everywhere = []
        for shard, (embedding, _, own, *_) in zip(self.shards, inputs):
            label = nd.array(np.clip(labels - shard.first, 0, shard.classes - 1), embedding.context, "int32")
            everywhere.append(shard.targets(embedding, label, own).as_in_context(self.contexts[0]))
        outputs = self.group.gather(nd.stack(*everywhere), "targets").sum(axis=0)
        for given in inputs:
            given.append(outputs.as_in_context(given[0].context))

    def _extras(self, embeddings: Any) -> Any:
        norms = (
            [row_norm(nd, embedding) for embedding in embeddings]
            if self.loss.spec.needs_embedding
            else [None] * len(embeddings)
        )
        extras = [self.loss.extra(nd, **({} if norm is None else {"norm": norm})) for norm in norms]
        return [] if extras[0] is None else extras

    def _together(self, parts: Any, embedding: Any, training: bool) -> Any:
        """Return the losses (N,) of all ranks and, for each shard of this process, the gradient of its log-sum-exp."""
        first = self.contexts[0]
        here = nd.stack(*[nd.stack(*terms_of_shard).as_in_context(first) for terms_of_shard in parts])
        terms = self.group.gather(here, "parts")
        lse = terms[:, 0]
        total = _log_sum_exp(lse)
        if training:
            others = _log_sum_exp(terms[:, 3]) if self.loss.spec.needs_others else None
            self.loss.record(output_y=terms[:, 2].sum(axis=0), others=others, embedding=embedding)
        shares = [nd.exp(lse[place] - total).as_in_context(part[0].context) for (place, _), part in zip(self._placed(), parts)]
        return total - terms[:, 1].sum(axis=0), shares

    def backward(self, losses: Sequence[mx.nd.NDArray], scale: float = 1.0) -> None:
        """Compute the gradients of the losses of the last pass, times `scale`, for the classes and the network."""
        embeddings, rows, counts, copies, parts, gradients, extras = self._passed
        self._passed, scale = None, scale * self.factor
        heads = [part for two in parts for part in two[:2]]
        toward = [
            head_gradient
            for gradient in gradients
            for head_gradient in (gradient * scale, nd.full(gradient.shape, -scale, gradient.context))
        ]
        autograd.backward(heads, toward)
        first = self.contexts[0]
        whole = sum((copy.grad.as_in_context(first) for copy in copies[1:]), copies[0].grad)
        whole = self.group.own_rows(whole, counts, "gradients")
        toward = [whole[own].as_in_context(embedding.context) for own, embedding in zip(rows, embeddings)]
        toward += [nd.full(extra.shape, scale, extra.context) for extra in extras]
        autograd.backward([*embeddings, *extras], toward)
        # Last, because it waits for the device. With several passes per step, these are the gradients so far.
        for shard, sample in zip(self.shards, self._samples):
            if sample is not None:
                shard.set_gradients(sample.ids, sample.rows)
        self._given = True

    def step(self) -> None:
        """Advance the state of the loss; call it once at the end of each training step."""
        self.loss.step()
        self._ended = True

    def discard(self) -> None:
        """Discard the statistics of a step that was skipped; call it instead of `step`."""
        self.loss.discard_statistics()
        self._ended = True


class _Sample(NamedTuple):
    """Sample of a shard: `ids` of the classes, int64 in ascending order, their `rows`, and `more` inputs of the shard."""

    ids: np.ndarray
    rows: list
    more: list

    def places(self, label: Any, own: Any) -> Any:
        """Return the positions of the classes `label` in the sample, int64 (N,); 0 for classes of other shards."""
        places = np.where(own, np.minimum(np.searchsorted(self.ids, label), len(self.ids) - 1), 0)
        if (self.ids[places] != label)[own].any():
            raise GluonFRError(
                "a label of the batch is not in the sample; call head.begin(labels, step_number) before each step."
            )
        return places


def _samples(sample: float | int, classes: int, ends: Sequence[int]) -> Any:
    """Return the number of classes of each shard that a step uses."""
    whole = isinstance(sample, (int, np.integer)) and not isinstance(sample, bool) and sample > 1
    if not whole and not (isinstance(sample, (int, float)) and 0 < sample <= 1):
        raise GluonFRError(
            f"sample={sample!r} must be a fraction of the classes above 0 and up to 1, or their number as an integer."
        )
    if whole and sample > classes:
        raise GluonFRError(f"a sample of {sample} classes cannot be drawn from {classes}; give fewer, or a part such as 0.1.")
    # Rounded at the ends of the shards, so that the sum is right.
    places = [round(end * (sample / classes if whole else sample)) for end in ends]
    return [max(1, after - before) for before, after in zip(places, places[1:])]


def _log_sum_exp(parts: Any) -> Any:
    """(K, N) -> (N,)."""
    return parts[0] if parts.shape[0] == 1 else exact_log_sum_exp(nd, parts, axis=0)

from __future__ import annotations

import math
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Iterator

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd

from gluonfr.core import GluonFRError
from gluonfr.core.mxnet_internals import has_sparse_gradient, mark_gradient_fresh, parameter_value
from gluonfr.deploy import to_unit
from gluonfr.engine.distributed.group import Group

if TYPE_CHECKING:
    from typing import Sequence


def split(array: mx.nd.NDArray, contexts: Sequence[mx.Context]) -> list[mx.nd.NDArray]:
    """Split an array (N, ...) into one part per context; sizes differ by at most the remainder.

    Examples
    --------
    >>> [part.shape for part in split(nd.zeros((5, 2)), [mx.cpu(0), mx.cpu(1)])]
    [(3, 2), (2, 2)]
    """
    if len(contexts) == 1:
        return [array.as_in_context(contexts[0])]
    return gluon.utils.split_and_load(array, contexts, even_split=False)


def recipe_multipliers(parameters: Any, classifier: Any = (), classifier_wd_mult: float = 1.0) -> None:
    """Weight-decay rules of the published recipes: none on scales, shifts, biases and slopes, more on the last layer.

    Parameters
    ----------
    parameters : ParameterDict
        All that is trained; those with one dimension get `wd_mult` 0.
    classifier : iterable of Parameter
        Get `wd_mult` = `classifier_wd_mult` (InsightFace's MobileFaceNet recipe takes 10).

    Examples
    --------
    >>> from mxnet.gluon import nn
    >>> layer = nn.Dense(3, in_units=2)
    >>> recipe_multipliers(layer.collect_params())
    >>> layer.bias.wd_mult, layer.weight.wd_mult
    (0.0, 1.0)
    """
    for parameter in parameters.values():
        if parameter.shape is not None and len(parameter.shape) == 1:
            parameter.wd_mult = 0.0
    for parameter in classifier:
        parameter.wd_mult = classifier_wd_mult


class TrainStep:
    """One training step over devices and processes: split, forward, backward, sum of gradients, clip, update.

    With the same batch, any number of devices takes the same step as one: gradients are summed over devices and divided by
    the size of the whole batch, however unevenly it is split. Dropout and BatchNorm's statistics differ on each device.

    Parameters
    ----------
    net : HybridBlock
        Images (N, 3, H, W) in [0, 1] to embeddings (N, D), or to what the head expects; initialized on `contexts`.
    head : callable
        `head(embeddings, labels) -> losses`, lists with one entry a device; has `gather_labels`, `expect_passes`, `begin`,
        `backward`, `step`, `discard`, `collect_params`, and `own_parameters` where each device has its own.
    contexts : list of Context
    optimizer : str or Optimizer
    optimizer_params : dict
        A schedule among them is shared: it has to follow from the number of the step alone, as those of MXNet do.
    clip_norm : float, optional
        Largest Euclidean norm of the mean gradient over all parameters; a larger gradient is scaled down to it.
    seed : int, default 0
        Dropout draws from (seed, step, rank), so that a resumed run repeats an unbroken one.
    group : Group, optional
        The processes that train together.
    accumulate : int, default 1
        Parts that a batch is taken in, one after the other: the gradients are added, the memory is that of one part.
        BatchNorm and losses that compare images see one part at a time.
    loss_scale : LossScale, optional
        Multiplies the losses before gradients are taken, which are divided by it again; a step that overflows is left out.
    distiller : Distiller, optional
        Further losses, between the embeddings and reference embeddings of the same images.
    frozen_steps : int, default 0
        Steps at the start in which the network is used as in inference and not trained.

    Raises
    ------
    GluonFRError
        When a batch is smaller than the number of parts and devices.

    Examples
    --------
    >>> step = TrainStep(net, head, [mx.cpu()], "sgd", {"learning_rate": 0.1})  # doctest: +SKIP
    >>> losses = step(images, labels)  # doctest: +SKIP
    """

    def __init__(
        self,
        net: Any,
        head: Any,
        contexts: Sequence[mx.Context],
        optimizer: str = "sgd",
        optimizer_params: Any = None,
        clip_norm: float | None = None,
        seed: int = 0,
        group: Group | None = None,
        accumulate: int = 1,
        loss_scale: Any = None,
        distiller: Any = None,
        frozen_steps: int = 0,
    ) -> None:
        self.distiller, self.frozen_steps = distiller, frozen_steps
        self.net, self.head, self.contexts = net, head, list(contexts)
        self.clip_norm, self.seed, self.group, self.accumulate = clip_norm, seed, group or Group(), accumulate
        parameters = gluon.ParameterDict()
        parameters.update(net.collect_params())
        parameters.update(head.collect_params())
        if distiller is not None:
            parameters.update(distiller.collect_params())
        # Without running statistics: the first pull of the store would race with them, and they have no gradients to sum.
        self.parameters = [p for p in parameters.values() if p.grad_req != "null"]
        self.trainer = gluon.Trainer(
            self.parameters,
            optimizer,
            optimizer_params,
            kvstore="device" if len(self.contexts) > 1 else None,
            update_on_kvstore=False if len(self.contexts) > 1 else None,
        )
        self.own = [p for divided in head.own_parameters for p in divided]
        if self.own and not isinstance(optimizer, str):
            raise GluonFRError(
                "optimizer must be a name, such as 'sgd', for a divided classifier: each device creates its own optimizer."
            )
        if accumulate > 1:
            # Autograd cannot accumulate sparse gradients, so the head accumulates them itself.
            for parameter in (*self.parameters, *self.own):
                if not has_sparse_gradient(parameter):
                    parameter.grad_req = "add"
        self.own_trainers = [_trainer_alone(divided, optimizer, optimizer_params) for divided in head.own_parameters]
        self.step_number, self.updates, self.loss_scale = 0, 0, loss_scale
        head.expect_passes(accumulate * len(self.contexts))

    def share(self) -> None:
        """Give all processes the parameters of rank 0; before the first step."""
        if self.group.size > 1:
            # oneDNN may store a parameter in a layout that only operators can read.
            plain = [nd.array(parameter_value(p), ctx=self.contexts[0]) for p in self.parameters]
            self.group.broadcast(plain)
            for parameter, array in zip(self.parameters, plain):
                parameter.set_data(array)

    def __call__(
        self, images: mx.nd.NDArray, labels: mx.nd.NDArray, references: mx.nd.NDArray | None = None
    ) -> list[mx.nd.NDArray]:
        """Take a step on the images and labels of this process.

        Parameters
        ----------
        images : NDArray (N, 3, H, W)
            uint8, or float32 in [0, 1].
        labels : NDArray (N,), or (N, ...)
            With a distiller, images whose label is not a class have no loss on labels.
        references : NDArray (N, D), optional
            Reference embeddings, for the distiller.

        Returns
        -------
        list of NDArray (N_k,)
            Losses on the devices, which are not waited for.
        """
        size = images.shape[0]
        if size < len(self.contexts) * self.accumulate:
            raise GluonFRError(
                f"a batch of {size} cannot be split over {len(self.contexts) * self.accumulate} "
                f"{'devices' if self.accumulate == 1 else 'parts'}; use a larger batch or fewer of them."
            )
        mx.random.seed((self.seed * 1000003 + self.step_number + 7919 * self.group.rank) % (2**31 - 1))
        all_labels, counts = self.head.gather_labels(labels)
        self.head.begin(all_labels, self.step_number)
        losses = self._passes(images, labels, references)
        self.trainer.allreduce_grads()
        self._sum_over_ranks()
        size, scale = sum(counts), 1.0 if self.loss_scale is None else self.loss_scale.value
        if self.loss_scale is None or self._all_finite():
            self._update(size * scale)
            self.head.step()
            self.updates += 1
        else:
            self.head.discard()
        self.step_number += 1
        return losses

    def _passes(self, images: mx.nd.NDArray, labels: mx.nd.NDArray, references: mx.nd.NDArray | None) -> list[mx.nd.NDArray]:
        take_pass = self._pass if self.distiller is None and not self.is_frozen else self._pass_on_copies
        if self.accumulate == 1:
            return take_pass(images, labels, references)
        for parameter in (*self.parameters, *self.own):
            if parameter.grad_req == "add":
                parameter.zero_grad()
        passes = []
        for part in np.array_split(np.arange(images.shape[0]), self.accumulate):
            own = slice(int(part[0]), int(part[-1]) + 1)
            passes.append(take_pass(images[own], labels[own], None if references is None else references[own]))
        return [nd.concat(*losses, dim=0) for losses in zip(*passes)]

    @property
    def is_frozen(self) -> bool:
        """Whether the network is not trained in the current step."""
        return self.step_number < self.frozen_steps

    def _pass(self, images: mx.nd.NDArray, labels: mx.nd.NDArray, references: mx.nd.NDArray | None) -> list[mx.nd.NDArray]:
        parts = [to_unit(part) for part in split(images, self.contexts)]
        targets = split(labels, self.contexts)
        with autograd.record():
            losses = self.head([self.net(part) for part in parts], targets)
        self.head.backward(losses, 1.0 if self.loss_scale is None else self.loss_scale.value)
        return losses

    def _pass_on_copies(
        self, images: mx.nd.NDArray, labels: mx.nd.NDArray, references: mx.nd.NDArray | None
    ) -> list[mx.nd.NDArray]:
        """Take a pass that differentiates head, distiller and network apart; the first two add to the embeddings' gradients."""
        scale = 1.0 if self.loss_scale is None else self.loss_scale.value
        parts = [to_unit(part) for part in split(images, self.contexts)]
        with autograd.pause() if self.is_frozen else autograd.record():
            embeddings = [self.net(part) for part in parts]
        copies = [embedding.detach() for embedding in embeddings]
        for copy in copies:
            copy.attach_grad(grad_req="add")
        losses = self._head_losses(copies, split(labels, self.contexts), scale)
        if self.distiller is not None:
            with autograd.record():
                terms = self.distiller([1 * copy for copy in copies], split(references, self.contexts))
            autograd.backward(terms, [nd.full(term.shape, scale, term.context) for term in terms])
            losses = [loss + term.detach() for loss, term in zip(losses, terms)]
        if not self.is_frozen:
            autograd.backward(embeddings, [copy.grad for copy in copies])
        return losses

    def _head_losses(self, copies: Any, targets: Any, scale: float) -> Any:
        """Return the losses on labels, after adding their gradients to those of the copies of the embeddings."""
        classes = None if self.distiller is None else self.distiller.masked_from
        with autograd.record():
            # A head differentiates its inputs, so they must be results of an operator and not variables.
            given = [1 * copy for copy in copies]
            if classes is None:
                losses = self.head(given, targets)
            else:
                masks = [target < classes for target in targets]
                losses = self.head(given, [target * mask for target, mask in zip(targets, masks)])
                losses = [loss * mask for loss, mask in zip(losses, masks)]
        weight = 1.0 if self.distiller is None else self.distiller.label_weight
        self.head.backward(losses, scale * weight)
        return losses if weight == 1 else [weight * loss for loss in losses]

    def _sum_over_ranks(self) -> None:
        if self.group.size > 1:
            first, *others = self.contexts
            gradients = [p.grad(first) for p in self.parameters]
            self.group.sum_gradients(gradients)
            for context in others:
                for parameter, gradient in zip(self.parameters, gradients):
                    gradient.copyto(parameter.grad(context))

    def _update(self, size: float) -> None:
        if self.clip_norm is not None and not self.own:
            for context in self.contexts:
                _clip([p.grad(context) for p in self.parameters], self.clip_norm * size)
        elif self.clip_norm is not None:
            # The parts of the norm are on different devices, so the host has to wait for them.
            size = max(size, self._norm() / self.clip_norm)
        with self._network_at_rest() if self.is_frozen else nullcontext():
            for trainer in (self.trainer, *self.own_trainers):
                trainer.update(size)

    @contextmanager
    def _network_at_rest(self) -> Iterator[None]:
        """Set the rates of the network's parameters to 0 for an update; their optimizer states are created and remain 0."""
        resting = [p for p in self.net.collect_params().values() if p.grad_req != "null"]
        rates = [(p.lr_mult, p.wd_mult) for p in resting]
        for parameter in resting:
            parameter.lr_mult = parameter.wd_mult = 0.0
            for array in parameter.list_data():
                mark_gradient_fresh(array)
        yield
        for parameter, (lr_mult, wd_mult) in zip(resting, rates):
            parameter.lr_mult, parameter.wd_mult = lr_mult, wd_mult

    def _all_finite(self) -> bool:
        arrays = [[p.grad(self.contexts[0]) for p in self.parameters], *self._own_gradients()]
        finite = all(
            bool(nd.multi_all_finite(*gradients, num_arrays=len(gradients)).asscalar()) for gradients in arrays if gradients
        )
        return self.loss_scale.update(all(self.group.gather_values(finite)))

    def _norm(self) -> float:
        """Return the norm of the summed gradient of all parameters, over all devices and ranks."""
        shared = _square_sum([p.grad(self.contexts[0]) for p in self.parameters])
        own = sum(_square_sum(gradients) for gradients in self._own_gradients())
        return math.sqrt(shared + sum(self.group.gather_values(own)))

    def _own_gradients(self) -> Any:
        """Return the stored gradients of the parameters that only one device has: one list per parameter."""
        return [[g.data if g.stype == "row_sparse" else g for g in p.list_grad()] for p in self.own]


def _trainer_alone(parameters: Any, optimizer: str, optimizer_params: Any) -> Any:
    """Return a trainer of the parameters on one device; with sparse gradients it updates only rows that have one."""
    sparse = any(has_sparse_gradient(p) for p in parameters)
    if sparse and optimizer not in ("sgd", "adam"):
        raise GluonFRError(
            f"optimizer={optimizer!r} does not work with a sampled classifier; use sgd or adam, which do not change the rows "
            "of other classes."
        )
    return gluon.Trainer(parameters, optimizer, dict(optimizer_params or {}), kvstore=None)


def _square_sum(gradients: Sequence[mx.nd.NDArray]) -> Any:
    return float(nd.multi_sum_sq(*gradients, num_arrays=len(gradients)).sum().asscalar())


def _clip(gradients: Sequence[mx.nd.NDArray], largest: float) -> None:
    """Scale the gradients in place so that their norm is at most `largest`, without waiting for the device."""
    norm = nd.sqrt(nd.multi_sum_sq(*gradients, num_arrays=len(gradients)).sum())
    factor = nd.minimum(largest / (norm + 1e-12), 1.0)
    for gradient in gradients:
        gradient *= factor

from __future__ import annotations

import collections
import inspect
import logging
from typing import Any, Callable

import numpy as np
from mxnet import autograd, nd, symbol

from gluonfr.core import UsageError, check_number
from gluonfr.core.mxnet_graphs import gradients_may_accumulate
from gluonfr.core.mxnet_internals import own_parameters, trainer_updates
from gluonfr.loss.base.arguments import check_dtype
from gluonfr.loss.base.input_checks import check_column, nan_unless_finite
from gluonfr.loss.base.spec import LossSpec
from gluonfr.ops import NativeBlock

logger = logging.getLogger(__name__)

# Warn after this many training passes on one device without a training step.
_PASSES_WITHOUT_STEP = 20


class FRLoss(NativeBlock):
    """Base of all losses: specification, checks of inputs, precision, weights and training state.

    Use one of the subclasses as base of a new loss: `MarginLoss` for a margin on cosines, `ClassifierLoss` for another softmax
    over classes, `EmbeddingLoss` for a loss on (embedding, label), `TupleLoss` for given pairs or triplets.

    A subclass declares its `spec`, checks its inputs in `check_inputs` and computes the loss in `hybrid_forward`. A loss with
    state that training advances has it in Parameters with ``grad_req='null'``, so that it is saved with the others, exists on
    every device and is read by hybridized graphs. It returns what the update needs of a batch from `batch_statistics`, and
    moves the state in `advance`, which `step` calls. In a loop that never calls `step` the state advances as well, one batch
    later: at the first pass under `autograd.record` after a `gluon.Trainer` has updated its parameters.

    Parameters
    ----------
    dtype : str, default 'float32'
        Inputs of lower precision are converted to it before the loss is computed. Labels are not converted.
    weight : float, optional
        Factor of the loss.

    Raises
    ------
    UsageError
        For invalid arguments and inputs. Arrays are checked, also when hybridized; symbols have no values to check.

    Notes
    -----
    NaN or infinity in the inputs of a sample make its loss NaN or infinite. No error is raised, because that would wait for
    the device.

    Examples
    --------
    >>> class MeanOutput(FRLoss):
    ...     def hybrid_forward(self, F, output, label):
    ...         return F.mean(output, axis=1)
    >>> MeanOutput(weight=2)(nd.array([[1, 3]]), nd.array([0])).asnumpy().tolist()
    [4.0]
    """

    spec = LossSpec()
    # Position of the label among the inputs; it keeps its type.
    _label_position: int | None = 1

    def __init__(self, dtype: str = "float32", weight: float | None = None, **kwargs: Any) -> None:
        # Arguments that gluon-face's losses inherit from Gluon's: only the values that describe these losses are accepted.
        for name, only in (("axis", -1), ("sparse_label", True), ("from_logits", False), ("batch_axis", 0)):
            if kwargs.pop(name, only) != only:
                raise UsageError(f"{type(self).__name__}: {name} can only be {only!r} here.")
        for name in kwargs:
            if name not in ("prefix", "params"):
                raise UsageError(f"{type(self).__name__} has no argument {name!r}; help({type(self).__name__}) lists them.")
        super().__init__(**kwargs)
        self.dtype = check_dtype(self, dtype)
        self.weight = None if weight is None else check_number("weight", weight, minimum=0, owner=self)
        self.advances = type(self).advance is not FRLoss.advance
        # Whether training steps are recognized by the updates of Trainers, because `step` has not been called.
        self._follows_trainers = self.advances
        self._updates = trainer_updates()
        self._patience, self._warned = _PASSES_WITHOUT_STEP, False
        self._passes: collections.Counter = collections.Counter()
        self._statistics: collections.deque = collections.deque(maxlen=64)

    def __repr__(self) -> str:
        names = [name for name in inspect.signature(type(self).__init__).parameters if name not in ("self", "kwargs")]
        values = [(name, getattr(self, name, None)) for name in names]
        shown = [f"{name}={_short(value)}" for name, value in values if isinstance(value, (int, float, str))]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __call__(self, *inputs: Any, sample_weight: Any = None) -> Any:
        """Return the losses (N,)."""
        if inputs and isinstance(inputs[0], symbol.Symbol):
            return self._weigh(super().__call__(*inputs), sample_weight)
        inputs = self.check_inputs(*inputs)
        if sample_weight is not None:
            check_column(self, "sample_weight", sample_weight, inputs[0].shape[0])
        self._check_parameters(inputs[0].context)
        inputs = tuple(
            array if place == self._label_position else self._raise_precision(array) for place, array in enumerate(inputs)
        )
        if self.advances and autograd.is_recording():
            self._record_pass(*inputs)
        sample_weight = None if sample_weight is None else sample_weight.astype(inputs[0].dtype, copy=False)
        if (
            gradients_may_accumulate()
            and autograd.is_recording()
            and inputs[0].grad is not None
            and self.can_be_native(*inputs)
        ):
            # Native operators write their gradients, also to an array with grad_req='add'; a reshaped one passes them on.
            inputs = (inputs[0].reshape(inputs[0].shape), *inputs[1:])
        loss = self._weigh(super().__call__(*inputs), sample_weight)
        # Comparisons, clips and some softmax kernels drop NaN and infinity; the loss has to show them. Native ones do.
        matrices = [array for array in inputs[self.native :] if array.ndim == 2 and np.dtype(array.dtype).kind == "f"]
        return sum((nan_unless_finite(matrix).astype(loss.dtype, copy=False) for matrix in matrices), loss)

    def can_be_native(self, *inputs: Any) -> bool:
        """Return whether native operators can compute the loss on these arrays; most losses have none."""
        return False

    def check_inputs(self, *inputs: Any) -> tuple[Any, ...]:
        """Return the inputs that `hybrid_forward` receives, or raise `UsageError` when they are invalid."""
        return inputs

    def batch_statistics(self, *inputs: Any, **named: Any) -> tuple[Any, ...]:
        """Return the arrays (N, ...) of a batch that `advance` needs; called in every training pass with its inputs."""
        return ()

    def advance(self, *statistics: Any) -> None:
        """Advance the state that training moves, given `batch_statistics` of all passes and devices since the last step."""

    def record(self, *inputs: Any, **named: Any) -> None:
        """Store `batch_statistics` of a training pass until the next `step`."""
        if self.advances:
            with autograd.pause():
                self._statistics.append(self.batch_statistics(*inputs, **named))

    def step(self, embeddings: Any = None, labels: Any = None, gather: Callable[[Any], Any] | None = None) -> None:
        """Advance the state that training moves; call it once per training step, after `trainer.step`.

        Most losses have no such state, and the call has no effect. From the first call on the state advances only here.

        Parameters
        ----------
        embeddings, labels : list of NDArray, optional
            Inputs of the loss in this step, with one entry per device: (N_k, D) and (N_k,). Only losses with class centers or
            a radius use them; by default all losses use what they recorded.
        gather : callable, optional
            Concatenates an array (N, ...) over all processes, where several train one network.

        Raises
        ------
        UsageError
            When there was no training pass since the last step.
        """
        self._follows_trainers = False
        self._advance(gather)

    def _advance(self, gather: Callable[[Any], Any] | None = None) -> None:
        if self.advances:
            with autograd.pause():
                self.advance(*self._gathered(gather))
        self.discard_statistics()

    def discard_statistics(self) -> None:
        """Discard what was recorded, after a training step that was skipped."""
        self._statistics.clear()
        self._passes.clear()

    def expect_passes(self, passes: int) -> None:
        """Set the number of passes, over all devices, that each training step has before `step` is called."""
        self._follows_trainers = False
        self._patience = _PASSES_WITHOUT_STEP * passes
        self._statistics = collections.deque(self._statistics, maxlen=max(64, 2 * passes))

    def _gathered(self, gather: Callable[[Any], Any] | None) -> list[Any]:
        """Return the recorded statistics, each concatenated over all passes, devices and processes."""
        if not self._has_statistics():
            return []
        if not self._statistics:
            raise UsageError(
                f"{type(self).__name__}.step() needs a training pass; call the loss on arrays under autograd.record() first."
            )
        context = self._statistics[0][0].context
        joined = [nd.concat(*(part.as_in_context(context) for part in parts), dim=0) for parts in zip(*self._statistics)]
        return joined if gather is None else [gather(array) for array in joined]

    def _has_statistics(self) -> bool:
        return type(self).batch_statistics is not FRLoss.batch_statistics

    def _record_pass(self, *inputs: Any) -> None:
        if self._follows_trainers:
            self._follow_trainers()
        self.record(*inputs)
        context = inputs[0].context
        self._passes[context] += 1
        if self._passes[context] == self._patience:
            self._passes.clear()
            self._warn(f"was trained on {self._patience} batches without a training step", "its state stays as it is")

    def _follow_trainers(self) -> None:
        """Advance the state if a Trainer has made an update since the passes that are recorded."""
        updates = trainer_updates()
        if updates != self._updates and self._passes:
            if len(self._passes) > 1:
                self._warn(f"is trained on {len(self._passes)} devices", "its state advances at the next batch")
            self._advance()
        self._updates = updates

    def _warn(self, reason: str, consequence: str) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "%s %s: call loss.step() once after every trainer.step(), or %s.", type(self).__name__, reason, consequence
            )

    def _weigh(self, loss: Any, sample_weight: Any) -> Any:
        if self.weight is not None:
            loss = loss * self.weight
        return loss if sample_weight is None else loss * sample_weight.reshape((-1,))

    def _check_parameters(self, context: Any) -> None:
        for parameter in own_parameters(self).values():
            try:
                contexts = parameter.list_ctx()
            except RuntimeError:
                contexts = []
            if context not in contexts:
                raise UsageError(
                    f"{type(self).__name__}: its parameter {parameter.name} is not on {context}; call loss.initialize(ctx=...) "
                    "with every device of the training first."
                )

    def _raise_precision(self, array: Any) -> Any:
        """Convert to the loss's dtype where that is higher, or where parameters take part, since MXNet does not mix types."""
        low = np.dtype(array.dtype).itemsize < np.dtype(self.dtype).itemsize
        return array.astype(self.dtype, copy=False) if low or own_parameters(self) else array


def set_state(parameter: Any, value: Any) -> None:
    """Set a state parameter (1,) on all its devices; a value that is not finite, of a broken batch, is ignored.

    Examples
    --------
    >>> from mxnet.gluon import Parameter
    >>> parameter = Parameter("scale", shape=(1,), grad_req="null")
    >>> parameter.initialize()
    >>> set_state(parameter, nd.array([3.0]))
    >>> set_state(parameter, nd.array([float("nan")]))
    >>> parameter.data().asscalar()
    3.0
    """
    value = nd.where(nd.contrib.isfinite(value), value, parameter.data(value.context))
    if parameter.grad_req != "null":
        parameter.set_data(value)
        return
    # `set_data` would reset the store of a Trainer that has the parameter, and with it the momentum of all others.
    for context in parameter.list_ctx():
        parameter.data(context)[:] = value.as_in_context(context)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)

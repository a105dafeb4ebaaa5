from __future__ import annotations

from typing import Any

from mxnet import nd

from gluonfr import ops
from gluonfr.core.mxnet_internals import own_parameters
from gluonfr.loss.base.functions import cross_entropy, log_sum_exp, log_sum_exp_of_others, replace_target, row_norm
from gluonfr.loss.base.output import OutputLoss
from gluonfr.ops import Change, NativeBlock


class ClassifierLoss(OutputLoss):
    """Base of the losses that are softmax cross-entropy on changed outputs of a classifier.

    A subclass defines how outputs become logits: `logit_scale`, `target_logit` and, for some, `class_norms` and `others`.
    Because that works on any subset of the classes, a classifier whose classes are divided over devices uses the same subclass,
    through `shard_terms`.

    On CPUs the native operators of `gluonfr.ops` compute everything that is proportional to the number of classes. The graph
    of MXNet's operators computes the same on GPUs, in exported symbols, in other types than float32 and without a compiler.

    The methods below receive as keyword arguments the own parameters of the loss by name and, for losses with
    ``spec.needs_embedding``, the `norm` (N,) of the embedding.

    Parameters
    ----------
    classes : int
        Number of classes C.
    dtype, weight
        See `FRLoss`.

    Examples
    --------
    >>> class SharperSoftmax(ClassifierLoss):
    ...     def logits(self, F, output, label, output_y):
    ...         return 2 * output, None
    >>> SharperSoftmax(classes=2)(nd.array([[1, 0]]), nd.array([0])).asnumpy().round(3)
    array([0.127], dtype=float32)
    """

    @property
    def shared_parameters(self) -> dict[str, Any]:
        """Own parameters by name without `spec.class_parameters`: what every shard of a divided classifier reads."""
        return {name: parameter for name, parameter in own_parameters(self).items() if name not in self.spec.class_parameters}

    def logit_scale(self, F: Any, *args: Any, **state: Any) -> Any:
        """Return the factor of the outputs: a number, or an array (1,) or (N,)."""
        return 1.0

    def class_norms(self, F: Any, *args: Any, **state: Any) -> Any:
        """Return the factors of the classes (C,), or None."""
        return None

    def others(self, F: Any, output: Any, output_y: Any, *args: Any, **state: Any) -> Any:
        """Return the outputs (N, C), changed by comparison with the target's (N,); most losses leave them unchanged."""
        return output

    def change_of_others(self, F: Any, output_y: Any, *args: Any, **state: Any) -> Change | None:
        """Return what `others` does in the form that the native operators know; a class that has `others` may define it."""
        return None

    def target_logit(self, F: Any, output_y: Any, label: Any, *args: Any, **state: Any) -> Any:
        """Return the target's logit (N,), or None where it is computed like the others."""
        return None

    def logits(self, F: Any, output: Any, label: Any, output_y: Any, *args: Any, **state: Any) -> tuple[Any, Any]:
        """Return the logits (N, C) and the target's logit (N,), or None where it is the one in the matrix.

        A subclass that cannot express its logits by the methods above overrides this one, and is computed by MXNet's
        operators on all devices.

        Parameters
        ----------
        F : module
            `mx.nd` or `mx.sym`.
        output : (N, C)
            Outputs of the classifier.
        label : (N,)
            Classes of the samples.
        output_y : (N,)
            The target's output.
        **state
            Own parameters, and `norm`.
        """
        logits, norms = self.others(F, output, output_y, **state), self.class_norms(F, **state)
        if norms is not None:
            logits = F.broadcast_mul(logits, F.reshape(norms, shape=(1, -1)))
        scale = self.logit_scale(F, **state)
        if not isinstance(scale, (int, float)):
            logits = F.broadcast_mul(logits, F.reshape(scale, shape=(-1, 1)))
        elif scale != 1:
            logits = logits * scale
        return logits, self.target_logit(F, output_y, label, **state)

    def extra(self, F: Any, *args: Any, **state: Any) -> Any:
        """Return a term of the loss (N,) that does not depend on the outputs, or None."""
        return None

    def reduce_centers(self, F: Any, output: Any, classes: int) -> Any:
        """Return the largest output of each class over its centers, (N, classes * num_centers) -> (N, classes)."""
        if self.spec.num_centers == 1:
            return output
        return F.max(F.reshape(output, shape=(-1, classes, self.spec.num_centers)), axis=2)

    @property
    def is_native(self) -> bool:
        """Whether native operators can compute this loss: not one whose subclass has changed how logits are computed."""
        kind = type(self)
        unchanged = all(
            getattr(kind, name) is getattr(ClassifierLoss, name) for name in ("logits", "hybrid_forward", "reduce_centers")
        )
        return unchanged and _definer(kind, "others") is _definer(kind, "change_of_others")

    def can_be_native(self, *inputs: Any) -> bool:
        """Return whether native operators can compute the loss on these arrays."""
        return self.is_native and NativeBlock.can_be_native(self, *inputs)

    def hybrid_forward(self, F: Any, output: Any, label: Any, embedding: Any = None, **state: Any) -> Any:
        """Return the losses (N,)."""
        if self.spec.needs_embedding:
            state["norm"] = row_norm(F, embedding)
        label = F.reshape(label, shape=(-1,))
        if self.native:
            others, _, target = self.native_terms(F, output, label, **state)
            loss = ops.cross_entropy(F, others, target)
        else:
            output = self.reduce_centers(F, output, self.classes)
            logits, target = self.logits(F, output, label, F.pick(output, label, axis=1), **state)
            if target is not None:
                logits = replace_target(F, logits, label, target, self.classes)
            loss = cross_entropy(F, logits, label)
        extra = self.extra(F, **state)
        return loss if extra is None else loss + extra

    def native_terms(
        self, F: Any, output: Any, label: Any, own: Any = None, output_y: Any = None, offset: Any = None, **state: Any
    ) -> tuple[Any, Any, Any]:
        """Return the log-sum-exp of the other classes, the target's output and its logit, (N,) each.

        Parameters as those of `shard_terms`, after the embedding became `norm`; without `own`, all classes are here.
        """
        change = None
        if _definer(type(self), "change_of_others") is not ClassifierLoss:
            if output_y is None:
                output_y = F.pick(self.reduce_centers(F, output, self.classes), label, axis=1)
            change = self.change_of_others(F, F.stop_gradient(output_y), **state)
        scale, norms, place = self.logit_scale(F, **state), self.class_norms(F, **state), label
        if own is not None:
            place = F.where(own, label, F.zeros_like(label) - 1)
        others, here = ops.log_sum_exp_of_others(
            F, output, place, scale, norms, offset, change=change, centers=self.spec.num_centers
        )
        target = self.target_logit(F, here, label, **state)
        if target is None:
            target = here * scale if isinstance(scale, (int, float)) else F.broadcast_mul(here, scale)
        return others, here, target

    def shard_terms(
        self,
        F: Any,
        output: Any,
        label: Any,
        own: Any,
        classes: int,
        output_y: Any = None,
        embedding: Any = None,
        offset: Any = None,
        native: bool = False,
        **state: Any,
    ) -> list[Any]:
        """Return what a shard of the classes contributes to the losses of a batch.

        The loss of a sample is the log of the sum over shards of exp(log-sum-exp), minus the sum of their targets, plus
        `extra`.

        Parameters
        ----------
        F : module
            `mx.nd` or `mx.sym`.
        output : (N, classes * num_centers)
            Outputs of these classes.
        label : (N,)
            Index of the sample's class among these; any index where it is in another shard.
        own : (N,)
            1 where the class is in this shard, else 0.
        classes : int
            Number of classes of the shard.
        output_y : (N,), optional
            The target's output, wherever its class is; required by losses with ``spec.needs_target``.
        embedding : (N, D), optional
            Not normalized; required by losses with ``spec.needs_embedding``.
        offset : (classes,), optional
            Added to all logits: the log of the number of classes that each represents, where they are a sample. It is 0 for the
            classes of the batch.
        native : bool, default False
            Compute with native operators; only where `is_native`, and in float32 on a CPU.
        **state
            Parameters of the loss; `spec.class_parameters` of these classes alone.

        Returns
        -------
        list of (N,)
            Log-sum-exp; the target's logit and its output, 0 where the class is in another shard; and for losses with
            ``spec.needs_others`` the log-sum-exp of the other classes. Gradients flow through the first two.
        """
        if self.spec.needs_embedding:
            state["norm"] = row_norm(F, embedding)
        if native:
            others, here, target = self.native_terms(F, output, label, own, output_y, offset, **state)
            lse = F.where(own, target + ops.cross_entropy(F, others, target), others)
            terms = [lse, target * own, F.stop_gradient(here)]
            return [*terms, F.stop_gradient(others)] if self.spec.needs_others else terms
        output = self.reduce_centers(F, output, classes)
        here = F.pick(output, label, axis=1)
        logits, target = self.logits(F, output, label, here if output_y is None else F.where(own, here, output_y), **state)
        in_matrix = F.pick(logits, label, axis=1)
        if target is None:
            target = in_matrix
        else:
            logits = replace_target(F, logits, label, F.where(own, target, in_matrix), classes)
        if offset is not None:
            logits = F.broadcast_add(logits, F.reshape(offset, shape=(1, -1)))
        terms = [log_sum_exp(F, logits, label), target * own, F.stop_gradient(here * own)]
        if self.spec.needs_others:
            others = log_sum_exp_of_others(F, logits, label, classes)
            terms.append(F.stop_gradient(F.where(own, others, terms[0])))
        return terms

    def target_statistics(self, output_y: Any, others: Any, embedding: Any) -> tuple[Any, ...]:
        """Return what `advance` needs of a batch, arrays (N,).

        Parameters
        ----------
        output_y : (N,)
            The target's output.
        others : (N,) or None
            Log-sum-exp of the other classes, for losses with ``spec.needs_others``.
        embedding : (N, D) or None
            Not normalized, for losses with ``spec.needs_embedding``.
        """
        return ()

    def _has_statistics(self) -> bool:
        return type(self).target_statistics is not ClassifierLoss.target_statistics

    def batch_statistics(self, *inputs: Any, **named: Any) -> tuple[Any, ...]:
        """Return `target_statistics` of ``(output, label[, embedding])``, or of its own arguments given by name."""
        if named:
            return self.target_statistics(**named)
        output, label, embedding = (*inputs, None)[:3]
        label, state = label.reshape((-1,)), {}
        if self.spec.needs_others:
            state = {name: parameter.data(output.context) for name, parameter in own_parameters(self).items()}
            if self.can_be_native(output):
                others, output_y, _ = self.native_terms(nd, output, label, **state)
                return self.target_statistics(output_y, others, embedding)
        output, others = self.reduce_centers(nd, output, self.classes), None
        output_y = nd.pick(output, label, axis=1)
        if self.spec.needs_others:
            logits, _ = self.logits(nd, output, label, output_y, **state)
            others = log_sum_exp_of_others(nd, logits, label, self.classes)
        return self.target_statistics(output_y, others, embedding)


def _definer(kind: type, name: str) -> type:
    """Return the class that defines a method of `kind`."""
    return next(base for base in kind.__mro__ if name in vars(base))

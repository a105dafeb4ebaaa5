from __future__ import annotations

from typing import Any

from mxnet import nd

from gluonfr.core.mxnet_internals import own_parameters
from gluonfr.loss.base.functions import cross_entropy, log_sum_exp, log_sum_exp_of_others, replace_target, row_norm
from gluonfr.loss.base.output import OutputLoss


class ClassifierLoss(OutputLoss):
    """Base of the losses that are softmax cross-entropy on changed outputs of a classifier.

    A subclass defines in `logits` how outputs become logits. Because that works on any subset of the classes, a classifier
    whose classes are divided over devices uses the same subclass, through `shard_terms`.

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

    def logits(self, F: Any, output: Any, label: Any, output_y: Any, *args: Any, **state: Any) -> tuple[Any, Any]:
        """Return the logits (N, C) and the target's logit (N,), or None where it is the one in the matrix.

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
        return output, None

    def extra(self, F: Any, *args: Any, **state: Any) -> Any:
        """Return a term of the loss (N,) that does not depend on the outputs, or None."""
        return None

    def reduce_centers(self, F: Any, output: Any, classes: int) -> Any:
        """Return the largest output of each class over its centers, (N, classes * num_centers) -> (N, classes)."""
        if self.spec.num_centers == 1:
            return output
        return F.max(F.reshape(output, shape=(-1, classes, self.spec.num_centers)), axis=2)

    def hybrid_forward(self, F: Any, output: Any, label: Any, embedding: Any = None, **state: Any) -> Any:
        """Return the losses (N,)."""
        if self.spec.needs_embedding:
            state["norm"] = row_norm(F, embedding)
        label, output = F.reshape(label, shape=(-1,)), self.reduce_centers(F, output, self.classes)
        logits, target = self.logits(F, output, label, F.pick(output, label, axis=1), **state)
        if target is not None:
            logits = replace_target(F, logits, label, target, self.classes)
        loss, extra = cross_entropy(F, logits, label), self.extra(F, **state)
        return loss if extra is None else loss + extra

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
            Added to all logits: the log of the number of classes that each represents, where they are a sample.
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
        label, output = label.reshape((-1,)), self.reduce_centers(nd, output, self.classes)
        output_y, others = nd.pick(output, label, axis=1), None
        if self.spec.needs_others:
            state = {name: parameter.data(output.context) for name, parameter in own_parameters(self).items()}
            logits, _ = self.logits(nd, output, label, output_y, **state)
            others = log_sum_exp_of_others(nd, logits, label, self.classes)
        return self.target_statistics(output_y, others, embedding)

from __future__ import annotations

from mxnet import nd

from gluonfr.loss.base import FRLoss, cross_entropy, replace_target, row_norm


class ClassifierLoss(FRLoss):
    """Softmax cross-entropy on what a classifier gives, changed first: the base of the losses that a classifier in parts
    can train too.

    A loss says in `logits` what becomes of the outputs of some classes, all of them or a part's; everything else follows.

    Attributes
    ----------
    num_centers : int
        Rows of the classifier a class.
    class_parameters : tuple of str
        Own parameters (C,), with one number a class.
    compares : bool
        Whether `logits` changes other classes by comparison with the target's output, which then has to be known.
    watches_others : bool
        Whether `watch` wants the log-sum-exp of the other classes.
    """

    num_centers = 1
    class_parameters = ()
    compares = False
    watches_others = False

    @property
    def outputs(self):
        return self._classes * self.num_centers

    @property
    def shared_parameters(self):
        """Own parameters by name, but for `class_parameters`: what every part of a divided classifier reads."""
        return {name: each for name, each in self._reg_params.items() if name not in self.class_parameters}

    # `state` holds the loss's own parameters by name and, for the losses that need the embedding, its `norm` (N,).

    def logits(self, F, output, label, output_y, **state):
        """What is exponentiated: logits (N, C) and, where it is not the one that stands there, the target's logit (N,) or
        None; `output_y` (N,) is the target's output.
        """
        return output, None

    def extra(self, F, **state) -> None:
        """A term of the loss (N,) that does not depend on the outputs, or None."""
        return

    def watch(self, F, output_y, others, embedding):
        """What `step` needs of a batch, a tuple of (N,): from the target's output, the `others`' log-sum-exp and the
        embedding.
        """
        return ()

    def nearest(self, F, output, classes):
        """Outputs of a class from those of its centers: (N, classes * num_centers) -> (N, classes)."""
        if self.num_centers == 1:
            return output
        return F.max(F.reshape(output, shape=(-1, classes, self.num_centers)), axis=2)

    def hybrid_forward(self, F, output, label, embedding=None, **state):
        if self.needs_embedding:
            state["norm"] = row_norm(F, embedding)
        label, output = F.reshape(label, shape=(-1,)), self.nearest(F, output, self._classes)
        logits, target = self.logits(F, output, label, F.pick(output, label, axis=1), **state)
        if target is not None:
            logits = replace_target(F, logits, label, target, self._classes)
        loss, extra = cross_entropy(F, logits, label), self.extra(F, **state)
        return loss if extra is None else loss + extra

    def part(self, F, output, label, own, classes, output_y=None, embedding=None, offset=None, **state):
        """What some of the classes add to the loss of a batch.

        The loss of a sample is the log of the sum over parts of exp(log-sum-exp), less the sum of their targets, plus `extra`.

        Parameters
        ----------
        output : (N, classes * num_centers)
        label : (N,)
            Place of the sample's class among these; any where it is not.
        own : (N,)
            1 where it is, 0 where not.
        classes : int
        output_y : (N,), optional
            The target's output, wherever its class is; needed by losses that have `compares`.
        embedding : (N, D), not normalized
            For losses that need it.
        offset : (classes,), optional
            Added to all logits: the log of how many classes each stands for, where they are a sample.
        **state
            The loss's parameters, `class_parameters` of these classes alone.

        Returns
        -------
        list of (N,)
            Log-sum-exp; the target's logit and its output, 0 where the class is not here; and the log-sum-exp of the others
            where the loss has `watches_others`. Gradients flow through the first two.
        """
        if self.needs_embedding:
            state["norm"] = row_norm(F, embedding)
        output = self.nearest(F, output, classes)
        here = F.pick(output, label, axis=1)
        logits, target = self.logits(F, output, label, here if output_y is None else F.where(own, here, output_y), **state)
        stands = F.pick(logits, label, axis=1)
        if target is None:
            target = stands
        else:
            logits = replace_target(F, logits, label, F.where(own, target, stands), classes)
        if offset is not None:
            logits = F.broadcast_add(logits, F.reshape(offset, shape=(1, -1)))
        parts = [log_sum_exp(F, logits, label), target * own, F.stop_gradient(here * own)]
        if self.watches_others:
            everybody, rest = parts[0], others_log_sum_exp(F, logits, label, classes)
            parts.append(F.stop_gradient(F.where(own, rest, everybody)))
        return parts

    def note(self, output_y, others, embedding) -> None:
        """Take from a training pass what `step` needs: as `observe` does, for those who compute with `part`."""
        if self.advances:
            self._seen.append(self.watch(nd, output_y, others, embedding))

    def observe(self, F, output, label, embedding=None):
        label, output = label.reshape((-1,)), self.nearest(F, output, self._classes)
        output_y, others = F.pick(output, label, axis=1), None
        if self.watches_others:
            state = {name: each.data(output.context) for name, each in self._reg_params.items()}
            logits, _ = self.logits(F, output, label, output_y, **state)
            others = others_log_sum_exp(F, logits, label, self._classes)
        return self.watch(F, output_y, others, embedding)


def log_sum_exp(F, logits, column):
    """Log of the sum of exponentials of each row, (N, C) -> (N,), by way of any finite `column` (N,) of it.

    MXNet's softmax takes a third of the time of the largest, the exponentials and their sum, and is as exact.
    """
    return F.pick(logits, column, axis=1) - F.pick(F.log_softmax(logits, axis=1), column, axis=1)


def others_log_sum_exp(F, logits, label, classes):
    """Log of the sum of exponentials of each row without its label's: (N, C), (N,) -> (N,)."""
    return exact_log_sum_exp(F, replace_target(F, logits, label, F.pick(logits, label, axis=1) * 0 - 1e30, classes))


def exact_log_sum_exp(F, x, axis=1):
    """Log of the sum of exponentials along an axis of (N, C), relative to the largest, for numbers of any size."""
    largest = F.max(x, axis=axis, keepdims=True)
    return F.log(F.sum(F.exp(F.broadcast_sub(x, largest)), axis=axis)) + F.reshape(largest, shape=(-1,))

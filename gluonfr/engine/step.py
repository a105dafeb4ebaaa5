import mxnet as mx
from mxnet import autograd, gluon, nd

from gluonfr.core import GluonFRError
from gluonfr.deploy import to_unit


def split(array, contexts):
    """An array (N, ...) in parts, one a context, sizes differing by at most the remainder."""
    if len(contexts) == 1:
        return [array.as_in_context(contexts[0])]
    return gluon.utils.split_and_load(array, contexts, even_split=False)


def recipe_multipliers(parameters, classifier=(), classifier_wd_mult=1.0):
    """Weight-decay rules of the published recipes: none on scales, shifts, biases and slopes, more on the last layer.

    Parameters
    ----------
    parameters : ParameterDict
        All that is trained; those with one dimension get `wd_mult` 0.
    classifier : iterable of Parameter
        Get `wd_mult` = `classifier_wd_mult` (InsightFace's MobileFaceNet recipe takes 10).
    """
    for parameter in parameters.values():
        if parameter.shape is not None and len(parameter.shape) == 1:
            parameter.wd_mult = 0.0
    for parameter in classifier:
        parameter.wd_mult = classifier_wd_mult


class TrainStep:
    """One training step over a list of devices: split, forward, backward, sum of gradients, clip, update.

    With the same batch, any number of devices takes the same step as one, BatchNorm's statistics aside (each device has
    its own): gradients are summed over devices and divided by the size of the whole batch, however unevenly it is split.

    Parameters
    ----------
    net : HybridBlock
        Images (N, 3, H, W) in [0, 1] to embeddings (N, D); initialised on `contexts`.
    head : callable
        `head(embeddings, labels) -> losses`, lists with one entry a device; has `collect_params` and `step`.
    contexts : list of Context
    optimizer : str or Optimizer
    optimizer_params : dict
    clip_norm : float, optional
        Largest Euclidean norm of the mean gradient over all parameters; a larger gradient is scaled down to it.
    seed : int, default 0
        Dropout draws from (seed, step), so that a resumed run repeats an unbroken one.

    Raises
    ------
    GluonFRError
        When a batch is smaller than the number of devices.
    """

    def __init__(self, net, head, contexts, optimizer="sgd", optimizer_params=None, clip_norm=None, seed=0):
        self.net, self.head, self.contexts = net, head, list(contexts)
        self.clip_norm, self.seed = clip_norm, seed
        parameters = gluon.ParameterDict()
        parameters.update(net.collect_params())
        parameters.update(head.collect_params())
        # Running statistics would race with the store's first pull, and it has nothing to do for them.
        self.parameters = [p for p in parameters.values() if p.grad_req != "null"]
        self.trainer = gluon.Trainer(
            self.parameters,
            optimizer,
            optimizer_params,
            kvstore="device" if len(self.contexts) > 1 else None,
            update_on_kvstore=False if len(self.contexts) > 1 else None,
        )
        self.step_number = 0

    def __call__(self, images, labels):
        """Take a step on images (N, 3, H, W), uint8 or float32 in [0, 1], and labels (N,); returns the losses, a list of
        (N_k,) on the devices, not waited for."""
        size = images.shape[0]
        if size < len(self.contexts):
            raise GluonFRError(
                f"a batch of {size} cannot be split over {len(self.contexts)} devices; use a larger batch or fewer devices."
            )
        mx.random.seed((self.seed * 1000003 + self.step_number) % (2**31 - 1))
        parts = [to_unit(part) for part in split(images, self.contexts)]
        targets = split(labels, self.contexts)
        with autograd.record():
            losses = self.head([self.net(part) for part in parts], targets)
        autograd.backward(losses)
        if self.clip_norm is None:
            self.trainer.step(size)
        else:
            self.trainer.allreduce_grads()
            for context in self.contexts:
                _clip([p.grad(context) for p in self.parameters], self.clip_norm * size)
            self.trainer.update(size)
        self.head.step()
        self.step_number += 1
        return losses


def _clip(gradients, largest):
    """Scale the gradients in place so that their norm is at most `largest`, without waiting for the device."""
    norm = nd.sqrt(nd.multi_sum_sq(*gradients, num_arrays=len(gradients)).sum())
    factor = nd.minimum(largest / (norm + 1e-12), 1.0)
    for gradient in gradients:
        gradient *= factor

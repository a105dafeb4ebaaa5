"""Time of the losses, value and gradient, at batch 128 x 100,000 classes, as ratios to softmax cross-entropy in one run.

Hybridized with static memory, alternating, medians. The second table is a whole classifier: a dense layer of 128 dimensions
(with both norms for the margins), the loss, and the gradients of weight and embedding.

    python benchmarks/margin.py [--rounds 15]
"""

import argparse
import statistics
import time

import numpy as np

import gluonfr  # noqa: F401

# isort: split
import mxnet as mx
from mxnet import autograd, gluon

from gluonfr.engine import PlainHead
from gluonfr.loss import get_loss

NAMES = ("SoftmaxLoss", "CosLoss", "ArcLoss", "CombinedMargin")


def report(title, steps, rounds):
    """Run the steps alternately and print median milliseconds and the ratio to the first."""
    times = {name: [] for name in steps}
    for _ in range(rounds + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            mx.nd.waitall()
            times[name].append(time.perf_counter() - start)
    medians = {name: 1000 * statistics.median(each[2:]) for name, each in times.items()}
    first = next(iter(medians.values()))
    print(title)
    for name, value in medians.items():
        print(f"  {name:28}{value:8.1f} ms  {value / first:5.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--classes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    rng = np.random.RandomState(0)
    cos = mx.nd.array(rng.uniform(-0.5, 0.5, (options.batch_size, options.classes)))
    label = mx.nd.array(rng.randint(0, options.classes, options.batch_size))
    embedding = mx.nd.array(rng.randn(options.batch_size, 128))
    cos.attach_grad()
    embedding.attach_grad()

    def loss_step(loss):
        loss.hybridize(static_alloc=True, static_shape=True)

        def step():
            with autograd.record():
                value = loss(cos, label)
            value.backward()

        return step

    def head_step(loss):
        head = PlainHead(loss, options.classes, 128)
        head.initialize()
        head.hybridize(static_alloc=True, static_shape=True)

        def step():
            with autograd.record():
                values = head([embedding], [label])
            autograd.backward(values)

        return step

    steps = {"gluon SoftmaxCrossEntropyLoss": loss_step(gluon.loss.SoftmaxCrossEntropyLoss())}
    steps.update((name, loss_step(get_loss(name, classes=options.classes))) for name in NAMES)
    report(f"loss and gradient, {options.batch_size} x {options.classes:,}", steps, options.rounds)
    heads = {name: head_step(get_loss(name, classes=options.classes)) for name in NAMES}
    report("the same with the classifier, 128 dimensions", heads, options.rounds)


if __name__ == "__main__":
    main()

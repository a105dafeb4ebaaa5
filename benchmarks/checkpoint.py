"""Measure how long a checkpoint pauses training, with a head of many classes behind a small network.

    python benchmarks/checkpoint.py [--classes 1000000] [--size 128] [--samples 0.01,1.0] [--folder FOLDER]

A step is forward, backward and update, and is waited for. The pause is the additional time of the steps during which a
checkpoint is saved: the longest one, and their sum.

Measured 2026-11-25, two cores otherwise idle, 1 million classes of 128 numbers (1 GB of weights and momentum), two rounds
each: a step with 1 % of the classes takes 0.04 s, and the longest pause is 0.06 to 0.10 s. With four checkpoints, of which
the last ones remove older ones, it is 0.20 to 0.24 s (three rounds of half a minute). A step with all classes takes 3 s,
and the pause is not larger than the variation of the steps (-0.07 and 1.24 s). On one core, where the writer competes with
training, the pauses are 0.09 s, and 2.5 to 2.9 s. Copies into new memory (`asnumpy`) paused the sampled run for 0.15 to
1.75 s on one core, and copies by MXNet (`copyto`) for 0.5 to 1.2 s.
"""

import argparse
import statistics
import tempfile
import time

import mxnet as mx
import numpy as np
from mxnet import gluon, nd

from gluonfr.engine import Group, ShardedHead, TrainStep
from gluonfr.engine.checkpoints.manager import CheckpointManager
from gluonfr.engine.checkpoints.snapshot import take_snapshot
from gluonfr.loss import ArcLoss


def measure(classes, size, sample, folder, steps, saves):
    """Return seconds: of a step, the longest and the summed additional time of the steps during a checkpoint, and until it
    is complete; the largest values over all checkpoints."""
    net = gluon.nn.Dense(size, in_units=64)
    net.initialize()
    head = ShardedHead(ArcLoss(classes), classes, size, [mx.cpu()], sample=sample)
    head.initialize()
    head.hybridize(static_alloc=True, static_shape=True)
    step = TrainStep(net, head, [mx.cpu()], "sgd", {"learning_rate": 0.1, "momentum": 0.9})
    images, labels = nd.random.uniform(shape=(128, 64)), nd.array(np.random.RandomState(0).randint(0, classes, 128))
    checkpoints = CheckpointManager(folder, Group())

    def one(save=False):
        start = time.perf_counter()
        step(images, labels)
        if save:
            checkpoints.save(step.step_number, lambda memory: take_snapshot(step, cache=memory))
        elif checkpoints.writing and checkpoints.written:
            checkpoints.publish()
        nd.waitall()
        return time.perf_counter() - start

    # After the first step, as in a run.
    one()
    take_snapshot(step, cache=checkpoints.cache)
    usual = statistics.median([one() for _ in range(steps + 2)][2:])
    pauses = []
    for _ in range(saves):
        start, during = time.perf_counter(), [one(save=True)]
        while checkpoints.writing:
            during.append(one())
        whole = time.perf_counter() - start
        pauses.append((max(during) - usual, sum(during) - len(during) * usual, whole))
    return (usual, *np.max(pauses, axis=0))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--samples", type=lambda text: [float(number) for number in text.split(",")], default=[0.01, 1.0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument(
        "--saves", type=int, default=4, help="checkpoints per round; the third and later ones remove an older one"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="folder for the checkpoints (default: a temporary folder)")
    arguments = parser.parse_args()
    print("| sample | s a step | longest pause, s | all pauses, s | until it is whole, s |\n|---|---|---|---|---|", flush=True)
    for sample in arguments.samples:
        for _ in range(arguments.rounds):
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                found = measure(arguments.classes, arguments.size, sample, folder, arguments.steps, arguments.saves)
            print(f"| {sample:g} | " + " | ".join(f"{value:.2f}" for value in found) + " |", flush=True)


if __name__ == "__main__":
    main()

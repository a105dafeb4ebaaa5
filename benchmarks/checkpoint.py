"""How long a checkpoint stops training: a head of many classes behind a small network, saved while it trains.

    python benchmarks/checkpoint.py [--classes 1000000] [--size 128] [--samples 0.01,1.0] [--folder FOLDER]

The pause is how much longer the steps take from the one that saves to the one after which the checkpoint is whole on the disk,
the longest such excess and the sum of all; a step is forward, backward and the update, with everything waited for.

Measured 2026-11-25, two cores otherwise idle, 1 million classes of 128 numbers (1 GB of weights and momentum), two rounds each:
a step with a hundredth of the classes takes 0.04 s and the longest pause is 0.06 to 0.10 s, with four checkpoints, of which
the last ones remove older ones, 0.20 to 0.24 s (three rounds, each half a minute); a step with all of them takes 3 s
and the pause cannot be told from the spread of the steps (-0.07 and 1.24 s). On one core the writer takes its share of it:
0.09 s, and 2.5 to 2.9 s. Copies in new memory each time (`asnumpy`) paused the sampled run for 0.15 to 1.75 s on one core,
copies made by MXNet (`copyto`) for 0.5 to 1.2 s and the whole one longer than either: its memory comes from the system in small
pages.
"""

import argparse
import statistics
import tempfile
import time

import mxnet as mx
import numpy as np
from mxnet import gluon, nd

from gluonfr.engine import Group, ShardedHead, TrainStep
from gluonfr.engine.checkpoints.files import Checkpoints
from gluonfr.engine.checkpoints.snapshot import take
from gluonfr.loss import ArcLoss


def measure(classes, size, sample, folder, steps, saves):
    """Seconds: of a step, the longest and the summed excess of those while a checkpoint is made, and until it is whole; the
    largest of all checkpoints."""
    net = gluon.nn.Dense(size, in_units=64)
    net.initialize()
    head = ShardedHead(ArcLoss(classes), classes, size, [mx.cpu()], sample=sample)
    head.initialize()
    head.hybridize(static_alloc=True, static_shape=True)
    step = TrainStep(net, head, [mx.cpu()], "sgd", {"learning_rate": 0.1, "momentum": 0.9})
    images, labels = nd.random.uniform(shape=(128, 64)), nd.array(np.random.RandomState(0).randint(0, classes, 128))
    checkpoints = Checkpoints(folder, Group())

    def one(save=False):
        start = time.perf_counter()
        step(images, labels)
        if save:
            checkpoints.save(step.step_number, lambda memory: take(step, memory=memory))
        elif checkpoints.writing and checkpoints.written:
            checkpoints.commit()
        nd.waitall()
        return time.perf_counter() - start

    # As in a run, after its first step.
    one()
    take(step, memory=checkpoints.memory)
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
    parser.add_argument("--samples", type=lambda text: [float(each) for each in text.split(",")], default=[0.01, 1.0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--saves", type=int, default=4, help="checkpoints a round; the third and later ones remove another")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where the checkpoints go (default: a temporary folder)")
    arguments = parser.parse_args()
    print("| sample | s a step | longest pause, s | all pauses, s | until it is whole, s |\n|---|---|---|---|---|", flush=True)
    for sample in arguments.samples:
        for _ in range(arguments.rounds):
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                found = measure(arguments.classes, arguments.size, sample, folder, arguments.steps, arguments.saves)
            print(f"| {sample:g} | " + " | ".join(f"{each:.2f}" for each in found) + " |", flush=True)


if __name__ == "__main__":
    main()

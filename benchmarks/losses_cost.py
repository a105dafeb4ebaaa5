"""Measure time and memory of value and gradient at 512 x 100,000 classes, relative to Gluon's softmax cross-entropy.

Covers every loss on a classifier's output, hybridized with static memory. A loss with several centers per class is compared
with softmax on as many columns. Times are medians of alternating runs in one process: of the clock, and of the CPU (all threads
of the process), which other load on the machine disturbs less. Memory is the peak of one process per loss, without that of
inputs and gradients. `--classifier` measures the whole head: a dense layer on 128 dimensions, with both norms for margin
losses, and the loss. `GLUONFR_OPS=0` measures the graph of MXNet's operators instead of the native ones.

    python benchmarks/losses_cost.py [--losses cos,arc] [--rounds 9] [--classifier]
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

import gluonfr  # noqa: F401

# isort: split
import mxnet as mx
from mxnet import autograd, gluon

from gluonfr.engine import PlainHead
from gluonfr.loss import get_loss, get_loss_list

PLAIN = "gluon SoftmaxCrossEntropyLoss"
SIZE = 128


def on_classes():
    """Return the losses whose input is a classifier's output and which have no parameters of size D per class."""
    losses = {name: get_loss(name, classes=2, embedding_size=SIZE) for name in get_loss_list()}
    return [name for name, loss in losses.items() if loss.spec.uses_classifier and not hasattr(loss, "centers")]


def plain(columns):
    """Return the name of softmax on a number of columns."""
    return f"{PLAIN} x {columns}"


def columns_of(name, options):
    return get_loss(name, classes=options.classes, embedding_size=SIZE).outputs or options.classes


def make_step(name, options):
    """Return a function that computes value and gradient once."""
    rng = np.random.RandomState(0)
    classes, batch, is_plain = options.classes, options.batch_size, name.startswith(PLAIN)
    if is_plain:
        classes = int(name.split(" x ")[1])
    label = mx.nd.array(rng.randint(0, classes, batch))
    embedding = mx.nd.array(rng.randn(batch, SIZE))
    embedding.attach_grad()
    loss = gluon.loss.SoftmaxCrossEntropyLoss() if is_plain else get_loss(name, classes=classes)
    if options.classifier:
        head = PlainHead(get_loss("softmax", classes=classes) if is_plain else loss, classes, SIZE)
        head.initialize()
        head.hybridize(static_alloc=True, static_shape=True)

        def compute():
            return head([embedding], [label])[0]
    else:
        loss.initialize()
        loss.hybridize(static_alloc=True, static_shape=True)
        output = mx.nd.random.uniform(-0.5, 0.5, shape=(batch, classes if is_plain else loss.outputs or classes))
        output.attach_grad()
        third = (embedding,) if not is_plain and loss.spec.needs_embedding else ()

        def compute():
            return loss(output, label, *third)

    def step():
        with autograd.record():
            value = compute()
        value.backward()
        mx.nd.waitall()

    return step


def times(names, options):
    """Return the median seconds of each function, of the clock and of the CPU."""
    steps, seconds = {name: make_step(name, options) for name in names}, {name: [] for name in names}
    for _ in range(options.rounds + 2):
        for name, step in steps.items():
            start = time.perf_counter(), time.process_time()
            step()
            seconds[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return {name: [statistics.median(kind) for kind in zip(*rows[2:])] for name, rows in seconds.items()}


def memory(name, options):
    """Return the peak bytes without inputs and gradients, in a process of its own."""
    given = [f"--batch-size={options.batch_size}", f"--classes={options.classes}"] + ["--classifier"] * options.classifier
    return int(subprocess.check_output([sys.executable, __file__, "--memory-of", name, *given]))


def print_memory(name, options):
    step = make_step(name, options)
    mx.nd.waitall()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(4):
        step()
    print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", type=lambda text: text.split(","), help="such as cos,arc; all by default")
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--classes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--classifier", action="store_true")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        print_memory(options.memory_of, options)
        return
    names = options.losses or on_classes()
    columns = {name: columns_of(name, options) for name in names}
    print("| loss | ms | time | CPU time | MB | memory |\n|---|---|---|---|---|---|", flush=True)
    # First, because the peak of a process starts at that of its parent.
    plains = list(dict.fromkeys(map(plain, columns.values())))
    peaks = {name: memory(name, options) for name in (*plains, *names)}
    shown = set()
    # In small groups, each with its own softmax, so that the matrices of all losses need not fit into memory at once.
    for width in dict.fromkeys(columns.values()):
        same = [name for name in names if columns[name] == width]
        for first in range(0, len(same), 2):
            group, base = same[first : first + 2], plain(width)
            median = times([base, *group], options)
            for name in [base] * (base not in shown) + group:
                clock, cpu = (mine / its for mine, its in zip(median[name], median[base]))
                milliseconds, larger = 1000 * median[name][0], peaks[name] / peaks[base]
                row = f"{milliseconds:.0f} | {clock:.2f} | {cpu:.2f} | {peaks[name] / 1e6:.0f} | {larger:.2f}"
                print(f"| {name} | {row} |", flush=True)
            shown.add(base)


if __name__ == "__main__":
    main()

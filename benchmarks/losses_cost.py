"""Measure time and memory of value and gradient at 100,000 classes, relative to Gluon's softmax cross-entropy.

Covers every loss on a classifier's output, hybridized with static memory. A loss with several centers per class is compared
with softmax on as many columns. Each loss runs in a process of its own, alternating with softmax. Times are medians: of the
clock, and of the CPU (all threads of the process), which other load on the machine disturbs less. Memory is the peak of the
process without inputs and gradients, before softmax runs in it. `--classifier` measures the whole head: a dense layer on 128
dimensions, with both norms for margin losses, and the loss. `GLUONFR_OPS=0` measures the graph of MXNet's operators instead of
the native ones. Rows are printed as they are measured; with `--rows` they are stored too, and the same command resumes.

    python benchmarks/losses_cost.py [--losses cos,arc] [--threads 1,2] [--batch-sizes 128,512] [--rows rows.jsonl]
"""

import argparse
import json
import os
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


def make_step(name, batch, options):
    """Return a function that computes value and gradient once."""
    rng = np.random.RandomState(0)
    classes, is_plain = options.classes, name.startswith(PLAIN)
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


def measure(name, base, batch, options):
    """Return peak bytes without inputs and gradients, and median seconds of clock and CPU, of a loss and of `base`."""
    steps = {name: make_step(name, batch, options)}
    mx.nd.waitall()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        steps[name]()
    peak = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    if base != name:
        steps[base] = make_step(base, batch, options)
    seconds = {one: [] for one in steps}
    for _ in range(options.rounds + 2):
        for one, step in steps.items():
            start = time.perf_counter(), time.process_time()
            step()
            seconds[one].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    medians = {one: [statistics.median(kind) for kind in zip(*rows[2:])] for one, rows in seconds.items()}
    return {"peak": peak, "seconds": medians[name], "base": medians[base]}


def measured(name, base, batch, threads, options):
    """Return `measure` of a process of its own, or what an earlier call stored."""
    key = [name, batch, threads, options.classes, options.rounds, options.classifier, os.environ.get("GLUONFR_OPS", "1")]
    if options.rows and os.path.exists(options.rows):
        with open(options.rows) as file:
            for line in file:
                if json.loads(line)["key"] == key:
                    return json.loads(line)
    command = [sys.executable, __file__, "--measure", name, base, str(batch), f"--classes={options.classes}"]
    command += [f"--rounds={options.rounds}", *["--classifier"] * options.classifier]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MXNET_OMP_MAX_THREADS": str(threads)}
    row = {"key": key, **json.loads(subprocess.check_output(command, env=environment, stderr=subprocess.DEVNULL))}
    if options.rows:
        with open(options.rows, "a") as file:
            file.write(json.dumps(row) + "\n")
    return row


def integers(text):
    return [int(number) for number in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", type=lambda text: text.split(","), help="such as cos,arc; all by default")
    parser.add_argument("--batch-sizes", type=integers, default=[512])
    parser.add_argument("--threads", type=integers, default=[1])
    parser.add_argument("--classes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--classifier", action="store_true")
    parser.add_argument("--rows", help="JSON-lines file of the rows that are done")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, base, batch = options.measure
        print(json.dumps(measure(name, base, int(batch), options)))
        return
    names = options.losses or on_classes()
    bases = {name: plain(columns_of(name, options)) for name in names}
    print("| loss | batch | threads | ms | time | CPU time | MB | memory |\n|---|---|---|---|---|---|---|---|", flush=True)
    for batch in options.batch_sizes:
        for threads in options.threads:
            its = {base: measured(base, base, batch, threads, options) for base in dict.fromkeys(bases.values())}
            for name, base in {**{base: base for base in its}, **bases}.items():
                row = its[name] if name in its else measured(name, base, batch, threads, options)
                clock, cpu = (mine / other for mine, other in zip(row["seconds"], row["base"]))
                times = f"{1000 * row['seconds'][0]:.0f} | {clock:.2f} | {cpu:.2f}"
                space = f"{row['peak'] / 1e6:.1f} | {row['peak'] / its[base]['peak']:.2f}"
                print(f"| {name} | {batch} | {threads} | {times} | {space} |", flush=True)


if __name__ == "__main__":
    main()

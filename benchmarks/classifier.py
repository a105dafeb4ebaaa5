"""Measure milliseconds per step and memory of a classifier: plain, sharded over devices, and sampled.

    python benchmarks/classifier.py                     100 k and 1 M classes, 128 and 512 numbers
    python benchmarks/classifier.py --classes 4000000 --sizes 128

A step of the head for `--batch` embeddings is forward, backward and an update by SGD with momentum. Each case runs in its own
process, so that its peak memory can be measured. The cases of a row alternate for `--rounds` rounds; the smallest median is
printed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

CASES = ("dense", "plain", "sharded", "sharded x2", "sampled")


def measure(case, classes, size, sample, steps, batch):
    """Measure one case in this process: median milliseconds per step, and peak memory in MB without that of MXNet."""
    import mxnet as mx
    import numpy as np
    from mxnet import autograd, gluon, nd

    from gluonfr.engine import PlainHead, ShardedHead
    from gluonfr.loss import ArcLoss

    contexts = [mx.cpu(i) for i in range(2 if case == "sharded x2" else 1)]
    before = peak_memory()
    if case == "dense":
        head = gluon.nn.Dense(classes, use_bias=False, in_units=size)
        softmax = gluon.loss.SoftmaxCrossEntropyLoss()
        softmax.hybridize(static_alloc=True, static_shape=True)
        head.initialize(mx.init.Normal(0.01))
    elif case == "plain":
        head = PlainHead(ArcLoss(classes), classes, size)
        head.initialize(mx.init.Normal(0.01))
    else:
        head = ShardedHead(ArcLoss(classes), classes, size, contexts, sample=sample if case == "sampled" else 1.0)
        head.initialize()
    head.hybridize(static_alloc=True, static_shape=True)
    settings = {"learning_rate": 0.1, "momentum": 0.9, "wd": 5e-4}
    own = getattr(head, "own_parameters", ()) or [list(head.collect_params().values())]
    trainers = [gluon.Trainer(parameters, "sgd", dict(settings), kvstore=None) for parameters in own]
    rs, times = np.random.RandomState(0), []
    for step in range(steps + 2):
        embeddings = [nd.array(part, ctx=ctx) for part, ctx in zip(np.split(rs.randn(batch, size), len(contexts)), contexts)]
        chosen = rs.randint(0, classes, batch)
        labels = [nd.array(part, ctx=ctx) for part, ctx in zip(np.split(chosen, len(contexts)), contexts)]
        for embedding in embeddings:
            embedding.attach_grad()
        nd.waitall()
        start = time.perf_counter()
        if case == "dense":
            with autograd.record():
                losses = softmax(head(embeddings[0]), labels[0])
            losses.backward()
        else:
            head.begin(chosen, step)
            with autograd.record():
                losses = head([embedding * 1 for embedding in embeddings], labels)
            head.backward(losses)
        for trainer in trainers:
            trainer.step(batch)
        nd.waitall()
        times.append(1000 * (time.perf_counter() - start))
    print(json.dumps({"ms": statistics.median(times[2:]), "mb": (peak_memory() - before) / 1024}))


def peak_memory():
    """Return the peak in KiB of this program; getrusage also counts that of the process that started it."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def run(case, classes, size, sample, steps, batch):
    command = [
        sys.executable,
        __file__,
        "--one",
        case,
        "--classes",
        str(classes),
        "--sizes",
        str(size),
        "--sample",
        str(sample),
    ]
    done = subprocess.run([*command, "--steps", str(steps), "--batch", str(batch)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        print(f"{case}, {classes:,} classes of {size}: failed with status {done.returncode}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def numbers(text):
    return [int(number) for number in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=numbers, default=[100_000, 1_000_000])
    parser.add_argument("--sizes", type=numbers, default=[128, 512])
    parser.add_argument("--sample", type=int, default=10_000, help="classes per step of the sampled case")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments.one, arguments.classes[0], arguments.sizes[0], arguments.sample, arguments.steps, arguments.batch)
        return
    print("| classes | size | case | ms a step | to dense | MB |\n|---|---|---|---|---|---|", flush=True)
    for size in arguments.sizes:
        for classes in arguments.classes:
            found = {}
            for _ in range(arguments.rounds):
                for case in arguments.cases.split(","):
                    one = run(case, classes, size, arguments.sample, arguments.steps, arguments.batch)
                    if one:
                        found.setdefault(case, []).append(one)
            best = {case: min(result["ms"] for result in them) for case, them in found.items()}
            for case, them in found.items():
                ratio = f"{best[case] / best['dense']:.2f}" if "dense" in best else "-"
                megabytes = max(result["mb"] for result in them)
                print(
                    f"| {classes:,} | {size} | {case} | {best[case]:.0f} | {ratio} | {megabytes:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()

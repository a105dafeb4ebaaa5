"""Compare the speed of embedding on a CPU, in images/s at several batch sizes.

Each candidate has its own process, and the candidates alternate:

- Embedder: `gluonfr.deploy.InferenceNetwork`, which `Embedder` and `gluonfr verify` run;
- Embedder, uint8: `Embedder(flip=False)`, from uint8 images to normalized embeddings;
- hybridized: the network itself, hybridized with static memory and shapes;
- operator: the same with MXNet's PReLU operator;
- PyTorch: the same network, channels_last; PyTorch, jit: traced, frozen and optimized for inference;
- ONNX Runtime: the network as `gluonfr export` writes it.

    python benchmarks/inference.py [--networks mobilefacenet,lresnet50e_ir] [--batches 1,32] [--rounds 7]

PyTorch and ONNX Runtime are optional (`pip install torch==2.13.0 ".[onnx]"`); without them their rows are
omitted. docs/results.md has the numbers of November 2026 (2 cores, AVX-512).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

EMBEDDING = {"mobilefacenet": 128, "lresnet50e_ir": 512}
# Seconds of work per candidate, round and batch size.
BURST = 1.0


def gluon_network(name):
    import mxnet as mx

    from gluonfr.model_zoo import get_model

    mx.random.seed(0)
    net = get_model(name, embedding_size=EMBEDDING[name])
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, 3, 112, 112)))
    return net


def embedder(name):
    import mxnet as mx

    from gluonfr.deploy import InferenceNetwork

    net = InferenceNetwork(gluon_network(name), (112, 112))

    def make(batch):
        images = mx.nd.random.uniform(shape=(batch, 3, 112, 112))
        return lambda: net(images).asnumpy()

    return make


def embedder_of_images(name):
    import numpy as np

    from gluonfr.core import Card
    from gluonfr.deploy import Embedder

    made = Embedder(gluon_network(name), Card(), flip=False)

    def make(batch):
        images = np.random.RandomState(0).randint(0, 256, (batch, 112, 112, 3)).astype(np.uint8)
        return lambda: made(images, aligned=True)

    return make


def hybridized(name, form="depthwise"):
    import mxnet as mx

    from gluonfr.nn import prelu_form

    with prelu_form(form):
        net = gluon_network(name)
        net.hybridize(static_alloc=True, static_shape=True)

    def make(batch):
        images = mx.nd.random.uniform(shape=(batch, 3, 112, 112))
        with prelu_form(form):
            net(images).asnumpy()
        return lambda: net(images).asnumpy()

    return make


def pytorch(name, jit=False):
    import torch
    import torch_networks

    net = getattr(torch_networks, name)(EMBEDDING[name]).eval().to(memory_format=torch.channels_last)
    if jit:
        net = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, torch.zeros(1, 3, 112, 112))))

    def make(batch):
        images = torch.rand(batch, 3, 112, 112).contiguous(memory_format=torch.channels_last)

        def run():
            with torch.no_grad():
                return net(images).numpy()

        return run

    return make


def onnx_runtime(name):
    import numpy as np
    import onnxruntime

    from gluonfr.core import Card, cores
    from gluonfr.deploy.export import export_onnx

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "network.onnx")
        export_onnx(gluon_network(name), path, card=Card())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def make(batch):
        images = np.random.RandomState(0).rand(batch, 3, 112, 112).astype(np.float32)
        return lambda: session.run(None, {"data": images})[0]

    return make


CANDIDATES = {
    "Embedder": embedder,
    "Embedder, uint8": embedder_of_images,
    "hybridized": hybridized,
    "operator": lambda name: hybridized(name, "operator"),
    "PyTorch": pytorch,
    "PyTorch, jit": lambda name: pytorch(name, jit=True),
    "ONNX Runtime": onnx_runtime,
}


def work(candidate, name):
    """Read batch sizes from stdin and write images/s to stdout."""
    if not candidate.startswith("PyTorch"):
        # Imported first, so that MXNet uses all cores.
        import gluonfr  # noqa: F401

    make, runs = CANDIDATES[candidate](name), {}
    print("ready", flush=True)
    for line in sys.stdin:
        batch = int(line)
        if batch not in runs:
            runs[batch] = make(batch)
            runs[batch]()
        runs[batch]()
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < BURST:
            runs[batch]()
            count += batch
        print(count / (time.perf_counter() - start), flush=True)


def start(candidate, name):
    command = [sys.executable, __file__, "--candidate", candidate, "--networks", name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if process.stdout.readline().strip() == "ready":
        return process
    print(f"{candidate}: {process.communicate()[1].strip().splitlines()[-1]}", file=sys.stderr)
    return None


def measure(name, batches, rounds):
    """Return images/s per candidate and batch size, one number per round."""
    running = {candidate: start(candidate, name) for candidate in CANDIDATES}
    speeds = {candidate: {batch: [] for batch in batches} for candidate, process in running.items() if process}
    for _ in range(rounds):
        for batch in batches:
            for candidate in speeds:
                print(batch, file=running[candidate].stdin, flush=True)
                speeds[candidate][batch].append(float(running[candidate].stdout.readline()))
    for process in filter(None, running.values()):
        process.stdin.close()
        process.wait()
    return speeds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(EMBEDDING))
    parser.add_argument("--batches", default="1,32")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--candidate", choices=CANDIDATES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.candidate:
        work(options.candidate, options.networks)
        return
    batches = [int(number) for number in options.batches.split(",")]
    for name in options.networks.split(","):
        speeds = measure(name, batches, options.rounds)
        print(f"{name}, median of {options.rounds} alternating rounds, images/s (Embedder / it; median of the rounds' ratios)")
        print(" " * 18 + "".join(f"{f'batch {batch}':>18}" for batch in batches))
        for candidate, row in speeds.items():
            cells = []
            for batch in batches:
                ratio = statistics.median(mine / its for mine, its in zip(speeds["Embedder"][batch], row[batch]))
                cells.append(f"{statistics.median(row[batch]):10.1f} ({ratio:5.2f})")
            print(f"{candidate:18}" + "".join(cells))


if __name__ == "__main__":
    main()

"""Compare the training speed of MobileFaceNet on a CPU.

- ours: `gluonfr.engine.TrainStep`, hybridized, with the depthwise form of PReLU, one context with one thread per core
  (`gluonfr train --cpus 2`);
- ours, 1 context: the same on one context with one thread per core;
- PReLU operator: the same with MXNet's PReLU operator;
- PyTorch: the same network, loss and optimizer, channels_last.

Prints images/s of the forward pass, and of forward, backward and update. Each candidate runs in its own process,
and the candidates alternate.

    python benchmarks/train.py [--batch-size 64] [--rounds 3] [--dtype bfloat16]

With `--dtype bfloat16` our convolutions are computed in bfloat16, as by `gluonfr train --dtype bfloat16`, and PyTorch's forward
pass runs under autocast. MXNet's PReLU operator does not support bfloat16, so its row is omitted.

PyTorch is optional (`pip install torch==2.13.0`); without it its rows are omitted.
"""

import argparse
import statistics
import subprocess
import sys
import time

CLASSES, SIZE = 293, 128


def timed(step, batch_size, warmup, steps):
    """Return images/s over `steps` synchronized calls after `warmup` calls."""
    for _ in range(warmup):
        step()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return batch_size * steps / (time.perf_counter() - start)


def run_gluon(form, devices, batch_size, warmup, steps, dtype):
    """Return images/s (forward, training) of our network on `devices` contexts with one form of PReLU."""
    import numpy as np

    from gluonfr.core.cpu import share_cores

    share_cores(devices)
    import mxnet as mx

    from gluonfr.engine import PlainHead, TrainStep
    from gluonfr.engine.precision import use_dtype
    from gluonfr.loss import CosLoss
    from gluonfr.model_zoo import get_model
    from gluonfr.nn import prelu_form

    rng = np.random.RandomState(0)
    contexts = [mx.cpu(i) for i in range(devices)]
    use_dtype(dtype, contexts)
    images = mx.nd.array(rng.randint(0, 256, (batch_size, 3, 112, 112)), dtype="uint8")
    labels = mx.nd.array(rng.randint(0, CLASSES, batch_size))
    with prelu_form(form):
        net, head = get_model("mobilefacenet", embedding_size=SIZE), PlainHead(CosLoss(CLASSES, s=30), CLASSES, SIZE)
        for block in (net, head):
            block.initialize(mx.init.Xavier(), ctx=contexts)
            block.hybridize(static_alloc=True, static_shape=True)
        parts = mx.gluon.utils.split_and_load(images.astype("float32") / 255, contexts, even_split=False)

        def forward():
            for part in parts:
                net(part)
            mx.nd.waitall()

        speed = timed(forward, batch_size, warmup, steps)
        step = TrainStep(net, head, contexts, "sgd", {"learning_rate": 0.01, "momentum": 0.9, "wd": 5e-4})

        def train():
            step(images, labels)
            mx.nd.waitall()

        return speed, timed(train, batch_size, warmup, steps)


def run_torch(batch_size, warmup, steps, dtype):
    """Return images/s (forward, training) of PyTorch with channels_last."""
    import torch
    from torch.nn import functional
    from torch_networks import mobilefacenet

    torch.manual_seed(0)
    net = mobilefacenet(SIZE).to(memory_format=torch.channels_last)
    weight = torch.nn.Parameter(torch.randn(CLASSES, SIZE) * 0.01)
    optimizer = torch.optim.SGD([*net.parameters(), weight], 0.01, momentum=0.9, weight_decay=5e-4)
    images = torch.randint(0, 256, (batch_size, 3, 112, 112), dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (batch_size,))
    margin = functional.one_hot(labels, CLASSES) * 0.35
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16")

    def prepared():
        return images.float() / 255 * 2 - 1

    def forward():
        with torch.no_grad(), autocast:
            net(prepared())

    def train():
        with autocast:
            embedding = net(prepared())
        cos = functional.linear(functional.normalize(embedding.float()), functional.normalize(weight))
        loss = functional.cross_entropy(30 * (cos - margin), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    net.eval()
    speed = timed(forward, batch_size, warmup, steps)
    net.train()
    return speed, timed(train, batch_size, warmup, steps)


CANDIDATES = {
    "ours": lambda *args: run_gluon("depthwise", 2, *args),
    "ours, 1 context": lambda *args: run_gluon("depthwise", 1, *args),
    "PReLU operator": lambda *args: run_gluon("operator", 1, *args),
    "PyTorch": run_torch,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--only", choices=CANDIDATES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        steps = max(2, options.steps // 3) if options.only == "PReLU operator" else options.steps
        print(*CANDIDATES[options.only](options.batch_size, 2, steps, options.dtype))
        return
    speeds = {name: [] for name in CANDIDATES if options.dtype == "float32" or name != "PReLU operator"}
    for _ in range(options.rounds):
        for name in speeds:
            arguments = [f"--{key.replace('_', '-')}={value}" for key, value in vars(options).items() if key != "only"]
            done = subprocess.run([sys.executable, __file__, *arguments, "--only", name], capture_output=True, text=True)
            if done.returncode:
                print(f"{name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            else:
                speeds[name].append([float(number) for number in done.stdout.split()[-2:]])
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in speeds.items() if rows}
    print(f"MobileFaceNet-128, batch {options.batch_size}, {options.dtype}, median of {options.rounds} alternating runs")
    print("images/s (ours / it)")
    print(f"{'':16}{'forward':>18}{'forward+backward+update':>28}")
    for name, (forward, train) in medians.items():
        ratios = [mine / its for mine, its in zip(medians["ours"], (forward, train))]
        print(f"{name:16}{forward:10.1f} ({ratios[0]:4.2f}){train:20.1f} ({ratios[1]:4.2f})")


if __name__ == "__main__":
    main()

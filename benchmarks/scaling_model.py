"""What a training step should cost on more devices than anybody measured: a model with three constants, and its predictions.

    python benchmarks/scaling_model.py

    step = backbone + products / rate + logits * passes / bandwidth + rows * touched / bandwidth + exchange

The passes over memory are fitted to what `benchmarks/classifier.py` measured here; a GPU's rate, bandwidth and links are
those of its maker, and its backbone is taken from the throughput that was published at the smallest number of classes. So the
predictions are computed, not measured; beside them stand the published figures of InsightFace's Partial FC for that set-up.
"""

from dataclasses import dataclass

import numpy as np

from gluonfr.engine.heads.selection import classifier_bytes


@dataclass(frozen=True)
class Machine:
    """`rate` in multiply-adds/s, `bandwidth` of memory and `link` between devices in bytes/s, `latency` of an exchange in s."""

    rate: float
    bandwidth: float
    link: float
    latency: float


# Measured on two cores of a machine with AVX-512: benchmarks/classifier.py --cases sharded,sampled.
# (classes, size, batch, classes used, ms a step)
MEASURED = (
    (100_000, 128, 128, 100_000, 280),
    (100_000, 128, 128, 10_000, 32),
    (1_000_000, 128, 128, 1_000_000, 2768),
    (1_000_000, 128, 128, 100_000, 412),
    (1_000_000, 128, 128, 10_000, 34),
    (4_000_000, 128, 128, 10_000, 35),
    (100_000, 512, 128, 100_000, 811),
    (100_000, 512, 128, 10_000, 99),
    (1_000_000, 512, 128, 1_000_000, 8310),
    (1_000_000, 512, 128, 10_000, 100),
    (100_000, 128, 32, 100_000, 138),
    (100_000, 512, 32, 100_000, 493),
)
# Of that machine's memory, in bytes/s: assumed, not measured. The passes over memory scale with it, and so do predictions.
BANDWIDTH = 10e9
# V100 SXM2: 15.7 TFLOP/s of which 0.7 are reached, 900 GB/s of which 0.8; links of 100 GB/s in a machine, 10 between machines.
V100 = Machine(0.7 * 15.7e12 / 2, 0.8 * 900e9, 100e9, 30e-6)
FAR_V100 = Machine(V100.rate, V100.bandwidth, 10e9, 60e-6)
# R50, mixed precision, batch 1024 on 8 V100, samples/s: classes, all of them, a tenth of them.
PUBLISHED = ((125_000, 4824, 5004), (1_400_000, 3043, 4738), (5_500_000, 1389, 3975), (8_000_000, None, 3565))


def parts(classes, size, batch, devices, used):
    """Multiply-adds, bytes per pass over the logits, bytes per pass over the rows, and bytes exchanged: of one device.

    A product of embeddings and weights is computed three times: forward, and for the gradient of either.
    """
    here = used / devices
    return 3 * batch * here * size, 4 * batch * here, 4 * here * size, 2 * 4 * batch * size * (devices - 1) / devices


def fit(measured):
    """Rate, and passes over logits and rows at a bandwidth of 1: non-negative least squares on relative errors."""
    from scipy.optimize import nnls

    columns = np.array([parts(classes, size, batch, 1, used)[:3] for classes, size, batch, used, _ in measured])
    milliseconds = np.array([each[4] for each in measured])
    solution, _ = nnls(columns / milliseconds[:, None] * 1e3, np.ones(len(measured)))
    return solution, columns @ solution * 1e3


def head_seconds(machine, passes, classes, size, batch, devices, used):
    """Of a classifier's step: compute, memory and exchange."""
    products, logits, rows, exchanged = parts(classes, size, batch, devices, used)
    exchange = exchanged / machine.link + 4 * machine.latency if devices > 1 else 0
    return products / machine.rate + (passes[0] * logits + passes[1] * rows) / machine.bandwidth + exchange


def main():
    solution, computed = fit(MEASURED)
    print("Fitted to what was measured:", ", ".join(f"{each:.3g}" for each in solution))
    for (classes, size, batch, used, ms), model in zip(MEASURED, computed):
        print(f"| {classes:,} | {size} | {batch} | {used:,} | {ms} | {model:.0f} |")
    passes = solution[1:] * BANDWIDTH
    print(f"passes over the logits {passes[0]:.1f}, over the rows {passes[1]:.1f}, at {BANDWIDTH / 1e9:.0f} GB/s")
    batch, size = 1024, 512
    backbone = batch / PUBLISHED[0][1] - head_seconds(V100, passes, PUBLISHED[0][0], size, batch, 8, PUBLISHED[0][0])
    print("| classes | devices | used | images/s, computed | published | GB a device, computed |")
    for classes, whole, tenth in PUBLISHED:
        for used, published in ((classes, whole), (classes // 10, tenth)):
            seconds = backbone + head_seconds(V100, passes, classes, size, batch, 8, used)
            gigabytes = sum(classifier_bytes(classes / 8, used / 8, size, batch)) / 1e9
            print(f"| {classes:,} | 8 | {used:,} | {batch / seconds:.0f} | {published or '-'} | {gigabytes:.1f} |")
    for devices, machine in ((8, V100), (64, FAR_V100)):
        for used in (10_000_000, 1_000_000):
            batch = 128 * devices
            seconds = backbone + head_seconds(machine, passes, 10_000_000, size, batch, devices, used)
            gigabytes = sum(classifier_bytes(10_000_000 / devices, used / devices, size, batch)) / 1e9
            print(f"| 10,000,000 | {devices} | {used:,} | {batch / seconds:.0f} | - | {gigabytes:.1f} |")


if __name__ == "__main__":
    main()

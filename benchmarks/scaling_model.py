"""Predict the cost of a training step on many devices with a model of three constants.

    python benchmarks/scaling_model.py

    step = backbone + products / rate + logits * passes / bandwidth + rows * touched / bandwidth + exchange

The numbers of passes over memory are fitted to measurements of `benchmarks/classifier.py`. Rate, bandwidth and links of a
GPU are those of its vendor, and the time of its backbone follows from the published throughput at the smallest number of
classes. The predictions are printed with the published numbers of InsightFace's Partial FC for the same set-up.
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
# (classes, size, batch, classes used, ms per step)
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
# Assumed memory bandwidth of that machine in bytes/s. The passes over memory, and so the predictions, scale with it.
BANDWIDTH = 10e9
# V100 SXM2: 70 % of 15.7 TFLOP/s, 80 % of 900 GB/s; links of 100 GB/s within a machine, 10 GB/s between machines.
V100 = Machine(0.7 * 15.7e12 / 2, 0.8 * 900e9, 100e9, 30e-6)
FAR_V100 = Machine(V100.rate, V100.bandwidth, 10e9, 60e-6)
# R50, mixed precision, batch 1024 on 8 V100, samples/s: number of classes, with all classes, with 10 % of them.
PUBLISHED = ((125_000, 4824, 5004), (1_400_000, 3043, 4738), (5_500_000, 1389, 3975), (8_000_000, None, 3565))


def parts(classes, size, batch, devices, used):
    """Return the multiply-adds, the bytes per pass over the logits and over the rows, and the bytes exchanged, of one device.

    The product of embeddings and weights is computed three times: forward, and for each of the two gradients.
    """
    here = used / devices
    return 3 * batch * here * size, 4 * batch * here, 4 * here * size, 2 * 4 * batch * size * (devices - 1) / devices


def fit(measured):
    """Fit rate and passes over logits and rows at a bandwidth of 1, by non-negative least squares on relative errors."""
    from scipy.optimize import nnls

    columns = np.array([parts(classes, size, batch, 1, used)[:3] for classes, size, batch, used, _ in measured])
    milliseconds = np.array([row[4] for row in measured])
    solution, _ = nnls(columns / milliseconds[:, None] * 1e3, np.ones(len(measured)))
    return solution, columns @ solution * 1e3


def head_seconds(machine, passes, classes, size, batch, devices, used):
    """Return the seconds of a classifier's step: compute, memory and exchange."""
    products, logits, rows, exchanged = parts(classes, size, batch, devices, used)
    exchange = exchanged / machine.link + 4 * machine.latency if devices > 1 else 0
    return products / machine.rate + (passes[0] * logits + passes[1] * rows) / machine.bandwidth + exchange


def main():
    solution, computed = fit(MEASURED)
    print("Fitted to what was measured:", ", ".join(f"{coefficient:.3g}" for coefficient in solution))
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

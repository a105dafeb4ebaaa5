"""Measure time and memory of the metrics: verification of 6,000 to 10 million pairs, MegaFace with a million distractors,
IJB-C.

    python benchmarks/metrics.py [--parts verification,megaface,ijb] [--runs 3] [--distractors 1000000] [--slow-pairs 600000]

The part `verification` compares `FaceVerification` with a direct implementation of the protocol (thresholds x folds x
pairs, as in FaceNet's evaluation), alternating in one process; both must agree. Times of the direct implementation beyond
--slow-pairs are extrapolated and marked. `megaface` searches 3,530 probes of 80 people among the distractors at 512
dimensions, and prints the fraction of the peak of matrix multiplication, which is measured between the runs. `ijb` compares
15,658,489 pairs of 23,124 templates. Tables contain medians. Memory is the growth of the process's peak, without the input.

Measured 2026-11 on 2 shared cores, no GPU: 6,000 pairs 158 times as fast as the direct implementation (6.8 ms); 600,000
distances 0.152 s against 33.4 s; 10 million 3.5 s and 301 MB with one FAR, 3.7 s with six (direct implementation: 9 min,
extrapolated); 1,000,000 x 512 distractors 22.1 s (21.4 to 23.1), 0.75 of the peak of matrix multiplication (0.73 to 0.84),
76 MB; IJB-C's pairs 26 s.
"""

import argparse
import functools
import importlib.util
import resource
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from gluonfr.metrics import (
    FaceVerification,
    evaluate_ijb_verification,
    evaluate_megaface,
    evaluate_pairs,
    evaluate_verification,
)

LITERAL = Path(__file__).resolve().parent.parent / "tests" / "metrics" / "reference_lfw.py"
TARGETS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def literal_protocol():
    spec = importlib.util.spec_from_file_location("literal", LITERAL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seconds(function):
    start = time.perf_counter()
    values = function()
    return time.perf_counter() - start, values


def peak_mb():
    """Return the peak of this process in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**10 if sys.platform.startswith("linux") else peak / 2**20


def measured(function, runs):
    """Return the median seconds, and the growth of the process's peak in MB."""
    before = peak_mb()
    times = [seconds(function)[0] for _ in range(runs)]
    return statistics.median(times), peak_mb() - before


def unit(random, rows, size):
    """Normalize rows in place, because a million rows of 512 numbers need 2 GB."""
    values = random.standard_normal((rows, size), dtype=np.float32)
    for start in range(0, rows, 50_000):
        part = values[start : start + 50_000]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return values


def embeddings(pairs, size):
    random = np.random.default_rng(0)
    issame = np.arange(pairs) // 300 % 2 == 0
    first, second = unit(random, pairs, size), unit(random, pairs, size)
    second[issame] += 0.6 * first[issame]
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    return issame, first, second


def drawn_distances(pairs):
    random = np.random.default_rng(0)
    issame = random.random(pairs) < 0.01
    return np.clip(random.normal(1.9 - 0.9 * issame, 0.15), 0, 4).astype(np.float32), issame


def fast(issame, first, second):
    metric = FaceVerification()
    metric.update(issame, first, second)
    return metric.get()


def verification_part(runs, slow_pairs):
    literal, data = literal_protocol(), embeddings(6000, 512)
    times = {"written out": [], "FaceVerification": []}
    for _ in range(runs):
        took, slow_values = seconds(lambda: literal.seven_values(literal.squared_distances(*data[1:]), data[0]))
        times["written out"].append(took)
        took, fast_values = seconds(lambda: fast(*data))
        times["FaceVerification"].append(took)
        if not all(np.array_equal(one, other) for one, other in zip(slow_values, fast_values)):
            raise SystemExit("the two give different values, so their times mean nothing")
    print("6,000 pairs of 512 dimensions, update and get")
    for name, times_of_kind in times.items():
        print(f"  {name:<24}{1000 * statistics.median(times_of_kind):>12.1f} ms")
    print(f"  {'ratio':<24}{statistics.median(times['written out']) / statistics.median(times['FaceVerification']):>11.0f}x")

    print("distances only, 10-fold accuracy and TAR at one FAR")
    for pairs in (6_000, 60_000, slow_pairs):
        drawn = drawn_distances(pairs)
        slow, _ = seconds(functools.partial(literal.seven_values, *drawn))
        took, _ = seconds(functools.partial(evaluate_verification, *drawn))
        print(f"  {pairs:,} pairs: written out {slow:.1f} s, verification {took:.3f} s")
    if slow_pairs < 10_000_000:
        print(f"  written out, 10,000,000 pairs: {slow * 10_000_000 / slow_pairs / 60:.0f} min, computed from {slow_pairs:,}")
    distances, issame = drawn_distances(10_000_000)
    took, memory = measured(lambda: evaluate_verification(distances, issame), runs)
    print(f"  verification, 10,000,000 pairs, one FAR{took:>10.2f} s{memory:>8.0f} MB")
    took, memory = measured(lambda: evaluate_verification(distances, issame, far_target=TARGETS), runs)
    print(f"  verification, 10,000,000 pairs, six FARs{took:>9.2f} s{memory:>8.0f} MB more")
    people = np.random.default_rng(1).integers(0, 20_000, (len(issame), 2))
    people[issame, 1] = people[issame, 0]
    people[~issame & (people[:, 0] == people[:, 1]), 1] += 20_000
    took, memory = measured(lambda: evaluate_pairs(distances, issame, people, replicates=20), 1)
    print(f"  evaluate_pairs with 20 draws of people{took:>11.2f} s{memory:>8.0f} MB more")


def matrix_peak():
    """Return the best rate of four products of 4096 x 4096 float32 matrices, in GFLOP/s."""
    a = np.random.default_rng(2).standard_normal((4096, 4096), dtype=np.float32)
    return max(2 * 4096**3 / seconds(lambda: a @ a)[0] for _ in range(4)) / 1e9


def megaface_part(runs, count):
    random = np.random.default_rng(3)
    distractors = unit(random, count, 512)
    ids = np.arange(3530) % 80
    probes = unit(random, 80, 512)[ids] + 0.06 * random.standard_normal((3530, 512), dtype=np.float32)
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    rows, start = [], peak_mb()
    for _ in range(runs):
        before = matrix_peak()
        took, results = seconds(lambda: evaluate_megaface(probes, ids, distractors, sizes=(count,)))
        peak = max(before, matrix_peak())
        rate = 2 * len(probes) * count * 512 / took / 1e9
        rows.append((took, rate, peak, rate / peak))
    print(f"\n3,530 probes against {count:,} distractors of 512 dimensions: rank 1, rank 10 and TAR at FAR 1e-6")
    for name, values in zip(
        ("seconds", "GFLOP/s of the products", "matrix-multiply peak, GFLOP/s", "share of the peak"), zip(*rows)
    ):
        print(f"  {name:<32}{statistics.median(values):>9.2f}   ({', '.join(f'{value:.2f}' for value in values)})")
    print(f"  {'memory beside the features, MB':<32}{peak_mb() - start:>9.0f}")
    print(f"  rank 1 {results[-1].cmc[0]:.4f}, TAR {results[-1].tar_at_far[0].tar:.4f}")
    took, _ = seconds(lambda: evaluate_megaface(probes, ids, distractors))
    print(f"  {'at every size from 10 on, s':<32}{took:>9.2f}")


def ijb_part(runs):
    random = np.random.default_rng(4)
    templates, ids = unit(random, 23_124, 512), np.arange(23_124)
    pairs = random.integers(0, 23_124, (15_658_489, 2))
    issame = random.random(len(pairs)) < 0.00125
    took, memory = measured(lambda: evaluate_ijb_verification(templates, ids, pairs, issame), runs)
    print(f"\n15,658,489 pairs of 23,124 templates of 512 dimensions: {took:.1f} s, {memory:.0f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="verification,megaface,ijb")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--distractors", type=int, default=1_000_000)
    parser.add_argument("--slow-pairs", type=int, default=600_000, help="largest number of pairs for the direct implementation")
    arguments = parser.parse_args()
    # The smallest first, because the peak of a process never decreases.
    for part in arguments.parts.split(","):
        if part == "verification":
            verification_part(arguments.runs, arguments.slow_pairs)
        elif part == "megaface":
            megaface_part(arguments.runs, arguments.distractors)
        elif part == "ijb":
            ijb_part(arguments.runs)
        else:
            parser.error(f"no part {part!r}; there are verification, megaface and ijb")


if __name__ == "__main__":
    main()

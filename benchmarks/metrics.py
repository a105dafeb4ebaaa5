"""The 1:1 metric against the protocol written out step by step, and a million pairs.

    python benchmarks/metrics.py [--runs 5]

The two alternate in one process on the same 6,000 pairs of 512-d float32 embeddings, and must agree; the table holds
medians. Memory is the peak of what the metric allocates beside its input.

Measured 2026-11 on 2 cores, AVX-512, no GPU, shared; three runs: literal 1303, 1235, 1309 ms, FaceVerification 8.0, 6.4,
5.6 ms, so 164, 193, 232 x; a million distances 0.34, 0.33, 0.35 s with 61 MB.
"""

import argparse
import importlib.util
import statistics
import time
import tracemalloc
from pathlib import Path

import numpy as np

from gluonfr.metrics import FaceVerification
from gluonfr.metrics.verification import verification

LITERAL = Path(__file__).resolve().parent.parent / "tests" / "metrics" / "literal.py"


def literal_protocol():
    spec = importlib.util.spec_from_file_location("literal", LITERAL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def embeddings(pairs, size):
    random = np.random.default_rng(0)
    issame = np.arange(pairs) // 300 % 2 == 0
    first = random.normal(size=(pairs, size)).astype(np.float32)
    second = random.normal(size=(pairs, size)).astype(np.float32)
    second[issame] += 0.15 * first[issame]
    return issame, *(each / np.linalg.norm(each, axis=1, keepdims=True) for each in (first, second))


def seconds(function):
    start = time.perf_counter()
    values = function()
    return time.perf_counter() - start, values


def fast(issame, first, second):
    metric = FaceVerification()
    metric.update(issame, first, second)
    return metric.get()


def compare(runs):
    literal, data = literal_protocol(), embeddings(6000, 512)
    times = {"literal": [], "FaceVerification": []}
    for _ in range(runs):
        took, slow_values = seconds(lambda: literal.seven_values(literal.squared_distances(*data[1:]), data[0]))
        times["literal"].append(took)
        took, fast_values = seconds(lambda: fast(*data))
        times["FaceVerification"].append(took)
        if not all(np.array_equal(one, other) for one, other in zip(slow_values, fast_values)):
            raise SystemExit("the two give different values, so their times mean nothing")
    return {name: statistics.median(each) for name, each in times.items()}


def million(runs):
    random = np.random.default_rng(0)
    issame = random.random(10**6) < 0.01
    distances = np.clip(random.normal(1.9 - 0.9 * issame, 0.15), 0, 4).astype(np.float32)
    targets = [1e-2, 1e-3, 1e-4, 1e-5]
    took = statistics.median(seconds(lambda: verification(distances, issame, far_target=targets))[0] for _ in range(runs))
    tracemalloc.start()
    verification(distances, issame, far_target=targets)
    return took, tracemalloc.get_traced_memory()[1] / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    times = compare(runs)
    took, peak = million(runs)
    print(f"{'6,000 pairs x 512-d, update + get':<44}{'ms':>10}")
    for name, each in times.items():
        print(f"  {name:<42}{1000 * each:>10.1f}")
    print(f"  {'ratio':<42}{times['literal'] / times['FaceVerification']:>9.0f}x")
    print(f"{'1,000,000 distances, four FARs':<44}")
    print(f"  {'seconds':<42}{took:>10.2f}")
    print(f"  {'peak memory beside the distances, MB':<42}{peak:>10.0f}")


if __name__ == "__main__":
    main()

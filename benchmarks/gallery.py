"""Compare exact search in a gallery (a file, or a Milvus server) with NumPy and faiss Flat.

    python benchmarks/gallery.py [--case 100000x512] [--rounds 7] [--milvus milvus://127.0.0.1:19530]

Each engine has its own process with the same random unit vectors, four photos per person, and the engines alternate. NumPy
and faiss (if installed) search the ten best photos and store nothing on disk; the galleries search the five best people
with their names. The ratio is the speed of the gallery in a file divided by that of the row. Memory is that of the process,
without the Milvus server.

Measured 2026-11-25 on 2 cores with AVX-512, no GPU, with a load of 12 from other programs; the ratios are more reliable
than the times.

    100,000 x 512 (15 rounds; Milvus in another run of 7 rounds, with 0.96x for faiss Flat)
                    1: q/s   ratio  100: q/s   ratio    memory
    gluonfr           24.8   1.00x     165.7   1.00x    889 MB
    NumPy             18.3   1.35x      70.2   2.36x    449 MB
    faiss Flat        19.1   1.30x      37.6   4.41x    560 MB
    Milvus            10.5   2.50x      17.9   5.86x    614 MB   (of the other run)

    1,000,000 x 128 (5 rounds)
    gluonfr           21.9   1.00x     110.6   1.00x   1385 MB
    NumPy             18.2   1.20x      14.2   7.79x    626 MB
    faiss Flat        17.9   1.22x      15.1   7.32x    970 MB

Effects on single queries, each measured in one process: updating the lower bound after every block instead of after 16,384
candidates, and scores in blocks that fit into the cache, save 14 to 15 % together. Using all cores saves 15 % at 1,000,000
x 128, but costs 14 % at 100,000 x 512 on busy cores. A float16 copy is 16 times slower (NumPy converts it number by
number), an int8 copy 1.5 times slower, and a product by BLAS twice as slow as einsum. Comparing only the first half of the
numbers first is not faster.
"""

import argparse
import importlib.util
import multiprocessing
import os
import resource
import tempfile
import time
from statistics import median

import numpy as np

CASES = ("100000x512", "1000000x128")
PHOTOS, PEOPLE, ROWS = 4, 5, 10
TOGETHER = 10_000
BLOCK = 50_000


def blocks(rows, size):
    """Yield the vectors in blocks; they are always the same."""
    for start in range(0, rows, BLOCK):
        block = np.random.default_rng([size, start]).standard_normal((min(BLOCK, rows - start), size), dtype=np.float32)
        yield start, block / np.linalg.norm(block, axis=1, keepdims=True)


class OwnGallery:
    """A gallery in a file, or in a subclass on a server."""

    alone = 50

    def __init__(self, rows, size, folder, server=None):
        from gluonfr.apps.gallery.gallery import Gallery
        from gluonfr.apps.gallery.unknown import Threshold
        from gluonfr.core import Card

        where = self.place(folder, server)
        self.gallery, start = Gallery(where, Card(network="some", embedding_size=size)), time.perf_counter()
        for first, block in blocks(rows, size):
            for begin in range(0, len(block), TOGETHER):
                part = range(begin, min(begin + TOGETHER, len(block)), PHOTOS)
                people = {f"person {(first + row) // PHOTOS}": (block[row : row + PHOTOS], None, None) for row in part}
                self.gallery.enroll_people(people)
        self.facts = {"enrolled": time.perf_counter() - start}
        start = time.perf_counter()
        for number in range(self.alone):
            self.gallery.enroll(f"alone {number}", np.random.default_rng(number).normal(size=(1, size)))
        self.facts["one"] = (time.perf_counter() - start) / self.alone
        self.gallery.close()
        self.facts["bytes"] = os.path.getsize(where) / rows if server is None else None
        self.gallery = None
        start = time.perf_counter()
        self.gallery = Gallery(where, create=False)
        self.facts["opened"] = time.perf_counter() - start
        # Only the search is measured, without the calibration, which runs once per gallery.
        self.given = Threshold(0.5, float("nan"), rows // PHOTOS, "given")

    def place(self, folder, server):
        return os.path.join(folder, "g.db")

    def ask(self, queries):
        return [[match.name for match in answer.matches] for answer in self.gallery.identify(queries, PEOPLE, self.given)]


class OnMilvus(OwnGallery):
    # Each insertion waits for a timestamp of the server.
    alone = 5

    def place(self, folder, server):
        return f"{server}/benchmark{os.getpid()}"


class PlainNumPy:
    def __init__(self, rows, size, folder, server=None):
        self.rows, start = np.empty((rows, size), np.float32), time.perf_counter()
        for first, block in blocks(rows, size):
            self.rows[first : first + len(block)] = block
        self.facts = {"enrolled": time.perf_counter() - start}

    def ask(self, queries):
        scores = queries @ self.rows.T
        best = np.argpartition(scores, -ROWS, axis=1)[:, -ROWS:]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
        return [[f"person {row // PHOTOS}" for row in places] for places in np.take_along_axis(best, order, 1)]


class FaissFlat:
    def __init__(self, rows, size, folder, server=None):
        import faiss

        self.index, start = faiss.IndexFlatIP(size), time.perf_counter()
        for _, block in blocks(rows, size):
            self.index.add(block)
        self.facts = {"enrolled": time.perf_counter() - start}

    def ask(self, queries):
        return [[f"person {row // PHOTOS}" for row in places] for places in self.index.search(queries, ROWS)[1]]


ENGINES = {"gluonfr": OwnGallery, "NumPy": PlainNumPy, "faiss Flat": FaissFlat, "Milvus": OnMilvus}


def serve(name, rows, size, folder, server, pipe):
    """Create an engine and answer requests; prints times."""
    engine = ENGINES[name](rows, size, folder, server if name == "Milvus" else None)
    # Of the whole process, including about 0.2 GB of MXNet and gluonfr.
    engine.facts["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    pipe.send(engine.facts)
    while (queries := pipe.recv()) is not None:
        start = time.perf_counter()
        found = engine.ask(queries)
        pipe.send((time.perf_counter() - start, [match[0] for match in found]))


def queries_of(size, count, seed):
    """Return noisy copies of enrolled vectors, and their people."""
    _, block = next(blocks(BLOCK, size))
    random = np.random.default_rng(seed)
    chosen = random.integers(0, len(block), count)
    queries = block[chosen] + 0.5 / np.sqrt(size) * random.standard_normal((count, size), dtype=np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    return queries.astype(np.float32), [f"person {row // PHOTOS}" for row in chosen]


def measure(rows, size, rounds, names, server):
    context, pipes, processes, facts = multiprocessing.get_context("spawn"), {}, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            pipes[name], other = context.Pipe()
            processes[name] = context.Process(target=serve, args=(name, rows, size, folder, server, other), daemon=True)
            processes[name].start()
            facts[name] = pipes[name].recv()
        times = {(name, batch): [] for name in names for batch in (1, 100)}
        for turn in range(rounds + 1):
            for batch in (1, 100):
                queries, owners = queries_of(size, batch, turn)
                for name in names:
                    for _ in range(5 if batch == 1 else 1):
                        pipes[name].send(queries)
                        seconds, found = pipes[name].recv()
                        assert found == owners, f"{name} finds others"
                        # The first round is not counted.
                        times[name, batch] += [seconds] if turn else []
        for name in names:
            pipes[name].send(None)
            processes[name].join()
    report(rows, size, names, facts, times)


def report(rows, size, names, facts, times):
    print(f"\n{rows:,} x {size}")
    print(f"{'':12}{'1: q/s':>10}{'ratio':>8}{'100: q/s':>10}{'ratio':>8}{'memory':>10}")
    speed = {(name, batch): batch / median(times[name, batch]) for name, batch in times}
    for name in names:
        cells = [f"{speed[name, batch]:>10.1f}{speed[names[0], batch] / speed[name, batch]:>7.2f}x" for batch in (1, 100)]
        print(f"{name:12}{''.join(cells)}{facts[name]['memory'] / 1e6:>7.0f} MB")
    for name in names:
        own = facts[name]
        if "opened" in own:
            size = "" if own["bytes"] is None else f"{own['bytes']:.0f} bytes a row, "
            print(
                f"{name}: {rows / own['enrolled']:,.0f} photos/s enrolled by {TOGETHER:,}, {1000 * own['one']:.1f} ms for one "
                f"alone, {size}opened in {own['opened']:.2f} s"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", help="rows x numbers, such as 5000000x128 (default: " + " and ".join(CASES) + ")")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--engines", help="of: " + ", ".join(ENGINES) + "; separated by commas (default: all that are installed)"
    )
    parser.add_argument("--milvus", metavar="ADDRESS", help="Milvus server, such as milvus://127.0.0.1:19530")
    arguments = parser.parse_args()
    there = {"faiss Flat": importlib.util.find_spec("faiss"), "Milvus": arguments.milvus}
    chosen = arguments.engines.split(",") if arguments.engines else [name for name in ENGINES if there.get(name, True)]
    for case in [arguments.case] if arguments.case else CASES:
        measure(*map(int, case.split("x")), arguments.rounds, chosen, arguments.milvus)

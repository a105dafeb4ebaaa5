"""Measure images/s from a `.rec` file to training batches of 128; each loader has its own process, and epochs alternate.

    python benchmarks/data.py [--records train.rec] [--rounds 5]

The file is --records, or celeb/train.rec in the folder of GLUONFR_TEST_DATA, or rendered faces (whose JPEGs decode
at a different speed). MXNet's own readers stop at header records, so they read a copy without them.

Measured 2026-11 on 5,967 real faces, 5 rounds, 2 shared cores, AVX-512, no GPU; the ranges show the effect of other programs.

                                        images/s         range  speed ratio  CPU us/image  work ratio
    RecordLoader, flip                     18474   11575-21480        1.92x            90       0.82x
    RecordLoader, flip, then float32        8570     7875-9424        0.89x           216       1.97x
    RecordLoader, standard                 10834    6451-11152        1.12x           168       1.53x
    RecordLoader, strong                    7638     4688-7923        0.79x           233       2.12x
    ImageRecordIter (float32), flip         9645    8650-10112        1.00x           110       1.00x
    ImageRecordUInt8Iter, flip             11936   11008-12604        1.24x            90       0.82x
    ImageRecordDataset, DataLoader          3247     2072-3371        0.34x           592       5.39x

While another program used one of the two cores, the speed ratio was 1.36x in the first row and 0.56x for "strong", and the
first row was 4.9x as fast as the last; the work ratios were within 10 % of these.

RecordLoader returns uint8, which the device converts; the row "then float32" converts on the CPU instead.
ImageRecordIter decodes in at most max(1, cores / 2 - 1) threads, here one, while RecordLoader uses two. The speed ratios
therefore depend on other programs, the work ratios hardly do.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from statistics import median

import psutil

BATCH = 128
# The environment before gluonfr was imported: OMP_NUM_THREADS above 1 makes MXNet's forked workers 40 times slower.
ENVIRONMENT = dict(os.environ)


def own(augment, as_float=False):
    def make(records, plain, threads):
        import numpy as np

        from gluonfr.data import FRTrainRecordDataset, RecordLoader

        root, name = os.path.split(os.path.dirname(os.path.abspath(records)))
        loader = RecordLoader(FRTrainRecordDataset(name, root=root), BATCH, augment, threads=threads)

        def epoch():
            for images, _ in loader:
                if as_float:
                    images = images.astype(np.float32)
                    images *= 1 / 255  # in place: allocating a second array of this size would cost more than the conversion
                yield images

        return epoch

    return make


def iterator(kind, **normalize):
    def make(records, plain, threads):
        import mxnet as mx

        batches = getattr(mx.io, kind)(
            path_imgrec=plain + ".rec",
            path_imgidx=plain + ".idx",
            data_shape=(3, 112, 112),
            batch_size=BATCH,
            shuffle=True,
            rand_mirror=True,
            preprocess_threads=threads,
            round_batch=False,
            **normalize,
        )

        def epoch():
            batches.reset()
            for batch in batches:
                yield batch.data[0]

        return epoch

    return make


def plain_gluon(records, plain, threads):
    from mxnet import gluon
    from mxnet.gluon.data.vision import transforms

    transform = transforms.Compose([transforms.RandomFlipLeftRight(), transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])
    dataset = gluon.data.vision.ImageRecordDataset(plain + ".rec").transform_first(transform)
    loader = gluon.data.DataLoader(dataset, BATCH, shuffle=True, num_workers=threads)

    def epoch():
        for images, _ in loader:
            yield images

    return epoch


FLOAT = {"mean_r": 127.5, "mean_g": 127.5, "mean_b": 127.5, "scale": 1 / 128}
WAYS = {
    "RecordLoader, flip": own("flip"),
    "RecordLoader, flip, then float32": own("flip", as_float=True),
    "RecordLoader, standard": own("standard"),
    "RecordLoader, strong": own("strong"),
    "ImageRecordIter (float32), flip": iterator("ImageRecordIter", **FLOAT),
    "ImageRecordUInt8Iter, flip": iterator("ImageRecordUInt8Iter"),
    "ImageRecordDataset, DataLoader": plain_gluon,
}
FAST, SLOW = "RecordLoader, flip", "ImageRecordDataset, DataLoader"
REFERENCE = "ImageRecordIter (float32), flip"


def measure(epoch):
    """Return images/s, and microseconds of CPU time per image including threads and workers, over one epoch."""
    count, busy, begin = 0, processor_time(), time.perf_counter()
    for images in epoch():
        images.wait_to_read()
        count += images.shape[0]
    return count / (time.perf_counter() - begin), (processor_time() - busy) / count * 1e6


def processor_time():
    here = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in [here, *here.children(recursive=True)])


def copy_without_headers(records, plain):
    import mxnet as mx

    from gluonfr.data.records.file import RecordFile

    source = RecordFile(records)
    writer = mx.recordio.MXIndexedRecordIO(plain + ".idx", plain + ".rec", "w")
    for i in range(len(source)):
        label, payload = source.read(i)
        writer.write_idx(i, mx.recordio.pack(mx.recordio.IRHeader(0, label, i, 0), payload))
    writer.close()
    return len(source)


def find_records(folder):
    faces = os.environ.get("GLUONFR_TEST_DATA")
    if faces:
        return os.path.join(faces, "celeb", "train.rec")
    from gluonfr.data.synthetic import make_dataset

    make_dataset(folder, identities=150, val_identities=20, val_pairs=20, progress=False)
    return os.path.join(folder, "train.rec")


class Candidate:
    """A process that runs one epoch on request and is idle otherwise."""

    def __init__(self, *arguments):
        command = [sys.executable, "-W", "ignore", os.path.abspath(__file__), "--way", *arguments]
        self._process = subprocess.Popen(
            command,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            universal_newlines=True,
        )

    def measure(self):
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def serve(way, records, plain, threads):
    epoch = WAYS[way](records, plain, int(threads))
    for _ in sys.stdin:
        print(json.dumps(measure(epoch)), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Images a second from a .rec file to training batches.")
    parser.add_argument("--records", help="a train.rec with 112x112 faces, with its property file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--way", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        serve(*arguments.way)
        return
    threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        records = arguments.records or find_records(os.path.join(folder, "synthetic"))
        plain = os.path.join(folder, "plain")
        print(f"{records}: {copy_without_headers(records, plain)} images, batches of {BATCH}, {threads} threads", flush=True)
        results = {way: [] for way in WAYS}
        candidates = {way: Candidate(way, records, plain, str(threads)) for way in WAYS}
        for number in range(arguments.rounds + 1):
            for way, candidate in candidates.items():
                result = candidate.measure()
                if number:  # the first epoch is not counted
                    results[way].append(result)
        for candidate in candidates.values():
            candidate.close()
    report(results)


def report(results):
    speed = {way: median(pair[0] for pair in pairs) for way, pairs in results.items()}
    work = {way: median(pair[1] for pair in pairs) for way, pairs in results.items()}
    print(f"{'':34} {'images/s':>9} {'range':>13} {'speed ratio':>12} {'CPU us/image':>13} {'work ratio':>11}")
    for way, pairs in results.items():
        values = [pair[0] for pair in pairs]
        print(
            f"{way:34} {speed[way]:9.0f} {f'{min(values):.0f}-{max(values):.0f}':>13} {speed[way] / speed[REFERENCE]:11.2f}x"
            f" {work[way]:13.0f} {work[way] / work[REFERENCE]:10.2f}x"
        )
    print(f"Ratios are to {REFERENCE}; {FAST} to {SLOW}: {speed[FAST] / speed[SLOW]:.1f}x the speed.")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()

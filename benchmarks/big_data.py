"""Opening, ordering and sharing a training set of 42 million images: seconds and peak memory, each in its own process.

    python benchmarks/big_data.py [--images 42000000] [--identities 2000000] [--folder FOLDER]

The set is generated: records of 104 bytes with valid headers and labels, in InsightFace's layout (one header record per person,
record 0 at the end, keys and ranges above 2^24). It needs little disk space: 4.4 GB of records and 1 GB of index.
Records of real faces are a hundred times as long. This affects only the first opening, which reads the header of every record
once.

Measured 2026-11-25, 2 cores, no GPU, with a load of 10 to 15 from other programs; the first four rows over 3 rounds, the
others once.

                                           s         range  peak MB  own MB
    first opening                      63.47   31.08-68.94      814     178
    later opening                       1.39     1.29-1.41      611     133
    order of an epoch, 1 rank          14.61   11.99-14.75      891     294
    order of an epoch, 8 ranks         25.83   15.57-27.01      814     178
    images of each person               2.57                    906     163
    IdentityBatchSampler                0.92                    811     331
    order of its epoch, 8 ranks        39.31                   1720     400

Before records were read in blocks and the result was cached, every opening took 62 s and 7,094 MB on this machine, with a
load of 6 to 9. The sampler took 13.6 s and 2,260 MB, and the order of its epoch 136 s and 3,176 MB.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from statistics import median

import numpy as np

IMAGES, PEOPLE = 42_000_000, 2_000_000
BATCH, RANKS = 128, 8
_AT_ONCE = 1 << 20
_PAYLOAD = 72
_IMAGE = np.dtype([("magic", "<u4"), ("length", "<u4"), ("flag", "<u4"), ("label", "<f4"), ("id", "<u8"), ("id2", "<u8")])
_RECORD = np.dtype([*_IMAGE.descr, ("payload", "u1", _PAYLOAD)])
_RANGE = np.dtype([*_IMAGE.descr, ("begin", "<f4"), ("end", "<f4")])


def make_set(folder, images, people):
    """Write train.rec, train.idx and property."""
    from gluonfr.data.records.framing import MAGIC

    def frames(kind, numbers):
        records = np.zeros(len(numbers), kind)
        records["magic"], records["length"], records["id"] = MAGIC, kind.itemsize - 8, numbers
        return records

    def index(numbers, begin, size):
        starts = range(begin, begin + len(numbers) * size, size)
        idx.write(b"".join(map(b"%d\t%d\n".__mod__, zip(numbers.tolist(), starts))))

    os.makedirs(folder, exist_ok=True)
    firsts = np.arange(people + 1) * images // people
    with open(os.path.join(folder, "train.rec"), "wb") as rec, open(os.path.join(folder, "train.idx"), "wb") as idx:
        for begin in range(0, images, _AT_ONCE):
            numbers = np.arange(begin, min(begin + _AT_ONCE, images)) + 1
            records = frames(_RECORD, numbers)
            records["label"] = np.searchsorted(firsts, numbers - 1, side="right") - 1
            index(numbers, rec.tell(), _RECORD.itemsize)
            rec.write(records.tobytes())
        for begin in range(0, people + 1, _AT_ONCE):
            numbers = np.arange(begin, min(begin + _AT_ONCE, people + 1)) + images + 1
            ranges = frames(_RANGE, numbers)
            ranges["flag"] = 2
            if numbers[-1] == images + people + 1:
                numbers[-1] = 0
            index(numbers, rec.tell(), _RANGE.itemsize)
            rec.write(ranges.tobytes())
    with open(os.path.join(folder, "property"), "w") as file:
        file.write(f"{people},112,112\n")


def opened(folder):
    from gluonfr.data import FRTrainRecordDataset

    root, name = os.path.split(folder)
    return FRTrainRecordDataset(name, root=root)


def open_set(folder):
    return lambda: opened(folder)


def order(folder, ranks):
    from gluonfr.data import RecordLoader

    dataset = opened(folder)
    return lambda: RecordLoader(dataset, BATCH, num_ranks=ranks).epoch(1)


def make_sampler(folder):
    from gluonfr.data import IdentityBatchSampler

    dataset = opened(folder)
    return lambda: IdentityBatchSampler(dataset, 32, 4)


def grouped_order(folder):
    from gluonfr.data import IdentityBatchSampler, RecordLoader

    dataset = opened(folder)
    sampler = IdentityBatchSampler(dataset, 32, 4)
    return lambda: RecordLoader(dataset, BATCH, sampler=sampler, num_ranks=RANKS).epoch(1)


def people(folder):
    dataset = opened(folder)
    return lambda: dataset.identities[dataset.num_classes - 1]


WAYS = {
    "first opening": open_set,
    "later opening": open_set,
    "order of an epoch, 1 rank": lambda folder: order(folder, 1),
    f"order of an epoch, {RANKS} ranks": lambda folder: order(folder, RANKS),
    "images of each person": people,
    "IdentityBatchSampler": make_sampler,
    f"order of its epoch, {RANKS} ranks": grouped_order,
}


def memory():
    """Return MB: the peak resident set, and the private memory and the file pages of the current one."""
    with open("/proc/self/status") as file:
        status = dict(line.split(":", 1) for line in file)
    return {name: int(status[name].split()[0]) // 1024 for name in ("VmHWM", "RssAnon", "RssFile")}


def measure(way, folder):
    import gluonfr.data  # noqa: F401

    run = WAYS[way](folder)
    before = memory()
    begin = time.perf_counter()
    kept = run()
    seconds = time.perf_counter() - begin
    after = memory()
    del kept
    print(json.dumps({"seconds": seconds, "before": before["RssAnon"], "peak": after["VmHWM"], "own": after["RssAnon"]}))


def in_a_process(way, folder):
    command = [sys.executable, "-W", "ignore", os.path.abspath(__file__), "--way", way, "--folder", folder]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


def main():
    parser = argparse.ArgumentParser(description="Opening, ordering and sharing a training set of 42 million images.")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--identities", type=int, default=PEOPLE)
    parser.add_argument("--folder", help="folder of the generated set, which a later run reuses (default: a temporary folder)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        measure(arguments.way, arguments.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = os.path.abspath(arguments.folder or os.path.join(temporary, "big"))
        if not os.path.exists(os.path.join(folder, "property")):
            make_set(folder, arguments.images, arguments.identities)
        print(f"{'':32} {'s':>7} {'range':>13} {'peak MB':>8} {'own MB':>7}", flush=True)
        for way in WAYS:
            results = []
            for _ in range(arguments.rounds):
                if way == "first opening":
                    forget(folder)
                results.append(in_a_process(way, folder))
            seconds = [result["seconds"] for result in results]
            print(
                f"{way:32} {median(seconds):7.2f} {f'{min(seconds):.2f}-{max(seconds):.2f}':>13}"
                f" {max(result['peak'] for result in results):8} {max(result['own'] for result in results):7}",
                flush=True,
            )


def forget(folder):
    """Delete the cache of an earlier opening."""
    for name in os.listdir(folder):
        if name not in ("train.rec", "train.idx", "property"):
            os.unlink(os.path.join(folder, name))


if __name__ == "__main__":
    main()

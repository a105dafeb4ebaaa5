"""Check that memory and speed stay constant during an hour of `gluonfr train`.

    python benchmarks/soak.py --minutes 60 -- --root DATA --dataset celeb --loss arc --val lfw --out runs/soak --epochs 1000

The words after `--` are the options of `gluonfr train`. Every `--every` seconds, the script reads the memory of the process
and its children (PSS, which counts shared pages once) and the images/s of the new rows of the log, which cover training
without verification. After `--minutes`, the run is interrupted as by Ctrl-C. The output is the memory, and the throughput
of the first and the last `--window` minutes, without the first `--warm-up` minutes. Use `taskset` to reserve a core.

Measured 2026-11-25 on one of two cores, with other programs on the other: 62 minutes, 72 epochs of the run of
`partial_fc.py` with a tenth of the classes sampled, verified every 2 epochs and saved every 3 minutes. MB by windows of ten
minutes: 606, 604, 609, 601, 604, 609 (+0.4 % from the first to the last). Throughput relative to the first window: 1.000,
1.001, 0.993, 0.991, 0.982, 0.975.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time

import psutil

from gluonfr.viz import read_log


def memory(process):
    """Return the MB of a process and its children; shared pages are divided among the processes that share them."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total / 1e6


def new_rows(path, known):
    """Return the rows of a run's log after the first `known` rows."""
    return read_log(path)[known:] if os.path.exists(path) else []


def watch(arguments, log):
    """Run until the end or the time limit; return (minute, MB) samples, and (minute, steps, seconds) of the rows of the log."""
    before = len(new_rows(log, 0))
    samples, speeds, step = [], [], None
    start = time.monotonic()
    with subprocess.Popen([sys.executable, "-m", "gluonfr", "train", *arguments.train]) as child:
        process, asked = psutil.Process(child.pid), False
        while child.poll() is None:
            time.sleep(arguments.every)
            minute = (time.monotonic() - start) / 60
            if minute > arguments.minutes and not asked:
                child.send_signal(signal.SIGTERM)
                asked = True
            rows = new_rows(log, before)
            before += len(rows)
            for row in rows:
                if "images_per_second" in row:
                    if step is not None and row["images_per_second"]:
                        speeds.append((minute, row["step"] - step, (row["step"] - step) / row["images_per_second"]))
                    step = row["step"]
            if child.poll() is None:
                samples.append((minute, memory(process)))
    # An interrupted run also exits with 2.
    if child.returncode not in ((0, 2) if asked else (0,)):
        sys.exit(f"the run ended with status {child.returncode}")
    return samples, speeds


def steps_a_second(speeds, begin, end):
    """Return steps per second of training between two minutes, which is proportional to images/s."""
    within = [(steps, seconds) for minute, steps, seconds in speeds if begin <= minute < end]
    return sum(steps for steps, _ in within) / sum(seconds for _, seconds in within)


def report(samples, speeds, arguments):
    """Return lines with memory and speed by window, and the summary of both."""
    end = samples[-1][0]
    lines, begin = ["| minutes | images/s, to the first | MB, median | MB, largest |", "|---|---|---|---|"], arguments.warm_up
    first = steps_a_second(speeds, begin, begin + arguments.window)
    while begin + arguments.window <= end:
        stop = begin + arguments.window
        taken = [sample for minute, sample in samples if begin <= minute < stop]
        ratio = steps_a_second(speeds, begin, stop) / first
        lines.append(f"| {begin:.0f}-{stop:.0f} | {ratio:.3f} | {statistics.median(taken):.0f} | {max(taken):.0f} |")
        begin = stop
    last = steps_a_second(speeds, end - arguments.window, end)
    early, late = (
        statistics.median(sample for minute, sample in samples if low <= minute < high)
        for low, high in ((arguments.warm_up, arguments.warm_up + arguments.window), (end - arguments.window, end))
    )
    lines.append(f"throughput of the last {arguments.window:g} minutes to the first {arguments.window:g}: {last / first:.3f}")
    lines.append(f"memory, medians of the same: {early:.0f} and {late:.0f} MB ({100 * (late / early - 1):+.1f} %)")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--window", type=float, default=10, help="minutes at the start and at the end that are compared")
    parser.add_argument("--warm-up", type=float, default=2, help="minutes at the start that are ignored")
    parser.add_argument("--every", type=float, default=10, help="seconds between two readings")
    parser.add_argument("--samples", help="JSON file for all readings")
    parser.add_argument("train", nargs=argparse.REMAINDER, help="options of `gluonfr train`, after --")
    arguments = parser.parse_args()
    arguments.train = [argument for argument in arguments.train if argument != "--"]
    if "--out" not in arguments.train:
        parser.error("give the run's --out after --")
    log = os.path.join(arguments.train[arguments.train.index("--out") + 1], "log.jsonl")
    samples, speeds = watch(arguments, log)
    if arguments.samples:
        with open(arguments.samples, "w", encoding="utf-8") as file:
            json.dump({"memory": samples, "rows": speeds}, file)
    print(report(samples, speeds, arguments))


if __name__ == "__main__":
    main()

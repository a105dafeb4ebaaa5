"""The process that fuzzes: reads mutated inputs one after the other and records what happens.

    python fuzz_worker.py JOB

JOB is a folder with `job.json`; the process writes `state` (case, CPU time at its start) before every case, and appends a line
to `results.jsonl` for every finding and at the end. Whoever started it ends it when a case takes too long.
"""

import contextlib
import gc
import json
import mmap
import os
import random
import resource
import shutil
import struct
import sys
import time
import traceback
import zipfile

from mutations import mutate_folder

STATE = struct.Struct("<qdd")
MOST_MEMORY = 2 << 30
# Address space beyond that of a process that has imported everything: larger allocations fail instead of filling the machine.
_SPACE = 3 << 30


def own_peak():
    """Return the largest memory of this process since `forget_peak` in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))


def peak_memory():
    """Return the largest memory of this process since `forget_peak`, or of one of its children, in bytes."""
    return max(own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10)


def forget_peak():
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def limit_space():
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def judge(read, folder):
    """Return (outcome, description): 'read', 'refused', or 'finding'."""
    from gluonfr.core import GluonFRError
    from gluonfr.photos.reading import PhotoError

    try:
        read(folder)
    except (GluonFRError, PhotoError) as error:
        if "\n" in str(error) or not str(error).strip():
            return "finding", f"message of {len(str(error).splitlines())} lines: {str(error)[:400]!r}"
        return "refused", ""
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        last = [frame for frame in traceback.extract_tb(error.__traceback__) if "gluonfr/" in frame.filename]
        where = f"{last[-1].filename.split('gluonfr/', 1)[-1]}:{last[-1].lineno}" if last else place.filename
        return "finding", f"{type(error).__name__} at {where}: {str(error)[:1500]}"
    return "read", ""


class Worker:
    def __init__(self, job):
        with open(os.path.join(job, "job.json")) as file:
            self.job = {**json.load(file), "folder": job}
        with open(os.path.join(job, "state"), "w+b") as file:
            file.write(STATE.pack(-1, 0.0, time.time()))
            file.flush()
            self.state = mmap.mmap(file.fileno(), STATE.size)

    def write(self, **row):
        with open(os.path.join(self.job["folder"], "results.jsonl"), "a") as file:
            file.write(json.dumps(row) + "\n")

    def run(self):
        from fuzz_targets import TARGETS

        target, folder = TARGETS[self.job["target"]], self.job["folder"]
        seeds, case = os.path.join(folder, "seeds"), os.path.join(folder, "case")
        if not os.path.isdir(seeds):
            os.makedirs(seeds + ".new")
            target.seeds(seeds + ".new")
            os.rename(seeds + ".new", seeds)
        variants = sorted(os.listdir(seeds))
        counts, highest = {"read": 0, "refused": 0, "finding": 0}, 0
        for variant in variants:
            # Intact inputs must be readable, and load what readers import on demand.
            self.mark(-1)
            shutil.copytree(os.path.join(seeds, variant), case)
            target.read(case)
            shutil.rmtree(case)
        limit_space()
        # What has been imported is no garbage; looking through it would take longer than most inputs.
        gc.freeze()
        end = time.monotonic() + self.job["seconds"]
        for number in range(self.job["first"], self.job["first"] + self.job["cases"]):
            if time.monotonic() > end:
                break
            self.mark(number)
            self.generate(target, variants, number, case)
            # Networks of earlier inputs are not the memory of this one.
            gc.collect()
            forget_peak()
            self.mark(number)
            outcome, description = judge(target.read, case)
            memory = peak_memory()
            highest = max(highest, memory)
            if outcome != "finding" and memory > MOST_MEMORY:
                outcome, description = "finding", f"memory of {memory >> 20} MB"
            counts[outcome] += 1
            if outcome == "finding":
                # Reading may have changed the files.
                self.generate(target, variants, number, case)
                keep_input(case, os.path.join(self.job["findings"], f"{self.job['target']}-{number}.zip"))
                self.write(finding=number, what=description)
            if memory > MOST_MEMORY:
                # The peak of children cannot be reset.
                break
        self.mark(-2)
        self.write(done=number + 1, peak=highest, intact=len(variants), **counts)

    def mark(self, number):
        used = resource.getrusage(resource.RUSAGE_SELF)
        self.state[:] = STATE.pack(number, used.ru_utime + used.ru_stime, time.time())

    def generate(self, target, variants, number, case):
        """Write input `number`, which is always the same, into the folder `case`."""
        source = random.Random(f"{self.job['target']}/{self.job['seed']}/{number}")
        shutil.rmtree(case, ignore_errors=True)
        mutate_folder(source, os.path.join(self.job["folder"], "seeds", source.choice(variants)), case)
        if target.repair and source.random() < 0.8:
            target.repair(case)


def keep_input(case, path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder, _, names in os.walk(case):
            for name in names:
                file = os.path.join(folder, name)
                with contextlib.suppress(OSError, ValueError):
                    archive.write(file, os.path.relpath(file, case))


if __name__ == "__main__":
    import gluonfr  # noqa: F401

    Worker(sys.argv[1]).run()

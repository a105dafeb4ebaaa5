"""Fuzz the readers of files and requests.

    python tests/fuzz/fuzz_run.py --seconds 3600 --findings runs/fuzz

Every reader gets mutations of small intact inputs, in a process with limits of time and memory. A reader may succeed or raise
GluonFRError; anything else is a finding, of which the input is saved. The exit status is 1 if there are findings.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from fuzz_worker import STATE, keep_input

# Targets of `fuzz_targets`, which loads MXNet.
NAMES = ["records", "record_file", "pairs", "pair_lists", "images", "videos", "journal", "model_folder", "symbol", "params"]
NAMES += ["onnx", "torch", "dlib", "joblib", "run_folder", "checkpoints", "embeddings", "megaface", "ijb", "blocks", "gallery"]
NAMES += ["people_import", "requests", "annotations", "detection_set", "detector", "run_list"]
# Shares of the time, relative to the other targets: readers that start a process or build a network for each input.
SHARES = {
    "onnx": 4.0,
    "symbol": 2.0,
    "model_folder": 2.0,
    "torch": 2.0,
    "checkpoints": 2.0,
    "detector": 2.0,
    "run_folder": 2.0,
    "run_list": 2.0,
}
# A file system in memory, where galleries and checkpoints do not wait for the disk.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
HERE = os.path.dirname(os.path.abspath(__file__))
# CPU time of a case, and its time on a machine that may be busy, in seconds.
MOST_CPU, MOST_TIME = 20.0, 300.0
START_TIME = 300.0


class Fuzzer:
    """Runs one target, and starts its process again after a crash or a hang.

    Parameters
    ----------
    target : str
    findings : str
        Folder for the inputs of findings.
    seed : int, default 0
        Decides all mutations.
    """

    def __init__(self, target, findings, seed=0):
        self.target, self.findings, self.seed = target, os.path.abspath(findings), seed
        self.counts, self.peak, self.problems, self.next = {"read": 0, "refused": 0, "finding": 0}, 0, [], 0
        # Number of intact inputs, which every process reads before it mutates them; whether one of them was not read.
        self.intact, self.failed = 0, False

    def run(self, seconds, cases=1 << 40):
        """Run for a time or a number of cases, whichever ends first."""
        end, last = time.monotonic() + seconds, self.next + cases
        with tempfile.TemporaryDirectory(prefix="fuzz-", dir=MEMORY) as folder:
            while time.monotonic() < end and self.next < last and not self.failed:
                job = {"target": self.target, "seed": self.seed, "first": self.next, "cases": last - self.next}
                job.update(seconds=max(1.0, end - time.monotonic()), findings=self.findings)
                self._run_process(job, folder)
        return self

    def _run_process(self, job, folder):
        with open(os.path.join(folder, "job.json"), "w") as file:
            json.dump(job, file)
        results, log = (os.path.join(folder, name) for name in ("results.jsonl", "log"))
        for name in ("case", "seeds.new"):
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        for name in ("results.jsonl", "state"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))
        environment = {**environment_with(*support_folders()), "MXNET_CPU_WORKER_NTHREADS": "1"}
        environment.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        worker = os.path.join(HERE, "fuzz_worker.py")
        with open(log, "wb") as file:
            process = subprocess.Popen(
                [sys.executable, worker, folder], stdout=file, stderr=file, env=environment, start_new_session=True
            )
        hang = self._watch(process, os.path.join(folder, "state"))
        self._collect(results, folder, process.returncode, hang, log)

    def _watch(self, process, state):
        """Wait for the end of the process, and return why it was killed: '' unless a case took too long."""
        started = time.monotonic()
        while True:
            try:
                process.wait(0.25)
                return ""
            except subprocess.TimeoutExpired:
                pass
            number, used, since = _read_state(state)
            if number < 0:
                late = time.monotonic() - started > START_TIME and "the start"
            else:
                late = (_cpu_time(process.pid) - used > MOST_CPU and "CPU time") or (time.time() - since > MOST_TIME and "time")
            if late:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return late

    def _collect(self, results, folder, status, hang, log):
        rows = []
        if os.path.exists(results):
            with open(results) as file:
                rows = [json.loads(line) for line in file]
        number = _read_state(os.path.join(folder, "state"))[0]
        for row in rows:
            if "what" in row:
                self.problems.append((row["finding"], row["what"]))
            else:
                self.peak, self.next, self.intact = max(self.peak, row["peak"]), row["done"], row["intact"]
                for name in self.counts:
                    self.counts[name] += row[name]
                return
        with open(log, errors="replace") as file:
            last = file.read()[-1500:]
        if number < 0:
            self.failed = True
            self.problems.append((number, f"the process did not start ({status} {hang}): {last}"))
            return
        # The process died or was killed in a case.
        keep_input(os.path.join(folder, "case"), os.path.join(self.findings, f"{self.target}-{number}.zip"))
        what = f"hang ({hang})" if hang else f"crash, status {status}: {last[-300:]}"
        self.problems.append((number, what))
        self.counts["finding"] += 1 + sum("what" in row for row in rows)
        self.counts["refused"] += number - self.next - sum("what" in row for row in rows)
        self.next = number + 1


def _read_state(path):
    try:
        with open(path, "rb") as file:
            return STATE.unpack(file.read(STATE.size))
    except Exception:
        return -1, 0.0, time.time()


def _cpu_time(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3600, help="time of all targets together (default 3600)")
    parser.add_argument("--targets", default="", help="names separated by commas (default all)")
    parser.add_argument("--seed", type=int, default=0, help="decides the mutations (default 0)")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation (default 0)")
    parser.add_argument("--cases", type=int, default=1 << 40, help="largest number of mutations of a target")
    parser.add_argument("--findings", default="runs/fuzz", help="folder of inputs of findings (default runs/fuzz)")
    arguments = parser.parse_args()
    names = arguments.targets.split(",") if arguments.targets else NAMES
    total, shares = 0, sum(SHARES.get(name, 1.0) for name in names)
    print(f"{'target':14} {'runs':>8} {'read':>8} {'refused':>8} {'findings':>8} {'peak MB':>8}", flush=True)
    for name in names:
        fuzzer = Fuzzer(name, arguments.findings, arguments.seed)
        fuzzer.next = arguments.first
        fuzzer.run(arguments.seconds * SHARES.get(name, 1.0) / shares, arguments.cases)
        runs = sum(fuzzer.counts.values())
        counts = " ".join(f"{fuzzer.counts[kind]:8}" for kind in ("read", "refused", "finding"))
        print(f"{name:14} {runs:8} {counts} {fuzzer.peak >> 20:8}", flush=True)
        for number, what in fuzzer.problems:
            print(f"    {number}: {what}", flush=True)
        total += len(fuzzer.problems)
    return 1 if total else 0


def support_folders():
    """Return the folders with helpers of other tests that the targets import."""
    tests = os.path.dirname(HERE)
    return [HERE, tests, os.path.join(tests, "photos"), os.path.join(tests, "apps")]


def environment_with(*folders):
    paths = [*folders, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


if __name__ == "__main__":
    sys.exit(main())

"""Run the first tier of tests as on other CPUs: `python tools/test_on_cpus.py [PYTEST ARGUMENTS]`.

Every row of the table is one run: an instruction set that oneDNN may use at most, the number of OpenMP threads, and whether
another process keeps a core busy; the row of this machine as it is runs three times. Exits with 1 when a row fails, whose
output is in build/cpus.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INSTRUCTION_SETS = ("SSE41", "AVX2", "AVX512_CORE", "")
ROWS = [(isa, threads, False) for isa, threads in product(INSTRUCTION_SETS, (1, 2))] + [("", 1, False)] * 2 + [("", 1, True)]
COMMAND = ("-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider", "-m", "not system and not full")


def run_tests(isa, threads, arguments):
    """Run the tests; return (exit status, summary line, names of the failed tests)."""
    environment = {name: value for name, value in os.environ.items() if name != "DNNL_MAX_CPU_ISA"}
    environment.update({"MXNET_OMP_MAX_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)})
    # Two processes with two threads each: threads that wait must leave the cores to the others.
    environment["OMP_WAIT_POLICY"] = "passive"
    if isa:
        environment["DNNL_MAX_CPU_ISA"] = isa
    done = subprocess.run([sys.executable, *COMMAND, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        log = ROOT / "build" / "cpus" / f"{isa or 'all'}-{threads}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(done.stdout + done.stderr)
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["no output"]
    return done.returncode, lines[-1].strip("= "), re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)


def main():
    """Run all rows and print the table."""
    failed = False
    print(f"{'instructions':14}{'threads':9}{'busy':6}{'seconds':9}result", flush=True)
    for isa, threads, busy in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            load = subprocess.Popen([sys.executable, "-c", "while True: pass"], cwd=folder) if busy else None
            start = time.monotonic()
            try:
                status, summary, names = run_tests(isa, threads, sys.argv[1:])
            finally:
                if load:
                    load.kill()
                    load.wait()
        seconds = f"{time.monotonic() - start:.0f}"
        print(f"{isa or 'all':14}{threads:<9}{'yes' if busy else 'no':6}{seconds:9}{summary}", flush=True)
        for name in names:
            print(f"    failed: {name}", flush=True)
        failed |= status != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

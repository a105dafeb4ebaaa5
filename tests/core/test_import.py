"""Importing the package makes MXNet importable, and says what to install where there is none."""

import os
import subprocess
import sys
import textwrap


def run(code, **environment):
    full = dict({name: value for name, value in os.environ.items() if "OMP" not in name}, **environment)
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=full)


def test_without_mxnet_one_sentence_names_both_commands():
    done = run(
        """
        import sys
        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name == "mxnet":
                    raise ModuleNotFoundError("No module named 'mxnet'", name="mxnet")
        sys.meta_path.insert(0, Absent())
        import gluonfr
        """
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode
    assert last.startswith("ImportError")
    assert ".[cpu]" in last
    assert ".[cu112]" in last


def test_names_that_numpy_removed_are_back_before_mxnet_looks():
    done = run(
        """
        import numpy
        for name in ("bool", "int", "float", "object"):
            if name in numpy.__dict__:
                delattr(numpy, name)
        numpy.__version__ = "1.26.4"
        import gluonfr, mxnet
        assert numpy.bool is bool
        print(mxnet.nd.ones(2).sum().asscalar())
        """
    )
    assert done.stdout.strip() == "2.0", done.stderr


def test_all_cores_are_used_unless_the_user_says_otherwise():
    code = "import os, gluonfr; print(os.environ.get('MXNET_OMP_MAX_THREADS'), len(os.sched_getaffinity(0)))"
    threads, cores = run(code).stdout.split()
    assert threads == cores
    assert run(code, OMP_NUM_THREADS="7").stdout.split()[0] == "None"
    assert run(code, MXNET_OMP_MAX_THREADS="3").stdout.split()[0] == "3"


def test_contexts_of_a_training_share_the_cores():
    code = """
        import os, sys, gluonfr
        from gluonfr.core.compat import share_cores
        share_cores(2)
        print(os.environ.get("MXNET_OMP_MAX_THREADS"), len(os.sched_getaffinity(0)), "mxnet" in sys.modules)
    """
    threads, cores, imported = run(code).stdout.split()
    assert int(threads) == max(1, int(cores) // 2)
    assert imported == "False"
    assert run(code, MXNET_OMP_MAX_THREADS="5").stdout.split()[0] == "5"
    assert run(code, OMP_NUM_THREADS="5").stdout.split()[0] == "None"

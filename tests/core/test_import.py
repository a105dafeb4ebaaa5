"""Importing the package makes MXNet importable, has no other effect, and loads its parts when they are used."""

import importlib
import os
import subprocess
import sys
import textwrap

import pytest

import gluonfr
from gluonfr.core.cpu import cores

SETTINGS = ("MXNET_OMP_MAX_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def run(code, **environment):
    full = {name: value for name, value in os.environ.items() if "OMP" not in name and name != "GLUONFR_TUNE"}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env={**full, **environment}
    )


def settings_after(code, **environment):
    """Values of the three environment variables after some code that runs in a process of its own."""
    report = f"import os; print([os.environ.get(name) for name in {SETTINGS}])"
    done = run(f"{textwrap.dedent(code)}\n{report}", **environment)
    assert not done.returncode, done.stderr
    return eval(done.stdout)


def test_missing_mxnet_is_reported_with_both_install_commands():
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
    assert "gluonfr[cpu]" in last
    assert "gluonfr[cu112]" in last


def test_numpy_2_is_reported_with_the_command_that_replaces_it():
    done = run("import numpy; numpy.__version__ = '2.1.0'; import gluonfr")
    last = done.stderr.strip().splitlines()[-1]
    assert last == 'ImportError: MXNet 1.9.1 does not work with NumPy 2.1.0: run `pip install "numpy<2"`.'


def test_names_that_numpy_removed_are_restored_for_mxnet():
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


def test_import_loads_neither_mxnet_nor_opencv_and_sets_no_variable():
    done = run(
        """
        import os, sys
        before = dict(os.environ)
        import gluonfr
        assert os.environ == before
        print({"mxnet", "cv2"} & set(sys.modules))
        """
    )
    assert done.stdout.strip() == "set()", done.stderr


def test_first_use_of_mxnet_sets_threads_and_active_waiting():
    assert settings_after("from gluonfr.loss import get_loss") == [str(cores()), "active", "10000"]
    assert settings_after("import gluonfr; gluonfr.tune_cpu()") == [str(cores()), "active", "10000"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OMP_NUM_THREADS": "7"}, [None, "active", "10000"]),
        ({"MXNET_OMP_MAX_THREADS": "3"}, ["3", "active", "10000"]),
        ({"OMP_WAIT_POLICY": "passive"}, [str(cores()), "passive", None]),
        ({"GLUONFR_TUNE": "0"}, [None, None, None]),
    ],
)
def test_settings_of_the_user_are_not_changed(environment, expected):
    assert settings_after("import gluonfr; gluonfr.tune_cpu()", **environment) == expected


def test_tuning_after_mxnet_was_loaded_changes_nothing():
    assert settings_after("import gluonfr, mxnet; gluonfr.tune_cpu()") == [None, None, None]


def test_contexts_of_a_training_share_the_cores():
    code = """
        import sys, gluonfr
        from gluonfr.core.cpu import share_cores
        share_cores(2)
        gluonfr.tune_cpu()
        assert "mxnet" not in sys.modules
    """
    assert settings_after(code)[0] == str(max(1, cores() // 2))
    assert settings_after(code, MXNET_OMP_MAX_THREADS="5")[0] == "5"
    assert settings_after(code, OMP_NUM_THREADS="5")[0] is None
    assert settings_after(code, GLUONFR_TUNE="0")[0] is None


@pytest.mark.parametrize("name", sorted(set(gluonfr.__all__) - {"__version__"}))
def test_every_public_name_is_that_of_its_room(name):
    value = getattr(gluonfr, name)
    assert value is getattr(importlib.import_module(gluonfr._ROOMS[name]), name)
    assert name in dir(gluonfr)


def test_unknown_names_raise_an_attribute_error():
    with pytest.raises(AttributeError, match="'gluonfr' has no attribute 'no_such_name'"):
        gluonfr.no_such_name  # noqa: B018

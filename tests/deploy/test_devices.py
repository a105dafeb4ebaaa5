"""GPUs that cannot be used are one sentence with what to do; MXNet's answers are replaced, since few machines have GPUs."""

import mxnet as mx
import pytest

from gluonfr.core import UsageError
from gluonfr.core.cuda_devices import Gpu
from gluonfr.deploy import devices as module

OLD, ADA, HOPPER = Gpu(0, "Old", 1 << 30, (3, 7)), Gpu(0, "Ada", 1 << 30, (8, 9)), Gpu(1, "Hopper", 1 << 30, (9, 0))


class Features:
    def __init__(self, cuda):
        self.cuda = cuda

    def is_enabled(self, name):
        return name != "CUDA" or self.cuda


@pytest.fixture
def machine(monkeypatch):
    """Make MXNet a build with or without CUDA that finds some GPUs."""

    def make(gpus, cuda=True):
        monkeypatch.setattr(mx.context, "num_gpus", lambda: len(gpus))
        monkeypatch.setattr(mx.runtime, "Features", lambda: Features(cuda))
        monkeypatch.setattr(module, "list_gpus", lambda: gpus)

    return make


def refused(gpus):
    with pytest.raises(UsageError) as caught:
        module.devices(gpus)
    return str(caught.value)


def test_gpus_that_mxnet_can_use(machine):
    machine([ADA, HOPPER])
    assert module.devices([0]) == [mx.gpu(0)]
    assert module.devices(cpus=2) == [mx.cpu(0), mx.cpu(1)]


def test_a_build_for_cpus_names_the_commands_that_replace_it(machine):
    machine([], cuda=False)
    assert refused([0]) == (
        "gpus=[0]: GPU 0 does not exist, because this is MXNet for CPUs: use CPUs, or run `pip uninstall -y mxnet` and then "
        '`pip install "gluonfr[cu112]"`.'
    )


def test_a_cuda_build_without_a_device_names_the_doctor(machine):
    machine([])
    assert refused([0, 1]) == (
        "gpus=[0, 1]: GPU 0 does not exist, because NVIDIA's driver offers none to this process: use CPUs, or run "
        "`gluonfr doctor` to see why."
    )


def test_a_number_too_high_names_the_gpus_of_the_machine(machine):
    machine([ADA])
    assert refused([0, 3]) == "gpus=[0, 3]: GPU 3 does not exist, this machine has GPUs 0 to 0."


@pytest.mark.parametrize(("gpus", "number"), [([OLD], 0), ([ADA, HOPPER], 1)])
def test_a_gpu_without_code_in_mxnet_is_refused_before_anything_is_computed(machine, gpus, number):
    machine(gpus)
    message = refused([number])
    assert message.startswith(f"gpus=[{number}]: GPU {number} ({gpus[number].name}) has compute capability")
    assert "5.0 to 8.9 only" in message


def test_fewer_than_one_cpu_context_is_refused():
    with pytest.raises(UsageError, match="cpus=0 must be at least 1"):
        module.devices(cpus=0)

"""Training with convolutions in bfloat16, and the scale that float16 needs."""

import json
import os
import subprocess
import sys

import mxnet as mx
import pytest

from gluonfr.core import GluonFRError
from gluonfr.engine import precision, train

# A process of its own: MXNet's casts cannot be taken back.
TRAIN = """
import json, sys
import gluonfr
import gluonfr.deploy.trace, gluonfr.model_zoo
from mxnet import nd
from gluonfr.engine import Run, TrainOptions, train
options = json.loads(sys.argv[1])
run = Run(TrainOptions(**dict(options, dtype="bfloat16")))
kinds = {}

def note(block, inputs, output):
    if isinstance(output, nd.NDArray):
        kinds.setdefault(type(block).__name__, str(output.dtype))

run.net.apply(lambda block: [block.register_forward_hook(note)])
run.net.hybridize(False)
embedding = run.net(nd.ones((2, 3, 32, 32)))
assert str(embedding.dtype) == "<class 'numpy.float32'>", embedding.dtype
assert "bfloat16" in kinds["Conv2D"], kinds
run.net.hybridize(static_alloc=True, static_shape=True)
result = run.train()
assert all(str(p.dtype) in ("float32", "<class 'numpy.float32'>") for p in run.net.collect_params().values())

# What is exported and what validation runs is the graph of float32, whatever its last layers are.
for net, size in ((run.net, 32), (gluonfr.model_zoo.get_model("dlib_resnet29"), 150)):
    net.initialize()
    trace = gluonfr.deploy.trace.Trace(net, (size, size))
    assert trace.embedding_size == net.embedding_size
    assert "amp_cast" not in {node.operator for node in trace.nodes}
print(json.dumps({"auc": result.validation["val_data"].auc}))
try:
    train(**dict(options, out=options["out"] + "2"))
except gluonfr.core.GluonFRError as error:
    print(error)
"""


@pytest.mark.system
def test_a_network_learns_in_bfloat16_and_its_classifier_stays_exact(small_options, tmp_path):
    options = dict(small_options, epochs=12, classifier="sharded", loss="arc")
    done = subprocess.run([sys.executable, "-c", TRAIN, json.dumps(options)], stdout=-1, stderr=-1, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert json.loads(lines[0])["auc"] > 0.9
    assert "this process computes in bfloat16" in lines[1]


@pytest.mark.parametrize(
    ("flags", "context", "dtype"),
    [
        ("avx2 avx512_bf16", mx.cpu(), "bfloat16"),
        ("amx_bf16", mx.cpu(), "bfloat16"),
        ("avx2 avx512f", mx.cpu(), "float32"),
        ("avx512_bf16", mx.gpu(0), "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_cpu_has_instructions_for_it(flags, context, dtype, monkeypatch):
    monkeypatch.setattr(precision, "cpu_info", lambda: {"flags": flags})
    assert precision.choose_dtype([context]) == dtype


def test_the_chosen_type_is_recorded_so_that_the_run_resumes_with_it(small_options, monkeypatch):
    monkeypatch.setattr(precision, "cpu_info", dict)
    result = train(**dict(small_options, epochs=1, dtype="auto"))
    with open(os.path.join(result.folder, "options.json")) as file:
        assert json.load(file)["dtype"] == "float32"
    # The same command continues the finished run instead of refusing another type.
    assert train(**dict(small_options, epochs=1, dtype="auto")).folder == result.folder


def test_float16_is_refused_on_a_cpu():
    with pytest.raises(GluonFRError, match="float16 needs GPUs"):
        precision.use_dtype("float16", [mx.cpu()])


def test_bfloat16_is_refused_on_a_cpu_without_its_instructions(small_options):
    program = (
        "import json, sys, gluonfr\nfrom gluonfr.engine import TrainOptions, train\n"
        "try:\n    train(**dict(json.loads(sys.argv[1]), dtype='bfloat16'))\n"
        "except gluonfr.core.UsageError as error:\n    print(error)\n"
    )
    environment = dict(os.environ, DNNL_MAX_CPU_ISA="SSE41")
    command = [sys.executable, "-c", program, json.dumps(small_options)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("dtype=bfloat16 does not work on cpu(0)")
    assert not os.path.exists(small_options["out"])

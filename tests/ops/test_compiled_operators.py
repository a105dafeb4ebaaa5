"""The library of operators: compiled once, by one of several processes, and never required."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gluonfr.ops import available, build, status

PROGRAM = """
import sys
from mxnet import autograd, nd
from gluonfr.loss import get_loss
from gluonfr.ops import status
loss = get_loss("ArcLoss", classes=3)
value = loss(nd.array([[0.5, 0.1, 0.2]]), nd.array([0])).asscalar()
print(status().used, loss.native, round(float(value), 2), status().reason, sep="|")
"""
# By the formula: the target's logit is 64 cos(pi / 3 + 0.5).
LOSS = f"{np.log1p(np.exp(64 * (np.array([0.1, 0.2]) - np.cos(np.pi / 3 + 0.5))).sum()):.2f}"


def environment(cache, **variables):
    return {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": os.pathsep.join(sys.path), **variables}


def start(env, program=PROGRAM):
    return subprocess.Popen([sys.executable, "-c", program], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out.strip().split("|")


def compiler(folder, lines):
    """A compiler that logs its calls."""
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\necho called >>{folder}/calls\n" + lines)
    path.chmod(0o755)
    return str(path)


def calls(folder):
    return (folder / "calls").read_text().split()


def test_status_states_what_is_used(monkeypatch):
    assert status().used == available()
    assert status().reason
    if status().used:
        assert status().path == build.build_library()
        assert Path(status().path).parent == Path(build.cache_folder())
    monkeypatch.setenv("GLUONFR_OPS", "0")
    assert not available()


def test_the_cache_is_where_the_system_wants_it(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.cache_folder() == str(tmp_path / "gluonfr" / "ops")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert build.cache_folder() == str(tmp_path / "home" / ".cache" / "gluonfr" / "ops")


def test_what_cannot_be_compiled_is_a_reason_and_leaves_no_files(monkeypatch, tmp_path):
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(build.BuildError, match=r"no C\+\+ compiler was found \(no-such-compiler\)"):
        build.build_library()
    failing = "echo 'softmax.cc: error: no omp.h' >&2\necho more >&2\nexit 1\n"
    monkeypatch.setenv("CXX", compiler(tmp_path, failing))
    with pytest.raises(build.BuildError, match="softmax.cc: error: no omp.h"):
        build.build_library()
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert len(list(cache.rglob("*"))) == 3
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(build.BuildError, match="cannot be written .*set XDG_CACHE_HOME"):
        build.build_library()


def test_the_name_depends_on_compiler_cpu_flags_and_source(monkeypatch, tmp_path):
    source = tmp_path / "source.cc"
    source.write_text("one")
    first = compiler(tmp_path, "")
    names = [build._key(first, [source])]
    source.write_text("two")
    names.append(build._key(first, [source]))
    compiler(tmp_path, "# another version\n")
    names.append(build._key(first, [source]))
    monkeypatch.setattr(build, "_cpu", lambda: "another CPU")
    names.append(build._key(first, [source]))
    monkeypatch.setattr(build, "FLAGS", ("-O1",))
    names.append(build._key(first, [source]))
    assert len(set(names)) == len(names)
    assert build._key(first, [source]) == names[-1]


@pytest.mark.system
@pytest.mark.skipif(not available(), reason="no C++ compiler")
def test_of_many_processes_that_start_at_once_one_compiles(tmp_path):
    copy = f'for last; do :; done\ncp {status().path} "$last"\n'
    env = environment(tmp_path / "cache", CXX=compiler(tmp_path, copy))
    processes = [start(env) for _ in range(4)]
    for process in processes:
        assert result(process)[:3] == ["True", "True", LOSS]
    assert calls(tmp_path) == ["called"]
    # The next process finds the file.
    assert result(start(env))[0] == "True"
    assert calls(tmp_path) == ["called"]
    libraries = [path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert sorted(libraries) == [".lock", ".so"]


@pytest.mark.system
def test_without_a_compiler_and_where_they_are_turned_off_losses_use_the_graph(tmp_path):
    cases = [({"CXX": "no-such-compiler"}, "no C++ compiler"), ({"GLUONFR_OPS": "0"}, "GLUONFR_OPS=0")]
    processes = [start(environment(tmp_path, **variables)) for variables, _ in cases]
    broken = tmp_path / "broken"
    broken.mkdir()
    # What a compiler for another machine leaves.
    other = compiler(broken, 'for last; do :; done\necho not a library >"$last"\n')
    processes.append(start(environment(broken, CXX=other)))
    for process, reason in zip(processes, [*(reason for _, reason in cases), "loading failed"]):
        used, native, value, text = result(process)
        assert (used, native, value) == ("False", "False", LOSS)
        assert text.startswith(reason)


@pytest.mark.system
@pytest.mark.skipif(not available(), reason="no C++ compiler")
def test_forked_and_spawned_processes_compute_after_loading(tmp_path):
    program = """
import multiprocessing, os
from mxnet import nd
from gluonfr.loss import get_loss
from gluonfr.ops import status

def compute(_=None):
    loss = get_loss("ArcLoss", classes=3)
    return round(loss(nd.array([[0.5, 0.1, 0.2]]), nd.array([0])).asscalar().item(), 2), loss.native

if __name__ == "__main__":
    from mxnet.gluon.data import ArrayDataset, DataLoader
    convolution = nd.Convolution
    values = [compute()]
    # Loading adds functions and leaves those of MXNet, which may have been wrapped, as they are.
    assert nd.Convolution is convolution
    for batch in DataLoader(ArrayDataset(list(range(8))), batch_size=4, num_workers=2):
        values.append(compute())
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            values += pool.map(compute, range(4))
    print(values)
"""
    script = tmp_path / "program.py"
    script.write_text(program)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"({LOSS}, True)") == 11, done.stdout


@pytest.mark.system
@pytest.mark.skipif(not available(), reason="no C++ compiler")
def test_a_million_classes_need_no_second_matrix():
    # For 8 samples a matrix has 32 MB. Outputs and their gradient exist before; the loss may not need a third matrix.
    program = """
import resource
import numpy as np
from mxnet import autograd, nd
from gluonfr.loss import get_loss
classes, rows = 1_000_000, 8
output = nd.zeros((rows, classes))
output[:, 5] = 0.5
label = nd.array([5, 0, 999_999, 5, 1, 2, 3, 4], dtype="int32")
embedding = nd.ones((rows, 4))
output.attach_grad()
for name in ("ArcLoss", "LSoftmax", "CurricularFace"):
    loss = get_loss(name, classes=classes)
    loss.initialize()
    loss.hybridize(static_alloc=True, static_shape=True)
    inputs = [output, label, embedding][: 2 + loss.spec.needs_embedding]
    nd.waitall()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2):
        with autograd.record():
            value = loss(*inputs)
        value.backward()
        nd.waitall()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = 1024 * (after - before)
    print(name, loss.native, peak, value[1].asscalar(), value[2].asscalar(), output.grad[2, 5].asscalar())
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    others = 1_000_000 - 2
    # By the formulas, for a target of cosine 0: logit of the target, of class 5, and of each other class, and the scale.
    logits = {
        "ArcLoss": (-64 * np.sin(0.5), 32, 0, 64),
        # The length of the embedding is 2, lambda 1500 before the first step, and psi(90 degrees) = -3.
        "LSoftmax": (2 * -3 / 1501, 1, 0, 2),
        # Above the target after the margin, cosines are squared, because t begins at 0; the slope at 0.5 is 2 * 0.5.
        "CurricularFace": (-64 * np.sin(0.5), 64 * 0.25, 0, 64),
    }
    assert set(rows) == set(logits)
    for name, (target, fifth, zero, scale) in logits.items():
        native, peak, *values = rows[name]
        assert native == "True"
        assert int(peak) < 32e6
        total = np.exp(target) + np.exp(fifth) + others * np.exp(zero)
        expected = np.log(total) - target
        # The logits up to 64 have steps of 4e-6 in float32.
        np.testing.assert_allclose([float(value) for value in values[:2]], expected, rtol=2e-5)
        np.testing.assert_allclose(float(values[2]), scale * np.exp(fifth) / total, rtol=2e-4)


@pytest.mark.system
@pytest.mark.skipif(not available(), reason="no C++ compiler")
def test_threads_that_share_the_classes_repeat_bit_for_bit_and_agree_with_one(tmp_path):
    # 5,000 classes are five blocks for three threads; the gradient of the embedding is a sum over all of them.
    program = """
import sys
import numpy as np
from mxnet import autograd, nd
from gluonfr.loss import get_loss
rng = np.random.RandomState(0)
output, label, embedding = nd.array(rng.uniform(-1, 1, (9, 5000))), nd.array(rng.randint(0, 5000, 9)), nd.array(rng.randn(9, 4))
embedding.attach_grad()
loss = get_loss("LSoftmax", classes=5000)
loss.initialize()
loss.norms.set_data(nd.array(rng.uniform(0.5, 1.5, 5000)))
for run in range(4):
    with autograd.record():
        value = loss(output, label, embedding)
    value.backward()
    np.savez(f"{sys.argv[1]}_{run}.npz", norms=loss.norms.grad().asnumpy(), embedding=embedding.grad.asnumpy())
"""
    found = {}
    for threads in ("1", "3"):
        variables = {"OMP_NUM_THREADS": threads, "MXNET_OMP_MAX_THREADS": threads, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", program, str(tmp_path / threads)]
        done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found[threads] = [dict(np.load(tmp_path / f"{threads}_{run}.npz")) for run in range(4)]
        for again in found[threads][1:]:
            for name, gradient in again.items():
                np.testing.assert_array_equal(gradient, found[threads][0][name])
    for name, gradient in found["1"][0].items():
        # Sums of float32 in another order.
        np.testing.assert_allclose(found["3"][0][name], gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.system
def test_the_tests_of_losses_pass_without_the_operators():
    tests = Path(__file__).parents[1]
    files = [str(tests / "loss"), str(tests / "engine" / "test_sharded.py")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not system and not full", *files]
    env = {**os.environ, "GLUONFR_OPS": "0"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_library_calls_its_own_functions_where_mxnet_is_global():
    # As Horovod loads it: libmxnet.so has functions of the same names for another ABI, which ended the process.
    program = """
import gluonfr, ctypes, mxnet.libinfo
from mxnet import nd, autograd
ctypes.CDLL(mxnet.libinfo.find_lib_path()[0], ctypes.RTLD_GLOBAL)
from gluonfr.loss import get_loss
from gluonfr.ops import available
cosines, labels = nd.array([[0.9, 0.1, -0.2], [0.3, 0.4, 0.1]]), nd.array([0, 1])
cosines.attach_grad()
for _ in range(20):
    with autograd.record():
        losses = get_loss("cos", classes=3, s=8, m=0.2)(cosines, labels)
    losses.backward()
print(available(), bool((cosines.grad.abs().sum() > 0).asscalar()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, [str(available()), "True"]), done.stderr

import io
import os
import pickle
import shutil
import sys

import mxnet as mx
import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.detection.joblib_arrays import read_arrays
from gluonfr.detection.mtcnn_weights import load_networks, package_file
from gluonfr.detection.registry import get_detector

lz4 = pytest.importorskip("lz4.frame")


@pytest.fixture(scope="session")
def package():
    try:
        return os.path.dirname(package_file("pnet.lz4"))
    except GluonFRError:
        pytest.skip("the package mtcnn is not installed")


def values(nets):
    return [{name: parameter.data().asnumpy() for name, parameter in net._collect_params_with_prefix().items()} for net in nets]


def test_package_and_mxnet_files_hold_the_same_weights(faces, package):
    for ours, theirs in zip(values(load_networks()), values(load_networks(os.path.join(faces, "weights")))):
        assert set(ours) == set(theirs)
        for name, value in ours.items():
            assert np.array_equal(value, theirs[name]), name


def test_reading_imports_neither_the_package_nor_joblib(package):
    load_networks()
    assert "mtcnn" not in sys.modules
    assert "tensorflow" not in sys.modules


def published(faces, number, image):
    """Outputs of the published symbol and parameters, which expect BGR scaled to -1..1."""
    stem = os.path.join(faces, "weights", f"det{number}")
    symbol, inputs = mx.sym.load(stem + "-symbol.json"), [mx.sym.var("data")]
    given = [mx.nd.array((image[:, ::-1] - 127.5) / 128)]
    if number > 1:
        inputs.append(mx.sym.var("prob1_label"))
        given.append(mx.nd.zeros(len(image)))
    net = mx.gluon.SymbolBlock(symbol, inputs)
    saved = mx.nd.load(stem + "-0001.params")
    for name, parameter in net.collect_params().items():
        parameter._load_init(saved["arg:" + name], mx.cpu())
    return {output.shape[1]: output.asnumpy() for output in net(*given)}


@pytest.mark.parametrize(("number", "side"), [(1, 12), (1, 61), (1, 64), (2, 24), (3, 48)])
@pytest.mark.filterwarnings("ignore:Cannot decide type")
def test_outputs_equal_those_of_the_published_symbols(faces, number, side):
    image = np.random.RandomState(number).randint(0, 256, (3, 3, side, side)).astype(np.float32)
    net = load_networks(os.path.join(faces, "weights"))[number - 1]
    expected = published(faces, number, image)
    for hybrid in (False, True):
        if hybrid:
            net.hybridize(static_alloc=True)
        scores, *rest = (output.asnumpy() for output in net(mx.nd.array(image)))
        assert np.abs(scores - expected[2][:, 1:]).max() < 1e-5
        for output in rest:
            assert np.abs(output - expected[output.shape[1]]).max() < 1e-5
    assert len(expected) == len(rest) + 1


def test_arrays_equal_what_joblib_reads(package):
    joblib = pytest.importorskip("joblib")
    for name in ("pnet", "rnet", "onet"):
        path = os.path.join(package, name + ".lz4")
        mine, theirs = read_arrays(path), joblib.load(path)
        assert len(mine) == len(theirs)
        assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(mine, theirs))


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("/tmp/gluonfr-was-here",)


def bare_pickle(content):
    return pickle.dumps(content, protocol=4)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (bare_pickle(Hostile()), "posix.mkdir"),
        (bare_pickle([Hostile()]), "posix.mkdir"),
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (bare_pickle(np.zeros(3)), "numpy"),
        (bare_pickle([np.dtype("O")]), "numpy.dtype"),
        (bare_pickle([1.5]), "BINFLOAT"),
        (bare_pickle([]), None),
        (bare_pickle({}), "something else than a list"),
        (b"", "not a list of arrays"),
        (b"\x80\x04cnumpy\nndarray\n)\x81.", "no array"),
    ],
)
def test_pickles_of_anything_but_arrays_are_refused(tmp_path, content, word):
    path = tmp_path / "pnet.lz4"
    path.write_bytes(lz4.compress(content))
    if word is None:
        assert read_arrays(path) == []
        return
    with pytest.raises(GluonFRError, match=word) as caught:
        read_arrays(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not os.path.exists("/tmp/gluonfr-was-here")


def test_damaged_files_are_refused(tmp_path, package):
    with open(os.path.join(package, "pnet.lz4"), "rb") as file:
        whole = file.read()
    content = lz4.decompress(whole)
    path = tmp_path / "pnet.lz4"
    for damaged in (
        whole[:2000],
        b"not lz4",
        b"",
        *(lz4.compress(content[:length]) for length in (10, 300, 5000, len(content) - 9)),
    ):
        path.write_bytes(damaged)
        with pytest.raises(GluonFRError, match="pnet.lz4"):
            read_arrays(path)


def test_decompressed_size_is_bounded(tmp_path):
    path = tmp_path / "pnet.lz4"
    path.write_bytes(lz4.compress(bytes(80 << 20)))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(GluonFRError, match="64 MB"):
        read_arrays(path)


def test_array_larger_than_the_file_is_refused(tmp_path, package):
    with open(os.path.join(package, "pnet.lz4"), "rb") as file:
        content = lz4.decompress(file.read())
    path = tmp_path / "pnet.lz4"
    # The first shape (3, 3, 3, 10) becomes (3, 3, 255, 10).
    path.write_bytes(lz4.compress(content.replace(b"(K\x03K\x03K\x03K\n", b"(K\x03K\x03K\xffK\n", 1)))
    with pytest.raises(GluonFRError):
        read_arrays(path)


def test_weights_of_other_networks_are_refused(tmp_path, faces):
    weights = os.path.join(faces, "weights")
    for number in (1, 2, 3):
        shutil.copy(os.path.join(weights, f"det{number}-0001.params"), tmp_path)
    shutil.copy(os.path.join(weights, "det3-0001.params"), tmp_path / "det2-0001.params")
    with pytest.raises(GluonFRError, match="det2-0001.params"):
        get_detector(weights=tmp_path)
    (tmp_path / "det2-0001.params").unlink()
    with pytest.raises(GluonFRError, match="det2-0001.params is missing"):
        get_detector(weights=tmp_path)
    (tmp_path / "det2-0001.params").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(GluonFRError, match="git lfs pull"):
        get_detector(weights=tmp_path)


def test_missing_package_is_reported_with_the_way_to_install_it(monkeypatch):
    import importlib.metadata

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(GluonFRError, match=r"gluonfr\[align\].*det1-0001.params") as caught:
        get_detector()
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(sys, "version_info", (3, 8, 18))
    with pytest.raises(GluonFRError, match="--ignore-requires-python --no-deps mtcnn==1.0.0"):
        get_detector()


def test_missing_lz4_is_reported(monkeypatch, package):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "lz4" else real(name, *rest))
    with pytest.raises(GluonFRError, match="pip install lz4"):
        get_detector()


def test_the_file_is_read_to_its_last_array(package):
    # The arrays' bytes lie between the instructions: reading one byte too few or too many would end in other values.
    buffer = io.BytesIO()
    with open(os.path.join(package, "onet.lz4"), "rb") as file:
        buffer.write(lz4.decompress(file.read()))
    arrays = read_arrays(os.path.join(package, "onet.lz4"))
    assert sum(array.nbytes for array in arrays) > 0.99 * len(buffer.getvalue())
    assert len(arrays) == 21

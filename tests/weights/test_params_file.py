"""The reader of .params against MXNet's own, older formats written by hand, and damaged files."""

import struct

import numpy as np
import pytest
from mxnet import nd

from gluonfr.core import GluonFRError, generator
from gluonfr.weights.params_file import read_params


def test_arrays_equal_those_that_mxnet_saved(tmp_path):
    random = generator(1)
    arrays = {
        f"arg:{dtype}": nd.array(random.integers(0, 100, (2, 3, 4)), dtype=dtype)
        for dtype in ("float32", "float64", "float16", "uint8", "int8", "int32", "int64")
    }
    arrays["aux:one"] = nd.array([2.5])
    nd.save(str(tmp_path / "x.params"), arrays)
    found = read_params(tmp_path / "x.params")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array.asnumpy())


def written(*arrays, names=None):
    names = names or [f"a{i}" for i in range(len(arrays))]
    encoded = b"".join(struct.pack("<Q", len(name)) + name.encode() for name in names)
    return struct.pack("<QQQ", 0x112, 0, len(arrays)) + b"".join(arrays) + struct.pack("<Q", len(names)) + encoded


VALUES = np.arange(6, dtype="<f4")
REST = struct.pack("<iii", 1, 0, 0) + VALUES.tobytes()
OLD = {
    "before 0.12": struct.pack("<III", 2, 2, 3) + REST,
    "V1": struct.pack("<IIqq", 0xF993FAC8, 2, 2, 3) + REST,
    "V2": struct.pack("<Iiiqq", 0xF993FAC9, 0, 2, 2, 3) + REST,
    "V3": struct.pack("<Iiiqq", 0xF993FACA, 0, 2, 2, 3) + REST,
}


@pytest.mark.parametrize("form", OLD)
def test_formats_of_all_versions_are_read(tmp_path, form):
    path = tmp_path / "x.params"
    path.write_bytes(written(OLD[form], OLD["V2"]))
    found = read_params(path)
    np.testing.assert_array_equal(found["a0"], VALUES.reshape(2, 3))
    np.testing.assert_array_equal(found["a1"], found["a0"])
    if form != "V3":  # Which MXNet reads only with NumPy's shapes switched on.
        np.testing.assert_array_equal(nd.load(str(path))["a0"].asnumpy(), found["a0"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (written(struct.pack("<Iiiqq", 0xF993FAC9, 0, 2, 1 << 40, 1 << 40) + REST), "ends at byte"),
        (written(struct.pack("<Iiiqq", 0xF993FAC9, 0, 2, -2, -3) + REST), "shape"),
        (written(struct.pack("<Iii", 0xF993FAC9, 0, 1 << 30)), "dimensions"),
        (written(struct.pack("<I", 1 << 30) + b"\0" * 64), "dimensions"),
        (written(struct.pack("<Iiiqq", 0xF993FAC9, 1, 2, 2, 3) + REST), "storage type 1"),
        (written(OLD["V1"][:-28] + struct.pack("<i", 77) + VALUES.tobytes()), "unknown type 77"),
        (struct.pack("<QQQ", 0x112, 0, 1 << 60), "more than it can contain"),
        (written(OLD["V1"], names=["a", "b"]), "1 arrays and 2 names"),
        (written(OLD["V1"], OLD["V1"], names=["a", "a"]), "same name"),
        (written(OLD["V1"])[:-1] + b"\xff", "not UTF-8"),
    ],
)
def test_wrong_sizes_and_counts_are_refused(tmp_path, content, words):
    path = tmp_path / "x.params"
    path.write_bytes(content)
    with pytest.raises(GluonFRError, match=words):
        read_params(path)


def test_damaged_files_are_read_or_reported_in_one_sentence(tmp_path):
    good = written(*OLD.values())
    random, messages, path = generator(2), [], tmp_path / "x.params"
    for trial in range(1500):
        bad = bytearray(good)
        if trial % 3 == 0:
            bad = bad[: random.integers(1, len(good))]
        else:
            for place in random.integers(0, len(good), 1 + trial % 4):
                bad[place] ^= 1 << random.integers(8)
        path.write_bytes(bytes(bad))
        try:
            read_params(path)
        except GluonFRError as error:
            messages.append(str(error))
    assert len(messages) > 800
    assert all(str(path) in message and "\n" not in message for message in messages)

import codecs
import os
import pickle
import struct
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.data import FRValDataset, read_pairs, write_pairs
from gluonfr.data.pairs import unpickler


def picture(seed):
    small = np.random.RandomState(seed).randint(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.kron(small, np.ones((28, 28, 1), dtype=np.uint8))


def jpeg(seed):
    return cv2.imencode(".jpg", picture(seed)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


IMAGES = [jpeg(seed) for seed in range(4)]
SAME = [True, False]


def load_as_insightface(path):
    with open(path, "rb") as file:
        return pickle.load(file, encoding="bytes")


def put(tmp_path, content):
    path = tmp_path / "set.bin"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, 2))
    return path


def refusal(path):
    with pytest.raises(GluonFRError) as caught:
        read_pairs(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert len(sentence.splitlines()) == 1
    assert len(sentence) < 400
    return sentence


@pytest.mark.parametrize(("name", "pairs", "same"), [("lfw_dev", 1000, 500), ("small_lfw", 10, 10), ("lfw", 6000, 3000)])
def test_real_sets_are_read_as_by_insightface(faces, name, pairs, same):
    path = os.path.join(faces, name + ".bin")
    images, issame = read_pairs(path)
    assert issame.dtype == bool
    assert issame.shape == (pairs,)
    assert issame.sum() == same
    expected, flags = load_as_insightface(path)
    assert images == [bytes(image) for image in expected]
    assert issame.tolist() == list(flags)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize(
    "flags",
    [SAME, (True, False), [1, 0], np.array(SAME), np.array([1, 0]), np.array([1, 0], "uint8"), np.array([1.0, 0.0], ">f4")],
    ids=lambda flags: f"{type(flags).__name__}-{getattr(flags, 'dtype', type(flags[0]).__name__)}",
)
@pytest.mark.parametrize(
    "change",
    [
        bytes,
        lambda image: np.frombuffer(image, np.uint8),
        lambda image: np.frombuffer(image, np.uint8)[None],
        lambda image: np.frombuffer(image, np.uint8)[:, None],
    ],
    ids=["bytes", "array", "row", "column"],
)
def test_every_element_type_and_protocol_is_read(tmp_path, protocol, flags, change):
    images, issame = read_pairs(put(tmp_path, pickle.dumps(([change(image) for image in IMAGES], flags), protocol)))
    assert images == IMAGES
    assert all(type(image) is bytes for image in images)
    assert issame.tolist() == SAME
    assert issame.dtype == bool


def test_numpy_2_names_and_lists_are_read(tmp_path):
    content = pickle.dumps([[np.frombuffer(image, np.uint8) for image in IMAGES], SAME], 2)
    assert b"numpy.core.multiarray" in content
    images, issame = read_pairs(put(tmp_path, content.replace(b"numpy.core.multiarray", b"numpy._core.multiarray")))
    assert images == IMAGES
    assert issame.tolist() == SAME


def python2_string(content):
    return b"T" + struct.pack("<i", len(content)) + content


def test_python_2_strings_are_read(tmp_path):
    # The output of Python 2's cPickle for ([str, ...], [bool, ...]): protocol 2 in binary, protocol 0 as escaped text.
    binary = b"\x80\x02(]q\x01(" + b"".join(python2_string(image) for image in IMAGES) + b"e]q\x02(\x88\x89etq\x03."
    text = (
        b"(lp1\n" + b"".join(b"S'" + codecs.escape_encode(image)[0] + b"'\na" for image in IMAGES) + b"(lp2\nI01\naI00\na\x86."
    )
    for content in (binary, text):
        images, issame = read_pairs(put(tmp_path, content))
        assert images == IMAGES
        assert issame.tolist() == SAME


def test_python_2_arrays_are_read(tmp_path):
    def array(image):
        return (
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR(I1\n(I%d\ntcnumpy\ndtype\n(U\x02u1I0\nI1\ntR"
            b"(I3\nU\x01|NNNI-1\nI-1\nI0\ntbI00\n%stb" % (len(image), python2_string(image))
        )

    content = b"\x80\x02(](" + b"".join(array(image) for image in IMAGES) + b"e](I01\nI00\net."
    assert [bytes(image) for image in pickle.loads(content, encoding="bytes")[0]] == IMAGES
    images, issame = read_pairs(put(tmp_path, content))
    assert images == IMAGES
    assert issame.tolist() == SAME


class Run:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class State:
    def __setstate__(self, state):
        raise AssertionError("a state was set")


def hostile(mark):
    touch = Run(os.system, f"touch {mark}")
    return {
        "posix.system": (([touch] * 4, SAME), ([IMAGES[0], touch] * 2, SAME), (IMAGES, touch), touch),
        "eval": ((IMAGES, Run(eval, f"open({str(mark)!r}, 'w')")),),
        "exec": ((IMAGES, [Run(exec, f"open({str(mark)!r}, 'w')"), False]),),
        "builtin__.getattr|builtins.getattr": ((IMAGES, Run(getattr, "text", "upper")),),
        "numpy.load": ((IMAGES, Run(np.load, "x.npy", None, True)),),
        "not numeric, O8": (([np.array([touch], dtype=object)] * 4, SAME), (IMAGES, np.array([touch, None], dtype=object))),
        "not numeric, V": ((IMAGES, np.zeros(2, dtype=[("a", "O")])), (IMAGES, np.zeros(2, dtype=[("a", "u1")]))),
        "not numeric, U": ((IMAGES, np.array(["a", "b"])),),
        "not numeric, M8": ((IMAGES, np.zeros(2, dtype="M8[s]")),),
        "numpy.core.multiarray.scalar": ((IMAGES, [np.bool_(True), np.bool_(False)]),),
        "numpy.ma.core._mareconstruct": ((IMAGES, np.ma.zeros(2)),),
        "numpy.core.numeric._frombuffer": (pickle.dumps(([np.frombuffer(IMAGES[0], np.uint8)] * 4, SAME), 5),),
        "_codecs.decode": ((IMAGES, Run(codecs.decode, b"x", "latin1")),),
        "encoding utf-7": ((IMAGES, Run(codecs.encode, "x", "utf-7")),),
        "encoding zlib": ((IMAGES, Run(codecs.encode, "x", "zlib")),),
        "encoding rot13": ((IMAGES, Run(codecs.encode, "x", "rot13")),),
        "test_pairs.State": ((IMAGES, State()),),
        "EMPTY_DICT": ((IMAGES, {1: 2}),),
    }


@pytest.mark.parametrize("name", hostile("x"))
def test_other_objects_are_refused_by_name_before_they_run(tmp_path, name):
    mark = tmp_path / "ran"
    for content in hostile(mark)[name]:
        for protocol in [None] if isinstance(content, bytes) else [2, 4]:
            path = put(tmp_path, content if protocol is None else pickle.dumps(content, protocol))
            sentence = refusal(path)
            assert any(part in sentence for part in name.split("|")), sentence
    assert not mark.exists()


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
TWICE = b")q\x00" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(60))

RAW = {
    "os.system by INST": (b"(S'touch x'\nios\nsystem\n.", "os.system"),
    "os.system by OBJ": (b"(cos\nsystem\nU\x01xo.", "os.system"),
    "by STACK_GLOBAL": (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
    "dotted name": (b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.", "numpy.ndarray.dumps"),
    "NEWOBJ of what is allowed": (b"\x80\x02cnumpy\ndtype\n)\x81.", "NEWOBJ"),
    "call of ndarray": (b"\x80\x02cnumpy\nndarray\nM\xff\xff\x85\x85R.", "a call of numpy.ndarray"),
    "reconstruct of dtype": (ARRAY.replace(b"cnumpy\nndarray", b"cnumpy\ndtype") + b".", "_reconstruct of something else"),
    "state of a class": (b"\x80\x02cnumpy\ndtype\n)b.", "a state for type"),
    "state of a list": (b"\x80\x02])b.", "a state for list"),
    "dtype with fields": (b"cnumpy\ndtype\nU\x02u1\x85R(I3\nU\x01|N(U\x01at}I-1\nI-1\nI0\ntb.", "EMPTY_DICT"),
    "dtype with names": (b"cnumpy\ndtype\nU\x02u1\x85R(I3\nU\x01|N(U\x01atNI-1\nI-1\nI0\ntb.", "with fields"),
    "dtype of a list": (b"cnumpy\ndtype\n](U\x02u1e\x85R.", "not numeric, list"),
    "shape beyond the bytes": (
        ARRAY + b"(I1\nJ\xff\xff\xff\x7f\x85cnumpy\ndtype\nU\x02u1\x85RI00\nU\x01xtb.",
        "fill its shape",
    ),
    "negative shape": (ARRAY + b"(I1\nJ\xff\xff\xff\xff\x85cnumpy\ndtype\nU\x02u1\x85RI00\nU\x01xtb.", "impossible shape"),
    "shape of 2**60 parts": (TWICE + ARRAY + b"(I1\nh\x3ccnumpy\ndtype\nU\x02u1\x85RI00\nU\x01xtb.", "impossible shape"),
    "list as array bytes": (ARRAY + b"(I1\nK\x01\x85cnumpy\ndtype\nU\x02u1\x85RI00\n]tb.", "fill its shape"),
    "raw object dtype": (ARRAY + b"(I1\nK\x01\x85cnumpy\ndtype\nU\x02O8\x85RI00\n]tb.", "not numeric, O8"),
    "persistent id": (b"Pname\n.", "PERSID"),
    "binary persistent id": (b"\x80\x02NQ.", "BINPERSID"),
    "extension": (b"\x80\x02\x82\x01.", "EXT1"),
    "bytearray of 2**50": (b"\x80\x05\x96" + struct.pack("<Q", 1 << 50) + b"x.", "BYTEARRAY8"),
    "bytes of 2**60": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.", "not a pickled"),
    "memo of 2**32": (b"\x80\x02]r\xff\xff\xff\xff.", "not a pickled"),
    "text encoded again and again": (
        b"\x80\x02c_codecs\nencode\nq\x00X"
        + struct.pack("<I", 10**5)
        + b"x" * 10**5
        + b"q\x01]("
        + b"h\x00h\x01U\x06latin1\x86R" * 9999
        + b"e.",
        "more text than the file holds",
    ),
    "unprintable names": (b"cos\x1b[2J\nsy\rstem\n.", "os?[2J.sy?stem"),
    "2**60 in a tuple": (TWICE + b".", "issame"),
    "nothing": (b"", "truncated"),
    "text": (b"<html>not found</html>" * 9, "fetch"),
    "stack of nothing": (b"\x80\x02ae.", "truncated"),
    "another object": (pickle.dumps([1, 2, 3]), "not a pickled"),
}


@pytest.mark.parametrize("name", RAW)
def test_hostile_instructions_are_refused(tmp_path, name):
    content, words = RAW[name]
    assert words in refusal(put(tmp_path, content))


def test_truncated_pickles_are_refused(tmp_path):
    for content in (
        pickle.dumps((IMAGES[:2], [True]), 2),
        pickle.dumps(([np.frombuffer(IMAGES[0], np.uint8)] * 2, np.ones(1)), 4),
    ):
        for end in [*range(0, len(content), 97), *range(len(content) - 150, len(content))]:
            refusal(put(tmp_path, content[:end]))


@pytest.mark.parametrize(
    ("loaded", "words"),
    [
        ((IMAGES[:1], [True]), "1 images for 1 pairs"),
        ((IMAGES[:3], [True]), "3 images for 1 pairs"),
        ((IMAGES[:2], SAME), "2 images for 2 pairs"),
        ((IMAGES[:2], []), "2 images for 0 pairs"),
        (([], []), "0 images"),
        ((IMAGES[:2], [2]), "issame"),
        ((IMAGES[:2], [None]), "issame"),
        ((IMAGES[:2], ["yes"]), "issame"),
        ((IMAGES[:2], np.array([np.nan])), "issame"),
        ((IMAGES, np.eye(2)), "issame"),
        ((IMAGES[:2], None), "issame"),
        ((IMAGES[0], [True]), "pickled pair"),
        ((IMAGES[:3] + ["text"], SAME), "image 1 of pair 1 is str"),
        (pickle.dumps((IMAGES[:2] + [b"", b"x"], SAME), 3), "image 0 of pair 1 is empty"),
        ((IMAGES[:3] + [np.zeros((2, 2, 3), np.uint8)], SAME), "image 1 of pair 1"),
        ((IMAGES[:3] + [np.zeros(9, np.float32)], SAME), "image 1 of pair 1"),
    ],
)
def test_pickles_of_other_contents_are_refused(tmp_path, loaded, words):
    assert words in refusal(put(tmp_path, loaded))


def test_a_missing_file_is_named(tmp_path):
    assert "cannot be read" in refusal(tmp_path / "absent.bin")
    assert "cannot be read" in refusal(tmp_path)


def test_written_sets_are_read_by_insightfaces_loader(tmp_path):
    path = tmp_path / "new" / "set.bin"
    given = [IMAGES[0], np.frombuffer(IMAGES[1], np.uint8), picture(2), mx.nd.array(picture(3), dtype=np.uint8)]
    write_pairs(path, given, np.array(SAME))
    images, issame = read_pairs(path)
    assert images == IMAGES
    assert issame.tolist() == SAME
    theirs, flags = load_as_insightface(path)
    assert theirs == IMAGES
    assert all(type(image) is bytes for image in theirs)
    assert flags == SAME
    assert type(flags) is list
    assert path.read_bytes()[:2] == b"\x80\x02"


@pytest.mark.parametrize(
    ("images", "issame", "words"),
    [
        (IMAGES[:3], SAME, "3 images for 2 pairs"),
        (IMAGES, [True], "4 images for 1 pairs"),
        ([], [], "issame"),
        (IMAGES, [True, 2], "issame"),
        (IMAGES, [True, None], "issame"),
        (IMAGES, [[True], [False]], "issame"),
        (IMAGES[:3] + [b"no image"], SAME, "image 1 of pair 1 does not decode"),
        (IMAGES[:3] + [IMAGES[3][:-200]], SAME, "image 1 of pair 1 does not decode"),
        (IMAGES[:3] + [picture(0).astype(float)], SAME, "image 1 of pair 1 must be uint8"),
    ],
)
def test_invalid_pairs_leave_the_previous_file(tmp_path, images, issame, words):
    path = tmp_path / "set.bin"
    path.write_bytes(b"old")
    with pytest.raises(GluonFRError, match=words):
        write_pairs(path, images, issame)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["set.bin"]


def test_a_dataset_refuses_a_hostile_file(tmp_path):
    put(tmp_path, (IMAGES, Run(os.system, f"touch {tmp_path / 'ran'}")))
    with pytest.raises(GluonFRError, match=r"set\.bin: refused, it holds posix\.system"):
        FRValDataset("set", root=tmp_path)
    assert not Path(tmp_path, "ran").exists()


@pytest.mark.parametrize("code", [b"]", b"(", b"N\x94"], ids=["lists", "marks", "memo"])
def test_pickles_of_too_many_instructions_are_refused(code, monkeypatch, tmp_path):
    # Each of these bytes creates an object of 60 to 100 bytes.
    monkeypatch.setattr(unpickler, "_MOST_INSTRUCTIONS", 1000)
    path = tmp_path / "set.bin"
    path.write_bytes(b"\x80\x04" + code * 1000 + b".")
    with pytest.raises(GluonFRError, match="more than 1,000 instructions"):
        read_pairs(path)
    path.write_bytes(pickle.dumps(([cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()] * 2, [True]), 4))
    assert len(read_pairs(path)[0]) == 2

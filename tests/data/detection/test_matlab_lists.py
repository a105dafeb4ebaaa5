"""Lists of WIDER FACE as MATLAB files are read in a process of their own, which a damaged file may crash."""

import contextlib
import random

import numpy as np
import pytest
from scipy.io import savemat

from gluonfr.core import DataError
from gluonfr.data.detection import folder as detection_folder
from gluonfr.data.detection.folder import SUBSETS, read_detection_folder


def cell(*values):
    cells = np.empty((len(values), 1), object)
    cells[:, 0] = values
    return cells


def write_list(path, numbers, **options):
    lists = {"event_list": cell("0--Parade"), "file_list": cell(cell("a")), "gt_list": cell(cell(np.array([numbers]).T))}
    savemat(path, lists, **options)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "label.txt").write_text("# 0--Parade/a.jpg\n1 2 20 20\n30 2 20 20\n60 2 20 20\n")
    for name, numbers in zip(SUBSETS, ([3], [1, 3], [1, 2, 3])):
        write_list(tmp_path / f"wider_{name}_val.mat", numbers)
    return tmp_path


def test_numbers_of_faces_count_from_one(folder):
    subsets = read_detection_folder(folder).subsets
    assert [subsets[name][0].tolist() for name in SUBSETS] == [[False, False, True], [True, False, True], [True, True, True]]


@pytest.mark.parametrize("numbers", [[0], [4]])
def test_numbers_without_a_face_are_refused(folder, numbers):
    write_list(folder / "wider_hard_val.mat", numbers)
    with pytest.raises(DataError, match="does not fit the annotations"):
        read_detection_folder(folder)


def test_a_reader_that_crashes_is_reported(folder, monkeypatch):
    # As SciPy's reader does on some damaged files.
    program = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr(detection_folder, "_READ_MATLAB", program)
    with pytest.raises(DataError, match=r"wider_easy_val\.mat: is not a list of WIDER FACE \(the reader crashed"):
        read_detection_folder(folder)


@pytest.mark.system
def test_a_list_that_unpacks_to_too_much_memory_is_refused(folder, monkeypatch):
    # 128 MB of zeros, 128 KB compressed.
    monkeypatch.setattr(detection_folder, "_MATLAB_MEMORY", 64 << 20)
    write_list(folder / "wider_easy_val.mat", np.zeros(1 << 24), do_compression=True)
    with pytest.raises(DataError, match="is not a list of WIDER FACE"):
        read_detection_folder(folder)


@pytest.mark.system
def test_damaged_lists_are_read_or_refused(folder):
    path = folder / "wider_easy_val.mat"
    intact = path.read_bytes()
    for seed in range(8):
        source, content = random.Random(seed), bytearray(intact)
        for _ in range(4):
            content[source.randrange(128, len(content))] = source.randrange(256)
        path.write_bytes(bytes(content)[: source.choice((len(content), len(content) - 1, 200))])
        with contextlib.suppress(DataError):
            assert set(read_detection_folder(folder).subsets) == set(SUBSETS)

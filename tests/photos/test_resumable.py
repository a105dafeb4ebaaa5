"""Work that is saved block by block."""

import os

import numpy as np
import pytest

from gluonfr.core import GluonFRError, UsageError
from gluonfr.photos.resumable import Blocks, require_new_output, work_folder, working_in


def test_blocks_are_read_again_by_another_run(tmp_path):
    folder = str(tmp_path / "w")
    blocks = Blocks(folder, {"network": ["x", None], "flip": True})
    blocks.write("a", rows=np.arange(6.0).reshape(3, 2))
    blocks.write("b", rows=np.ones((1, 2)))
    again = Blocks(folder, {"network": ("x", None), "flip": True})
    assert "a" in again
    assert "c" not in again
    stacked = again.stacked(["a", "b"], "rows", "all.f32", (4, 2), np.float32)
    assert stacked.tolist() == [[0, 1], [2, 3], [4, 5], [1, 1]]
    with open(os.path.join(folder, "b.npz"), "wb") as file:
        file.write(b"cut off")
    with pytest.raises(GluonFRError, match="b.npz is damaged .* Delete it"):
        again.read("b", "rows")
    with pytest.raises(GluonFRError, match="unfinished work with another flip"):
        Blocks(folder, {"network": ["x", None], "flip": False})
    os.unlink(os.path.join(folder, "settings.json"))
    with pytest.raises(GluonFRError, match="contains other files"):
        Blocks(folder, {})


def interrupted(folder, error, *keys):
    """Write blocks and raise an error."""
    with working_in(folder):
        blocks = Blocks(folder, {})
        for key in keys:
            blocks.write(key, rows=np.ones(1))
        raise error


def test_unfinished_work_remains_and_finished_work_is_removed(tmp_path):
    folder = work_folder(str(tmp_path / "out"))
    with pytest.raises(KeyboardInterrupt):
        interrupted(folder, KeyboardInterrupt, "a")
    assert os.listdir(tmp_path) == [".out.unfinished"]
    with working_in(folder):
        assert "a" in Blocks(folder, {})
        with pytest.raises(GluonFRError, match="another process works in it"), working_in(folder):
            pass
    assert not os.listdir(tmp_path)
    # A run that failed before its first block leaves nothing.
    with pytest.raises(KeyError):
        interrupted(folder, KeyError)
    assert not os.listdir(tmp_path)
    with working_in(folder, keep=True):
        Blocks(folder, {}).write("a", rows=np.ones(1))
    assert os.path.isdir(folder)


def test_files_of_other_programs_are_not_removed(tmp_path):
    folder = work_folder(str(tmp_path / "out"))
    with working_in(folder):
        # The same command a second time, before anything is done.
        with pytest.raises(GluonFRError, match="another process works in it"), working_in(folder):
            pass
        Blocks(os.path.join(folder, "set"), {}).write("a", rows=np.ones(1))
    os.makedirs(folder)
    (tmp_path / ".out.unfinished" / "mine.txt").write_text("mine")
    with pytest.raises(GluonFRError, match="other files than unfinished work"), working_in(folder):
        pass
    assert os.listdir(folder) == ["mine.txt"]


def test_work_of_a_finished_output_is_removed(tmp_path):
    out = tmp_path / "sorted"
    with working_in(work_folder(str(out)), keep=True) as work:
        Blocks(work, {}).write("0", rows=np.arange(3))
    assert require_new_output(out) == str(out)
    assert os.path.isdir(work)
    out.mkdir()
    (out / "result.csv").write_text("done")
    with pytest.raises(UsageError, match="exists already"):
        require_new_output(out)
    assert not os.path.exists(work)

"""Work that is kept block by block."""

import os

import numpy as np
import pytest

from gluonfr.core import GluonFRError
from gluonfr.photos.resumable import Blocks, work_folder, working_in


def test_blocks_are_there_again_and_whole(tmp_path):
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
    with pytest.raises(GluonFRError, match="b.npz is damaged .* delete it"):
        again.read("b", "rows")
    with pytest.raises(GluonFRError, match="unfinished work with another flip"):
        Blocks(folder, {"network": ["x", None], "flip": False})
    os.unlink(os.path.join(folder, "settings.json"))
    with pytest.raises(GluonFRError, match="holds something else"):
        Blocks(folder, {})


def test_unfinished_work_stays_and_finished_work_goes(tmp_path):
    folder = work_folder(str(tmp_path / "out"))
    with pytest.raises(KeyboardInterrupt), working_in(folder):
        Blocks(folder, {}).write("a", rows=np.ones(1))
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == [".out.unfinished"]
    with working_in(folder):
        assert "a" in Blocks(folder, {})
        with pytest.raises(GluonFRError, match="another process works in it"), working_in(folder):
            pass
    assert not os.listdir(tmp_path)
    # What failed before anything was done leaves nothing.
    with pytest.raises(KeyError), working_in(folder):
        Blocks(folder, {})
        raise KeyError
    assert not os.listdir(tmp_path)
    with working_in(folder, keep=True):
        Blocks(folder, {}).write("a", rows=np.ones(1))
    assert os.path.isdir(folder)


def test_work_of_others_stays(tmp_path):
    folder = work_folder(str(tmp_path / "out"))
    with working_in(folder):
        # The same command a second time, before anything is done.
        with pytest.raises(GluonFRError, match="another process works in it"), working_in(folder):
            pass
        Blocks(os.path.join(folder, "set"), {}).write("a", rows=np.ones(1))
    os.makedirs(folder)
    (tmp_path / ".out.unfinished" / "mine.txt").write_text("mine")
    with pytest.raises(GluonFRError, match="something else than unfinished work"), working_in(folder):
        pass
    assert os.listdir(folder) == ["mine.txt"]

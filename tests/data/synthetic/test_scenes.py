"""Rendered scenes: faces where the labels say, and the same files from any number of processes."""

import os
import shlex
import subprocess
import sys

import numpy as np
import pytest

from gluonfr.core import DataError, UsageError
from gluonfr.data.detection.folder import read_detection_folder
from gluonfr.data.synthetic.render_pool import render_all
from gluonfr.data.synthetic.scenes import make_scenes, render_scene


def test_any_number_of_processes_writes_the_same_files(tmp_path):
    for workers in (1, 3):
        make_scenes(str(tmp_path / str(workers)), 7, first=2, size=96, progress=False, workers=workers)
    names = sorted(os.listdir(tmp_path / "1"))
    assert names == [*(f"{number:06d}.jpg" for number in range(2, 9)), "label.txt"]
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes(), name


def test_the_labels_are_the_boxes_and_landmarks_of_the_scenes(tmp_path):
    make_scenes(str(tmp_path / "scenes"), 5, first=1, progress=False, workers=2)
    folder = read_detection_folder(str(tmp_path / "scenes"))
    for number, faces in zip(range(1, 6), folder.faces):
        scene = render_scene(number)
        np.testing.assert_allclose(faces.boxes, scene.boxes, atol=0.011)
        visible = (scene.landmarks >= 0).all(axis=2)
        np.testing.assert_allclose(faces.landmarks[visible], scene.landmarks[visible], atol=0.011)
        # The format marks the others by -1.
        assert (faces.landmarks[~visible] < 0).all() or np.isnan(faces.landmarks[~visible]).all()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("given", [{"size": 32}, {"first": -1}, {"seed": -1}, {"first": 2**64 - 1}])
def test_arguments_are_checked_before_processes_start(given, workers, tmp_path):
    with pytest.raises(UsageError, match=next(iter(given))):
        make_scenes(str(tmp_path / "scenes"), 2, progress=False, workers=workers, **given)
    assert not os.listdir(tmp_path)


def _end(number):
    if number == 3:
        os._exit(1)
    return number


_FORKED = """
import os, threading
from gluonfr.data.synthetic.render_pool import render_all
lock = threading.Lock()
# A child that is forked now waits forever for this lock in its handler.
os.register_at_fork(after_in_child=lambda: (lock.acquire(), lock.release()))
with lock:
    assert list(render_all(abs, range(-5, 0), workers=2)) == [5, 4, 3, 2, 1]
"""


@pytest.mark.parametrize("end", ["", "2>&-"])
def test_processes_do_not_inherit_what_threads_hold_and_need_no_standard_error(end, tmp_path):
    # Modules in the current folder are not those of the child.
    for name in ("queue.py", "random.py"):
        (tmp_path / name).write_text("raise SystemExit(3)")
    script = tmp_path / "scripts" / "render.py"
    script.parent.mkdir()
    script.write_text(_FORKED)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(os.path.isabs, sys.path))}
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} {end}"
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=env, timeout=120, check=False)
    assert done.returncode == 0


def test_a_process_that_ends_or_cannot_start_is_reported(monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    rendered = render_all(_end, range(5), workers=2)
    assert [next(rendered) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="ended early"):
        next(rendered)
    monkeypatch.setattr(sys, "executable", "/missing/python")
    with pytest.raises(DataError, match="cannot be started .*use fewer workers"):
        next(render_all(abs, range(5), workers=2))

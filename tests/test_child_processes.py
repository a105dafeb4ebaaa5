"""Child processes import the modules of their parent, and none of the folder in which the command was called."""

import cv2
import numpy as np
import pytest
from onnx import TensorProto, helper, save
from scipy.io import savemat

from gluonfr.apps.serve.decoding import PhotoDecoder
from gluonfr.data.detection.folder import _read_matlab
from gluonfr.deploy.onnx_trial import try_onnx

MODULES = ("json", "runpy", "resource", "numpy", "scipy", "cv2", "onnxruntime", "gluonfr")


def decode_a_photo(folder):
    with PhotoDecoder() as decoder:
        photo = cv2.imencode(".png", np.full((64, 72, 3), 200, np.uint8))[1].tobytes()
        assert decoder.decode(photo).shape == (64, 72, 3)


def read_a_matlab_list(folder):
    path = folder / "wider_easy_val.mat"
    savemat(path, {name: np.empty((0, 1), object) for name in ("event_list", "file_list", "gt_list")})
    assert _read_matlab(str(path), []) == []


def try_a_model(folder):
    shapes = (["N", 3, 8, 8], ["N", 192])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip(("x", "y"), shapes)]
    graph = helper.make_graph([helper.make_node("Flatten", ["x"], ["y"])], "graph", ends[:1], ends[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(folder / "face.onnx"))
    try_onnx(str(folder / "face.onnx"), (8, 8))


@pytest.mark.parametrize("start_child", [decode_a_photo, read_a_matlab_list, try_a_model])
def test_modules_of_the_current_folder_are_not_imported(start_child, tmp_path, monkeypatch):
    current, folder = tmp_path / "current", tmp_path / "files"
    current.mkdir()
    folder.mkdir()
    marker = tmp_path / "imported"
    for name in MODULES:
        (current / f"{name}.py").write_text(f"open({str(marker)!r}, 'w').close()\nraise SystemExit(3)\n")
    monkeypatch.chdir(current)
    start_child(folder)
    assert not marker.exists()

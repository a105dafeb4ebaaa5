"""Exported detectors find the same faces."""

import json

import mxnet as mx
import numpy as np
import pytest

from gluonfr.cli import main
from gluonfr.core import GluonFRError
from gluonfr.data.synthetic.scenes import render_scene
from gluonfr.deploy.detector_export import decode_predictions, export_detector
from gluonfr.detection.retinaface import RetinaFace
from gluonfr.detection.retinaface_network import RetinaFaceNetwork
from gluonfr.detection.saved import DetectorCard, load_detector, save_detector


def same_faces(found, expected):
    # The best threshold of floats: a score that is nearly the threshold may fall on either side.
    assert len(found.scores) == len(expected.scores)
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


def test_onnx_runtime_finds_the_faces_of_the_published_network(faces, tmp_path):
    ort = pytest.importorskip("onnxruntime")
    net, card = load_detector(f"{faces}/weights")
    assert export_detector(net, card, tmp_path / "detector.onnx", image_size=(160, 160)) < 1e-4
    image = render_scene(3, size=160).image
    session = ort.InferenceSession(str(tmp_path / "detector.onnx"), providers=["CPUExecutionProvider"])
    data = image.transpose(2, 0, 1)[None].astype(np.float32) / 255
    predictions = session.run(["predictions"], {"data": data})[0]
    with open(tmp_path / "detector.card.json") as file:
        values = json.load(file)
    assert values["image_size"] == [160, 160]
    assert values["strides"] == [32, 16, 8]
    found = decode_predictions(predictions[0], DetectorCard.from_dict(values), (160, 160))
    expected = RetinaFace((net, card), min_size=20).detect(image)
    # Landmarks of a detector are centers of pixels, half a pixel less.
    same_faces(found._replace(landmarks=found.landmarks - 0.5), expected)
    assert len(expected.scores)


@pytest.fixture
def saved(tmp_path):
    net = RetinaFaceNetwork(channels=4)
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, 3, 64, 64)))
    (tmp_path / "best").mkdir()
    save_detector(net, str(tmp_path / "best"), DetectorCard(channels=4))
    return tmp_path / "best"


def test_the_command_writes_a_symbol_that_mxnet_reads(saved, tmp_path, capsys):
    out = tmp_path / "detector"
    assert main(["export", "--model", str(saved), "--out", str(out), "--image-size", "64,96"]) == 0
    assert "detector-symbol.json" in capsys.readouterr().out
    block = mx.gluon.SymbolBlock.imports(f"{out}-symbol.json", ["data"], f"{out}-0000.params")
    # 2 * 3 places of the coarsest stride, 4 * 6 and 8 * 12, with two anchors each.
    assert block(mx.nd.zeros((2, 3, 64, 96))).shape == (2, 2 * (6 + 24 + 96), 16)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dtype", "float16"], "float32 only"),
        (["--image-size", "64,100"], "multiples of 32"),
        (["--out", "d.txt"], "ends in .txt"),
    ],
)
def test_exports_that_cannot_work_are_refused(saved, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--model", str(saved), "--out", "detector.onnx", *words]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best"]


def test_a_size_that_is_no_multiple_is_refused(saved, tmp_path):
    with pytest.raises(GluonFRError, match="multiples of 32"):
        export_detector(*load_detector(saved), tmp_path / "d.onnx", image_size=(33, 64))

"""The notebook runs in a Jupyter kernel of this Python and shows correct results."""

import ast
import base64
import importlib
import json
import re
import sys
from pathlib import Path

import cv2
import matplotlib.font_manager  # noqa: F401  (its first import on a machine prints a message, which must not appear in the notebook)
import numpy as np
import pytest

from gluonfr.data import synthetic

nbformat = pytest.importorskip("nbformat", reason="nbformat, which reads notebooks, is not installed")
NotebookClient = pytest.importorskip("nbclient", reason="nbclient, which runs notebooks, is not installed").NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "examples" / "notebooks" / "first_steps.ipynb"
PICTURES = ("people", "show-pairs", "curves", "roc", "histogram", "picture", "hard-same", "hard-different")
VALUES = """
import json
import sys

print(json.dumps({
    "python": sys.executable,
    "loss": [row["loss"] for row in history],
    "accuracy": {kind: result.accuracy for kind, result in results.items()},
    "embeddings": embeddings.tolist(),
    "issame": pairs.issame,
    "people": people.tolist(),
    "hardest": [evaluation.hardest(True, 8).tolist(), evaluation.hardest(False, 8).tolist()],
}))
"""


def execute(notebook, folder, monkeypatch):
    """Run the notebook and a final cell that prints its values; return the outputs by cell, and the values."""
    kernel = folder / "kernels" / "this"
    kernel.mkdir(parents=True)
    arguments = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": arguments, "display_name": "this", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(folder))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    notebook.cells.append(nbformat.v4.new_code_cell(VALUES, id="values"))
    NotebookClient(notebook, timeout=600, kernel_name="this", resources={"metadata": {"path": str(folder)}}).execute()
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    values = json.loads(text(outputs.pop("values")))
    assert values["python"] == sys.executable
    return outputs, values


def text(outputs):
    return "".join(output.text for output in outputs if output.output_type == "stream")


def pictures(outputs):
    """Return the figures by cell, as arrays."""
    pngs = {
        name: [output.data["image/png"] for output in found if "image/png" in output.get("data", {})]
        for name, found in outputs.items()
    }
    assert all(len(found) <= 1 for found in pngs.values())
    return {
        name: cv2.imdecode(np.frombuffer(base64.b64decode(found[0]), np.uint8), cv2.IMREAD_COLOR)
        for name, found in pngs.items()
        if found
    }


def quiet(outputs):
    """Return whether no cell warns or fails."""
    return {output.get("name", output.output_type) for found in outputs.values() for output in found} <= {
        "stdout",
        "display_data",
        "execute_result",
    }


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        return execute(nbformat.read(NOTEBOOK, 4), tmp_path_factory.mktemp("notebook"), monkeypatch)


@pytest.mark.system
def test_the_network_learns(executed):
    outputs, values = executed
    loss = values["loss"]
    assert len(loss) == 220
    assert loss[-1] < loss[0] / 4
    assert np.mean(loss[-20:]) < np.mean(loss[:20]) / 4
    # Over four seeds: 0.900 to 0.943, against 0.645 to 0.675 of the raw pixels.
    accuracy = values["accuracy"]
    assert accuracy["network"] > 0.86
    assert accuracy["network"] > accuracy["raw pixels"] + 0.15
    assert f"step 200: loss {loss[199]:.2f}" in text(outputs["loop"])
    for kind, value in accuracy.items():
        assert f"{kind}: accuracy {value:.3f} +- " in text(outputs["accuracy"])


@pytest.mark.system
def test_the_metrics_follow_from_the_embeddings(executed):
    outputs, values = executed
    embeddings, issame = np.array(values["embeddings"]).reshape(600, 2, 128), np.array(values["issame"])
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=2), 1, atol=1e-5)
    cosines = (embeddings[:, 0] * embeddings[:, 1]).sum(axis=1)
    genuine, impostors = cosines[issame], np.sort(cosines[~issame])[::-1]
    assert len(genuine) == len(impostors) == 300
    # The accuracy at the best threshold of all pairs is close to that at the thresholds of the folds.
    best = max(((cosines > cosine) == issame).mean() for cosine in cosines)
    assert best - 0.04 < values["accuracy"]["network"] <= best + 1e-9
    printed = text(outputs["evaluate"])
    for far, allowed in [(0.1, 30), (0.01, 3)]:
        found = re.search(rf"FAR {far:g}: TAR ([0-9.]+), same person if the cosine is above ([0-9.]+)", printed)
        assert float(found.group(1)) == pytest.approx((genuine > impostors[allowed]).mean(), abs=6e-4)
        assert impostors[allowed] - 6e-4 < float(found.group(2)) < impostors[allowed - 1] + 6e-4
    assert "FAR 0.001: 300 pairs of different people are too few for this rate" in printed
    assert re.search(r"3 of 300\s+pairs\s+of\s+different\s+people", printed)
    same, different = values["hardest"]
    order = np.argsort(cosines, kind="stable")
    np.testing.assert_allclose(cosines[same], cosines[order[issame[order]][:8]], atol=1e-6)
    np.testing.assert_allclose(cosines[different], cosines[order[~issame[order]][::-1][:8]], atol=1e-6)


@pytest.mark.system
def test_the_people_of_the_pairs_are_read(executed):
    _, values = executed
    people = np.array(values["people"])
    assert ((people[:, 0] == people[:, 1]) == values["issame"]).all()
    assert len(np.unique(people)) == 100


@pytest.mark.system
def test_every_figure_is_shown_without_warnings(executed):
    outputs, _ = executed
    assert quiet(outputs)
    shown = pictures(outputs)
    assert sorted(shown) == sorted(PICTURES)
    for name, picture in shown.items():
        height, width = picture.shape[:2]
        assert height > 180, name
        assert 600 < width < 1800, name
        assert picture.std() > 20, name
    # The blue of the first curve, person and bars (#0072B2, here BGR).
    for name in ("curves", "roc", "histogram"):
        assert (shown[name] == (0xB2, 0x72, 0x00)).all(axis=2).sum() > 300, name


@pytest.mark.system
def test_the_notebook_runs_on_another_set(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    # Fewer images than a batch, and no table of the people on the pairs.
    synthetic.make_dataset(
        str(folder), identities=6, images_per_identity=4, val_identities=20, val_pairs=20, seed=3, progress=False
    )
    (folder / "val_data.bin").rename(folder / "holidays.bin")
    (folder / "val_data.pairs.csv").unlink()
    notebook = nbformat.read(NOTEBOOK, 4)
    for name, old, new in [
        ("data-of-your-own", "MY_DATA = None", f'MY_DATA = ("{folder}", "holidays")'),
        ("loop", "STEPS, RATE = 64, 220, 0.1", "STEPS, RATE = 64, 3, 0.1"),
    ]:
        (cell,) = (cell for cell in notebook.cells if cell.id == name)
        assert old in cell.source
        cell.source = cell.source.replace(old, new)
    outputs, values = execute(notebook, tmp_path / "run", monkeypatch)
    assert "training set: 24 images of 6 people" in text(outputs["open"])
    assert "verification set: 20 pairs, 10 of the same person, 10 of different people" in text(outputs["open"])
    assert len(values["loss"]) == 3
    assert np.isfinite(values["loss"]).all()
    assert quiet(outputs)
    assert sorted(pictures(outputs)) == sorted(PICTURES)


def test_the_notebook_is_committed_with_small_outputs():
    notebook = nbformat.read(NOTEBOOK, 4)
    nbformat.validate(notebook)
    shown = {cell.id for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output}
    assert shown == set(PICTURES)
    assert quiet({cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"})
    assert NOTEBOOK.stat().st_size < 500_000


def test_the_imports_of_the_notebook_exist():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    lines = "\n".join(line for source in sources for line in source.splitlines() if not line.startswith("%"))
    for node in ast.walk(ast.parse(lines)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, name.name) for name in node.names), node.module

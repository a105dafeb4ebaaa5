"""The notebooks beside `first_steps.ipynb` run, and give what is committed, apart from differences between machines."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat, which reads notebooks, is not installed")
NotebookClient = pytest.importorskip("nbclient", reason="nbclient, which runs notebooks, is not installed").NotebookClient

FOLDER = Path(__file__).parent.parent / "examples" / "notebooks"
NOTEBOOKS = sorted(path for path in FOLDER.glob("*.ipynb") if path.stem != "first_steps")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
# Accuracies of small networks and sets; a wrong result differs by more, and counts of images and people not at all.
TOLERANCE = 0.25


def outputs(notebook):
    """Return the printed text and the kinds of rich outputs by cell."""
    found = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            text = "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stdout")
            text += "".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs if not has_picture(output))
            found[cell.id] = (text, sum(map(has_picture, cell.outputs)))
    return found


def has_picture(output):
    return bool({"image/png", "image/jpeg"} & set(output.get("data", {})))


@pytest.mark.system
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_gives_the_committed_outputs(path, tmp_path, monkeypatch):
    kernel = tmp_path / "kernels" / "this"
    kernel.mkdir(parents=True)
    arguments = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": arguments, "display_name": "this", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(path, 4)
    committed = outputs(notebook)
    client = NotebookClient(notebook, timeout=900, kernel_name="this", resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    for cell, (text, pictures) in outputs(notebook).items():
        wanted, wanted_pictures = committed[cell]
        assert pictures == wanted_pictures, cell
        # Names of temporary files differ.
        text, wanted = (re.sub(r"'/[^']*'", "PATH", part) for part in (text, wanted))
        assert NUMBER.sub("#", text) == NUMBER.sub("#", wanted), cell
        for number, wanted_number in zip(NUMBER.findall(text), NUMBER.findall(wanted)):
            if "." not in wanted_number and text.startswith(("FRVal", "1347")):
                assert number == wanted_number, cell
            elif abs(float(wanted_number)) <= 4:
                assert float(number) == pytest.approx(float(wanted_number), abs=TOLERANCE), (cell, text, wanted)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_is_small_and_has_its_outputs(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert os.path.getsize(path) < 600_000
    found = outputs(notebook)
    assert any(pictures for _, pictures in found.values())
    assert any(text for text, _ in found.values())
    assert not any(output.output_type == "error" for cell in notebook.cells for output in cell.get("outputs", []))

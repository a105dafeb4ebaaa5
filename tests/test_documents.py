"""The README and the documentation: commands, snippets and links are correct, and snippets run as written."""

import ast
import importlib
import os
import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from gluonfr.cli import _parser, main
from gluonfr.cli.dash_values import protect_values
from gluonfr.data import synthetic
from gluonfr.weights.store import add_model

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [path.name for path in PAGES]

# Commands that are parsed and not run, by a part of the line, with the reason.
NOT_RUN = {
    "--gpus": "needs GPUs",
    "--hosts": "needs several machines",
    "--workers 4 --sync": "several processes are tested in tests/engine/distributed",
    "gluonfr serve": "runs until it is stopped; tested in tests/apps/serve",
    "gluonfr fetch": "downloads LFW",
    "gluonfr doctor": "its status depends on the machine; tested in tests/apps",
    "gluonfr demo": "takes minutes; the same steps are the commands of start.md",
    "milvus://": "needs a server; tested in tests/apps/gallery",
    "gluonfr megaface": "needs the files of the benchmark; tested in tests/cli",
    "gluonfr ijb": "needs the files of the benchmark; tested in tests/cli",
    "gluonfr runs": "needs runs; tested in tests/apps/runs",
    "--from runs/arc": "needs a run; tested in tests/engine/test_tracking.py",
    "--dataset celeb": "trains for minutes or longer on data that is not public; results are in the page",
    "--dataset emore": "trains for hours; start.md trains",
    "gluonfr train --dataset mine": "trains for 20 epochs; start.md trains",
    "party.mp4": "needs a video and a gallery; tested in tests/photos",
    "sorted/ --gallery": "is an alternative to the line before",
    "gluonfr clean emore": "needs hundreds of people; tested in tests/cli",
    "--folder FOLDER": "has placeholders",
    "CROPS OUT": "has placeholders",
    "PHOTOS ~": "has placeholders",
    "photo ids": "has placeholders",
    "--draw SET": "has placeholders",
    "split SET": "has placeholders",
    "--draw val": "follows a command with placeholders",
    "sets/mine": "is output of an example",
    "gluonfr evaluate-detector": "needs WIDER FACE; tested in tests/cli",
    "gluonfr pack-detection": "needs WIDER FACE; tested in tests/cli",
    "gluonfr train-detector": "trains for minutes; tested in tests/engine/test_detector_run.py",
    "runs/wider-detector": "needs a trained detector; tested in tests/detection and tests/deploy",
    "--detector mine": "needs a stored detector; tested in tests/detection",
    "--detector runs/": "needs a trained detector; tested in tests/detection",
    "--move-photo": "has the id of a photo; tested in tests/cli",
    "--remove-photo": "has the source of a photo; tested in tests/cli",
}
# Snippets of Python that are checked and not run, by page and a part of the snippet.
PYTHON_NOT_RUN = {
    ("scaling.md", "1_000_000"): "takes gigabytes",
    ("models.md", "gluon:"): "tested in tests/model_zoo",
    ("detection.md", "train_detector"): "trains for hours; tested in tests/engine/test_detector_run.py",
    ("detection.md", "decode_predictions"): "needs an exported detector; tested in tests/deploy/test_detector_export.py",
}


def fenced(path, language):
    """Return the fenced snippets of a page in a language."""
    text = path.read_text(encoding="utf-8")
    return [found[1] for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)]


def commands(path):
    """Return the command lines of a page: in fenced or indented blocks, with continued lines joined."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    indented = [line for line in text.splitlines() if re.match(r"    (\$ )?(\w+=\S+ )?(gluonfr|pip|make|python) ", line)]
    lines = [line.strip() for line in indented] + [line for snippet in fenced(path, "bash") for line in snippet.splitlines()]
    return [re.sub(r"^(\$ )?(\w+=\S+ )*", "", line.strip()) for line in lines if line.strip()]


def words_of(line):
    return shlex.split(re.sub(r"[\[\]]", "", line) if not line.startswith("pip") else line, comments=True)


def test_commands_are_found():
    assert len(commands(ROOT / "README.md")) > 10
    assert sum(len(commands(path)) for path in PAGES) > 70


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_commands_exist_with_their_options(path):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    extras = set(re.findall(r'^        "([\w-]+)": ', (ROOT / "setup.py").read_text(encoding="utf-8"), re.MULTILINE))
    for line in commands(path):
        program, *words = words_of(line)
        if program == "gluonfr":
            parser, chosen = _parser(words)
            assert chosen is not None, line
            parser.parse_args(protect_values(words, chosen))
        elif program == "make":
            assert words[0] in targets, line
        elif program == "python":
            assert words[0] == "-m" or (ROOT / words[0]).is_file(), line
        elif program == "pip":
            named = re.findall(r"(?:gluonfr|\.)\[([\w,-]+)\]", line)
            assert set(",".join(named).split(",")) - {""} <= extras, line


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_links_lead_to_files(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        # Pages of the reference are generated with the site.
        if not target.startswith(("http", "reference/")):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_names_that_snippets_import_exist(path):
    for snippet in fenced(path, "python"):
        for node in ast.walk(ast.parse(snippet)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("gluonfr"):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, name.name) for name in node.names), (node.module, snippet)


def test_badges_are_true():
    badge = (ROOT / "docs" / "images" / "badge-python.svg").read_text(encoding="utf-8")
    low, above = re.search(r'python_requires=">=([\d.]+),<3\.(\d+)"', (ROOT / "setup.py").read_text(encoding="utf-8")).groups()
    assert f">{low} to 3.{int(above) - 1}<" in badge


@pytest.fixture(scope="module")
def prepared(faces, tmp_path_factory):
    """A folder with the files that the pages name, and a home with the sets and one stored model."""
    folder = tmp_path_factory.mktemp("work")
    photos = Path(faces) / "photos" / "people"
    people = sorted(path.name for path in photos.iterdir())[:4]
    for place in ("people", "photos", "known", "new"):
        for name in people:
            (folder / place / name).mkdir(parents=True)
            files = sorted((photos / name).glob("*.jpg"))
            for file in files[2:5] if place == "new" else files[:3]:
                shutil.copy(file, folder / place / name / file.name)
    os.rename(folder / "people" / people[0], folder / "people" / "Ann Lee")
    os.rename(folder / "people" / people[1], folder / "people" / "A. Lee")
    os.rename(folder / "people" / people[2], folder / "people" / "Ann Smith")
    first = sorted((photos / people[0]).glob("*.jpg"))
    for number, name in enumerate(("a.jpg", "b.jpg", "new.jpg", "one.jpg", "photo.jpg")):
        shutil.copy(first[number % len(first)], folder / name)
    root = folder / ".mxnet" / "datasets" / "face"
    synthetic.make_dataset(str(root / "emore"), 12, 4, 20, 100, progress=False)
    for name in ("lfw", "cfp_fp", "agedb_30"):
        shutil.copy(root / "emore" / "val_data.bin", root / f"{name}.bin")
    shutil.copy(root / "lfw.bin", folder / "lfw.bin")
    weights = Path(faces) / "weights"
    for file in weights.glob("mobilefacenet-y1*"):
        shutil.copy(file, folder / file.name)
    add_model("y1", str(weights / "mobilefacenet-y1-symbol.json"), str(folder / ".mxnet" / "models" / "face"))
    shutil.copytree(folder / ".mxnet" / "models" / "face" / "y1", folder / "RUN" / "best")
    shutil.copytree(folder / "RUN" / "best", folder / "runs" / "mine" / "best")
    return folder


@pytest.fixture
def workspace(prepared, tmp_path):
    """A copy for one page, so that the pages do not depend on each other."""
    return Path(shutil.copytree(prepared, tmp_path / "work"))


def run_page(path, workspace, monkeypatch):
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("HOME", str(workspace))
    for line in commands(path):
        if line.startswith("gluonfr") and not any(part in line for part in NOT_RUN):
            words = [os.path.expanduser(word) for word in words_of(line)[1:]]
            # Photos of so few people are partly left out, which is status 1.
            assert main([*words, "--quiet"]) in (0, 1), line
    crop = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    names = {
        "photo": cv2.cvtColor(cv2.imread(str(workspace / "photo.jpg")), cv2.COLOR_BGR2RGB),
        "crops": crop,
        "images": np.zeros((2, 3, 112, 112), np.float32),
        "distances": np.r_[np.linspace(0.2, 1, 2000), np.linspace(1.2, 2, 2000)],
        "issame": np.arange(4000) < 2000,
        # 20 pairs per person; the second half with another person.
        "people": np.arange(4000)[:, None] // 20 + np.where(np.arange(4000) < 2000, 0, 1000)[:, None] * [0, 1],
        "gaps": np.array(["small", "large"] * 2000),
    }
    for snippet in fenced(path, "python"):
        if not any(page == path.name and part in snippet for page, part in PYTHON_NOT_RUN):
            exec(compile(snippet, path.name, "exec"), names)


@pytest.mark.system
@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_pages_run_as_written(path, workspace, monkeypatch):
    sets = workspace / ".mxnet" / "datasets" / "face"
    if "models --add" in path.read_text(encoding="utf-8"):
        shutil.rmtree(workspace / ".mxnet" / "models" / "face" / "y1")
    if path.name == "training.md":
        # The set that start.md renders.
        shutil.copytree(sets / "emore", sets / "faces")
    if path.name == "export.md":
        # Stands in for a downloaded file of the same name.
        monkeypatch.chdir(workspace)
        assert main(["export", "--model", "RUN/best", "--out", "w600k_r50.onnx", "--quiet"]) == 0
    run_page(path, workspace, monkeypatch)

"""Who may import whom: downwards only, and rooms on one floor know nothing of each other."""

import ast
from pathlib import Path

import gluonfr

ROOT = Path(gluonfr.__file__).parent
FLOORS = [
    ("core",),
    ("loss", "nn"),
    ("model_zoo", "metrics"),
    ("align",),
    ("data",),
    ("deploy", "viz"),
    ("engine", "gallery"),
    ("serve",),
    ("cli",),
]
HEIGHT = {room: number for number, floor in enumerate(FLOORS) for room in floor}
# Old import paths: a room of its own that only points at others.
HEIGHT["utils"] = 1


def imports():
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                # `from gluonfr import viz` names the room among its names.
                names = [f"gluonfr.{each.name}" for each in node.names] if node.module == "gluonfr" else [node.module]
            elif isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            else:
                assert not (isinstance(node, ast.ImportFrom) and node.level), f"{place} imports relatively"
                continue
            for name in names:
                yield place, name


def test_every_room_has_a_floor():
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms <= set(HEIGHT)


def test_imports_go_downwards_only():
    wrong = []
    for place, name in imports():
        parts = name.split(".")
        if parts[0] == "examples":
            wrong.append(f"{place} imports {name}")
        if parts[0] != "gluonfr" or len(parts) == 1 or parts[1] == "__version__" or len(place.parts) == 1:
            continue
        here, there = place.parts[0], parts[1]
        if here != there and HEIGHT[here] <= HEIGHT[there]:
            wrong.append(f"{place} imports {name}")
    assert not wrong


def test_the_ground_floor_does_not_wait_for_mxnet():
    # core is imported before MXNet can be, because it is what makes MXNet importable.
    for place, name in imports():
        if place.parts[0] == "core" and place.name != "compat.py":
            assert not name.startswith("mxnet"), place


def test_heavy_packages_are_imported_where_they_are_used():
    top = {"tensorboard", "gluoncv", "lz4", "onnx", "onnxruntime", "torch", "pymilvus", "milvus", "faiss"}
    for path in ROOT.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not top & {name.split(".")[0] for name in names}, path

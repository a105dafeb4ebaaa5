"""Who may import whom: downwards only, no cycles between files, rooms on one floor know nothing of each other."""

import ast
from pathlib import Path

import gluonfr

ROOT = Path(gluonfr.__file__).parent
FLOORS = [
    ("core",),
    ("ops",),
    ("loss", "nn"),
    ("model_zoo", "metrics"),
    ("align", "weights"),
    ("data", "detection"),
    ("photos",),
    ("viz", "deploy"),
    ("engine", "evaluation"),
    ("apps",),
    ("cli",),
]
HEIGHT = {room: number for number, floor in enumerate(FLOORS) for room in floor}
# Import paths of gluon-face: a room of its own that only points at others.
HEIGHT["utils"] = 1
# The version number, below everything.
HEIGHT["version"] = -1


def module_of(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports():
    """(module, imported module) for every import of the package, those inside functions included."""
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not node.level, f"{module} imports relatively"
                for name in node.names:
                    full = f"{node.module}.{name.name}"
                    yield module, full if full in MODULES else node.module
            elif isinstance(node, ast.Import):
                yield from ((module, name.name) for name in node.names)


def room_of(module):
    parts = module.split(".")
    return parts[1] if parts[0] == "gluonfr" and len(parts) > 1 else None


def test_every_room_has_a_floor():
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms <= set(HEIGHT)


def test_imports_go_downwards_only():
    wrong = []
    for module, target in imports():
        here, there = room_of(module), room_of(target)
        if target.split(".")[0] == "examples":
            wrong.append(f"{module} imports {target}")
        if here not in HEIGHT or there is None:
            continue
        if here != there and HEIGHT[here] <= HEIGHT[there]:
            wrong.append(f"{module} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_apps_do_not_import_each_other():
    wrong = []
    for module, target in imports():
        here, there = (name.split(".")[2:3] for name in (module, target))
        both_apps = room_of(module) == room_of(target) == "apps" and here and there
        if both_apps and here != there and (here, there) != (["serve"], ["gallery"]):
            wrong.append(f"{module} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_no_import_cycle_between_files():
    edges = {module: set() for module in MODULES}
    for module, target in imports():
        if target in MODULES and target != module:
            edges[module].add(target)
    # Drop files that import nothing that is left, and files that nothing left imports: what remains are the cycles.
    while True:
        used = set().union(*edges.values())
        left = {module: targets & set(edges) for module, targets in edges.items() if targets & set(edges) and module in used}
        if left == edges:
            break
        edges = left
    assert not edges, "\n".join(f"{module} -> {', '.join(sorted(targets))}" for module, targets in edges.items())


def test_core_does_not_import_mxnet():
    # core is imported before MXNet can be, because it is what makes MXNet importable.
    for module, target in imports():
        if room_of(module) == "core" and MODULES[module].name not in ("compat.py", "mxnet_graphs.py", "mxnet_internals.py"):
            assert not target.startswith("mxnet"), module


def test_heavy_packages_are_imported_where_they_are_used():
    top = {"tensorboard", "gluoncv", "lz4", "onnx", "onnxruntime", "torch", "pymilvus", "milvus", "faiss"}
    for path in ROOT.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not top & {name.split(".")[0] for name in names}, path


def own_lines(function):
    """Lines of a function without its docstring and without the functions in it."""
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= first.end_lineno - first.lineno + 1
    nested = [node for node in ast.walk(function) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return lines - sum(node.end_lineno - node.lineno + 1 for node in nested if node in function.body)


def test_folders_files_and_functions_stay_small():
    large = []
    for folder in {path.parent for path in MODULES.values()}:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        if len(modules) > 20:
            large.append(f"{folder.relative_to(ROOT)} has {len(modules)} modules")
    for module, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > 350:
            large.append(f"{module} has {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and own_lines(node) > 50:
                large.append(f"{module}.{node.name} has {own_lines(node)} lines")
    assert not large, "\n".join(large)


def test_every_public_class_and_function_has_an_example():
    # Commands have their examples in their help, which the tests of the command line run.
    lacking = []
    for module, path in MODULES.items():
        if room_of(module) == "cli" or any(part.startswith("_") and part != "__init__" for part in module.split(".")):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            public = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("_")
            if public and ">>>" not in (ast.get_docstring(node) or ""):
                lacking.append(f"{module}.{node.name}")
    assert not lacking, "\n".join(lacking)

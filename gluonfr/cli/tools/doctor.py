from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any, Iterator

from gluonfr.cli.arguments import add_json, write_json


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr doctor`."""
    add_json(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr doctor`; the status is 1 when there is a problem, and 0 when only optional parts are missing."""
    from gluonfr.apps.doctor import examine

    found = examine()
    write_json(arguments, found)
    print(f"gluonfr {found['gluonfr']}, Python {found['python']}, {found['system']}")
    for title in ("problems", "hints"):
        for number, sentence in enumerate(found[title], 1):
            print(f"{title[:-1]} {number}: {sentence}")
    if not found["problems"]:
        print("no problems found")
    print()
    for lines in (_mxnet(found), _gpus(found), _cpu(found), _horovod(found["horovod"]), _packages(found)):
        print(*lines, sep="\n")
    return 1 if found["problems"] else 0


def _mxnet(found: dict[str, Any]) -> Iterator[str]:
    mxnet, cuda = found["mxnet"], found["cuda"]
    packages = ", ".join(f"{name} {version}" for name, version in mxnet["packages"].items())
    if mxnet["version"]:
        onednn = "with" if "MKLDNN" in mxnet["features"] else "without"
        yield f"MXNet: {mxnet['version']} ({packages or 'no package'}), {onednn} oneDNN, {mxnet['path']}"
    else:
        yield f"MXNet: does not work ({packages or 'no package is installed'})"
    if cuda:
        yield f"CUDA: {cuda['cuda'] or 'missing'}, cuDNN {cuda['cudnn'] or 'missing'}, NCCL {cuda['nccl'] or 'missing'}"
        yield from (f"  {library['name']:20}{library['path'] or library['error']}" for library in cuda["libraries"])


def _gpus(found: dict[str, Any]) -> Iterator[str]:
    driver = found["driver"]
    if driver:
        yield f"driver: {driver['version'] or 'unknown version'}, supports CUDA {driver['cuda'] or 'unknown'}, {driver['path']}"
    else:
        yield "driver: none of NVIDIA"
    for gpu in found["gpus"]:
        yield f"GPU {gpu['index']}: {gpu['name']}, {gpu['memory'] / 2**30:.1f} GiB, compute capability {gpu['capability']}"
    if not found["gpus"]:
        yield "GPUs: none"


def _cpu(found: dict[str, Any]) -> Iterator[str]:
    cpu = found["cpu"]
    settings = ", ".join(f"{name}={value}" for name, value in cpu["settings"].items() if value is not None)
    yield f"CPU: {cpu['cores']} cores, {cpu['threads']} OpenMP threads{f' ({settings})' if settings else ''}"
    yield from (f"  {path}" for path in cpu["openmp"])
    operators = found["operators"]
    if operators:
        yield f"native operators: {'used' if operators['used'] else 'not used'} ({operators['reason']})"


def _horovod(horovod: dict[str, Any] | None) -> Iterator[str]:
    if horovod is None:
        yield "distributed training: needs MXNet"
    elif horovod["works"]:
        yield "distributed training: Horovod (--sync horovod) and ps-lite (--sync ps) work"
    else:
        yield f"distributed training: ps-lite (--sync ps) works, Horovod does not ({horovod['why']}). To build Horovod:"
        yield from (f"  {line}" for line in horovod["commands"])


def _packages(found: dict[str, Any]) -> Iterator[str]:
    yield "packages:"
    yield from (f"  {name:26}{version or 'missing'}" for name, version in found["packages"].items())
    yield "extras:"
    for extra, state in found["extras"].items():
        versions = ", ".join(f"{name} {version or 'missing'}" for name, version in state["packages"].items())
        cure = f"; for {state['purpose']}, run `{state['install']}`" if state["install"] else ""
        yield f"  {extra:10}{versions}{cure}"

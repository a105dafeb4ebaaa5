from __future__ import annotations

from gluonfr.cli.arguments import add_json, write_json


def add_arguments(parser) -> None:
    add_json(parser, "what was found")


def run(arguments) -> int:
    from gluonfr.engine.doctor import examine

    found = examine()
    write_json(arguments, found)
    print(f"gluonfr {found['gluonfr']}, MXNet {found['mxnet']}, Python {found['python']}, {found['system']}")
    for name, version in found["packages"].items():
        needed = " (needed)" if name in found["missing"] else ""
        print(f"  {name:26}{version or '-'}{needed}")
    print(f"devices: {found['cores']} cores, {found['gpus'] or 'no'} GPUs that this MXNet sees")
    horovod = found["horovod"]
    if horovod["works"]:
        print("several processes: Horovod works with this MXNet (--sync horovod), and ps-lite, which needs nothing (--sync ps)")
    else:
        print(f"several processes: ps-lite works (--sync ps); Horovod does not ({horovod['why']}). To build it:")
        print(*(f"  {line}" for line in horovod["commands"]), sep="\n")
    return 1 if found["missing"] or not horovod["works"] else 0

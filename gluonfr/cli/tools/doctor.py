from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_json, write_json


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr doctor`."""
    add_json(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr doctor`."""
    from gluonfr.apps.doctor import examine

    found = examine()
    write_json(arguments, found)
    print(f"gluonfr {found['gluonfr']}, MXNet {found['mxnet']}, Python {found['python']}, {found['system']}")
    for name, version in found["packages"].items():
        required = " (required)" if name in found["missing"] else ""
        print(f"  {name:26}{version or '-'}{required}")
    print(f"devices: {found['cores']} cores, {found['gpus'] or 'no'} GPUs that MXNet can use")
    horovod = found["horovod"]
    if horovod["works"]:
        print("distributed training: Horovod (--sync horovod) and ps-lite (--sync ps) work")
    else:
        print(f"distributed training: ps-lite (--sync ps) works, Horovod does not ({horovod['why']}). To build Horovod:")
        print(*(f"  {line}" for line in horovod["commands"]), sep="\n")
    return 1 if found["missing"] or not horovod["works"] else 0

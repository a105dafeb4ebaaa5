from __future__ import annotations

import inspect
from argparse import ArgumentParser, Namespace

from gluonfr.cli.tables import print_table

_BATCHES = {"any": "any", "all devices": "of all devices together", "identities": "several images per person"}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr losses`."""
    parser.add_argument("name", nargs="?", help="print the formula, the paper and the arguments of this loss")


def run(arguments: Namespace) -> int:
    """Run `gluonfr losses`."""
    from gluonfr.loss import get_loss
    from gluonfr.loss.registry import LOSSES

    if arguments.name:
        loss = LOSSES.get(arguments.name)
        found = inspect.signature(loss).parameters.values()
        shown = [str(one.replace(annotation=one.empty)) for one in found if one.kind is not one.VAR_KEYWORD]
        print(f"{loss.__name__}({', '.join(shown)})\n\n{inspect.getdoc(loss)}")
        return 0
    rows = []
    for name in LOSSES.names():
        spec = get_loss(name, classes=10, embedding_size=8).spec
        rows.append((name, ", ".join(LOSSES.aliases(name)), spec.input_kind, _BATCHES[spec.batch]))
    print_table(rows, ["loss", "other names", "input", "batches"])
    print("\n`gluonfr losses NAME` describes a loss. `gluonfr train --loss NAME --loss-args s=32,m=0.4` uses it.")
    return 0

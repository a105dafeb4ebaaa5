"""Arguments and output that the commands on records share."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Sized

TRAINING_SET = "training set: a name below --root, a folder with train.rec, or a .rec"
ANY_SET = "training or verification set: a name below --root, a folder with train.rec, a .rec or a .bin"


def add_skip_damaged(parser: ArgumentParser) -> None:
    """Add `--skip-damaged`."""
    parser.add_argument("--skip-damaged", action="store_true", help="leave out damaged images instead of stopping")


def print_written(left_out: Sized, *folders: str) -> int:
    """Print which folders were written and what was left out; returns the exit status."""
    from gluonfr.core import display_path

    damaged = f"; {len(left_out)} damaged images or pairs left out" if left_out else ""
    print(f"wrote {' and '.join(map(display_path, folders))}{damaged}")
    return 1 if left_out else 0

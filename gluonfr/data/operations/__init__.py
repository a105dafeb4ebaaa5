"""Make sets from sets: shuffle, merge, split and relabel. The inputs are only read."""

from __future__ import annotations

from gluonfr.data.operations.merge import merge, relabel
from gluonfr.data.operations.shuffle import shuffle
from gluonfr.data.operations.split import split

__all__ = ["merge", "relabel", "shuffle", "split"]

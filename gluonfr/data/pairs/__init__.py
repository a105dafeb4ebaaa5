"""Verification pairs: `NAME.bin` and the table `NAME.pairs.csv` beside it."""

from __future__ import annotations

from gluonfr.data.pairs.bin_file import read_pairs, write_pairs
from gluonfr.data.pairs.table import PairTable, read_pair_table, table_path, write_pair_table

__all__ = ["PairTable", "read_pair_table", "read_pairs", "table_path", "write_pair_table", "write_pairs"]

"""What a fuzz target is."""

from typing import Callable, NamedTuple, Optional


class Target(NamedTuple):
    """A reader.

    Attributes
    ----------
    seeds : callable
        `seeds(folder)` writes intact inputs, each into a folder of its own.
    read : callable
        `read(folder)` reads an input completely. It may raise GluonFRError or PhotoError, and nothing else.
    repair : callable, optional
        `repair(folder)` corrects checksums, so that the reader sees what is behind them.
    """

    seeds: Callable[[str], None]
    read: Callable[[str], object]
    repair: Optional[Callable[[str], None]] = None

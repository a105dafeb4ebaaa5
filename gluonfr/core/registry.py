from __future__ import annotations

import difflib
from typing import Any, Callable, TypeVar

from gluonfr.core.errors import UsageError

_Maker = TypeVar("_Maker")


class Registry:
    """Named constructors of one kind; names are found regardless of case, dashes, underscores and spaces.

    Parameters
    ----------
    kind : str
        What the names are names of ("loss", "network"), for messages.

    Examples
    --------
    >>> losses = Registry("loss")
    >>> @losses.register("ArcLoss", "arcface")
    ... def make():
    ...     return "a loss"
    >>> losses.get("Arc-Face")()
    'a loss'
    >>> losses.names()
    ['ArcLoss']
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._names: dict[str, Any] = {}
        self._makers: dict[str, Any] = {}
        self._aliases: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}, {len(self._names)} names)"

    def register(self, name: str, *aliases: str) -> Callable[[_Maker], _Maker]:
        """Return a decorator that registers a constructor under `name`, which is listed, and `aliases`, which are not."""

        def add(maker: _Maker) -> _Maker:
            for alias in (name, *aliases):
                known = self._makers.get(_fold(alias))
                if known is not None and known is not maker:
                    raise ValueError(f"the {self.kind} name {alias!r} is used already")
                self._makers[_fold(alias)] = maker
            self._aliases.update(dict.fromkeys(aliases, name))
            self._names[name] = maker
            return maker

        return add

    def names(self) -> list[str]:
        """Return the listed names, sorted."""
        return sorted(self._names)

    def aliases(self, name: str) -> list[str]:
        """Return the other names of a listed name, in the order of registration."""
        return [alias for alias, listed in self._aliases.items() if listed == name]

    def get(self, name: str) -> Any:
        """Return the constructor of a name, or raise `UsageError` with the nearest and all known names."""
        if not isinstance(name, str):
            raise UsageError(f"the name of a {self.kind} must be a string, got {name!r}; known: {', '.join(self.names())}.")
        maker = self._makers.get(_fold(name))
        if maker is None:
            names = {spelling.lower(): spelling for spelling in (*self._aliases, *self._names)}
            nearest = difflib.get_close_matches(name.lower(), names, 1, 0.6)
            hint = f"did you mean {names[nearest[0]]!r}? " if nearest else ""
            raise UsageError(f"unknown {self.kind} {name!r}: {hint}known are {', '.join(self.names())}.")
        return maker


def _fold(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")

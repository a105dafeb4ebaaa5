from __future__ import annotations

import difflib

from gluonfr.core.errors import GluonFRError


def _fold(name):
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


class Registry:
    """Named constructors of one kind. Names are found whatever their case, dashes and underscores.

    Parameters
    ----------
    kind : str
        What the names stand for ("loss", "network"), used in messages.
    """

    def __init__(self, kind) -> None:
        self.kind = kind
        self._names = {}
        self._makers = {}

    def register(self, name, *aliases):
        """Decorator: `name` is listed, `aliases` are accepted too."""

        def add(maker):
            for each in (name, *aliases):
                known = self._makers.get(_fold(each))
                if known is not None and known is not maker:
                    raise ValueError(f"the {self.kind} name {each!r} is taken")
                self._makers[_fold(each)] = maker
            self._names[name] = maker
            return maker

        return add

    def names(self):
        """The listed names, sorted."""
        return sorted(self._names)

    def get(self, name):
        """The constructor called `name`; an unknown name raises GluonFRError with the nearest and all known names."""
        if not isinstance(name, str):
            raise GluonFRError(f"a {self.kind} is asked for by its name, got {name!r}; known: {', '.join(self.names())}.")
        maker = self._makers.get(_fold(name))
        if maker is None:
            near = difflib.get_close_matches(name.lower(), [each.lower() for each in self.names()], 1, 0.6)
            hint = next((f"did you mean {each!r}? " for each in self.names() if near and each.lower() == near[0]), "")
            raise GluonFRError(f"unknown {self.kind} {name!r}: {hint}known are {', '.join(self.names())}.")
        return maker

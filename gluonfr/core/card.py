from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from gluonfr.core.errors import GluonFRError
from gluonfr.core.files import atomic_file

DISTANCES = ("cosine", "euclidean")
COLORS = ("RGB", "BGR")
# As cards of earlier versions spell them.
_OLD_NAMES = {"colour": "color", "licence": "license"}


@dataclass
class Card:
    """What must be known to use a network: embedding, alignment, verification and galleries read it, nobody asks the user.

    Attributes
    ----------
    network : str
        Name in the model zoo; empty for a graph from elsewhere, which runs as it is.
    arguments : dict
        Of `get_model`, besides `classes`.
    embedding_size : int
        0 when unknown.
    image_size : (H, W), default (112, 112)
        Of the crops that the network takes.
    template : str, default 'arcface'
        Where the five landmarks lie on a crop: a name of `gluonfr.align.templates`.
    distance : {'cosine', 'euclidean'}
        What compares two embeddings: of the normalized or of the raw vectors.
    license : str
        Under which the weights may be used.
    thresholds : list of dict
        Each `far`, `similarity` (accept from this similarity on) and `measured_on`.
    color : {'RGB', 'BGR'}
        What a foreign graph takes. Networks of the zoo take RGB.
    mean, std : float or list of 3 floats
        A foreign graph takes (pixel - mean) / std, pixels 0..255. Networks of the zoo take pixel / 255.
    output : str
        Name of a foreign graph's output that is the embedding; empty for its only one.
    sha256 : str
        Of the file with the parameters; empty when not recorded.
    trained_on : str
        Training set.
    extra : dict
        Whatever else stands in the card's file, kept as it is.
    """

    network: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    embedding_size: int = 0
    image_size: tuple[int, int] = (112, 112)
    template: str = "arcface"
    distance: str = "cosine"
    license: str = "not stated"
    thresholds: list[dict[str, Any]] = field(default_factory=list)
    color: str = "RGB"
    mean: Any = 0.0
    std: Any = 255.0
    output: str = ""
    sha256: str = ""
    trained_on: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def to_dict(self):
        """Plain Python, for JSON; what stands in `extra` lies beside the rest."""
        values = asdict(self)
        extra = values.pop("extra")
        return {**values, "image_size": list(self.image_size), **extra}

    def write(self, path) -> None:
        """Write the card as JSON, whole or not at all."""
        with atomic_file(path, "w", encoding="utf-8") as file:
            json.dump(self.to_dict(), file, indent=1)
            file.write("\n")

    @classmethod
    def from_dict(cls, values, where="the card"):
        """The card of a dict; unknown names go into `extra`. GluonFRError names the entry that cannot be."""
        if not isinstance(values, dict):
            raise GluonFRError(f"{where} is no network's card: expected names and values, got {type(values).__name__}.")
        values = {_OLD_NAMES.get(name, name): value for name, value in values.items()}
        known = {each.name for each in fields(cls)} - {"extra"}
        card = cls(
            **{name: value for name, value in values.items() if name in known},
            extra={name: value for name, value in values.items() if name not in known},
        )
        card._check(where)
        card.image_size = tuple(card.image_size)
        return card

    @classmethod
    def read(cls, path):
        """The card in a JSON file."""
        path = os.path.abspath(os.path.expanduser(os.fspath(path)))
        try:
            with open(path, encoding="utf-8") as file:
                values = json.load(file)
        except FileNotFoundError as error:
            raise GluonFRError(f"{path} is missing: it says what the network beside it takes and gives.") from error
        except (OSError, ValueError) as error:
            raise GluonFRError(f"{path} is no network's card ({error}); restore it.") from error
        return cls.from_dict(values, path)

    def _check(self, where) -> None:
        for name in ("network", "template", "license", "output", "sha256", "trained_on"):
            self._need(where, name, isinstance(getattr(self, name), str), "text")
        self._need(where, "arguments", isinstance(self.arguments, dict), "names and values")
        size = self.image_size
        whole = isinstance(size, (list, tuple)) and len(size) == 2 and all(_is_whole(each) and each > 0 for each in size)
        self._need(where, "image_size", whole, "height and width")
        self._need(where, "embedding_size", _is_whole(self.embedding_size) and self.embedding_size >= 0, "a whole number")
        self._need(where, "distance", self.distance in DISTANCES, f"one of {', '.join(DISTANCES)}")
        self._need(where, "color", self.color in COLORS, f"one of {', '.join(COLORS)}")
        for name in ("mean", "std"):
            self._need(where, name, _is_level(getattr(self, name)), "a number, or three")
        std = self.std if isinstance(self.std, (list, tuple)) else [self.std]
        self._need(where, "std", all(each > 0 for each in std), "positive")
        wanted = {"far", "similarity"}
        right = isinstance(self.thresholds, list) and all(
            isinstance(each, dict) and wanted <= set(each) and all(_is_number(each[name]) for name in wanted)
            for each in self.thresholds
        )
        self._need(where, "thresholds", right, "a list of entries with far and similarity")

    def _need(self, where, name, right, wanted) -> None:
        if not right:
            raise GluonFRError(f"{where}: {name} must be {wanted}, got {getattr(self, name)!r}; correct it.")


def _is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def _is_level(value):
    values = value if isinstance(value, (list, tuple)) else [value] * 3
    return len(values) == 3 and all(_is_number(each) for each in values)

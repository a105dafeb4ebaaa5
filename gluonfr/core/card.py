from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NoReturn

from gluonfr.core.arguments import is_integer, is_number
from gluonfr.core.errors import WeightsError
from gluonfr.core.files import atomic_file
from gluonfr.core.paths import PathLike, absolute_path, display_path
from gluonfr.core.reading import read_json

DISTANCES = ("cosine", "euclidean")
COLORS = ("RGB", "BGR")
# Names on cards of earlier versions.
_OLD_NAMES = {"colour": "color", "licence": "license"}
# Crops and embeddings of face networks are far smaller; larger numbers would only exhaust the memory.
_MAX_IMAGE_SIZE, _MAX_EMBEDDING_SIZE = 4096, 1 << 16


@dataclass
class Card:
    """What has to be known to use a network; commands read it instead of asking.

    Attributes
    ----------
    network : str
        Name in the model zoo; empty for a foreign graph, which is run as it is.
    arguments : dict
        Arguments of `get_model`, except `classes`.
    embedding_size : int
        Size of the embedding, 0 when unknown.
    image_size : (H, W), default (112, 112)
        Size of the crops that the network expects.
    template : str, default 'arcface'
        Position of the five landmarks on a crop: a name in `gluonfr.align.TEMPLATES`.
    distance : {'cosine', 'euclidean'}
        How embeddings are compared: cosine of normalized vectors, or Euclidean distance of raw vectors.
    license : str
        License of the weights.
    thresholds : list of dict
        Entries with `far`, `similarity` (accepted from this similarity on) and `measured_on`.
    color : {'RGB', 'BGR'}
        Channel order that a foreign graph expects. Networks of the zoo expect RGB.
    mean, std : float or list of 3 floats
        A foreign graph expects (pixel - mean) / std for pixels 0..255. Networks of the zoo expect pixel / 255.
    output : str
        Name of the output of a foreign graph that is the embedding; empty when it has one output only.
    sha256 : str
        SHA-256 of the file with the parameters; empty when not recorded.
    trained_on : str
        Training set.
    extra : dict
        All other entries of the file, unchanged.

    Examples
    --------
    >>> card = Card(network="mobilefacenet", embedding_size=128)
    >>> Card.from_dict(card.to_dict()) == card
    True
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

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain Python for JSON, with the entries of `extra` beside the others."""
        values = asdict(self)
        extra = values.pop("extra")
        return {**values, "image_size": list(self.image_size), **extra}

    def write(self, path: PathLike) -> None:
        """Write the card as a JSON file, atomically."""
        with atomic_file(path, "w", encoding="utf-8") as file:
            json.dump(self.to_dict(), file, indent=1)
            file.write("\n")

    @classmethod
    def from_dict(cls, values: Any, where: str = "the card") -> Card:
        """Return the card with some values, or raise `WeightsError` that names the invalid entry.

        Parameters
        ----------
        values : dict
            Entries; unknown ones go into `extra`.
        where : str, default 'the card'
            File that holds the card, for the message.
        """
        if not isinstance(values, dict):
            raise WeightsError(f"{where} is not the card of a network: expected names and values, got {type(values).__name__}.")
        values = {_OLD_NAMES.get(name, name): value for name, value in values.items()}
        known = {entry.name for entry in fields(cls)} - {"extra"}
        card = cls(
            **{name: value for name, value in values.items() if name in known},
            extra={name: value for name, value in values.items() if name not in known},
        )
        card._check(where)
        card.image_size = (card.image_size[0], card.image_size[1])
        return card

    @classmethod
    def read(cls, path: PathLike) -> Card:
        """Return the card in a JSON file, or raise `WeightsError`."""
        path = absolute_path(path)
        return cls.from_dict(read_json(path, "card of a network"), display_path(path))

    def _check(self, where: str) -> None:
        for name in ("network", "template", "license", "output", "sha256", "trained_on"):
            if not isinstance(getattr(self, name), str):
                self._reject(where, name, "text")
        if not isinstance(self.arguments, dict) or not all(_is_plain(value) for value in self.arguments.values()):
            self._reject(where, "arguments", "names with numbers, texts, true, false, null or lists of these")
        if not _is_size(self.image_size):
            self._reject(where, "image_size", f"height and width of at most {_MAX_IMAGE_SIZE}x{_MAX_IMAGE_SIZE}")
        if not _is_within(self.embedding_size, 0, _MAX_EMBEDDING_SIZE):
            self._reject(where, "embedding_size", f"an integer of at most {_MAX_EMBEDDING_SIZE}")
        for name, choices in (("distance", DISTANCES), ("color", COLORS)):
            if getattr(self, name) not in choices:
                self._reject(where, name, f"one of {', '.join(choices)}")
        for name in ("mean", "std"):
            levels = _levels(getattr(self, name))
            if not all(is_number(level) for level in levels) or (name == "std" and not all(level > 0 for level in levels)):
                self._reject(where, name, f"a {'positive ' if name == 'std' else ''}number, or three")
        if not isinstance(self.thresholds, list) or not all(_is_threshold(entry) for entry in self.thresholds):
            self._reject(where, "thresholds", "a list of entries with far and similarity")

    def _reject(self, where: str, name: str, rule: str) -> NoReturn:
        shown = " ".join(repr(getattr(self, name)).split())
        raise WeightsError(f"{where}: {name} must be {rule}, got {shown[:200]}; correct it.")


def _is_within(value: Any, low: int, high: int) -> bool:
    return is_integer(value) and low <= value <= high


def _is_size(value: Any) -> bool:
    sides = isinstance(value, (list, tuple)) and len(value) == 2
    return sides and all(_is_within(side, 1, _MAX_IMAGE_SIZE) for side in value)


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(part) for part in value)
    return value is None or isinstance(value, (bool, str)) or is_number(value)


def _levels(value: Any) -> list[Any]:
    values = list(value) if isinstance(value, (list, tuple)) else [value] * 3
    return values if len(values) == 3 else [None]


def _is_threshold(entry: Any) -> bool:
    return isinstance(entry, dict) and is_number(entry.get("far")) and is_number(entry.get("similarity"))

"""Fields of option dataclasses that carry their own help and check the types of their values."""

from __future__ import annotations

import dataclasses
import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Callable, Sequence, TypeVar

from gluonfr.core import UsageError

if TYPE_CHECKING:
    from typing_extensions import Annotated

    _Value = TypeVar("_Value")
    # An option with the default None, which a recipe replaces before the run begins (`gluonfr.engine.recipes`).
    Auto = Annotated[_Value, "auto"]


def option(default: Any, help: str, *, choices: Sequence[str] = (), cli: bool = True, metavar: str | None = None) -> Any:
    """Return a dataclass field for one option.

    Parameters
    ----------
    default : object
        Default value; a dict is copied for every instance.
    help : str
        What the option does, with its unit. It is the documentation of the field and the help of the command line.
    choices : sequence of str, optional
        The only values allowed.
    cli : bool, default True
        Whether the command line offers the option.
    metavar : str, optional
        Name of the value in the help of the command line.

    Returns
    -------
    dataclasses.Field

    Examples
    --------
    >>> @dataclasses.dataclass
    ... class Options:
    ...     steps: int = option(10, "length in steps")
    >>> Options().steps
    10
    """
    metadata = {"help": help, "choices": tuple(choices), "cli": cli, "metavar": metavar}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _sequence_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (list, tuple)) and all(map(check, value))


def _is_keywords(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value))


# By the annotation of a field without "| None": the check of a value, and the type in words.
_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "str": (_is_text, "text"),
    "bool": (lambda value: isinstance(value, bool), "True or False"),
    "int": (_is_integer, "a whole number"),
    "float": (_is_number, "a number"),
    "int | float": (_is_number, "a number"),
    "bool | str": (lambda value: isinstance(value, (bool, str)), "True, False or text"),
    "Sequence[str]": (_sequence_of(_is_text), "a list of names"),
    "Sequence[int]": (_sequence_of(_is_integer), "a list of whole numbers"),
    "Sequence[float]": (_sequence_of(_is_number), "a list of numbers"),
    "dict[str, Any]": (_is_keywords, "a dict of keyword arguments"),
}


def is_auto(field: dataclasses.Field) -> bool:
    """Return whether a recipe chooses the value of an option that is not given.

    Examples
    --------
    >>> @dataclasses.dataclass
    ... class Options:
    ...     steps: Auto[int] = None
    >>> is_auto(dataclasses.fields(Options)[0])
    True
    """
    return str(field.type).startswith("Auto[")


def auto_names(options: Any) -> list[str]:
    """Return the names of the options, of a dataclass or an instance, of which a recipe can choose the value.

    Examples
    --------
    >>> @dataclasses.dataclass
    ... class Options:
    ...     steps: Auto[int] = None
    ...     seed: int = 0
    >>> auto_names(Options)
    ['steps']
    """
    return [field.name for field in dataclasses.fields(options) if is_auto(field)]


def value_type(field: dataclasses.Field) -> str:
    """Return the annotation of an option without `| None` or `Auto`.

    Examples
    --------
    >>> @dataclasses.dataclass
    ... class Options:
    ...     steps: int | None = None
    >>> value_type(dataclasses.fields(Options)[0])
    'int'
    """
    return str(field.type)[5:-1] if is_auto(field) else str(field.type).replace(" | None", "")


def check_types(options: Any) -> None:
    """Check the value of every field of an option dataclass against its annotation and choices.

    Raises
    ------
    UsageError
        Names the first field of which the value has another type, or is not one of the choices.

    Examples
    --------
    >>> @dataclasses.dataclass
    ... class Options:
    ...     steps: int = option(10, "length in steps")
    >>> check_types(Options(steps="many"))
    Traceback (most recent call last):
        ...
    gluonfr.core.errors.UsageError: steps='many' must be a whole number.
    """
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value is None and (is_auto(field) or str(field.type).endswith("| None")):
            continue
        is_valid, words = _TYPES[value_type(field)]
        if not is_valid(value):
            raise UsageError(f"{field.name}={value!r} must be {words}.")
        choices = field.metadata.get("choices")
        if choices and value not in choices:
            raise UsageError(f"{field.name}={value!r} must be one of {', '.join(choices)}.")

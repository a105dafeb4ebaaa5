"""The values that the constructors of the networks accept, by argument name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gluonfr.core import UsageError, is_integer, is_number
from gluonfr.nn import HEADS

FLAVORS = ("mxnet", "torch")
# Far above every published network; arguments may come from files, and building must end in seconds.
_MOST_CHANNELS, _MOST_UNITS, _MOST_PIXELS = 65536, 512, 4096


def check_argument(name: str, value: Any) -> None:
    """Raise UsageError unless a network accepts this value for an argument; names without a rule pass.

    Parameters
    ----------
    name : str
        Name of the argument, such as "width".
    value : Any
        The value.

    Raises
    ------
    UsageError
        The value has another type or is out of range.

    Examples
    --------
    >>> check_argument("width", 1.3)
    >>> check_argument("width", 0)
    Traceback (most recent call last):
    ...
    gluonfr.core.errors.UsageError: width must be a positive number of at most 64, got 0.
    """
    is_valid, expected = _RULES.get(name, (None, ""))
    if is_valid is not None and not is_valid(value):
        raise UsageError(f"{name} must be {expected}, got {value!r}.")


def check_stages(units: Sequence[int], channels: Sequence[int]) -> None:
    """Raise UsageError unless a residual network has one number of channels more than stages.

    Examples
    --------
    >>> check_stages((1, 1), (8, 8, 16))
    """
    check_argument("units", units)
    check_argument("channels", channels)
    if len(channels) != len(units) + 1:
        raise UsageError(
            f"channels must be {len(units) + 1} numbers, of the first convolution and of {len(units)} stages; "
            f"got {len(channels)}."
        )


def as_image_size(image_size: Any) -> tuple[int, int]:
    """Return an image size as two positive integers, (height, width).

    Raises
    ------
    UsageError
        It is not a pair of positive whole numbers.

    Examples
    --------
    >>> as_image_size([112, 96])
    (112, 96)
    """
    check_argument("image_size", image_size)
    height, width = image_size
    return int(height), int(width)


def is_count(value: Any, most: int = _MOST_CHANNELS) -> bool:
    """Return whether a value is a whole number from 1 to `most`.

    Examples
    --------
    >>> is_count(3), is_count(0), is_count(True), is_count(2.0)
    (True, False, False, False)
    """
    return is_integer(value) and 0 < value <= most


def _is_image_size(value: Any) -> bool:
    try:
        sides = tuple(value)
    except TypeError:
        return False
    return len(sides) == 2 and all(is_count(side, _MOST_PIXELS) for side in sides)


def _count(most: int = _MOST_CHANNELS) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: is_count(value, most)), f"a positive whole number of at most {most:,}"


def _counts(length: int | None = None, most: int = _MOST_CHANNELS) -> tuple[Callable[[Any], bool], str]:
    def is_valid(value: Any) -> bool:
        if not isinstance(value, (list, tuple)) or not all(is_count(number, most) for number in value):
            return False
        # The sum bounds how many layers are built.
        return (0 < len(value) <= 16 if length is None else len(value) == length) and sum(value) <= 16 * most

    return is_valid, f"a sequence of {f'{length} ' if length else ''}positive whole numbers of at most {most:,}"


def _choice(*choices: Any) -> tuple[Callable[[Any], bool], str]:
    def is_valid(value: Any) -> bool:
        return any(type(value) is type(choice) and value == choice for choice in choices)

    return is_valid, f"one of {', '.join(map(str, choices))}"


def _number(is_inside: Callable[[Any], bool], expected: str, optional: bool = False) -> tuple[Callable[[Any], bool], str]:
    def is_valid(value: Any) -> bool:
        return optional if value is None else is_number(value) and is_inside(value)

    return is_valid, expected


def _optional(rule: tuple[Callable[[Any], bool], str]) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: value is None or rule[0](value)), f"{rule[1]}, or None"


_FLAG = ((lambda value: isinstance(value, bool)), "True or False")
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "embedding_size": _count(),
    "units": _counts(most=_MOST_UNITS),
    "channels": _counts(),
    "blocks": _counts(4, _MOST_UNITS),
    "modules": _counts(3, 64),
    "p": _count(16),
    "t": _count(16),
    "r": _count(16),
    "scale": _count(64),
    "image_size": (_is_image_size, f"(height, width) of 1 to {_MOST_PIXELS} pixels"),
    "width": _number(lambda value: 0 < value <= 64, "a positive number of at most 64"),
    "dropout": _number(lambda value: 0 <= value < 1, "at least 0 and below 1, or None", optional=True),
    "head": _choice(*HEADS),
    "flavor": _choice(*FLAVORS),
    "version": _choice(1, 2),
    "stride": _choice(1, 2),
    "last_stride": _choice(1, 2),
    "stem_stride": _count(16),
    "input_crop": _optional(_count(_MOST_PIXELS)),
    "input_size": _optional(_count(_MOST_PIXELS)),
    "avg_down": _FLAG,
    "bottleneck": _FLAG,
    "deep_stem": _FLAG,
    "dilated": _FLAG,
    "final_drop": _number(lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "last_gamma": _FLAG,
    "multiplier": _number(lambda value: 0 < value <= 16, "a positive number of at most 16"),
    "se": _FLAG,
    "stem_width": _count(4096),
    "thumbnail": _FLAG,
    "use_global_stats": _FLAG,
    "use_se": _FLAG,
    "need_cls_layer": _FLAG,
    "weight_norm": _FLAG,
    "feature_norm": _FLAG,
}

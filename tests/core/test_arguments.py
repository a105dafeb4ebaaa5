"""Argument checks: what passes, what is refused, and the message."""

import numpy as np
import pytest

from gluonfr.core import (
    UsageError,
    check_choice,
    check_flag,
    check_increasing,
    check_integer,
    check_number,
    is_integer,
    is_number,
)


def test_numbers_and_integers_are_recognized():
    numbers = [0, -1, 2.5, np.float32(1), np.int64(3), 10**400]
    others = [True, np.bool_(True), "1", None, [1], float("nan"), float("inf"), np.array([1, 2])]
    assert all(is_number(value) for value in numbers)
    assert not any(is_number(value) for value in others)
    assert [is_integer(value) for value in numbers] == [True, True, False, False, True, True]
    assert not any(is_integer(value) for value in others)


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (-1, {"minimum": 0}, "x must be a number at least 0, got -1."),
        (0, {"above": 0}, "x must be a number above 0, got 0."),
        (1, {"minimum": 0, "below": 1}, r"x must be a number in \[0, 1\), got 1."),
        (2, {"above": 0, "maximum": 1}, r"x must be a number in \(0, 1\], got 2."),
        ("a\nb", {}, r"x must be a number, got 'a\\nb'."),
    ],
)
def test_numbers_out_of_bounds_are_refused(value, bounds, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        check_number("x", value, **bounds)


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (0, {"minimum": 1}, "n must be an integer of at least 1, got 0."),
        (7, {"minimum": 1, "maximum": 6}, "n must be an integer from 1 to 6, got 7."),
        (-1, {"minimum": 0, "maximum": 2**64 - 1}, r"n must be an integer from 0 to 2\*\*64 - 1, got -1."),
        (1.0, {}, "n must be an integer, got 1.0."),
    ],
)
def test_integers_out_of_bounds_are_refused(value, bounds, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        check_integer("n", value, **bounds)


def test_values_are_returned_in_plain_types():
    assert type(check_number("x", np.float32(0.5))) is float
    assert type(check_integer("n", np.int64(5))) is int
    assert check_flag("f", np.bool_(True)) is True
    assert check_choice("c", "a", "ab") == "a"
    assert check_increasing(("low", "high"), (1, 1)) == (1.0, 1.0)


def test_the_owner_starts_the_message():
    with pytest.raises(UsageError, match="^int: x must be True or False, got 1.$"):
        check_flag("x", 1, owner=3)
    with pytest.raises(UsageError, match="^low < high must be true, got 1 and 1.$"):
        check_increasing(("low", "high"), (1, 1), strictly=True)
    with pytest.raises(UsageError, match="^c must be one of a, b, got 'c'.$"):
        check_choice("c", "c", "ab")


def test_long_values_are_shortened_in_messages():
    with pytest.raises(UsageError) as caught:
        check_number("x", "y" * 10_000)
    assert len(str(caught.value)) < 250

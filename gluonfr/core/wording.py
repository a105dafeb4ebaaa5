from __future__ import annotations

_PLURALS = {"person": "people", "identity": "identities"}


def counted(count: int, noun: str) -> str:
    """Write a number with its noun, in the plural unless it is 1.

    Examples
    --------
    >>> counted(1, "person"), counted(1200, "person"), counted(0, "photo")
    ('1 person', '1,200 people', '0 photos')
    """
    return f"{count:,} {noun if count == 1 else _PLURALS.get(noun, noun + 's')}"

"""What the API answers, as OpenAPI describes it."""

from __future__ import annotations

from typing import Dict, List, Optional

from pydantic import BaseModel


class Error(BaseModel):
    """What is wrong, in one sentence."""

    error: str


class Threshold(BaseModel):
    """From which similarity on somebody is named, and how many strangers are, in words; null where that is not known."""

    similarity: Optional[float]
    fpir: Optional[float]
    people: int
    basis: str
    meaning: str


class State(BaseModel):
    """The gallery, its network, and what a photo may measure; the version is another one when the people are."""

    file: str
    network: str
    license: str
    people: int
    photos: int
    version: str
    most_bytes: int
    most_pixels: int


class Match(BaseModel):
    """A person who is like the face: cosine to the best photo, and where that one came from."""

    name: str
    similarity: float
    source: str


class Face(BaseModel):
    """A face from the left to the right: box x0, y0, x1, y1 in pixels; the name is null for somebody unknown."""

    box: List[float]
    score: float
    name: Optional[str]
    matches: List[Match]


class Identified(BaseModel):
    """Who is on a photo; boxes are in a picture of this width and height."""

    network: str
    width: int
    height: int
    threshold: Threshold
    faces: List[Face]


class Taken(BaseModel):
    """The face that was compared, of so many on a photo of this width and height."""

    box: List[float]
    width: int
    height: int
    faces: int
    ambiguous: bool


class Compared(BaseModel):
    """How alike two faces are, and what the network's thresholds say of it, in words too."""

    network: str
    similarity: float
    thresholds: List[Dict]
    meaning: List[str]
    first: Taken
    second: Taken


class Person(BaseModel):
    """A person and the number of photos."""

    name: str
    photos: int


class People(BaseModel):
    """Some people in the order in which they came, of so many whose name contains what was asked for."""

    people: List[Person]
    matching: int


class Enrolled(BaseModel):
    """The person and how many photos were new: 0 when this one was enrolled before."""

    name: str
    new: int


class Changed(BaseModel):
    """How many photos were removed or moved, whether no byte of what is gone is left, and where some are."""

    photos: int
    erased: bool
    left: str = ""

"""JSON responses of the API, as OpenAPI describes them.

Examples
--------
>>> Person(name="Ann", photos=2).photos
2
"""

# pydantic evaluates these annotations, also on Python 3.8.
# ruff: noqa: UP006, UP045
from __future__ import annotations

from typing import Any, Dict, List, Optional

from pydantic import BaseModel


class Error(BaseModel):
    """What is wrong, in one sentence."""

    error: str


class Threshold(BaseModel):
    """Similarity above which a face gets a name, and its false positive rate; null if they cannot be determined."""

    similarity: Optional[float]
    fpir: Optional[float]
    people: int
    basis: str
    meaning: str


class State(BaseModel):
    """The gallery, its network and the limits of photos; the version changes with the people."""

    file: str
    network: str
    license: str
    people: int
    photos: int
    version: str
    most_bytes: int
    most_pixels: int


class Match(BaseModel):
    """A similar person: cosine to the most similar photo, and the source of that photo."""

    name: str
    similarity: float
    source: str


class Face(BaseModel):
    """A face: box x0, y0, x1, y1 in pixels; the name is null for an unknown face."""

    box: List[float]
    score: float
    name: Optional[str]
    matches: List[Match]


class IdentifiedPhoto(BaseModel):
    """The faces of a photo from left to right; boxes refer to this width and height."""

    network: str
    width: int
    height: int
    threshold: Threshold
    faces: List[Face]


class ComparedFace(BaseModel):
    """The face of a photo that was compared, and the number of faces on the photo."""

    box: List[float]
    width: int
    height: int
    faces: int
    ambiguous: bool


class Comparison(BaseModel):
    """Similarity of two faces, and the decisions at the thresholds of the network."""

    network: str
    similarity: float
    thresholds: List[Dict[str, Any]]
    meaning: List[str]
    first: ComparedFace
    second: ComparedFace


class Person(BaseModel):
    """A person and the number of photos."""

    name: str
    photos: int


class People(BaseModel):
    """People in the order of enrollment, and the number of people whose name matches."""

    people: List[Person]
    matching: int


class EnrolledPhoto(BaseModel):
    """A photo of a person: the id is the SHA-256 that identifies it."""

    id: str
    source: str


class PhotosOfPerson(BaseModel):
    """The photos of a person in the order of enrollment."""

    name: str
    photos: List[EnrolledPhoto]


class Enrollment(BaseModel):
    """The person and the number of new photos: 0 if the photo was enrolled before."""

    name: str
    new: int


class Changed(BaseModel):
    """Number of photos removed or moved, whether all old bytes are erased, and where some are left."""

    photos: int
    erased: bool
    left: str = ""

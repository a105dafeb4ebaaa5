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
    """What is wrong, in one sentence.

    Examples
    --------
    >>> Error(error="the photo is empty.").error
    'the photo is empty.'
    """

    error: str


class Threshold(BaseModel):
    """Similarity above which a face gets a name, and its false positive rate; null if they cannot be determined.

    Examples
    --------
    >>> Threshold(similarity=None, fpir=None, people=0, basis="none", meaning="The gallery is empty.").people
    0
    """

    similarity: Optional[float]
    fpir: Optional[float]
    people: int
    basis: str
    meaning: str


class State(BaseModel):
    """The gallery, its network and the limits of photos; the version changes with the people.

    Examples
    --------
    >>> facts = {"file": "g.gallery", "network": "y1", "license": "MIT", "version": "1"}
    >>> State(people=2, photos=5, most_bytes=2**24, most_pixels=10**8, **facts).photos
    5
    """

    file: str
    network: str
    license: str
    people: int
    photos: int
    version: str
    most_bytes: int
    most_pixels: int


class Match(BaseModel):
    """A similar person: cosine to the most similar photo, and the source of that photo.

    Examples
    --------
    >>> Match(name="Ann", similarity=0.71, source="ann.jpg").name
    'Ann'
    """

    name: str
    similarity: float
    source: str


class Face(BaseModel):
    """A face: box x0, y0, x1, y1 in pixels; the name is null for an unknown face.

    Examples
    --------
    >>> Face(box=[10, 20, 60, 80], score=0.99, name=None, matches=[]).name is None
    True
    """

    box: List[float]
    score: float
    name: Optional[str]
    matches: List[Match]


class IdentifiedPhoto(BaseModel):
    """The faces of a photo from left to right; boxes refer to this width and height.

    Examples
    --------
    >>> threshold = Threshold(similarity=0.4, fpir=0.01, people=2, basis="card", meaning="")
    >>> IdentifiedPhoto(network="y1", width=640, height=480, threshold=threshold, faces=[]).width
    640
    """

    network: str
    width: int
    height: int
    threshold: Threshold
    faces: List[Face]


class ComparedFace(BaseModel):
    """The face of a photo that was compared, and the number of faces on the photo.

    Examples
    --------
    >>> ComparedFace(box=[10, 20, 60, 80], width=640, height=480, faces=1, ambiguous=False).faces
    1
    """

    box: List[float]
    width: int
    height: int
    faces: int
    ambiguous: bool


class Comparison(BaseModel):
    """Similarity of two faces, and the decisions at the thresholds of the network.

    Examples
    --------
    >>> face = ComparedFace(box=[10, 20, 60, 80], width=640, height=480, faces=1, ambiguous=False)
    >>> Comparison(network="y1", similarity=0.6, thresholds=[], meaning=[], first=face, second=face).similarity
    0.6
    """

    network: str
    similarity: float
    thresholds: List[Dict[str, Any]]
    meaning: List[str]
    first: ComparedFace
    second: ComparedFace


class Person(BaseModel):
    """A person and the number of photos.

    Examples
    --------
    >>> Person(name="Ann", photos=2).photos
    2
    """

    name: str
    photos: int


class People(BaseModel):
    """People in the order of enrollment, and the number of people whose name matches.

    Examples
    --------
    >>> People(people=[Person(name="Ann", photos=2)], matching=1).people[0].name
    'Ann'
    """

    people: List[Person]
    matching: int


class EnrolledPhoto(BaseModel):
    """A photo of a person: the id is the SHA-256 that identifies it.

    Examples
    --------
    >>> EnrolledPhoto(id="9f86d0...", source="ann.jpg").source
    'ann.jpg'
    """

    id: str
    source: str


class PhotosOfPerson(BaseModel):
    """The photos of a person in the order of enrollment.

    Examples
    --------
    >>> PhotosOfPerson(name="Ann", photos=[EnrolledPhoto(id="9f86d0...", source="ann.jpg")]).photos[0].source
    'ann.jpg'
    """

    name: str
    photos: List[EnrolledPhoto]


class Enrollment(BaseModel):
    """The person, the number of new photos (0 if the photo was enrolled before), and a warning if the face is poor.

    Examples
    --------
    >>> Enrollment(name="Ann", new=1).new
    1
    """

    name: str
    new: int
    warning: Optional[str] = None


class Changed(BaseModel):
    """Number of photos removed or moved, whether all old bytes are erased, and where some are left.

    Examples
    --------
    >>> Changed(photos=2, erased=True).left
    ''
    """

    photos: int
    erased: bool
    left: str = ""

"""Finding photos and videos in folders. All commands use these functions, so one rule decides what they look at.

Every file below a folder is listed, whatever its name: the content decides whether it is a photo. Left aside are names that
begin with a dot (which covers `._*` and `.thumbnails`), `@eaDir`, `__MACOSX`, `Thumbs.db`, `ehthumbs.db`, `desktop.ini` and
`identities.csv`. Links to folders are not followed.
"""

from __future__ import annotations

import logging
import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gluonfr.core import DataError, display_path
from gluonfr.data.identities import FILE_NAME
from gluonfr.data.images import extension

logger = logging.getLogger(__name__)

# Still images in the container that MP4 has as well.
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2")
IMAGE_BRANDS = (*HEIC_BRANDS, b"avif", b"avis", b"jpx ", b"jp2 ")
_VIDEO_ENDINGS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp", ".flv", ".ts")
_IGNORED = {"@eadir", "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", FILE_NAME}


@dataclass(frozen=True)
class PeopleFolder:
    """A folder that contains one folder of photos per person.

    Attributes
    ----------
    people : dict of str to list of str
        Name of a person -> the files of that person, relative to the folder of people; both in the order of their bytes.
    left_out : list of (file, reason, detail)

    Examples
    --------
    >>> folder = PeopleFolder({"Ann": ["Ann/1.jpg", "Ann/2.jpg"]}, left_out=[])
    >>> len(folder.people["Ann"])
    2
    """

    people: dict[str, list[str]]
    left_out: list[tuple[str, str, str]]


def find_photos(paths: Iterable[str | os.PathLike]) -> list[str]:
    """List the files to look at among files and folders.

    Parameters
    ----------
    paths : iterable of path
        Files are listed as they are, folders by the files below them, in the order of their names.

    Raises
    ------
    DataError
        A path does not exist, or there is no file at all.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.jpg", "a.heic", ".hidden.jpg"):
    ...         open(os.path.join(folder, name), "w").close()
    ...     [os.path.basename(path) for path in find_photos([folder])]
    ['a.heic', 'b.jpg']
    """
    names, found = [os.fspath(path) for path in paths], []
    for path in names:
        if os.path.isdir(path):
            found += [os.path.join(path, name) for name, _ in _walk(path, "")]
        elif os.path.exists(path):
            found.append(path)
        else:
            raise DataError(f"{display_path(path)} is missing. Pass image files, or folders that contain some.")
    if not found:
        raise DataError(
            f"no image file in {', '.join(map(display_path, names))}. Pass image files, or folders that contain some."
        )
    return found


def find_people(folder: str) -> PeopleFolder:
    """List the photos of a folder of people.

    Each folder in it is one person, with all files below it at any depth. Folders with the same name by :func:`person_name`
    are one person. A person's folder may be a link to a folder; links to folders below it are not followed.

    Parameters
    ----------
    folder : str

    Raises
    ------
    DataError
        The folder is missing, cannot be read, or contains no person.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.mkdir(os.path.join(folder, "Ann"))
    ...     open(os.path.join(folder, "Ann", "1.jpg"), "w").close()
    ...     find_people(folder).people
    {'Ann': ['Ann/1.jpg']}
    """
    people: dict[str, list[str]] = {}
    left_out: list[tuple[str, str, str]] = []
    try:
        entries = _sorted_entries(folder)
    except OSError as error:
        raise DataError(f"{display_path(folder)} cannot be read ({error.strerror}). Pass a folder of people.") from error
    for entry in entries:
        if not entry.is_dir():
            left_out.append((entry.name, "no person", "not in a person's folder"))
            continue
        files = people.setdefault(person_name(entry.name), [])
        for name, problem in _walk(folder, entry.name):
            if problem:
                left_out.append((name, *problem))
            else:
                files.append(name)
    _warn_of_case(people)
    if not any(people.values()):
        what = "contains no photo in its folders" if people else "contains no folders"
        raise DataError(f"{display_path(folder)} {what}. Pass a folder with one folder of photos per person.")
    return PeopleFolder(people, left_out)


def person_name(folder: str) -> str:
    """Return the name of a person from the name of a folder: composed Unicode (NFC), without spaces at the ends.

    Systems write the same letters in different ways: macOS decomposes "é" into two characters, Linux keeps what was typed.

    Examples
    --------
    >>> person_name("Jose\u0301 ") == "Jos\u00e9"
    True
    """
    return unicodedata.normalize("NFC", folder).strip() or folder


def is_video(path: str | os.PathLike) -> bool:
    """Return whether a file is a video: by its first bytes, or by its ending where these are unknown.

    Examples
    --------
    >>> is_video(__file__)
    False
    """
    try:
        with open(path, "rb") as file:
            start = file.read(200)
    except OSError:
        return False
    unknown = extension(start) == ".image" and start[4:8] != b"ftyp"
    return begins_like_video(start) or (unknown and os.fspath(path).lower().endswith(_VIDEO_ENDINGS))


def begins_like_video(start: bytes) -> bool:
    """Return whether these are the first bytes (200, if there are as many) of a video.

    Examples
    --------
    >>> begins_like_video(b"RIFF....AVI LIST"), begins_like_video(b"RIFF....WEBPVP8 ")
    (True, False)
    """
    box, brand = start[4:8], start[8:12]
    if box == b"ftyp":
        return brand not in IMAGE_BRANDS
    return (
        box in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
        or (start[:4] == b"RIFF" and brand == b"AVI ")
        or start.startswith((b"\x1a\x45\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"\x30\x26\xb2\x75", b"FLV\1"))
        or (start[:1] == b"\x47" and start[188:189] == b"\x47")
    )


def _warn_of_case(people: Iterable[str]) -> None:
    spelled: dict[str, str] = {}
    for name in people:
        other = spelled.setdefault(name.casefold(), name)
        if other != name:
            logger.warning("%s and %s differ in case only; they are two people", display_path(other), display_path(name))


def _walk(folder: str, inside: str) -> Iterator[tuple[str, tuple[str, str] | None]]:
    """Yield the files below `inside`, relative to `folder`, each with a reason and detail where it cannot be looked at."""
    try:
        entries = _sorted_entries(os.path.join(folder, inside))
    except OSError as error:
        yield inside, ("unreadable", error.strerror or str(error))
        return
    for entry in entries:
        name = os.path.join(inside, entry.name)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder, name)
        elif entry.is_dir():
            yield name, ("no image", "a link to a folder, which is not followed")
        else:
            yield name, None


def _sorted_entries(folder: str) -> list[os.DirEntry]:
    with os.scandir(folder) as entries:
        used = [entry for entry in entries if not entry.name.startswith(".") and entry.name.lower() not in _IGNORED]
    return sorted(used, key=lambda entry: os.fsencode(entry.name))

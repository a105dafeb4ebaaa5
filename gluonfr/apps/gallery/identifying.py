"""Who is on photos and videos."""

from __future__ import annotations

import os
from dataclasses import dataclass

import cv2
from tqdm import tqdm

from gluonfr.apps.gallery.gallery import Answer
from gluonfr.core import GluonFRError, atomic_file, display_path, require_new_folder
from gluonfr.photos.faces import MIN_FACE, all_faces, pictures, why
from gluonfr.photos.find import VIDEOS, find_pictures
from gluonfr.photos.reading import PhotoError

_WRITTEN = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Seen:
    """A face on a picture, and who it is: `box` x0, y0, x1, y1 in pixels, `score` of the detector, `answer`."""

    box: tuple
    score: float
    answer: Answer

    def to_dict(self):
        """Plain Python, for JSON."""
        return {"box": [round(each, 1) for each in self.box], "score": self.score, **self.answer.to_dict()}


@dataclass(frozen=True)
class Picture:
    """A picture and whom it shows.

    Attributes
    ----------
    name : str
        Its file; of a frame, the video's and the second.
    pixels : uint8 (H, W, 3) RGB, or None
    faces : list of Seen
        From the left to the right.
    left_out : str
        Why it could not be looked at; empty as a rule.
    """

    name: str
    pixels: object
    faces: list[Seen]
    left_out: str = ""

    def to_dict(self):
        """Plain Python, for JSON."""
        return {"file": self.name, "faces": [face.to_dict() for face in self.faces], "left_out": self.left_out}


def identify_picture(gallery, embedder, pixels, threshold, k=5, aligned=None, min_face=MIN_FACE):
    """Everybody on a picture, uint8 (H, W, 3) RGB: list of Seen. `PhotoError` when it is no crop of the right shape."""
    faces = all_faces(embedder, pixels, aligned, min_face)
    answers = gallery.identify(embedder([face.crop for face in faces], aligned=True), k, threshold) if faces else []
    return [Seen(face.box, face.score, answer) for face, answer in zip(faces, answers)]


def identify_files(gallery, embedder, paths, threshold, k=5, aligned=None, min_face=MIN_FACE, every=1.0, progress=None):
    """Iterator of Picture over files and folders: photos, and of videos a frame each `every` seconds.

    Parameters
    ----------
    gallery : Gallery
    embedder : Embedder
        Of the gallery's network.
    paths : sequence of str
    threshold : Threshold
        From `Gallery.threshold`.
    k, aligned, min_face
        As `Gallery.identify` and `enroll_folder`.
    every : float, default 1.0
    progress : str, optional
        Text of a progress bar, which counts frames too.
    """
    with tqdm(desc=progress, unit="picture", disable=None if progress else True, leave=False) as bar:
        for name, pixels, reason in pictures(paths, every):
            if pixels is None:
                yield Picture(name, None, [], reason)
            else:
                try:
                    faces = identify_picture(gallery, embedder, pixels, threshold, k, aligned, min_face)
                    yield Picture(name, pixels, faces, "" if faces else "no face")
                except PhotoError as refused:
                    yield Picture(name, pixels, [], why(refused))
            bar.update()


def write_pictures(looked_at, out, paths):
    """Hand on each Picture, having written it with boxes and names where `out` says.

    `out` is None; or, where `paths` is one photo, the file to write; else a new or empty folder, in which each keeps its
    name, and those of one name are numbered.
    """
    need_place(out, paths)
    one, used = _is_one_photo(paths), set()
    for picture in looked_at:
        if out and picture.pixels is not None:
            path = out if one else os.path.join(os.path.expanduser(out), _unused(_inside(picture.name, paths), used))
            write_image(path, _drawn(picture))
        yield picture


def need_place(out, paths) -> None:
    """GluonFRError unless `write_pictures` can write there: nothing that is there is written over, but an older picture."""
    if out and _is_one_photo(paths):
        need_output(out, paths)
    elif out:
        require_new_folder(out)


def need_output(path, paths) -> None:
    """GluonFRError unless a picture can be written as `path`: .png or .jpg, and none of those among `paths`, which are read."""
    if os.path.splitext(path)[1].lower() not in _WRITTEN:
        raise GluonFRError(f"{display_path(path)}: name a picture that ends with .png or .jpg.")
    if os.path.exists(path) and any(os.path.samefile(path, each) for each in find_pictures(paths) if os.path.exists(each)):
        raise GluonFRError(f"{display_path(path)} is one of the photos themselves, which stay as they are; name another place.")


def write_image(path, pixels) -> None:
    """Write uint8 (H, W, 3) RGB as .png or .jpg, whole or not at all."""
    content = cv2.imencode(os.path.splitext(path)[1].lower(), pixels[:, :, ::-1])[1].tobytes()
    with atomic_file(path) as file:
        file.write(content)


def _is_one_photo(paths):
    return len(paths) == 1 and not os.path.isdir(paths[0]) and not paths[0].lower().endswith(VIDEOS)


def _inside(name, paths):
    """A picture's place in a folder: its path below the folder it was found in, with an ending that can be written."""
    folder = next((path for path in paths if os.path.isdir(path) and name.startswith(os.path.join(path, ""))), None)
    place = os.path.relpath(name, folder) if folder else os.path.basename(name)
    return place if place.lower().endswith(_WRITTEN) else place + ".jpg"


def _unused(place, used):
    """The place, or with a number where it was given away already; case tells no names apart on some disks."""
    stem, ending = os.path.splitext(place)
    number = 1
    while place.casefold() in used:
        number += 1
        place = f"{stem}-{number}{ending}"
    used.add(place.casefold())
    return place


def _drawn(picture):
    # Matplotlib takes a second, which only those wait for who want pictures.
    from gluonfr.viz import draw_faces

    captions = [
        "unknown" if face.answer.name is None else f"{face.answer.name} {face.answer.similarity:.2f}" for face in picture.faces
    ]
    return draw_faces(
        picture.pixels, [face.box for face in picture.faces], captions, [face.answer.name is not None for face in picture.faces]
    )

"""Photos with the boxes and landmarks of their faces as RecordIO, in the layout of im2rec's detection records."""

from __future__ import annotations

import logging
import os
from collections import Counter
from typing import NamedTuple

import cv2
import numpy as np

from gluonfr.core import DataError, PathLike, UsageError, absolute_path, atomic_files, check_integer
from gluonfr.data import images
from gluonfr.data.detection.annotations import PhotoFaces, make_faces
from gluonfr.data.detection.photo_file import photo_path, read_photo
from gluonfr.data.image_limits import image_size
from gluonfr.data.records.file import RecordFile
from gluonfr.data.records.framing import split_frames
from gluonfr.data.records.header import HEADER

logger = logging.getLogger(__name__)

REC, IDX = "faces.rec", "faces.idx"
# An object of the label: class, box, five landmarks (-1 where missing); then whether it is ignored, as "difficult" in VOC.
_OBJECT = 16
_HEADER_VALUES = 2
# A face of fewer pixels per side shows nothing.
_SMALLEST = 1.0


class PackResult(NamedTuple):
    """What `pack_detection` wrote.

    Attributes
    ----------
    photos, faces, landmarks, ignored : int
        Photos, faces, faces with landmarks, and faces marked as ignored.
    left_out : dict of str to list of str
        What was left out, by reason: photos, or photo and face as 'a.jpg: face 3'.

    Examples
    --------
    >>> PackResult(2, 3, 3, 0, {}).faces
    3
    """

    photos: int
    faces: int
    landmarks: int
    ignored: int
    left_out: dict[str, list[str]]


def pack_detection(
    annotations: list[PhotoFaces], photos: PathLike, out: PathLike, max_side: int = 1024, quality: int = 92
) -> PackResult:
    """Write annotated photos as `faces.rec` and `faces.idx`, atomically.

    Each record has the label of im2rec's detection layout: 2, 16, then for every face the class 0, x0, y0, x1, y1 and five
    landmarks x, y as fractions of width and height (-1 for missing landmarks), and 1 for an ignored face. Boxes are clipped to
    the photo. Boxes outside the photo, without area or with NaN, and landmarks that are not finite are left out; so are photos
    that do not decode.

    Parameters
    ----------
    annotations : list of PhotoFaces
        From `read_annotations`.
    photos : path
        Folder of the photos.
    out : path
        Folder for the two files; created when missing.
    max_side : int, default 1024
        A photo with a longer side is reduced to it, in pixels.
    quality : int, default 92
        JPEG quality of reduced photos; others are stored as they are.

    Returns
    -------
    PackResult

    Raises
    ------
    DataError
        No photo with a face remains.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = cv2.imwrite(f"{folder}/a.jpg", np.zeros((100, 200, 3), np.uint8))
    >>> pack_detection([make_faces("a.jpg", [[20, 30, 60, 90]])], folder, f"{folder}/packed").faces
    1
    """
    check_integer("max_side", max_side, 32)
    folder, out = absolute_path(photos), absolute_path(out)
    if not os.path.isdir(folder):
        raise DataError(f"{folder} is not a folder with the annotated photos.")
    left_out: dict[str, list[str]] = {}
    counts: Counter[str] = Counter()
    with atomic_files(os.path.join(out, IDX), os.path.join(out, REC)) as (idx, rec):
        for annotation in annotations:
            encoded = _encode(annotation, folder, max_side, quality, left_out)
            if encoded is None:
                continue
            faces, content, size = encoded
            idx.write(b"%d\t%d\n" % (counts["photos"], rec.tell()))
            label = _pack_label(faces, size)
            head = HEADER.pack(len(label), 0.0, counts["photos"], 0)
            rec.write(split_frames(head + label.astype("<f4").tobytes() + content))
            counts.update(photos=1, faces=len(faces.boxes), ignored=int(faces.ignored.sum()))
            counts.update(landmarks=int(np.isfinite(faces.landmarks).all((1, 2)).sum()))
        if not counts["faces"] - counts["ignored"]:
            reasons = ", ".join(f"{len(names)} {reason}" for reason, names in left_out.items()) or "no faces are annotated"
            raise DataError(f"{folder}: no photo with a face remains ({reasons}); check the annotations and the folder.")
    return PackResult(counts["photos"], counts["faces"], counts["landmarks"], counts["ignored"], left_out)


def _encode(
    annotation: PhotoFaces, folder: str, max_side: int, quality: int, left_out: dict[str, list[str]]
) -> tuple[PhotoFaces, bytes, tuple[int, int]] | None:
    """Return the valid faces in pixels of the stored photo, the encoded photo, and its height and width."""
    name = annotation.photo
    path = photo_path(folder, name)
    try:
        content = read_photo(path)
        image = images.decode(content, path)
    except OSError:
        left_out.setdefault("missing photos", []).append(name)
        return None
    except DataError:
        left_out.setdefault("photos that do not decode", []).append(name)
        return None
    faces = _valid_faces(annotation, image.shape[1], image.shape[0], left_out)
    factor = max_side / max(image.shape[:2])
    if factor < 1:
        size = [max(1, round(length * factor)) for length in image.shape[1::-1]]
        ratio = np.array(size, np.float32) / np.array(image.shape[1::-1], np.float32)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        faces = faces._replace(boxes=faces.boxes * np.tile(ratio, 2), landmarks=faces.landmarks * ratio)
        content = images.encode(image, quality)
    return faces, content, images.height_and_width(image)


def _valid_faces(annotation: PhotoFaces, width: int, height: int, left_out: dict[str, list[str]]) -> PhotoFaces:
    """Clip the boxes to the photo, and leave out what is no face in it."""
    _, boxes, landmarks, ignored = annotation
    finite = np.isfinite(boxes).all(1)
    clipped = np.clip(np.where(finite[:, None], boxes, 0), 0, [width, height] * 2)
    has_area = finite & (boxes[:, 2:] > boxes[:, :2]).all(1)
    inside = (clipped[:, 2:] - clipped[:, :2] >= _SMALLEST).all(1)
    for reason, wrong in (
        ("boxes that are not numbers", ~finite),
        ("boxes without area", finite & ~has_area),
        ("boxes outside the photo", has_area & ~inside),
    ):
        for number in np.flatnonzero(wrong):
            left_out.setdefault(reason, []).append(f"{annotation.photo}: face {number}")
    valid = has_area & inside
    size = np.array([width, height], np.float32)
    with np.errstate(invalid="ignore"):
        # Landmarks may lie outside a box, but not far outside the photo.
        marked = (np.isfinite(landmarks) & (np.abs(landmarks - size / 2) < size)).all((1, 2))
    incomplete = valid & ~marked & np.isfinite(landmarks).any((1, 2))
    for number in np.flatnonzero(incomplete):
        left_out.setdefault("landmarks that are incomplete or outside the photo", []).append(
            f"{annotation.photo}: face {number}"
        )
    marks = np.where(marked[:, None, None], landmarks, np.nan)
    return make_faces(annotation.photo, clipped[valid], marks[valid], ignored[valid])


def _pack_label(faces: PhotoFaces, size: tuple[int, int]) -> np.ndarray:
    scale = np.array([size[1], size[0]], np.float32)
    rows = np.zeros((len(faces.boxes), _OBJECT), np.float32)
    rows[:, 1:5] = faces.boxes / np.tile(scale, 2)
    marks = (faces.landmarks / scale).reshape(-1, 10)
    rows[:, 5:15] = np.where(np.isfinite(marks).all(1, keepdims=True), marks, -1)
    rows[:, 15] = faces.ignored
    return np.concatenate([[_HEADER_VALUES, _OBJECT], rows.reshape(-1)]).astype(np.float32)


class DetectionRecords:
    """Photos and faces of `faces.rec`, read in any order and from any thread.

    Parameters
    ----------
    folder : path
        Folder of `faces.rec`, or the file itself.

    Raises
    ------
    DataError
        The file is missing, damaged or holds no detection records.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = cv2.imwrite(f"{folder}/a.jpg", np.zeros((100, 200, 3), np.uint8))
    >>> _ = pack_detection([make_faces("a.jpg", [[20, 30, 60, 90]])], folder, folder)
    >>> image, faces = DetectionRecords(folder).read(0)
    >>> image.shape, faces.boxes.round().tolist()
    ((100, 200, 3), [[20.0, 30.0, 60.0, 90.0]])
    """

    def __init__(self, folder: PathLike) -> None:
        path = absolute_path(folder)
        path = os.path.join(path, REC) if os.path.isdir(path) else path
        if not os.path.isfile(path):
            raise DataError(f"{path} is missing; pack annotated photos into this folder first.")
        self.file = RecordFile(path)

    def __repr__(self) -> str:
        return f"DetectionRecords({self.file.path!r}, photos={len(self)})"

    def __len__(self) -> int:
        return len(self.file)

    @property
    def path(self) -> str:
        """Absolute path of the `.rec` file."""
        return self.file.path

    def read(self, i: int, shorter_side: float | None = None) -> tuple[np.ndarray, PhotoFaces]:
        """Return photo i, uint8 (H, W, 3) RGB, and its faces in pixels of what is returned.

        With `shorter_side`, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size if its shorter side keeps as many pixels.
        """
        if not 0 <= i < len(self):
            raise UsageError(f"photo {i} of {len(self)} in {self.path}")
        label, content = self.file.read_labels(i)
        rows = _unpack_label(label, self.file.describe(i))
        reduction = images.jpeg_reduction(content, shorter_side) if shorter_side is not None else 1
        image = images.decode(content, lambda: self.file.describe(i), reduction)
        scale = np.array(image.shape[1::-1], np.float32)
        stored = image_size(content) if reduction > 1 else None
        if stored:
            # Before it was rounded up to pixels.
            scale = np.array(stored[::-1], np.float32) / reduction
        marks = rows[:, 5:15].reshape(-1, 5, 2)
        marks = np.where((marks == -1).all((1, 2), keepdims=True), np.nan, marks * scale)
        ignored = rows[:, 15] > 0 if rows.shape[1] > 15 else np.zeros(len(rows), bool)
        return image, make_faces(str(i), rows[:, 1:5] * np.tile(scale, 2), marks, ignored)


def _unpack_label(label: np.ndarray, where: str) -> np.ndarray:
    """Return the objects of an im2rec detection label, (n, at least 15)."""
    valid = len(label) >= _HEADER_VALUES and np.isfinite(label).all() and 2 <= label[0] <= len(label) and 5 <= label[1] <= 1000
    if valid:
        width, values = int(label[1]), label[int(label[0]) :]
        valid = len(values) % width == 0
    if not valid:
        raise DataError(f"{where} has no label of faces; pack the photos again.")
    rows = values.reshape(-1, width)
    if width < 15:
        # Records of other programs hold boxes alone.
        rows = np.hstack([rows[:, :5], np.full((len(rows), 10), -1, np.float32)])
    if len(rows) and not ((rows[:, 3:5] > rows[:, 1:3]).all() and (np.abs(rows[:, 1:5] - 0.5) <= 1).all()):
        raise DataError(f"{where} has a box without area or outside the photo; pack the photos again.")
    return rows


def describe_left_out(result: PackResult) -> list[str]:
    """Return one line per reason for which photos or faces were left out, with the first of them.

    Examples
    --------
    >>> describe_left_out(PackResult(1, 1, 0, 0, {"missing photos": ["a.jpg", "b.jpg"]}))
    ['2 missing photos: a.jpg, b.jpg']
    """
    lines = []
    for reason, names in result.left_out.items():
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        lines.append(f"{len(names)} {reason}: {', '.join(names[:5])}{more}")
    return lines

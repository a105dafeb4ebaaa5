"""Faces in photos as people annotated them: WIDER FACE, RetinaFace, Pascal VOC and COCO files in one form."""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import Iterable, Iterator, NamedTuple

import numpy as np

from gluonfr.core import DataError, PathLike, absolute_path, require_file
from gluonfr.core.paths import open_regular, reading_errors
from gluonfr.core.reading import read_json, read_table_bytes

FORMATS = ("wider", "retinaface", "voc", "coco")
# More bytes than this are not the annotations of one photo.
_LARGEST_XML = 10_000_000
_WIDER_VALUES, _WIDER_INVALID = 10, 7


class PhotoFaces(NamedTuple):
    """The annotated faces of a photo.

    Attributes
    ----------
    photo : str
        File name of the photo, relative to the folder of the photos.
    boxes : np.ndarray, float32 (n, 4)
        x0, y0, x1, y1 in pixels; n may be 0.
    landmarks : np.ndarray, float32 (n, 5, 2)
        Left eye, right eye, nose, left and right mouth corner in pixels; NaN for a face without landmarks.
    ignored : np.ndarray of bool, (n,)
        Faces that count neither as faces nor as background: those that were marked invalid, or groups of faces.

    Examples
    --------
    >>> faces = make_faces("a.jpg", [[10, 20, 30, 50]])
    >>> faces.boxes.shape, bool(np.isnan(faces.landmarks).all()), faces.ignored.tolist()
    ((1, 4), True, [False])
    """

    photo: str
    boxes: np.ndarray
    landmarks: np.ndarray
    ignored: np.ndarray


def make_faces(photo: str, boxes: object, landmarks: object = None, ignored: object = None) -> PhotoFaces:
    """Return `PhotoFaces` of lists; without `landmarks` and `ignored`, no face has landmarks or is ignored.

    Examples
    --------
    >>> make_faces("empty.jpg", []).boxes.shape
    (0, 4)
    """
    corners = np.asarray(boxes, np.float32).reshape(-1, 4)
    marks = np.full((len(corners), 5, 2), np.nan) if landmarks is None else landmarks
    flags = np.zeros(len(corners), bool) if ignored is None else ignored
    return PhotoFaces(photo, corners, np.asarray(marks, np.float32).reshape(-1, 5, 2), np.asarray(flags, bool).reshape(-1))


def read_annotations(path: PathLike, form: str | None = None) -> list[PhotoFaces]:
    r"""Read the annotations of a set of photos.

    Parameters
    ----------
    path : path
        WIDER FACE's text file (`wider_face_train_bbx_gt.txt`), RetinaFace's `label.txt`, a JSON file of COCO, or a folder of
        Pascal VOC's XML files.
    form : {'wider', 'retinaface', 'voc', 'coco'}, optional
        By default found from the content.

    Returns
    -------
    list of PhotoFaces
        In the order of the file; sorted by file name for a folder. Boxes are as annotated, sensible or not.

    Raises
    ------
    DataError
        A file is missing, of another format or damaged; the message names the line.

    Examples
    --------
    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "label.txt")
    >>> with open(path, "w") as file:
    ...     _ = file.write("# a.jpg\n10 20 30 40\n")
    >>> read_annotations(path)[0].boxes.tolist()
    [[10.0, 20.0, 40.0, 60.0]]
    """
    path = absolute_path(path)
    if os.path.isdir(path):
        faces = list(_read_voc_folder(path))
    else:
        require_file(path, "annotations")
        form = form or _guess_format(path)
        if form == "coco":
            faces = list(_read_coco(path))
        elif form == "voc":
            faces = [_read_voc(path)]
        else:
            faces = list((_read_wider if form == "wider" else _read_retinaface)(path, enumerate(_read_lines(path), 1)))
    if not faces:
        raise DataError(f"{path}: annotates no photo; give {_EXPECTED}.")
    twice = [photo for photo, count in Counter(photo.photo for photo in faces).items() if count > 1]
    if twice:
        raise DataError(f"{path}: photo {twice[0]} is annotated twice; join its faces.")
    return faces


_EXPECTED = "WIDER FACE's text file, RetinaFace's label.txt, a COCO JSON file or a folder of Pascal VOC XML files"


def _guess_format(path: str) -> str:
    with reading_errors(path), open_regular(path) as file:
        # Of UTF-16, every second byte is 0.
        start = file.read(4096).replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if start[:1] in (b"{", b"["):
        return "coco"
    if start[:1] == b"<":
        return "voc"
    return "retinaface" if start[:1] == b"#" else "wider"


def _read_lines(path: str) -> list[str]:
    with reading_errors(path):
        content = read_table_bytes(path)
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding).splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not a text file ({error.reason}); give {_EXPECTED}.") from None


def _numbers(path: str, number: int, line: str) -> list[float]:
    try:
        return [float(value) for value in re.split(r"[\s,;]+", line.strip())]
    except ValueError:
        raise DataError(f"{path}: line {number} must hold the numbers of a face, found {line.strip()[:60]!r}.") from None


def _read_wider(path: str, lines: Iterable[tuple[int, str]]) -> Iterator[PhotoFaces]:
    rows = iter((number, line.strip()) for number, line in lines if line.strip())
    for number, photo in rows:
        number, count = next(rows, (number, ""))
        if not count.isdigit() or len(count) > 6:
            raise DataError(f"{path}: line {number} must be the number of faces in {photo[:60]}, found {count[:60]!r}.")
        boxes, ignored = [], []
        # A photo without faces is followed by one row of zeros.
        for _ in range(max(1, int(count))):
            number, line = next(rows, (number, ""))
            values = _numbers(path, number, line) if line else []
            if len(values) not in (4, _WIDER_VALUES):
                raise DataError(
                    f"{path}: line {number} must be a face of {photo[:60]} (x y w h, or {_WIDER_VALUES} numbers), "
                    f"found {line[:60]!r}; {count} faces are declared."
                )
            x, y, w, h = values[:4]
            boxes.append((x, y, x + w, y + h))
            ignored.append(len(values) > _WIDER_INVALID and values[_WIDER_INVALID] > 0)
        yield make_faces(photo, boxes[: int(count)], ignored=ignored[: int(count)])


def _read_retinaface(path: str, lines: Iterable[tuple[int, str]]) -> Iterator[PhotoFaces]:
    photo = ""
    boxes: list[tuple[float, ...]] = []
    landmarks: list[np.ndarray] = []
    for number, line in lines:
        if line.startswith("#"):
            if photo:
                yield make_faces(photo, boxes, landmarks)
            photo, boxes, landmarks = line[1:].strip(), [], []
            if not photo:
                raise DataError(f"{path}: line {number} names no photo after '#'.")
        elif line.strip():
            values = _numbers(path, number, line)
            # x y w h, five times x y and a flag, and the blur.
            if len(values) not in (4, 19, 20) or not photo:
                raise DataError(
                    f"{path}: line {number} has {len(values)} numbers; expected '# photo', or x y w h and, optionally, five "
                    "landmarks as x y flag."
                )
            x, y, w, h = values[:4]
            marks = np.array(values[4:19]).reshape(-1, 3)[:, :2] if len(values) > 4 else np.full((5, 2), np.nan)
            boxes.append((x, y, x + w, y + h))
            landmarks.append(np.full((5, 2), np.nan) if (marks < 0).any() else marks)
    if photo:
        yield make_faces(photo, boxes, landmarks)


def _read_voc_folder(folder: str) -> Iterator[PhotoFaces]:
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(".xml"))
    if not names:
        raise DataError(f"{folder}: contains no XML file; give {_EXPECTED}.")
    for name in names:
        yield _read_voc(os.path.join(folder, name))


def _read_voc(path: str) -> PhotoFaces:
    from xml.etree import ElementTree

    with reading_errors(path), open_regular(path) as file:
        content = file.read(_LARGEST_XML + 1)
    if len(content) > _LARGEST_XML:
        raise DataError(f"{path}: has more than {_LARGEST_XML} bytes, which is not the annotation of a photo.")
    if b"<!ENTITY" in content or b"<!DOCTYPE" in content:
        raise DataError(f"{path}: declares a document type, which Pascal VOC files do not have; remove it.")
    try:
        root = ElementTree.fromstring(content)
        boxes, ignored = [], []
        for item in root.iter("object"):
            corners = [float(item.findtext(f"bndbox/{name}", "")) for name in ("xmin", "ymin", "xmax", "ymax")]
            # Pascal VOC counts pixels from 1, and the last pixel belongs to the box.
            boxes.append((corners[0] - 1, corners[1] - 1, corners[2], corners[3]))
            ignored.append(item.findtext("difficult", "0").strip() == "1")
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{path}: is not a Pascal VOC annotation ({error}); correct or remove it.") from None
    name = root.findtext("filename") or os.path.splitext(os.path.basename(path))[0] + ".jpg"
    return make_faces(name, boxes, ignored=ignored)


def _read_coco(path: str) -> Iterator[PhotoFaces]:
    content = read_json(path, "COCO annotations")
    try:
        names = {image["id"]: str(image["file_name"]) for image in content["images"]}
        rows: dict[object, list[tuple[list[float], np.ndarray, bool]]] = {number: [] for number in names}
        for item in content["annotations"]:
            x, y, w, h = (float(value) for value in item["bbox"])
            marks = np.array(item.get("keypoints") or [0.0] * 15, np.float64).reshape(-1, 3)
            visible = len(marks) == 5 and (marks[:, 2] > 0).all()
            points = marks[:, :2] if visible else np.full((5, 2), np.nan)
            rows[item["image_id"]].append(([x, y, x + w, y + h], points, bool(item.get("iscrowd", 0))))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: is not a COCO annotation file ({type(error).__name__}: {error}); expected images with id and file_name, "
            "and annotations with image_id and bbox [x, y, width, height]."
        ) from None
    for number, photo in names.items():
        boxes, landmarks, ignored = zip(*rows[number]) if rows[number] else ((), (), ())
        yield make_faces(photo, boxes, landmarks, ignored)

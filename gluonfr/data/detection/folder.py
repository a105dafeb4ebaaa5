"""A folder of annotated photos: its annotations, photos and the subsets of its faces."""

from __future__ import annotations

import os
import subprocess
from typing import NamedTuple

import numpy as np

from gluonfr.core import DataError, PathLike, absolute_path, display_path, require_file
from gluonfr.core.paths import python_command, reading_errors
from gluonfr.core.reading import parse_json
from gluonfr.core.tables import read_table
from gluonfr.data import images
from gluonfr.data.detection.annotations import PhotoFaces, read_annotations
from gluonfr.data.detection.photo_file import photo_path, read_photo

SUBSETS = ("easy", "medium", "hard")
_ANNOTATIONS = ("label.txt", "wider_face_val_bbx_gt.txt", "wider_face_train_bbx_gt.txt", "annotations.json", "annotations")
_SUBSETS_FILE = "subsets.csv"
# Bytes beyond those of a process that has imported SciPy, and seconds of CPU time; WIDER FACE's lists need a fraction.
_MATLAB_MEMORY, _MATLAB_SECONDS = 1 << 30, 30
_READ_MATLAB = """
import json, resource, sys
import numpy as np
from scipy.io import loadmat
with open("/proc/self/statm") as file:
    space = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (space + int(sys.argv[2]),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[3]),) * 2)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
content, members = loadmat(sys.argv[1]), {}
for event, names, lists in zip(content["event_list"], content["file_list"], content["gt_list"]):
    for name, numbers in zip(names[0], lists[0]):
        numbers = np.asarray(numbers[0], np.int64).reshape(-1)
        members[f"{event[0][0]}/{name[0][0]}.jpg"] = numbers.clip(-(2**31), 2**31).tolist()
json.dump(members, sys.stdout)
"""


class DetectionFolder(NamedTuple):
    """Annotated photos.

    Attributes
    ----------
    photos : str
        Folder of the photos.
    faces : list of PhotoFaces
    subsets : dict of str to list of np.ndarray
        For every subset by name and every photo, which of its faces belong to the subset, bool (n,).

    Examples
    --------
    >>> read_detection_folder("wider/val").subsets.keys()  # doctest: +SKIP
    dict_keys(['easy', 'medium', 'hard'])
    """

    photos: str
    faces: list[PhotoFaces]
    subsets: dict[str, list[np.ndarray]]

    def read(self, number: int) -> np.ndarray:
        """Return photo `number`, uint8 (H, W, 3) RGB."""
        path = photo_path(self.photos, self.faces[number].photo)
        with reading_errors(path):
            content = read_photo(path)
        return images.decode(content, display_path(path))


def read_detection_folder(folder: PathLike, annotations: PathLike | None = None) -> DetectionFolder:
    """Find the annotations, photos and subsets in a folder.

    Parameters
    ----------
    folder : path
        Contains `label.txt`, `wider_face_val_bbx_gt.txt`, `annotations.json` or the folder `annotations` of XML files; the
        photos in `images` or in the folder itself; and optionally WIDER FACE's `wider_easy_val.mat`, `wider_medium_val.mat` and
        `wider_hard_val.mat`, or `subsets.csv` with the columns image, face, easy, medium, hard and invalid.
    annotations : path, optional
        Another file of annotations.

    Returns
    -------
    DetectionFolder
        Without lists, the only subset is 'all': the faces that are not ignored.

    Raises
    ------
    DataError
        There are no annotations, a file is damaged, or the lists are of other photos.

    Examples
    --------
    >>> read_detection_folder("wider/val")  # doctest: +SKIP
    """
    folder = absolute_path(folder)
    if not os.path.isdir(folder):
        raise DataError(f"{folder} is not a folder of annotated photos.")
    found = [absolute_path(annotations)] if annotations else [os.path.join(folder, name) for name in _ANNOTATIONS]
    path = next((name for name in found if os.path.exists(name)), None)
    if path is None:
        raise DataError(f"{folder}: has no annotations ({', '.join(_ANNOTATIONS)}); add one, or name the file.")
    faces = read_annotations(path)
    photos = next((name for name in ("images", "WIDER_val/images") if os.path.isdir(os.path.join(folder, name))), "")
    return DetectionFolder(os.path.join(folder, photos), faces, _read_subsets(folder, faces))


def _read_subsets(folder: str, faces: list[PhotoFaces]) -> dict[str, list[np.ndarray]]:
    matlab = {name: os.path.join(folder, f"wider_{name}_val.mat") for name in SUBSETS}
    if all(map(os.path.isfile, matlab.values())):
        return {name: _read_matlab(path, faces) for name, path in matlab.items()}
    table = os.path.join(folder, _SUBSETS_FILE)
    if os.path.isfile(table):
        return _read_table(table, faces)
    return {"all": [~photo.ignored for photo in faces]}


def _read_table(path: str, faces: list[PhotoFaces]) -> dict[str, list[np.ndarray]]:
    members = {name: {photo.photo: np.zeros(len(photo.boxes), bool) for photo in faces} for name in SUBSETS}
    with reading_errors(path):
        table = read_table(path)
    header = table[0][1] if table else []
    for line, cells in table[1:]:
        row = dict(zip(header, cells))
        photo, face = row.get("image", ""), row.get("face", "")
        count = len(members[SUBSETS[0]].get(photo, ()))
        if not (face.isdecimal() and len(face) < 10 and int(face) < count and row.keys() >= set(SUBSETS)):
            raise DataError(
                f"{path}: line {line} must name a photo and the number of one of its faces, with 0 or 1 for easy, medium and "
                "hard."
            )
        for name in SUBSETS:
            members[name][photo][int(face)] = row[name] == "1" and row.get("invalid") != "1"
    return {name: [rows[photo.photo] for photo in faces] for name, rows in members.items()}


def _read_matlab(path: str, faces: list[PhotoFaces]) -> list[np.ndarray]:
    """Read one of WIDER FACE's lists: for every photo the numbers, from 1, of the faces that count."""
    # A damaged file may crash SciPy's reader, so it is read in a process of its own.
    command = python_command(_READ_MATLAB, require_file(path), str(_MATLAB_MEMORY), str(_MATLAB_SECONDS))
    finished = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if finished.returncode:
        lines = finished.stderr.strip().splitlines() if finished.returncode > 0 else []
        reason = (lines or ["the reader crashed, or needs too much memory or time"])[-1][:200]
        raise DataError(f"{path}: is not a list of WIDER FACE ({reason}); fetch it again.")
    members = {name: np.array(numbers, np.int64) - 1 for name, numbers in parse_json(finished.stdout, path).items()}
    subset = []
    for photo in faces:
        numbers = members.get(photo.photo)
        if numbers is None or (len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(photo.boxes)):
            raise DataError(f"{path}: does not fit the annotations: photo {photo.photo} is missing or has other faces.")
        member = np.zeros(len(photo.boxes), bool)
        member[numbers] = True
        subset.append(member)
    return subset

"""All faces of a folder of photos, with their embeddings: found once, kept on the disk."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from gluonfr.data import images
from gluonfr.detection.selection import choose_face
from gluonfr.photos.faces import all_faces, why
from gluonfr.photos.reading import Photo, PhotoError, read_file
from gluonfr.photos.resumable import Blocks, digest, file_state, network_settings

# Photos whose faces are found and embedded before anything is kept.
_BLOCK = 32


@dataclass
class Faces:
    """The faces of photos, in the order of the photos and from the left to the right.

    Attributes
    ----------
    files : list of str
        All photos, relative to their folder.
    photo : (N,) int64
        On which photo each face is, a number of `files`.
    boxes : (N, 4) float64
        x0, y0, x1, y1 in pixels of the photo.
    main : (N,) bool
        The face that its photo is about: the large one in the middle.
    embeddings : (N, D) float32, norm 1
        Mapped to a file.
    left_out : dict of str to str
        Photo -> why it shows nobody.
    """

    files: list[str]
    photo: np.ndarray
    boxes: np.ndarray
    main: np.ndarray
    embeddings: np.ndarray
    left_out: dict[str, str] = field(default_factory=dict)
    _blocks: object = None
    _keys: list[str] = field(default_factory=list)
    _starts: np.ndarray = None

    def crops(self, numbers):
        """The crops of these faces: list of uint8 (H, W, 3) RGB."""
        found = {}
        numbers = np.asarray(numbers, dtype=np.int64)
        of_block = np.searchsorted(self._starts, numbers, side="right") - 1
        for block in np.unique(of_block):
            bytes_, ends = self._blocks.read(self._keys[block], "crops", "ends")
            for number in numbers[of_block == block].tolist():
                place = number - int(self._starts[block])
                begin = int(ends[place - 1]) if place else 0
                found[number] = images.decode(bytes_[begin : int(ends[place])].tobytes(), "a crop")
        return [found[number] for number in numbers.tolist()]


def find_faces(embedder, folder, files, work, aligned=None, min_face=32, progress=None):
    """Find and embed all faces on photos.

    Parameters
    ----------
    embedder : Embedder
    folder : str
    files : list of str
        Photos, relative to the folder.
    work : str
        Folder in which what is done is kept; the same call goes on there.
    aligned, min_face
        As `all_faces`.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    Faces
    """
    settings = {**network_settings(embedder), "folder": _text(folder), "aligned": aligned, "min_face": min_face}
    blocks, keys = Blocks(work, settings), []
    with tqdm(total=len(files), desc=progress, unit="photo", disable=None if progress else True, leave=False) as bar:
        for start in range(0, len(files), _BLOCK):
            part = files[start : start + _BLOCK]
            # A photo that changed since is looked at again, with its block.
            keys.append(digest([[_text(file), file_state(os.path.join(folder, file))] for file in part]))
            if keys[-1] not in blocks:
                blocks.write(keys[-1], **_look_at(embedder, folder, part, aligned, min_face))
            bar.update(len(part))
    return _collect(blocks, keys, files, embedder.embedding_size)


def _look_at(embedder, folder, files, aligned, min_face):
    crops, photo, boxes, main, left_out = [], [], [], [], {}
    for number, file in enumerate(files):
        try:
            pixels = Photo(read_file(os.path.join(folder, file))).pixels()
            faces = all_faces(embedder, pixels, aligned, min_face)
        except PhotoError as refused:
            left_out[number] = why(refused)
            continue
        if not faces:
            left_out[number] = "no face"
            continue
        chosen, _ = choose_face([face.box for face in faces], [face.score for face in faces], pixels.shape)
        for place, face in enumerate(faces):
            crops.append(face.crop)
            photo.append(number)
            boxes.append(face.box)
            main.append(place == chosen)
    encoded = [images.encode(crop) for crop in crops]
    return {
        "embeddings": embedder(crops, aligned=True),
        "photo": np.array(photo, np.int64),
        "boxes": np.array(boxes, np.float64).reshape(-1, 4),
        "main": np.array(main, bool),
        "crops": np.frombuffer(b"".join(encoded), np.uint8),
        "ends": np.cumsum([len(each) for each in encoded], dtype=np.int64),
        "left_out": np.array(json.dumps(left_out)),
    }


def _collect(blocks, keys, files, size):
    parts, left_out, starts = [], {}, [0]
    for number, key in enumerate(keys):
        photo, boxes, main, reasons = blocks.read(key, "photo", "boxes", "main", "left_out")
        parts.append((photo + number * _BLOCK, boxes, main))
        left_out.update((files[number * _BLOCK + int(place)], why) for place, why in json.loads(str(reasons)).items())
        starts.append(starts[-1] + len(photo))
    photo, boxes, main = (np.concatenate(each) for each in zip(*parts))
    embeddings = blocks.stacked(keys, "embeddings", "embeddings.f32", (len(photo), size), np.float32)
    return Faces(files, photo, boxes, main, embeddings, left_out, blocks, keys, np.array(starts[:-1]))


def _text(path):
    return os.fsencode(path).decode("utf-8", "backslashreplace")

"""All faces of a folder of photos with their embeddings, found once and stored on the disk."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any, Sequence

import numpy as np
from tqdm import tqdm

from gluonfr.data import images
from gluonfr.deploy import Embedder
from gluonfr.detection.selection import choose_face
from gluonfr.photos.faces import MIN_FACE, all_faces
from gluonfr.photos.reading import Photo, PhotoError, read_file
from gluonfr.photos.resumable import Blocks, digest, file_state, network_settings

# Photos per block; a finished block is stored.
_BLOCK = 32


@dataclass
class Faces:
    """The faces of photos, in the order of the photos and from left to right.

    Attributes
    ----------
    files : list of str
        All photos, relative to their folder.
    photo : np.ndarray, (N,) int64
        Index in `files` of the photo of each face.
    boxes : np.ndarray, (N, 4) float64
        x0, y0, x1, y1 in pixels of the photo.
    main : np.ndarray, (N,) bool
        Whether the face is the large one nearest the middle of its photo.
    embeddings : np.ndarray, (N, D) float32
        Norm 1, mapped to a file.
    left_out : dict of str to str
        Photos without a face, and the reason.

    Examples
    --------
    >>> find_faces(embedder, "photos", ["a.jpg", "b.jpg"], "work")  # doctest: +SKIP
    Faces(photos=2, faces=3)
    """

    files: list[str]
    photo: np.ndarray
    boxes: np.ndarray
    main: np.ndarray
    embeddings: np.ndarray
    left_out: dict[str, str]
    _blocks: Blocks = field(repr=False)
    _keys: list[str] = field(repr=False)
    # Index of the first face of each block.
    _starts: np.ndarray = field(repr=False)

    def __repr__(self) -> str:
        return f"Faces(photos={len(self.files)}, faces={len(self.photo)})"

    def crops(self, numbers: Any) -> list[np.ndarray]:
        """Return the crops of these faces, uint8 (H, W, 3) RGB each."""
        found = {}
        numbers = np.asarray(numbers, dtype=np.int64)
        of_block = np.searchsorted(self._starts, numbers, side="right") - 1
        for block in np.unique(of_block):
            content, ends = self._blocks.read(self._keys[block], "crops", "ends")
            for number in numbers[of_block == block].tolist():
                place = number - int(self._starts[block])
                begin = int(ends[place - 1]) if place else 0
                found[number] = images.decode(content[begin : int(ends[place])].tobytes(), "a crop")
        return [found[number] for number in numbers.tolist()]


def find_faces(
    embedder: Embedder,
    folder: str,
    files: Sequence[str],
    work: str,
    aligned: bool | None = None,
    min_face: int = MIN_FACE,
    progress: str | None = None,
) -> Faces:
    """Find and embed all faces on photos.

    Parameters
    ----------
    embedder : Embedder
    folder : str
    files : sequence of str
        Photos, relative to the folder.
    work : str
        Folder for finished blocks; the same call resumes there.
    aligned : bool, optional
        As `Embedder`.
    min_face : int, default 32
        Shorter side of the smallest face to use, in pixels.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    Faces

    Examples
    --------
    >>> find_faces(embedder, "photos", ["a.jpg", "b.jpg"], "work")  # doctest: +SKIP
    Faces(photos=2, faces=3)
    """
    settings = {**network_settings(embedder), "folder": _text(folder), "aligned": aligned, "min_face": min_face}
    blocks, keys = Blocks(work, settings), []
    with tqdm(total=len(files), desc=progress, unit="photo", disable=None if progress else True, leave=False) as bar:
        for start in range(0, len(files), _BLOCK):
            part = files[start : start + _BLOCK]
            # The key contains the state of the files, so that a block with a changed photo is computed again.
            keys.append(digest([[_text(file), file_state(os.path.join(folder, file))] for file in part]))
            if keys[-1] not in blocks:
                blocks.write(keys[-1], **_find_in_block(embedder, folder, part, aligned, min_face))
            bar.update(len(part))
    return _collect(blocks, keys, list(files), embedder.embedding_size)


def _find_in_block(
    embedder: Embedder, folder: str, files: Sequence[str], aligned: bool | None, min_face: int
) -> dict[str, np.ndarray]:
    crops, photo, boxes, main, left_out = [], [], [], [], {}
    for number, file in enumerate(files):
        try:
            image = Photo(read_file(os.path.join(folder, file)))
            pixels = image.pixels()
            faces = all_faces(embedder, pixels, aligned, min_face, image.crop_template)
        except PhotoError as refused:
            left_out[number] = str(refused)
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
        "ends": np.cumsum([len(content) for content in encoded], dtype=np.int64),
        "left_out": np.array(json.dumps(left_out)),
    }


def _collect(blocks: Blocks, keys: list[str], files: list[str], size: int) -> Faces:
    parts, starts = [], [0]
    left_out: dict[str, str] = {}
    for number, key in enumerate(keys):
        photo, boxes, main = blocks.read(key, "photo", "boxes", "main")
        parts.append((photo + number * _BLOCK, boxes, main))
        reasons = blocks.read_reasons(key, "left_out")
        left_out.update((files[number * _BLOCK + place], reason) for place, reason in reasons.items())
        starts.append(starts[-1] + len(photo))
    photo, boxes, main = (np.concatenate(arrays) for arrays in zip(*parts))
    embeddings = blocks.stacked(keys, "embeddings", "embeddings.f32", (len(photo), size), np.float32)
    return Faces(files, photo, boxes, main, embeddings, left_out, blocks, keys, np.array(starts[:-1]))


def _text(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")

"""Search for one person in a collection of photos, without a gallery."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Sequence

import numpy as np

from gluonfr.apps.gallery.face_choice import ChosenFace, select_face
from gluonfr.apps.gallery.unknown import Threshold, calibrate, check_fpir
from gluonfr.core import DataError, UsageError, display_path
from gluonfr.core.top_k import top_k
from gluonfr.data.contact_sheet import contact_sheet
from gluonfr.deploy import Embedder
from gluonfr.evaluation.face_comparison import describe_face_choice
from gluonfr.photos.faces import MIN_FACE, Face, all_faces, pictures
from gluonfr.photos.reading import Photo, PhotoError, read_file

_BATCH = 64
_SHOWN = 40


@dataclass
class SearchResult:
    """The faces that are most similar to the face of one photo.

    Attributes
    ----------
    files : list of str
        Photos, best first; each appears once, with its best face.
    similarities : list of float
    crops : list of np.ndarray, uint8 (H, W, 3) RGB
    faces : int
        Number of faces that were compared.
    threshold : Threshold
        For a search among this number of faces.
    left_out : dict of str to str
        Photos without a result, and the reason.
    photo : dict
        `file` of the photo, number of `faces` on it, and `box` of the face that was used.

    Examples
    --------
    >>> result = SearchResult(["a.jpg"], [0.6], [], 9, Threshold(0.5, 0.01, 9, "card"))
    >>> result.same
    1
    """

    files: list[str]
    similarities: list[float]
    crops: list[np.ndarray] = field(repr=False)
    faces: int
    threshold: Threshold
    left_out: dict[str, str] = field(default_factory=dict)
    photo: dict[str, Any] = field(default_factory=dict)

    @property
    def same(self) -> int:
        """Number of photos above the threshold."""
        return sum(similarity > self.threshold.similarity for similarity in self.similarities)

    def taken(self) -> str:
        """Return which of several faces of the photo was used; empty if it shows one face."""
        if not self.photo:
            return ""
        return describe_face_choice(display_path(self.photo["file"]), self.photo["faces"], self.photo["box"])

    def explain(self) -> str:
        """Return the meaning of the threshold in words."""
        threshold = self.threshold
        if threshold.basis == "none":
            return "the network's card has no thresholds: decide by eye which photos show the same person"
        return (
            f"same person above similarity {threshold.similarity:.4f}: of 100 searches for a person who is on none of the "
            f"photos, about {100 * threshold.fpir:.2g} have a match"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, for JSON."""
        found = [{"file": file, "similarity": score} for file, score in zip(self.files, self.similarities)]
        threshold = {**self.threshold.to_dict(), "meaning": self.explain()}
        return {"photo": self.photo, "found": found, "faces": self.faces, "threshold": threshold, "left_out": self.left_out}

    def sheet(self, most: int = _SHOWN) -> np.ndarray:
        """Return a contact sheet of the best crops with their similarities, uint8 (H, W, 3) RGB."""
        captions = [f"{score:.3f} {'same' if score > self.threshold.similarity else ''}" for score in self.similarities]
        return contact_sheet(self.crops[:most], captions[:most])


def search_photos(
    embedder: Embedder,
    photo: str,
    paths: Sequence[str],
    fpir: float = 0.01,
    aligned: bool | None = None,
    min_face: int = MIN_FACE,
    every: float = 1.0,
    k: int = 100,
    progress: str | None = None,
    start: float = 0.0,
    end: float | None = None,
) -> SearchResult:
    """Search for the person of one photo among the faces of other photos.

    Parameters
    ----------
    embedder : Embedder
    photo : str
        Path. Of several faces on it, the large face nearest the middle is used.
    paths : sequence of str
        Files and folders to search.
    fpir : float, default 0.01
        Probability of a match if the person is on none of the photos.
    aligned, min_face, every, start, end
        As `identify_files`.
    k : int, default 100
        Number of photos to return.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    SearchResult

    Raises
    ------
    GluonFRError
        The photo cannot be read or shows no face; there is no face on any other photo.

    Examples
    --------
    >>> search_photos(embedder, "ann.jpg", ["holidays"]).files  # doctest: +SKIP
    ['holidays/12.jpg', 'holidays/7.jpg']
    """
    if k < 1:
        raise UsageError(f"k must be at least 1, got {k}.")
    check_fpir(fpir)
    chosen = _face_of(embedder, photo, aligned, min_face)
    search = _Search(embedder, embedder([chosen.face.crop], aligned=True), k)
    left_out = {}
    for name, pixels, reason, crop_template in pictures(paths, every, start, end, progress):
        try:
            if pixels is None:
                raise PhotoError(reason)
            faces = all_faces(embedder, pixels, aligned, min_face, crop_template)
            if not faces:
                raise PhotoError("no face")
        except PhotoError as refused:
            left_out[name] = str(refused)
            continue
        search.add(name, faces)
    files, similarities, crops = search.best()
    if not files:
        raise DataError(f"{', '.join(map(display_path, paths))}: no photo shows a face; give other photos.")
    threshold = calibrate(fpir, search.faces, search.faces, card=embedder.card)
    photo_face = {"file": photo, "faces": chosen.faces, "box": [round(corner, 1) for corner in chosen.face.box]}
    return SearchResult(files, similarities, crops, search.faces, threshold, left_out, photo_face)


def _face_of(embedder: Embedder, photo: str, aligned: bool | None, min_face: int) -> ChosenFace:
    try:
        image = Photo(read_file(photo))
        return select_face(embedder, image.pixels(), None, aligned, min_face, image.crop_template)
    except PhotoError as refused:
        raise DataError(f"{display_path(photo)} cannot be used: {refused}; choose another photo.") from refused


class _Search:
    """The best face of each photo, of the k best photos."""

    def __init__(self, embedder: Embedder, query: np.ndarray, k: int) -> None:
        self._embedder, self._query, self._k = embedder, query, k
        self._found: dict[str, tuple[float, np.ndarray]] = {}
        self._waiting: list[tuple[str, Face]] = []
        self.faces = 0

    def add(self, name: str, faces: list[Face]) -> None:
        """Compare the faces of a photo, in batches."""
        self.faces += len(faces)
        self._waiting += [(name, face) for face in faces]
        if len(self._waiting) >= _BATCH:
            self._compare()

    def best(self) -> tuple[list[str], list[float], list[np.ndarray]]:
        """Return files, similarities and crops, best first."""
        if self._waiting:
            self._compare()
        files = sorted(self._found, key=lambda name: (-self._found[name][0], name))[: self._k]
        return files, [self._found[name][0] for name in files], [self._found[name][1] for name in files]

    def _compare(self) -> None:
        embeddings = self._embedder([face.crop for _, face in self._waiting], aligned=True)
        scores = top_k(embeddings, self._query, 1, largest_norm=1.001)[0][:, 0]
        for (name, face), score in zip(self._waiting, scores.tolist()):
            if name not in self._found or score > self._found[name][0]:
                self._found[name] = score, face.crop
        self._waiting.clear()
        if len(self._found) > 2 * self._k + _BATCH:
            # The crops of all photos of a large folder would not fit into memory.
            for name in sorted(self._found, key=lambda name: -self._found[name][0])[self._k :]:
                del self._found[name]

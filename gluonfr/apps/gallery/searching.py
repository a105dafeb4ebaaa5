"""The same person in a folder of photos, without a gallery."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from gluonfr.apps.gallery.one_photo import chosen_face
from gluonfr.apps.gallery.unknown import Threshold, need_fpir, threshold_for
from gluonfr.core import GluonFRError, display_path
from gluonfr.core.top_k import top_k
from gluonfr.data.contact_sheet import contact_sheet
from gluonfr.evaluation.face_comparison import describe_face_choice
from gluonfr.photos.faces import MIN_FACE, all_faces, pictures, why
from gluonfr.photos.find import find_pictures
from gluonfr.photos.reading import Photo, PhotoError, read_file

_TOGETHER = 64
_SHOWN = 40


@dataclass
class Found:
    """Faces like one face, best first.

    Attributes
    ----------
    files : list of str
        A photo stands once, with its best face.
    similarities : list of float
    crops : list of uint8 (H, W, 3) RGB
    faces : int
        That were looked at.
    threshold : Threshold
        Of a search among so many faces.
    left_out : dict of str to str
    photo : dict
        `file` of the photo whose person is looked for, the number of `faces` on it, and the `box` of the one that was taken.
    """

    files: list[str]
    similarities: list[float]
    crops: list[np.ndarray]
    faces: int
    threshold: Threshold
    left_out: dict[str, str] = field(default_factory=dict)
    photo: dict = field(default_factory=dict)

    @property
    def same(self):
        """How many are above the threshold."""
        return sum(each > self.threshold.similarity for each in self.similarities)

    def taken(self):
        """Which of several faces of the photo was taken, in words; empty where there was one."""
        return (
            describe_face_choice(display_path(self.photo["file"]), self.photo["faces"], self.photo["box"]) if self.photo else ""
        )

    def explain(self) -> str:
        """The threshold in words."""
        threshold = self.threshold
        if threshold.basis == "none":
            return "the network's card states no thresholds: which of these show the same person is for you to see"
        return (
            f"same person above the similarity {threshold.similarity:.4f}: for a person on none of so many faces, about "
            f"{100 * threshold.fpir:.2g} of 100 searches find somebody all the same"
        )

    def to_dict(self):
        """Plain Python, for JSON."""
        found = [{"file": file, "similarity": score} for file, score in zip(self.files, self.similarities)]
        threshold = {**self.threshold.to_dict(), "meaning": self.explain()}
        return {"photo": self.photo, "found": found, "faces": self.faces, "threshold": threshold, "left_out": self.left_out}

    def sheet(self, most=_SHOWN):
        """uint8 (H, W, 3) RGB: the crops of the best as a contact sheet, each with its similarity."""
        captions = [f"{each:.3f} {'same' if each > self.threshold.similarity else ''}" for each in self.similarities]
        return contact_sheet(self.crops[:most], captions[:most])


def search_photos(embedder, photo, paths, fpir=0.01, aligned=None, min_face=MIN_FACE, every=1.0, k=100, progress=None):
    """Look for the person of one photo on all faces of others.

    Parameters
    ----------
    embedder : Embedder
    photo : str
        Of several faces on it the large one in the middle is meant.
    paths : sequence of str
        Files and folders.
    fpir : float, default 0.01
        The chance that a search finds somebody although the person is on none of the photos.
    aligned, min_face, every
        As `identify_files`.
    k : int, default 100
        Photos to keep.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    Found

    Raises
    ------
    GluonFRError
        The photo shows no face or cannot be read; there is no face on any of the others.
    """
    if k < 1:
        raise GluonFRError(f"k must be at least 1, got {k}.")
    need_fpir(fpir)
    try:
        chosen = chosen_face(embedder, Photo(read_file(photo)).pixels(), None, aligned, min_face)
    except PhotoError as refused:
        raise GluonFRError(f"{display_path(photo)} cannot be used: {why(refused)}.") from refused
    query = embedder([chosen.face.crop], aligned=True)
    scores, faces, left_out, waiting = {}, 0, {}, []

    def compare() -> None:
        best = top_k(embedder([each.crop for _, each in waiting], aligned=True), query, 1, largest_norm=1.001)[0][:, 0]
        for (name, face), score in zip(waiting, best.tolist()):
            if score > scores.get(name, (-2.0,))[0]:
                scores[name] = score, face.crop
        waiting.clear()
        if len(scores) > 2 * k + _TOGETHER:
            # Crops of all photos of a large folder would not fit into memory.
            for each in sorted(scores, key=lambda each: -scores[each][0])[k:]:
                del scores[each]

    total = len(find_pictures(paths))
    with tqdm(total=total, desc=progress, unit="photo", disable=None if progress else True, leave=False) as bar:
        for name, pixels, reason in pictures(paths, every):
            bar.update()
            try:
                if pixels is None:
                    raise PhotoError(reason)
                seen = all_faces(embedder, pixels, aligned, min_face)
                if not seen:
                    raise PhotoError("no face")
            except PhotoError as refused:
                left_out[name] = why(refused)
                continue
            faces += len(seen)
            waiting += [(name, face) for face in seen]
            if len(waiting) >= _TOGETHER:
                compare()
    if waiting:
        compare()
    if not scores:
        raise GluonFRError(f"{', '.join(map(display_path, paths))}: there is no face on any photo there.")
    order = sorted(scores, key=lambda name: (-scores[name][0], name))[:k]
    return Found(
        order,
        [scores[name][0] for name in order],
        [scores[name][1] for name in order],
        faces,
        threshold_for(fpir, faces, faces, card=embedder.card),
        left_out,
        {"file": photo, "faces": chosen.faces, "box": [round(each, 1) for each in chosen.face.box]},
    )

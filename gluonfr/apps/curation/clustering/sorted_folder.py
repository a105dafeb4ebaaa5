"""A new folder with one folder of photos per person."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Iterator

import numpy as np
from tqdm import tqdm

from gluonfr.apps.curation.clustering.faces import Faces, find_faces
from gluonfr.apps.curation.clustering.grouping import (
    Clusters,
    NamingGallery,
    check_threshold,
    cluster_faces,
    name_groups,
    people_of_folders,
)
from gluonfr.apps.curation.clustering.photo_writer import ONCE, PEOPLE, PhotoWriter, group_name
from gluonfr.core import DataError, PathLike, UsageError, absolute_path, display_path, new_folder
from gluonfr.core.tables import write_table
from gluonfr.deploy import Embedder
from gluonfr.metrics import ClusteringResult, bcubed
from gluonfr.photos.faces import MIN_FACE
from gluonfr.photos.find import find_photos
from gluonfr.photos.resumable import require_new_output, work_folder, working_in

TABLE, LEFT_OUT = "clusters.csv", "left_out.csv"


@dataclass
class ClusteredPhotos:
    """The result of clustering a folder of photos.

    Attributes
    ----------
    faces, photos : int
        Number of faces, and of photos that show a face.
    people : dict of str to int
        Number of photos in each folder below `people/`.
    once : int
        Number of people who are on one photo only and have no name.
    named : list of str
        Names from the gallery.
    clusters : Clusters
    threshold : Threshold or None
        Threshold of the gallery.
    left_out : dict of str to str
        Photos without a result, and the reason.
    repeated : dict of str to int
        Photos that show a person several times, and how many faces are repetitions.
    evaluation : ClusteringResult or None

    Examples
    --------
    >>> cluster_photos(embedder, "photos", "sorted")  # doctest: +SKIP
    ClusteredPhotos(faces=168, photos=168, people=24, once=0, left_out=0)
    """

    faces: int
    photos: int
    people: dict[str, int]
    once: int
    named: list[str]
    clusters: Clusters
    threshold: Any = None
    left_out: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, int] = field(default_factory=dict)
    evaluation: ClusteringResult | None = None

    def __repr__(self) -> str:
        counts = f"faces={self.faces}, photos={self.photos}, people={len(self.people)}, once={self.once}"
        return f"ClusteredPhotos({counts}, left_out={len(self.left_out)})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, for JSON."""
        names = ("faces", "photos", "people", "once", "named", "left_out", "repeated")
        return {
            **{name: getattr(self, name) for name in names},
            "threshold": {"similarity": float(self.clusters.threshold), "meaning": self.clusters.explain()},
            "gallery": self.threshold and self.threshold.to_dict(),
            "evaluation": self.evaluation and self.evaluation.to_dict(),
        }


def cluster_photos(
    embedder: Embedder,
    photos: PathLike,
    out: PathLike,
    gallery: NamingGallery | None = None,
    fpir: float = 0.01,
    threshold: float | None = None,
    aligned: bool | None = None,
    min_face: int = MIN_FACE,
    link: bool = False,
    evaluate: bool = False,
    progress: str | None = None,
) -> ClusteredPhotos:
    """Sort the photos of a folder and its subfolders into a new folder with one folder per person.

    A photo of several people is written to the folder of each. Faces and embeddings are stored beside `out` until it is
    complete: the same call resumes after an interruption.

    Parameters
    ----------
    embedder : Embedder
    photos, out : str
        `out` is new or empty and is written atomically: `people/NAME/` with photos, `once/` with the photos of people who are
        on one photo only, `sheets/NAME.jpg` with their faces, `clusters.csv` and `left_out.csv`.
    gallery : NamingGallery, optional
        Gallery of the embedder's network that names known people.
    fpir : float, default 0.01
        False positive identification rate of the gallery.
    threshold : float, optional
        As `cluster_faces`.
    aligned, min_face
        As `find_faces`.
    link : bool, default False
        Write hard links, which take no space, instead of copies.
    evaluate : bool, default False
        The photos are in one folder per person already: compare the clusters with these people. The face that each photo is
        about counts.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    ClusteredPhotos

    Raises
    ------
    GluonFRError
        There is no photo or no face, a folder cannot be used, there is unfinished work with other options, or no threshold.

    Examples
    --------
    >>> cluster_photos(embedder, "photos", "sorted")  # doctest: +SKIP
    ClusteredPhotos(faces=168, photos=168, people=24, once=0, left_out=0)
    """
    photos, out = absolute_path(photos), require_new_output(out)
    _check_folders(photos, out)
    files = [os.path.relpath(path, photos) for path in find_photos([photos])]
    truth = people_of_folders(files) if evaluate else None
    check_threshold(embedder.card, threshold)
    with working_in(work_folder(out)) as work:
        faces = find_faces(embedder, photos, files, work, aligned, min_face, progress)
        if not len(faces.photo):
            raise DataError(f"{display_path(photos)}: none of the {len(files):,} photos shows a face; give other photos.")
        space = np.memmap(os.path.join(work, "means.f32"), np.float32, "w+", shape=faces.embeddings.shape)
        clusters = cluster_faces(faces.embeddings, embedder.card, threshold, faces.photo, space, progress and "group")
        names, limit = name_groups(gallery, faces.embeddings, clusters.people, fpir) if gallery is not None else ({}, None)
        clusters.people, names = _unite_equal_names(clusters.people, names)
        result = ClusteredPhotos(len(faces.photo), len(set(faces.photo.tolist())), {}, 0, list(names.values()), clusters, limit)
        result.left_out, result.repeated = faces.left_out, _count_repeated(faces, clusters)
        if truth is not None:
            labels = np.array([truth[number] for number in faces.photo[faces.main].tolist()])
            result.evaluation = bcubed(labels, clusters.people[faces.main])
        with new_folder(out) as folder:
            _write(PhotoWriter(photos, folder, link), faces, names, result, progress)
    return result


def _check_folders(photos: str, out: str) -> None:
    if not os.path.isdir(photos):
        raise UsageError(f"{display_path(photos)} is not a folder; give a folder of photos.")
    if os.path.join(os.path.realpath(out), "").startswith(os.path.join(os.path.realpath(photos), "")):
        raise UsageError(f"{display_path(out)} is inside the folder of photos; name a folder outside of it.")


def _unite_equal_names(people: np.ndarray, names: dict[int, str]) -> tuple[np.ndarray, dict[int, str]]:
    """Merge groups with equal names, and number the groups again without gaps."""
    first: dict[str, int] = {}
    of = np.arange(people.max() + 1)
    for group in sorted(names):
        of[group] = first.setdefault(names[group], group)
    groups, people = np.unique(of[people], return_inverse=True)
    return people, {new: names[old] for new, old in enumerate(groups.tolist()) if old in names}


def _count_repeated(faces: Faces, clusters: Clusters) -> dict[str, int]:
    numbers, counts = np.unique(faces.photo[clusters.repeated], return_counts=True)
    return {faces.files[number]: count for number, count in zip(numbers.tolist(), counts.tolist())}


def _write(writer: PhotoWriter, faces: Faces, names: dict[int, str], result: ClusteredPhotos, progress: str | None) -> None:
    people = result.clusters.people
    order = np.argsort(people, kind="stable")
    starts = np.searchsorted(people[order], np.arange(people.max() + 2))
    alone: list[int] = []
    folders: dict[int, str] = {}
    groups = tqdm(range(len(starts) - 1), progress and "write", unit="person", disable=None if progress else True, leave=False)
    for group in groups:
        mine = order[starts[group] : starts[group + 1]]
        on_photos = np.unique(faces.photo[mine])
        if len(on_photos) == 1 and group not in names:
            alone += mine.tolist()
            folders[group] = ONCE
            result.once += 1
            continue
        name = writer.person_folder(names.get(group), group)
        for number in on_photos.tolist():
            writer.put(faces.files[number], os.path.join(PEOPLE, name))
        writer.write_sheet(name, faces, mine, result.clusters.similarity)
        folders[group], result.people[name] = os.path.join(PEOPLE, name), len(on_photos)
    for number in sorted(set(faces.photo[alone].tolist())):
        writer.put(faces.files[number], ONCE)
    if alone:
        writer.write_sheet(ONCE, faces, np.array(alone), result.clusters.similarity)
    columns = ["file", "box", "person", "similarity", "folder"]
    write_table(os.path.join(writer.out, TABLE), columns, _rows(faces, names, folders, result.clusters))
    write_table(os.path.join(writer.out, LEFT_OUT), ["file", "reason"], result.left_out.items())


def _rows(faces: Faces, names: dict[int, str], folders: dict[int, str], clusters: Clusters) -> Iterator[tuple[str, ...]]:
    for number, group in enumerate(clusters.people.tolist()):
        similarity = clusters.similarity[number]
        yield (
            faces.files[faces.photo[number]],
            " ".join(f"{corner:.1f}" for corner in faces.boxes[number]),
            names.get(group, group_name(group)),
            "" if np.isnan(similarity) else f"{similarity:.4f}",
            folders[group],
        )

"""Photos in a folder a person."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass, field

import cv2
import numpy as np
from tqdm import tqdm

from gluonfr.apps.curation.clustering.cluster import Clusters, cluster_faces, known_people, need_threshold, people_of_folders
from gluonfr.apps.curation.clustering.faces import find_faces
from gluonfr.core import GluonFRError, display_path, new_folder, require_new_folder
from gluonfr.core.tables import write_table
from gluonfr.data.contact_sheet import contact_sheet
from gluonfr.metrics import ClusteringResult, bcubed
from gluonfr.photos.faces import MIN_FACE
from gluonfr.photos.find import find_images
from gluonfr.photos.resumable import work_folder, working_in
from gluonfr.photos.unpacking import folder_name_fits

PEOPLE, ONCE, SHEETS, TABLE, LEFT_OUT = "people", "once", "sheets", "clusters.csv", "left_out.csv"
_SHOWN = 60


@dataclass
class Clustered:
    """What became of a folder of photos.

    Attributes
    ----------
    faces, photos : int
        Faces, and photos that show some.
    people : dict of str to int
        Folder below `people` -> its photos.
    once : int
        People who are on one photo alone, and whom no gallery names.
    named : list of str
        Those whom the gallery named.
    clusters : Clusters
    threshold : Threshold or None
        Of the gallery.
    left_out : dict of str to str
    evaluation : ClusteringResult or None
    """

    faces: int
    photos: int
    people: dict[str, int]
    once: int
    named: list[str]
    clusters: Clusters
    threshold: object = None
    left_out: dict[str, str] = field(default_factory=dict)
    evaluation: ClusteringResult | None = None

    def to_dict(self):
        """Plain Python, for JSON."""
        values = {name: getattr(self, name) for name in ("faces", "photos", "people", "once", "named", "left_out")}
        clusters = self.clusters
        values["threshold"] = {"similarity": float(clusters.threshold), "meaning": clusters.explain()}
        values["gallery"] = self.threshold and self.threshold.to_dict()
        values["evaluation"] = self.evaluation and self.evaluation.to_dict()
        return values


def cluster_photos(
    embedder,
    photos,
    out,
    gallery=None,
    fpir=0.01,
    threshold=None,
    aligned=None,
    min_face=MIN_FACE,
    link=False,
    evaluate=False,
    progress=None,
):
    """Put the photos of a folder, whatever its tree, into a new folder that has a folder for each person.

    A photo with several people is put into the folder of each. What is found and embedded is kept beside `out` until that
    is whole: the same call goes on after an interruption.

    Parameters
    ----------
    embedder : Embedder
    photos, out : str
        `out` is new or empty; it appears whole or not at all: `people/NAME/` with photos, `once/` with the photos of people who
        are on a single one, `sheets/NAME.jpg` with their faces, `clusters.csv` and `left_out.csv`.
    gallery : Gallery, optional
        Of the embedder's network: names those who are known, at its `fpir`.
    threshold : float, optional
        As :func:`cluster_faces`.
    aligned, min_face
        As `all_faces`.
    link : bool, default False
        Hard links, which take no space, in place of copies.
    evaluate : bool, default False
        The photos lie in a folder a person already: say how well the clusters are these people. Of each photo the face that it
        is about counts.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    Clustered

    Raises
    ------
    GluonFRError
        No photos or no face, a folder that cannot be used, unfinished work with other options, no threshold.
    """
    photos, out = os.path.abspath(os.path.expanduser(os.fspath(photos))), require_new_folder(out)
    if not os.path.isdir(photos):
        raise GluonFRError(f"{display_path(photos)}: is no folder; give a folder of photos.")
    inside = os.path.join(os.path.realpath(photos), "")
    if os.path.join(os.path.realpath(out), "").startswith(inside):
        raise GluonFRError(f"{display_path(out)}: lies in the folder of photos, among which it would count; name one outside.")
    files = [os.path.relpath(path, photos) for path in find_images([photos])]
    truth = people_of_folders(files) if evaluate else None
    need_threshold(embedder.card, threshold)
    with working_in(work_folder(out)) as work:
        faces = find_faces(embedder, photos, files, work, aligned, min_face, progress)
        if not len(faces.photo):
            raise GluonFRError(f"{display_path(photos)}: there is no face on any of {len(files):,} photos.")
        space = np.memmap(os.path.join(work, "means.f32"), np.float32, "w+", shape=faces.embeddings.shape)
        clusters = cluster_faces(faces.embeddings, embedder.card, threshold, faces.photo, space, progress and "group")
        names, told = known_people(gallery, faces.embeddings, clusters.people, fpir) if gallery is not None else ({}, None)
        clusters.people, names = _united(clusters.people, names)
        done = Clustered(len(faces.photo), len(set(faces.photo.tolist())), {}, 0, list(names.values()), clusters, told)
        done.left_out = faces.left_out
        if evaluate:
            labels = np.array([truth[number] for number in faces.photo[faces.main].tolist()])
            done.evaluation = bcubed(labels, clusters.people[faces.main])
        with new_folder(out) as folder:
            _write(_Writer(photos, folder, link), faces, names, done, progress)
    return done


def _united(people, names):
    """Groups of one name as one group, numbered anew without gaps: (people, names)."""
    first = {}
    of = np.arange(people.max() + 1)
    for group in sorted(names):
        of[group] = first.setdefault(names[group], group)
    kept, people = np.unique(of[people], return_inverse=True)
    return people, {new: names[old] for new, old in enumerate(kept.tolist()) if old in names}


def _write(writer, faces, names, done, progress) -> None:
    people = done.clusters.people
    order = np.argsort(people, kind="stable")
    starts = np.searchsorted(people[order], np.arange(people.max() + 2))
    alone, folders = [], {}
    groups = tqdm(range(len(starts) - 1), progress and "write", unit="person", disable=None if progress else True, leave=False)
    for group in groups:
        mine = order[starts[group] : starts[group + 1]]
        shot = np.unique(faces.photo[mine])
        if len(shot) == 1 and group not in names:
            alone += mine.tolist()
            folders[group] = ONCE
            done.once += 1
            continue
        name = writer.name(names.get(group), group)
        for number in shot.tolist():
            writer.put(faces.files[number], os.path.join(PEOPLE, name))
        writer.sheet(name, faces, mine, done.clusters.similarity)
        folders[group], done.people[name] = os.path.join(PEOPLE, name), len(shot)
    for number in sorted(set(faces.photo[alone].tolist())):
        writer.put(faces.files[number], ONCE)
    if alone:
        writer.sheet(ONCE, faces, np.array(alone), done.clusters.similarity)
    write_table(os.path.join(writer.out, TABLE), _COLUMNS, _rows(faces, names, folders, done.clusters))
    write_table(os.path.join(writer.out, LEFT_OUT), ["file", "reason"], done.left_out.items())


_COLUMNS = ["file", "box", "person", "similarity", "folder"]


def _rows(faces, names, folders, clusters):
    for number, group in enumerate(clusters.people.tolist()):
        similarity = clusters.similarity[number]
        yield (
            faces.files[faces.photo[number]],
            " ".join(f"{each:.1f}" for each in faces.boxes[number]),
            names.get(group, unnamed(group)),
            "" if np.isnan(similarity) else f"{similarity:.4f}",
            folders[group],
        )


def unnamed(group) -> str:
    """What a group is called that nobody named."""
    return f"person {group + 1:04d}"


class _Writer:
    """Photos and contact sheets into the new folder, under names that are free there."""

    def __init__(self, photos, out, link) -> None:
        self._photos, self.out, self._link = photos, out, link
        self._taken = {}

    def name(self, wanted, group):
        """The folder of a person: the gallery's name where a folder can be called that, or a number."""
        taken = self._taken.setdefault(PEOPLE, {ONCE})
        number = unnamed(group)
        if wanted is None or not folder_name_fits(wanted) or wanted.casefold() in taken or wanted.startswith("person "):
            wanted = number
        taken.add(wanted.casefold())
        return wanted

    def put(self, file, folder) -> None:
        source = os.path.join(self._photos, file)
        os.makedirs(os.path.join(self.out, folder), exist_ok=True)
        target = os.path.join(self.out, folder, self._free(folder, os.path.basename(file)))
        if not self._link:
            shutil.copyfile(source, target)
            # The time at which a photo was taken is often known by its file alone.
            with contextlib.suppress(OSError):
                shutil.copystat(source, target)
            return
        try:
            os.link(source, target)
        except OSError as error:
            raise GluonFRError(
                f"{display_path(source)} cannot be linked ({error.strerror}); leave --link out, then photos are copied."
            ) from error

    def sheet(self, name, faces, numbers, similarity) -> None:
        """The faces of a person, the most typical first."""
        order = np.argsort(-np.nan_to_num(similarity[numbers]), kind="stable")
        # Of many the least typical ones too, which tell whether somebody is in the wrong place.
        order = order if len(order) <= _SHOWN else np.concatenate([order[: _SHOWN // 2], order[-(_SHOWN // 2) :]])
        shown_ = numbers[order]
        captions = [
            os.path.basename(faces.files[faces.photo[each]]) if np.isnan(similarity[each]) else f"{similarity[each]:.3f}"
            for each in shown_
        ]
        picture = contact_sheet(faces.crops(shown_), captions)
        os.makedirs(os.path.join(self.out, SHEETS), exist_ok=True)
        with open(os.path.join(self.out, SHEETS, name + ".jpg"), "xb") as file:
            file.write(cv2.imencode(".jpg", picture[:, :, ::-1])[1].tobytes())

    def _free(self, folder, name):
        """The name, numbered where another photo of that name is there."""
        taken = self._taken.setdefault(folder, set())
        stem, ending = os.path.splitext(name)
        number, free = 1, name
        while free.casefold() in taken:
            number += 1
            free = f"{stem} ({number}){ending}"
        taken.add(free.casefold())
        return free

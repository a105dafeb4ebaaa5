"""The report on a set: tables, contact sheets, and proposed changes."""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Iterator, List, Optional, Tuple

import cv2
import numpy as np

from gluonfr.apps.curation.cleaning.embedded_set import EmbeddedSet
from gluonfr.apps.curation.cleaning.findings import Findings
from gluonfr.apps.curation.cleaning.identities import Identities
from gluonfr.apps.curation.cleaning.label_errors import WrongLabels
from gluonfr.apps.curation.cleaning.overlap import Overlap
from gluonfr.core import new_folder
from gluonfr.core.tables import write_table
from gluonfr.data.contact_sheet import contact_sheet
from gluonfr.deploy import Embedder
from gluonfr.photos.resumable import digest, network_settings
from gluonfr.weights.network_identity import network_name

REPORT, CHANGES = "report.json", "changes.csv"
CHANGES_HEADER = ["image", "action", "label", "name", "to", "why"]
_SHOWN = 60
_TITLES = {
    "wrong_labels": (
        'Wrong labels, in threes: the image ("?": in doubt), a typical image of its label, one of the label it is similar to\n'
        "Numbers: cosine similarity of the image to that label."
    ),
    "two_labels": (
        "People under two labels. Left three images: one label; right three: the other\n"
        "Numbers: cosine similarity of the two labels."
    ),
    "duplicates": "Copies, in pairs\nNumbers: agreement of the pixels, 1 for the same image.",
    "overlap": (
        "People of the test set that are in the set. Left three images: test set; right three: set\n"
        "Numbers: cosine similarity of the two."
    ),
}
# Images of each person on a contact sheet.
_IMAGES = 3

# An image of a set with a caption; None is an empty tile.
Tile = Tuple[EmbeddedSet, Optional[int], str]
Tiles = Callable[[Findings, int], List[Tile]]


def write_report(findings: Findings, embedder: Embedder, out: str) -> None:
    """Write a report to a new folder, atomically.

    `changes.csv` lists the proposed changes; `wrong_labels.csv`, `two_labels.csv`, `duplicates.csv`, `overlap.csv` and
    `left_out.csv` the reasons. Contact sheets show the images, and `report.json` contains counts and thresholds in words.

    Parameters
    ----------
    findings : Findings
    embedder : Embedder
    out : str
        New folder.

    Examples
    --------
    >>> write_report(analyze(embedded), embedder, "report")  # doctest: +SKIP
    """
    tables: dict[str, tuple[list[str], list[Any], Tiles, int]] = {
        "wrong_labels": (_WRONG, list(_wrong_rows(findings)), _wrong_tiles, 3),
        "two_labels": (_TWO, list(_two_rows(findings)), _two_tiles, 2 * _IMAGES),
        "duplicates": (_COPIES, list(_copy_rows(findings)), _copy_tiles, 2),
    }
    if findings.shared:
        tables["overlap"] = (_OVERLAP, list(_overlap_rows(findings)), _overlap_tiles, 2 * _IMAGES)
    with new_folder(out) as folder:
        for name, (header, rows, tiles, columns) in tables.items():
            write_table(os.path.join(folder, name + ".csv"), header, rows)
            if rows:
                _write_sheet(
                    os.path.join(folder, name + ".png"), _TITLES[name], findings, embedder, tiles, (len(rows), columns)
                )
        write_table(os.path.join(folder, CHANGES), CHANGES_HEADER, _change_rows(findings))
        write_table(os.path.join(folder, "left_out.csv"), ["set", "image", "reason"], left_out_rows(findings))
        states = {"state": digest(findings.embedded.set.state())}
        if findings.test:
            states["test_state"] = digest(findings.test.set.state())
        made_by = {"network": network_name(embedder.card), "made_by": network_settings(embedder)}
        values = {**findings.to_dict(), **made_by, **states}
        with open(os.path.join(folder, REPORT), "w", encoding="utf-8") as file:
            json.dump(values, file, indent=1)


def _person(findings: Findings, person: int) -> list[Any]:
    label = int(findings.people.labels[person])
    return [label, findings.embedded.set.name(label)]


def _change_rows(findings: Findings) -> Iterator[list[Any]]:
    for change in findings.changes:
        label, name = _person(findings, findings.people.of[change.image])
        yield [
            findings.embedded.key(change.image),
            change.action,
            label,
            name,
            "" if change.to is None else change.to,
            change.why,
        ]


def left_out_rows(findings: Findings) -> Iterator[list[str]]:
    """Yield kind of set, key and reason of each image that could not be used.

    Examples
    --------
    >>> list(left_out_rows(findings))  # doctest: +SKIP
    [['set', '17', 'no face']]
    """
    for kind, of in findings.left_out.items():
        for image, reason in of.items():
            yield [kind, image, reason]


_WRONG = ["image", "label", "name", "similarity", "like_label", "like_name", "like_similarity", "margin", "found"]


def _wrong_rows(findings: Findings) -> Iterator[list[Any]]:
    wrong = findings.wrong
    for image in _listed(wrong):
        like = _person(findings, wrong.person[image]) if wrong.other[image] >= wrong.like else ["", ""]
        own, other, margin = (f"{scores[image]:.4f}" for scores in (wrong.own, wrong.other, wrong.margin))
        found = int(image in wrong.images)
        yield [findings.embedded.key(image), *_person(findings, findings.people.of[image]), own, *like, other, margin, found]


def _listed(wrong: WrongLabels) -> list[int]:
    """Return the wrong images, followed by the doubtful ones."""
    return [*wrong.images.tolist(), *wrong.doubtful.tolist()]


def _wrong_tiles(findings: Findings, number: int) -> list[Tile]:
    """Return the image, the most typical other image of its label, and that of the more similar label."""
    wrong = findings.wrong
    image = _listed(wrong)[number]
    own, like = findings.people.of[image], wrong.person[image]
    (typical,) = _typical(findings.people, own, 1, image)
    (theirs,) = _typical(findings.people, like, 1)
    return [
        (findings.embedded, image, f"{findings.embedded.key(image)}{'' if number < len(wrong.images) else ' ?'}"),
        (findings.embedded, typical, f"label {_person(findings, own)[1]} {wrong.own[image]:.2f}"),
        (findings.embedded, theirs, f"similar {_person(findings, like)[1]} {wrong.other[image]:.2f}"),
    ]


_TWO = ["label", "name", "images", "other_label", "other_name", "other_images", "similarity"]


def _two_rows(findings: Findings) -> Iterator[list[Any]]:
    counts = findings.people.counts
    for a, b, similarity in findings.doubled.pairs:
        yield [*_person(findings, a), counts[a], *_person(findings, b), counts[b], f"{similarity:.4f}"]


def _two_tiles(findings: Findings, number: int) -> list[Tile]:
    a, b, similarity = findings.doubled.pairs[number]
    return [
        *_few(findings.embedded, findings.people, a, _person(findings, a)[1]),
        *_few(findings.embedded, findings.people, b, f"{_person(findings, b)[1]} {similarity:.2f}"),
    ]


_COPIES = ["image", "label", "name", "other_image", "other_label", "other_name", "pixels", "similarity"]


def _copy_rows(findings: Findings) -> Iterator[list[Any]]:
    of, copies = findings.people.of, findings.copies
    for (a, b), pixels, similarity in zip(copies.pairs.tolist(), copies.pixels, copies.similarity):
        first, second = ([findings.embedded.key(image), *_person(findings, of[image])] for image in (a, b))
        yield [*first, *second, f"{pixels:.4f}", f"{similarity:.4f}"]


def _copy_tiles(findings: Findings, number: int) -> list[Tile]:
    (a, b), of = findings.copies.pairs[number].tolist(), findings.people.of
    return [
        (findings.embedded, a, f"{_person(findings, of[a])[1]} {findings.copies.pixels[number]:.3f}"),
        (findings.embedded, b, _person(findings, of[b])[1]),
    ]


_OVERLAP = ["test_label", "test_name", "test_images", "label", "name", "images", "similarity"]


def _test_set(findings: Findings) -> tuple[EmbeddedSet, Identities, Overlap]:
    if findings.test is None or findings.test_people is None or findings.shared is None:
        raise ValueError("findings: there is no test set")
    return findings.test, findings.test_people, findings.shared


def _overlap_rows(findings: Findings) -> Iterator[list[Any]]:
    (test_set, test, shared), people = _test_set(findings), findings.people
    for theirs, ours, similarity in shared.found:
        label = int(test.labels[theirs])
        yield [
            *(label, test_set.set.name(label), test.counts[theirs]),
            *(*_person(findings, ours), people.counts[ours], f"{similarity:.4f}"),
        ]


def _overlap_tiles(findings: Findings, number: int) -> list[Tile]:
    test_set, test, shared = _test_set(findings)
    theirs, ours, similarity = shared.found[number]
    name = test_set.set.name(int(test.labels[theirs]))
    return [
        *_few(test_set, test, theirs, f"test {name}"),
        *_few(findings.embedded, findings.people, ours, f"{_person(findings, ours)[1]} {similarity:.2f}"),
    ]


def _typical(people: Identities, person: int, count: int, but: int | None = None) -> np.ndarray:
    """Return the images of a person that are most similar to its mean."""
    images = people.images(person)
    if but is not None:
        images = images[images != but]
    near = np.asarray(people.embeddings[images]) @ people.centroids[person]
    return images[np.argsort(-near, kind="stable")[:count]]


def _few(embedded: EmbeddedSet, people: Identities, person: int, caption: str) -> list[Tile]:
    tiles: list[Tile] = [(embedded, image, caption) for image in _typical(people, person, _IMAGES)]
    return tiles + [(embedded, None, "")] * (_IMAGES - len(tiles))


def _write_sheet(
    path: str, title: str, findings: Findings, embedder: Embedder, tiles: Tiles, count_and_tiles: tuple[int, int]
) -> None:
    """Write a contact sheet of the findings of a kind, or of a selection from the most to the least certain."""
    count, group = count_and_tiles
    if count > _SHOWN:
        title += f" {_SHOWN} of {count:,} are shown."
    chosen = np.unique(np.linspace(0, count - 1, min(count, _SHOWN)).round().astype(int))
    crops, captions = [], []
    seen: dict[tuple[int, int | None], np.ndarray] = {}
    for number in chosen.tolist():
        for embedded, image, caption in tiles(findings, number):
            where = (id(embedded), image)
            if where not in seen:
                blank = np.full((*embedder.card.image_size, 3), 255, np.uint8)
                seen[where] = blank if image is None else embedded.set.crop(int(embedded.rows[image]), embedder)
            crops.append(seen[where])
            captions.append(caption)
    picture = contact_sheet(crops, captions, columns=group * max(1, 9 // group), title=title, group=group)
    with open(path, "wb") as file:
        file.write(cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes())

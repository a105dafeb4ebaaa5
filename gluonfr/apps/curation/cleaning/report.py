"""The report on a set: tables, contact sheets, and the changes that are proposed."""

from __future__ import annotations

import json
import os

import cv2
import numpy as np

from gluonfr.core import new_folder
from gluonfr.core.tables import write_table
from gluonfr.data.contact_sheet import contact_sheet
from gluonfr.photos.resumable import digest, network_settings
from gluonfr.weights.network_identity import network_name

REPORT, CHANGES = "report.json", "changes.csv"
CHANGES_HEADER = ["image", "action", "label", "name", "to", "why"]
_SHOWN = 60
_FEW = 3


def write_report(findings, embedder, out) -> None:
    """Write a report: a folder that appears whole or not at all.

    `changes.csv` says what is to become of which image, `wrong_labels.csv`, `two_labels.csv`, `duplicates.csv`, `overlap.csv`
    and `left_out.csv` why; contact sheets beside them show the images; `report.json` has counts and thresholds in words.
    """
    tables = {
        "wrong_labels": (_WRONG, list(_wrong_rows(findings)), _wrong_faces, 3),
        "two_labels": (_TWO, list(_two_rows(findings)), _two_faces, 2 * _FEW),
        "duplicates": (_COPIES, list(_copy_rows(findings)), _copy_faces, 2),
    }
    if findings.shared:
        tables["overlap"] = (_OVERLAP, list(_overlap_rows(findings)), _overlap_faces, 2 * _FEW)
    with new_folder(out) as folder:
        for name, (header, rows, faces, together) in tables.items():
            write_table(os.path.join(folder, name + ".csv"), header, rows)
            if rows:
                _write_sheet(os.path.join(folder, name + ".png"), findings, embedder, faces, len(rows), together)
        write_table(os.path.join(folder, CHANGES), CHANGES_HEADER, _change_rows(findings))
        write_table(os.path.join(folder, "left_out.csv"), ["set", "image", "reason"], _left_out_rows(findings))
        states = {"state": digest(findings.embedded.set.state())}
        if findings.test:
            states["test_state"] = digest(findings.test.set.state())
        made_by = {"network": network_name(embedder.card), "made_by": network_settings(embedder)}
        values = {**findings.to_dict(), **made_by, **states}
        with open(os.path.join(folder, REPORT), "w", encoding="utf-8") as file:
            json.dump(values, file, indent=1)


def _person(findings, person):
    label = int(findings.people.labels[person])
    return [label, findings.embedded.set.name(label)]


def _change_rows(findings):
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


def _left_out_rows(findings):
    for kind, of in findings.left_out.items():
        for image, reason in of.items():
            yield [kind, image, reason]


_WRONG = ["image", "label", "name", "similarity", "like_label", "like_name", "like_similarity", "margin", "found"]


def _wrong_rows(findings):
    wrong = findings.wrong
    for image in _doubted(wrong):
        like = _person(findings, wrong.person[image]) if wrong.other[image] >= wrong.like else ["", ""]
        own, other, margin = (f"{each[image]:.4f}" for each in (wrong.own, wrong.other, wrong.margin))
        found = int(image in wrong.images)
        yield [findings.embedded.key(image), *_person(findings, findings.people.of[image]), own, *like, other, margin, found]


def _doubted(wrong):
    """Images that are found, and after them those that are doubtful."""
    return [*wrong.images.tolist(), *wrong.doubtful.tolist()]


def _wrong_faces(findings, number):
    """The image, its label's most typical other one, and that of the label it is more like."""
    wrong = findings.wrong
    image = _doubted(wrong)[number]
    own, like = findings.people.of[image], wrong.person[image]
    (typical,) = _typical(findings.people, own, 1, image)
    (theirs,) = _typical(findings.people, like, 1)
    return [
        (findings.embedded, image, f"{findings.embedded.key(image)}{'' if number < len(wrong.images) else ' ?'}"),
        (findings.embedded, typical, f"label {_person(findings, own)[1]} {wrong.own[image]:.2f}"),
        (findings.embedded, theirs, f"like {_person(findings, like)[1]} {wrong.other[image]:.2f}"),
    ]


_TWO = ["label", "name", "images", "other_label", "other_name", "other_images", "similarity"]


def _two_rows(findings):
    counts = findings.people.counts
    for a, b, similarity in findings.doubled.pairs:
        yield [*_person(findings, a), counts[a], *_person(findings, b), counts[b], f"{similarity:.4f}"]


def _two_faces(findings, number):
    a, b, similarity = findings.doubled.pairs[number]
    return [
        *_few(findings.embedded, findings.people, a, _person(findings, a)[1]),
        *_few(findings.embedded, findings.people, b, f"{_person(findings, b)[1]} {similarity:.2f}"),
    ]


_COPIES = ["image", "label", "name", "other_image", "other_label", "other_name", "pixels", "similarity"]


def _copy_rows(findings):
    of, copies = findings.people.of, findings.copies
    for (a, b), pixels, similarity in zip(copies.pairs.tolist(), copies.pixels, copies.similarity):
        first, second = ([findings.embedded.key(each), *_person(findings, of[each])] for each in (a, b))
        yield [*first, *second, f"{pixels:.4f}", f"{similarity:.4f}"]


def _copy_faces(findings, number):
    (a, b), of = findings.copies.pairs[number].tolist(), findings.people.of
    return [
        (findings.embedded, a, f"{_person(findings, of[a])[1]} {findings.copies.pixels[number]:.3f}"),
        (findings.embedded, b, _person(findings, of[b])[1]),
    ]


_OVERLAP = ["test_label", "test_name", "test_images", "label", "name", "images", "similarity"]


def _overlap_rows(findings):
    test, people = findings.test_people, findings.people
    for theirs, ours, similarity in findings.shared.found:
        label = int(test.labels[theirs])
        yield [
            *(label, findings.test.set.name(label), test.counts[theirs]),
            *(*_person(findings, ours), people.counts[ours], f"{similarity:.4f}"),
        ]


def _overlap_faces(findings, number):
    theirs, ours, similarity = findings.shared.found[number]
    name = findings.test.set.name(int(findings.test_people.labels[theirs]))
    return [
        *_few(findings.test, findings.test_people, theirs, f"test {name}"),
        *_few(findings.embedded, findings.people, ours, f"{_person(findings, ours)[1]} {similarity:.2f}"),
    ]


def _typical(people, person, count, but=None):
    """The images of a person that are most like its mean."""
    images = people.images(person)
    images = images[images != but]
    near = np.asarray(people.embeddings[images]) @ people.centroids[person]
    return images[np.argsort(-near, kind="stable")[:count]]


def _few(embedded, people, person, caption):
    faces = [(embedded, image, caption) for image in _typical(people, person, _FEW)]
    return faces + [(embedded, None, "")] * (_FEW - len(faces))


def _write_sheet(path, findings, embedder, faces, count, together) -> None:
    """A contact sheet of all findings of a kind, or of some from the surest to the least sure."""
    chosen = np.unique(np.linspace(0, count - 1, min(count, _SHOWN)).round().astype(int))
    crops, captions, seen = [], [], {}
    for number in chosen.tolist():
        for embedded, image, caption in faces(findings, number):
            where = (id(embedded), image)
            if where not in seen:
                blank = np.full((*embedder.card.image_size, 3), 255, np.uint8)
                seen[where] = blank if image is None else embedded.set.crop(int(embedded.rows[image]), embedder)
            crops.append(seen[where])
            captions.append(caption)
    picture = contact_sheet(crops, captions, columns=together * max(1, 12 // together))
    with open(path, "wb") as file:
        file.write(cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes())

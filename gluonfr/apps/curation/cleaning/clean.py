from __future__ import annotations

import os

import numpy as np

from gluonfr.apps.curation.cleaning.embedded_set import embed_set
from gluonfr.apps.curation.cleaning.face_sets import FaceSet
from gluonfr.apps.curation.cleaning.findings import Findings, analyze
from gluonfr.apps.curation.cleaning.report import write_report
from gluonfr.core import DataError, PathLike, UsageError, absolute_path, display_path
from gluonfr.deploy import Embedder
from gluonfr.photos.resumable import require_new_output, work_folder, working_in


def clean_set(
    embedder: Embedder,
    faces: FaceSet,
    out: PathLike,
    against: FaceSet | None = None,
    keep: PathLike | None = None,
    progress: bool | None = None,
) -> Findings:
    """Find wrong labels, people under two labels, copies, and people of a test set; write a report.

    Only `out` is written. Embeddings are stored beside it until it is complete: the same call resumes after an interruption.

    Parameters
    ----------
    embedder : Embedder
    faces : FaceSet
        From `open_set`.
    out : str
        New folder of the report; see `write_report`.
    against : FaceSet, optional
        The test set.
    keep : str, optional
        Folder in which the embeddings stay, for another run.
    progress : bool, optional
        Show progress bars.

    Returns
    -------
    Findings

    Raises
    ------
    GluonFRError
        The set has one person or consists of pairs, the test set is the set itself, a folder cannot be used, or images are
        damaged.

    Examples
    --------
    >>> clean_set(embedder, open_set("emore"), "report")  # doctest: +SKIP
    Findings('/data/emore', wrong_labels=120, two_labels=3, duplicates=80, overlap=0)
    """
    _check_sets(faces, against)
    out = require_new_output(out)
    work = work_folder(out) if keep is None else absolute_path(keep)
    with working_in(work, keep is not None):
        embedded = embed_set(embedder, faces, os.path.join(work, "set"), "embed" if progress else None)
        test = None
        if against is not None:
            test = embed_set(embedder, against, os.path.join(work, "against"), "embed the test set" if progress else None)
        findings = analyze(embedded, test, progress)
        write_report(findings, embedder, out)
    return findings


def _check_sets(faces: FaceSet, against: FaceSet | None) -> None:
    if faces.kind == "pairs":
        raise UsageError(
            f"{display_path(faces.path)} is a verification set, which has no labels to clean; use it as the test set."
        )
    if len(np.unique(faces.labels)) < 2:
        raise DataError(f"{display_path(faces.path)} has one person; a label can only be judged with others.")
    if against is not None and os.path.realpath(against.path) == os.path.realpath(faces.path):
        raise UsageError(f"{display_path(against.path)} is the set itself; give another test set.")

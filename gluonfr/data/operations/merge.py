"""Write several sets as one, or one set with new labels."""

from __future__ import annotations

import os
from typing import Sequence

from gluonfr.core import DataError, UsageError, new_folder, require_new_folder
from gluonfr.data.operations.source import RecordSource, write_set


def merge(paths: Sequence[str], out: str, by_name: bool = False, skip: bool = False) -> list[dict[int, str]]:
    """Write several sets as one.

    The people of the first set come first, in the order of their labels, then those of the second, and so on, with new labels
    from 0 without gaps. Encoded images are unchanged. All sets must have one image size.

    Parameters
    ----------
    paths : sequence of str
        Two or more `.rec` files or folders with `train.rec`.
    out : str
        A new folder, for `train.rec`, `train.idx`, `property` and `identities.csv`.
    by_name : bool, default False
        Treat people of the same name in the sets' `identities.csv` as one person. Otherwise people of different sets are
        different.
    skip : bool, default False
        Leave out damaged records instead of stopping at the first.

    Returns
    -------
    list of dict of int to str
        For each set, why each image was left out, by image number.

    Examples
    --------
    >>> merge(["emore", "celeb"], "both")  # doctest: +SKIP
    [{}, {}]
    """
    out = require_new_folder(out)
    if len(paths) < 2:
        raise UsageError("paths: merging needs at least two sets; name more.")
    sources = [RecordSource(path, skip) for path in paths]
    for source in sources:
        if by_name and source.names is None:
            folder = os.path.dirname(source.records.path)
            raise DataError(f"{folder} has no identities.csv with the names; write one, or merge without names.")
        if source.image_size != sources[0].image_size:
            raise DataError(
                f"{source.records.path} has images of {source.image_size}, {sources[0].records.path} of "
                f"{sources[0].image_size} (height, width); pack them to one size first."
            )
    _write_merged(sources, out, by_name)
    return [source.left_out for source in sources]


def relabel(path: str, out: str, skip: bool = False) -> dict[int, str]:
    """Write a set with labels from 0 without gaps.

    A classifier has one class per label up to the largest, so labels such as 0, 100000, 200000 waste memory. The people keep
    their order, and encoded images are unchanged.

    Parameters
    ----------
    path : str
        A `.rec`, or a folder with `train.rec`.
    out : str
        A new folder, for `train.rec`, `train.idx`, `property` and `identities.csv`. The names in `identities.csv` are those of
        the set, or the old labels where it has none.
    skip : bool, default False
        Leave out damaged records instead of stopping at the first.

    Returns
    -------
    dict of int to str
        Why each image was left out, by image number.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from gluonfr.data.records import RecordFile, RecordWriter
    >>> folder = tempfile.mkdtemp()
    >>> with RecordWriter(f"{folder}/in", image_size=(8, 8)) as writer:
    ...     for label in (0, 100, 200):
    ...         writer.add(np.zeros((8, 8, 3), np.uint8), label)
    >>> relabel(f"{folder}/in", f"{folder}/out")
    {}
    >>> RecordFile(f"{folder}/out/train.rec").labels.tolist()
    [0, 1, 2]
    """
    out = require_new_folder(out)
    source = RecordSource(path, skip)
    _write_merged([source], out)
    return source.left_out


def _write_merged(sources: list[RecordSource], out: str, by_name: bool = False) -> None:
    new_labels: list[dict[int, int]] = []
    names: list[str] = []
    label_of: dict[str, int] = {}
    for source in sources:
        new_labels.append({})
        for label in source.people.tolist():
            new = label_of.get(source.name(label)) if by_name else None
            if new is None:
                new = len(names)
                names.append(source.name(label))
            new_labels[-1][label] = label_of[source.name(label)] = new
    with new_folder(out) as folder:
        labeled_images = (
            (new[label], content)
            for source, new in zip(sources, new_labels)
            for label, content in source.read(source.numbers())
        )
        write_set(folder, labeled_images, names, sources[0].image_size)

from __future__ import annotations

import os

import numpy as np

from gluonfr.core import UsageError, generator, new_folder, require_new_folder
from gluonfr.data.operations.source import RecordSource, write_set

_PURPOSE = 102


def split(
    path: str,
    out_a: str,
    out_b: str,
    fraction: float | None = None,
    identities: int | None = None,
    seed: int = 0,
    skip: bool = False,
) -> dict[int, str]:
    """Write a set as two sets that have no person in common.

    Parameters
    ----------
    path : str
        A `.rec`, or a folder with `train.rec`.
    out_a, out_b : str
        New folders, for `train.rec`, `train.idx`, `property` and `identities.csv`. Labels start from 0 in both. The names in
        `identities.csv` are those of the set, or the old labels where it has none. Encoded images are unchanged.
    fraction : float, optional
        Fraction of the people that go to `out_a`, above 0 and below 1.
    identities : int, optional
        Number of people that go to `out_a`, instead of `fraction`.
    seed : int, default 0
        Seed of the random choice; the same seed gives the same bytes.
    skip : bool, default False
        Leave out damaged records instead of stopping at the first.

    Returns
    -------
    dict of int to str
        Why each image was left out, by image number.

    Examples
    --------
    >>> split("emore", "emore-train", "emore-val", fraction=0.9)  # doctest: +SKIP
    {}
    """
    out_a, out_b = require_new_folder(out_a), require_new_folder(out_b)
    if os.path.commonpath([out_a, out_b]) in (out_a, out_b):
        raise UsageError(f"{out_b}: the two parts need folders that are not inside each other; name another.")
    if (fraction is None) == (identities is None):
        raise UsageError("fraction, identities: pass exactly one, the size of the first part.")
    if fraction is not None and not 0 < fraction < 1:
        raise UsageError(f"fraction={fraction:g} leaves one part without a person; pass a number between 0 and 1.")
    source = RecordSource(path, skip)
    chosen = _choose_people(source, fraction, identities, seed)
    with new_folder(out_a) as first, new_folder(out_b) as second:
        for folder, people in ((first, chosen), (second, np.setdiff1d(source.people, chosen))):
            new = {label: number for number, label in enumerate(people.tolist())}
            labeled_images = source.read(np.flatnonzero(np.isin(source.labels, people)))
            names = [source.name(label) for label in new]
            write_set(folder, ((new[label], content) for label, content in labeled_images), names, source.image_size)
    return source.left_out


def _choose_people(source: RecordSource, fraction: float | None, identities: int | None, seed: int) -> np.ndarray:
    people = source.people
    count = identities if fraction is None else round(fraction * len(people))
    if count is None or not 0 < count < len(people):
        given = f"fraction={fraction:g}" if identities is None else f"identities={identities}"
        raise UsageError(
            f"{given} leaves one part without a person, of {len(people)} in {source.records.path}; pass another value."
        )
    return np.sort(generator(seed, _PURPOSE).permutation(people)[:count])

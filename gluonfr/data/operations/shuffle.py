from __future__ import annotations

import os
from collections import Counter

from gluonfr.core import atomic_files, generator, new_folder, require_new_folder
from gluonfr.data.identities import write_identities
from gluonfr.data.operations.source import RecordSource
from gluonfr.data.records.framing import split_frames
from gluonfr.data.records.header import HEADER

_PURPOSE = 101


def shuffle(path: str, out: str, seed: int = 0, skip: bool = False) -> dict[int, str]:
    """Write the records of a set in random order, for readers that read a file from the beginning to the end.

    The records of a person are no longer adjacent, so the new set has no header records. Labels, encoded images and
    `identities.csv` are unchanged. Of several labels of an image, the first is written.

    Parameters
    ----------
    path : str
        A `.rec`, or a folder with `train.rec`.
    out : str
        A new folder, for `train.rec`, `train.idx`, `property`, and `identities.csv` when the set has one.
    seed : int, default 0
        The same seed gives the same bytes.
    skip : bool, default False
        Leave out damaged records instead of stopping at the first.

    Returns
    -------
    dict of int to str
        Why each image was left out, by image number.

    Examples
    --------
    >>> shuffle("emore", "emore-shuffled")  # doctest: +SKIP
    {}
    """
    out = require_new_folder(out)
    source = RecordSource(path, skip)
    counts: Counter[int] = Counter()
    with new_folder(out) as folder:
        paths = [os.path.join(folder, name) for name in ("train.idx", "property", "train.rec")]
        with atomic_files(*paths) as (idx, prop, rec):
            order = generator(seed, _PURPOSE).permutation(source.numbers())
            for key, (label, content) in enumerate(source.read(order)):
                idx.write(b"%d\t%d\n" % (key, rec.tell()))
                rec.write(split_frames(HEADER.pack(0, label, key, 0) + content))
                counts[label] += 1
            prop.write(b"%d,%d,%d\n" % (max(counts) + 1, *source.image_size))
        if source.names is not None:
            write_identities(folder, [(label, source.name(label), counts[label]) for label in sorted(counts)])
    return source.left_out

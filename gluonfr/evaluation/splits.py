from __future__ import annotations

import numpy as np

from gluonfr.core import GluonFRError, generator

_STREAM = 404


def split_people(labels, enroll, strangers=0.0, seed=0):
    """Split the images of people into a gallery and probes.

    Parameters
    ----------
    labels : array-like, (N,)
        Whose each image is.
    enroll : int
        Images of each person for the gallery, drawn at random; the others are probes. A person with no more images than that
        has no probe.
    strangers : float, default 0
        Share of the people, drawn at random, who are left out of the gallery, so that all their images are strangers' probes.
    seed : int, default 0

    Returns
    -------
    gallery, probes : (G,) and (P,) int64, ascending
        Numbers of images.

    Raises
    ------
    GluonFRError
        `enroll` below 1, `strangers` not from 0 to below 1, or nothing left for the gallery or the probes.
    """
    labels = np.asarray(labels)
    if enroll < 1 or not 0 <= strangers < 1:
        raise GluonFRError(f"enroll must be at least 1 image and strangers from 0 to below 1, got {enroll} and {strangers}.")
    people, person = np.unique(labels, return_inverse=True)
    draw = generator(seed, _STREAM)
    left_out = draw.permutation(len(people))[: int(round(strangers * len(people)))]
    # Images in random order, then each person's place among their own.
    order = draw.permutation(len(labels))
    order = order[np.argsort(person[order], kind="stable")]
    counts = np.bincount(person, minlength=len(people))
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    enrolled = (place < enroll) & ~np.isin(person[order], left_out)
    gallery, probes = np.sort(order[enrolled]), np.sort(order[~enrolled])
    if not len(gallery) or not len(probes):
        raise GluonFRError(
            f"enrolling {enroll} of each person's images, {strangers:g} of the people left out, leaves no "
            f"{'probes' if len(gallery) else 'gallery'}; change one of the two."
        )
    return gallery, probes

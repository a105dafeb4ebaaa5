"""1:N identification: gallery and probes, from two sources or from a split of one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Sequence

import numpy as np

from gluonfr.core import DEFAULT_ROOT, UsageError, generator
from gluonfr.evaluation.labeled_embeddings import LabeledEmbeddings, labeled_embeddings, write_labeled

if TYPE_CHECKING:
    from gluonfr.deploy import Embedder

_STREAM = 404


def split_people(
    labels: Sequence[str] | np.ndarray, enroll: int, strangers: float = 0.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Split images of people into a gallery and probes.

    Parameters
    ----------
    labels : array-like, (N,)
        Person of each image.
    enroll : int
        Number of images per person in the gallery, drawn at random; the others are probes. A person with no more images
        than that has no probe.
    strangers : float, default 0
        Fraction of the people, drawn at random, who are left out of the gallery: all their images are probes of unknown
        people.
    seed : int, default 0

    Returns
    -------
    gallery, probes : np.ndarray, int64 (G,) and (P,)
        Indices of images, ascending.

    Raises
    ------
    UsageError
        `enroll` is below 1, `strangers` is not in [0, 1), or the gallery or the probes are empty.

    Examples
    --------
    >>> split_people(["ann", "ann", "bob", "bob", "bob"], enroll=1)
    (array([1, 2]), array([0, 3, 4]))
    """
    labels = np.asarray(labels)
    if enroll < 1 or not 0 <= strangers < 1:
        raise UsageError(f"enroll must be at least 1 and strangers in [0, 1), got {enroll} and {strangers}.")
    people, person = np.unique(labels, return_inverse=True)
    draw = generator(seed, _STREAM)
    left_out = draw.permutation(len(people))[: int(round(strangers * len(people)))]
    # Images in random order, sorted by person, then the position of each image among those of its person.
    order = draw.permutation(len(labels))
    order = order[np.argsort(person[order], kind="stable")]
    counts = np.bincount(person, minlength=len(people))
    position = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    enrolled = (position < enroll) & ~np.isin(person[order], left_out)
    gallery, probes = np.sort(order[enrolled]), np.sort(order[~enrolled])
    if not len(gallery) or not len(probes):
        raise UsageError(
            f"enroll={enroll} and strangers={strangers:g} leave no images for the {'probes' if len(gallery) else 'gallery'}. "
            "Change one of them."
        )
    return gallery, probes


def gallery_and_probes(
    sources: Sequence[str],
    embedder: Embedder | None = None,
    root: str = DEFAULT_ROOT,
    aligned: bool | None = None,
    split: tuple[int, float, int] = (1, 0.0, 0),
    save: str | None = None,
) -> tuple[LabeledEmbeddings, LabeledEmbeddings]:
    """Embed a gallery and probes.

    Parameters
    ----------
    sources : (gallery, probes) or (set,)
        Sources of :func:`labeled_embeddings`; a single set is split.
    embedder, root, aligned
        See :func:`labeled_embeddings`.
    split : (enroll, strangers, seed), default (1, 0.0, 0)
        Split of a single set, see :func:`split_people`.
    save : str, optional
        Folder to write `gallery.npz` and `probes.npz` to.

    Returns
    -------
    gallery, probes : LabeledEmbeddings

    Raises
    ------
    UsageError
        The sources are two training sets without names: their numbers do not identify the same people.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "faces.npz")
    >>> np.savez(path, embeddings=np.eye(3), labels=["ann", "ann", "bob"])
    >>> gallery_and_probes([path])
    (LabeledEmbeddings(2 embeddings of 3 numbers, 2 people), LabeledEmbeddings(1 embeddings of 3 numbers, 1 people))
    """
    found = [labeled_embeddings(source, embedder, root, aligned, source) for source in sources]
    if len(found) == 1:
        gallery, probes = (
            LabeledEmbeddings(found[0].embeddings[part], found[0].labels[part])
            for part in split_people(found[0].labels, *split)
        )
        gallery.left_out = found[0].left_out
    else:
        gallery, probes = found
        if sources[0] != sources[1] and not (gallery.named or probes.named):
            raise UsageError(
                f"{sources[0]} and {sources[1]} number their people independently, so the numbers do not identify the same "
                "people. Name the people in identities.csv, or split one set."
            )
    if save:
        for name, part in (("gallery", gallery), ("probes", probes)):
            write_labeled(os.path.join(save, f"{name}.npz"), part)
    return gallery, probes

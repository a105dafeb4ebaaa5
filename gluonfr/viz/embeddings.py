from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patheffects import withStroke

from gluonfr.core import DataError, UsageError, check_integer, generator
from gluonfr.viz.figure import COLORS, new_figure, save
from gluonfr.viz.projection import project_pca, project_tsne, unit_directions

# The numbers of markers and of colors have no common divisor, so that 63 people differ in one or the other, and the first
# seven in both.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p")
_AREAS = {"*": 1.7, "P": 1.3, "X": 1.3, "^": 1.2, "v": 1.2, "D": 0.85}
_MAX_IN_LEGEND = 12
# Side of a face in points.
_FACE = 30
_STREAM = 4
_METHODS = {"tsne": project_tsne, "pca": project_pca}


def plot_embeddings(
    embeddings: Any,
    labels: Any,
    names: dict[Any, str] | Sequence[str] | None = None,
    method: str = "tsne",
    people: int | Sequence[Any] = 12,
    images_per_person: int = 50,
    seed: int = 0,
    path: str | os.PathLike | None = None,
    title: str | None = None,
    images: Callable[[int], Any] | None = None,
) -> Figure:
    """Plot a sample of people as points in a plane, by t-SNE or PCA of their embeddings.

    Only the directions of the embeddings count, as in verification: each embedding is divided by its norm. Every person has
    a color and a marker. Up to 12 people are named in a legend; the names of more people are written in the middle of their
    points.

    t-SNE (cosine distance, started at the PCA) preserves neighborhoods only: neither the size of a group nor the distance
    between two groups has a meaning, and with fewer than about fifty images there is little to see. PCA preserves as much
    of the variance as a plane can, and the axes state how much.

    Parameters
    ----------
    embeddings : array-like (N, D) of float, D >= 2
        Embeddings of images.
    labels : array-like (N,) of int or str
        Identity of each embedding.
    names : dict of label to str, or sequence of str indexed by label, default None
        Names to show. Labels that are not in the dict, or all by default, are shown themselves.
    method : {'tsne', 'pca'}, default 'tsne'
        Projection.
    people : int, or list of labels, default 12
        Number of people, those with the most embeddings (smaller labels first in a tie), or a list of people.
    images_per_person : int, default 50
        Maximum number of images per person, chosen at random.
    seed : int, default 0
        Seed of that choice and of t-SNE, 0 <= seed < 2**32. Equal arguments give an equal figure.
    path : str, default None
        PNG file to write.
    title : str, default None
        Title of the figure.
    images : callable, default None
        `images(i)` returns the (H, W, 3) uint8 RGB image of embedding i. One image is drawn above the points of each
        person, the one in their middle; no other is read.

    Returns
    -------
    matplotlib.figure.Figure
        Its points are one collection per person, in the order of the labels (or of the list `people`).

    Raises
    ------
    UsageError, DataError
        Embeddings are zero, not finite or all of one direction; lengths do not match; a method or label is unknown; there
        are fewer than two people or three points.

    Examples
    --------
    >>> import numpy as np
    >>> figure = plot_embeddings(np.eye(6), ["ann", "ann", "ann", "bob", "bob", "bob"], method="pca")
    >>> figure.axes[0].get_title()
    'Embeddings: 6 images of 2 people'
    """
    if method not in _METHODS:
        raise UsageError(f"method must be 'tsne' or 'pca', got {method!r}.")
    seed = check_integer("seed", seed, 0, 2**32 - 1)
    directions, labels = unit_directions(embeddings), _check_labels(labels)
    if len(labels) != len(directions):
        raise UsageError(f"got {len(labels)} labels for {len(directions)} embeddings; give one label per embedding.")
    chosen = _choose_people(labels, people)
    samples = _sample(labels, chosen, check_integer("images_per_person", images_per_person, 1), seed)
    count = sum(map(len, samples))
    if len(chosen) < 2 or count < 3:
        raise UsageError(
            f"a figure of embeddings needs two people and three images, got {len(chosen)} with {count} in all; give more."
        )
    directions = directions[np.concatenate(samples)]
    if np.ptp(directions, axis=0).max() < 1e-12:
        raise DataError("the embeddings all have one direction, so people cannot be distinguished; check the network.")
    points, horizontal, vertical = _METHODS[method](directions, len(chosen), seed)
    groups = np.split(points, np.cumsum([len(rows) for rows in samples])[:-1])

    in_legend = len(chosen) <= _MAX_IN_LEGEND
    figure, ((axes,),) = new_figure(width=8.0, height=6.4 if in_legend else 7.6)
    area = float(np.clip(14000 / count, 14, 46))
    for index, (label, rows, group) in enumerate(zip(chosen, samples, groups)):
        color = _draw_person(axes, index, _name(names, label), group, area, written=not in_legend)
        if images is not None:
            _draw_face(axes, images(int(rows[_middle(group)])), group, color)
    if images is not None:
        # Room for the topmost face.
        axes.update_datalim([(points[0, 0], points[:, 1].max() + 0.1 * np.ptp(points[:, 1]))])
    _label_axes(axes, horizontal, vertical, ticks=method != "tsne")
    everyone = len(np.unique(labels))
    of = f" of {everyone:,}" if everyone > len(chosen) else ""
    axes.set_title(title or f"Embeddings: {count:,} images of {len(chosen):,}{of} {'people' if everyone > 1 else 'person'}")
    if in_legend:
        heading = "label" if names is None and labels.dtype.kind != "U" else None
        figure.legend(loc="outside right upper", fontsize=9, frameon=False, title=heading, markerscale=(46 / area) ** 0.5)
    return save(figure, path)


def _label_axes(axes: Any, horizontal: str, vertical: str, ticks: bool) -> None:
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    if not ticks:
        # Coordinates of t-SNE have no unit, so ticks and grid lines would mislead.
        axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color="#C8C8C8")


def _check_labels(labels: Any) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.dtype.kind == "O":
        labels = labels.astype(str)
    if labels.dtype.kind == "f" and (np.isfinite(labels) & (labels == np.floor(labels))).all():
        # Records and loaders give labels as floats.
        labels = labels.astype(np.int64)
    if labels.ndim != 1 or labels.dtype.kind not in "iuU":
        raise UsageError(f"labels are {labels.dtype} {labels.shape}; give (N,) integers or names.")
    return labels


def _choose_people(labels: np.ndarray, people: Any) -> list[Any]:
    """Return the labels to draw."""
    unique, counts = np.unique(labels, return_counts=True)
    known = unique.tolist()
    if not isinstance(people, (list, tuple, np.ndarray)):
        most = np.argsort(-counts, kind="stable")[: check_integer("people", people, 2)]
        return [known[number] for number in sorted(most.tolist())]
    chosen = list(dict.fromkeys(np.asarray(people).tolist()))
    for label in chosen:
        if label not in known:
            raise UsageError(f"people: no embedding has the label {label!r}; labels range from {known[0]!r} to {known[-1]!r}.")
    return chosen


def _sample(labels: np.ndarray, chosen: list[Any], count: int, seed: int) -> list[np.ndarray]:
    """Return the rows of each person, increasing; of more than `count` rows, a random choice."""
    samples = []
    for index, label in enumerate(chosen):
        rows = np.flatnonzero(labels == label)
        if len(rows) > count:
            rows = np.sort(generator(seed, _STREAM, index).permutation(rows)[:count])
        samples.append(rows)
    return samples


def _name(names: Any, label: Any) -> str:
    if isinstance(names, dict):
        return str(names.get(label, label))
    if names is None:
        return str(label)
    if isinstance(label, str) or not 0 <= label < len(names):
        raise UsageError(f"names: {len(names)} names do not include label {label!r}; give one name per label, or a dict.")
    return str(names[label])


def _middle(points: np.ndarray) -> int:
    """Return the index of the point nearest to the median, which lies in a group even where the points form two."""
    return int(np.linalg.norm(points - np.median(points, axis=0), axis=1).argmin())


def _draw_person(axes: Any, index: int, name: str, group: np.ndarray, area: float, written: bool) -> str:
    color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
    size = area * _AREAS.get(marker, 1.0)
    axes.scatter(*group.T, s=size, color=color, marker=marker, alpha=0.85, edgecolors="white", linewidths=0.5, label=name)
    if written:
        axes.annotate(
            name,
            group[_middle(group)],
            xytext=(0, -8),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=8.5,
            color=tuple(0.65 * part for part in to_rgb(color)),
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
            zorder=5,
        )
    return color


def _draw_face(axes: Any, image: Any, group: np.ndarray, color: str) -> None:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UsageError(f"images returns {image.dtype} {image.shape}; it must return uint8 (H, W, 3) RGB.")
    picture = OffsetImage(image, zoom=_FACE / max(image.shape[:2]), interpolation="antialiased")
    axes.add_artist(
        AnnotationBbox(
            picture,
            # Above the points, which it would hide, but not above a few distant ones.
            (np.median(group[:, 0]), np.percentile(group[:, 1], 90)),
            xybox=(0, _FACE / 2 + 6),
            boxcoords="offset points",
            pad=0,
            bboxprops={"edgecolor": color, "linewidth": 2, "boxstyle": "square,pad=0"},
            zorder=4,
        )
    )

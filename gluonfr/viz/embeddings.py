from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patheffects import withStroke

from gluonfr.core import GluonFRError, check_integer, generator
from gluonfr.viz.figure import COLORS, new_figure, save

# Their number and that of the colors have no common divisor, so that 63 people differ in one or the other, and the first
# seven in both.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p")
_AREAS = {"*": 1.7, "P": 1.3, "X": 1.3, "^": 1.2, "v": 1.2, "D": 0.85}
_LEGEND = 12
# Side of a face in points.
_FACE = 30
_PERPLEXITY = (5, 30)
_PURPOSE = 4


def plot_embeddings(
    embeddings,
    labels,
    names=None,
    method="tsne",
    people=12,
    images_per_person=50,
    seed=0,
    path=None,
    title=None,
    images=None,
):
    """A sample of people as points in a plane, alike where they are near: t-SNE or PCA of their embeddings.

    Only the directions of the embeddings count, as in verification: each is divided by its norm. Every person has a color
    and a shape; up to 12 people are named in a legend, more of them each at the middle of their points.

    t-SNE (cosine distance, begun at the PCA) keeps neighbors together and nothing else: neither the size of a group nor the
    distance between two of them has a meaning, and below some fifty images there is little to see. PCA keeps as much of the
    variance as a plane can, and the axes say how much.

    Parameters
    ----------
    embeddings : array-like (N, D) of float, D >= 2
    labels : array-like (N,) of int or str
        Whose each embedding is.
    names : dict of label to str, or sequence of str that a label numbers, default None
        The labels themselves unless given, also for labels that a dict leaves out.
    method : {'tsne', 'pca'}
    people : int, or list of labels, default 12
        How many, those with the most embeddings (of equally many, those with the first labels), or which.
    images_per_person : int, default 50
        A person with more is represented by so many of theirs, chosen at random.
    seed : int, default 0
        Of that choice and of t-SNE, 0 <= seed < 2**32. The same arguments make the same picture.
    path : str, default None
        PNG file to write.
    title : str, default None
    images : callable, default None
        `images(i)` gives the uint8 (H, W, 3) RGB image of embedding i. Each person then has the one at the middle of their
        points above them; no other is read.

    Returns
    -------
    matplotlib.figure.Figure
        Its points are one collection a person, in the order of the labels (or of the list `people`).

    Raises
    ------
    GluonFRError
        Embeddings that are not finite, zero or all of one direction; lengths that do not fit; an unknown method or label;
        fewer than two people or three points.
    """
    if method not in _METHODS:
        raise GluonFRError(f"method must be 'tsne' or 'pca', got {method!r}.")
    seed = check_integer("seed", seed, 0, 2**32 - 1)
    directions, labels = _directions(embeddings), _labels(labels)
    if len(labels) != len(directions):
        raise GluonFRError(f"{len(labels)} labels came with {len(directions)} embeddings; give one for each.")
    chosen = _people(labels, people)
    shown = _sample(labels, chosen, check_integer("images_per_person", images_per_person, 1), seed)
    count = sum(map(len, shown))
    if len(chosen) < 2 or count < 3:
        raise GluonFRError(
            f"a picture of embeddings needs two people and three images, got {len(chosen)} with {count} in all; give more."
        )
    directions = directions[np.concatenate(shown)]
    if np.ptp(directions, axis=0).max() < 1e-12:
        raise GluonFRError("the embeddings all have one direction, so nothing can be told apart; check the network.")
    points, horizontal, vertical = _METHODS[method](directions, len(chosen), seed)
    groups = np.split(points, np.cumsum([len(each) for each in shown])[:-1])

    legend = len(chosen) <= _LEGEND
    figure, ((axes,),) = new_figure(width=8.0, height=6.4 if legend else 7.6)
    area = float(np.clip(14000 / count, 14, 46))
    for place, (label, numbers, group) in enumerate(zip(chosen, shown, groups)):
        color, marker = COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)]
        size = area * _AREAS.get(marker, 1.0)
        name = _name(names, label)
        axes.scatter(*group.T, s=size, color=color, marker=marker, alpha=0.85, edgecolors="white", linewidths=0.5, label=name)
        middle = _middle(group)
        if images is not None:
            _add_face(axes, images(int(numbers[middle])), group, color)
        if not legend:
            _write(axes, name, group[middle], color)
    if images is not None:
        # Room for the topmost face.
        axes.update_datalim([(points[0, 0], points[:, 1].max() + 0.1 * np.ptp(points[:, 1]))])
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    if method == "tsne":
        # Coordinates without a unit: ticks and lines would pretend to one.
        axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color="#C8C8C8")
    everyone = len(np.unique(labels))
    of = f" of {everyone:,}" if everyone > len(chosen) else ""
    axes.set_title(title or f"Embeddings: {count:,} images of {len(chosen):,}{of} people")
    if legend:
        heading = "label" if names is None and labels.dtype.kind != "U" else None
        figure.legend(loc="outside right upper", fontsize=9, frameon=False, title=heading, markerscale=(46 / area) ** 0.5)
    return save(figure, path)


def _directions(embeddings):
    try:
        embeddings = np.asarray(embeddings, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise GluonFRError("embeddings are no array of numbers; give (N, D) floats.") from error
    if embeddings.ndim != 2 or not len(embeddings) or embeddings.shape[1] < 2:
        raise GluonFRError(f"embeddings have the shape {embeddings.shape}; give (N, D) floats, D at least 2.")
    largest = np.abs(embeddings).max(axis=1, keepdims=True)
    for row in np.flatnonzero(~(np.isfinite(largest) & (largest > 0)))[:1]:
        what = "is zero, which has no direction" if largest[row] == 0 else "holds NaN or infinity"
        raise GluonFRError(f"the embedding in row {row} {what}; check the network and its input.")
    # Divided by the largest number first, so that no square overflows.
    embeddings = embeddings / largest
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def _labels(labels):
    labels = np.asarray(labels)
    if labels.dtype.kind == "O":
        labels = labels.astype(str)
    if labels.dtype.kind == "f" and (np.isfinite(labels) & (labels == np.floor(labels))).all():
        # Records and loaders give labels as floats.
        labels = labels.astype(np.int64)
    if labels.ndim != 1 or labels.dtype.kind not in "iuU":
        raise GluonFRError(f"labels are {labels.dtype} {labels.shape}; give (N,) whole numbers or names.")
    return labels


def _people(labels, people):
    """-> list of the labels to draw."""
    known, counts = np.unique(labels, return_counts=True)
    known = known.tolist()
    if not isinstance(people, (list, tuple, np.ndarray)):
        most = np.argsort(-counts, kind="stable")[: check_integer("people", people, 2)]
        return [known[number] for number in sorted(most.tolist())]
    chosen = list(dict.fromkeys(np.asarray(people).tolist()))
    for label in chosen:
        if label not in known:
            raise GluonFRError(
                f"people: no embedding has the label {label!r}; the labels go from {known[0]!r} to {known[-1]!r}."
            )
    return chosen


def _sample(labels, chosen, most, seed):
    """-> list of int arrays: the rows of each person, ascending."""
    rows = [np.flatnonzero(labels == label) for label in chosen]
    random = [generator(seed, _PURPOSE, place) for place in range(len(rows))]
    return [np.sort(each.permutation(own)[:most]) if len(own) > most else own for own, each in zip(rows, random)]


def _tsne(directions, people, seed):
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    # Neighborhoods smaller than a person's share, so that a group spreads and shows its shape.
    perplexity = min(max(_PERPLEXITY[0], len(directions) / people / 3), _PERPLEXITY[1], (len(directions) - 1) / 3)
    # scikit-learn's own start at the PCA leaves the solver to it, which may be a random one.
    start = _project(directions)[0]
    start *= 1e-4 / start[:, 0].std()
    tsne = TSNE(2, perplexity=perplexity, metric="cosine", init=start, learning_rate="auto", random_state=seed)
    # Several threads would add up in another order on every machine, and t-SNE makes another picture of the last digit.
    with threadpool_limits(1, user_api="openmp"):
        points = tsne.fit_transform(directions.astype(np.float32)).astype(np.float64)
    note = "neighbors are alike; the distances between groups mean nothing"
    return points, f"t-SNE, cosine distance, perplexity {perplexity:.3g}\n{note}", ""


def _pca(directions, people, seed):
    points, shares = _project(directions)
    both = f"together {100 * shares.sum():.1f} %"
    return (
        points,
        f"PCA: first component, {100 * shares[0]:.1f} % of the variance ({both})",
        (f"second component, {100 * shares[1]:.1f} % of the variance"),
    )


_METHODS = {"tsne": _tsne, "pca": _pca}


def _project(directions):
    from sklearn.decomposition import PCA

    pca = PCA(2, svd_solver="full")
    return pca.fit_transform(directions), pca.explained_variance_ratio_


def _name(names, label):
    if isinstance(names, dict):
        return str(names.get(label, label))
    if names is None:
        return str(label)
    if isinstance(label, str) or not 0 <= label < len(names):
        raise GluonFRError(f"names: {len(names)} are too few for the label {label!r}; give one for every label, or a dict.")
    return str(names[label])


def _middle(points):
    """Number of the point nearest to the median, so that it lies in a group even where they fall into two."""
    return int(np.linalg.norm(points - np.median(points, axis=0), axis=1).argmin())


def _add_face(axes, image, group, color) -> None:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise GluonFRError(f"images gives {image.dtype} {image.shape}; it must give uint8 (H, W, 3) RGB.")
    picture = OffsetImage(image, zoom=_FACE / max(image.shape[:2]), interpolation="antialiased")
    axes.add_artist(
        AnnotationBbox(
            picture,
            # Above the points, which it would hide, though not above a few that lie far off.
            (np.median(group[:, 0]), np.percentile(group[:, 1], 90)),
            xybox=(0, _FACE / 2 + 6),
            boxcoords="offset points",
            pad=0,
            bboxprops={"edgecolor": color, "linewidth": 2, "boxstyle": "square,pad=0"},
            zorder=4,
        )
    )


def _write(axes, text, point, color) -> None:
    axes.annotate(
        text,
        point,
        xytext=(0, -8),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=8.5,
        color=tuple(0.65 * part for part in to_rgb(color)),
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
        zorder=5,
    )

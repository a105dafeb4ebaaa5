"""Embeddings as points in a plane: t-SNE and PCA."""

from __future__ import annotations

from typing import Any

import numpy as np

from gluonfr.core import DataError, UsageError

_MIN_PERPLEXITY, _MAX_PERPLEXITY = 5, 30


def unit_directions(embeddings: Any) -> np.ndarray:
    """Divide each embedding by its norm, in float64 and without overflow.

    Parameters
    ----------
    embeddings : array-like (N, D) of float, D >= 2

    Returns
    -------
    (N, D) float64

    Raises
    ------
    UsageError, DataError
        The array has another shape or type, or an embedding is zero or not finite.

    Examples
    --------
    >>> unit_directions([[3e200, 4e200]]).round(3).tolist()
    [[0.6, 0.8]]
    """
    try:
        embeddings = np.asarray(embeddings, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError("embeddings are not an array of numbers; give (N, D) floats.") from error
    if embeddings.ndim != 2 or not len(embeddings) or embeddings.shape[1] < 2:
        raise UsageError(f"embeddings have the shape {embeddings.shape}; give (N, D) floats, D at least 2.")
    largest = np.abs(embeddings).max(axis=1, keepdims=True)
    for row in np.flatnonzero(~(np.isfinite(largest) & (largest > 0)))[:1]:
        what = "is zero, which has no direction" if largest[row] == 0 else "holds NaN or infinity"
        raise DataError(f"the embedding in row {row} {what}; check the network and its input.")
    # Divided by the largest number first, so that no square overflows.
    embeddings = embeddings / largest
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def project_tsne(directions: np.ndarray, people: int, seed: int) -> tuple[np.ndarray, str, str]:
    """Project by t-SNE with the cosine distance, started at the PCA.

    Parameters
    ----------
    directions : (N, D) float64
        Rows of norm 1.
    people : int
        Number of people, from which the perplexity follows.
    seed : int
        Seed of t-SNE.

    Returns
    -------
    (N, 2) float64, str, str
        The points, and the labels of the horizontal and the vertical axis.

    Examples
    --------
    >>> import numpy as np
    >>> points, label, _ = project_tsne(np.eye(8), people=2, seed=0)
    >>> points.shape, label.splitlines()[0]
    ((8, 2), 't-SNE, cosine distance, perplexity 2.33')
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    # Neighborhoods smaller than a person's share, so that a group spreads and shows its shape.
    perplexity = min(max(_MIN_PERPLEXITY, len(directions) / people / 3), _MAX_PERPLEXITY, (len(directions) - 1) / 3)
    # scikit-learn's own PCA start lets it choose the solver, which may be a random one.
    start = _principal_components(directions)[0]
    start *= 1e-4 / start[:, 0].std()
    tsne = TSNE(2, perplexity=perplexity, metric="cosine", init=start, learning_rate="auto", random_state=seed)
    # With several threads the order of additions differs between machines, and t-SNE amplifies the last digit.
    with threadpool_limits(1, user_api="openmp"):
        points = tsne.fit_transform(directions.astype(np.float32)).astype(np.float64)
    note = "neighbors are similar; the distances between groups mean nothing"
    return points, f"t-SNE, cosine distance, perplexity {perplexity:.3g}\n{note}", ""


def project_pca(directions: np.ndarray, people: int, seed: int) -> tuple[np.ndarray, str, str]:
    """Project onto the first two principal components; arguments and result as for `project_tsne`.

    Examples
    --------
    >>> import numpy as np
    >>> points, horizontal, vertical = project_pca(np.eye(3), people=2, seed=0)
    >>> points.shape
    (3, 2)
    """
    points, shares = _principal_components(directions)
    both = f"together {100 * shares.sum():.1f} %"
    return (
        points,
        f"PCA: first component, {100 * shares[0]:.1f} % of the variance ({both})",
        f"second component, {100 * shares[1]:.1f} % of the variance",
    )


def _principal_components(directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.decomposition import PCA

    pca = PCA(2, svd_solver="full")
    return pca.fit_transform(directions), pca.explained_variance_ratio_

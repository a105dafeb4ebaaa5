"""`FaceVerification`, the 1:1 verification metric, and the distances of pairs."""

from __future__ import annotations

from typing import Any, NoReturn

import mxnet as mx
import numpy as np

from gluonfr.core import DataError, UsageError
from gluonfr.metrics.checks import float_array, label_array
from gluonfr.metrics.lfw_protocol import check_distance, check_protocol_options, evaluate_verification
from gluonfr.metrics.results import NameValues, VerificationResult

# Numbers in one block of rows, whose difference and squares fit into the processor's cache.
_BLOCK = 1 << 16


@mx.metric.register
class FaceVerification(mx.metric.EvalMetric):
    """1:1 verification over pairs: 10-fold accuracy, TAR@FAR, ROC, AUC and equal error rate.

    The protocol is that of :func:`gluonfr.metrics.evaluate_verification`. It expects L2-normalized embeddings, usually of
    f(x) + f(flip x); the caller normalizes them. Between updates, only one distance and one label per pair are stored.
    `mx.metric.create("FaceVerification")` creates one. It cannot be part of MXNet's CompositeEvalMetric, which passes two
    arguments to `update` and expects two values from `get`.

    Parameters
    ----------
    nfolds : int, default 10
        Number of folds.
    thresholds : array-like, increasing, default None
        Replaces both grids. None uses `arange(0, 4, .01)` for accuracy and `arange(0, 4, .001)` for TAR@FAR, both halved
        for the cosine distance.
    far_target : float or list of float, default 1e-3
        False accept rates at which to report TAR.
    dist_type : int, default 0
        0: squared Euclidean distance of the embeddings, 0 to 4 for unit vectors. 1: cosine distance 1 - cos, 0 to 2, for
        vectors of any length. A pair is accepted as one person iff `distance < threshold`.
    name : str, default 'verification'
        Name of the metric.

    Examples
    --------
    >>> import numpy as np
    >>> metric = FaceVerification(far_target=[1e-1, 1e-2])
    >>> first = np.eye(20, 4)
    >>> second = np.where(np.arange(20)[:, None] % 2, 1.0, first)
    >>> first[4:], second[4:] = np.tile(first[:4], (4, 1)), np.tile(second[:4], (4, 1))
    >>> metric.update([1, 0] * 10, first, second)
    >>> tpr, fpr, accuracy, val, val_std, far, accuracy_std = metric.get()
    >>> accuracy
    1.0
    """

    def __init__(
        self,
        nfolds: int = 10,
        thresholds: Any = None,
        far_target: Any = 1e-3,
        dist_type: int = 0,
        name: str = "verification",
    ) -> None:
        check_protocol_options(nfolds, thresholds, far_target, dist_type)
        thresholds = None if thresholds is None else np.asarray(thresholds, dtype=np.float64).tolist()
        far_target = np.asarray(far_target, dtype=np.float64).tolist()
        self._protocol: dict[str, Any] = {
            "nfolds": nfolds,
            "thresholds": thresholds,
            "far_target": far_target,
            "dist_type": dist_type,
        }
        super().__init__(name)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that create an equal metric: `mx.metric.create(**config)`."""
        return {"metric": type(self).__name__, "name": self.name, **self._protocol}

    def reset(self) -> None:
        """Forget all pairs."""
        super().reset()
        self._distances: list[np.ndarray] = []
        self._issame: list[np.ndarray] = []
        self._result: VerificationResult | None = None

    def reset_local(self) -> None:
        """Forget all pairs, like `reset`."""
        self.reset()

    def update(self, labels: Any, embeddings0: Any, embeddings1: Any) -> None:
        """Add pairs; NDArrays are copied to the host once, and the distances are computed there.

        Parameters
        ----------
        labels : (N,)
            1 or True where the pair shows one person, else 0 or False.
        embeddings0, embeddings1 : (N, D) of finite numbers
            float32 or float64; the distance has the same type. Like the labels, an NDArray, an array, or a list of them
            (one per device), which are concatenated in order.

        Raises
        ------
        UsageError, DataError
            Shapes do not match, there are no pairs, a label is neither 0 nor 1, or a distance is not finite. No pair is
            added then.
        """
        issame = label_array(_to_host(labels))
        distances = pair_distances(_to_host(embeddings0), _to_host(embeddings1), self._protocol["dist_type"])
        if len(issame) != len(distances):
            raise UsageError(f"got {len(issame)} labels for {len(distances)} pairs of embeddings; give one label per pair.")
        self._distances.append(distances)
        self._issame.append(issame)
        self.num_inst += len(issame)
        self._result = None

    @property
    def distances(self) -> np.ndarray:
        """Distances (N,) of the pairs since the last reset."""
        return np.concatenate(self._distances) if self._distances else np.zeros(0)

    @property
    def issame(self) -> np.ndarray:
        """Whether each pair (N,) shows one person, bool."""
        return np.concatenate(self._issame) if self._issame else np.zeros(0, bool)

    def result(self) -> VerificationResult:
        """Return the :class:`VerificationResult` of all pairs so far; there must be at least as many pairs as folds."""
        if self._result is None:
            if not self._distances:
                raise UsageError(f"{self.name}: there are no pairs yet; call update first.")
            self._distances, self._issame = [np.concatenate(self._distances)], [np.concatenate(self._issame)]
            self._result = evaluate_verification(self._distances[0], self._issame[0], **self._protocol)
        return self._result

    def get(self) -> tuple[Any, ...]:
        """Return the seven values `(tpr, fpr, accuracy, val, val_std, far, accuracy_std)`.

        tpr and fpr are (T,) arrays over the accuracy grid, averaged over the folds. val (TAR), val_std and far are floats,
        or arrays in the order of the targets when `far_target` is a list.
        """
        result = self.result()
        at_far: Any = np.array([(at.tar, at.tar_std, at.far) for at in result.tar_at_far]).T
        if not isinstance(self._protocol["far_target"], list):
            at_far = at_far[:, 0].tolist()
        val, val_std, far = at_far
        return result.tpr, result.fpr, result.accuracy, val, val_std, far, result.accuracy_std

    def get_name_value(self) -> NameValues:
        """Return a list of (name, value), see :meth:`VerificationResult.name_values`; it prints as a table."""
        return NameValues(self.result().name_values())

    def __str__(self) -> str:
        return f"FaceVerification: {self.name}, {self.num_inst} pairs"

    __repr__ = __str__


def _to_host(values: Any) -> Any:
    if isinstance(values, mx.nd.NDArray):
        return values.asnumpy()
    if isinstance(values, (list, tuple)) and values and all(getattr(part, "ndim", 0) for part in values):
        parts = [_to_host(part) for part in values]
        if len({part.shape[1:] for part in parts}) > 1:
            shapes = ", ".join(str(part.shape) for part in parts)
            raise UsageError(f"the arrays of one list have shapes {shapes}; give parts that differ in their first size only.")
        return np.concatenate(parts)
    return values


def pair_distances(embeddings0: Any, embeddings1: Any, dist_type: int = 0) -> np.ndarray:
    """Compute the distance between the two embeddings of each pair.

    Parameters
    ----------
    embeddings0, embeddings1 : array-like, (N, D), N >= 1
        Embeddings of the first and second image of each pair.
    dist_type : int, default 0
        0: squared Euclidean, `sum(square(a - b))`; 1: cosine distance, `1 - cos(a, b)`, clipped to 0..2.

    Returns
    -------
    (N,) float64
        float32 when both inputs are float32 or smaller.

    Raises
    ------
    UsageError
        The arrays do not have the same two-dimensional shape, or are not numeric.
    DataError
        A distance is not finite; the message names its row.

    Examples
    --------
    >>> pair_distances([[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]).tolist()
    [0.0, 2.0]
    """
    embeddings0 = float_array(embeddings0, "embeddings0")
    embeddings1 = float_array(embeddings1, "embeddings1")
    if embeddings0.ndim != 2 or embeddings0.shape != embeddings1.shape or not embeddings0.size:
        raise UsageError(
            f"embeddings0 {embeddings0.shape} and embeddings1 {embeddings1.shape} do not match; "
            "give two (N, D) arrays of one shape, not empty."
        )
    measure = (_squared_euclidean, _cosine)[check_distance(dist_type)]
    distances = np.empty(len(embeddings0), dtype=np.result_type(embeddings0, embeddings1))
    rows = max(1, _BLOCK // embeddings0.shape[1])
    with np.errstate(all="ignore"):
        for start in range(0, len(distances), rows):
            block = slice(start, start + rows)
            distances[block] = measure(embeddings0[block], embeddings1[block])
    wrong = np.flatnonzero(~np.isfinite(distances))
    if len(wrong):
        _raise_not_finite(int(wrong[0]), embeddings0=embeddings0, embeddings1=embeddings1)
    return distances


def _squared_euclidean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sum(np.square(a - b), axis=1)


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    cosine = np.sum(a * b, axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return np.clip(1 - cosine, 0, 2)


def _raise_not_finite(row: int, **embeddings: np.ndarray) -> NoReturn:
    for name, values in embeddings.items():
        if not np.isfinite(values[row]).all():
            raise DataError(f"{name} holds NaN or infinity, first in row {row}; check the network and its input.")
    raise DataError(f"the distance of row {row} is not finite: its embeddings are zero or too large; normalize them first.")

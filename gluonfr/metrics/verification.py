from __future__ import annotations

from typing import NoReturn

import mxnet as mx
import numpy as np

from gluonfr.core import GluonFRError
from gluonfr.metrics.protocol import check_options, float_array, label_array, verification
from gluonfr.metrics.result import TarAtFar, VerificationResult

__all__ = ["FaceVerification", "TarAtFar", "VerificationResult", "pair_distances", "verification"]

# Numbers in one block of rows: its difference and squares stay in the processor's cache.
_BLOCK = 1 << 16


@mx.metric.register
class FaceVerification(mx.metric.EvalMetric):
    """1:1 verification over pairs: 10-fold accuracy, TAR@FAR, ROC, AUC and equal error rate.

    The protocol is that of :func:`gluonfr.metrics.protocol.verification`. It wants L2-normalized embeddings, usually of
    f(x) + f(flip x); normalizing is the caller's. Only one distance and one label a pair are kept between updates.
    `mx.metric.create("FaceVerification")` makes one. It cannot be a part of MXNet's CompositeEvalMetric, which passes two
    arguments to `update` and expects two values from `get`.

    Parameters
    ----------
    nfolds : int, default 10
    thresholds : array-like, increasing, default None
        Replaces both grids; None takes `arange(0, 4, .01)` for accuracy and `arange(0, 4, .001)` for TAR@FAR, each halved
        for the cosine distance.
    far_target : float or list of float, default 1e-3
        False accept rates at which to report TAR.
    dist_type : int, default 0
        0: squared Euclidean distance of the embeddings as given, 0 to 4 for unit vectors; 1: cosine distance
        1 - cos, 0 to 2, whatever the vectors' lengths. A pair is accepted as one person iff `distance < threshold`.
    name : str, default 'verification'

    Examples
    --------
    >>> metric = FaceVerification(far_target=[1e-2, 1e-3])
    >>> metric.update(issame, embeddings0, embeddings1)
    >>> tpr, fpr, accuracy, val, val_std, far, accuracy_std = metric.get()
    >>> metric.result().threshold
    """

    def __init__(self, nfolds=10, thresholds=None, far_target=1e-3, dist_type=0, name="verification") -> None:
        check_options(nfolds, thresholds, far_target, dist_type)
        thresholds = None if thresholds is None else np.asarray(thresholds, dtype=np.float64).tolist()
        far_target = np.asarray(far_target, dtype=np.float64).tolist()
        self._protocol = {"nfolds": nfolds, "thresholds": thresholds, "far_target": far_target, "dist_type": dist_type}
        super().__init__(name)

    def get_config(self):
        """The arguments that make an equal metric: `mx.metric.create(**config)`."""
        return {"metric": type(self).__name__, "name": self.name, **self._protocol}

    def reset(self) -> None:
        """Forget all pairs."""
        super().reset()
        self._distances, self._issame, self._result = [], [], None

    def reset_local(self) -> None:
        """The same as `reset`."""
        self.reset()

    def update(self, labels, embeddings0, embeddings1) -> None:
        """Add pairs. NDArrays are waited for and copied to the host once; the distances are computed there.

        Inputs:
            - **labels**: (N,), 1 or True where the pair shows one person, else 0 or False.
            - **embeddings0**, **embeddings1**: (N, D) of finite numbers, float32 or float64 (the distance keeps the type).

            Each may be an NDArray, an array, or a list of them (one a device), which are put together in their order.

        Raises GluonFRError, and adds nothing, when shapes do not match, there is no pair, a label is neither 0 nor 1, or
        a distance is not finite.
        """
        issame = label_array(_host(labels))
        distances = pair_distances(_host(embeddings0), _host(embeddings1), self._protocol["dist_type"])
        if len(issame) != len(distances):
            raise GluonFRError(
                f"{len(issame)} labels came with {len(distances)} pairs of embeddings; give one label for each pair."
            )
        self._distances.append(distances)
        self._issame.append(issame)
        self.num_inst += len(issame)
        self._result = None

    def result(self):
        """The :class:`VerificationResult` of all pairs so far; fewer pairs than folds raise GluonFRError."""
        if self._result is None:
            if not self._distances:
                raise GluonFRError(f"{self.name}: there are no pairs yet; call update first.")
            self._distances, self._issame = [np.concatenate(self._distances)], [np.concatenate(self._issame)]
            self._result = verification(self._distances[0], self._issame[0], **self._protocol)
        return self._result

    def get(self):
        """The seven values `(tpr, fpr, accuracy, val, val_std, far, accuracy_std)`.

        tpr and fpr are (T,) arrays over the accuracy grid, means over the folds. val (TAR), val_std and far are floats, or
        arrays in the order of the targets when `far_target` is a list.
        """
        result = self.result()
        at_far = np.array([(at.tar, at.tar_std, at.far) for at in result.tar_at_far]).T
        if not isinstance(self._protocol["far_target"], list):
            at_far = at_far[:, 0].tolist()
        val, val_std, far = at_far
        return result.tpr, result.fpr, result.accuracy, val, val_std, far, result.accuracy_std

    def get_name_value(self):
        """List of (name, value), see :meth:`VerificationResult.name_values`."""
        return self.result().name_values()

    def __str__(self) -> str:
        return f"FaceVerification: {self.name}, {self.num_inst} pairs"


def _host(values):
    if isinstance(values, mx.nd.NDArray):
        return values.asnumpy()
    if isinstance(values, (list, tuple)) and values and all(getattr(each, "ndim", 0) for each in values):
        parts = [_host(each) for each in values]
        if len({part.shape[1:] for part in parts}) > 1:
            shapes = ", ".join(str(part.shape) for part in parts)
            raise GluonFRError(f"the arrays of one list have shapes {shapes}; give parts that differ in their first size only.")
        return np.concatenate(parts)
    return np.asarray(values)


def pair_distances(embeddings0, embeddings1, dist_type=0):
    """Distance between the two embeddings of each pair.

    Parameters
    ----------
    embeddings0, embeddings1 : array-like, (N, D), N >= 1
    dist_type : int, default 0
        0: squared Euclidean, `sum(square(a - b))`; 1: cosine distance, `1 - cos(a, b)`, clipped to 0..2.

    Returns
    -------
    (N,) float64, or float32 when both inputs are float32 or smaller. Anything not finite raises GluonFRError with its row.
    """
    embeddings0 = float_array(embeddings0, "embeddings0")
    embeddings1 = float_array(embeddings1, "embeddings1")
    if embeddings0.ndim != 2 or embeddings0.shape != embeddings1.shape or not embeddings0.size:
        raise GluonFRError(
            f"embeddings0 {embeddings0.shape} and embeddings1 {embeddings1.shape} do not fit; "
            "give two (N, D) arrays of one shape, not empty."
        )
    measure = (_squared_euclidean, _cosine)[dist_type]
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


def _squared_euclidean(a, b):
    return np.sum(np.square(a - b), axis=1)


def _cosine(a, b):
    cosine = np.sum(a * b, axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return np.clip(1 - cosine, 0, 2)


def _raise_not_finite(row, **embeddings) -> NoReturn:
    for name, values in embeddings.items():
        if not np.isfinite(values[row]).all():
            raise GluonFRError(f"{name} holds NaN or infinity, first in row {row}; check the network and its input.")
    raise GluonFRError(
        f"the distance of row {row} is not finite, its embeddings are all zero or too large; normalize them first."
    )

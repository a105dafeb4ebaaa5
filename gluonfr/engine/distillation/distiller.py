from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import Block, nn

from gluonfr.engine.distillation.losses import cosine_loss, l2_loss, logit_loss, relational_loss
from gluonfr.engine.heads.plain import gathered, row_slices


class Reference(NamedTuple):
    """Embeddings that the trained network has to stay close to.

    Attributes
    ----------
    rows : np.ndarray
        float32 (images, D), one row per image of the training set.
    kind : {'cosine', 'l2', 'relational', 'logits'}
        What is compared.
    weight : float
        Factor of the loss.
    means : np.ndarray, optional
        float32 (classes, D), for 'logits'.
    scale : float, default 1
        Scale of the cosines, for 'logits'.
    center : np.ndarray, optional
        float32 (D,), subtracted from the rows before they are compared. Where the embeddings of all faces share a direction,
        it would hide their differences.
    shared_space : bool, default False
        Whether the trained network starts with embeddings like these: the center is subtracted from its embeddings and the unit
        divides them too, so that they come to equal the rows.
    unit : float, default 1
        The rows are divided by it.
    source : str, default ''
        A digest of the network that made the rows.
    is_start : bool, default False
        Whether that is the trained network, with its first weights.

    Examples
    --------
    >>> Reference(np.ones((5, 8), np.float32), "cosine", 20.0).weight
    20.0
    """

    rows: np.ndarray
    kind: str
    weight: float
    means: np.ndarray | None = None
    scale: float = 1.0
    center: np.ndarray | None = None
    shared_space: bool = False
    unit: float = 1.0
    source: str = ""
    is_start: bool = False


class Distiller(Block):
    """Losses between embeddings and reference embeddings: ``distiller(embeddings, references) -> losses``.

    A linear layer, which is trained too and not saved with the network, maps the embeddings to the size of the references where
    it differs; relational losses need none. Relational losses compare the images of all devices of a process.

    Parameters
    ----------
    references : sequence of Reference
    embedding_size : int
        Size D of the embeddings of the network in training.
    label_weight : float, default 1
        Factor of the losses on labels.
    masked_from : int, optional
        Images with this label or a larger one have no loss on labels.

    Inputs:
        - **embeddings**: list of (N_k, D).
        - **references**: list of (N_k, D_1 + D_2 + ...), the rows of all references side by side.
    Outputs:
        - **losses**: list of (N_k,).

    Examples
    --------
    >>> rows = np.eye(4, dtype=np.float32)
    >>> distiller = Distiller([Reference(rows, "cosine", 2.0)], embedding_size=4)
    >>> distiller.initialize()
    >>> distiller([nd.array(rows[:2])], [distiller.batch([1, 0])])[0].asnumpy()
    array([2., 2.], dtype=float32)
    """

    def __init__(
        self, references: Sequence[Reference], embedding_size: int, label_weight: float = 1.0, masked_from: int | None = None
    ) -> None:
        super().__init__(prefix="distiller_")
        self._references, self.label_weight, self.masked_from = list(references), label_weight, masked_from
        self._constants: dict[tuple[str, int, mx.Context], Any] = {}
        self._projections: list[Any] = []
        with self.name_scope():
            for reference in references:
                size = reference.rows.shape[1]
                needs_projection = size != embedding_size and reference.kind != "relational"
                layer = nn.Dense(size, in_units=embedding_size) if needs_projection else None
                self._projections.append(layer)
                if layer is not None:
                    self.register_child(layer)

    @property
    def sources(self) -> list[str]:
        """Digests of the networks that made the references, and whether the student shares their space."""
        return [f"{one.source}{' shared' if one.shared_space else ''}" for one in self._references]

    @property
    def rows_of_start(self) -> np.ndarray | None:
        """The embeddings of all images by the trained network with its first weights; None where they are not known."""
        return next((reference.rows for reference in self._references if reference.is_start), None)

    def batch(self, items: Any) -> Any:
        """Return the rows of all references for some images, side by side: (N, D_1 + D_2 + ...)."""
        parts = []
        for reference in self._references:
            rows = reference.rows[items] if reference.center is None else reference.rows[items] - reference.center
            parts.append(rows if reference.unit == 1 else rows / np.float32(reference.unit))
        return nd.array(np.concatenate(parts, axis=1))

    def forward(self, embeddings: Any, references: Any) -> Any:
        """Return the losses of all devices."""
        totals: list[Any] = [0.0] * len(embeddings)
        begin = 0
        for number, reference in enumerate(self._references):
            end = begin + reference.rows.shape[1]
            rows = [part.slice_axis(axis=1, begin=begin, end=end) for part in references]
            losses = self._losses(number, embeddings, rows)
            totals = [total + reference.weight * loss for total, loss in zip(totals, losses)]
            begin = end
        return totals

    def _losses(self, number: int, embeddings: Any, rows: Any) -> Any:
        reference, projection = self._references[number], self._projections[number]
        if reference.kind == "relational":
            first = embeddings[0].context
            losses = relational_loss(*gathered(first, embeddings, rows))
            return [losses[own].as_in_context(part.context) for own, part in zip(row_slices(embeddings), embeddings)]
        students = embeddings if projection is None else [projection(part) for part in embeddings]
        if reference.shared_space and reference.center is not None:
            students = [nd.broadcast_sub(part, self._constant("center", number, part.context)) for part in students]
        if reference.shared_space and reference.unit != 1:
            students = [part / reference.unit for part in students]
        if reference.kind == "logits":
            means = [self._constant("means", number, student.context) for student in students]
            return [logit_loss(*triple, reference.scale) for triple in zip(students, rows, means)]
        return [(cosine_loss if reference.kind == "cosine" else l2_loss)(*pair) for pair in zip(students, rows)]

    def _constant(self, name: str, number: int, context: mx.Context) -> Any:
        """Return the center of a reference, as a row, or its means on a device."""
        key = (name, number, context)
        if key not in self._constants:
            self._constants[key] = nd.array(np.atleast_2d(getattr(self._references[number], name)), ctx=context)
        return self._constants[key]

from __future__ import annotations

from typing import Any

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock, nn

from gluonfr.core import check_integer
from gluonfr.nn.dense import NormDense


class FrBase(HybridBlock):
    """Base of the face networks: scaling of the input, embedding, and the classifier for training.

    A network adds its layers to `self.features`; the output of the last one is the embedding.

    Parameters
    ----------
    classes : int or None
        Number of identities C of the classifier; None builds none.
    embedding_size : int, default 128
        Size D of the embedding.
    weight_norm, feature_norm : bool, default False
        Normalize the rows of the classifier's weights and its input; with both, its outputs are cosines.
    need_cls_layer : bool, default True
        Build the classifier; False omits it although `classes` is given.

    Inputs:
        - **data**: (N, 3, H, W) float32 RGB in [0, 1], as returned by Gluon's `ToTensor`. Shift and scale are applied inside.
    Outputs:
        - **embedding**: (N, D), not normalized.
        - **output**: (N, C), only with a classifier: cosines when both norms are on, else logits.

    Examples
    --------
    >>> class Tiny(FrBase):
    ...     def __init__(self, **kwargs):
    ...         super().__init__(embedding_size=4, **kwargs)
    ...         self.features.add(nn.GlobalAvgPool2D(), nn.Dense(4))
    >>> net = Tiny(classes=3, weight_norm=True, feature_norm=True)
    >>> net.initialize()
    >>> embedding, cosines = net(mx.nd.zeros((2, 3, 8, 8)))
    >>> embedding.shape, cosines.shape
    ((2, 4), (2, 3))
    """

    # Name in the model zoo, where the network was built by its name; crop size in pixels (height, width).
    architecture = ""
    image_size = (112, 112)
    # Reduces the image before the features; outside of them, so that the names of the weights do not depend on it.
    resize: HybridBlock | None = None

    def __init__(
        self,
        classes: int | None = None,
        embedding_size: int = 128,
        weight_norm: bool = False,
        feature_norm: bool = False,
        need_cls_layer: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_integer("embedding_size", embedding_size, minimum=1)
        if classes is not None:
            check_integer("classes", classes, minimum=1)
        self.embedding_size = embedding_size
        self.classes = classes if need_cls_layer else None
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            self.output = None
            if self.classes:
                self.output = NormDense(self.classes, weight_norm, feature_norm, in_units=embedding_size, prefix="output_")

    def __repr__(self) -> str:
        height, width = self.image_size
        parts = [f"input 3x{height}x{width}", f"embedding {self.embedding_size}"]
        if self.architecture:
            parts.insert(0, type(self).__name__)
        if self.classes:
            parts.append(f"classes {self.classes}")
        return f"{self.architecture or type(self).__name__}({', '.join(parts)}, {self._parameter_count():,} parameters)"

    def _parameter_count(self) -> int:
        """Return the number of parameters without running statistics; shapes may still be unknown before the first image."""
        out = self(mx.sym.var("data"))
        symbol = mx.sym.Group(list(out)) if isinstance(out, (list, tuple)) else out
        shapes, _, _ = symbol.infer_shape_partial(data=(1, 3, *self.image_size))
        return sum(int(np.prod(shape)) for name, shape in zip(symbol.list_arguments(), shapes) if name != "data")

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return the embedding, and with a classifier its outputs too."""
        x = x if self.resize is None else self.resize(x)
        embedding = self.features(x * 2 - 1)
        return embedding if self.output is None else (embedding, self.output(embedding))


FRBase = FrBase
FR_Base = FrBase

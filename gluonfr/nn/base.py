from __future__ import annotations

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock, nn

from gluonfr.core import check_integer
from gluonfr.nn.dense import NormDense


class FrBase(HybridBlock):
    """What all face networks share: the input's scaling, the embedding, and the classifier that training needs.

    A network fills `self.features`, whose last layer gives the embedding.

    Parameters
    ----------
    classes : int or None
        Number of identities C of the classifier; None builds none.
    embedding_size : int
        D.
    weight_norm, feature_norm : bool, default False
        Normalize the classifier's weight rows and its input; with both, its outputs are cosines.
    need_cls_layer : bool, default True
        False leaves the classifier out although `classes` is given.

    Inputs:
        - **data**: (N, 3, H, W) float32 RGB in [0, 1], what Gluon's `ToTensor` gives. Shift and scale are done inside.
    Outputs:
        - **embedding**: (N, D), not normalized.
        - **output**: (N, C), only with a classifier: cosines when both norms are on, else logits.
    """

    # Name in the model zoo, where the network was built by its name; crop size in pixels (height, width).
    architecture = ""
    image_size = (112, 112)

    def __init__(
        self, classes=None, embedding_size=128, weight_norm=False, feature_norm=False, need_cls_layer=True, **kwargs
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

    def hybrid_forward(self, F, x):
        embedding = self.features(x * 2 - 1)
        return embedding if self.output is None else (embedding, self.output(embedding))


FRBase = FrBase
FR_Base = FrBase

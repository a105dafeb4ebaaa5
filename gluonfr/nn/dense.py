from __future__ import annotations

from mxnet import init
from mxnet.gluon import HybridBlock


class NormDense(HybridBlock):
    r"""Classifier without bias whose weight rows and inputs can be L2-normalized.

    .. math:: o_j = \hat{w}_j \cdot \hat{x}

    With both norms the outputs are the cosines between the embedding and every class's weight.

    Parameters
    ----------
    classes : int
        Number of classes C.
    weight_norm, feature_norm : bool, default False
        Normalize the weight rows, the inputs.
    in_units : int, default 0
        Size D of the input; 0 infers it at the first call.
    weight_initializer : Initializer or str, default Normal(0.01)
        As the published recipes start their classifier.
    dtype : str, default 'float32'

    Inputs:
        - **data**: embeddings (N, D).
    Outputs:
        - **out**: (N, C).
    """

    def __init__(
        self,
        classes,
        weight_norm=False,
        feature_norm=False,
        dtype="float32",
        weight_initializer="default",
        in_units=0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if weight_initializer == "default":
            weight_initializer = init.Normal(0.01)
        self._classes = classes
        self._weight_norm = weight_norm
        self._feature_norm = feature_norm
        with self.name_scope():
            self.weight = self.params.get(
                "weight", shape=(classes, in_units), init=weight_initializer, dtype=dtype, allow_deferred_init=True
            )

    def infer_shape(self, x, *args) -> None:
        # MXNet cannot infer an unknown size through L2Normalization.
        self.weight.shape = (self._classes, x.shape[-1])

    def hybrid_forward(self, F, x, weight):
        if self._feature_norm:
            x = F.L2Normalization(x, mode="instance", name="feature_norm")
        if self._weight_norm:
            weight = F.L2Normalization(weight, mode="instance", name="weight_norm")
        return F.FullyConnected(x, weight, no_bias=True, num_hidden=self._classes, flatten=False, name="fwd")

    def __repr__(self) -> str:
        classes, units = self.weight.shape
        norms = [name for name, on in (("weight_norm", self._weight_norm), ("feature_norm", self._feature_norm)) if on]
        return f"NormDense({units or None} -> {classes}{''.join(', ' + name for name in norms)})"

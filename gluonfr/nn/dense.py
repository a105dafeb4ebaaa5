from __future__ import annotations

from typing import Any

from mxnet import init
from mxnet.gluon import HybridBlock


class NormDense(HybridBlock):
    r"""Classifier without bias, with optional L2 normalization of the rows of its weights and of its input.

    .. math:: o_j = \hat{w}_j \cdot \hat{x}

    With both norms the outputs are the cosines between the embedding and the weights of each class.

    Parameters
    ----------
    classes : int
        Number of classes C.
    weight_norm, feature_norm : bool, default False
        Normalize the rows of the weights, the input.
    in_units : int, default 0
        Size D of the input; 0 infers it from the first input.
    dtype : str, default 'float32'
        Type of the weights.
    weight_initializer : Initializer or str, default Normal(0.01)
        Initializer of the weights; the default is that of the published recipes.

    Inputs:
        - **data**: embeddings (N, D).
    Outputs:
        - **out**: (N, C).

    Examples
    --------
    >>> NormDense(1000, weight_norm=True, feature_norm=True, in_units=128)
    NormDense(128 -> 1000, weight_norm, feature_norm)
    """

    def __init__(
        self,
        classes: int,
        weight_norm: bool = False,
        feature_norm: bool = False,
        dtype: str = "float32",
        weight_initializer: Any = "default",
        in_units: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if weight_initializer == "default":
            weight_initializer = init.Normal(0.01)
        self._classes = classes
        self.weight_norm = weight_norm
        self.feature_norm = feature_norm
        with self.name_scope():
            self.weight = self.params.get(
                "weight", shape=(classes, in_units), init=weight_initializer, dtype=dtype, allow_deferred_init=True
            )

    def infer_shape(self, x: Any, *args: Any) -> None:
        """Set the shape of the weights from the input."""
        # MXNet cannot infer an unknown size through L2Normalization.
        self.weight.shape = (self._classes, x.shape[-1])

    def hybrid_forward(self, F: Any, x: Any, weight: Any) -> Any:
        """Return the outputs (N, C)."""
        if self.feature_norm:
            x = F.L2Normalization(x, mode="instance", name="feature_norm")
        if self.weight_norm:
            weight = F.L2Normalization(weight, mode="instance", name="weight_norm")
        return F.FullyConnected(x, weight, no_bias=True, num_hidden=self._classes, flatten=False, name="fwd")

    def __repr__(self) -> str:
        classes, units = self.weight.shape
        norms = [name for name, on in (("weight_norm", self.weight_norm), ("feature_norm", self.feature_norm)) if on]
        return f"NormDense({units or None} -> {classes}{''.join(', ' + name for name in norms)})"

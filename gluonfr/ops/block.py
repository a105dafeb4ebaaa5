from __future__ import annotations

from typing import Any

import numpy as np
from mxnet import nd
from mxnet.gluon import HybridBlock

from gluonfr.core.mxnet_graphs import clear_graph, retraced_graph
from gluonfr.ops.library import available


class NativeBlock(HybridBlock):
    """Base of hybrid blocks that use native operators on CPUs.

    `hybrid_forward` reads `native`: True where it may use them. Symbols, and so all exported graphs, never contain them.

    Attributes
    ----------
    native : bool
        Whether the last call on arrays used native operators.

    Examples
    --------
    >>> from mxnet import nd
    >>> class Example(NativeBlock):
    ...     def hybrid_forward(self, F, x):
    ...         return x if self.native else x + 1
    >>> example = Example()
    >>> _ = example(nd.zeros(1))
    >>> example.native == example.can_be_native(nd.zeros(1))
    True
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.native = False

    def can_be_native(self, *inputs: Any) -> bool:
        """Return whether the native operators can compute on these arrays: float32 on a CPU, and available."""
        return inputs[0].context.device_type == "cpu" and inputs[0].dtype == np.float32 and available()

    def __call__(self, *args: Any) -> Any:
        """Compute the block, with native operators where they can be used."""
        if not isinstance(args[0], nd.NDArray):
            before, self.native = self.native, False
            try:
                return super().__call__(*args)
            finally:
                self.native = before
        native = self.can_be_native(*args)
        if native != self.native:
            self.native = native
            clear_graph(self)
        return super().__call__(*args)

    def export(self, path: str, epoch: int = 0, remove_amp_cast: bool = True) -> None:
        """Write the graph without native operators and the parameters, as `HybridBlock.export`."""
        before, self.native = self.native, False
        try:
            with retraced_graph(self):
                super().export(path, epoch, remove_amp_cast)
        finally:
            self.native = before

from __future__ import annotations

import warnings

import mxnet as mx
from mxnet import nd
from mxnet.gluon import HybridBlock, SymbolBlock

from gluonfr.core import GluonFRError, require_file
from gluonfr.weights.insightface import find_checkpoint
from gluonfr.weights.params_file import read_params


class GraphNetwork(HybridBlock):
    """A network that exists as an MXNet symbol only, in the place of one of the zoo, for inference.

    Parameters
    ----------
    path : str
        `X-symbol.json`, `X-0000.params`, or X.
    card : Card
        `color`, `mean` and `std` say what the graph takes, `output` which of several outputs is the embedding.
    contexts : list of Context, optional

    Inputs:
        - **data**: (N, 3, H, W) float32 RGB in [0, 1].
    Outputs:
        - **embedding**: (N, D).

    Raises
    ------
    GluonFRError
        A file is missing or damaged, has no such output, or takes more than an image.
    """

    def __init__(self, path, card, contexts=None, **kwargs) -> None:
        super().__init__(**kwargs)
        symbol_path, params_path = find_checkpoint(path)
        self._bgr = card.color == "BGR"
        self._scale, self._shift = _affine(card.mean, card.std)
        values = read_params(require_file(params_path, "network's parameters"))
        values = {name.split(":", 1)[-1]: value for name, value in values.items()}
        symbol = _embedding(symbol_path, card.output)
        free = [name for name in symbol.list_inputs() if name not in values]
        if len(free) != 1:
            raise GluonFRError(
                f"{symbol_path} takes {', '.join(free) or 'nothing'} besides what {params_path} holds, but a network takes "
                "one image; give the parameters that belong to it."
            )
        with warnings.catch_warnings(), self.name_scope():
            # MXNet warns that it cannot tell types it need not know.
            warnings.simplefilter("ignore")
            self.graph = SymbolBlock(symbol, [mx.sym.var(free[0])])
        self._check_shapes(symbol, free[0], values, params_path, card.image_size)
        for name, parameter in self.graph.collect_params().items():
            parameter.shape = values[name].shape
            parameter.initialize(ctx=contexts or mx.cpu())
            parameter.set_data(nd.array(values[name]))

    def _check_shapes(self, symbol, data, values, path, image_size) -> None:
        shapes = {name: values[name].shape for name in symbol.list_inputs() if name != data}
        try:
            symbol.infer_shape(**{data: (1, 3, *image_size)}, **shapes)
        except mx.base.MXNetError as error:
            reason = next((line for line in str(error).splitlines() if "Error" in line), "shapes differ")
            size = "{}x{}".format(*image_size)
            raise GluonFRError(f"{path} does not fit its symbol with images of {size}: {' '.join(reason.split())}") from error

    def hybrid_forward(self, F, x):
        if self._bgr:
            x = F.flip(x, axis=1)
        if self._shift is None:
            return self.graph(x if self._scale == 1 else x * self._scale)
        return self.graph(F.broadcast_add(F.broadcast_mul(x, self._level(F, self._scale)), self._level(F, self._shift)))

    @staticmethod
    def _level(F, values):
        parts = [F.full(shape=(1, 1, 1, 1), val=float(each)) for each in values]
        return F.concat(*parts, dim=1)


def _affine(mean, std):
    """(pixel - mean) / std as scale * x + shift of x in [0, 1]; no shift where every mean is 0 and all stds are one."""
    means, stds = (
        [float(each) for each in (level if isinstance(level, (list, tuple)) else [level] * 3)] for level in (mean, std)
    )
    if not any(means) and len(set(stds)) == 1:
        return 255 / stds[0], None
    return [255 / each for each in stds], [-m / s for m, s in zip(means, stds)]


def _embedding(path, output):
    try:
        symbol = mx.sym.load(require_file(path, "symbol"))
    except mx.base.MXNetError as error:
        raise GluonFRError(f"{path} is no MXNet symbol; export or fetch it again.") from error
    if output:
        inside = symbol.get_internals()
        names = inside.list_outputs()
        for name in (output, output + "_output"):
            if name in names:
                return inside[name]
        raise GluonFRError(f"{path} has no output {output!r}, which its card names; correct the card.")
    if len(symbol.list_outputs()) > 1:
        raise GluonFRError(
            f"{path} has the outputs {', '.join(symbol.list_outputs())}: its card must say under `output` which one to take."
        )
    return symbol

from __future__ import annotations

import warnings
from typing import Any, Sequence

import mxnet as mx
import numpy as np
from mxnet.gluon import SymbolBlock

from gluonfr.core import PathLike, WeightsError
from gluonfr.weights.conversion import set_parameters
from gluonfr.weights.params_file import read_params
from gluonfr.weights.symbol_file import check_array_sizes


def build_symbol_block(
    symbol: Any, params_path: PathLike, image_size: tuple[int, int], ctx: mx.Context | Sequence[mx.Context] | None = None
) -> SymbolBlock:
    """Build a block that runs a symbol with the parameters of a file.

    Parameters
    ----------
    symbol : Symbol
        A symbol of `load_symbol`; exactly one of its inputs, the image, is not in the file.
    params_path : str
        `X-0000.params` of an MXNet checkpoint.
    image_size : (H, W)
        Size of an image in pixels, with which the shapes of all arrays are checked.
    ctx : Context or list of Context, optional
        Devices of the parameters; default CPU.

    Raises
    ------
    WeightsError
        The parameters are damaged, or do not belong to the symbol.

    Examples
    --------
    >>> import os, tempfile
    >>> symbol = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, no_bias=True, name="fc1")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "x-0000.params")
    ...     mx.nd.save(path, {"arg:fc1_weight": mx.nd.ones((2, 12))})
    ...     build_symbol_block(symbol, path, (2, 2))(mx.nd.ones((1, 3, 2, 2))).shape
    (1, 2)
    """
    stored = read_params(params_path)
    values: dict[str, np.ndarray] = {name.split(":", 1)[-1]: array for name, array in stored.items()}
    inputs = [name for name in symbol.list_inputs() if name not in values]
    if len(inputs) != 1:
        raise WeightsError(
            f"{params_path} lacks {', '.join(inputs) or 'no input'} of its symbol, but exactly the image must be missing; "
            "give the parameters that belong to it."
        )
    (data,) = inputs
    used = {name: values[name] for name in symbol.list_inputs() if name != data}
    height, width = image_size
    shapes = {name: array.shape for name, array in used.items()}
    check_array_sizes(symbol, {data: (1, 3, height, width), **shapes}, f"{params_path} with images of {height}x{width}")
    with warnings.catch_warnings():
        # MXNet warns that it cannot infer types, which are not needed.
        warnings.simplefilter("ignore")
        block = SymbolBlock(symbol, [mx.sym.var(data)])
    set_parameters(block, used, ctx)
    return block

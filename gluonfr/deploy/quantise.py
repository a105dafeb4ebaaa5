import os
import tempfile
import warnings

import numpy as np

from gluonfr.core import GluonFRError, generator

# Smaller constants stay float32: together they are nothing, and running statistics would lose what float16 cannot hold.
_LEAST = 1024


def as_float16(model):
    """An ONNX model whose large weights are stored as float16; what is computed stays float32, through Cast nodes that a
    runtime resolves when it opens the file."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for constant in model.graph.initializer:
        if constant.data_type != TensorProto.FLOAT or np.prod(constant.dims) < _LEAST:
            continue
        values, name = numpy_helper.to_array(constant), constant.name
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise GluonFRError(f"layer {name}: its numbers are too large for float16; export float32.")
        constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + "_float16"))
        casts.append(helper.make_node("Cast", [name + "_float16"], [name], name=name + "_cast", to=TensorProto.FLOAT))
    nodes = casts + list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model

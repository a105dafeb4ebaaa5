from __future__ import annotations

import io
import os
import tempfile
import warnings
from contextlib import redirect_stdout

import numpy as np

from gluonfr.core import DEFAULT_ROOT, GluonFRError, generator
from gluonfr.data import FRValDataset, get_recognition_dataset

# Smaller constants stay float32: together they are nothing, and running statistics would lose what float16 cannot hold.
_LEAST = 1024
# Images that go through the network together while ranges are measured: the values of every layer are kept for them.
_TOGETHER = 8
# Faces beyond these do not change the ranges, fewer than the least do not give them.
_MOST, _FEWEST = 256, 16
# Of the values of a layer that its range covers. The few beyond are cut off: with the whole range, as well as with the one
# that loses the least entropy, embeddings of MobileFaceNet turn away by 0.15 in cosine, with this one by 0.02.
_PERCENTILE = 99.99


def as_float16(model):
    """An ONNX model whose large weights are stored as float16; what is computed stays float32, through Cast nodes that a
    runtime resolves when it opens the file.
    """
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


def open_calibration(name, root=DEFAULT_ROOT):
    """Some hundred faces for the calibration of int8: uint8 (H, W, 3), drawn from a set.

    Parameters
    ----------
    name : str
        A training or verification set below `root`, or the path of a `.bin` or of a training set's folder.
    root : str
    """
    path = os.path.abspath(os.path.expanduser(name))
    if name.endswith(".bin"):
        root, name = os.path.split(path[: -len(".bin")])
    elif os.path.isfile(os.path.join(path, "train.rec")):
        root, name = os.path.split(path)
    dataset = get_recognition_dataset(name, root=root)
    pairs = isinstance(dataset, FRValDataset)
    numbers = generator(0).permutation(len(dataset) * (2 if pairs else 1))[:_MOST].tolist()
    return [dataset.image(i) if pairs else dataset.read(i)[0] for i in numbers]


def as_int8(model, images):
    """An ONNX model with 8-bit weights (per channel) and 8-bit numbers between the layers, written with QuantizeLinear and
    DequantizeLinear. The first convolution and depthwise ones, which lose most, hold little and gain nothing, stay float32.

    Parameters
    ----------
    model : onnx.ModelProto
    images : float32 (N, 3, H, W) in [0, 1]
        Aligned faces, 16 or more; the first 256 are used.
    """
    if len(images) < _FEWEST:
        raise GluonFRError(f"calibration: {len(images)} faces say too little about the ranges of int8; give {_FEWEST} or more.")
    try:
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise GluonFRError('dtype int8 needs the package onnxruntime: run `pip install ".[onnx]"` in the checkout.') from error
    import onnx

    properties = {each.key: each.value for each in model.metadata_props}
    # It tells its progress by print.
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        plain, folded, written = (os.path.join(folder, name) for name in ("plain.onnx", "folded.onnx", "int8.onnx"))
        onnx.save(model, plain)
        # BatchNorm goes into the convolutions before these are quantized.
        quant_pre_process(plain, folded, skip_symbolic_shape=True)
        quantization.quantize_static(
            folded,
            written,
            _reader(images[:_MOST]),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm"],
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            activation_type=quantization.QuantType.QUInt8,
            calibrate_method=quantization.CalibrationMethod.Percentile,
            nodes_to_exclude=_sensitive(onnx.load(folded)),
            extra_options={"CalibPercentile": _PERCENTILE, "CalibStridedMinMax": 1},
        )
        quantized = onnx.load(written)
    del quantized.metadata_props[:]
    onnx.helper.set_model_props(quantized, properties)
    quantized.doc_string = model.doc_string
    return quantized


def _sensitive(model):
    """Names of the first convolution and of all depthwise ones."""
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    grouped = [node for node in convolutions if any(each.name == "group" and each.i > 1 for each in node.attribute)]
    return sorted({node.name for node in convolutions[:1] + grouped})


def _reader(images):
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        """A batch at a time, and a stretch of batches at a time, so that not all layers' values are held at once."""

        def __init__(self) -> None:
            self._next, self._end = 0, len(self)

        def __len__(self) -> int:
            return len(images) // _TOGETHER

        def set_range(self, start_index, end_index) -> None:
            self._next, self._end = start_index, end_index

        def get_next(self):
            if self._next >= self._end:
                return None
            start = self._next * _TOGETHER
            self._next += 1
            return {"data": images[start : start + _TOGETHER]}

    return Reader()

"""Smaller ONNX models: weights in float16, or weights and activations in int8."""

from __future__ import annotations

import io
import os
import warnings
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from gluonfr.core import DEFAULT_ROOT, UsageError, WeightsError, generator
from gluonfr.core.temporary import scratch_folder
from gluonfr.data import FRValDataset, get_recognition_dataset

# Smaller constants remain float32: together they are negligible, and running statistics may exceed the range of float16.
_MIN_CONSTANT = 1024
# Images per forward pass while ranges are measured; the values of all layers are stored for them.
_BATCH = 8
# More faces than the maximum do not change the ranges; fewer than the minimum do not determine them.
_MAX_FACES, _MIN_FACES = 256, 16
# Share of a layer's values that its range covers; the rest is clipped. With the full range, and with the range of minimum
# entropy, embeddings of MobileFaceNet lose 0.15 in cosine; with this one they lose 0.02.
_PERCENTILE = 99.99


def as_float16(model: Any) -> Any:
    """Store the large weights of an ONNX model as float16.

    Computation remains in float32, through Cast nodes that a runtime resolves when it opens the file.

    Parameters
    ----------
    model : onnx.ModelProto
        It is changed in place.

    Returns
    -------
    onnx.ModelProto
        The same model.

    Raises
    ------
    WeightsError
        A weight exceeds the range of float16.

    Examples
    --------
    >>> from gluonfr.core import Card
    >>> from gluonfr.deploy import RawPixels
    >>> from gluonfr.deploy.onnx_export import onnx_model
    >>> len(as_float16(onnx_model(RawPixels(), (8, 8), Card(image_size=(8, 8)))).graph.node)
    1
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for constant in model.graph.initializer:
        if constant.data_type != TensorProto.FLOAT or np.prod(constant.dims) < _MIN_CONSTANT:
            continue
        values, name = numpy_helper.to_array(constant), constant.name
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise WeightsError(f"layer {name}: its weights are too large for float16; export float32.")
        constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + "_float16"))
        casts.append(helper.make_node("Cast", [name + "_float16"], [name], name=name + "_cast", to=TensorProto.FLOAT))
    nodes = casts + list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def open_calibration(name: str, root: str = DEFAULT_ROOT) -> list[np.ndarray]:
    """Draw up to 256 faces of a set for the calibration of int8.

    Parameters
    ----------
    name : str
        Name or path of a training or verification set.
    root : str, default '~/.mxnet/datasets/face'
        Folder of the sets.

    Returns
    -------
    list of (H, W, 3) uint8

    Examples
    --------
    >>> faces = open_calibration("celeb")  # doctest: +SKIP
    >>> len(faces)  # doctest: +SKIP
    256
    """
    dataset: Any = get_recognition_dataset(name, root=root)
    pairs = isinstance(dataset, FRValDataset)
    numbers = generator(0).permutation(len(dataset) * (2 if pairs else 1))[:_MAX_FACES].tolist()
    return [dataset.image(i) if pairs else dataset.read(i)[0] for i in numbers]


def as_int8(model: Any, images: np.ndarray) -> Any:
    """Quantize the weights (per channel) and activations of an ONNX model to 8 bits.

    The model contains QuantizeLinear and DequantizeLinear nodes. The first convolution and all depthwise convolutions remain
    float32: they lose most accuracy, hold few weights and gain no speed.

    Parameters
    ----------
    model : onnx.ModelProto
    images : (N, 3, H, W) float32 in [0, 1]
        Aligned faces, 16 or more; the first 256 are used.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    UsageError
        There are too few faces, or ONNX Runtime is not installed.

    Examples
    --------
    >>> small = as_int8(model, faces)  # doctest: +SKIP
    """
    if len(images) < _MIN_FACES:
        raise UsageError(
            f"calibration: {len(images)} faces are too few to determine the ranges of int8; give {_MIN_FACES} or more."
        )
    try:
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise UsageError('dtype int8 needs the package onnxruntime: run `pip install "gluonfr[onnx]"`.') from error
    import onnx

    properties = {entry.key: entry.value for entry in model.metadata_props}
    # The quantizer prints its progress.
    with scratch_folder() as folder, warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        plain, folded, quantized = (os.path.join(folder, name) for name in ("plain.onnx", "folded.onnx", "int8.onnx"))
        onnx.save(model, plain)
        # BatchNorm is folded into the convolutions before these are quantized.
        quant_pre_process(plain, folded, skip_symbolic_shape=True)
        quantization.quantize_static(
            folded,
            quantized,
            _calibration_reader(images[:_MAX_FACES]),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm"],
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            activation_type=quantization.QuantType.QUInt8,
            calibrate_method=quantization.CalibrationMethod.Percentile,
            nodes_to_exclude=_sensitive_nodes(onnx.load(folded)),
            extra_options={"CalibPercentile": _PERCENTILE, "CalibStridedMinMax": 1},
        )
        result = onnx.load(quantized)
    del result.metadata_props[:]
    onnx.helper.set_model_props(result, properties)
    result.doc_string = model.doc_string
    return result


def _sensitive_nodes(model: Any) -> list[str]:
    """Return the names of the first convolution and of all depthwise ones."""
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    grouped = [node for node in convolutions if any(entry.name == "group" and entry.i > 1 for entry in node.attribute)]
    return sorted({node.name for node in convolutions[:1] + grouped})


def _calibration_reader(images: np.ndarray) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        """Batches of images within a range, so that the values of all layers are never stored for all images."""

        def __init__(self) -> None:
            self._next, self._end = 0, len(self)

        def __len__(self) -> int:
            return len(images) // _BATCH

        def set_range(self, start_index: int, end_index: int) -> None:
            self._next, self._end = start_index, end_index

        def get_next(self) -> dict[str, np.ndarray] | None:
            if self._next >= self._end:
                return None
            start = self._next * _BATCH
            self._next += 1
            return {"data": images[start : start + _BATCH]}

    return Reader()

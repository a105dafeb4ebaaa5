"""Conversion of operators that move numbers: reshaping, slicing, concatenation, padding, resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gluonfr.deploy.onnx_export.writer import FIRST, LAST, Operator, converts


@converts("Flatten")
def _flatten(op: Operator) -> str:
    return op.add("Flatten", axis=1)


@converts("Reshape", "reshape_like")
def _reshape(op: Operator) -> str:
    # The output shape is known except for the batch, so MXNet's codes 0, -1, -2, -3 and -4 need not be interpreted.
    shape = op.output_shape
    if shape.count(None) > 1:
        raise op.unsupported("two lengths that depend on the batch")
    return op.add("Reshape", [op.inputs[0], op.integers(*(-1 if length is None else length for length in shape))])


@converts("transpose")
def _transpose(op: Operator) -> str:
    axes = op.attributes.value("axes", ())
    return op.add("Transpose", perm=[axis % op.rank for axis in axes or range(op.rank - 1, -1, -1)])


@converts("SwapAxis")
def _swap(op: Operator) -> str:
    order = list(range(op.rank))
    first, second = (op.axis(0, name) for name in ("dim1", "dim2"))
    order[first], order[second] = order[second], order[first]
    return op.add("Transpose", perm=order)


@converts("expand_dims")
def _expand(op: Operator) -> str:
    axis = op.attributes.value("axis")
    return op.add("Unsqueeze", [op.inputs[0], op.integers(axis if axis >= 0 else axis + op.rank + 1)])


@converts("squeeze")
def _squeeze(op: Operator) -> str:
    axes = op.attributes.value("axis")
    if axes is None or axes == ():
        axes = tuple(axis for axis, length in enumerate(op.shape) if length == 1)
    axes = _as_tuple(axes)
    return op.add("Squeeze", [op.inputs[0], op.integers(*(axis % op.rank for axis in axes))])


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _slice(
    op: Operator, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int] | None = None
) -> str:
    steps = [1] * len(axes) if steps is None else steps
    return op.add("Slice", [op.inputs[0], *(op.integers(*numbers) for numbers in (starts, ends, axes, steps))])


@converts("slice")
def _slices(op: Operator) -> str:
    begins, ends, steps = (op.attributes.value(name, ()) for name in ("begin", "end", "step"))
    begins, ends, steps = (_as_tuple(value) for value in (begins, ends, steps))
    steps = [step or 1 for step in steps] + [1] * (len(begins) - len(steps))
    begins = [begin if begin is not None else 0 if step > 0 else LAST for begin, step in zip(begins, steps)]
    ends = [end if end is not None else LAST if step > 0 else FIRST for end, step in zip(ends, steps)]
    return _slice(op, begins, ends, range(len(begins)), steps)


@converts("slice_axis")
def _slice_axis(op: Operator) -> str:
    end = op.attributes.value("end")
    return _slice(op, [op.attributes.value("begin")], [LAST if end is None else end], [op.axis(None)])


@converts("slice_like")
def _slice_like(op: Operator) -> str:
    axes = op.attributes.value("axes", ()) or range(op.rank)
    axes = (axes,) if isinstance(axes, int) else axes
    axes = [axis % op.rank for axis in axes if op.shape[axis] != op.output_shape[axis]]
    if any(op.output_shape[axis] is None for axis in axes):
        raise op.unsupported("a length that depends on the batch")
    return _slice(op, [0] * len(axes), [op.output_shape[axis] for axis in axes], axes) if axes else op.inputs[0]


@converts("reverse")
def _reverse(op: Operator) -> str:
    axes = op.attributes.value("axis")
    axes = _as_tuple(axes)
    return _slice(op, [LAST] * len(axes), [FIRST] * len(axes), axes, [-1] * len(axes))


@converts("SliceChannel")
def _split(op: Operator) -> list[str]:
    axis, parts = op.axis(1), op.attributes.value("num_outputs")
    return _parts(op, axis, parts)


@converts("_split_v2")
def _split_at(op: Operator) -> list[str]:
    axis = op.axis(0)
    sections = op.attributes.value("sections", 0)
    return _parts(op, axis, sections) if sections else _parts(op, axis, starts=op.attributes.value("indices"))


def _parts(op: Operator, axis: int, count: int = 0, starts: Sequence[int] = ()) -> list[str]:
    """Split an axis into `count` equal parts, or at `starts`."""
    length = op.shape[axis]
    if length is None:
        raise op.unsupported("parts of the batch")
    lengths = [length // count] * count if count else np.diff([*starts, length]).tolist()
    names = op.add_multiple("Split", len(lengths), [op.inputs[0], op.integers(*lengths)], axis=axis)
    if op.attributes.flag("squeeze_axis"):
        names = [op.add("Squeeze", [name, op.integers(axis)]) for name in names]
    return names


@converts("Concat")
def _concat(op: Operator) -> str:
    return op.add("Concat", op.inputs, axis=op.axis(1, "dim"))


@converts("stack")
def _stack(op: Operator) -> str:
    axis = op.attributes.value("axis", 0)
    axis = axis if axis >= 0 else axis + op.rank + 1
    return op.add("Concat", [op.add("Unsqueeze", [name, op.integers(axis)]) for name in op.inputs], axis=axis)


@converts("tile")
def _tile(op: Operator) -> str:
    times = op.attributes.value("reps")
    times = _as_tuple(times)
    if len(times) > op.rank:
        raise op.unsupported("more repetitions than axes")
    return op.add("Tile", [op.inputs[0], op.integers(*(1,) * (op.rank - len(times)), *times)])


@converts("broadcast_to", "broadcast_axis", "broadcast_like")
def _broadcast(op: Operator) -> str:
    if op.name == "broadcast_like" and op.output_shape == op.input_shapes[1]:
        return op.add("Expand", [op.inputs[0], op.add("Shape", op.inputs[1:])])
    if any(after is None and before is not None for before, after in zip(op.shape, op.output_shape)):
        raise op.unsupported("a length that depends on the batch")
    return op.add("Expand", [op.inputs[0], op.integers(*(1 if length is None else length for length in op.output_shape))])


@converts("Pad")
def _pad(op: Operator) -> str:
    widths = op.attributes.value("pad_width")
    value = op.constant(op.attributes.value("constant_value", 0))
    mode = op.attributes.text("mode")
    return op.add("Pad", [op.inputs[0], op.integers(*widths[0::2], *widths[1::2]), value], mode=mode)


@converts("space_to_depth", "depth_to_space")
def _depth(op: Operator) -> str:
    name = "SpaceToDepth" if op.name == "space_to_depth" else "DepthToSpace"
    return op.add(name, blocksize=op.attributes.value("block_size"))


@converts("UpSampling")
def _upsample(op: Operator) -> str:
    scale = op.attributes.value("scale")
    if op.attributes.text("sample_type") == "nearest":
        if len(op.inputs) > 1:
            raise op.unsupported("several inputs")
        return _resize(op, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    kernel, padding, channels = 2 * scale - scale % 2, -(-(scale - 1) // 2), op.shape[1]
    return op.add(
        "ConvTranspose",
        op.inputs,
        kernel_shape=[kernel] * 2,
        strides=[scale] * 2,
        pads=[padding] * 4,
        group=channels,
    )


@converts("_contrib_BilinearResize2D")
def _bilinear(op: Operator) -> str:
    corners = op.attributes.flag("align_corners", True)
    return _resize(op, mode="linear", coordinate_transformation_mode="align_corners" if corners else "half_pixel")


def _resize(op: Operator, **attributes: Any) -> str:
    scales = [1, 1, *(_scale(before, after) for before, after in zip(op.shape[2:], op.output_shape[2:]))]
    return op.add("Resize", [op.inputs[0], "", op.constant(scales)], **attributes)


def _scale(before: Any, after: Any) -> Any:
    # Runtimes compute the floor of length times scale; rounding must not bring it below the intended length.
    scale: Any = np.float32(after / before)
    while float(scale) * before < after:
        scale = np.nextafter(scale, np.float32(np.inf))
    return scale

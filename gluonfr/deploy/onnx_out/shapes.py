"""What moves numbers around: shapes, slices, joins, padding, resizing."""

from __future__ import annotations

import numpy as np

from gluonfr.deploy.onnx_out.writer import FIRST, LAST, converts


@converts("Flatten")
def flatten(call):
    return call.add("Flatten", axis=1)


@converts("Reshape", "reshape_like")
def reshape(call):
    # The shape that comes out is known but for the batch, so that MXNet's codes 0, -1, -2, -3 and -4 need no reading.
    shape = call.node.shape
    if shape.count(None) > 1:
        raise call.refuse("two lengths that follow the batch")
    return call.add("Reshape", [call.inputs[0], call.whole(*(-1 if length is None else length for length in shape))])


@converts("transpose")
def transpose(call):
    axes = call.attributes.value("axes", ())
    return call.add("Transpose", perm=[axis % call.rank for axis in axes or range(call.rank - 1, -1, -1)])


@converts("SwapAxis")
def swap(call):
    order = list(range(call.rank))
    first, second = (call.axis(0, name) for name in ("dim1", "dim2"))
    order[first], order[second] = order[second], order[first]
    return call.add("Transpose", perm=order)


@converts("expand_dims")
def expand(call):
    axis = call.attributes.value("axis")
    return call.add("Unsqueeze", [call.inputs[0], call.whole(axis if axis >= 0 else axis + call.rank + 1)])


@converts("squeeze")
def squeeze(call):
    axes = call.attributes.value("axis")
    if axes is None or axes == ():
        axes = tuple(axis for axis, length in enumerate(call.shape) if length == 1)
    axes = axes if isinstance(axes, tuple) else (axes,)
    return call.add("Squeeze", [call.inputs[0], call.whole(*(axis % call.rank for axis in axes))])


def _slice(call, starts, ends, axes, steps=None):
    steps = [1] * len(axes) if steps is None else steps
    return call.add("Slice", [call.inputs[0], *(call.whole(*each) for each in (starts, ends, axes, steps))])


@converts("slice")
def slices(call):
    begins, ends, steps = (call.attributes.value(name, ()) for name in ("begin", "end", "step"))
    begins, ends, steps = (each if isinstance(each, tuple) else (each,) for each in (begins, ends, steps))
    steps = [step or 1 for step in steps] + [1] * (len(begins) - len(steps))
    begins = [begin if begin is not None else 0 if step > 0 else LAST for begin, step in zip(begins, steps)]
    ends = [end if end is not None else LAST if step > 0 else FIRST for end, step in zip(ends, steps)]
    return _slice(call, begins, ends, range(len(begins)), steps)


@converts("slice_axis")
def slice_axis(call):
    end = call.attributes.value("end")
    return _slice(call, [call.attributes.value("begin")], [LAST if end is None else end], [call.axis(None)])


@converts("slice_like")
def slice_like(call):
    axes = call.attributes.value("axes", ()) or range(call.rank)
    axes = axes if not isinstance(axes, int) else (axes,)
    axes = [axis % call.rank for axis in axes if call.shape[axis] != call.node.shape[axis]]
    if any(call.node.shape[axis] is None for axis in axes):
        raise call.refuse("a length that follows the batch")
    return _slice(call, [0] * len(axes), [call.node.shape[axis] for axis in axes], axes) if axes else call.inputs[0]


@converts("reverse")
def reverse(call):
    axes = call.attributes.value("axis")
    axes = axes if isinstance(axes, tuple) else (axes,)
    return _slice(call, [LAST] * len(axes), [FIRST] * len(axes), axes, [-1] * len(axes))


@converts("SliceChannel")
def split(call):
    axis = call.axis(1)
    return _parts(call, axis, [call.shape[axis] // call.attributes.value("num_outputs")] * call.attributes.value("num_outputs"))


@converts("_split_v2")
def split_at(call):
    axis = call.axis(0)
    sections = call.attributes.value("sections", 0)
    length = call.shape[axis]
    if sections:
        return _parts(call, axis, [length // sections] * sections)
    starts = call.attributes.value("indices")
    return _parts(call, axis, np.diff([*starts, length]).tolist())


def _parts(call, axis, lengths):
    if call.shape[axis] is None:
        raise call.refuse("parts of the batch")
    names = call.add("Split", [call.inputs[0], call.whole(*lengths)], outputs=len(lengths), axis=axis)
    names = [names] if len(lengths) == 1 else names
    if call.attributes.flag("squeeze_axis"):
        names = [call.add("Squeeze", [name, call.whole(axis)]) for name in names]
    return names


@converts("Concat")
def concat(call):
    return call.add("Concat", call.inputs, axis=call.axis(1, "dim"))


@converts("stack")
def stack(call):
    axis = call.attributes.value("axis", 0)
    axis = axis if axis >= 0 else axis + call.rank + 1
    return call.add("Concat", [call.add("Unsqueeze", [name, call.whole(axis)]) for name in call.inputs], axis=axis)


@converts("tile")
def tile(call):
    times = call.attributes.value("reps")
    times = times if isinstance(times, tuple) else (times,)
    if len(times) > call.rank:
        raise call.refuse("more repetitions than axes")
    return call.add("Tile", [call.inputs[0], call.whole(*(1,) * (call.rank - len(times)), *times)])


@converts("broadcast_to", "broadcast_axis", "broadcast_like")
def broadcast(call):
    if call.node.operator == "broadcast_like" and call.node.shape == call.node.input_shapes[1]:
        return call.add("Expand", [call.inputs[0], call.add("Shape", call.inputs[1:])])
    if any(after is None and before is not None for before, after in zip(call.shape, call.node.shape)):
        raise call.refuse("a length that follows the batch")
    return call.add("Expand", [call.inputs[0], call.whole(*(1 if length is None else length for length in call.node.shape))])


@converts("Pad")
def pad(call):
    widths = call.attributes.value("pad_width")
    value = call.constant(call.attributes.value("constant_value", 0))
    mode = call.attributes.text("mode")
    return call.add("Pad", [call.inputs[0], call.whole(*widths[0::2], *widths[1::2]), value], mode=mode)


@converts("space_to_depth", "depth_to_space")
def depth(call):
    name = "SpaceToDepth" if call.node.operator == "space_to_depth" else "DepthToSpace"
    return call.add(name, blocksize=call.attributes.value("block_size"))


@converts("UpSampling")
def upsample(call):
    scale = call.attributes.value("scale")
    if call.attributes.text("sample_type") == "nearest":
        if len(call.inputs) > 1:
            raise call.refuse("several inputs")
        return _resize(call, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    kernel, padding, channels = 2 * scale - scale % 2, -(-(scale - 1) // 2), call.shape[1]
    return call.add(
        "ConvTranspose",
        call.inputs,
        kernel_shape=[kernel] * 2,
        strides=[scale] * 2,
        pads=[padding] * 4,
        group=channels,
    )


@converts("_contrib_BilinearResize2D")
def bilinear(call):
    corners = call.attributes.flag("align_corners", True)
    return _resize(call, mode="linear", coordinate_transformation_mode="align_corners" if corners else "half_pixel")


def _resize(call, **attributes):
    scales = [1, 1, *(_scale(before, after) for before, after in zip(call.shape[2:], call.node.shape[2:]))]
    return call.add("Resize", [call.inputs[0], "", call.constant(scales)], **attributes)


def _scale(before, after):
    """A runtime takes the floor of length times scale, which rounding must not bring below the length that is meant."""
    scale = np.float32(after / before)
    while float(scale) * before < after:
        scale = np.nextafter(scale, np.float32(np.inf))
    return scale

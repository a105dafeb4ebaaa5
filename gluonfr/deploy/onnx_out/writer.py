from __future__ import annotations

import numpy as np

from gluonfr.core import GluonFRError

OPSET, IR_VERSION = 13, 8
# Ends of slices that reach to the border.
LAST, FIRST = np.iinfo(np.int64).max, np.iinfo(np.int64).min + 1

_CONVERTERS = {}


def converts(*operators):
    """Decorator: the function writes these operators of MXNet; it takes a `Call` and returns the name of its output, or a
    list of names.
    """

    def add(function):
        _CONVERTERS.update(dict.fromkeys(operators, function))
        return function

    return add


class Call:
    """What a converter works with: one operator of MXNet, the ONNX names of its inputs, and ways to write ONNX nodes.

    Attributes
    ----------
    node : Node
    attributes : Attributes
        Of the node.
    inputs : list of str
        ONNX names of what the node takes.
    values : list of array or None
        Of inputs that are parameters.
    """

    def __init__(self, writer, node, inputs, values) -> None:
        self._writer = writer
        self.node, self.attributes, self.inputs, self.values = node, node.attributes, inputs, values

    @property
    def shape(self):
        """Of the first input; None stands for the batch."""
        return self.node.input_shapes[0]

    @property
    def rank(self):
        """Number of axes of the first input."""
        return len(self.shape)

    def add(self, operator, inputs=None, outputs=1, **attributes):
        """Write an ONNX node; returns the name of its output, or a list when there are several."""
        inputs = self.inputs[:1] if inputs is None else inputs
        return self._writer.add(operator, inputs, self.node.name, outputs, attributes)

    def constant(self, value, dtype=np.float32):
        """Write a constant; returns its name."""
        return self._writer.constant(self.node.name, np.asarray(value, dtype=dtype))

    def whole(self, *numbers):
        """A constant vector of int64, for shapes and axes."""
        return self.constant(numbers, np.int64)

    def axis(self, default, name="axis"):
        """An axis counted from the front."""
        axis = self.attributes.value(name, default)
        return axis + self.rank if axis < 0 else axis

    def refuse(self, what):
        """The error for a setting that no converter writes."""
        return GluonFRError(f"layer {self.node.name}: {self.node.operator} with {what} cannot be exported; build it otherwise.")


class Writer:
    """Nodes and constants of an ONNX graph in the making."""

    def __init__(self) -> None:
        self.nodes, self.initializers, self._taken = [], [], {"data", "embedding"}

    def convert(self, trace) -> None:
        """Write the whole traced graph; its output is called "embedding"."""
        names = []
        for node in trace.nodes:
            names.append(self._convert(node, names, trace.parameters))
        self._finish(names[-1][0])

    def _convert(self, node, names, parameters):
        if node.operator == "null":
            return ["data" if node.name == "data" else self.constant(node.name, parameters[node.name])]
        inputs = [names[place][index] for place, index in node.inputs]
        converter = _CONVERTERS.get(node.operator)
        if converter is None:
            raise GluonFRError(
                f"layer {node.name}: the operator {node.operator} cannot be exported to ONNX; build it otherwise."
            )
        values = [parameters.get(name) for name in inputs]
        written = converter(Call(self, node, inputs, values))
        return written if isinstance(written, list) else [written]

    def _finish(self, last) -> None:
        maker = next((node for node in self.nodes if last in node.output), None)
        if maker is None:
            self.add("Identity", [last], "embedding", 1, {}, names=["embedding"])
            return
        for node in self.nodes:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    if name == last:
                        names[place] = "embedding"

    def add(self, operator, inputs, name, outputs, attributes, names=None):
        from onnx import helper

        names = names or [self._fresh(name) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, name, array):
        from onnx import numpy_helper

        name = self._fresh(name)
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _fresh(self, name):
        # A block that is called twice repeats the names of its layers.
        fresh, count = name, 1
        while fresh in self._taken:
            count += 1
            fresh = f"{name}_{count}"
        self._taken.add(fresh)
        return fresh

    def model(self, trace, description, properties):
        """The finished and checked model."""
        import onnx
        from onnx import TensorProto, helper

        from gluonfr.version import __version__

        used = {name for node in self.nodes for name in node.input}
        graph = helper.make_graph(
            self.nodes,
            "gluonfr",
            [helper.make_tensor_value_info("data", TensorProto.FLOAT, ("N", 3, *trace.image_size))],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ("N", trace.embedding_size))],
            [each for each in self.initializers if each.name in used],
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="gluonfr",
            producer_version=__version__,
            doc_string=description,
        )
        helper.set_model_props(model, properties)
        onnx.checker.check_model(model, full_check=True)
        return model

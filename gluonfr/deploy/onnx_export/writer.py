"""An ONNX graph under construction, and the registry of functions that convert MXNet's operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gluonfr.core import UsageError
from gluonfr.deploy.trace import Node, Trace

OPSET, IR_VERSION = 13, 8
# Ends of slices that extend to the border.
LAST, FIRST = np.iinfo(np.int64).max, np.iinfo(np.int64).min + 1

_CONVERTERS: dict[str, Callable[[Operator], str | list[str]]] = {}


def converts(*operators: str) -> Callable[[Callable[[Operator], Any]], Callable[[Operator], Any]]:
    """Register a function that converts these operators of MXNet.

    The function receives an `Operator` and returns the name of its output, or a list of names.

    Examples
    --------
    >>> @converts("my_operator")
    ... def _my_operator(op):
    ...     return op.add("Relu")
    """

    def register(function: Callable[[Operator], Any]) -> Callable[[Operator], Any]:
        _CONVERTERS.update(dict.fromkeys(operators, function))
        return function

    return register


class Operator:
    """One operator of MXNet for its converter, with methods that write ONNX nodes.

    Attributes
    ----------
    name : str
        Name of the operator, such as "Convolution".
    attributes : Attributes
        Attributes of the operator.
    inputs : list of str
        ONNX names of the inputs.
    values : list of array or None
        Values of inputs that are parameters.
    shape, output_shape : tuple
        Shapes of the first input and the first output; None is the length of the batch.
    input_shapes : list of tuple
        Shapes of all inputs.

    Examples
    --------
    >>> from gluonfr.deploy.trace import Attributes, Node
    >>> node = Node("relu", "relu0", Attributes({}), [(0, 0)], [(None, 3)], [(None, 3)])
    >>> Operator(Writer(), node, ["data"], [None])
    Operator(relu, relu0, inputs=['data'])
    """

    def __init__(self, writer: Writer, node: Node, inputs: list[str], values: list[np.ndarray | None]) -> None:
        self._writer, self._layer = writer, node.name
        self.name, self.attributes, self.inputs, self.values = node.operator, node.attributes, inputs, values
        self.input_shapes, self.output_shape = node.input_shapes, node.shape

    def __repr__(self) -> str:
        return f"Operator({self.name}, {self._layer}, inputs={self.inputs})"

    @property
    def shape(self) -> tuple[Any, ...]:
        """Shape of the first input; None is the length of the batch."""
        return self.input_shapes[0]

    @property
    def rank(self) -> int:
        """Number of axes of the first input."""
        return len(self.shape)

    def add(self, operator: str, inputs: Sequence[str] | None = None, **attributes: Any) -> str:
        """Write an ONNX node, by default on the first input; returns the name of its output."""
        return self.add_multiple(operator, 1, inputs, **attributes)[0]

    def add_multiple(self, operator: str, outputs: int, inputs: Sequence[str] | None = None, **attributes: Any) -> list[str]:
        """Write an ONNX node with several outputs; returns their names."""
        inputs = self.inputs[:1] if inputs is None else inputs
        return self._writer.add(operator, inputs, self._layer, outputs, attributes)

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Write a constant; returns its name."""
        return self._writer.constant(self._layer, np.asarray(value, dtype=dtype))

    def integers(self, *numbers: int) -> str:
        """Write a constant int64 vector, for shapes and axes; returns its name."""
        return self.constant(numbers, np.int64)

    def axis(self, default: int | None, name: str = "axis") -> int:
        """Return an axis from the attributes, counted from the front."""
        axis = self.attributes.value(name, default)
        return axis + self.rank if axis < 0 else axis

    def unsupported(self, what: str) -> UsageError:
        """Create the error for a setting that no converter supports."""
        return UsageError(f"layer {self._layer}: {self.name} with {what} cannot be exported; replace it in the network.")


class Writer:
    """Nodes and constants of an ONNX graph under construction.

    Examples
    --------
    >>> writer = Writer()
    >>> writer.constant("weight", np.zeros(2, np.float32)), writer.constant("weight", np.ones(2, np.float32))
    ('weight', 'weight_2')
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._used_names = {"data", "embedding"}

    def __repr__(self) -> str:
        return f"Writer(nodes={len(self.nodes)}, initializers={len(self.initializers)})"

    def convert(self, trace: Trace) -> None:
        """Write the traced graph; its output is called "embedding"."""
        names: list[list[str]] = []
        for node in trace.nodes:
            names.append(self._convert(node, names, trace.parameters))
        self._name_output(names[-1][0])

    def _convert(self, node: Node, names: list[list[str]], parameters: dict[str, np.ndarray]) -> list[str]:
        if node.operator == "null":
            return ["data" if node.name == "data" else self.constant(node.name, parameters[node.name])]
        inputs = [names[source][output] for source, output in node.inputs]
        converter = _CONVERTERS.get(node.operator)
        if converter is None:
            raise UsageError(
                f"layer {node.name}: the operator {node.operator} cannot be exported to ONNX; replace it in the network."
            )
        values = [parameters.get(name) for name in inputs]
        outputs = converter(Operator(self, node, inputs, values))
        return outputs if isinstance(outputs, list) else [outputs]

    def _name_output(self, last: str) -> None:
        if not any(last in node.output for node in self.nodes):
            self.add("Identity", [last], "embedding", 1, {}, names=["embedding"])
            return
        for node in self.nodes:
            for names in (node.input, node.output):
                for index, name in enumerate(names):
                    if name == last:
                        names[index] = "embedding"

    def add(
        self,
        operator: str,
        inputs: Sequence[str],
        name: str,
        outputs: int,
        attributes: dict[str, Any],
        names: list[str] | None = None,
    ) -> list[str]:
        """Write a node; returns the names of its outputs, which are `names` or begin with `name`."""
        from onnx import helper

        names = names or [self._new_name(name) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=names[0], **attributes))
        return names

    def constant(self, name: str, array: np.ndarray) -> str:
        """Write a constant; returns its name, which begins with `name`."""
        from onnx import numpy_helper

        name = self._new_name(name)
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _new_name(self, name: str) -> str:
        # A block that is called twice repeats the names of its layers.
        unique, count = name, 1
        while unique in self._used_names:
            count += 1
            unique = f"{name}_{count}"
        self._used_names.add(unique)
        return unique

    def model(
        self,
        trace: Trace,
        description: str,
        properties: dict[str, str],
        output: tuple[str, Sequence[str | int]] | None = None,
    ) -> Any:
        """Return the finished and checked model; `output` is the name and shape of its output, by default the embedding."""
        import onnx
        from onnx import TensorProto, helper

        from gluonfr.version import __version__

        used = {name for node in self.nodes for name in node.input}
        name, shape = output or ("embedding", ("N", trace.embedding_size))
        graph = helper.make_graph(
            self.nodes,
            "gluonfr",
            [helper.make_tensor_value_info("data", TensorProto.FLOAT, ("N", 3, *trace.image_size))],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
            [constant for constant in self.initializers if constant.name in used],
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

"""A graph under construction: names that no column has, constants, and models of others taken in as parts."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

ML = "ai.onnx.ml"
OPSET, ML_OPSET = 18, 3  # what ONNX Runtime reads since 1.14, of 2023
_IR_VERSION = 8
Array = NDArray[Any]


class CannotConvertError(Exception):
    """The model has no counterpart in ONNX; the text says which part of it."""


class Graph:
    """Nodes in the order in which they compute; values go by their names."""

    def __init__(self) -> None:
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._taken: set[str] = set()
        self._count = 0

    def input(self, name: str, kind: int) -> str:
        """A column of that type, shape (rows, 1). All inputs come before anything else."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, [None, 1]))
        self._taken.add(name)
        return name

    def output(self, name: str, value: str, kind: int, width: int | None = None) -> None:
        """Give a value out, shape (rows,) or (rows, width)."""
        shape = [None] if width is None else [None, width]
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def reserve(self, *names: str) -> None:
        """Keep these names for outputs."""
        self._taken.update(names)

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node with one output; its name."""
        name = self._new_name()
        self._nodes.append(helper.make_node(operator, list(inputs), [name], domain=domain, **attributes))
        return name

    def add_pair(self, operator: str, *inputs: str, **attributes: Any) -> tuple[str, str]:
        """A node with two outputs; their names."""
        names = (self._new_name(), self._new_name())
        self._nodes.append(helper.make_node(operator, list(inputs), list(names), **attributes))
        return names

    def constant(self, values: Array) -> str:
        """A constant; its name."""
        name = self._new_name()
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def numbers(self, values: Any) -> str:
        """A constant of float64."""
        return self.constant(np.asarray(values, dtype=np.float64))

    def cast(self, value: str, kind: int) -> str:
        """The value in another type."""
        return self.add("Cast", value, to=kind)

    def as_float64(self, value: str) -> str:
        """The value as float64."""
        return self.cast(value, TensorProto.DOUBLE)

    def shares(self, scores: str, n_scores: int) -> str:
        """Probabilities of shape (rows, classes) of scores per class, or of one score, that of the second of two classes."""
        if n_scores > 1:
            return self.add("Softmax", scores, axis=1)
        positive = self.add("Sigmoid", scores)
        return self.add("Concat", self.add("Sub", self.numbers([[1.0]]), positive), positive, axis=1)

    def take_in(self, model: onnx.ModelProto, value: str, wanted: str) -> str:
        """The nodes of a model of one input, under names of ours; the name of the value that it calls `wanted`."""
        prefix = self._new_name() + "_"
        part = compose.add_prefix(model, prefix).graph
        self._nodes.append(helper.make_node("Identity", [value], [part.input[0].name]))
        self._nodes.extend(part.node)
        self._constants.extend(part.initializer)
        return prefix + wanted

    def model(self, description: str) -> onnx.ModelProto:
        """The whole, checked."""
        graph = helper.make_graph(self._nodes, "metaselect", self._inputs, self._outputs, self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
        made = helper.make_model(graph, opset_imports=opsets, producer_name="metaselect")
        made.ir_version = _IR_VERSION
        made.doc_string = description
        onnx.checker.check_model(made)
        return made

    def _new_name(self) -> str:
        while True:
            self._count += 1
            name = f"v{self._count}"
            if not any(each.startswith(name) for each in self._taken):
                return name

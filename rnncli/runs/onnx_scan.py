"""Cells that torch has no module for, as ONNX's own loop: Scan, whose body is the cell's step.

torch's exporter unrolls a Python loop, for one number of steps for good. So it writes a placeholder for every layer and
direction, and the step by itself; then each placeholder becomes a Scan around the step's graph.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from rnncli.cells import CoreSpec, State, weights_of
from rnncli.replay import run_layer

_DOMAIN = "rnncli"  # of the placeholders


class ScanCore(nn.Module):
    """A core of ours, one layer in one direction after the other, each one placeholder in an exported graph."""

    def __init__(self, core: nn.Module, spec: CoreSpec) -> None:
        super().__init__()
        self.core, self.spec = core, spec

    def forward(self, x: Tensor, hx: Tensor | State) -> tuple[Tensor, Tensor | State]:
        """As PlainCore: x (T, B, I), states (L·D, B, ...) -> output (T, B, D·H), last states."""
        state, last = (hx,) if isinstance(hx, Tensor) else hx, list[State]()
        for _layer in range(self.spec.num_layers):
            outputs = []
            for _ in range(self.spec.num_directions):
                row = len(last)
                output, *after = _PLACEHOLDER(self, row, x, *(part[row] for part in state))
                outputs.append(output)
                last.append(tuple(after))
            x = torch.cat(outputs, dim=2)
        found = tuple(torch.stack(parts) for parts in zip(*last, strict=True))
        return x, found if len(found) > 1 else found[0]

    def place(self, row: int) -> tuple[int, int]:
        """Layer and direction of a row of the states."""
        return divmod(row, self.spec.num_directions)


class _Placeholder(torch.autograd.Function):
    """output (T, B, H) and the last states of one row."""

    @staticmethod
    def forward(ctx: Any, core: ScanCore, row: int, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        if torch.onnx.is_in_onnx_export():  # what is computed here would become part of the graph
            return x.new_zeros(*x.shape[:2], core.spec.state_size), *(part.clone() for part in state)
        layer, direction = core.place(row)
        weights = weights_of(core.core, layer, direction)
        outputs, last = run_layer(core.spec.step, weights, list(x.unbind(0)), state, reverse=direction == 1)
        return torch.stack(outputs), *(part.clone() for part in last)

    @staticmethod
    def symbolic(g: Any, core: ScanCore, row: int, x: Any, *state: Any) -> Any:
        made = g.op(f"{_DOMAIN}::Row", x, *state, row_i=row, outputs=1 + len(state))
        sizes = [[None, None, core.spec.state_size], *([None, *shape] for shape in core.spec.states.values())]
        for value, size in zip(made, sizes, strict=True):
            value.setType(x.type().with_sizes(size))  # T and B are free
        return made


_PLACEHOLDER: Any = _Placeholder.apply  # torch leaves it without types


class _Step(nn.Module):
    """One step of one row: the states, x_t (B, I) -> the states after it."""

    def __init__(self, core: ScanCore, row: int) -> None:
        super().__init__()
        self.core, self.row = core, row

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        *state, x = given
        weights = weights_of(self.core.core, *self.core.place(self.row))
        return self.core.spec.step(x, tuple(state), weights)[0]


def exported(
    module: nn.Module,
    given: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: dict[str, dict[int, str]],
) -> bytes:
    """A module as ONNX, its inputs and outputs by name; axes: of each, those of any size.

    dynamo=False, torch's older exporter, writes RNN, GRU and LSTM as ONNX operators with dynamic T and B. The newer
    exporter fixes T to that of `given` (torch 2.13; a test detects when that changes).
    """
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder) / "model.onnx"
        torch.onnx.export(
            module, given, file, dynamo=False, input_names=inputs, output_names=outputs, dynamic_axes=axes
        )
        return file.read_bytes()


def with_scans(content: bytes, core: ScanCore) -> bytes:
    """The exported model with a Scan replacing each placeholder."""
    import onnx

    model = onnx.load_from_string(content)
    for k, node in enumerate(model.graph.node):
        if node.domain == _DOMAIN:
            model.graph.node[k].CopyFrom(_scan(node, core))
    kept = [one for one in model.opset_import if one.domain != _DOMAIN]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.checker.check_model(model)
    written: bytes = model.SerializeToString()
    return written


def _scan(node: Any, core: ScanCore) -> Any:
    from onnx import helper

    row = int(node.attribute[0].i)
    x, *states = node.input
    output, *last = node.output
    body, backwards = _body(core, row), core.place(row)[1]
    return helper.make_node(
        "Scan", [*states, x], [*last, output], name=f"row{row}", body=body, num_scan_inputs=1,
        scan_input_directions=[backwards], scan_output_directions=[backwards],
    )  # fmt: skip


def _body(core: ScanCore, row: int) -> Any:
    """The step's graph: states, x_t -> states, h_t. Its names are its own."""
    import onnx
    from onnx import helper

    layer, _ = core.place(row)
    like, spec = next(core.parameters()), core.spec
    states = [like.new_zeros(2, *shape) for shape in spec.states.values()]
    given = (*states, like.new_zeros(2, spec.layer_input_size(layer)))
    inputs, after = [*(f"{name}_before" for name in spec.states), "x_t"], [f"{name}_after" for name in spec.states]
    content = exported(_Step(core, row).eval(), given, inputs, after, {name: {0: "B"} for name in (*inputs, *after)})
    place = f"row{row}/"
    graph = onnx.compose.add_prefix_graph(onnx.load_from_string(content).graph, place)
    read = {one.name: one for one in graph.input}  # the exporter leaves out what the step does not read
    del graph.input[:]
    for name in (place + name for name in inputs):
        graph.input.append(read.get(name) or helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    graph.node.append(helper.make_node("Identity", [graph.output[0].name], [f"{place}h_t"]))
    graph.output.append(graph.output[0])
    graph.output[-1].name = f"{place}h_t"
    return graph

"""Published implementations of cells that torch has no module for, run in float64 on fixed numbers.

`python -m tests.references`, with torchrecurrent 0.2.5 and xlstm 2.0.6 installed (`pip install --no-deps`), writes
tests/data/reference_cells.json anew: outputs and gradients, which tests/test_reference_cells.py holds our cells to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from rnncli.cells import CoreSpec, OptionValue

FILE = Path(__file__).parent / "data" / "reference_cells.json"
T, B, INPUTS, H = 4, 2, 3, 4
Numbers = dict[str, Tensor]  # x and a cell's weights, by our names
D64 = torch.float64


@dataclass(frozen=True)
class Case:
    """A cell with options, and the package that has it too."""

    cell: str
    package: str
    run: Callable[[Numbers], Tensor]  # -> outputs (T, B, H), by that package
    nonlinearity: str = "tanh"
    options: Mapping[str, OptionValue] = field(default_factory=dict)

    @property
    def spec(self) -> CoreSpec:
        return CoreSpec(self.cell, self.nonlinearity, INPUTS, H, options=tuple(self.options.items()))

    def numbers(self) -> Numbers:
        """x (T, B, INPUTS) and every weight: sines, which every version of torch draws alike."""
        shapes = {"x": (T, B, INPUTS), **self.spec.parameter_shapes(0)}
        found = {}
        for k, (name, shape) in enumerate(shapes.items()):
            values = torch.arange(torch.Size(shape).numel(), dtype=D64)
            found[name] = (0.7 * (1.3 * values + k + 1).sin() + 0.1).reshape(shape).requires_grad_()
        return found


def results(outputs: Tensor, numbers: Numbers) -> Numbers:
    """The outputs, and the gradients of their weighted sum towards x and every weight."""
    weights = (0.9 * torch.arange(outputs.numel(), dtype=D64)).cos().reshape(outputs.shape)
    grads = torch.autograd.grad((weights * outputs).sum(), list(numbers.values()))
    return {"outputs": outputs.detach(), **dict(zip(numbers, grads, strict=True))}


def _torchrecurrent(kind: str, n: Numbers, names: Mapping[str, str], **more: str) -> Tensor:
    """Its cell of that class, with our weights for its parameters. names: its name -> ours."""
    cell = getattr(import_module("torchrecurrent"), kind)(INPUTS, H, dtype=D64, **more)
    given = {theirs: n[ours] if ours in n else torch.zeros(H, dtype=D64) for theirs, ours in names.items()}
    state, outputs = None, []
    for x in n["x"]:
        state = torch.func.functional_call(cell, given, (x,) if state is None else (x, state))
        outputs.append(state[0] if isinstance(state, tuple) else state)
    return torch.stack(outputs)


def _indrnn(n: Numbers, nonlinearity: str) -> Tensor:
    names = {"weight_ih": "weight_ih", "vector_u": "weight_hh", "bias_ih": "bias_ih", "bias_hh": "none"}
    return _torchrecurrent("IndRNNCell", n, names, nonlinearity=nonlinearity)


def _same_names(kind: str, **more: str) -> Callable[[Numbers], Tensor]:
    names = {name: name for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")} | more
    return lambda n: _torchrecurrent(kind, n, names)


def _slstm(n: Numbers, heads: int) -> Tensor:
    """xlstm's vanilla backend: W x is given to it; R is (heads, gates · d, d)."""
    vanilla = import_module("xlstm.blocks.slstm.src.vanilla")
    d = H // heads
    R = n["weight_hh"].view(4, heads, d, d).transpose(0, 1).reshape(heads, 4 * d, d)
    start = torch.zeros(4, B, H, dtype=D64)
    pointwise = vanilla.slstm_pointwise_function_registry["slstm"]
    states: Tensor = vanilla.slstm_forward(n["x"] @ n["weight_ih"].T, start, R, n["bias_ih"], pointwise)[0]
    return states[0, 1:]


CASES = {
    "indrnn-tanh": Case("indrnn", "torchrecurrent", lambda n: _indrnn(n, "tanh")),
    "indrnn-relu": Case("indrnn", "torchrecurrent", lambda n: _indrnn(n, "relu"), "relu"),
    "mgu": Case("mgu", "torchrecurrent", _same_names("MGUCell")),
    "lstm-peephole": Case(
        "lstm", "torchrecurrent", _same_names("PeepholeLSTMCell", weight_ph="weight_ch"), options={"peephole": True}
    ),
    "slstm": Case("slstm", "xlstm", lambda n: _slstm(n, 1)),
    "slstm-heads-2": Case("slstm", "xlstm", lambda n: _slstm(n, 2), options={"heads": 2}),
}


def main() -> None:
    """Write what the packages compute."""
    found = {}
    for name, case in CASES.items():
        numbers = case.numbers()
        found[name] = {key: value.tolist() for key, value in results(case.run(numbers), numbers).items()}
    FILE.write_text(json.dumps(found, indent=None, separators=(",", ":")).replace('},"', '},\n"') + "\n", "utf-8")


if __name__ == "__main__":
    main()

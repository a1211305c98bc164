"""h_t by the cell's written equations, on tensors, with one matrix [W_ih | W_hh] for all gates.

Used to prove that a cell is one linear layer on [x; h]; shares no code with the cell's step.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from rnncli.cells import CELLS, CoreSpec, State, Weights, recurrent_matrices
from rnncli.demos.written import parsed


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Product of a matrix state and a vector, (N, H); of two vectors, or of a one-row weight and x, (N, 1)."""
    return (a @ b.unsqueeze(2)).squeeze(2) if a.dim() == 3 else (a * b).sum(1, keepdim=True)


OPERATIONS: dict[type[ast.operator], Callable[..., Tensor]] = {
    ast.Add: torch.add, ast.Sub: torch.sub, ast.Mult: torch.mul, ast.Div: torch.div, ast.MatMult: _dot,
}  # fmt: skip
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "exp": torch.exp,
    "log": torch.log,
    "max": torch.maximum,
    "min": torch.minimum,
    "length": lambda v: torch.linalg.vector_norm(v, dim=1, keepdim=True),
    "first": lambda n, a, b: torch.where(n == 0, a, b),
}


def h_by_equations(spec: CoreSpec, w: Weights, x: Tensor, before: State) -> Tensor:
    """h after each of N steps at once, (N, H). x: (N, I); before: the states, (N, ...)."""
    equations = _Equations(spec, w, x, before)
    for name, right in parsed(spec):
        if name:
            equations.values[name] = equations.value(right)
    return equations.values["h"]


class _Equations:
    """values: computed values by name."""

    def __init__(self, spec: CoreSpec, w: Weights, x: Tensor, before: State) -> None:
        self.w, self.H = w, spec.hidden_size
        self.values: dict[str, Tensor] = {"x": x}
        self.values |= {f"{name}_before": state for name, state in zip(spec.states, before, strict=True)}
        self.matrices = {} if w.weight_hh is None else recurrent_matrices(spec, w)
        inputs = F.linear(x, w.weight_ih, w.bias_ih).split(self.H, dim=1)
        self.biases = dict(zip(spec.rows, () if w.bias_hh is None else w.bias_hh.split(self.H), strict=False))
        W, both = w.weight_ih, x
        if self.matrices:
            W = torch.cat([W, torch.cat(list(self.matrices.values()))], dim=1)  # (G·H, I+H)
            both = torch.cat([x, before[0]], dim=1)  # (N, I+H)
        bias = w.bias_ih if w.bias_ih is None or w.bias_hh is None else w.bias_ih + w.bias_hh
        sums, summed = F.linear(both, W, bias).split(self.H, dim=1), CELLS[spec.cell].summed(spec)
        for k, gate in enumerate(spec.rows):
            ending = f"_{gate}" if gate else ""
            self.values[f"wx{ending}"] = inputs[k]
            if gate in self.matrices:
                self.values[f"wh{ending}"] = self.product(gate, before[0])
            if gate in summed:
                self.values[f"a{ending}"] = sums[k]

    def product(self, gate: str, vector: Tensor) -> Tensor:
        return F.linear(vector, self.matrices[gate], self.biases.get(gate))

    def value(self, node: ast.expr) -> Tensor:
        match node:
            case ast.Constant(value=number):
                return self.values["x"].new_tensor(float(str(number)))
            case ast.Name(id=name):
                return self.values[name] if name in self.values else self.parameter(name)
            case ast.BinOp(left=left, op=op, right=right):
                return OPERATIONS[type(op)](self.value(left), self.value(right))
            case ast.Call(func=ast.Name(id=name), args=args):
                given = [self.value(one) for one in args]
                return self.product(name[3:], given[0]) if name.startswith("wh") else FUNCTIONS[name](*given)
        raise AssertionError(ast.dump(node))

    def parameter(self, name: str) -> Tensor:
        if name in self.w:
            return self.w[name]
        stem, _, k = name.rpartition("_")
        return self.w[stem][int(k) * self.H : (int(k) + 1) * self.H]

"""The equations of a cell (`Cell.written`) with their numbers, in plain Python floats, without torch.

An equation is `name = expression`, for one unit. The expression may use:

    a_g, a              the sum of gate g, or of a cell without gates: W_ih·x + b_ih + W_hh·h + b_hh
    wx_g, wh_g, wx, wh  its two halves; wh_g(v): W_hh times a vector other than h
    px_g, ph_g          the same without biases; px, ph: those of all gates and units, in mean and var
    h', S'              a state before the step; weight_ch_0: the first H numbers of a parameter, or all of it
    u @ v               dot product of two vectors; S': a row of a matrix state; weight_b @ x
    sigmoid tanh relu silu exp log sqrt max min; length, mean and var (divided by the count) of a vector;
    first(n, a, b): a where n is 0, else b

and every name on the left of an equation. A bare name only writes the lines of its sum.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from rnncli.cells import CELLS, CoreSpec, Weights
from rnncli.demos.arithmetic import FUNCTIONS, OPERATIONS, VECTORS, products, short
from rnncli.locale import tr
from rnncli.render.numbers import number

_ALL_ROWS = {"px": "ih", "ph": "hh"}


@dataclass(frozen=True)
class Term:
    """One line: `W_ih·x_1`, its computation and its value. result: name of the tensor it must equal, or "".

    blank: the computation with results as names, for worksheets; None: as written.
    """

    name: str
    written: str
    value: float
    result: str = ""
    blank: str | None = None


@dataclass(frozen=True)
class StepInputs:
    """The inputs of one step of one layer, for one sample. states: before the step, by name; matrices as rows.

    reads: name of x; times: labels of this step and the one before, `1` and `0` or `start`.
    """

    spec: CoreSpec
    weights: Weights
    x: list[float]
    states: dict[str, list[float] | list[list[float]]]
    reads: str
    times: tuple[str, str]
    full: bool = False
    hidden: frozenset[str] = frozenset()  # vectors that are results on the same worksheet


@dataclass(frozen=True)
class _Expression:
    """An expression: with names, with numbers, as on a worksheet with blanks, and its value."""

    names: str
    numbers: str
    blank: str
    value: float


def equations_of(spec: CoreSpec) -> tuple[str, ...]:
    """The cell's equations, or empty; with zoneout, also its mix of h_new and h'."""
    written = CELLS[spec.cell].written
    found = () if written is None else tuple(written(spec))
    for name, p in zip(spec.states, spec.zoneout, strict=False):
        if p and any(text.startswith(f"{name} = ") for text in found):
            renamed = (re.sub(rf"\b{name}\b(?!')", f"{name}_new", text) for text in found)
            found = (*renamed, f"{name} = (1 - {p})·{name}_new + {p}·{name}'")
    return found


def parsed(spec: CoreSpec) -> list[tuple[str, ast.expr]]:
    """(name, right side) of each equation; the name is "" for sums that are only shown. h' is written h_before."""
    found: list[tuple[str, ast.expr]] = []
    for text in equations_of(spec):
        name, _, right = text.rpartition(" = ")
        found.append((name, ast.parse(right.replace("·", "*").replace("'", "_before"), mode="eval").body))
    return found


class Written:
    """Evaluates the equations of one step, unit by unit."""

    def __init__(self, inputs: StepInputs) -> None:
        self.inputs, self.spec = inputs, inputs.spec
        self.cell = CELLS[inputs.spec.cell]
        self.rows = {gate: k for k, gate in enumerate(inputs.spec.rows)}
        self.equations = parsed(inputs.spec)
        self.defined = {name: right for name, right in self.equations if name}
        self.known: dict[tuple[str, int], float] = {}

    def terms(self, unit: int) -> Iterator[Term]:
        """All lines of one unit, up to h_t."""
        shown_names: set[str] = set()
        for name, right in self.equations:
            for needed in _names(right):
                if needed not in self.defined and needed not in shown_names:
                    shown_names.add(needed)
                    yield from self._lines(needed, right, unit)
            if name:
                yield self._line(name, right, unit)

    # one line

    def _line(self, name: str, right: ast.expr, unit: int) -> Term:
        made, shown, result = self._expression(right, unit), self._label(name), ""
        if name in self.spec.states or name in self.cell.gates:
            shown = f"{name}_{self.inputs.times[0]}"
        if name in self.spec.states or name in self.cell.records:
            result = name
        elif name in self.cell.gates:
            result = f"gate.{name}"
        if isinstance(right, ast.Name):
            half = right.id[:2] in ("wx", "wh")
            return Term(shown, made.blank if half else made.numbers, made.value, result, None if half else made.blank)
        if isinstance(right, ast.Call) and len(right.args) == 1 and isinstance(right.args[0], ast.Name):
            whole = _only_name(right.func) in VECTORS
            return Term(shown, made.names if whole else made.numbers, made.value, result, made.blank)
        blank = made.blank + self._before(right, unit)
        written = made.names if made.names == made.numbers else f"{made.names} = {made.numbers}"
        return Term(shown, written, made.value, result, blank)

    def _before(self, right: ast.expr, unit: int) -> str:
        """States before the step are given, unless they are results on the same worksheet."""
        found = ""
        for name in _names(right):
            row = self.inputs.states.get(name.removesuffix("_before"), [])
            if name.endswith("_before") and self._label("h_before") not in self.inputs.hidden and len(row):
                value = row[unit]
                found += f",  {self._label(name)} = {number(value)}" if isinstance(value, float) else ""
        return found

    def _label(self, name: str) -> str:
        if name.endswith("_before"):
            return f"{name.removesuffix('_before')}_{self.inputs.times[1]}"
        if name in self.spec.states and name in self.defined:
            return f"{name}_{self.inputs.times[0]}"
        if self._is_sum(name, "p"):
            return self._half(name).split(" + ")[0]
        if name in _ALL_ROWS:
            return f"W_{_ALL_ROWS[name]}·{self.inputs.reads if name == 'px' else self._label('h_before')}"
        return f"a_{self.inputs.times[0]}" if name == "a" and "a" not in self.defined else name

    # expressions

    def _expression(self, node: ast.expr, unit: int) -> _Expression:
        match node:
            case ast.Constant(value=value):
                return _Expression(str(value), str(value), str(value), float(str(value)))
            case ast.Name(id=name):
                return self._name(name, unit)
            case ast.Call():
                return self._call(node, unit)
            case ast.BinOp(op=ast.MatMult()):
                return self._dot(node, unit)
            case ast.BinOp():
                return self._operation(node, unit)
        raise AssertionError(ast.dump(node))

    def _name(self, name: str, unit: int) -> _Expression:
        value, label = self.value(name, unit), self._label(name)
        if self._is_sum(name, "w"):
            return _Expression(number(value), number(value), self._half(name), value)
        return _Expression(label, short(value), label, value)

    def _call(self, node: ast.Call, unit: int) -> _Expression:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        if name == "first":
            empty = self._expression(node.args[0], unit).value == 0
            return self._expression(node.args[1 if empty else 2], unit)
        if name[:2] == "wh":
            vector = _only_name(node.args[0])
            value = self._half_value("hh", name[3:], unit, self._vector(vector, unit))
            return _Expression(number(value), number(value), self._half(name, vector), value)
        if name in VECTORS:
            vector = _only_name(node.args[0])
            value, label = VECTORS[name](self._vector(vector, unit)), f"{name}({self._label(vector)})"
            return _Expression(label, number(value), label, value)
        arguments = [self._expression(argument, unit) for argument in node.args]
        value = FUNCTIONS[name](*(one.value for one in arguments))
        numbers = [number(one.value) if isinstance(arg, ast.Name) else one.numbers
                   for one, arg in zip(arguments, node.args, strict=True)]  # fmt: skip
        names, blanks = ", ".join(one.names for one in arguments), ", ".join(one.blank for one in arguments)
        return _Expression(f"{name}({names})", f"{name}({', '.join(numbers)})", f"{name}({blanks})", value)

    def _operation(self, node: ast.BinOp, unit: int) -> _Expression:
        left, right = self._expression(node.left, unit), self._expression(node.right, unit)
        value = OPERATIONS[type(node.op)](left.value, right.value)
        if isinstance(node.op, ast.Mult | ast.Div):
            sign = "·" if isinstance(node.op, ast.Mult) else "/"
            names, blanks = ([_factor(one, text) for one, text in pairs] for pairs in (
                ((node.left, left.names), (node.right, right.names)),
                ((node.left, left.blank), (node.right, right.blank)),
            ))  # fmt: skip
            first = left.numbers if _is_product(node.left) else short(left.value)
            second = f"({short(right.value)})" if right.value < 0 else short(right.value)
            return _Expression(sign.join(names), f"{first}{sign}{second}", sign.join(blanks), value)
        sign = " + " if isinstance(node.op, ast.Add) else " - "
        second = f"({right.numbers})" if isinstance(node.op, ast.Sub) and right.value < 0 else right.numbers
        return _Expression(
            left.names + sign + right.names, left.numbers + sign + second, left.blank + sign + right.blank, value
        )

    def _dot(self, node: ast.BinOp, unit: int) -> _Expression:
        left, right = _only_name(node.left), _only_name(node.right)
        row, vector = self._vector(left, unit), self._vector(right, unit)
        first = f"{self._label(left)}[{unit}]" if left.endswith("_before") else left
        label = f"{first}·{self.inputs.reads if right == 'x' else right}"
        value = sum(w * v for w, v in zip(row, vector, strict=True))
        return _Expression(label, products(row, vector, self.inputs.full), label, value)

    # values

    def value(self, name: str, unit: int) -> float:
        if (name, unit) not in self.known:
            self.known[name, unit] = self._found(name, unit)
        return self.known[name, unit]

    def _found(self, name: str, unit: int) -> float:
        if name in self.defined:
            return self._expression(self.defined[name], unit).value
        if name.endswith("_before"):
            value = self.inputs.states[name.removesuffix("_before")][unit]
            assert isinstance(value, float)
            return value
        if name == "a" or name.startswith("a_"):
            gate = name[2:]
            return self._half_value("ih", gate, unit, None) + self._half_value("hh", gate, unit, None)
        if self._is_sum(name):
            which, gate = ("ih" if name[1] == "x" else "hh"), name[3:]
            bias = self._bias(which, gate, unit) or 0.0 if name[0] == "p" else 0.0
            return self._half_value(which, gate, unit, None) - bias
        return self._parameter(name)[unit]

    def _is_sum(self, name: str, kind: str = "wp") -> bool:
        """Whether the name is W_ih·x or W_hh·h of a gate, with its bias (w) or without (p)."""
        return name[:1] in tuple(kind) and name[1:2] in ("x", "h") and name[3:] in self.rows and name not in _ALL_ROWS

    def _parameter(self, name: str) -> list[float]:
        """H numbers of a parameter; a single number is repeated for every unit."""
        H = self.spec.hidden_size
        if name in self.inputs.weights:
            found: list[float] = self.inputs.weights[name].flatten().tolist()
            return found if len(found) >= H else found * H
        stem, _, k = name.rpartition("_")
        part: list[float] = self.inputs.weights[stem][int(k) * H : (int(k) + 1) * H].tolist()
        return part

    def _vector(self, name: str, unit: int) -> list[float]:
        """A vector: all units of a name, x, a row of a matrix, or the only row of a weight."""
        if name == "x":
            return self.inputs.x
        if name in _ALL_ROWS:
            return [self.value(f"{name}_{gate}", k) for gate in self.rows for k in range(self.spec.hidden_size)]
        rows = self.inputs.states[name.removesuffix("_before")] if name.endswith("_before") else []
        if rows and isinstance(row := rows[unit], list):
            return row
        if name in self.inputs.weights:
            found: list[float] = self.inputs.weights[name].flatten().tolist()
            return found
        return [self.value(name, k) for k in range(self.spec.hidden_size)]

    # the sums

    def _half(self, name: str, vector: str = "") -> str:
        """`W_in·x_1 + b_in`. vector: the input of W_hh if it is not h."""
        gate, which = name[3:], "ih" if name[1] == "x" else "hh"
        vector = vector or (self.inputs.reads if which == "ih" else self._label("h_before"))
        matrix = f"W_{which[0]}{gate}" if gate else f"W_{which}"
        bias = f" + {matrix.replace('W', 'b')}" if f"bias_{which}" in self.inputs.weights else ""
        return f"{matrix}·{vector}{bias}"

    def _row(self, which: str, gate: str, unit: int, other: list[float] | None) -> tuple[list[float], list[float]]:
        """The weights of one unit's half and the vector that they multiply; with several heads, only its head's
        units."""
        H = self.spec.hidden_size
        row: list[float] = self.inputs.weights[f"weight_{which}"][self.rows[gate] * H + unit].tolist()
        if which == "ih":
            return row, self.inputs.x
        vector = self._vector("h_before", unit) if other is None else other
        start = unit // len(row) * len(row) if len(row) < len(vector) else 0
        return row, vector[start : start + len(row)]

    def _half_value(self, which: str, gate: str, unit: int, other: list[float] | None) -> float:
        total = 0.0
        if f"weight_{which}" in self.inputs.weights:
            total = sum(w * v for w, v in zip(*self._row(which, gate, unit, other), strict=True))
        return total + (self._bias(which, gate, unit) or 0.0)

    def _bias(self, which: str, gate: str, unit: int) -> float | None:
        vector = self.inputs.weights.get(f"bias_{which}")
        return None if vector is None else float(vector[self.rows[gate] * self.spec.hidden_size + unit])

    def _lines(self, name: str, right: ast.expr, unit: int) -> Iterator[Term]:
        """The lines of a sum used in an equation."""
        if name == "a" or name.startswith("a_"):
            yield from self._half_lines("ih", name[2:], unit)
            yield from self._half_lines("hh", name[2:], unit)
            yield Term(self._label(name), tr("the sum of these"), self.value(name, unit))
        elif name[:2] == "wx":
            yield from self._half_lines("ih", name[3:], unit)
        elif name[:2] == "wh":
            yield from self._half_lines("hh", name[3:], unit, _argument(right, name))
        elif self._is_sum(name, "p"):
            yield next(self._half_lines("ih" if name[1] == "x" else "hh", name[3:], unit))

    def _half_lines(self, which: str, gate: str, unit: int, vector: str = "") -> Iterator[Term]:
        """The lines of W_ih·x and b_ih, or W_hh·h and b_hh."""
        matrix = f"W_{which[0]}{gate}" if gate else f"W_{which}"
        if f"weight_{which}" in self.inputs.weights:
            row, values = self._row(which, gate, unit, self._vector(vector, unit) if vector else None)
            name = vector or (self.inputs.reads if which == "ih" else self._label("h_before"))
            labels = [f"{name}[{k}]" for k in range(len(values))]
            hidden = name in self.inputs.hidden or bool(vector)
            value = sum(w * v for w, v in zip(row, values, strict=True))
            blank = products(row, labels, self.inputs.full) if hidden else None
            yield Term(f"{matrix}·{name}", products(row, values, self.inputs.full), value, "", blank)
        if (bias := self._bias(which, gate, unit)) is not None:
            yield Term(matrix.replace("W", "b"), "", bias)


def _names(node: ast.expr) -> list[str]:
    """The distinct names in an expression, in order; functions only if they are sums (wh_n)."""
    found = []
    for one in ast.walk(node):
        if isinstance(one, ast.Name) and one.id not in {*FUNCTIONS, *VECTORS, "first"}:
            found.append((one.col_offset, one.id))
    return list(dict.fromkeys(name for _, name in sorted(found)))


def _argument(node: ast.expr, name: str) -> str:
    """v of `wh_n(v)`; "" without an argument."""
    calls = [one for one in ast.walk(node) if isinstance(one, ast.Call) and _only_name(one.func) == name]
    return _only_name(calls[0].args[0]) if calls else ""


def _only_name(node: ast.expr) -> str:
    assert isinstance(node, ast.Name)
    return node.id


def _is_product(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div)


def _factor(node: ast.expr, text: str) -> str:
    """Parenthesize a sum inside a product."""
    return f"({text.replace(' ', '')})" if isinstance(node, ast.BinOp) and not _is_product(node) else text

"""What a cell file defines (`Cell`), and what a core is (`CoreSpec`). Imports no torch.
Both are in one file because each is described by the other.

Shapes: B batch, I input size, H hidden size, P proj_size (0: none), G gates.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from math import prod
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from rnncli.cells._weights import Weights
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.names import Option, OptionValue, did_you_mean, option_text
from rnncli.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

Shape = tuple[int, ...]
State = tuple["Tensor", ...]  # (B, ...) each, in the order of `Cell.states`; the first is h, the output
Gates = dict[str, "Tensor"]


def _tanh(a: Tensor) -> Tensor:
    return a.tanh()


def _relu(a: Tensor) -> Tensor:
    return a.relu()


def _none(a: Tensor) -> Tensor:
    return a


NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {"tanh": _tanh, "relu": _relu, "none": _none}


def gated(spec: CoreSpec, inputs: int) -> dict[str, Shape]:
    """Parameters as in torch's modules: for every gate W_ih x + b_ih + W_hh h + b_hh, W_hr for a projection."""
    rows = len(spec.rows) * spec.hidden_size
    shapes: dict[str, Shape] = {"weight_ih": (rows, inputs)}
    if CELLS[spec.cell].recurrent_weight:
        shapes["weight_hh"] = (rows, spec.state_size)
    if spec.bias:
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    if spec.proj_size:
        shapes["weight_hr"] = (spec.proj_size, spec.hidden_size)
    return shapes


def input_alone(spec: CoreSpec, inputs: int) -> dict[str, Shape]:
    """Parameters of gates that read only x: for every gate W_ih x + b_ih."""
    rows = spec.num_gates * spec.hidden_size
    return {"weight_ih": (rows, inputs)} | ({"bias_ih": (rows,)} if spec.bias else {})


def positive(a: Tensor) -> Tensor:
    """g(a) = max(a + 0.5, σ(a)): a + 0.5 for a >= 0, σ(a) below. It keeps h positive, as needed by a scan over log h.
    Feng et al. 2024 (arXiv:2410.01201), appendix B."""
    return a.clamp(min=0) + (-(-a).relu()).sigmoid()  # the slope at 0 is 1, that of the right side


def uniform(name: str, parameter: Tensor, spec: CoreSpec) -> None:
    """Initialize a parameter like torch's modules, from uniform(-1/sqrt(H), 1/sqrt(H))."""
    bound: float = spec.hidden_size**-0.5
    parameter.uniform_(-bound, bound)


def keep_biases(**values: float) -> Callable[[str, Tensor, CoreSpec], None]:
    """A `keep` that sets b_ih of these gates."""

    def keep(name: str, parameter: Tensor, spec: CoreSpec) -> None:
        H = spec.hidden_size
        for k, gate in enumerate(spec.rows):
            if name == "bias_ih" and gate in values:
                parameter[k * H : (k + 1) * H] = values[gate]

    return keep


Step = Callable[["Tensor", State, Weights], tuple[State, Gates]]
Parallel = Callable[["Tensor", Weights], tuple["Tensor", "Tensor"]]
Range = Literal["sigmoid", "tanh", "free"]  # range of a gate's values: (0, 1), (-1, 1), unbounded


@dataclass(frozen=True)
class Cell:
    """The definition of a cell, `CELL` in its file.

    title: its name in papers, if torch has no class for it.
    step: x (B, I), the previous states and the weights of one layer in one direction -> the new states, and every gate
        by name, (B, H).
    equation: of h, a line below the steps in `inspect`; a function of the spec if options change it.
    states: name -> shape for one batch row. The first is h, the output; a matrix (H, H) is allowed.
    parameters: (spec, size of the layer's input) -> name -> shape, in initialization order; torch's names if torch has
        the module. Those with G·H rows are split by gate.
    draw, keep: (name, parameter, spec) -> None. They modify a parameter in place: draw initializes it; keep sets
        weights that initially preserve each state, so that gradients reach far back.
    gates: name -> range of its values, in the order of the rows of weight_ih. rows: the gates that have rows, if
        options remove some. records: other names that a step returns.
    about: state or gate -> short description. candidate: the gate with the new content.
    two_biases: spec -> gates in which b_ih and b_hh are not simply added.
    bounded: whether h is in (-1, 1) with the nonlinearity tanh.
    stateful: whether the step depends on the previous state; recurrent_weight: whether there is a weight_hh.
    nonlinearities: those that a recipe may choose; compared: those that are separate variants in `train.compare`.
    torch_class: the class of torch.nn with the same weights. projected: the equation with proj_size; only cells that
        define it support proj_size. closed_form: nonlinearities for which `replay.closed_form` computes all steps at
        once.
    formulas: spec -> the equations shown by `demo`, with the core's options; default: `equation`.
    options: the cell's own keys of `model:` -> kind, default, description. A step reads their values from `w.options`,
        other functions from `spec.option(name)`. torch_class applies to the defaults.
    fits: (values of all options, H) -> key -> error, for invalid combinations.
    reads, drops: whether the step passes h_(t-1) through `w.read` before the recurrent weights, and its candidate
        through `w.dropped`; this enables the options variational_dropout and recurrent_dropout. zoned: the states that
        zoneout may keep; without h, none.
    summed: the gates in which W_hh·h is simply added to W_ih·x, so that one Linear on [x; h] computes them; "" for a
        cell without gates.
    written: the equations of a step for `demo --explain`; syntax: demos/written.py.
    two_forms: the steps in torch's form and in the paper's, if they differ.
    step_from_sums: (step, the same with W_ih x + b_ih, (B, G·H), instead of x): if the step uses x only through it, the
        loop computes it for many steps at once. `replace(CELL, step=...)` drops this and `parallel`.
    parallel: for a cell whose only state is linear in itself: (W_ih x + b_ih of all steps (T, B, G·H), weights) -> a
        and b, (T, B, H) each, of h_t = a_t ⊙ h_(t-1) + b_t, so that a prefix scan over time computes all h.
    """

    step: Step
    equation: str | Callable[[CoreSpec], str]
    states: Callable[[CoreSpec], dict[str, Shape]] = lambda spec: {"h": (spec.state_size,)}
    parameters: Callable[[CoreSpec, int], dict[str, Shape]] = gated
    draw: Callable[[str, Tensor, CoreSpec], None] = uniform
    keep: Callable[[str, Tensor, CoreSpec], None] = lambda name, parameter, spec: None
    gates: Mapping[str, Range] = field(default_factory=dict)
    rows: Callable[[CoreSpec], tuple[str, ...]] | None = None
    records: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    candidate: str = ""
    two_biases: Callable[[CoreSpec], Collection[str]] = lambda spec: ()
    bounded: bool = False
    stateful: bool = True
    recurrent_weight: bool = True
    nonlinearities: tuple[str, ...] = ("tanh",)
    compared: tuple[str, ...] = ()
    torch_class: str | None = None
    projected: str = ""
    closed_form: tuple[str, ...] = ()
    formulas: Callable[[CoreSpec], str] | None = None
    options: Mapping[str, Option] = field(default_factory=dict)
    fits: Callable[[Mapping[str, OptionValue], int], Mapping[str, str]] = lambda options, hidden_size: {}
    reads: bool = False
    drops: bool = False
    zoned: tuple[str, ...] = ("h",)
    summed: Callable[[CoreSpec], Collection[str]] = lambda spec: ()
    written: Callable[[CoreSpec], Sequence[str]] | None = None
    two_forms: tuple[Step, Step] | None = None
    step_from_sums: tuple[Step, Step] | None = None
    parallel: Parallel | None = None
    title: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", {**self.options, **_regularizers(self)})
        if self.step_from_sums is not None and self.step_from_sums[0] is not self.step:  # those of another cell's step
            for name in ("step_from_sums", "parallel"):
                object.__setattr__(self, name, None)

    @property
    def num_gates(self) -> int:
        """G: weight_ih has G·H rows, with the options' defaults."""
        return max(1, len(self.gates))


def _regularizers(cell: Cell) -> dict[str, Option]:
    """The recurrent regularizers that a cell supports, as options."""
    found: dict[str, Option] = {}
    if cell.reads or not cell.recurrent_weight:
        found["variational_dropout"] = Option(0.0, "dropout on inputs and h_(t-1), with the same mask at every step")
    if cell.drops:
        found["recurrent_dropout"] = Option(0.0, "dropout on the new content, with a new mask at every step")
    if cell.stateful and "h" in cell.zoned:
        found["zoneout"] = Option(0.0, "share of h that keeps its previous value, with a new mask at every step")
    if cell.stateful and len(cell.zoned) > 1:
        found["zoneout_memory"] = Option(0.0, "the same for the other states, such as c of an lstm")
    return found


REGULARIZERS = ("variational_dropout", "recurrent_dropout", "zoneout", "zoneout_memory")


def _cell(module: ModuleType) -> Cell:
    found = getattr(module, "CELL", None)
    if not isinstance(found, Cell):
        raise UsageError(tr("this file does not define CELL"), where=module.__name__)
    return found


CELLS: Registry[Cell] = Registry("rnncli.cells", _cell)


@dataclass(frozen=True)
class CoreSpec:
    """The specification of a recurrent core: the layers and directions that process a sequence.

    options: (name, value) of the cell's own options, without defaults, so that equal cores compare equal. Raises
        UsageError: unknown option, or invalid value.
    """

    cell: str
    nonlinearity: str
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = False
    proj_size: int = 0
    bias: bool = True
    options: tuple[tuple[str, OptionValue], ...] = ()

    def __post_init__(self) -> None:
        if self.options:
            known, values = CELLS[self.cell].options, checked_options(self.cell, dict(self.options))
            changed = [name for name in known if values.get(name, known[name].default) != known[name].default]
            object.__setattr__(self, "options", tuple((name, values[name]) for name in changed))

    @cached_property
    def all_options(self) -> Mapping[str, OptionValue]:
        """Option -> value, for all options of the cell."""
        return {name: option.default for name, option in CELLS[self.cell].options.items()} | dict(self.options)

    @property
    def regularizers(self) -> dict[str, float]:
        """The active recurrent regularizers."""
        return {name: float(value) for name, value in self.options if name in REGULARIZERS and isinstance(value, float)}

    @property
    def in_evaluation(self) -> CoreSpec:
        """The same function in evaluation, where the two dropouts are inactive."""
        kept = [(name, value) for name, value in self.options if name not in REGULARIZERS[:2]]
        return replace(self, options=tuple(kept))

    @property
    def step(self) -> Step:
        """The cell's step in evaluation: with zoneout, each state is its expected value."""
        own, shares = CELLS[self.cell].step, self.zoneout
        if not any(shares):
            return own

        def zoned(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
            after, gates = own(x, state, w)
            mixed = [new + p * (old - new) if p else new for p, new, old in zip(shares, after, state, strict=True)]
            return tuple(mixed), gates

        return zoned

    @property
    def zoneout(self) -> list[float]:
        """The share of each state that zoneout keeps."""
        found, zoned = self.regularizers, CELLS[self.cell].zoned
        rates = {name: found.get("zoneout" if name == "h" else "zoneout_memory", 0.0) for name in zoned}
        return [rates.get(name, 0.0) for name in self.states] if found else [0.0]

    def option(self, name: str) -> OptionValue:
        """The value of an option of the cell."""
        return self.all_options[name]

    @property
    def changed(self) -> list[str]:
        """Non-default options in words: `peephole`, `heads 2`."""
        return [name if value is True else f"{name} {option_text(value)}" for name, value in self.options]

    @property
    def with_options(self) -> str:
        """`lstm with peephole, heads 2`."""
        return (
            tr("{cell} with {options}", cell=self.cell, options=", ".join(self.changed)) if self.options else self.cell
        )

    @property
    def rows(self) -> tuple[str, ...]:
        """The gates that have rows in the weights, in order; ("",) for a cell without gates."""
        cell = CELLS[self.cell]
        return (tuple(cell.gates) if cell.rows is None else cell.rows(self)) or ("",)

    @property
    def num_gates(self) -> int:
        """G: weight_ih has G·H rows."""
        return len(self.rows)

    @property
    def num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def places(self) -> list[tuple[int, int]]:
        """(layer, direction) of every part, in the order of the states' rows."""
        return list(product(range(self.num_layers), range(self.num_directions)))

    @property
    def state_size(self) -> int:
        """Size of h: P with a projection, else H."""
        return self.proj_size or self.hidden_size

    @property
    def states(self) -> dict[str, Shape]:
        """State name -> shape for one batch row; the first is h."""
        return CELLS[self.cell].states(self)

    @property
    def output_size(self) -> int:
        """Size of one step's output, D·H or D·P."""
        return self.num_directions * self.state_size

    @property
    def is_bounded(self) -> bool:
        """Whether every h is in (-1, 1)."""
        return CELLS[self.cell].bounded and self.nonlinearity == "tanh" and not self.proj_size

    @property
    def equation(self) -> str:
        """The equation of h, with this core's nonlinearity, projection and options."""
        cell = CELLS[self.cell]
        text = cell.equation if isinstance(cell.equation, str) else cell.equation(self)
        if self.nonlinearity == "relu":
            text = text.replace("tanh", "relu")
        if self.nonlinearity == "none":
            text = text.replace("tanh(", "").removesuffix(")")
        text = cell.projected if self.proj_size else text
        return f"{text}; {self.zoned_words}" if self.zoned_words else text

    @property
    def zoned_words(self) -> str:
        """The equations of zoneout in evaluation, applied after the equation; "" without zoneout."""
        shares = zip(self.states, self.zoneout, strict=False)
        mixed = [f"{name}_t = {1 - p:g}·{name}_new + {p:g}·{name}_(t-1)" for name, p in shares if p]
        return tr("zoneout, on average: {equations} (new: as above)", equations=", ".join(mixed)) if mixed else ""

    def layer_input_size(self, layer: int) -> int:
        return self.input_size if layer == 0 else self.output_size

    @property
    def torch_class(self) -> type[nn.RNN] | type[nn.LSTM] | type[nn.GRU] | None:
        """torch's module for the same function, or None: no torch class omits the nonlinearity or W_hh, or has a cell's
        options."""
        name = None if self.nonlinearity == "none" or self.options else CELLS[self.cell].torch_class
        if name is None:
            return None
        from torch import nn

        return {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}[name]

    def parameter_shapes(self, layer: int) -> dict[str, Shape]:
        """Name -> shape for one direction of a layer, in initialization order."""
        return CELLS[self.cell].parameters(self, self.layer_input_size(layer))

    def all_shapes(self) -> dict[str, Shape]:
        """torch's name -> shape of all parameters, over layers and directions."""
        return {
            parameter_name(name, layer, direction): shape
            for layer, direction in self.places
            for name, shape in self.parameter_shapes(layer).items()
        }

    def num_parameters(self) -> int:
        """Number of parameters over layers and directions; for torch's cells D·[G·H·(in + Hout) + 2·G·H + P·H] per
        layer."""
        return sum(map(prod, self.all_shapes().values()))

    def __str__(self) -> str:
        """Such as `LSTM(32, 64, 2 layers, bidirectional)`."""
        cell = CELLS[self.cell]
        name = cell.torch_class or cell.title or self.cell.capitalize()
        parts = [str(self.input_size), str(self.hidden_size)]
        if self.num_layers > 1:
            parts.append(tr("{n} layers", n=self.num_layers))
        if self.bidirectional:
            parts.append("bidirectional")
        if self.proj_size:
            parts.append(f"proj_size {self.proj_size}")
        if not self.bias:
            parts.append(tr("no bias"))
        parts += self.changed
        shown = f"{name}({', '.join(parts)})"
        return f"{shown} {self.nonlinearity}" if len(cell.nonlinearities) > 1 else shown


def checked_options(cell: str, values: Mapping[str, object]) -> dict[str, OptionValue]:
    """Options of a cell, converted to their types. Raises UsageError: unknown option, or invalid value."""
    known, found = CELLS[cell].options, dict[str, OptionValue]()
    for name, value in values.items():
        if name not in known:
            listed = tr("available: {names}", names=", ".join(known)) if known else tr("it has none")
            todo = did_you_mean(name, known, listed)
            raise UsageError(tr("{cell} has no option {name}", cell=cell, name=name), todo=todo)
        try:
            found[name] = known[name].checked(value)
        except ValueError as error:
            what = tr("expected {expected}, got {value}", expected=error, value=repr(value))
            raise UsageError(what, where=name) from None
    return found


def parameter_name(name: str, layer: int, direction: int) -> str:
    """torch's name: `weight_ih`, 1, 1 -> `weight_ih_l1_reverse`."""
    return f"{name}_l{layer}{'_reverse' if direction else ''}"

"""params: every weight by layer, direction and gate; the spectral radius of each W_hh; the parameter count as a
formula."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from rnncli.cells import CELLS, CoreSpec, gated, parameter_of, recurrent_matrices, weights_of
from rnncli.locale import tr, trn
from rnncli.records import Check, Checks, Column, Entry, Message, Record, Table
from rnncli.replay import core_path, initial_state, plain_copy, rounding, run_core, run_reference
from rnncli.views._show import answer, formula, place, places
from rnncli.views._subject import Subject
from rnncli.views._view import Options

GROUP = "what is in it"
ABOUT = "every weight by layer, direction and gate; spectral radius; the parameter count"
NEEDS: frozenset[str] = frozenset()
OPTIONS = frozenset({"layer", "direction", "core"})
ROWS = 1

BINS = 9  # bins of a histogram from the smallest to the largest value


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    said: dict[str, str] = {}
    records: list[Record] = []
    checks: list[Check] = []
    specs = subject.specs
    for path in specs if options.core is None else [core_path(options.core, list(specs))]:
        module, spec = subject.model.get_submodule(path), specs[path]
        name = path or spec.cell
        two = {"bias_ih", "bias_hh"} <= spec.parameter_shapes(0).keys()
        said[name] = _two_biases(spec) if two and subject.task is not None else _held(module, spec)
        records.append(Message(f"{name}: {spec}", name=f"{name}.spec"))
        shown = places(spec, options)
        for layer, direction in shown:
            records.append(_weights(module, spec, layer, direction, name))
        if CELLS[spec.cell].recurrent_weight:
            records.append(_recurrence(module, spec, shown, name))
        records.append(Message(_count(spec), "formula", name=f"{name}.count"))
        if two:
            if subject.task is None:
                records.append(Message(_two_biases(spec), name=f"{name}.biases"))
            checks += _merged_biases(module, spec, name)
    return [*answer(said), *records, *([Checks(checks)] if checks else [])]


def _weights(module: nn.Module, spec: CoreSpec, layer: int, direction: int, name: str) -> Table:
    gates = spec.rows if CELLS[spec.cell].gates else ()
    rows: list[list[Entry]] = []
    shapes = spec.parameter_shapes(layer)
    for parameter, size in shapes.items():
        tensor = parameter_of(module, parameter, layer, direction).detach()
        split = tensor.chunk(len(gates)) if gates and size[0] == len(gates) * spec.hidden_size else (tensor,)
        for gate, part in zip(gates if len(split) > 1 else ("",), split, strict=True):
            rows.append([parameter, f"({', '.join(map(str, size))})", gate, *_figures(part)])
    columns = [
        Column("tensor", tr("tensor"), "text", once=True),
        Column("shape", tr("shape"), "shape", optional=True, once=True),
        *([Column("gate", tr("gate"), "text")] if gates else [Column("gate", "", "text", optional=True)]),
        Column("mean", tr("mean")),
        Column("std", "std"),
        Column("norm", tr("norm")),
        Column("min", "min"),
        Column("max", "max"),
        Column("histogram", tr("histogram"), "spark"),
    ]
    return Table(f"{name}.{place(layer, direction)}", columns, rows, title=f"{name} {place(layer, direction)}")


def _figures(part: Tensor) -> list[Entry]:
    """mean, std (population), norm, min, max and the counts of a histogram."""
    wide = part.double().flatten()
    low, high = wide.min().item(), wide.max().item()
    finite = wide[wide.isfinite()]
    counts = [float(n) for n in torch.histc(finite, BINS, low, high).tolist()] if low < high < torch.inf else [1.0]
    return [wide.mean().item(), wide.std(correction=0).item(), wide.norm().item(), low, high, counts]


def _recurrence(module: nn.Module, spec: CoreSpec, shown: list[tuple[int, int]], name: str) -> Table:
    """How much a product with W_hh can stretch h: its spectral radius and its largest singular value."""
    rows: list[list[Entry]] = []
    for layer, direction in shown:
        w = weights_of(module, layer, direction)
        for gate, matrix in recurrent_matrices(spec, w).items():
            block = matrix.detach().double()
            square = block if w.weight_hr is None else w.weight_hr.detach().double() @ block  # (P, P) if projected
            finite = bool(square.isfinite().all())
            radius = torch.linalg.eigvals(square).abs().max().item() if finite else float("nan")
            norm = torch.linalg.matrix_norm(square, 2).item() if finite else float("nan")
            rows.append([place(layer, direction), gate, radius, norm])
    columns = [
        Column("place", tr("layer"), "text", once=True),
        *([Column("gate", tr("gate"), "text")] if CELLS[spec.cell].gates else [Column("gate", "", "text")]),
        Column("spectral_radius", tr("spectral radius")),
        Column("norm", tr("2-norm")),
    ]
    of = "W_hr W_hh" if spec.proj_size else "W_hh"
    return Table(f"{name}.recurrence", columns, rows, title=tr("{matrix}: the factor per step back", matrix=of))


def _count(spec: CoreSpec) -> str:
    """G·H·(I + H) + 2·G·H, then with numbers, per layer, then the sum."""
    G, H, out = spec.num_gates, spec.hidden_size, spec.state_size
    if CELLS[spec.cell].parameters is not gated:
        return f"{formula(spec)} = {spec.num_parameters():,}"
    letters = "H" if not spec.proj_size else "P"
    memory = CELLS[spec.cell].recurrent_weight
    terms = [f"G·H·(in + {letters})" if memory else "G·H·in"]
    if spec.bias:
        terms.append("2·G·H")
    if spec.proj_size:
        terms.append("P·H")
    head = " + ".join(terms)
    lines = [f"D·[{head}]" if spec.bidirectional else head]
    for layer in range(spec.num_layers):
        size = spec.layer_input_size(layer)
        numbers = [f"{G}·{H}·({size} + {out})" if memory else f"{G}·{H}·{size}"]
        numbers += [f"2·{G}·{H}"] * spec.bias + [f"{spec.proj_size}·{H}"] * bool(spec.proj_size)
        shown = " + ".join(numbers)
        count = sum(prod(shape) for shape in spec.parameter_shapes(layer).values()) * spec.num_directions
        lines.append(f"l{layer}: " + (f"2·[{shown}]" if spec.bidirectional else shown) + f" = {count:,}")
    if spec.num_layers > 1:
        lines.append(tr("total {n}", n=f"{spec.num_parameters():,}"))
    return "\n".join(lines)


def _held(module: nn.Module, spec: CoreSpec) -> str:
    """A sentence on the module's parameters."""
    tensors = trn("{n} tensor", "{n} tensors", n=len(list(module.parameters())))
    return trn("One {spec}: {n} parameter in {tensors}; layer 0 reads {size} numbers per step.",
               "One {spec}: {n} parameters in {tensors}; layer 0 reads {size} numbers per step.",
               spec=spec, n=spec.num_parameters(), tensors=tensors, size=spec.input_size)  # fmt: skip


def _two_biases(spec: CoreSpec) -> str:
    """Why there are two biases, and the count with one."""
    rows = spec.num_gates * spec.hidden_size
    once = spec.num_parameters() - rows * spec.num_layers * spec.num_directions
    n, m = f"{spec.num_parameters():,}", f"{once:,}"
    if CELLS[spec.cell].two_biases(spec):
        return tr(
            "Two biases: in r and z only b_ih + b_hh matters; in n, b_hn is inside r*(...), so both are needed. Keras "
            "also has both (reset_after=True): {n}; with reset_after=False it has one: {m}.",
            n=n,
            m=m,
        )
    return tr(
        "Two biases, as in cuDNN: only their sum matters. Keras has one, so it counts {m} instead of {n}.",
        n=n,
        m=m,
    )


def _merged_biases(module: nn.Module, spec: CoreSpec, name: str) -> list[Check]:
    """Compare torch's module, or a closed form, on a random input with the loop with b_ih + b_hh merged (except in a
    GRU's n)."""
    if isinstance(module, nn.RNNCellBase):
        return []
    generator = torch.Generator().manual_seed(0)
    own = weights_of(module).like
    x = torch.randn(5, 2, spec.input_size, generator=generator).to(own)
    two, state = CELLS[spec.cell].two_biases(spec), initial_state(spec, 2, x)
    # (G·H,): the rows in which b_ih and b_hh are only added
    merged = torch.tensor([gate not in two for gate in spec.rows]).repeat_interleave(spec.hidden_size)
    with torch.no_grad():
        whole, _ = run_reference(module, spec, x, state, None)
        single = plain_copy(module)
        for place in spec.places:
            b_ih, b_hh = (parameter_of(single, key, *place) for key in ("bias_ih", "bias_hh"))
            b_ih[merged] += b_hh[merged]
            b_hh[merged] = 0
        once, _ = run_core(single, x, state)
    costs = rounding.sequence_rounding(module, spec, x, state, None, rounding.unit(own.dtype))
    text = tr("{core}: merging b_ih + b_hh gives the same outputs", core=name)
    if two:
        text = tr("{core}: merging b_ih + b_hh in r and z gives the same outputs", core=name)
    return [rounding.checked(f"{name}-one-bias", text, rounding.worst_of(rounding.off_by_first(once, whole), costs[0]))]

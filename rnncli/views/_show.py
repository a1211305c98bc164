"""Helpers shared by views: modules, layers, steps and units to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rnncli.cells import CELLS, CoreSpec
from rnncli.errors import UsageError
from rnncli.locale import tr, trn
from rnncli.records import Check, Column, Entry, Message, Record, Table
from rnncli.render import symbols
from rnncli.replay import DIRECTIONS, CoreTrace, Trace
from rnncli.replay.reference import name_of_reference
from rnncli.replay.rounding import ratio
from rnncli.replay.walk import check_direction, in_range
from rnncli.views._subject import Subject
from rnncli.views._view import Options

Part = tuple[Column, Sequence[Entry]]  # a column with its cells


def place(layer: int, direction: int) -> str:
    """l0.fwd, as in a Trace."""
    return f"l{layer}.{DIRECTIONS[direction]}"


def places(spec: CoreSpec, options: Options, *, top: bool = False) -> list[tuple[int, int]]:
    """(layer, direction) pairs to show; top: only the top layer unless --layer is given."""
    in_range(options.layer, spec.num_layers, "--layer")
    check_direction(spec, options.direction)
    only = spec.num_layers - 1 if options.layer is None and top else options.layer
    way = None if options.direction is None else DIRECTIONS.index(options.direction)
    return [(layer, one) for layer, one in spec.places if only in (None, layer) and way in (None, one)]


def step_numbers(options: Options, T: int) -> list[int]:
    """The steps to show, of T. Raises UsageError if there are none."""
    chosen = list(range(T)) if options.steps is None else list(range(T)[options.steps])
    if not chosen:
        raise UsageError(tr("--steps selects no step of 0 to {last}", last=T - 1))
    return chosen


def unit_numbers(options: Options, size: int) -> list[int]:
    """The units to show, of `size`. Raises UsageError for one out of range."""
    if options.units is None:
        return list(range(size))
    for unit in options.units:
        in_range(unit, size, "--units")
    return list(options.units)


def name_of(core: CoreTrace) -> str:
    """The module's name in the model; a single unnamed module is called by its cell."""
    return core.path or core.spec.cell


def formula(spec: CoreSpec) -> str:
    """The parameter count of a module as a formula: `4·4 + 4·4 + 2·4`; layers in order, D·(...) for two directions."""
    layers = []
    for layer in range(spec.num_layers):
        shapes = spec.parameter_shapes(layer)
        terms = ["·".join(map(str, size)) for size in shapes.values() if len(size) > 1]
        for size, times in Counter(size[0] for size in shapes.values() if len(size) == 1).items():
            terms.append(f"{times}·{size}" if times > 1 else f"{size}")
        text = " + ".join(terms)
        layers.append(f"2·({text})" if spec.bidirectional else text)
    same = len(set(layers[1:])) == 1 and len(layers) > 2
    if same:  # layers from the second on are the same size
        return f"{layers[0]} + {len(layers) - 1}·({layers[1]})"
    return " + ".join(layers)


def about(subject: Subject, core: CoreTrace, *, rows: bool = False) -> str:
    """`rnn: RNN(4, 4) tanh, 5 steps: hello`: one line describing the module and the sample. rows: and how many more
    rows there are."""
    T, more = subject.length(core, 0), core.calls[0].x.shape[1] - 1
    steps = trn("{n} step", "{n} steps", n=T)
    labels = subject.labels(core)
    if labels is not None:
        steps += ": " + joined(labels[:T], 32)
    if rows and more:
        steps += trn(" and {n} more row", " and {n} more rows", n=more)
    return f"{name_of(core)}: {core.spec}, {steps}"


def answer(said: Mapping[str, str]) -> list[Record]:
    """A view's answer: one sentence per place or module, at the top; without a name if there is only one."""
    text = "\n".join(text if len(said) == 1 else f"{name}: {text}" for name, text in said.items())
    return [Message(text, "answer", name="answer")] if said else []


def joined(tokens: Sequence[str], most: int) -> str:
    """Tokens as running text: words separated by spaces, whitespace inside them made visible, truncated to `most`
    characters."""
    between = " " if any(len(token) > 1 for token in tokens) else ""
    text = between.join(symbols.token(token) for token in tokens)
    return text if len(text) <= most else text[: most - 3] + "..."


def step_parts(subject: Subject, core: CoreTrace, steps: Sequence[int]) -> list[Part]:
    """The columns of a step's number and, if steps are tokens, of its token: the input, or a decoder's target."""
    labels, heading = subject.labels(core), tr("writes") if "decoder" in core.path else tr("in")
    parts: list[Part] = [(Column("t", "t", "count"), steps)]
    if labels is not None:
        parts.append((Column("in", heading, "code"), [labels[t] if t < len(labels) else "" for t in steps]))
    return parts


def table_of(name: str, parts: Sequence[Part], title: str = "", cut_rows: int | None = None) -> Table:
    """A table of columns with their cells."""
    rows = [list(row) for row in zip(*(cells for _, cells in parts), strict=True)]
    return Table(name, [column for column, _ in parts], rows, title=title, cut_rows=cut_rows)


def recorded(core: CoreTrace) -> list[str]:
    """The states and gates that a Trace records for a module, by name."""
    return [*core.spec.states, *(f"gate.{gate}" for gate in CELLS[core.spec.cell].gates)]


def state_vectors(made: Trace, core: CoreTrace, home: str, name: str) -> Tensor:
    """The state or gate named by --variant, (T, B, size). home: l0.fwd. Raises UsageError if there is none."""
    full = f"{made.prefix(core)}{home}.{name}"
    if full not in made:
        raise UsageError(
            tr("unknown state or gate {name!r}", name=name),
            where="--variant",
            todo=tr("one of {names}", names=", ".join(recorded(core))),
        )
    return made.vectors(full)


def first_not_finite(core: CoreTrace) -> tuple[str, int] | None:
    """(`x` or `h`, first step) of the NaN or infinite values of a module: its input's, or else its output's; None: all
    are finite."""
    for name, part in (("x", "x"), ("h", "output")):
        values = torch.cat([getattr(call, part).detach() for call in core.calls])  # (T, B, .)
        steps = (~values.isfinite()).flatten(1).any(1).nonzero()
        if len(steps):
            return name, int(steps[0])
    return None


def cut_note(core: CoreTrace, T: int) -> list[Record]:
    """A note if a check covers only T steps, or if values are not finite."""
    found, name = first_not_finite(core), f"{name_of(core)}.cut_steps"
    if found is not None:
        text = tr("{core}: {what} is NaN or infinite, first at t={t}; steps compared: {n}",
                  core=name_of(core), what=found[0], t=found[1], n=T)  # fmt: skip
        return [Message(text, "warning", name=name)]
    if core.num_steps == T:
        return []
    text = trn(
        "{core}: only the first {n} step is compared; beyond that, rounding alone changes the results",
        "{core}: only the first {n} steps are compared; beyond that, rounding alone changes the results",
        core=name_of(core),
        n=T,
    )
    return [Message(text, "note", name=name)]


def replay_check(made: Trace) -> Check:
    """All comparisons of the replay with the modules as one check: the largest difference and its tolerance."""
    worst = max(made.checks, key=lambda check: ratio((check.diff or 0.0, check.tol or 0.0)))
    ok = all(check.ok for check in made.checks)
    others = {name_of_reference(core.module, core.spec) for core in made.cores if core.spec.torch_class is None}
    text = tr("replay = torch module: values and gradients")
    if others:
        text = tr("replay = {other}: values and gradients", other=", ".join(sorted(others)))
    return Check("replay", ok, text, worst.diff, worst.tol)

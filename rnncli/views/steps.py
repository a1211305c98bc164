"""steps: the per-step table: token, x_t, gates, c_t, h_t, and the prediction."""

from __future__ import annotations

from torch import Tensor

from rnncli.cells import CELLS, Step
from rnncli.errors import UsageError
from rnncli.locale import tr, trn
from rnncli.nn.frontends import OneHot
from rnncli.records import Checks, Column, Message, Record, Table
from rnncli.render import symbols
from rnncli.render.numbers import number
from rnncli.replay import CoreTrace, Trace, trace
from rnncli.views._show import (
    Part,
    about,
    answer,
    name_of,
    place,
    places,
    replay_check,
    step_numbers,
    step_parts,
    table_of,
    unit_numbers,
)
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options

GROUP = "what it does"
ABOUT = "the per-step table: token, x_t, gates, c_t, h_t, prediction"
NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH | {"steps", "units", "layer", "direction", "core", "variant"}
ROWS = 1

TOP = 3  # predictions shown at a step; 2 if gates need the room
SHOWN = 12  # maximum number of steps in the table; half of it if each gate takes a line


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    if options.variant not in (None, "both"):
        raise UsageError(
            tr("unknown variant {name!r}", name=options.variant),
            where="--variant",
            todo=tr("both: torch and paper"),
        )
    made = subject.trace()
    said: dict[str, str] = {}
    records: list[Record] = []
    for core in subject.cores(made, options.core):
        forms = CELLS[core.spec.cell].two_forms
        if options.variant is not None and forms is None:
            raise UsageError(tr("--variant is only for gru, not {cell}", cell=core.spec.cell), where="--variant")
        records.append(Message(about(subject, core), name=f"{name_of(core)}.about"))
        for layer, direction in places(core.spec, options, top=options.variant is not None or core.num_steps > 1):
            if options.variant == "both" and forms is not None:
                text, table = _both_forms(subject, made, core, forms, layer, direction, options)
                said[f"{name_of(core)} {place(layer, direction)}"] = text
                records.append(table)
            else:
                said[f"{name_of(core)} {place(layer, direction)}"] = _answer(subject, made, core, layer, direction)
                records.append(_steps(subject, made, core, layer, direction, options))
        records.append(Message(core.spec.equation, "formula", name=f"{name_of(core)}.equation"))
    return [*answer(said), *records, Checks([replay_check(made)])]


def _answer(subject: Subject, made: Trace, core: CoreTrace, layer: int, direction: int) -> str:
    """Mean gates and largest states over the steps of the first row."""
    T, home, cell = subject.length(core, 0), f"{made.prefix(core)}{place(layer, direction)}", CELLS[core.spec.cell]
    found = []
    for gate in cell.gates:
        values = made[f"{home}.gate.{gate}"][:T, 0].double()
        signed = bool((values < 0).any())
        found.append((f"|{gate}| " if signed else f"{gate} ") + number(float(values.abs().mean())))
    largest = []
    for state in reversed(core.spec.states):
        sizes = made.vectors(f"{home}.{state}")[:T, 0].double().abs().amax(1)  # (T,)
        largest.append(f"|{state}_t| {number(float(sizes.max()))} (t={int(sizes.argmax())})")
    text = trn("Over {n} step: at most {largest}", "Over {n} steps: at most {largest}",
               n=T, largest=", ".join(largest))  # fmt: skip
    return text + (tr("; on average {gates}.", gates=", ".join(found)) if found else tr("."))


def _steps(subject: Subject, made: Trace, core: CoreTrace, layer: int, direction: int, options: Options) -> Table:
    prefix, home = made.prefix(core), place(layer, direction)
    steps = step_numbers(options, subject.length(core, 0))
    parts = step_parts(subject, core, steps)
    gates = CELLS[core.spec.cell].gates
    answers = _answers(subject, core, steps) if layer == core.spec.num_layers - 1 else []
    if gates:  # tall on most screens: columns before the first vector share a line
        parts += answers
    if layer == 0:
        one_hot = any(isinstance(module, OneHot) for module in subject.model.modules())
        # a one-hot row equals its token: show only one if both do not fit
        column = Column("x", "x_t", "vector", optional=one_hot and not gates)
        parts.append((column, _vectors(made[f"{prefix}x"], steps)))
    for gate in gates:
        values = made[f"{prefix}{home}.gate.{gate}"]
        parts.append((Column(f"gate.{gate}", gate, "vector"), _vectors(values, steps, options)))
    for state, shape in reversed(core.spec.states.items()):
        label = f"{state}_t" if len(shape) == 1 else tr("row norms of {state}_t", state=state)
        values = made.vectors(f"{prefix}{home}.{state}")
        parts.append((Column(state, label, "vector"), _vectors(values, steps, options)))
    if not gates:
        parts += answers
    title = "" if core.spec.num_layers * core.spec.num_directions == 1 else f"{name_of(core)} {home}"
    cut = SHOWN // 2 if gates and options.steps is None else SHOWN
    return table_of(f"{name_of(core)}.{home}", parts, title, cut)


def _vectors(values: Tensor, steps: list[int], options: Options = Options()) -> list[list[float]]:
    """The chosen units of the first row at these steps. values: (T, B, size)."""
    found: list[list[float]] = values[steps, 0][:, unit_numbers(options, values.shape[2])].double().tolist()
    return found


def _answers(subject: Subject, core: CoreTrace, steps: list[int]) -> list[Part]:
    """The most likely predictions at each step with their probabilities, if scores belong to this module's steps."""
    scores, names = subject.step_scores(core.num_steps), subject.names.answers
    if names is None or scores is None:
        return []
    k = min(TOP - bool(CELLS[core.spec.cell].gates), len(names))
    best = scores[steps, 0].double().softmax(1).topk(k, dim=1)  # (steps, k)
    indices, p = best.indices.tolist(), best.values.tolist()
    found: list[Part] = [(Column("predicted", tr("predicted"), "code"), [names[row[0]] for row in indices])]
    found.append((Column("p", "p"), [row[0] for row in p]))
    others = (Column("second", tr("second"), "text"), Column("third", tr("third"), "text", optional=True))
    for n, column in enumerate(others[: k - 1], 1):
        texts = [f"{symbols.token(names[i[n]])} {q[n]:.4f}" for i, q in zip(indices, p, strict=True)]
        found.append((column, texts))
    targets = subject.step_targets(core.num_steps)
    if targets is not None:
        found.append((Column("target", tr("target"), "code"), [targets[t] for t in steps]))
    return found


def _both_forms(
    subject: Subject,
    made: Trace,
    core: CoreTrace,
    forms: tuple[Step, Step],
    layer: int,
    direction: int,
    options: Options,
) -> tuple[str, Table]:
    """torch's GRU compared with the paper's, same weights and input: a sentence and a table."""
    name = f"{made.prefix(core)}{place(layer, direction)}.h"
    ours, theirs = (trace(subject.model, subject.batch, check=False, step=step)[name][:, 0] for step in forms)
    steps = step_numbers(options, subject.length(core, 0))
    units = unit_numbers(options, ours.shape[1])
    parts = [
        *step_parts(subject, core, steps),
        (Column("torch", tr("h_t, torch: r after the product"), "vector"), ours[steps][:, units].tolist()),
        (Column("paper", tr("h_t, Cho 2014: r before it"), "vector"), theirs[steps][:, units].tolist()),
        (Column("diff", tr("apart"), "diff"), (ours - theirs)[steps].abs().amax(1).tolist()),
    ]
    apart = float((ours - theirs).abs().max())
    text = tr("Neither is wrong; nn.GRU uses the first form. With the same weights, their h differ by up to {d}.",
              d=number(apart))  # fmt: skip
    return text, table_of(f"{name_of(core)}.both", parts, cut_rows=SHOWN)

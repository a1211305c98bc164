"""steps: the per-step table: token, x_t, gates, c_t, h_t, and the prediction."""

from __future__ import annotations

from torch import Tensor

from rnncli.cells import CELLS, Step
from rnncli.errors import UsageError
from rnncli.locale import tr, trn
from rnncli.nn.frontends import OneHot
from rnncli.records import Checks, Column, Entry, Message, Record, Table
from rnncli.render import symbols
from rnncli.render.numbers import number
from rnncli.replay import CoreTrace, Trace, trace
from rnncli.views._show import (
    about,
    answer,
    label_cell,
    label_column,
    name_of,
    place,
    places,
    replay_check,
    step_numbers,
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
    labels = subject.labels(core)
    columns = [Column("t", "t", "count"), *label_column(labels, core)]
    cells: list[list[Entry]] = [[t, *label_cell(labels, t)] for t in steps]
    gates = CELLS[core.spec.cell].gates
    answers: tuple[list[Column], list[list[Entry]]] = ([], [[] for _ in steps])
    if layer == core.spec.num_layers - 1:
        answers = _answers(subject, core, steps)
    if gates:  # tall on most screens: columns before the first vector share a line
        _append(columns, cells, *answers)
    if layer == 0:
        one_hot = any(isinstance(module, OneHot) for module in subject.model.modules())
        # a one-hot row equals its token: show only one if both do not fit
        columns.append(Column("x", "x_t", "vector", optional=one_hot and not gates))
        _add(cells, made[f"{prefix}x"][:, 0], steps, None)
    for gate in gates:
        columns.append(Column(f"gate.{gate}", gate, "vector"))
        _add(cells, made[f"{prefix}{home}.gate.{gate}"][:, 0], steps, options)
    for state, shape in reversed(core.spec.states.items()):
        label = f"{state}_t" if len(shape) == 1 else tr("row norms of {state}_t", state=state)
        columns.append(Column(state, label, "vector"))
        _add(cells, made.vectors(f"{prefix}{home}.{state}")[:, 0], steps, options)
    if not gates:
        _append(columns, cells, *answers)
    title = "" if core.spec.num_layers * core.spec.num_directions == 1 else f"{name_of(core)} {home}"
    cut = SHOWN // 2 if gates and options.steps is None else SHOWN
    return Table(f"{name_of(core)}.{home}", columns, cells, title=title, cut_rows=cut)


def _append(columns: list[Column], cells: list[list[Entry]], more: list[Column], values: list[list[Entry]]) -> None:
    columns += more
    for row, added in zip(cells, values, strict=True):
        row += added


def _add(cells: list[list[Entry]], values: Tensor, steps: list[int], options: Options | None) -> None:
    units = list(range(values.shape[1])) if options is None else unit_numbers(options, values.shape[1])
    for row, t in zip(cells, steps, strict=True):
        row.append(values[t, units].double().tolist())


def _answers(subject: Subject, core: CoreTrace, steps: list[int]) -> tuple[list[Column], list[list[Entry]]]:
    """The most likely predictions at each step with their probabilities, if scores belong to this module's steps."""
    scores, names = subject.step_scores(core.num_steps), subject.names.answers
    if names is None or scores is None:
        return [], [[] for _ in steps]
    k = min(TOP - bool(CELLS[core.spec.cell].gates), len(names))
    best = scores[:, 0].double().softmax(1).topk(k, dim=1)  # (T, k)
    columns = [Column("predicted", tr("predicted"), "code"), Column("p", "p")]
    columns += [Column("second", tr("second"), "text")] * (k > 1)
    columns += [Column("third", tr("third"), "text", optional=True)] * (k > 2)
    targets = subject.step_targets(core.num_steps)
    rows: list[list[Entry]] = []
    for t in steps:
        indices, values = best.indices[t].tolist(), best.values[t].tolist()
        others = [f"{symbols.token(names[i])} {p:.4f}" for i, p in zip(indices[1:], values[1:], strict=True)]
        rows.append([names[indices[0]], values[0], *others])
    if targets is not None:
        columns.append(Column("target", tr("target"), "code"))
        for t, row in zip(steps, rows, strict=True):
            row.append(targets[t])
    return columns, rows


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
    labels = subject.labels(core)
    rows: list[list[Entry]] = []
    for t in steps:
        diff = float((ours[t] - theirs[t]).abs().max())
        rows.append([t, *label_cell(labels, t), ours[t, units].tolist(), theirs[t, units].tolist(), diff])
    columns = [
        Column("t", "t", "count"),
        *label_column(labels, core),
        Column("torch", tr("h_t, torch: r after the product"), "vector"),
        Column("paper", tr("h_t, Cho 2014: r before it"), "vector"),
        Column("diff", tr("apart"), "diff"),
    ]
    apart = float((ours - theirs).abs().max())
    text = tr("Neither is wrong; nn.GRU uses the first form. With the same weights, their h differ by up to {d}.",
              d=number(apart))  # fmt: skip
    return text, Table(f"{name_of(core)}.both", columns, rows, cut_rows=SHOWN)

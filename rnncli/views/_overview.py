"""`inspect TARGET` without a view: contents, behavior and the list of views, on one screen."""

from __future__ import annotations

import math

from torch import nn

from rnncli.cells import CoreSpec, spec_of
from rnncli.locale import tr, trn
from rnncli.nn.evaluate import evaluating
from rnncli.nn.frontends import OneHot, TokenEmbedding
from rnncli.records import Checks, Column, Commands, Message, Page, Record, Table
from rnncli.render import symbols
from rnncli.render.lines import cells, pad, wrap
from rnncli.render.numbers import number, size
from rnncli.replay import CoreTrace
from rnncli.views import shapes as shapes_view
from rnncli.views._page import applies, paged
from rnncli.views._show import joined, name_of, place, replay_check, step_parts, table_of
from rnncli.views._subject import Subject
from rnncli.views._view import Options, about_views

ROWS = 10  # of stages and steps together, on one screen
STAGES = 6  # maximum number of stages
SAMPLE = 14  # characters shown of the sample
MOST = 4  # numbers of h, leaving room for predictions
ROOM = 26  # maximum length of a formula
LISTED = 74  # width of the views of a group and its name: 80 minus "more"


def overview(subject: Subject) -> Page:
    made = subject.trace()
    core = subject.main(made)
    stages = _stages(subject)
    # both tables fit one screen of 24 rows
    taken = min(len(stages.rows), STAGES)
    steps = _steps(subject, core, ROWS - taken)
    records: list[Record] = [Message(_about(subject, core), name="about"), stages, steps]
    records.append(Checks([replay_check(made)]))
    groups = {tr(group): [name for name, _ in listed] for group, listed in about_views().items()}
    width = max(map(cells, groups)) + 2
    lines = [
        (pad(title if k == 0 else "", width) + line, "")
        for title, names in groups.items()
        for k, line in enumerate(wrap("  ".join(name for name in names if applies(name, subject)), LISTED - width))
    ]
    records.append(Commands(tr("more"), [(f"rnncli inspect {subject.command} VIEW", ""), *lines]))
    return paged("overview", subject, Options(), records)


def _about(subject: Subject, core: CoreTrace) -> str:
    if subject.task is None or subject.config is None:
        return ", ".join(f"{path or spec.cell}: {spec}" for path, spec in subject.specs.items())
    parts = [subject.config.task]
    B, labels = core.calls[0].x.shape[1], subject.labels(core)
    if B > 1:
        parts[0] += ", " + tr("{n} examples", n=B)
    if labels is None:
        parts[0] += ", " + trn("{n} step", "{n} steps", n=core.num_steps)
    else:
        parts[0] += ": " + joined(labels, SAMPLE)
    answers, targets = subject.names.answers, subject.batch.targets
    if answers is not None and targets is not None and not targets.is_floating_point():
        ids = (targets if targets.dim() == 1 else targets[:, 0]).tolist()
        parts[0] += " -> " + joined([answers[i] for i in ids if 0 <= i < len(answers)], SAMPLE)
    known = subject.names.inputs
    if known is not None and all(len(token) == 1 for token in known) and len(known) <= 8:
        parts.append(tr("characters: {characters}", characters=" ".join(map(symbols.token, known))))
    loss = _loss(subject)
    return "   ".join([*parts, loss] if loss else parts)


def _stages(subject: Subject) -> Table:
    """The stages of the view `shapes`, one or two lines each."""
    found = shapes_view.stages(subject.model, subject.batch, subject.layout)
    rows: list[tuple[str, str, str, int | None, str]] = []
    for stage in found:
        if stage.module is None:
            continue
        name, gives = stage.name, stage.gives or [("", "", 0)]
        if isinstance(stage.module, OneHot | TokenEmbedding):
            kind = "one-hot" if isinstance(stage.module, OneHot) else tr("embedding")
            name, gives = tr("input"), [(kind, gives[0][1], 0)]
        spec = spec_of(stage.module)
        gives = [part for part in gives if part[0] not in ("packed x", "batch_sizes")] or gives
        for k, (what, dims, _) in enumerate(gives):
            what = "output" if what == "packed output" else what
            if k == 0:
                formula = stage.formula if len(stage.formula) <= ROOM else tr("see view params")
                rows.append((name, what, dims, stage.parameters, formula))
                continue
            before = rows[-1]
            if before[1].endswith("_n") and what.endswith("_n") and before[2] == dims:
                # an LSTM's c_n has the shape of h_n, except with a projection
                rows[-1] = (name, f"{before[1]}, {what}", *before[2:])
            else:
                rows.append(
                    (name, what, dims, None, _rule(spec, stage.module) if what == "h_n" and spec is not None else "")
                )
    columns = [
        Column("stage", tr("stage"), "text", once=True),
        Column("gives", tr("gives"), "text"),
        Column("shape", "", "shape"),
        Column("parameters", tr("parameters"), "count"),
        Column("formula", "", "text"),
    ]
    bytes_ = sum(stage.parameter_bytes for stage in found)
    flops = sum(stage.flops for stage in found)
    count = sum(stage.parameters for stage in found)
    rows.append((tr("total"), "", "", count, f"{size(bytes_)}, {flops:,} FLOPs"))
    return Table(
        "stages", columns, rows, cut_rows=None if len(rows) <= STAGES else STAGES - 2
    )  # the ellipsis and a note take two rows


def _rule(spec: CoreSpec, module: nn.Module) -> str:
    """The layer and direction of each row of h_n."""
    end = "output[:, -1]" if getattr(module, "batch_first", False) else "output[-1]"
    if spec.num_layers * spec.num_directions == 1:
        return f"h_n[0] = {end}"
    if not spec.bidirectional:
        return f"h_n[-1] = {end}"
    return tr("h_n[k]: layer k // 2")


def _steps(subject: Subject, core: CoreTrace, room: int) -> Table:
    """t, token, h_t of the top layer, and the prediction if there is one at every step."""
    spec, made = core.spec, subject.trace()
    home = f"{made.prefix(core)}{place(spec.num_layers - 1, 0)}.h"
    h = made[home][:, 0, :MOST].double()  # (T, at most MOST)
    T = subject.length(core, 0)
    parts = step_parts(subject, core, range(T))
    label = "h_t" if len(made.cores) == 1 else f"h_t ({name_of(core)})"
    if spec.state_size > MOST:
        label += ", " + tr("{n} of {H} units", n=MOST, H=spec.state_size)
    parts.append((Column("h", label, "vector"), h[:T].tolist()))
    predictions, targets = subject.step_predictions(core.num_steps), subject.step_targets(core.num_steps)
    if predictions is not None:
        parts.append((Column("predicted", tr("predicted"), "code"), [answer for answer, _ in predictions[:T]]))
        parts.append((Column("p", "p", optional=True), [p for _, p in predictions[:T]]))
        if targets is not None:
            parts.append((Column("target", tr("target"), "code"), targets[:T]))
    # the ellipsis and a note take two rows
    return table_of("steps", parts, cut_rows=None if room >= T else room - 2)


def _loss(subject: Subject) -> str:
    """The task's loss on this batch, and the loss of guessing uniformly."""
    task, batch, answers = subject.task, subject.batch, subject.names.answers
    if task is None or batch.targets is None:
        return ""
    with evaluating(subject.model):
        found = task.loss(subject.config, subject.model, batch, None)
    text = tr("loss {value}", value=number(float(found.total) / found.count))
    scores = subject.outputs.scores
    if answers is not None and batch.targets.numel() == scores.numel() // scores.shape[-1]:  # one prediction per target
        text += tr(", ln {n} = {value}", n=len(answers), value=number(math.log(len(answers))))
    return text

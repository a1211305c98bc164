"""what-if: change gates or states during the run, and compare predictions and where the two runs diverge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from rnncli.cells import CELLS, weights_of
from rnncli.data.batch import Batch
from rnncli.errors import UsageError
from rnncli.locale import tr, trn
from rnncli.records import Checks, Column, Commands, Entry, Message, Record, Table
from rnncli.replay import CoreTrace, Trace, trace
from rnncli.replay.changes import Change, Value, changes_of, parse_key, resolve
from rnncli.replay.intercept import changeable
from rnncli.views._answers import compared
from rnncli.views._inputs import encoded, features_of_file, random_features, random_steps
from rnncli.views._show import about, replay_check
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options

GROUP = "what it does"
ABOUT = "change gates or states at some steps, and compare predictions"
NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH | {"change", "from_input"}
ROWS = 1

SHOWN = 14


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    before = subject.trace()
    if options.change is None:
        if options.from_input is not None:
            raise UsageError(tr("--from-input needs --change"), where="--from-input", todo="--change h@2=other")
        return [*_choices(subject, before), Checks([replay_check(before)])]
    patch = _patch(subject, before, options.change, options.from_input)
    after = trace(subject.model, subject.batch, check=False, patch=patch)
    answer, table = compared(subject, before.result, after.result)
    changes = changes_of(patch, before.homes)
    said = "\n".join(_said(change, text) for change, text in zip(changes, options.change, strict=True))
    return [
        answer,
        Message(about(subject, subject.main(before)), "note", name="about"),
        Message(said, "note", name="changes"),
        table,
        _parting(subject, before, after, {change.name for change in changes}),
        Checks([replay_check(before)]),
    ]


# parsing


def _patch(subject: Subject, before: Trace, typed: tuple[str, ...], other_input: str | None) -> dict[str, Value]:
    """Raises UsageError for a missing change, an invalid value, or `other` without --from-input or vice versa."""
    split = [_split(text) for text in typed]
    wants = any(value == "other" for _, value in split)
    if wants and other_input is None:
        raise UsageError(tr("`other` needs --from-input"), where="--change", todo='--from-input "..."')
    if other_input is not None and not wants:
        raise UsageError(tr("--from-input is not used by any change"), where="--from-input", todo="--change h@2=other")
    other = None
    if other_input is not None:
        other = trace(subject.model, _batch_of(subject, other_input), check=False)
    patch: dict[str, Value] = {}
    for key, value in split:
        if key in patch:
            raise UsageError(tr("the same change twice: {text!r}", text=key), where="--change")
        key_, value_ = (key, _value(value, key)) if other is None or value != "other" else _of(before, other, key)
        patch[key_] = value_
    return patch


def _batch_of(subject: Subject, text: str) -> Batch:
    """The batch of another input, as for --input. Raises UsageError, DataError."""
    if subject.task is not None and subject.config is not None and subject.fitted is not None:
        batch = encoded(subject.task, subject.config, subject.fitted, [text])
    elif not subject.batch.inputs.is_floating_point():
        raise UsageError(
            tr("this module reads token ids, not numbers"),
            where="--from-input",
            todo=tr("compare two traces: rnncli.trace(module, x, patch=...)"),
        )
    elif text.startswith("random:"):
        batch = random_features(random_steps(text), 1, tuple(subject.batch.inputs.shape[2:]), subject.seed + 1)
    else:
        batch = features_of_file(text, subject.batch.inputs.shape[2])
    return replace(batch, inputs=batch.inputs.to(subject.dtype)) if batch.inputs.is_floating_point() else batch


def _split(text: str) -> tuple[str, str]:
    key, sign, value = text.rpartition("=")
    if not sign:
        parse_key(text)
        raise UsageError(
            tr("missing value in {text!r}", text=text), where="--change", todo=tr("for example {text}=0", text=text)
        )
    return key.strip(), value.strip()


def _value(text: str, key: str) -> Value:
    low, dots, high = text.partition("..")
    try:
        if not dots:
            return float(text)
        return _clamp(float(low) if low else None, float(high) if high else None)
    except ValueError as error:
        raise UsageError(
            tr("not a valid value: {text!r}", text=text),
            where=f"--change {key}",
            todo=tr("use a number, a range such as -1..1, or `other` with --from-input"),
        ) from error


def _clamp(low: float | None, high: float | None) -> Callable[[Tensor], Tensor]:
    if (low is None and high is None) or (low is not None and high is not None and low > high):
        raise ValueError
    return lambda now: now.clamp(low, high)


def _of(before: Trace, other: Trace, key: str) -> tuple[str, Value]:
    """A change to the values of another run at the same steps; an open end stops at the shorter run."""
    change = changes_of({key: 0.0}, before.homes)[0]
    name = resolve(change.name, other.homes)
    steps = list(other.step_tensors(name).values())
    T = before.homes[name][0].num_steps
    stop = min(T, len(steps)) if change.stop is None else change.stop
    if change.start >= min(stop, len(steps)) or stop > len(steps):
        raise UsageError(
            trn("the other input has {n} step", "the other input has {n} steps", n=len(steps)),
            where=f"--change {key}",
        )
    value = torch.stack(steps[change.start : stop])  # (T', B, H ...)
    if change.units is not None:
        value = value[:, :, list(change.units)]
    _, units, _ = parse_key(key)
    return f"{name}{'' if units is None else f'[{units}]'}@{change.start}:{stop}", value


def _said(change: Change, typed: str) -> str:
    """`l0.fwd.gate.f, unit 3, at all steps = 1`."""
    if change.units is None:
        units = tr("all units")
    else:
        shown = ", ".join(map(str, change.units[:8])) + (" ..." if len(change.units) > 8 else "")
        units = tr("unit {n}", n=shown) if len(change.units) == 1 else tr("units {n}", n=shown)
    if change.stop is not None:
        steps = tr("at step {t}", t=change.start)
        if change.stop > change.start + 1:
            steps = tr("at steps {first} to {last}", first=change.start, last=change.stop - 1)
    else:
        steps = tr("from step {t} on", t=change.start) if change.start else tr("at all steps")
    value = typed.rpartition("=")[2].strip()
    if value == "other":
        value = tr("the other input's values")
    return tr("changed: {name}, {units}, {steps}: {value}", name=change.name, units=units, steps=steps, value=value)


# results


def _parting(subject: Subject, before: Trace, after: Trace, changed: set[str]) -> Table:
    """For the first example: the first step (in reading order) at which the two runs differ and the largest difference,
    for the scores, every state, and every changed gate."""
    one, two = (subject.read(made.result).scores.detach() for made in (before, after))
    rows = [_row(tr("scores"), *(t[:, 0] if t.dim() > 2 else t[:1] for t in (one, two)), steps=one.dim() > 2)]
    for name, (core, _, direction, part) in before.homes.items():
        if name in after.homes and (part in core.spec.states or name in changed):
            rows.append(_row(name, before[name][:, 0], after[name][:, 0], backwards=direction == 1))
    columns = [
        Column("name", tr("state"), "text"),
        Column("first", tr("first difference at t"), "count"),
        Column("diff", tr("largest"), "number"),
        Column("at", tr("at t"), "count"),
    ]
    return Table("parting", columns, rows, title=tr("where the two runs diverge"), cut_rows=SHOWN)


def _row(name: str, one: Tensor, two: Tensor, *, steps: bool = True, backwards: bool = False) -> list[Entry]:
    """one, two: (T, ...); lengths may differ."""
    T = min(len(one), len(two))
    apart = (two[:T] - one[:T]).abs().flatten(1).amax(1).double()  # (T,)
    moved = apart.nonzero().flatten().tolist() if steps else []
    if not moved:
        return [name, None, float(apart.max()), None]
    return [name, moved[-1 if backwards else 0], float(apart.max()), int(apart.argmax())]


def _choices(subject: Subject, made: Trace) -> list[Record]:
    """What can be changed, and its syntax."""
    rows: list[list[Entry]] = []
    found = {core.path: changeable(core.spec, weights_of(core.module)) for core in made.cores}
    for name, (core, _, _, part) in made.homes.items():
        key, words = part.removeprefix("gate."), CELLS[core.spec.cell].about
        if key in found[core.path]:
            value = made[name]
            low, high = float(value.min()), float(value.max())
            rows.append(
                [name, tr(words[key]) if key in words else "", float(value.shape[2]), float(core.num_steps), low, high]
            )
    columns = [
        Column("name", tr("name"), "text"),
        Column("what", tr("description"), "text", optional=True),
        Column("units", tr("units"), "count"),
        Column("steps", tr("steps"), "count"),
        Column("min", "min"),
        Column("max", "max"),
    ]
    examples = _examples(subject, made.cores[0], found[made.cores[0].path])
    return [
        Message(tr("Nothing is changed yet. --change accepts:"), name="about"),
        Table("choices", columns, rows, cut_rows=SHOWN),
        Commands(tr("next"), examples),
    ]


def _examples(subject: Subject, core: CoreTrace, names: list[str]) -> list[tuple[str, str]]:
    spec = core.spec
    lone = spec.num_layers * spec.num_directions == 1
    place = "" if lone else f"l{spec.num_layers - 1}.fwd."
    gates = [f"gate.{gate}" for gate in CELLS[spec.cell].gates if gate in names]
    lines = [
        (f"rnncli inspect {subject.command} what-if --change CHANGE", ""),
        (f'"{place}h[0]=0"', tr("unit 0 removed")),
    ]
    if gates:
        lines.append((f'"{place}{gates[0]}=1"', tr("a gate fixed at 1")))
    return [*lines, (f'"{place}h@1=other" --from-input INPUT', tr("state from another input"))]

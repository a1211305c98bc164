"""The model's predictions in two runs over one batch, side by side: a sentence, then a table."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rnncli.locale import sentences, tr, trn
from rnncli.records import Column, Entry, Message, Table
from rnncli.render.numbers import number
from rnncli.views._show import Part, table_of
from rnncli.views._subject import Subject

TOP = 3
SHOWN = 12


def compared(subject: Subject, first: object, second: object) -> tuple[Message, Table]:
    """Compare the predictions for the first sample. first, second: outputs of the model."""
    before, after = subject.read(first).scores.detach(), subject.read(second).scores.detach()
    names = subject.names.answers
    if names is not None and before.shape[-1] == len(names) and before.dim() == 2:
        return _one(names, *(scores[0].double().softmax(0) for scores in (before, after)))
    if names is not None and before.shape[-1] == len(names) and before.dim() == 3:
        return _each(subject, names, *(scores[:, 0].double().softmax(1) for scores in (before, after)))
    if subject.task is not None:
        before, after = (
            subject.task.in_units(subject.config, subject.fitted, subject.batch, scores) for scores in (before, after)
        )
    if before.dim() == 2:  # (B, N)
        return _number(before[0].double(), after[0].double())
    return _numbers(*(scores[:, 0].double().flatten(1) for scores in (before, after)))


def _one(names: Sequence[str], before: Tensor, after: Tensor) -> tuple[Message, Table]:
    """Compare one prediction for the whole sample. before, after: (C,), probabilities."""
    a, b = int(before.argmax()), int(after.argmax())
    if a == b:
        text = tr(
            "The prediction stays {name}; its probability changes from {p} to {q}.",
            name=names[a], p=number(float(before[a])), q=number(float(after[a])),
        )  # fmt: skip
    else:
        text = tr(
            "The prediction changes from {a} ({p}) to {b} ({q}).",
            a=names[a], p=number(float(before[a])), b=names[b], q=number(float(after[b])),
        )  # fmt: skip
    k = min(TOP, len(names))
    kept = dict.fromkeys([*before.topk(k).indices.tolist(), *after.topk(k).indices.tolist()])
    rows: list[list[Entry]] = [[names[i], float(before[i]), float(after[i]), float(after[i] - before[i])] for i in kept]
    columns = [
        Column("answer", tr("answer"), "code"),
        Column("before", tr("p before")),
        Column("after", tr("p after")),
        Column("change", tr("change")),
    ]
    return Message(text, "answer", name="answer"), Table("answers", columns, rows)


def _each(subject: Subject, names: Sequence[str], before: Tensor, after: Tensor) -> tuple[Message, Table]:
    """Compare a prediction at every step. before, after: (T, C); a decoder may write more or fewer steps than
    before."""
    T, most = min(len(before), len(after)), max(len(before), len(after))
    best = [scores.max(1) for scores in (before, after)]
    differ = [t for t in range(T) if int(best[0].indices[t]) != int(best[1].indices[t])]
    if differ:
        text = trn(
            "{n} of {T} predictions changes, at t={t}.", "{n} of {T} predictions change, the first at t={t}.",
            n=len(differ), T=T, t=differ[0],
        )  # fmt: skip
    else:
        apart = (after[:T] - before[:T]).abs().amax(1)
        text = tr(
            "No prediction changes; the largest change of a probability is {d}, at t={t}.",
            d=number(float(apart.max())), t=int(apart.argmax()),
        )  # fmt: skip
    if len(before) != len(after):
        text = sentences([text, tr("It writes {n} tokens instead of {m}.", n=len(after), m=len(before))])
    # output steps are input steps, unless a decoder reads what is given
    labels = None if "given" in subject.batch.extra else subject.input_labels(most)
    parts: list[Part] = [(Column("t", "t", "count"), range(most))]
    if labels is not None:
        parts.append((Column("in", tr("in"), "code"), labels))
    for key, heading, (p, indices) in zip(("before", "after"), (tr("unchanged"), tr("changed")), best, strict=True):
        beyond = [None] * (most - len(p))
        parts.append((Column(key, heading, "code"), [*(names[k] for k in indices.tolist()), *beyond]))
        parts.append((Column(f"p_{key}", "p"), [*p.tolist(), *beyond]))
    parts.append((Column("differs", "", "text"), ["*" if t in differ else "" for t in range(most)]))
    return Message(text, "answer", name="answer"), table_of("answers", parts, cut_rows=SHOWN)


def _number(before: Tensor, after: Tensor) -> tuple[Message, Table]:
    """Compare plain numbers for the whole sample, (N,)."""
    apart = float((after - before).abs().max())
    text = (
        tr("The prediction changes by at most {d}.", d=number(apart))
        if apart
        else tr("The prediction does not change.")
    )
    parts: list[Part] = [
        (Column("before", tr("unchanged"), "vector"), [before.tolist()]),
        (Column("after", tr("changed"), "vector"), [after.tolist()]),
        (Column("apart", tr("apart")), [apart]),
    ]
    return Message(text, "answer", name="answer"), table_of("answers", parts)


def _numbers(before: Tensor, after: Tensor) -> tuple[Message, Table]:
    """Compare plain numbers at every step, (T, N)."""
    T = min(len(before), len(after))
    apart = (after[:T] - before[:T]).abs().amax(1)
    moved = apart.nonzero().flatten().tolist()
    if moved:
        text = tr(
            "The prediction changes by at most {d}, at step {t}; the first difference is at step {first}.",
            d=number(float(apart.max())), t=int(apart.argmax()), first=moved[0],
        )  # fmt: skip
    else:
        text = tr("The prediction does not change.")
    parts: list[Part] = [
        (Column("t", tr("step"), "count"), range(T)),
        (Column("before", tr("unchanged"), "vector"), before[:T].tolist()),
        (Column("after", tr("changed"), "vector"), after[:T].tolist()),
        (Column("apart", tr("apart")), apart.tolist()),
    ]
    return Message(text, "answer", name="answer"), table_of("answers", parts, cut_rows=SHOWN)

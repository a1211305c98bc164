"""attention: the decoder's attention for each output word, as a heat map of the alignment."""

from __future__ import annotations

from rnncli.locale import tr
from rnncli.records import Check, Checks, Column, Entry, HeatMap, Record, Table
from rnncli.replay.rounding import FACTOR, unit
from rnncli.views._show import replay_check
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options

GROUP = "what it does"
ABOUT = "a decoder's attention for each output word, as a heat map"
NEEDS: frozenset[str] = frozenset({"attention"})
OPTIONS = BATCH | {"steps"}
ROWS = 1

SHOWN = 16


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    made = subject.trace()
    outputs = subject.outputs
    assert outputs.attention is not None
    weights = outputs.attention.detach()[:, 0].double()  # (S, T): output, input
    source = _source(subject, weights.shape[1])
    written = _written(subject, weights.shape[0])
    steps = list(range(weights.shape[0])) if options.steps is None else list(range(weights.shape[0])[options.steps])
    rows: list[list[Entry]] = []
    for s in steps:
        best = int(weights[s].argmax())
        rows.append([s, written[s], source[best], float(weights[s, best])])
    columns = [
        Column("step", "s", "count"),
        Column("written", tr("written"), "code"),
        Column("read", tr("most attended"), "code"),
        Column("weight", tr("weight"), "bar"),
    ]
    sums = float((weights.sum(1) - 1).abs().max())
    # a softmax divides by a sum of T terms, whose rounding grows like the square root of T (Higham, Mary 2019)
    tol = FACTOR * unit(outputs.attention.dtype, subject.dtype) * (1 + weights.shape[1] ** 0.5)
    check = Check("sum", sums <= tol, tr("the attention weights of every output word sum to 1"), sums, tol)
    return [
        HeatMap(
            "alignment",
            [weights[s].tolist() for s in steps],
            [written[s] for s in steps],
            source,
            tr("written"),
            tr("read"),
            cut_rows=SHOWN,
        ),
        Table("looked_at", columns, rows, cut_rows=SHOWN),
        Checks([check, replay_check(made)]),
    ]


def _source(subject: Subject, T: int) -> list[str]:
    ids, tokens = subject.batch.inputs, subject.names.inputs
    if tokens is None or ids.dim() != 2 or ids.is_floating_point() or ids.shape[0] != T:
        return [str(t) for t in range(T)]
    return [tokens[i] for i in ids[:, 0].tolist()]


def _written(subject: Subject, S: int) -> list[str]:
    answers, scores = subject.names.answers, subject.outputs.scores
    if answers is None or scores.dim() != 3 or scores.shape[0] != S or scores.shape[2] != len(answers):
        return [str(s) for s in range(S)]
    return [answers[i] for i in scores[:, 0].argmax(1).tolist()]

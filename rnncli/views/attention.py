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
    S, T = weights.shape
    source = subject.input_labels(T) or [str(t) for t in range(T)]
    written = subject.step_answers(S) or [str(s) for s in range(S)]
    steps = list(range(S)[options.steps or slice(None)])
    largest, best = weights.max(1)
    rows: list[list[Entry]] = [[s, written[s], source[int(best[s])], float(largest[s])] for s in steps]
    columns = [
        Column("step", "s", "count"),
        Column("written", tr("written"), "code"),
        Column("read", tr("most attended"), "code"),
        Column("weight", tr("weight"), "bar"),
    ]
    sums = float((weights.sum(1) - 1).abs().max())
    # a softmax divides by a sum of T terms, whose rounding grows like the square root of T (Higham, Mary 2019)
    tol = FACTOR * unit(outputs.attention.dtype, subject.dtype) * (1 + T**0.5)
    check = Check("sum", sums <= tol, tr("the attention weights of every output word sum to 1"), sums, tol)
    shown, names = weights[steps].tolist(), [written[s] for s in steps]
    picture = HeatMap("alignment", shown, names, source, tr("written"), tr("read"), cut_rows=SHOWN)
    return [picture, Table("looked_at", columns, rows, cut_rows=SHOWN), Checks([check, replay_check(made)])]

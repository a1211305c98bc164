"""transitions: a CRF's transition scores between labels, as a heat map."""

from __future__ import annotations

from rnncli.locale import tr
from rnncli.nn.crf import crf_of
from rnncli.records import Column, Entry, HeatMap, Record, Table
from rnncli.views._subject import Subject
from rnncli.views._view import Options

GROUP = "what is in it"
ABOUT = "a CRF's transition scores between labels, as a heat map"
NEEDS: frozenset[str] = frozenset({"crf"})
OPTIONS: frozenset[str] = frozenset()
ROWS = 1

SHOWN = 24  # labels in the heat map
EXTREMES = 6  # pairs at each end of the table


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    crf, labels = crf_of(subject.model), subject.names.answers
    assert crf is not None
    assert labels is not None
    scores = crf.transitions.detach().double()  # (C, C)
    start, end = crf.start.detach().double(), crf.end.detach().double()
    values = [[*row, last] for row, last in zip(scores.tolist(), end.tolist(), strict=True)]
    start_row: list[float] = [*start.tolist(), float("nan")]  # rows are never empty
    pairs = sorted((value, i, j) for i, row in enumerate(scores.tolist()) for j, value in enumerate(row))
    n = min(EXTREMES, len(pairs) // 2)
    best, worst = pairs[: -n - 1 : -1], pairs[:n]
    rows: list[list[Entry]] = [[labels[i], labels[j], value] for value, i, j in (*best, *reversed(worst))]
    columns = [Column("label", tr("label"), "code"), Column("next", tr("next"), "code"), Column("score", tr("score"))]
    before, after, title = [tr("start"), *labels], [*labels, tr("end")], tr("transition score of each pair of labels")
    axes = tr("label (rows)"), tr("next label")
    heatmap = HeatMap("transitions", [start_row, *values], before, after, *axes, title, cut_rows=SHOWN)
    return [heatmap, Table("extremes", columns, rows, title=tr("highest and lowest"))]

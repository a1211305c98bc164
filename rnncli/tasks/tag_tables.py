"""Tables of a tagger's predictions: one row step by step, every tag, every kind of entity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rnncli.data.vocab import Vocab
from rnncli.locale import tr
from rnncli.records import Column, Entry, Table
from rnncli.tasks.entities import Found
from rnncli.tasks.labels import precision_recall_f1

if TYPE_CHECKING:
    from torch import Tensor

    from rnncli.tasks.inputs.sentences import Row

SHOWN = 16  # steps of the example, and tags of the table, shown at the end of a run


def one_row(row: Row, answers: Sequence[int], probs: Tensor, labels: Vocab) -> Table:
    """A row step by step. answers: a label for each. probs: (T, C), of each label."""
    table: list[list[Entry]] = []
    for t, (token, target) in enumerate(zip(*row, strict=True)):
        others = probs[t].clone()
        others[answers[t]] = -1.0
        second, p = int(others.argmax()), float(others.max())
        name = labels.decode([answers[t], second])
        rest = f"{name[1]} {p:.4f}" if len(labels) > 1 else ""
        table.append([t, token, target, name[0], float(probs[t, answers[t]]), rest])
    columns = [
        Column("t", "t", "count"),
        Column("in", tr("in"), "code"),
        Column("target", tr("target"), "code"),
        Column("predicted", tr("predicted"), "code"),
        Column("p", "p"),
        Column("second", tr("second"), "text"),
    ]
    return Table("sample", columns, table, cut_rows=SHOWN)


def by_tag(pairs: Iterable[tuple[str, str]]) -> Table:
    """Precision, recall and F1 of every tag, most frequent first. pairs: (true label, prediction)."""
    both = Counter(pairs)
    target, predicted = Counter[str](), Counter[str]()
    for (label, answer), n in both.items():
        target[label] += n
        predicted[answer] += n
    rows = [(label, n, both[label, label], predicted[label]) for label, n in target.most_common()]
    return _table("by-tag", [Column("tag", tr("tag"), "code"), Column("words", tr("words"), "count")], rows)


def by_entity(found: Found) -> Table:
    """The same for every kind of entity."""
    rows = [(kind, n, found.right[kind], found.predicted[kind]) for kind, n in found.target.most_common()]
    columns = [Column("entity", tr("entity"), "code"), Column("entities", tr("entities"), "count")]
    return _table("by-entity", columns, rows)


def _table(name: str, columns: list[Column], counts: Iterable[tuple[str, int, int, int]]) -> Table:
    """counts: (name, true, correct, predicted)."""
    rows: list[list[Entry]] = [
        [kind, n, *precision_recall_f1(right, predicted, n)] for kind, n, right, predicted in counts
    ]
    figures = [Column("precision", tr("precision")), Column("recall", tr("recall")), Column("f1", "F1")]
    return Table(name, [*columns, *figures], rows, cut_rows=SHOWN)

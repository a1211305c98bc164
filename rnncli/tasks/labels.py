"""Labels: their vocabulary, rows with labels known from training, and the confusion matrix."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rnncli.data.pictures import Confusion
from rnncli.data.skipped import Skipped
from rnncli.data.vocab import Vocab
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.records import Column, Entry, Record, Table

if TYPE_CHECKING:
    from torch import Tensor

SHOWN_CLASSES = 24  # in the confusion matrix; more classes: the most frequent mistakes as a table
SHOWN_MISTAKES = 12


def label_vocab(labels: Iterable[str], where: str, todo: str = "", key: Callable[[str], Any] | None = None) -> Vocab:
    """The classes of the training split, sorted by `key`. Raises DataError if there is only one."""
    found = Vocab(tuple(sorted(set(labels), key=key)))
    if len(found) < 2:
        label = repr("".join(found.tokens))
        raise DataError(tr("the training split has only one class, {label}", label=label), where=where, todo=todo)
    return found


def known_rows(
    found: Iterable[str], labels: Vocab, place: Callable[[int], str], name: str, skipped: Skipped, notes: list[str]
) -> tuple[array[int], array[int]]:
    """(rows, their class ids) of the rows of split `name` whose class occurs in training; others are bad records, with
    a note. found: the rows' labels. place: row -> location."""
    rows, targets = array("q"), array("i")
    for row, label in enumerate(found):
        if label in labels:
            skipped.good()
            rows.append(row)
            targets.append(labels.id(label))
        else:
            skipped.bad(place(row), tr("class {label} is not in the training split", label=repr(label)))
    skipped.finish(name)
    notes += skipped.all_notes()
    return rows, targets


def confusion_counts(targets: Sequence[int], answers: Tensor, num_classes: int) -> Tensor:
    """The confusion matrix as counts, (C true, C predicted). answers: (rows,)."""
    import torch

    pairs = torch.tensor(targets, dtype=torch.int64) * num_classes + answers
    return torch.bincount(pairs, minlength=num_classes * num_classes).view(num_classes, num_classes)


def macro_f1(counts: Tensor) -> float:
    """Macro-F1: mean of F1 = 2 TP / (2 TP + FP + FN) over the classes that occur in truth or predictions (same as
    scikit-learn's f1_score(average="macro")). counts: (C true, C predicted)."""
    both = counts.sum(0) + counts.sum(1)  # (C,), 2 TP + FP + FN
    present = both > 0
    return float((2 * counts.diag()[present] / both[present]).mean())


def matthews(counts: Tensor) -> float:
    """Matthews correlation coefficient for any number of classes: R_K of Gorodkin 2004, equation 8 (same as
    scikit-learn's matthews_corrcoef). 1 is perfect, 0 no better than guessing by frequency; also 0 if truth or
    prediction is constant. counts: (C true, C predicted)."""
    counts = counts.double()
    true, predicted, n = counts.sum(1), counts.sum(0), counts.sum()
    both = counts.diag().sum() * n - true @ predicted
    spread = (n * n - true @ true) * (n * n - predicted @ predicted)
    return float(both / spread.sqrt()) if spread > 0 else 0.0


def precision_recall_f1(right: int, predicted: int, target: int) -> tuple[float, float, float]:
    """Division that gives 0 for a zero denominator."""
    both = predicted + target
    return (
        right / predicted if predicted else 0.0,
        right / target if target else 0.0,
        2 * right / both if both else 0.0,
    )


def mistakes(found: Confusion) -> Record:
    """The confusion matrix; with very many classes, the most frequent mistakes."""
    labels = found.labels
    if len(labels) <= SHOWN_CLASSES:
        return found.shown()
    wrong = Counter({(i, j): n for i, row in enumerate(found.counts) for j, n in enumerate(row) if n and i != j})
    columns = [
        Column("target", tr("true class"), "text"),
        Column("predicted", tr("predicted"), "text"),
        Column("count", tr("rows"), "count"),
    ]
    table: list[list[Entry]] = [[labels[i], labels[j], n] for (i, j), n in wrong.most_common(SHOWN_MISTAKES)]
    return Table("confusion", columns, table, title=tr("the most frequent mistakes"))

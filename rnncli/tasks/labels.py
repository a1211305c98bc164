"""Labels: their vocabulary, which rows have one that training knows, and what was taken for what."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rnncli.data.pictures import confusion
from rnncli.data.skipped import Skipped
from rnncli.data.vocab import Vocab
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.records import Column, Record, Table

if TYPE_CHECKING:
    from torch import Tensor

SHOWN_CLASSES = 24  # in the confusion matrix; more classes: the most frequent mistakes as a table
SHOWN_MISTAKES = 12


def label_vocab(labels: Iterable[str], where: str, todo: str = "", key: Callable[[str], Any] | None = None) -> Vocab:
    """The classes of the training part, in the order of `key`. Raises DataError: there is one only."""
    found = Vocab(tuple(sorted(set(labels), key=key)))
    if len(found) < 2:
        label = repr("".join(found.tokens))
        raise DataError(tr("the training part has one class only, {label}", label=label), where=where, todo=todo)
    return found


def known_rows(
    labels_of_rows: Iterable[str], labels: Vocab, place: Callable[[int], str], name: str, skipped: Skipped
) -> tuple[array[int], array[int]]:
    """(rows, their classes) of those rows of the part `name` whose class training has; others are bad records. place:
    row -> where it stands."""
    rows, targets = array("q"), array("i")
    for row, label in enumerate(labels_of_rows):
        if label in labels:
            skipped.good()
            rows.append(row)
            targets.append(labels.id(label))
        else:
            skipped.bad(place(row), tr("class {label} is not in the training part", label=repr(label)))
    skipped.finish(name)
    return rows, targets


def confusion_counts(targets: Sequence[int], answers: Tensor, num_classes: int) -> Tensor:
    """How many rows of each class were taken for each class, (C true, C predicted). answers: (rows,)."""
    import torch

    pairs = torch.tensor(targets, dtype=torch.int64) * num_classes + answers
    return torch.bincount(pairs, minlength=num_classes * num_classes).view(num_classes, num_classes)


def macro_f1(counts: Tensor) -> float:
    """The mean of the classes' F1 = 2 TP / (2 TP + FP + FN), over the classes that stand in truth or prediction (what
    scikit-learn's f1_score(average="macro") gives). counts: (C true, C predicted)."""
    both = counts.sum(0) + counts.sum(1)  # (C,), 2 TP + FP + FN
    present = both > 0
    return float((2 * counts.diag()[present] / both[present]).mean())


def matthews(counts: Tensor) -> float:
    """Matthews' correlation of truth and prediction for any number of classes: R_K of Gorodkin 2004, equation 8 (what
    scikit-learn's matthews_corrcoef gives). 1 is perfect, 0 no better than a guess by frequency; 0, too, where truth or
    prediction is always the same. counts: (C true, C predicted)."""
    counts = counts.double()
    true, predicted, n = counts.sum(1), counts.sum(0), counts.sum()
    both = counts.diag().sum() * n - true @ predicted
    spread = (n * n - true @ true) * (n * n - predicted @ predicted)
    return float(both / spread.sqrt()) if spread > 0 else 0.0


def precision_recall_f1(right: int, predicted: int, target: int) -> tuple[float, float, float]:
    """0 where there is nothing to divide by."""
    both = predicted + target
    return (
        right / predicted if predicted else 0.0,
        right / target if target else 0.0,
        2 * right / both if both else 0.0,
    )


def mistakes(counts: Tensor, labels: Sequence[str]) -> Record:
    """The confusion matrix as shares of each true class; with very many classes, the most frequent mistakes."""
    if len(labels) <= SHOWN_CLASSES:
        return confusion(counts.tolist(), labels)
    wrong = counts.clone()
    wrong.fill_diagonal_(0)
    most = Counter({(i, j): int(wrong[i, j]) for i, j in wrong.nonzero().tolist()}).most_common(SHOWN_MISTAKES)
    columns = [
        Column("target", tr("true class"), "text"),
        Column("predicted", tr("predicted"), "text"),
        Column("count", tr("rows"), "count"),
    ]
    table = [[labels[i], labels[j], n] for (i, j), n in most]
    return Table("confusion", columns, table, title=tr("the most frequent mistakes"))

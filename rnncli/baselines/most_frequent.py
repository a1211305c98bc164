"""Most frequent prediction: overall, or for each input symbol."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

ReadT = TypeVar("ReadT")
LabelT = TypeVar("LabelT", str, int)


def most_frequent(counts: Counter[LabelT]) -> LabelT:
    """Ties are broken alphabetically."""
    return min(counts, key=lambda label: (-counts[label], label))


def most_frequent_of_each(pairs: Iterable[tuple[ReadT, LabelT]]) -> tuple[dict[ReadT, LabelT], LabelT]:
    """The most frequent label of each input, and overall. pairs: (input, label), at least one."""
    seen: defaultdict[ReadT, Counter[LabelT]] = defaultdict(Counter)
    overall: Counter[LabelT] = Counter()
    for read, label in pairs:
        seen[read][label] += 1
        overall[label] += 1
    return {read: most_frequent(labels) for read, labels in seen.items()}, most_frequent(overall)


def majority(targets: Sequence[int], num_classes: int) -> Tensor:
    """Log probabilities of the classes by training frequency, (C,) float64."""
    import torch

    shares = torch.bincount(torch.tensor(targets), minlength=num_classes).double()
    return (shares / shares.sum()).log()

"""Entities: stretches of tokens that BIO or BIOES tags mark (B-PER I-PER O), and how many of them were found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rnncli.tasks.labels import precision_recall_f1

_TAG = re.compile(r"[BIES]-.+")
OUTSIDE = "O"


class Entity(NamedTuple):
    """Tokens start ... stop of a row, of that kind."""

    kind: str
    start: int
    stop: int


def are_entity_tags(labels: Iterable[str]) -> bool:
    """Whether labels mark entities: O and B-, I-, E- or S- with a kind, O and one that begins an entity among them."""
    labels = set(labels)
    begins = any(label[:2] in ("B-", "I-", "S-") for label in labels)
    return OUTSIDE in labels and begins and all(label == OUTSIDE or _TAG.fullmatch(label) for label in labels)


def entities(tags: Sequence[str]) -> Iterator[Entity]:
    """The entities of a row, read as conlleval does and seqeval by default: an I- or E- after O or after another kind
    begins one, too, so that nothing a model says is lost. Ramshaw, Marcus 1995 (BIO); Tjong Kim Sang 2000."""
    start, kind, closed = 0, "", True  # of the entity that is open
    for i, tag in enumerate([*tags, OUTSIDE]):
        prefix, _, here = tag.partition("-")
        begins = prefix in ("B", "S") or closed or here != kind
        if not closed and (prefix == OUTSIDE or begins):
            yield Entity(kind, start, i)
        if prefix == OUTSIDE:
            closed, kind = True, ""
            continue
        if begins:
            start, kind = i, here
        closed = prefix in ("E", "S")
        if closed:
            yield Entity(kind, start, i + 1)


class Found:
    """How many entities of each kind there are, were said to be there, and were found exactly: same kind, same first
    and last token."""

    def __init__(self) -> None:
        self.target: Counter[str] = Counter()
        self.predicted: Counter[str] = Counter()
        self.right: Counter[str] = Counter()

    def add(self, target: Sequence[str], predicted: Sequence[str]) -> None:
        """One row's tags."""
        wanted, said = set(entities(target)), set(entities(predicted))
        self.target.update(entity.kind for entity in wanted)
        self.predicted.update(entity.kind for entity in said)
        self.right.update(entity.kind for entity in wanted & said)

    def metrics(self) -> dict[str, float]:
        """Over all entities, whatever their kind (micro average)."""
        right, said, wanted = (sum(counts.values()) for counts in (self.right, self.predicted, self.target))
        precision, recall, f1 = precision_recall_f1(right, said, wanted)
        return {"f1": f1, "precision": precision, "recall": recall}

"""Entity spans marked by BIO or BIOES tags (B-PER I-PER O), and their scores."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rnncli.tasks.labels import precision_recall_f1

_TAG = re.compile(r"[BIES]-.+")
OUTSIDE = "O"


class Entity(NamedTuple):
    """Tokens start ... stop of a row, with an entity kind."""

    kind: str
    start: int
    stop: int


def are_entity_tags(labels: Iterable[str]) -> bool:
    """Whether labels mark entities: only O and B-, I-, E- or S- with a kind, including O and a label that starts an
    entity."""
    labels = set(labels)
    begins = any(label[:2] in ("B-", "I-", "S-") for label in labels)
    return OUTSIDE in labels and begins and all(label == OUTSIDE or _TAG.fullmatch(label) for label in labels)


def entities(tags: Sequence[str]) -> Iterator[Entity]:
    """The entities of a row, as in conlleval and seqeval's default mode: an I- or E- after O or after another kind also
    starts an entity, so that no predicted label is lost. Ramshaw, Marcus 1995 (BIO); Tjong Kim Sang 2000."""
    start, kind, closed = 0, "", True  # of the open entity
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
    """Per kind: entities in the data, predicted entities, and exact matches (same kind, same first and last token)."""

    def __init__(self) -> None:
        self.target: Counter[str] = Counter()
        self.predicted: Counter[str] = Counter()
        self.right: Counter[str] = Counter()

    def add(self, target: Sequence[str], predicted: Sequence[str]) -> None:
        """Add the tags of one row."""
        wanted, said = set(entities(target)), set(entities(predicted))
        self.target.update(entity.kind for entity in wanted)
        self.predicted.update(entity.kind for entity in said)
        self.right.update(entity.kind for entity in wanted & said)

    def metrics(self) -> dict[str, float]:
        """Over all entities, whatever their kind (micro average)."""
        right, said, wanted = (sum(counts.values()) for counts in (self.right, self.predicted, self.target))
        precision, recall, f1 = precision_recall_f1(right, said, wanted)
        return {"f1": f1, "precision": precision, "recall": recall}

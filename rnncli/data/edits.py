"""Edit distance: character and word error rates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence


def edit_distance(found: Sequence[Hashable], wanted: Sequence[Hashable]) -> int:
    """The minimum number of insertions, deletions and substitutions that turn one into the other (Levenshtein 1966).

    Bit-parallel (Myers 1999, in the form of Hyyrö 2003, figure 3): bit i of `up` and `down` says whether the distance
    rises or falls from row i to the next; Python's integers are as wide as there are rows.
    """
    if not wanted:
        return len(found)
    places: dict[Hashable, int] = defaultdict(int)
    for i, token in enumerate(wanted):
        places[token] |= 1 << i
    last, every = 1 << (len(wanted) - 1), (1 << len(wanted)) - 1
    up, down, distance = every, 0, len(wanted)
    for token in found:
        same = places.get(token, 0)
        zero = (((same & up) + up) ^ up) | same | down
        right_up, right_down = down | (every & ~(zero | up)), up & zero
        distance += bool(right_up & last) - bool(right_down & last)
        right_up, right_down = (right_up << 1 | 1) & every, (right_down << 1) & every
        up, down = right_down | (every & ~(zero | right_up)), right_up & zero
    return distance


def error_rates(pairs: Iterable[tuple[str, str]]) -> tuple[float, float]:
    """(CER, WER) over (prediction, reference) pairs: total edits over total characters or words of the references."""
    edits, sizes = [0, 0], [0, 0]
    for found, wanted in pairs:
        for i, (a, b) in enumerate(((found, wanted), (found.split(), wanted.split()))):
            edits[i] += edit_distance(a, b)
            sizes[i] += len(b)
    return edits[0] / sizes[0], edits[1] / sizes[1]

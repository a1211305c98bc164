"""From the states that a network visits to an automaton: clusters of h, split until a symbol leads from each to one.

After Weiss, Goldberg and Yahav 2018, "Extracting automata from recurrent neural networks using queries and
counterexamples" (arXiv:1711.09576): states begin as one cluster for each answer, and a cluster is split where the same
symbol leads from it to several. They split by a support vector machine, with the words of their queries; here it is the
nearest neighbours that decide, among the states that were visited.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rnncli.data.made.automata import UNSEEN, Automaton

NEIGHBOURS = 5
STRAY = 0.02  # the share of a cluster that a symbol may lead elsewhere before it is split: answers that are wrong
TOLD_APART = 0.9  # the share of its states whose neighbours must say where it goes
MOST = 1000  # states that say where it goes
START = -1  # the state before: none


@dataclass(frozen=True)
class Visits:
    """The states of h that were visited, N of them, all words one after the other.

    h: (N, H). before: (N,) which of them came before, START at the first step of a word. symbols, answers: (N,), what
    was read there and what the network answered.
    """

    h: Tensor
    before: Tensor
    symbols: Tensor
    answers: Tensor


@dataclass(frozen=True)
class Extracted:
    """automaton: the smallest of the clusters' moves, with most of the visits. state_of: (N,) the state of each visit.
    clusters: how many there were. following: the share of steps that go where their state and symbol lead."""

    automaton: Automaton
    state_of: Tensor
    clusters: int
    following: float


def extract(visits: Visits, language: Automaton, most: int) -> Extracted:
    """The automaton that the visits follow, of at most so many clusters. language: its symbols and answers, and its
    answer before the first symbol, which no network gives."""
    cluster = torch.unique(visits.answers, return_inverse=True)[1]
    tried: set[tuple[int, int]] = set()
    while int(cluster.max()) + 1 < most:
        place = next(_astray(visits, cluster, tried), None)
        if place is None:
            break
        split = _split(visits, cluster, *place)
        if split is None:
            tried.add(place)
        else:
            cluster, tried = split, set()
    return _automaton(visits, cluster, language)


def _moves(visits: Visits, cluster: Tensor) -> dict[tuple[int, int], Counter[int]]:
    """(cluster, symbol) -> how often it leads to which cluster. Cluster START: words begin."""
    came_from = torch.where(visits.before == START, START, cluster[visits.before])
    found: dict[tuple[int, int], Counter[int]] = {}
    for before, symbol, after in zip(came_from.tolist(), visits.symbols.tolist(), cluster.tolist(), strict=True):
        found.setdefault((before, symbol), Counter())[after] += 1
    return found


def _astray(visits: Visits, cluster: Tensor, tried: set[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """(cluster, symbol) where it leads to several clusters, first the one with most steps off the most frequent."""
    moves = _moves(visits, cluster)
    off = {place: goes.total() - max(goes.values()) for place, goes in moves.items()}
    for place in sorted(off, key=lambda place: (-off[place], place)):
        if place[0] != START and place not in tried and off[place] > max(1, STRAY * moves[place].total()):
            yield place


def _split(visits: Visits, cluster: Tensor, parent: int, symbol: int) -> Tensor | None:
    """The clusters with one of them split by where a symbol leads from it; None where its states cannot be told apart.

    A state goes where most of its nearest neighbours among those that read the symbol go, itself not counted.
    """
    follows = (visits.before != START) & (visits.symbols == symbol)
    sources = visits.before[follows]  # states that the symbol was read after
    inside = cluster[sources] == parent
    sources, goes = sources[inside], cluster[follows][inside]
    members = (cluster == parent).nonzero().flatten()
    few = torch.arange(0, len(sources), 1 + len(sources) // MOST)
    sources, goes = sources[few], goes[few]
    apart = torch.cdist(visits.h[members], visits.h[sources])  # (members, sources)
    apart[members.unsqueeze(1) == sources.unsqueeze(0)] = torch.inf
    near = apart.topk(min(NEIGHBOURS, len(sources) - 1), largest=False).indices
    voted = goes[near].mode(dim=1).values  # (members,)
    guessed = torch.full_like(cluster, START)
    guessed[members] = voted
    if float((guessed[sources] == goes).double().mean()) < TOLD_APART or len(voted.unique()) == 1:
        return None
    parts = torch.unique(voted, return_inverse=True)[1]
    new = cluster.clone()
    new[members] = torch.where(parts == 0, parent, cluster.max() + parts)
    return new


def _automaton(visits: Visits, cluster: Tensor, language: Automaton) -> Extracted:
    count = int(cluster.max()) + 1
    moves = _moves(visits, cluster)
    to = {place: min(goes, key=lambda after: (-goes[after], after)) for place, goes in moves.items()}
    symbols = range(len(language.symbols))
    table = [tuple(1 + to[home, a] if (home, a) in to else UNSEEN for a in symbols) for home in (START, *range(count))]
    answers = [Counter(visits.answers[cluster == k].tolist()).most_common(1)[0][0] for k in range(count)]
    whole = Automaton(language.symbols, language.answers, tuple(table), (language.answer_of[0], *answers))
    small, words = whole.minimal(), whole.access_words()
    state_of = torch.tensor([int(small.states(words[k + 1])[-1]) if k + 1 in words else UNSEEN for k in range(count)])
    going = sum(goes[to[place]] for place, goes in moves.items())
    return Extracted(small, state_of[cluster], count, going / len(cluster))

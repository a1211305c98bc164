"""Extract an automaton from visited states: clusters of h, split until each symbol leads from a cluster to a single
one.

After Weiss, Goldberg and Yahav 2018, "Extracting automata from recurrent neural networks using queries and
counterexamples" (arXiv:1711.09576): states start as one cluster per prediction, and a cluster is split if one symbol
leads from it to several. They split by a support vector machine on the words of their queries; here nearest neighbours
among the visited states decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rnncli.data.made.automata import UNSEEN, Automaton

NEIGHBOURS = 5
STRAY = 0.02  # share of a cluster that may lead elsewhere without a split: wrong predictions
TOLD_APART = 0.9  # share of its states whose neighbours must predict the next cluster
MOST = 1000  # states used as neighbours
START = -1  # no previous state


@dataclass(frozen=True)
class Visits:
    """The N visited states of h, words concatenated.

    h: (N, H). before: (N,) index of the previous one, START at the first step of a word. symbols, answers: (N,), the
    input symbol and the prediction.
    """

    h: Tensor
    before: Tensor
    symbols: Tensor
    answers: Tensor


@dataclass(frozen=True)
class Extracted:
    """automaton: the minimal automaton of the clusters' transitions. state_of: (N,) the state of each visit. clusters:
    number of clusters. following: share of steps that follow the automaton's transitions."""

    automaton: Automaton
    state_of: Tensor
    clusters: int
    following: float


def extract(visits: Visits, language: Automaton, most: int) -> Extracted:
    """Extract the automaton of the visits, with a maximum number of clusters. language: symbols, answers, and the
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
    """(cluster, symbol) -> counts of the next cluster. START is the beginning of words."""
    came_from = torch.where(visits.before == START, START, cluster[visits.before])
    found: dict[tuple[int, int], Counter[int]] = {}
    for before, symbol, after in zip(came_from.tolist(), visits.symbols.tolist(), cluster.tolist(), strict=True):
        found.setdefault((before, symbol), Counter())[after] += 1
    return found


def _astray(visits: Visits, cluster: Tensor, tried: set[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """(cluster, symbol) pairs that lead to several clusters, sorted by the number of steps not to the most frequent
    one."""
    moves = _moves(visits, cluster)
    off = {place: goes.total() - max(goes.values()) for place, goes in moves.items()}
    for place in sorted(off, key=lambda place: (-off[place], place)):
        if place[0] != START and place not in tried and off[place] > max(1, STRAY * moves[place].total()):
            yield place


def _split(visits: Visits, cluster: Tensor, parent: int, symbol: int) -> Tensor | None:
    """Split a cluster by where a symbol leads from it; None if its states cannot be separated.

    The majority of a state's nearest neighbours that read the symbol decides, excluding the state itself.
    """
    follows = (visits.before != START) & (visits.symbols == symbol)
    sources = visits.before[follows]  # states after which the symbol was read
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

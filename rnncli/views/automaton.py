"""automaton: the states of h visited on a regular language, as an automaton, compared with the minimal one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from string import ascii_letters, digits

import torch
from torch import Tensor

from rnncli.data.batch import mask
from rnncli.data.made.automata import UNSEEN, Automaton, difference
from rnncli.locale import tr, trn
from rnncli.records import Check, Checks, Column, Diagram, Entry, Message, Record, Table
from rnncli.render.numbers import percent
from rnncli.views._extraction import START, STRAY, Extracted, Visits, extract
from rnncli.views._show import Part, about, place, places, replay_check, state_vectors, table_of
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options
from rnncli.views.embeddings import plane

GROUP = "what it does"
ABOUT = "states visited on a regular language, as an automaton, compared with the minimal one"
NEEDS: frozenset[str] = frozenset({"automaton"})
OPTIONS = BATCH | {"layer", "variant"}
ROWS = 100

POINTS = 1000  # visits plotted
WIDE = 4  # maximum number of symbols shown as columns
SHOWN = 12
EMPTY = "ε"
MORE = 8  # maximum clusters beyond twice the states of the minimal automaton


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    given = subject.automaton
    assert given is not None  # NEEDS
    language, made = given.minimal(), subject.trace()
    core = subject.main(made)
    layer, direction = places(core.spec, options, top=True)[0]
    home = place(layer, direction)
    visits = _visits(subject, state_vectors(made, core, home, options.variant or "h"))
    found = extract(visits, language, 2 * len(language.transitions) + MORE)
    names = state_names(len(found.automaton.transitions))
    return [
        Message(about(subject, core, rows=True), name="about"),
        Message(verdict(found, language), name="verdict"),
        _states(found, language, _language_states(visits, language), visits, names),
        _moves(found, language, visits, names),
        _diagram(found, visits, names),
        Checks([_same_targets(subject, given, language), replay_check(made)]),
    ]


def _visits(subject: Subject, h: Tensor) -> Visits:
    """Every state within its word, word by word. h: (T, B, H)."""
    ids, answers = subject.batch.inputs.cpu(), subject.outputs.scores.argmax(2).cpu()  # each (T, B)
    T, B = ids.shape
    lengths = subject.batch.lengths
    inside = (torch.ones(T, B, dtype=torch.bool) if lengths is None else mask(lengths, T)).t()  # (B, T)
    begins = torch.arange(T).eq(0).expand(B, T)[inside]
    before = torch.where(begins, START, torch.arange(len(begins)) - 1)
    return Visits(h.double().cpu().transpose(0, 1)[inside], before, ids.t()[inside], answers.t()[inside])


def _language_states(visits: Visits, language: Automaton) -> list[int]:
    """The state of the language's automaton at each visit, (N,)."""
    found: list[int] = []
    for before, symbol in zip(visits.before.tolist(), visits.symbols.tolist(), strict=True):
        found.append(language.transitions[0 if before == START else found[before]][symbol])
    return found


def verdict(found: Extracted, language: Automaton) -> str:
    """A sentence on whether the network's automaton is that of the language."""
    own = found.automaton
    if found.following < 1 - STRAY:
        return tr(
            "No: with {n} clusters, {share} of the steps deviate from the most frequent transition",
            n=found.clusters,
            share=percent(1 - found.following),
        )
    word = difference(own, language)
    if word is not None:
        return tr(
            "No: after {word} it predicts {answer}, but the language has {right}",
            word=_written(word, language),
            answer=language.answers[own.answer_of[own.states(word)[-1]]],
            right=language.answers[language.answer_of[language.states(word)[-1]]],
        )
    seen = sum(after != UNSEEN for row in own.transitions for after in row)
    every = len(own.transitions) * len(own.symbols)
    if seen < every:
        return tr(
            "As far as observed, yes: {seen} of {every} transitions match the minimal automaton, and none differs",
            seen=f"{seen:,}",
            every=f"{every:,}",
        )
    n = len(own.transitions)
    return trn(
        "Yes: it equals the minimal automaton of the language, which has {n} state",
        "Yes: it equals the minimal automaton of the language, which has {n} states",
        n=n,
    )


def _states(found: Extracted, language: Automaton, at: list[int], visits: Visits, names: list[str]) -> Table:
    own, reached = found.automaton, language.access_words()
    words, states = own.access_words(), found.state_of.tolist()
    there = [Counter(right for home, right in zip(states, at, strict=True) if home == k) for k in range(len(names))]
    main = [seen.most_common(1) for seen in there]
    after = [_written(words[k], own) if k in words else "" for k in range(len(names))]
    parts: list[Part] = [
        (Column("state", tr("state"), "text"), names),
        (Column("after", tr("after"), "text"), after),
        (Column("answer", tr("answer"), "text"), [own.answers[answer] for answer in own.answer_of]),
        (Column("visits", tr("visits"), "count"), [seen.total() for seen in there]),
    ]
    if len(own.symbols) <= WIDE:
        for symbol, moves in zip(own.symbols, zip(*own.transitions, strict=True), strict=True):
            column = Column(f"on {symbol}", symbol, "text", group=tr("next state on"))
            parts.append((column, [names[k] if k != UNSEEN else "" for k in moves]))
    minimal = [_written(reached[best[0][0]], language) if best else None for best in main]
    shares = [best[0][1] / seen.total() if best else None for best, seen in zip(main, there, strict=True)]
    parts.append((Column("minimal", tr("after"), "text", group=tr("minimal automaton")), minimal))
    parts.append((Column("share", tr("share"), "percent", group=tr("minimal automaton")), shares))
    caption = trn("{n} cluster of h", "{n} clusters of h", n=found.clusters)
    caption += "; " + tr("the minimal automaton: {n}", n=trn("{n} state", "{n} states", n=len(language.transitions)))
    return replace(table_of("states", parts, cut_rows=SHOWN), caption=caption)


def _moves(found: Extracted, language: Automaton, visits: Visits, names: list[str]) -> Table:
    """Every observed transition: state, symbol, next state, count."""
    states = found.state_of.tolist()
    counts: Counter[tuple[int, int, int]] = Counter()
    for before, symbol, after in zip(visits.before.tolist(), visits.symbols.tolist(), states, strict=True):
        counts[0 if before == START else states[before], symbol, after] += 1
    totals: Counter[tuple[int, int]] = Counter()
    for (home, symbol, _), n in counts.items():
        totals[home, symbol] += n
    rows: list[list[Entry]] = [
        [_name(names, home), language.symbols[symbol], _name(names, after), n, n / totals[home, symbol]]
        for (home, symbol, after), n in sorted(counts.items())
    ]
    columns = [
        Column("from", tr("from"), "text", once=True),
        Column("on", tr("on"), "text"),
        Column("to", tr("to"), "text"),
        Column("visits", tr("visits"), "count"),
        Column("share", tr("share"), "bar"),
    ]
    return Table("moves", columns, rows, cut_rows=SHOWN)


def state_names(n: int) -> list[str]:
    """A, B, C ...; numbers if there are more states than letters."""
    letters = (ascii_letters[26:] + ascii_letters[:26] + digits)[:n]
    return list(letters) if len(letters) == n else [str(k) for k in range(n)]


def _name(names: list[str], state: int) -> str:
    return names[state] if state != UNSEEN else "?"


def _written(word: tuple[int, ...], automaton: Automaton) -> str:
    symbols = [automaton.symbols[symbol] for symbol in word]
    return (" " if any(len(symbol) > 1 for symbol in symbols) else "").join(symbols) or EMPTY


def _diagram(found: Extracted, visits: Visits, names: list[str]) -> Diagram:
    """The states projected on the first two principal components of h; the start state, which is not a visit, at h_0 =
    0."""
    own, states = found.automaton, found.state_of.tolist()
    places, explained = plane(torch.cat([visits.h, torch.zeros_like(visits.h[:1])]))
    *points, start = [(x, y) for x, y in places.tolist()]
    drawn = range(0, len(points), 1 + len(points) // POINTS)
    there = [[points[k] for k in drawn if states[k] == state] for state in range(len(names))]
    means = [places[:-1][found.state_of == state].mean(0).tolist() for state in range(len(names))]
    centres = [(x, y) if there[state] else start for state, (x, y) in enumerate(means)]
    leads: dict[tuple[int, int], list[str]] = {}
    for state, moves in enumerate(own.transitions):
        for symbol, after in zip(own.symbols, moves, strict=True):
            if after != UNSEEN:
                leads.setdefault((state, after), []).append(symbol)
    title = tr("principal components, {share} of the variance", share=percent(explained))
    answers = [own.answers[answer] for answer in own.answer_of]
    return Diagram("diagram", centres, names, answers, there, {m: " ".join(on) for m, on in leads.items()}, title)


def _same_targets(subject: Subject, given: Automaton, language: Automaton) -> Check:
    """Check that the minimal automaton agrees with the language and with the batch's targets."""
    text = tr("the minimal automaton agrees with the language and the targets")
    ok, batch = difference(given, language) is None, subject.batch
    if batch.targets is not None:
        lengths = [len(batch.inputs)] * batch.size if batch.lengths is None else batch.lengths.tolist()
        for T, ids, targets in zip(lengths, batch.inputs.t().tolist(), batch.targets.t().tolist(), strict=True):
            ok = ok and language.answers_to(ids[:T]).tolist() == targets[:T]
    return Check("language", ok, text)

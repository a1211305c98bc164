"""A demo as a page of records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, product
from typing import TYPE_CHECKING

import torch

from rnncli import records
from rnncli.demos import backward, drawn, explain, proofs, screen, sheet, words
from rnncli.demos.network import Network, build
from rnncli.demos.settings import TOLERANCE, Settings, Shown, characters_of
from rnncli.locale import speaking, tr
from rnncli.replay import Trace, trace

if TYPE_CHECKING:
    from rnncli.demos.user_values import File
    from rnncli.replay.walk import Walk

SEEDS = 100  # seeds searched for the one of a different worksheet
ROWS = 20_000  # total rows of those worksheets: a few seconds


def demo_page(settings: Settings, shown: Shown, file: File | None = None, *, whole: bool = False) -> records.Page:
    """The recurrent loop on a few numbers, with checks. whole: include all tensors, for JSON and data files.

    Schema rnncli/trace/1. Raises UsageError for steps or units out of range, Missing for a missing device or memory.
    """
    net = build(settings, file)
    return _page(net, _traced(net), shown, file, whole)


def sheets(settings: Settings, shown: Shown, count: int) -> Iterator[tuple[records.Page, records.Page]]:
    """(worksheet, key) for consecutive seeds, starting with that of the settings. Raises the errors of demo_page."""
    for seed in range(settings.seed, settings.seed + count):
        net = build(replace(settings, seed=seed))
        made = _traced(net)
        yield _page(net, made, replace(shown, blanks=True)), _page(net, made, replace(shown, blanks=False))


def _page(net: Network, made: Trace, shown: Shown, file: File | None = None, whole: bool = False) -> records.Page:
    settings = net.settings
    if shown.explain_backward is not None:
        backward.require_supported(settings, file)
    config = settings.config()
    return records.Page(
        schema="rnncli/trace/1",
        title=shown.title or words.title(net),
        records=[
            *words.answers(net),
            *words.sheet_lines(net, shown),
            words.head_lines(net),
            *words.warnings_of(net),
            *_body(net, made, shown, file),
        ],
        config=config if settings.input is None else {**config, "letters": characters_of(settings.input)},
        tensors=_tensors(net, made) if whole else (),
        seed=settings.seed,
        device=str(net.x.device),
        dtype=settings.dtype,
        torch=str(torch.__version__),
    )


def demo_walk(settings: Settings, shown: Shown, file: File | None = None) -> tuple[Walk, records.Position]:
    """A walk through the same loop, and its start. Raises the errors of demo_page."""
    net = build(settings, file)
    return drawn.walk(net, _traced(net)), drawn.chosen(net, shown, 0)[0]


def _traced(net: Network) -> Trace:
    return trace(net.core, net.x, net.state if len(net.state) > 1 else net.state[0])


def _body(net: Network, made: Trace, shown: Shown, file: File | None) -> list[records.Record]:
    """The tables and checks: of every step, or the sums of some, or a drawing, or the proofs."""
    if shown.explain is not None or shown.explain_backward is not None:
        return _explained(net, made, shown) if shown.check is None else _checked(net, made, shown, file)
    if shown.draw or shown.walking:
        return (drawn.drawing if shown.draw else drawn.walked)(net, made, shown)
    if shown.proofs:
        shares, memory = proofs.gradient_shares(net), proofs.no_memory(net)
        checks = records.Checks(proofs.all_checks(net, made, shares, memory))
        return [screen.shares_table(net, shares), *screen.collapse(net), checks, words.proof_words(net, memory)]
    tables = screen.tables(net, made, shown)
    equations = [words.formulas(net)] if net.settings.single else []
    return [*tables, *equations, records.Checks(proofs.main_checks(net, made)), words.next_commands(net)]


def _explained(net: Network, made: Trace, shown: Shown) -> list[records.Record]:
    """The sums of some steps, or a worksheet with blank results."""
    found, by_hand = _explanations(net, made, shown)
    if shown.blanks:
        found = [words.formulas(net), *found]
        return [sheet.blank(record) if isinstance(record, records.Table) else record for record in found]
    notes = [words.explain_words(net)] if shown.explain is not None else []
    return [*found, records.Checks([by_hand, proofs.same_as_module(net, made)[0]]), *notes]


def _explanations(net: Network, made: Trace, shown: Shown) -> tuple[list[records.Record], records.Check]:
    explanations = explain.explanations if shown.explain is not None else backward.explanations
    return explanations(net, made, shown)


def _forms(net: Network, made: Trace, shown: Shown) -> list[sheet.Tables]:
    """The tables of a worksheet: with blanks, and the answer key."""
    pages = [_explanations(net, made, replace(shown, blanks=blanks))[0] for blanks in (True, False)]
    return [[record for record in page if isinstance(record, records.Table)] for page in pages]


def _checked(net: Network, made: Trace, shown: Shown, file: File | None) -> list[records.Record]:
    """Grade a filled-in worksheet."""
    assert shown.check is not None
    with speaking("en"):  # row names of a saved worksheet
        named = _forms(net, made, shown)

    def other(written: Sequence[str]) -> str:
        return _options_of(written, net.settings, shown, file)

    tolerance = TOLERANCE if shown.tolerance is None else shown.tolerance
    return sheet.marked(_forms(net, made, shown), named, shown.check, tolerance, other)


def _options_of(written: Sequence[str], settings: Settings, shown: Shown, file: File | None) -> str:
    """Options (--seed, --nice) of the worksheet with these sums; "" if not found among the first SEEDS seeds or within
    a total of ROWS rows."""
    kinds = (settings.nice,) if file is not None else (settings.nice, not settings.nice)
    for nice, seed in islice(product(kinds, range(SEEDS)), ROWS // max(1, len(written))):
        net = build(replace(settings, seed=seed, nice=nice), file)
        if sheet.same_numbers(written, _forms(net, _traced(net), shown)):
            options = f"--nice --seed {seed}" if nice else f"--seed {seed}"
            return tr("{options} and without --nice", options=options) if settings.nice > nice else options
    return ""


def _tensors(net: Network, made: Trace) -> list[records.Tensor]:
    """x, the initial states, every state and gate, the weights; with --input also the head and its logits."""
    found = list(made.page().tensors)
    for name, start in zip(net.spec.states, net.state, strict=True):
        axes = ("L·D", "B", *["H"] * (start.dim() - 2))
        found.insert(1, _tensor(f"{name}_0", axes, start))
    if net.head is not None:
        found.append(_tensor("head.weight", ("V", "D·H"), net.head.weight))
        found.append(_tensor("head.bias", ("V",), net.head.bias))
        found.append(_tensor("logits", ("T", "B", "V"), net.head(made["output"])))
    return found


def _tensor(name: str, axes: Sequence[str], values: torch.Tensor) -> records.Tensor:
    return records.Tensor(name, axes, tuple(values.shape), values.detach().double().tolist())

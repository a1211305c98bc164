"""A demo as one page of records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, product
from typing import TYPE_CHECKING

import torch

from rnncli import records
from rnncli.demos import backward, drawn, explain, proofs, screen, sheet, words
from rnncli.demos.network import Network, build
from rnncli.demos.settings import Settings, Shown, letters
from rnncli.locale import speaking, tr
from rnncli.replay import Trace, trace

if TYPE_CHECKING:
    from rnncli.demos.given import File
    from rnncli.replay.walk import Walk

SEEDS = 100  # among which that of another sheet is looked for
ROWS = 20_000  # of those sheets, all together: some seconds


def demo_page(settings: Settings, shown: Shown, file: File | None = None, *, whole: bool = False) -> records.Page:
    """The recurrent loop on a few numbers, and the checks on them. whole: with all tensors, for JSON and data files.

    Schema rnncli/trace/1. Raises UsageError for steps or units that are not there, Missing for a device or memory.
    """
    net = build(settings, file)
    return _page(net, _traced(net), shown, file, whole)


def sheets(settings: Settings, shown: Shown, count: int) -> Iterator[tuple[records.Page, records.Page]]:
    """(sheet, key) of as many seeds, from that of the settings on. Raises what demo_page raises."""
    for seed in range(settings.seed, settings.seed + count):
        net = build(replace(settings, seed=seed))
        made = _traced(net)
        yield _page(net, made, replace(shown, blanks=True)), _page(net, made, replace(shown, blanks=False))


def _page(net: Network, made: Trace, shown: Shown, file: File | None = None, whole: bool = False) -> records.Page:
    settings = net.settings
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
        config=config if settings.input is None else {**config, "letters": letters(settings.input)},
        tensors=_tensors(net, made) if whole else (),
        seed=settings.seed,
        device=str(net.x.device),
        dtype=settings.dtype,
        torch=str(torch.__version__),
    )


def demo_walk(settings: Settings, shown: Shown, file: File | None = None) -> tuple[Walk, records.Position]:
    """The same loop to walk through, and where the walk begins. Raises what demo_page raises."""
    net = build(settings, file)
    return drawn.walk(net, _traced(net)), drawn.chosen(net, shown, 0)[0]


def _traced(net: Network) -> Trace:
    return trace(net.core, net.x, net.state if len(net.state) > 1 else net.state[0])


def _body(net: Network, made: Trace, shown: Shown, file: File | None) -> list[records.Record]:
    """The tables and the checks: of every step, or the sums of some, or a picture, or the proofs."""
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
    """The sums of some steps; or a sheet without its results."""
    found, by_hand = _explanations(net, made, shown)
    if shown.blanks:
        found = [words.formulas(net), *found]
        return [sheet.blank(record) if isinstance(record, records.Table) else record for record in found]
    said = [words.explain_words(net)] if shown.explain is not None else []
    return [*found, records.Checks([by_hand, proofs.same_as_module(net, made)[0]]), *said]


def _explanations(net: Network, made: Trace, shown: Shown) -> tuple[list[records.Record], records.Check]:
    explanations = explain.explanations if shown.explain is not None else backward.explanations
    return explanations(net, made, shown)


def _forms(net: Network, made: Trace, shown: Shown) -> list[sheet.Tables]:
    """The tables of a sheet: as it is filled in, and as a key has them."""
    pages = [_explanations(net, made, replace(shown, blanks=blanks))[0] for blanks in (True, False)]
    return [[record for record in page if isinstance(record, records.Table)] for page in pages]


def _checked(net: Network, made: Trace, shown: Shown, file: File | None) -> list[records.Record]:
    """A filled sheet, marked."""
    assert shown.check is not None
    with speaking("en"):  # as a saved sheet names its rows
        named = _forms(net, made, shown)

    def other(written: Sequence[str]) -> str:
        return _options_of(written, net.settings, shown, file)

    return sheet.marked(_forms(net, made, shown), named, shown.check, shown.tolerance, other)


def _options_of(written: Sequence[str], settings: Settings, shown: Shown, file: File | None) -> str:
    """The seed, and --nice, whose sheet has these sums, as options; "" where it is none of the first SEEDS, or not
    among the first sheets that have ROWS rows together."""
    kinds = (settings.nice,) if file is not None else (settings.nice, not settings.nice)
    for nice, seed in islice(product(kinds, range(SEEDS)), ROWS // max(1, len(written))):
        net = build(replace(settings, seed=seed, nice=nice), file)
        if sheet.same_numbers(written, _forms(net, _traced(net), shown)):
            options = f"--nice --seed {seed}" if nice else f"--seed {seed}"
            return tr("{options} and without --nice", options=options) if settings.nice > nice else options
    return ""


def _tensors(net: Network, made: Trace) -> list[records.Tensor]:
    """x, the states at the start, every state and gate, the weights; with --input the head and its logits."""
    found = list(made.page().tensors)
    for name, start in zip(net.spec.states, net.state, strict=True):
        axes = ("L·D", "B", *["H"] * (start.dim() - 2))
        found.insert(1, records.Tensor(f"{name}_0", axes, tuple(start.shape), start.double().tolist()))
    if net.head is not None:
        weight, bias = net.head.weight.detach(), net.head.bias.detach()
        with torch.no_grad():
            logits = net.head(made["output"])
        found += [
            records.Tensor("head.weight", ("V", "D·H"), tuple(weight.shape), weight.double().tolist()),
            records.Tensor("head.bias", ("V",), tuple(bias.shape), bias.double().tolist()),
            records.Tensor("logits", ("T", "B", "V"), tuple(logits.shape), logits.double().tolist()),
        ]
    return found

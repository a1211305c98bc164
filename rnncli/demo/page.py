"""A demo as one page of records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rnncli import records
from rnncli.demo import backward, explain, proofs, screen, sheet
from rnncli.demo.network import Network, build
from rnncli.demo.settings import Settings, Shown, letters
from rnncli.locale import speaking
from rnncli.replay import Trace, trace

if TYPE_CHECKING:
    from rnncli.demo.given import File


def demo_page(settings: Settings, shown: Shown, file: File | None = None, *, whole: bool = False) -> records.Page:
    """The recurrent loop on a few numbers, and the checks on them. whole: with all tensors, for JSON and data files.

    Schema rnncli/trace/1. Raises UsageError for steps or units that are not there, Missing for a device or memory.
    """
    net = build(settings, file)
    made = trace(net.core, net.x, net.state if len(net.state) > 1 else net.state[0])
    config = settings.config()
    return records.Page(
        schema="rnncli/trace/1",
        title=screen.title(net),
        records=[
            screen.head_lines(net),
            *screen.warnings_of(net),
            *_body(net, made, shown),
        ],
        config=config if settings.input is None else {**config, "letters": letters(settings.input)},
        tensors=_tensors(net, made) if whole else (),
        seed=settings.seed,
        device=str(net.x.device),
        dtype=settings.dtype,
        torch=str(torch.__version__),
    )


def _body(net: Network, made: Trace, shown: Shown) -> list[records.Record]:
    """The tables and the checks: of every step, or the sums of some, or the proofs."""
    if shown.explain is not None or shown.explain_backward is not None:
        return _explained(net, made, shown)
    if shown.proofs:
        shares, memory = proofs.gradient_shares(net), proofs.no_memory(net)
        checks = records.Checks(proofs.all_checks(net, made, shares, memory))
        return [screen.shares_table(net, shares), *screen.collapse(net), checks, screen.proof_words(net, memory)]
    tables = screen.tables(net, made, shown)
    equations = [screen.formulas(net)] if net.settings.single else []
    return [*tables, *equations, records.Checks(proofs.main_checks(net, made)), screen.next_commands(net)]


def _explained(net: Network, made: Trace, shown: Shown) -> list[records.Record]:
    """The sums of some steps; or a sheet without its results; or a filled sheet, marked."""
    explanations = explain.explanations if shown.explain is not None else backward.explanations
    found, by_hand = explanations(net, made, shown)
    if shown.check is not None:
        with speaking("en"):  # as a saved sheet names its rows
            saved, _ = explanations(net, made, shown)
        tables, named = ([r for r in page if isinstance(r, records.Table)] for page in (found, saved))
        return sheet.marked(tables, named, shown.check, shown.tolerance)
    if shown.blanks:
        return [sheet.blank(record) if isinstance(record, records.Table) else record for record in found]
    words = [screen.explain_words(net)] if shown.explain is not None else []
    return [*found, records.Checks([by_hand, proofs.same_as_module(net, made)[0]]), *words]


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

"""--cell rnn,gru,lstm: several cells on the same x, side by side, each with the weights it has in its own demo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from rnncli import records
from rnncli.demos.network import Network, build
from rnncli.demos.proofs import same_as_module
from rnncli.demos.screen import Tables
from rnncli.demos.settings import Settings, Shown, choose
from rnncli.locale import tr, trn
from rnncli.replay import Trace, trace


def compare_page(settings_of_cells: Sequence[Settings], shown: Shown) -> records.Page:
    """h of every cell at every step, with the same x_t for all: that of the first cell's demo. Schema
    rnncli/trace/1."""
    nets = [build(settings) for settings in settings_of_cells]
    nets = [nets[0], *(replace(net, x=nets[0].x) for net in nets[1:])]
    traces = [trace(net.core, net.x, net.state if len(net.state) > 1 else net.state[0]) for net in nets]
    first = settings_of_cells[0]
    pairs = list(zip(nets, traces, strict=True))
    words = [
        trn("{core}, {n} parameter", "{core}, {n} parameters", core=str(net.spec), n=net.spec.num_parameters())
        for net in nets
    ]
    sizes = f"x (T={first.seq_len}, B={first.batch_size}, I={first.input_size})   "
    words.append(sizes + tr("the same x for all cells; each cell has its own weights"))
    checks = [
        replace(check, name=f"{net.settings.cell}.{check.name}", text=f"{net.settings.cell}: {check.text}")
        for net, made in pairs
        for check in same_as_module(net, made)[:1]
    ]
    tensors = [
        replace(tensor, name=tensor.name if tensor.name == "x" else f"{net.settings.cell}.{tensor.name}")
        for k, (net, made) in enumerate(pairs)
        for tensor in made.page().tensors
        if k == 0 or tensor.name != "x"
    ]
    return records.Page(
        schema="rnncli/trace/1",
        title=", ".join(net.settings.cell for net in nets),
        records=[records.Message("\n".join(words), name="shapes"), _table(pairs, shown), records.Checks(checks)],
        config={**first.config(), "cell": ",".join(settings.cell for settings in settings_of_cells)},
        tensors=tensors,
        seed=first.seed,
        device=str(nets[0].x.device),
        dtype=first.dtype,
        torch=str(torch.__version__),
    )


def _table(pairs: list[tuple[Network, Trace]], shown: Shown) -> records.Table:
    net = pairs[0][0]
    s = net.settings
    steps, units = choose(shown.steps, s.seq_len, "--steps"), choose(shown.units, s.hidden_size, "--units")
    tables = Tables(net, pairs[0][1], steps, units)
    columns: list[tuple[records.Column, Tensor | None]] = [tables.vector("x", "x_t", net.x, units=False, optional=True)]
    for other, made in pairs:
        cell = other.settings.cell
        for state in other.spec.states:
            matrix = made[f"l0.fwd.{state}"].dim() > 3
            label = tr("row norms of {state}_t", state=state) if matrix else f"{state}_t"
            values = made.vectors(f"l0.fwd.{state}")[:, :, units]
            columns.append(tables.vector(f"{cell}.{state}", label, values, units=False, group=cell))
    return replace(tables.table("steps", columns), caption="")

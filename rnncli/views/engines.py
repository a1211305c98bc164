"""engines: the same weights run by every engine, beside the cell loop in float64: outputs, states, every gradient."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rnncli.cells import CoreSpec, State
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.nn.engines import ENGINES
from rnncli.nn.recurrent import Core, PlainCore, run_by
from rnncli.records import Check, Checks, Column, Message, Record, Table
from rnncli.replay import CoreTrace, tolerance
from rnncli.views import BATCH, Options
from rnncli.views._show import about, name_of, replay_check
from rnncli.views._subject import Subject

GROUP = "is it right"
ABOUT = "every engine against the cell loop in float64: outputs, states, gradients"
NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH | {"core"}
ROWS = 4

LOOP = "loop"  # what the others are compared with
SHOWN = 24


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    made = subject.trace()
    records: list[Record] = []
    checks: list[Check] = []
    for core in subject.cores(made, options.core):
        if len(core.calls) > 1 or not isinstance(core.module, (nn.RNNBase, PlainCore)):
            continue  # a step at a time: the replay's own check compares those with torch's cell
        records.append(Message(about(subject, core), name=f"{name_of(core)}.about"))
        table, found = _table(core, core.module)
        records.append(table)
        checks += found
    note = tr("each number: the largest difference from the cell loop in float64, relative where numbers exceed 1")
    where = tr(
        "to read: the cell loop is {loop}; bptt, backpropagation through time written out, is {bptt}",
        loop="rnncli/cells/",
        bptt="rnncli/nn/engines/bptt.py",
    )
    notes = [Message(note, "note", name="how"), Message(where, "note", name="where")]
    return [*records, *notes, Checks([*checks, replay_check(made)])]


def engines_for(core: Core, spec: CoreSpec) -> list[str]:
    """The engines that can run this core, the cell loop first."""
    found = []
    for engine in sorted(ENGINES, key=lambda name: (name != LOOP, name)):
        try:
            with torch.no_grad():
                x = torch.zeros(1, 1, spec.input_size).to(next(core.parameters()))
                run_by(engine, core, x)
        except (UsageError, ValueError):
            continue
        found.append(engine)
    return found


def _table(core: CoreTrace, module: Core) -> tuple[Table, list[Check]]:
    spec, name = core.spec, name_of(core)
    x, lengths = core.calls[0].x.detach(), core.lengths
    exact = copy.deepcopy(module).double()
    exact.__dict__.pop("forward", None)
    reference = _everything(exact, spec, x.double(), lengths, core.calls[0].initial, LOOP)
    engines = engines_for(module, spec)
    found = {engine: _everything(module, spec, x, lengths, core.calls[0].initial, engine) for engine in engines}
    tol = tolerance(x.dtype, spec.hidden_size + spec.input_size)
    rows: list[list[Any]] = []
    for key in reference:
        allowed = tol if not key.startswith("d") else 10 * tol
        rows.append([key, *[_relative(found[engine][key], reference[key]) for engine in engines], allowed])
    columns = [
        Column("what", tr("what"), "text"),
        *[Column(engine, _label(engine, module), "diff") for engine in engines],
        Column("tol", tr("tolerance"), "diff"),
    ]
    checks = []
    for k, engine in enumerate(engines, 1):
        worst = max(rows, key=lambda row: row[k] / row[-1])
        ok = all(row[k] <= row[-1] for row in rows)
        text = tr("{core}: engine {engine} = the cell loop in float64", core=name, engine=engine)
        checks.append(Check(f"{name}-{engine}", ok, text, worst[k], worst[-1]))
    return Table(f"{name}.engines", columns, rows, cut_rows=SHOWN), checks


def _label(engine: str, module: Core) -> str:
    return {LOOP: tr("cell loop"), "torch": f"nn.{type(module).__name__}"}.get(engine, engine)


def _everything(
    module: Core, spec: CoreSpec, x: Tensor, lengths: Tensor | None, initial: State, engine: str
) -> dict[str, Tensor]:
    """Outputs, last states, and the gradients of one fixed random functional of them towards all there is."""
    names = [name for name, _ in module.named_parameters()]
    x = x.clone().requires_grad_()
    state = tuple(tensor.detach().to(x.dtype).clone().requires_grad_() for tensor in initial)
    training = module.training
    module.train()  # cuDNN refuses a backward pass in eval mode; no dropout: there is none inside a core's own kernel
    dropout, module.dropout = module.dropout, 0.0
    try:
        with torch.enable_grad():
            output, last = run_by(engine, module, x, lengths, state)
            generator = torch.Generator().manual_seed(0)
            weights: Callable[[Tensor], Tensor] = lambda t: torch.randn(t.shape, generator=generator).to(t)  # noqa: E731
            loss = torch.stack([(weights(part) * part).sum() for part in (output, *last)]).sum()
            wanted = [x, *state, *module.parameters()]
            grads = torch.autograd.grad(loss, wanted, allow_unused=True)
    finally:
        module.train(training)
        module.dropout = dropout
    found = {"output": output, **{f"{name}_n": tensor for name, tensor in zip(spec.states, last, strict=True)}}
    keys = ["dx", *(f"d{name}_0" for name in spec.states), *(f"d{name}" for name in names)]
    for key, tensor, grad in zip(keys, wanted, grads, strict=True):
        found[key] = torch.zeros_like(tensor) if grad is None else grad
    return {key: value.detach() for key, value in found.items()}


def _relative(ours: Tensor, theirs: Tensor) -> float:
    if not ours.numel():
        return 0.0
    difference = (ours.double() - theirs).abs().masked_fill(ours.isnan() & theirs.isnan(), 0.0)
    finite = theirs[theirs.isfinite()].abs()
    return float(difference.max()) / max(1.0, float(finite.max()) if finite.numel() else 1.0)

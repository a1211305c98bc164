"""engines: the same weights in every engine, compared with the cell loop in float64: outputs, states, every
gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rnncli.cells import CoreSpec, State, weights_of
from rnncli.errors import Missing, UsageError
from rnncli.locale import tr, trn
from rnncli.nn.engines import ENGINES
from rnncli.nn.recurrent import Core, PlainCore, run_by
from rnncli.records import Check, Checks, Column, Entry, Message, Record, Table
from rnncli.render.numbers import diff
from rnncli.replay import CoreTrace, eps_of, exact_copy, functional_gradients, plain_copy, run_core, run_reference
from rnncli.replay.reference import Run
from rnncli.replay.rounding import TELLING, checked, function_rounding, largest, most_apart
from rnncli.views._show import about, answer, cut_note, name_of, replay_check
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options

GROUP = "is it right"
ABOUT = "every engine compared with the cell loop in float64: outputs, states, gradients"
NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH | {"core"}
ROWS = 4

LOOP = "loop"  # what the others are compared with
SHOWN = 24


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    made = subject.trace()
    records: list[Record] = []
    checks: list[Check] = []
    said: dict[str, str] = {}
    for core in subject.cores(made, options.core):
        if len(core.calls) > 1 or not isinstance(core.module, (nn.RNNBase, PlainCore)):
            continue  # stepwise modules: the replay's check compares those with torch's cell
        records.append(Message(about(subject, core), name=f"{name_of(core)}.about"))
        module: Core = core.module
        if isinstance(module, nn.RNNBase) and dict(module.named_parameters()).keys() != core.spec.all_shapes().keys():
            module = cast(Core, plain_copy(module))  # the weights that a parametrized module computes with
        shown, found = _table(core, module)
        said[name_of(core)] = _answer(module, found)
        records += shown
        checks += found
    note = tr("each number: the largest difference from the cell loop in float64, relative to the largest value")
    where = tr(
        "source: the cell loop is {loop}; bptt, explicit backpropagation through time, is {bptt}",
        loop="rnncli/cells/",
        bptt="rnncli/nn/engines/bptt.py",
    )
    notes = [Message(note, "note", name="how"), Message(where, "note", name="where")]
    return [*answer(said), *records, *notes, Checks([*checks, replay_check(made)])]


def _answer(module: Core, found: Sequence[Check]) -> str:
    """found: a check per engine; differences are relative to the largest value."""
    if not found:
        return tr("Unknown: no step has only finite values.")
    by_engine = {check.name.rpartition("-")[2]: check for check in found}
    wrong = [name for name, check in by_engine.items() if not check.ok]
    if wrong:
        return trn("No: {engines} differs from the cell loop by more than rounding can.",
                   "No: {engines} differ from the cell loop by more than rounding can.",
                   n=len(wrong), engines=", ".join(_label(name, module) for name in wrong))  # fmt: skip
    name = "torch" if "torch" in by_engine else next(reversed(by_engine))
    return tr("Yes, up to rounding: {engine} is at most {d} from the cell loop in float64 (tol {tol}).",
              engine=_label(name, module), d=diff(by_engine[name].diff or 0.0, 1),
              tol=diff(by_engine[name].tol or 0.0, 1))  # fmt: skip


def engines_for(core: Core, spec: CoreSpec) -> list[str]:
    """The engines that can run this core, the cell loop first."""
    found = []
    for engine in sorted(ENGINES, key=lambda name: (name != LOOP, name)):
        try:
            with torch.no_grad():
                x = torch.zeros(1, 1, spec.input_size).to(weights_of(core).like)
                run_by(engine, core, x)
        except (Missing, UsageError, ValueError):
            continue
        found.append(engine)
    return found


def _table(core: CoreTrace, module: Core) -> tuple[list[Record], list[Check]]:
    spec, name = core.spec, name_of(core)
    T, exact, costs = _costs(core, module)
    if not T:
        return cut_note(core, T), []
    x, initial = core.calls[0].x.detach()[:T], core.calls[0].initial
    lengths = None if core.lengths is None else core.lengths.clamp(max=T)
    like = next(exact.parameters())
    true = _everything(exact, spec, x.to(like), lengths, initial, _loop)
    engines = engines_for(module, spec)
    found = {engine: _everything(module, spec, x, lengths, initial, _engine(engine)) for engine in engines}
    rows: list[tuple[str, list[float], float]] = []  # quantity, difference per engine, tolerance
    for key, cost in zip(_keys(exact, spec), costs, strict=True):
        size = largest(true[key]) or 1.0
        shares = [most_apart(found[engine][key].to(like.device), true[key]) / size for engine in engines]
        rows.append((key, shares, cost / size))
    columns = [
        Column("what", tr("what"), "text"),
        *[Column(engine, _label(engine, module), "diff") for engine in engines],
        Column("tol", tr("tolerance"), "diff"),
    ]
    checks = []
    for k, engine in enumerate(engines):
        text = tr("{core}: engine {engine} = the cell loop in float64", core=name, engine=engine)
        checks.append(checked(f"{name}-{engine}", text, *((shares[k], tol) for _, shares, tol in rows)))
    shown: list[list[Entry]] = [[key, *shares, tol] for key, shares, tol in rows]
    return [*cut_note(core, T), Table(f"{name}.engines", columns, shown, cut_rows=SHOWN)], checks


def _costs(core: CoreTrace, module: Core) -> tuple[int, nn.Module, list[float]]:
    """The number of steps to compare, the module in float64, and the rounding tolerance of each result in its dtype,
    from torch's module (or a closed form) in float64. Fewer than all steps if rounding alone would change the
    results, or if x is not finite or a result may overflow in this dtype; 0 if that is so at the first step."""
    spec, call = core.spec, core.calls[0]
    exact, most = exact_copy(module), torch.finfo(call.output.dtype).max
    steps = (~call.x.isfinite()).flatten(1).any(1).nonzero()
    T = int(steps[0]) if len(steps) else call.x.shape[0]
    like = next(exact.parameters())
    while T:
        lengths = None if core.lengths is None else core.lengths.clamp(max=T)

        def results(module: nn.Module, x: Tensor, *state: Tensor) -> list[Tensor]:
            return list(_everything(module, spec, x, lengths, state, run_reference).values())  # noqa: B023

        inputs = [tensor.detach().to(like) for tensor in (call.x[:T], *call.initial)]
        true = results(exact, inputs[0], *inputs[1:])
        terms = inputs[0].numel() + T * call.output[0].numel() if T > 1 else 1  # partial sums may be as much larger
        if all(bool((tensor.abs() <= most / terms).all()) for tensor in true):  # False for NaN
            costs = function_rounding(results, exact, inputs, eps_of(core))
            sizes = [largest(tensor) for tensor in true]
            if T == 1 or all(cost <= TELLING * size for cost, size in zip(costs, sizes, strict=True)):
                return T, exact, costs
        T //= 2
    return 0, exact, []


def _label(engine: str, module: Core) -> str:
    return {LOOP: tr("cell loop"), "torch": f"nn.{type(module).__name__}"}.get(engine, engine)


def _engine(name: str) -> Run:
    def run(module: nn.Module, spec: CoreSpec, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        return run_by(name, cast(Core, module), x, lengths, state)

    return run


def _loop(module: nn.Module, spec: CoreSpec, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
    return run_core(module, x, state, lengths)


def _keys(module: nn.Module, spec: CoreSpec) -> list[str]:
    states = spec.states
    parameters = [f"d{name}" for name, _ in module.named_parameters()]
    return ["output", *(f"{name}_n" for name in states), "dx", *(f"d{name}_0" for name in states), *parameters]


def _everything(
    module: nn.Module, spec: CoreSpec, x: Tensor, lengths: Tensor | None, initial: State, run: Run
) -> dict[str, Tensor]:
    """Outputs, last states, and the gradients of a fixed random functional of them with respect to all parameters and
    inputs."""
    results: list[Tensor] = []

    def running(
        module: nn.Module, spec: CoreSpec, x: Tensor, state: State, lengths: Tensor | None
    ) -> tuple[Tensor, State]:
        output, last = run(module, spec, x, state, lengths)
        results[:] = [output, *last]
        return output, last

    training, dropout = module.training, getattr(module, "dropout", 0.0)
    module.train(isinstance(module, nn.RNNBase))  # cuDNN has no backward pass in eval mode; others would draw masks
    module.dropout = 0.0  # type: ignore[assignment]
    try:
        state = tuple(tensor.detach().to(x) for tensor in initial)
        gradients = functional_gradients(module, spec, x, state, lengths, running)
    finally:
        module.train(training)
        module.dropout = dropout  # type: ignore[assignment]
    values = [tensor.detach() for tensor in (*results, *gradients)]
    return dict(zip(_keys(module, spec), values, strict=True))

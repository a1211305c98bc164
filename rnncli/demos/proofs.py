"""Properties of a recurrent cell, as checks on the shown numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from rnncli import records
from rnncli.cells import CELLS, Gates, State, Step, Weights, weights_of
from rnncli.demos.linear import h_by_equations
from rnncli.demos.network import Network, Place, is_linear
from rnncli.demos.settings import WRITTEN
from rnncli.demos.written import equations_of
from rnncli.locale import tr, trn
from rnncli.names import CONTROL
from rnncli.nn.recurrent import make_core
from rnncli.replay import (
    GRADIENT_STEPS,
    Trace,
    closed_form,
    eps_of,
    exact_copy,
    has_closed_form,
    run_core,
    run_reference,
)
from rnncli.replay.rounding import (
    Found,
    apart,
    checked,
    function_rounding,
    most_apart,
    sequence_rounding,
    step_rounding,
    unit,
    worst_of,
)

LENGTHS = (3, 30, 300)


def main_checks(net: Network, trace: Trace) -> list[records.Check]:
    """The checks of the first screen."""
    checks = [*one_linear(net, trace), *same_as_module(net, trace), same_weights(net)]
    memory = None if CELLS[net.settings.cell].stateful else no_memory(net)
    return checks if memory is None else [*checks, memory.check]


def all_checks(net: Network, trace: Trace, shares: Shares, memory: Memory | None) -> list[records.Check]:
    """Every proof. shares, memory: results of `gradient_shares` and `no_memory`."""
    return [
        *one_linear(net, trace),
        *same_as_module(net, trace),
        last_states(net, trace),
        same_weights(net),
        shares.check,
        *([] if memory is None else [memory.check]),
    ]


def step_cost(net: Network, trace: Trace, place: Place) -> list[Tensor]:
    """Rounding tolerance of each state of a layer in one step: (T, B, H) each."""
    x, before = inputs_of(net, trace, place), states_before(net, trace, place)
    rows = tuple(tensor.flatten(0, 1) for tensor in before)
    costs = step_rounding(net.spec, net.weights(place), x.flatten(0, 1), rows, eps_of(trace.core()))
    return [cost.view(*before[0].shape[:2], *cost.shape[1:]) for cost in costs]


# --- one linear layer on [x; h]


def one_linear(net: Network, trace: Trace) -> list[records.Check]:
    """Every h_t from x_t and h_(t-1) by one matrix W = [W_ih | W_hh], all steps and samples at once; for cells that
    declare the gates computed this way."""
    found = []
    if not (CELLS[net.settings.cell].summed(net.spec) and equations_of(net.spec)):
        return []
    for place in net.places():
        x, before = inputs_of(net, trace, place), states_before(net, trace, place)
        rows = tuple(tensor.flatten(0, 1) for tensor in before)
        after = h_by_equations(net.spec, net.weights(place), x.flatten(0, 1), rows).view_as(before[0])
        found.append(worst_of(apart(trace[f"{place.name}h"], after), step_cost(net, trace, place)[0]))
    return [checked("one-linear", _linear_text(net), *found)]


def linear_parameters(net: Network) -> int:
    """Parameters with b_ih and b_hh merged; GRU's n keeps both, because r multiplies only the second."""
    spec = net.spec
    spare = (spec.num_gates - len(set(CELLS[spec.cell].two_biases(spec)) & set(spec.rows))) * spec.hidden_size
    has_two = {"bias_ih", "bias_hh"} <= spec.parameter_shapes(0).keys()
    return spec.num_parameters() - (len(net.places()) * spare if has_two else 0)


def _linear_text(net: Network) -> str:
    spec, gates = net.spec, len(CELLS[net.spec.cell].summed(net.spec))
    gates += len(CELLS[spec.cell].two_biases(spec))  # two halves of the same matrix
    recurrent = CELLS[spec.cell].recurrent_weight
    size = spec.input_size + (spec.hidden_size if recurrent else 0)
    what = "[x; h]" if recurrent else "x"
    if not net.settings.single:
        return tr("one Linear per layer and direction gives the same h")
    name = f"Linear({size}, {spec.hidden_size})"
    if gates < spec.num_gates:
        names = ", ".join(CELLS[spec.cell].summed(spec))
        return tr("{gates} by one {name} on {what}: the same h", gates=names, name=name, what=what)
    if gates == 1:
        return tr("one {name} on {what} gives the same h", name=name, what=what)
    return tr("{n} stacked {name} on {what} give the same h", n=gates, name=name, what=what)


def inputs_of(net: Network, trace: Trace, place: Place) -> Tensor:
    """Input of a layer, (T, B, I or D·H): x, or the output of the layer below, with directions concatenated."""
    if place.layer == 0:
        return net.x
    below = [p for p in net.places() if p.layer == place.layer - 1]
    return torch.cat([trace[f"{p.name}h"] for p in below], dim=2)


def states_before(net: Network, trace: Trace, place: Place) -> State:
    """Previous h and the cell's other states, (T, B, H) each; in reverse, those of the step after."""
    found = []
    for name, start in zip(net.spec.states, net.state, strict=True):
        after, first = trace[f"{place.name}{name}"], start[place.row].unsqueeze(0)
        found.append(torch.cat([after[1:], first]) if place.direction else torch.cat([first, after[:-1]]))
    return tuple(found)


# --- the loop is the fused module


def same_as_module(net: Network, trace: Trace) -> list[records.Check]:
    """Results of comparing the trace with torch's module: values of every step and last states; gradients."""
    *values, gradients = trace.checks
    what = "output" if len(net.places()) > 1 else "h"
    if net.spec.torch_class is not None:
        name = f"nn.{net.spec.torch_class.__name__}"
        text = tr("{name} with these weights gives the same {what}", name=name, what=what)
    elif is_linear(net.spec):
        text = tr("one linear map of all x gives the same {what}", what=what)
    elif has_closed_form(net.spec):
        text = tr("all steps at once, without a loop, give the same {what}", what=what)
    else:
        text = tr("the loop without recording gives the same {what}", what=what)
    if net.settings.seq_len > GRADIENT_STEPS:
        gradient_text = tr("the same gradients through the first {n} time steps", n=GRADIENT_STEPS)
    else:
        gradient_text = tr("the same gradients through time")
    return [
        checked("cell-equals-module", text, *map(_found, values)),
        checked("gradients-equal-module", gradient_text, _found(gradients)),
    ]


def _found(check: records.Check) -> Found:
    assert check.diff is not None
    assert check.tol is not None
    return check.diff, check.tol


def fused(net: Network) -> tuple[Tensor, State]:
    """Output (T, B, D·H) and last states by torch's module, or by a closed form if torch has none; by our loop for
    cells with neither."""
    if has_closed_form(net.spec):
        return closed_form(net.core, net.spec, net.x, net.state, None)
    output, last = net.core(net.x, net.state if len(net.state) > 1 else net.state[0])
    return output, tuple(last) if isinstance(last, tuple) else (last,)


def last_states(net: Network, trace: Trace) -> records.Check:
    """The module's output[-1], its h_n and the loop's last h are equal; in reverse the last h is at step 0."""
    H, T = net.spec.hidden_size, net.settings.seq_len
    with torch.no_grad():
        output, last = fused(net)
    found: list[Found] = []
    costs: list[Tensor] | None = None
    for place in net.places():
        end = 0 if place.direction else T - 1
        for k, (name, h_n) in enumerate(zip(net.spec.states, last, strict=True)):
            diff = most_apart(trace[f"{place.name}{name}"][end], h_n[place.row])
            cost = float(step_cost(net, trace, place)[k][end].max())
            if not diff <= cost:  # the sequence may amplify rounding errors of a step
                if costs is None:
                    costs = sequence_rounding(net.core, net.spec, net.x, net.state, None, eps_of(trace.core()))
                cost = max(cost, float(costs[1 + k][place.row]))
            found.append((diff, cost))
        if place.layer == net.spec.num_layers - 1:
            part = output[end, :, place.direction * H : (place.direction + 1) * H]
            found.append((most_apart(part, last[0][place.row]), 0.0))
    top = len(net.places()) - net.spec.num_directions
    text = tr("output[-1] = h_n[{row}] = h_{t}", row=top, t=T - 1)
    if net.spec.bidirectional:
        text = tr("output[-1, :, :H] = h_n[{row}], output[0, :, H:] = h_n[{next}]", row=top, next=top + 1)
    return checked("last-states", text, *found)


# --- the same weights at every step


def same_weights(net: Network) -> records.Check:
    """Run the loop over 3, 30 and 300 steps and count the parameters of all distinct weights passed to its steps."""
    counts = []
    for T in LENGTHS:
        tensors: dict[int, Tensor] = {}

        def note(x: Tensor, state: State, w: Weights, seen: dict[int, Tensor] = tensors) -> tuple[State, Gates]:
            for tensor in w.values():
                seen[id(tensor)] = tensor
            return state, {}  # only counts; computes nothing

        with torch.no_grad():
            run_core(net.core, net.x[:1].expand(T, *net.x.shape[1:]), net.state, step=note)
        counts.append(sum(tensor.numel() for tensor in tensors.values()))
    ok = set(counts) == {net.spec.num_parameters()}
    if ok:
        text = trn(
            "same weights at every step: {n} parameter at T = 3, 30 and 300",
            "same weights at every step: {n} parameters at T = 3, 30 and 300",
            n=counts[0],
        )
    else:
        text = tr("the steps use {counts} parameters at T = 3, 30 and 300", counts=", ".join(map(str, counts)))
    return records.Check("same-weights", ok, text)


@dataclass(frozen=True)
class Shares:
    """Contribution of each step to the gradient of the recurrent weights. name: W_hh, or the first weight of a cell
    without it.

    by_step: (T, G·H, H), for the first layer's forward direction; shared: (G·H, H), the module's gradient.
    """

    name: str
    by_step: Tensor
    shared: Tensor
    check: records.Check

    def share(self, t: int) -> float:
        """Each step's projection on the shared gradient; they sum to 1."""
        whole = self.by_step.double().sum(0)
        total = float((whole * whole).sum())
        return float((self.by_step[t].double() * whole).sum()) / total if total else 0.0


def gradient_shares(net: Network) -> Shares:
    """Give every step its own clone of W_hh, differentiate the sum of the last output, and sum the gradients.

    The sum is compared with the gradient of the shared W_hh in torch's module.
    """
    shapes = net.spec.parameter_shapes(0)
    attribute = "weight_hh" if "weight_hh" in shapes else next(iter(shapes))
    clones: dict[
        int, list[Tensor]
    ] = {}  # a clone per step of the weight of each layer and direction, in execution order

    def cloning(step: Step) -> Step:
        def run(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
            shared = w[attribute]
            clones.setdefault(id(shared), []).append(shared.detach().clone().requires_grad_())
            return step(x, state, w.replaced(**{attribute: clones[id(shared)][-1]}))

        return run

    with torch.enable_grad():
        output, _ = run_core(net.core, net.x, net.state, step=cloning(net.spec.step))
        own = [net.weights(place)[attribute] for place in net.places()]
        flat = [clone for weight in own for clone in clones[id(weight)]]
        found = torch.autograd.grad(output[-1].sum(), flat, allow_unused=True)
        shared = torch.autograd.grad(fused(net)[0][-1].sum(), own)
    T = net.settings.seq_len
    grads = [torch.zeros_like(clone) if g is None else g for clone, g in zip(flat, found, strict=True)]
    by_step = [torch.stack(grads[k * T : (k + 1) * T]) for k in range(len(own))]  # each (T, G·H, H)
    name = WRITTEN.get(attribute, attribute)
    text = tr("{name} cloned per step: the gradients add up", name=name)
    off = [most_apart(steps.sum(0), whole) for steps, whole in zip(by_step, shared, strict=True)]
    pairs = zip(off, _shared_costs(net, attribute), strict=True)
    return Shares(name, by_step[0], shared[0], checked("gradients-add-up", text, *pairs))


def _shared_costs(net: Network, attribute: str) -> list[float]:
    """Rounding tolerance of the gradient of each layer and direction's shared weight, from the module in float64."""

    def gradients(core: nn.Module, x: Tensor, *state: Tensor) -> list[Tensor]:
        with torch.enable_grad():
            own = [weights_of(core, place.layer, place.direction)[attribute] for place in net.places()]
            return list(torch.autograd.grad(run_reference(core, net.spec, x, state, None)[0][-1].sum(), own))

    exact = exact_copy(net.core)
    inputs = [tensor.detach().to(next(exact.parameters())) for tensor in (net.x, *net.state)]
    return function_rounding(gradients, exact, inputs, unit(net.x.dtype))


# --- a feedforward network cannot do this


@dataclass(frozen=True)
class Memory:
    """moved: change of the last h of the shown network when only its past differs."""

    check: records.Check
    moved: float


def no_memory(net: Network) -> Memory | None:
    """Feed the same last x after two different pasts through the same weights without W_hh: h is equal. None if the
    cell does not declare its candidate."""
    control = _without_memory(net)
    if control is None:
        return None
    last = net.settings.seq_len - 1
    other_x = torch.cat([-net.x[:-1], net.x[-1:]])
    other_state = tuple(1 - tensor for tensor in net.state)
    with torch.no_grad():
        ours, _ = run_core(control.core, net.x, net.state[:1])
        other, _ = run_core(control.core, other_x, other_state[:1])
        shown, _ = run_core(net.core, net.x, net.state)
        moved, _ = run_core(net.core, other_x, other_state)
    diff = most_apart(ours[last], other[last])
    text = tr("without W_hh, equal x_{t} gives equal h_{t} for any past", t=last)
    same = records.Check("no-memory-without-W_hh", diff == 0, text, diff, 0.0)
    return Memory(same, float((shown[last] - moved[last]).abs().max()))


def _without_memory(net: Network) -> Network | None:
    """A feedforward network with the candidate's rows of these weights (rnn: all of them)."""
    cell, H = CELLS[net.settings.cell], net.spec.hidden_size
    if not cell.stateful:
        return net
    spec = replace(net.spec, cell=CONTROL, options=())
    if (
        not cell.recurrent_weight
        or "weight_ih" not in net.spec.parameter_shapes(0)
        or (cell.gates and not cell.candidate)
    ):
        return None
    core, given = make_core(spec).to(net.x), dict(net.core.named_parameters())
    first = net.spec.rows.index(cell.candidate) * H
    rows = slice(first, first + H)
    with torch.no_grad():
        for name, parameter in core.named_parameters():
            parameter.copy_(given[name][rows] if name in given else torch.zeros_like(parameter))
    return replace(net, spec=spec, core=core)

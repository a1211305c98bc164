"""Compares a replay with the torch module that it replaced, or with a closed form if torch has no such module.

Comparisons, each with a tolerance from rounding error bounds (rounding.py):

- outputs and last states of the whole sequence. Two correct float32 computations may be far apart at the end of a long
  sequence, if the network amplifies rounding errors from its start;
- each step from the recorded state before it, where nothing is amplified: this detects a wrong gate, weight or held
  state after a sequence's end in any network. Together with the initial states, which are the module's, it verifies the
  whole replay;
- gradients, loop against module, both in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rnncli import records
from rnncli.cells import CoreSpec, State, spec_of, weights_of
from rnncli.locale import tr, trn
from rnncli.replay import reference, rounding
from rnncli.replay.loop import Call, CoreTrace, Keep, as_wide, length_mask, run_core
from rnncli.replay.rounding import Found, ratio, worst_of

GRADIENT_STEPS = 64  # the gradient check replays at most this many steps, to bound its cost
GRADIENT_ROWS = 512  # steps times batch rows, for the same check
TELLING = 1e-4  # relative to the largest gradient: if rounding may cost more, fewer steps are more conclusive
STEPS_CHECKED = 1024  # single steps compared, evenly spaced: a wrong gate or weight is wrong at every step
CHUNK = 2**22  # values in memory at once while comparing single steps


def compare(core: CoreTrace, keep: Keep = Keep()) -> list[records.Check]:
    """Replay against the torch module: outputs and last states of every call, single steps, gradients.

    keep: what was recorded; unless all units were, single steps are not compared.
    """
    module, spec = core.module, core.spec
    other = reference.name_of_reference(module, spec)
    where, prefix = (f"{core.path}: ", f"{core.path}-") if core.path else ("", "")
    with torch.inference_mode(False), torch.no_grad(), reference.exact_cudnn():
        steps, floor = _steps(core) if keep.units is None else (None, None)
        outputs, states = _sequences(core, floor)
        gradients, n = _gradients(core)
    texts: dict[str, tuple[str, Found | None]] = {
        "outputs": (tr("{where}replay = {other}: outputs", where=where, other=other), outputs),
        "states": (tr("{where}replay = {other}: last states", where=where, other=other), states),
        "steps": (tr("{where}replay = {other}: each step from the state before it", where=where, other=other), steps),
        "gradients": (
            trn(
                "{where}replay = {other}: gradients in float64 ({n} step)",
                "{where}replay = {other}: gradients in float64 ({n} steps)",
                where=where,
                other=other,
                n=n,
            ),
            gradients,
        ),
    }
    return [
        records.Check(f"{prefix}replay-{name}", found[0] <= found[1], text, *found)
        for name, (text, found) in texts.items()
        if found is not None
    ]


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference of two tensors, relative to the largest value if that is above 1. NaN equals NaN."""
    return rounding.most_apart(ours, theirs) / max(1.0, rounding.largest(theirs))


def eps_of(core: CoreTrace) -> float:
    """The machine epsilon of the dtype that this core was computed in."""
    call = core.calls[0]
    dtypes, device = [call.x.dtype, call.output.dtype], call.x.device.type
    if torch.is_autocast_enabled(device):
        dtypes.append(torch.get_autocast_dtype(device))
    tf32 = device == "cuda" and call.x.dtype == torch.float32 and torch.backends.cuda.matmul.allow_tf32
    return max(rounding.unit(*dtypes), 2.0**-10 if tf32 else 0.0)


# Whole sequences


def _sequences(core: CoreTrace, floor: Floor | None) -> tuple[Found, Found]:
    """Outputs and last states of every call, at full length. floor: rounding error of a single step for each state;
    only if the difference is larger, its amplification over the sequence is measured."""
    module, spec, eps = core.module, core.spec, eps_of(core)
    outputs, states = [], []
    for call in _joined(core):
        given = (module, spec, call.x.detach(), call.initial, call.lengths)
        result = reference.run_reference(*given)
        theirs = rounding.flat(result)
        off = [rounding.off_by_first(a, b) for a, b in zip((call.output, *call.last), theirs, strict=True)]
        if floor is None:
            costs = [rounding.FACTOR * eps * rounding.by_first(tensor) for tensor in theirs]
        else:
            costs = [
                floor.by_step(call.x.shape[0]),
                *(torch.full_like(t, c) for t, c in zip(off[1:], floor.states, strict=True)),
            ]
        if any(bool((~(diff <= cost)).any()) for diff, cost in zip(off, costs, strict=True)):
            more = rounding.sequence_rounding(*given, eps)
            costs = [torch.maximum(*pair) for pair in zip(costs, more, strict=True)]
        outputs.append(worst_of(off[0], costs[0]))
        states += [worst_of(*pair) for pair in zip(off[1:], costs[1:], strict=True)]
    return max(outputs, key=ratio), max(states, key=ratio)


def _joined(core: CoreTrace) -> list[Call]:
    """The calls of a cell, or of a core called for one step at a time, as one batch of single steps."""
    if len(core.calls) == 1 or any(call.x.shape[0] != 1 or call.lengths is not None for call in core.calls):
        return core.calls
    return [
        Call(
            x=torch.cat([call.x for call in core.calls], dim=1),  # (1, T·B, I)
            initial=tuple(torch.cat(parts, dim=1) for parts in zip(*(c.initial for c in core.calls), strict=True)),
            lengths=None,
            output=torch.cat([call.output for call in core.calls], dim=1),
            last=tuple(torch.cat(parts, dim=1) for parts in zip(*(c.last for c in core.calls), strict=True)),
            layers={},
        )
    ]


# Single steps


@dataclass
class Floor:
    """Rounding error bounds of one step: for each state in any step, and for the output by step if there is one
    call."""

    states: list[float]
    steps: dict[int, float]

    def by_step(self, T: int) -> Tensor:
        """(T,); a step that was not recorded has the largest bound."""
        return torch.tensor([self.steps.get(t, self.states[0]) for t in range(T)], dtype=torch.float64)


def _steps(core: CoreTrace) -> tuple[Found | None, Floor | None]:
    """Compare each recorded step, computed by the reference from the recorded state before it, and the loop's outputs
    with the recorded states. Returns also the rounding error bound of a step. None: no step was recorded."""
    spec, eps = core.spec, eps_of(core)
    found: list[Found] = []
    floor = Floor([0.0] * len(spec.states), {})
    for place in spec.places:
        alone = reference.one_layer(core.module, *place)
        own = spec_of(alone)
        assert own is not None
        rows = _step_rows(core, *place)
        B, widest = core.calls[0].x.shape[1], max(own.input_size, own.num_gates * own.hidden_size)
        while chunk := list(islice(rows, max(1, CHUNK // (B * widest)))):
            one, costs = _single(alone, own, chunk, eps)
            found.append(one)
            floor.states = [max(a, rounding.largest(b)) for a, b in zip(floor.states, costs, strict=True)]
            if len(core.calls) == 1:
                by_step = rounding.by_first(costs[0].view(len(chunk), -1)).tolist()
                for step, cost in zip(chunk, by_step, strict=True):
                    floor.steps[step.t] = max(floor.steps.get(step.t, 0.0), cost)
    if not found:
        return None, None
    left = _left(core)
    return (max(found, key=ratio) if left == 0 else (left, 0.0)), floor


class _Step(NamedTuple):
    """x: (B, I). before, after: (B, size) each. inside: (B, 1), None if all rows are."""

    t: int
    x: Tensor
    before: State
    after: State
    inside: Tensor | None


def _single(alone: nn.Module, spec: CoreSpec, chunk: list[_Step], eps: float) -> tuple[Found, list[Tensor]]:
    """Check N steps of B rows at once. Returns the worst difference, and the error bound of each state, (N·B, size)."""
    x = torch.cat([step.x.detach() for step in chunk])  # (N·B, I)
    before = [torch.cat(parts).detach() for parts in zip(*(step.before for step in chunk), strict=True)]
    after = [torch.cat(parts).detach() for parts in zip(*(step.after for step in chunk), strict=True)]
    masks = [step.inside for step in chunk if step.inside is not None]
    inside = torch.cat(masks) if masks else None  # (N·B, 1)
    _, last = reference.run_reference(alone, spec, x.unsqueeze(0), tuple(t.unsqueeze(0) for t in before), None)
    costs = rounding.step_rounding(spec, weights_of(alone), x, tuple(before), eps)
    found = []
    for start, end, wanted, cost in zip(before, after, last, costs, strict=True):
        expected = wanted[0]
        if inside is not None:
            here = as_wide(inside, start)
            expected, cost = torch.where(here, expected, start), cost.masked_fill(~here, 0.0)
        found.append(worst_of(rounding.apart(end, expected), cost))
    return max(found, key=ratio), costs


def _step_rows(core: CoreTrace, layer: int, direction: int) -> Iterator[_Step]:
    """The recorded steps whose previous state is known, at most about STEPS_CHECKED, including first and last."""
    between = max(1, core.num_steps // STEPS_CHECKED)
    row = layer * core.spec.num_directions + direction
    for call in core.calls:
        T = call.x.shape[0]
        mask = length_mask(call.lengths, T, call.output)
        below = [call.layers[layer - 1, d].steps["h"] for d in range(core.spec.num_directions)] if layer else []
        before: State | None = tuple(tensor[row] for tensor in call.initial)
        due = T - 1 if direction else 0
        for t, after, _ in call.layers[layer, direction].made:
            if t == due and before is not None and (t % between == 0 or t == T - 1):
                x = torch.cat([states[t] for states in below], dim=1) if layer else call.x[t]
                if layer and mask is not None:
                    x = x * mask[t]
                yield _Step(t, x, before, after, None if mask is None else mask[t])
            before, due = after, t - 1 if direction else t + 1


def _left(core: CoreTrace) -> float:
    """The difference between output and last states and the recorded states they consist of: exactly 0 if all were
    recorded."""
    D, off = core.spec.num_directions, 0.0
    for call in core.calls:
        T, made = call.x.shape[0], {key: record.made for key, record in call.layers.items()}
        if any(len(steps) != T for steps in made.values()):
            continue
        mask = length_mask(call.lengths, T, call.output)
        tops = [call.layers[core.spec.num_layers - 1, d].steps["h"] for d in range(D)]
        at_once = max(1, CHUNK // call.output[0].numel())
        for start in range(0, T, at_once):
            part = range(start, min(T, start + at_once))
            whole = torch.cat([torch.stack([top[t] for t in part]) for top in tops], dim=2)  # (T', B, D·H)
            if mask is not None:
                whole = whole * torch.stack([mask[t] for t in part])
            off = max(off, rounding.most_apart(call.output[part.start : part.stop], whole), key=lambda d: (d != d, d))
        for (layer, direction), steps in made.items():
            for state, recorded in zip(call.last, steps[-1][1], strict=True):
                off = max(off, rounding.most_apart(state[layer * D + direction], recorded), key=lambda d: (d != d, d))
    return off


# Gradients


def _gradients(core: CoreTrace) -> tuple[Found, int]:
    """The largest difference of d(random functional)/d(x, h_0, c_0, weights) between loop and reference in float64,
    relative to the largest value of each, and the number of steps: fewer if the network is so unstable that rounding in
    float64 would cost all digits."""
    call = _joined(core)[0] if isinstance(core.module, nn.RNNCellBase) else core.calls[0]
    exact = reference.exact_copy(core.module)
    device = next(exact.parameters()).device
    T = min(call.x.shape[0], GRADIENT_STEPS)
    n = min(call.x.shape[1], max(1, GRADIENT_ROWS // T))
    rows = torch.linspace(0, call.x.shape[1] - 1, n).long()
    x, *state = [t.detach()[:, rows.to(t.device)].to(device, torch.float64) for t in (call.x, *call.initial)]
    lengths = None if call.lengths is None else call.lengths.cpu()[rows]
    eps = rounding.unit(torch.float64)
    width = core.spec.hidden_size + core.spec.input_size
    with torch.enable_grad():
        while True:
            cut = None if lengths is None else lengths.clamp(max=T)
            ours = functional_gradients(exact, core.spec, x[:T], tuple(state), cut, _loop)
            theirs = functional_gradients(exact, core.spec, x[:T], tuple(state), cut, reference.run_reference)
            diff, tol = rounding.relative(ours, theirs), rounding.FACTOR * eps * T * width
            if not diff <= tol:
                tol += _relative_rounding(exact, core.spec, x[:T], tuple(state), cut, theirs, eps)
            if T == 1 or tol <= TELLING:
                return (diff, tol), call.x.shape[1] if T == 1 else T
            T //= 2


def _relative_rounding(
    exact: nn.Module, spec: CoreSpec, x: Tensor, state: State, lengths: Tensor | None, true: list[Tensor], eps: float
) -> float:
    def gradients(module: nn.Module, x: Tensor, *state: Tensor) -> list[Tensor]:
        return functional_gradients(module, spec, x, state, lengths, reference.run_reference)

    costs = rounding.function_rounding(gradients, exact, (x, *state), eps, rounding.SAFE_EXACT)
    return max(cost / (rounding.largest(tensor) or 1.0) for cost, tensor in zip(costs, true, strict=True))


def _loop(module: nn.Module, spec: CoreSpec, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
    """The recording loop's own steps."""
    return run_core(module, x, state, lengths)


def functional_gradients(
    module: nn.Module, spec: CoreSpec, x: Tensor, state: State, lengths: Tensor | None, run: reference.Run
) -> list[Tensor]:
    """Gradients of a fixed random functional of outputs and last states with respect to x, the states and the
    weights."""
    x = x.detach().clone().requires_grad_()
    state = tuple(t.detach().clone().requires_grad_() for t in state)
    generator = torch.Generator().manual_seed(0)
    with torch.enable_grad():
        output, last = run(module, spec, x, state, lengths)
        parts = [(torch.randn(t.shape, generator=generator).to(t) * t).sum() for t in (output, *last)]
        wanted = [x, *state, *module.parameters()]
        grads = torch.autograd.grad(torch.stack(parts).sum(), wanted, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(wanted, grads, strict=True)]

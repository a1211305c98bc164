"""Rounding error bounds: how much two correct computations of the same values may differ, without fixed constants.

Three bounds, each computed from the reference or from the inputs, never from the result under test:

- one step, from the magnitudes of the summands (`step_rounding`): eps times the products' magnitude, as Higham 2002,
  "Accuracy and stability of numerical algorithms", section 3.1, bounds a sum;
- a whole sequence (`sequence_rounding`): the reference in float64, compared with itself with weights, inputs and
  initial states perturbed by a few units in the last place, and with itself in the given dtype. This includes the
  network's amplification of small differences from step to step, up to chaos, where two correct results need not agree
  in any digit;
- gradients in float64 (`function_rounding`): the same, with nine digits between rounding and real errors.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from rnncli.cells import CELLS, CoreSpec, State, Weights, gated
from rnncli.records import Check
from rnncli.replay.reference import exact_copy, perturb_, plain_copy, run_reference

FACTOR = 4  # both sides round, and a product, a sum and a nonlinearity each contribute about one unit
PERTURBATION = 4  # units in the last place by which inputs and weights are perturbed
COPIES = 4  # copies of the batch, each perturbed differently: a single one may be lucky
SAFE = 8  # safety factor on the largest deviation
TELLING = 1e-2  # relative to the largest value: if rounding may cost more, a check covers fewer steps
SAFE_EXACT = 1000  # the same in float64, which has digits to spare


Found = tuple[float, float]  # the largest difference, and its rounding error bound


def ratio(found: Found) -> float:
    """A difference relative to its tolerance; NaN counts as infinite."""
    diff, tol = found
    return math.inf if diff != diff else 0.0 if diff == 0 else diff / tol if tol else math.inf


def checked(name: str, text: str, *found: Found) -> Check:
    """Whether all differences are within their bounds; shows the pair with the largest ratio."""
    diff, tol = max(found, key=ratio)
    return Check(name, diff <= tol, text, diff, tol)


def worst_of(off: Tensor, cost: Tensor) -> Found:
    """The (difference, bound) pair with the largest ratio. Infinite bounds are ignored."""
    finite = cost.isfinite()
    if not bool(finite.all()):
        off, cost = off[finite], cost[finite]
    if not cost.numel():
        return 0.0, 0.0
    off, cost = off.flatten(), cost.to(off.device).flatten()
    k = int((off / cost.clamp(min=torch.finfo(torch.float64).tiny)).argmax())  # NaN counts as the largest
    k = k if float(off[k]) != 0 else int(cost.argmax())
    return float(off[k]), float(cost[k])


def unit(*dtypes: torch.dtype) -> float:
    """The machine epsilon of the coarsest of these dtypes: 1.2e-07 in float32."""
    return max(torch.finfo(dtype).eps for dtype in dtypes)


def largest(tensor: Tensor) -> float:
    """The largest finite magnitude, 0 if there is none."""
    sizes = tensor.detach().abs()
    sizes = sizes[sizes.isfinite()]
    return float(sizes.max()) if sizes.numel() else 0.0


def apart(ours: Tensor, theirs: Tensor) -> Tensor:
    """|ours - theirs| in float64; 0 where both are NaN or the same infinity, NaN where only one is NaN."""
    a, b = ours.detach().double(), theirs.detach().double()
    off = (a - b).abs_()
    if off.numel() and math.isnan(float(off.max())):  # the maximum is NaN if any element is
        off = off.masked_fill(a.isnan() & b.isnan() | (a == b), 0.0)
    return off


def off_by_first(ours: Tensor, theirs: Tensor) -> Tensor:
    """The largest of `apart` along the first axis, on the CPU: (T, B, size) -> (T,)."""
    return apart(ours, theirs).flatten(1).amax(1).cpu()


def most_apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest of `apart`, NaN if any is."""
    if torch.equal(ours, theirs):  # mostly true for a recording, and cheap to check
        return 0.0
    return float(apart(ours, theirs).max()) if ours.numel() else 0.0


def step_rounding(spec: CoreSpec, w: Weights, x: Tensor, before: State, eps: float) -> list[Tensor]:
    """Rounding error bound of each state after one step, in float64: one tensor of its shape per state; inf where a sum
    may overflow or has overflowed.

    x: (N, I); before: (N, ...) tensors. `a`, (N, H), bounds the magnitude of the products that a unit sums, by
    Cauchy-Schwarz. A cell without gates computes f(a), slope at most 1: eps·a. One with gates multiplies values of
    magnitude up to min(a, 1), or the old state, by gates with error eps·(1 + a).
    """
    if not bounded_by_norms(spec):
        return _perturbed_step(spec, w, x, before, eps)
    H = spec.hidden_size
    a = _norms(w.weight_ih, H) * x.double().norm(dim=1, keepdim=True)  # (N, H)
    if w.weight_hh is not None:
        a = a + _norms(w.weight_hh, H) * before[0].double().norm(dim=1, keepdim=True)
    for bias in (w.bias_ih, w.bias_hh):
        a = a if bias is None else a + bias.detach().double().abs().view(-1, H).amax(0)
    within = a <= torch.finfo(x.dtype).max
    if not bool(within.all()):
        a = a.masked_fill(~within, math.inf)  # partial sums may overflow
    if not CELLS[spec.cell].gates:
        return [FACTOR * eps * a for _ in before]
    kept = sum((state.double().abs() for state in before if state.shape[1] == H), torch.zeros_like(a))
    cost = FACTOR * eps * (1 + a) * (a.clamp(max=1) + kept)  # (N, H)
    if w.weight_hr is None:
        return [cost for _ in before]
    W = w.weight_hr.detach().double().abs()  # (P, H)
    projected = cost @ W.T + FACTOR * eps * W.sum(1)  # o·tanh(c) is at most 1
    return [projected if state.shape[1] != H or k == 0 else cost for k, state in enumerate(before)]


def bounded_by_norms(spec: CoreSpec) -> bool:
    """Whether `step_rounding` applies to a cell's gates: each is a function, of slope at most 1, of its sum."""
    cell = CELLS[spec.cell]
    if spec.options:
        return False
    return cell.parameters is gated and cell.bounded and "free" not in cell.gates.values()


def _perturbed_step(spec: CoreSpec, w: Weights, x: Tensor, before: State, eps: float) -> list[Tensor]:
    """The same for any other cell: its step in float64, compared with itself with all inputs perturbed by a few units
    in the last place."""
    step, generator = spec.step, torch.Generator().manual_seed(0)
    exact = w.replaced(**{name: tensor.detach().double() for name, tensor in w.items()})
    with torch.no_grad():
        true, _ = step(x.detach().double(), tuple(t.detach().double() for t in before), exact)
        costs = [FACTOR * eps * state.abs() for state in true]
        moves = [torch.zeros_like(state) for state in true]
        for _ in range(COPIES):
            moved = exact.replaced(**{name: tensor.clone() for name, tensor in exact.items()})
            given = [t.detach().double().clone() for t in (x, *before)]
            for tensor in (*moved.values(), *given):
                perturb_(tensor, PERTURBATION * eps, generator)
            other, _ = step(given[0], tuple(given[1:]), moved)
            moves = [torch.maximum(move, (a - b).abs()) for move, a, b in zip(moves, other, true, strict=True)]
    return [cost + SAFE * move.amax() for cost, move in zip(costs, moves, strict=True)]


def _norms(weight: Tensor, H: int) -> Tensor:
    """(G·H, in) -> (H,): for each unit, the largest norm of its gates' rows."""
    norms: Tensor = torch.linalg.vector_norm(weight.detach().double(), dim=1)
    return norms.view(-1, H).amax(0)


def sequence_rounding(
    module: nn.Module,
    spec: CoreSpec,
    x: Tensor,
    state: State,
    lengths: Tensor | None,
    eps: float,
) -> list[Tensor]:
    """Rounding error bound for a whole sequence, by time step of the output, (T,), and by row of each last state,
    (L·D,).

    module, x (T, B, I), state, lengths: the reference and its arguments. Copies run, never the module itself: a wrong
    module must not widen the tolerance.
    """
    exact = exact_copy(module)
    device = next(iter(exact.parameters())).device
    given = [tensor.detach().to(device, torch.float64) for tensor in (x, *state)]
    with torch.no_grad():
        true = flat(run_reference(exact, spec, given[0], tuple(given[1:]), lengths))
        generator = torch.Generator().manual_seed(0)
        for parameter in exact.parameters():
            perturb_(parameter, PERTURBATION * eps, generator)
        moved = [tensor.repeat(1, COPIES, *[1] * (tensor.dim() - 2)) for tensor in given]
        for tensor in moved:
            perturb_(tensor, PERTURBATION * eps, generator)
        many = None if lengths is None else lengths.repeat(COPIES)
        found = flat(run_reference(exact, spec, moved[0], tuple(moved[1:]), many))
        in_its_dtype = flat(run_reference(plain_copy(module), spec, x.detach(), state, lengths))
    costs = []
    for k, tensor in enumerate(true):
        others = [*found[k].chunk(COPIES, dim=1), in_its_dtype[k].to(tensor)]
        size = tensor.masked_fill(tensor.abs() > torch.finfo(x.dtype).max, math.inf)  # overflows there
        moves = torch.stack([by_first(other - size) for other in others]).amax(0)
        costs.append(FACTOR * eps * by_first(size) + SAFE * moves)
    return costs


def by_first(tensor: Tensor) -> Tensor:
    """The largest finite magnitude along the first axis, on the CPU: (T, B, size) -> (T,)."""
    sizes = tensor.detach().abs().flatten(1)
    return sizes.masked_fill(~sizes.isfinite(), 0.0).amax(1).double().cpu()


def flat(result: tuple[Tensor, State]) -> list[Tensor]:
    """Output, then the last states."""
    return [result[0], *result[1]]


def relative(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """The largest difference of two lists of tensors, each relative to the largest value of its tensor."""
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        off, size = most_apart(a, b), largest(b)
        share = off if off == 0 or off != off else math.inf if size == 0 else off / size
        worst = max(worst, share, key=lambda d: (d != d, d))
    return worst


def function_rounding(
    function: Callable[..., Sequence[Tensor]],
    exact: nn.Module,
    inputs: Sequence[Tensor],
    eps: float,
    safe: float = SAFE,
) -> list[float]:
    """Absolute rounding error bound, for machine epsilon eps, of each tensor that `function(module, *inputs)` returns.

    exact, inputs: in float64; integers are unchanged. safe: safety factor on the largest deviation.
    """
    true = [tensor.detach() for tensor in function(exact, *inputs)]
    moves = [0.0] * len(true)
    generator = torch.Generator().manual_seed(0)
    for _ in range(COPIES):
        other = copy.deepcopy(exact)
        moved = [tensor.detach().clone() for tensor in inputs]
        for tensor in (*other.parameters(), *moved):
            if tensor.is_floating_point():
                perturb_(tensor, PERTURBATION * eps, generator)
        results = [tensor.detach() for tensor in function(other, *moved)]
        moves = [max(move, largest(a - b)) for move, a, b in zip(moves, results, true, strict=True)]
    return [FACTOR * eps * largest(tensor) + safe * move for tensor, move in zip(true, moves, strict=True)]

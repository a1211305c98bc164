"""--nice: multiples of 0.5 for working by hand, redrawn until no unit saturates.

The tanh of a sum of several such numbers is soon ±1, with slope 0, which would make a worksheet useless for gradients.
The rows of units whose h or gates saturate, or stay at 0, are redrawn, each time with more zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from rnncli.cells import CELLS, CoreSpec, State, weights_of
from rnncli.nn.recurrent import Core
from rnncli.replay import DIRECTIONS, Trace, trace

TRIES = 100
MOST = 20_000  # T·B·L·D·H: too large to work by hand, so the first draw is kept
HIGH = 0.9  # limit of |h| and of gates, where 1 - h² is 0.19
GATE = 0.1  # lower limit of a sigmoid gate
FREE = 3.0  # limit of an unbounded |h|
LOW = 0.02  # minimum of a unit's largest |h|, and of the gradient that reaches the steps before the last
REACH = 3
TERMS = 3  # mean number of nonzero weights per row
FEWER = 0.97  # factor of TERMS after each try

Given = Callable[[Tensor, State], tuple[Tensor, State]]


def draw(spec: CoreSpec, core: Core, x: Tensor, state: State, given: Given) -> tuple[Tensor, State]:
    """Draw x and the initial states, and set the weights in place, from torch's seed: multiples of 0.5 from -1 to 1.

    x: (T, B, I), kept if one-hot. given: puts the user's values into the weights, x and the states.
    """
    if not bool(((x == 0) | (x == 1)).all()):
        x = _halves(x, 2)
    state = tuple(_halves(tensor, 2) for tensor in state)
    for layer, d in spec.places:
        _redraw(spec, core, layer, d, list(range(spec.hidden_size)), 1.0)
    if x.shape[0] * x.shape[1] * spec.hidden_size * len(spec.places) > MOST:
        return given(x, state)
    for k in range(TRIES):
        started, states = given(x, state)
        bad = list(_unfit(spec, core, started, states))
        if not bad:
            break
        for layer, d, units in bad:
            _redraw(spec, core, layer, d, units, FEWER**k)
    return given(x, state)


def _halves(like: Tensor, reach: int) -> Tensor:
    return (torch.randint(-reach, reach + 1, like.shape) / 2).to(like)


def _redraw(spec: CoreSpec, core: Core, layer: int, direction: int, units: list[int], share: float) -> None:
    """The rows of these units in all gates; whole parameters if they have no such rows."""
    H = spec.hidden_size
    with torch.no_grad():
        for name, parameter in weights_of(core, layer, direction).items():
            fresh = _bias(parameter) if name.startswith("bias") else _weight(parameter, share)
            if parameter.shape[0] % H:
                parameter.copy_(fresh)
                continue
            rows = [gate * H + unit for gate in range(parameter.shape[0] // H) for unit in units]
            parameter[rows] = fresh[rows]


def _bias(like: Tensor) -> Tensor:
    return _halves(like, 1)


def _weight(like: Tensor, share: float) -> Tensor:
    """±0.5 and ±1, with zeros in long rows, but never a row of zeros."""
    size = torch.randint(1, 3, like.shape) / 2 * (2 * torch.randint(0, 2, like.shape) - 1)
    width = like.shape[-1] if like.dim() > 1 else 1
    kept = torch.rand(like.shape) < share * TERMS / width
    kept.view(-1, width)[torch.arange(kept.numel() // width), torch.randint(0, width, (kept.numel() // width,))] = True
    return torch.where(kept, size, 0.0).to(like)


def _unfit(spec: CoreSpec, core: Core, x: Tensor, state: State) -> Iterator[tuple[int, int, list[int]]]:
    """(layer, direction, units) that saturate or stay at 0; all units if no gradient flows back."""
    made = trace(core, x, state if len(state) > 1 else state[0], gradients=True, check=False)
    found = False
    for layer, d in spec.places:
        bad = _saturated(spec, made, f"l{layer}.{DIRECTIONS[d]}.")
        if bool(bad.any()):
            found = True
            yield layer, d, bad.nonzero().flatten().tolist()
    if not found and len(x) > 1 and CELLS[spec.cell].stateful and _cut_off(spec, made, len(x)):
        yield spec.num_layers - 1, 0, list(range(spec.hidden_size))


def _cut_off(spec: CoreSpec, made: Trace, T: int) -> bool:
    """Whether the last h of the top layer hardly depends on the state of one of the REACH steps before."""
    top = f"l{spec.num_layers - 1}.fwd."
    last = made.step_tensors(f"{top}h")[T - 1].sum()
    reached = [made.gradient(last, f"{top}{name}")[-1 - REACH : -1].flatten(1).abs().amax(1) for name in spec.states]
    return not bool((torch.stack(reached).amax(0) >= LOW).all())


def _saturated(spec: CoreSpec, made: Trace, place: str) -> Tensor:
    """(H,): whether each unit does so at any step of any sample."""
    h = made[f"{place}h"].detach().abs()  # (T, B, H)
    bad = ~(h.amax((0, 1)) >= LOW)
    if not spec.is_bounded:
        return bad | ~(h <= FREE).all(0).all(0)
    bad |= ~(h <= HIGH).all(0).all(0)
    for gate, kind in CELLS[spec.cell].gates.items():
        values = made[f"{place}gate.{gate}"].detach()
        inside = (values >= GATE) & (values <= 1 - GATE) if kind == "sigmoid" else values.abs() <= HIGH
        bad |= ~inside.all(0).all(0)
    return bad

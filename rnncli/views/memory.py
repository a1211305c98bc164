"""memory: how many steps back x still influences the last state: the norm of dh_T/dx_(T-k) against the lag k."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from rnncli.cells import CELLS, State, Weights, weights_of
from rnncli.data.progress import Reading, follow
from rnncli.errors import UsageError
from rnncli.locale import tr, trn
from rnncli.records import Check, Checks, Column, Message, Record, Series
from rnncli.render.numbers import percent
from rnncli.replay import CoreTrace, eps_of, exact_copy, run_core
from rnncli.replay.loop import LayerRecord
from rnncli.replay.reference import perturb_
from rnncli.replay.rounding import (
    COPIES,
    FACTOR,
    PERTURBATION,
    SAFE,
    Found,
    bounded_by_norms,
    ratio,
    sequence_rounding,
    step_rounding,
)
from rnncli.views._show import Part, about, answer, name_of, place, places, replay_check, table_of
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options

GROUP = "how far back"
ABOUT = "the norm of dh_T/dx_(T-k) against the lag k"
NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH | {"layer", "direction", "core", "lags"}
ROWS = 4

EXACT = 64  # units up to which every row of the Jacobian is computed
PROBES = 32  # random directions beyond that
SHARE = 0.01  # share of the peak that still counts as influence
CHECKED = 8  # lags compared with the closed form
CHUNK = 2**26  # number of gradient values held at once
SHOWN = 10
LONG = 2**24  # number of gradient values from which progress is shown
CHART_FROM = 8  # minimum number of lags for a chart


@dataclass(frozen=True)
class Curve:
    """norms[k]: norm of dh_T/dx_(T-k), averaged over the batch. errors: standard errors if estimated with probes.
    first: norms of the first row only."""

    norms: list[float]
    errors: list[float] | None
    first: list[float]

    @cached_property
    def peak(self) -> float:
        return max((v for v in self.norms if math.isfinite(v)), default=0.0)

    @cached_property
    def memory(self) -> int | None:
        """The last lag at or above SHARE of the peak; None if all norms are 0 or one is not finite."""
        if self.peak == 0 or not all(math.isfinite(v) for v in self.norms):
            return None
        return max(k for k, v in enumerate(self.norms) if v >= SHARE * self.peak)


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    made = subject.graph()
    records: list[Record] = []
    checks: list[Check] = []
    said: dict[str, str] = {}
    for core in subject.cores(made, options.core):
        records.append(Message(about(subject, core), name=f"{name_of(core)}.about"))
        for layer, direction in places(core.spec, options, top=True):
            curve = jacobian_curve(core, layer, direction, options.lags)
            said[f"{name_of(core)} {place(layer, direction)}"] = _sentence(curve, core)
            records += _shown(subject, core, layer, direction, curve)
            checks += _closed_form(core, layer, direction, curve)
    return [*answer(said), *records, Checks([*checks, replay_check(made)])]


def jacobian_curve(core: CoreTrace, layer: int, direction: int, lags: int | None = None) -> Curve:
    """The Frobenius norm of dh_T/dx_(T-k) for every lag k, or for k < lags, from the graph of a trace.

    h_T is the last state of that layer and direction: at each row's end; for the reverse direction at step 0. x (T, B,
    I) is the module's input. Exact up to H=64; beyond that, the mean of |v J|^2 over 32 seeded random directions v, an
    unbiased estimate of |J|^2, with its standard error. With `lags`, only the last steps are computed, from the states
    before them. Raises UsageError for `lags` if the module is bidirectional or called step by step.
    """
    size = core.spec.state_size
    exact = size <= EXACT
    if exact:
        vectors = torch.eye(size)
    else:
        generator = torch.Generator().manual_seed(0)
        vectors = torch.randint(0, 2, (PROBES, size), generator=generator) * 2.0 - 1
    row = layer * core.spec.num_directions + direction
    whole = len(core.calls) == 1 and not isinstance(core.module, nn.RNNCellBase)
    if lags is not None and (not whole or core.spec.bidirectional):
        raise UsageError(
            tr("--lags needs a module that reads whole sequences in one direction"),
            where="--lags",
            todo=tr("omit it, or give a shorter --input"),
        )
    window = _last_steps(core, lags) if whole else None
    squares = _step_by_step(core, row, vectors) if window is None else follow(_backward(core, window, row, vectors))
    each = torch.cat(squares)  # (vectors, T, B)
    each = _by_lag(each, core.lengths if window is None else window.lengths, direction)
    total = each.sum(0) if exact else each.mean(0)  # (K, B)
    norms = total.sqrt()
    inside = ~total.isnan() if core.lengths is not None else torch.ones_like(total, dtype=torch.bool)
    mean = _mean(norms, inside)
    if exact:
        return Curve(mean.tolist(), None, norms[:, 0].tolist())
    error = (
        each.std(0) / len(each) ** 0.5 / (2 * norms).clamp(min=1e-300)
    )  # relative error of a square root: half that of the square
    spread = (_mean(error.square(), inside) / inside.sum(1)).sqrt()
    return Curve(mean.tolist(), spread.tolist(), norms[:, 0].tolist())


@dataclass(frozen=True)
class Window:
    """The input of a module. x: (T, B, I). state: initial states of all layers. lengths: (B,), None if all are T."""

    x: Tensor
    state: State
    lengths: Tensor | None


def _last_steps(core: CoreTrace, lags: int | None) -> Window:
    """The last `lags` steps of each row, starting from the recorded states before them; None for all steps."""
    call = core.calls[0]
    T, B, _ = call.x.shape
    initial = tuple(tensor.detach() for tensor in call.initial)
    if lags is None or lags >= T:
        return Window(call.x.detach(), initial, call.lengths)
    ends = torch.full((B,), T) if call.lengths is None else call.lengths.cpu()
    starts = (ends - lags).clamp(min=0)  # (B,)
    steps = (starts + torch.arange(lags).unsqueeze(1)).clamp(max=T - 1)  # (lags, B)
    before = list(enumerate(starts.tolist()))
    state = []
    for name, fresh in zip(core.spec.states, initial, strict=True):
        layers = [call.layers[layer, 0].steps[name] for layer in range(core.spec.num_layers)]
        rows = [
            torch.stack([made[start - 1][b].detach() if start else fresh[layer, b] for b, start in before])
            for layer, made in enumerate(layers)
        ]
        state.append(torch.stack(rows))  # (L, B, .)
    return Window(
        call.x.detach()[steps, torch.arange(B)], tuple(state), None if call.lengths is None else ends - starts
    )


def _backward(core: CoreTrace, window: Window, row: int, vectors: Tensor) -> Generator[Reading, None, list[Tensor]]:
    """|v dh_T/dx|^2 for every v: run the module on one copy of the batch per vector, with one backward pass.

    Yields (vectors, T, B) in chunks.
    """
    T, B, size = window.x.shape
    kept = core.spec.hidden_size * (core.spec.num_gates + 1) + sum(map(math.prod, core.spec.states.values()))
    per_chunk = max(1, CHUNK // max(1, T * B * (size + kept)))
    what, total = tr("gradients of h_T over {n} steps", n=f"{T:,}"), len(vectors) * T * B * size
    said = trn("{what}: {n} forward and backward pass", "{what}: {n} forward and backward passes", what=what,
               n=-(-len(vectors) // per_chunk))  # fmt: skip
    said = tr("{what}; --lags 100 limits it to the last 100 steps", what=said)
    found: list[Tensor] = []
    for part in torch.split(vectors.to(window.x), per_chunk):
        if total >= LONG:
            yield Reading(what, sum(map(Tensor.numel, found)) * size, total, "" if found else said)
        n = len(part)
        x = window.x.repeat(1, n, 1).requires_grad_()  # (T, n·B, I)
        state = tuple(tensor.repeat(1, n, *[1] * (tensor.dim() - 2)) for tensor in window.state)
        lengths = None if window.lengths is None else window.lengths.repeat(n)
        with torch.enable_grad():
            _, last = run_core(core.module, x, state, lengths)
            (gradient,) = torch.autograd.grad((last[0][row] * part.repeat_interleave(B, dim=0)).sum(), x)
        found.append(gradient.double().square().sum(-1).view(T, n, B).transpose(0, 1))
    return found


def _step_by_step(core: CoreTrace, row: int, vectors: Tensor) -> list[Tensor]:
    """The same for a module called by a decoder or a loop: through the recorded graph, one vector at a time."""
    last = core.calls[-1].last[0][row]  # (B, H)
    xs = [call.x for call in core.calls]
    found: list[Tensor] = []
    for vector in vectors.to(last):
        grads = torch.autograd.grad((last * vector).sum(), xs, retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(x) if g is None else g for x, g in zip(xs, grads, strict=True)]
        found.append(torch.cat(parts).double().square().sum(-1).unsqueeze(0))
    return found


def _mean(values: Tensor, inside: Tensor) -> Tensor:
    """Mean over the rows that are long enough: (K, B) -> (K,)."""
    return values.masked_fill(~inside, 0.0).sum(1) / inside.sum(1)


def _by_lag(squares: Tensor, lengths: Tensor | None, direction: int) -> Tensor:
    """(n, T, B) by step -> by lag from the end of each row; nan beyond its start."""
    T, B = squares.shape[1:]
    if lengths is None:
        return squares if direction else squares.flip(1)
    lengths = lengths.cpu()
    lags = torch.arange(T).unsqueeze(1).expand(T, B)
    steps = lags if direction else lengths.unsqueeze(0) - 1 - lags  # (T, B)
    outside = lags >= lengths.unsqueeze(0)
    gathered = squares.gather(1, steps.clamp(min=0).unsqueeze(0).expand_as(squares))
    return gathered.masked_fill(outside.unsqueeze(0), float("nan"))[:, : int(lengths.max())]


def _shown(subject: Subject, core: CoreTrace, layer: int, direction: int, curve: Curve) -> list[Record]:
    home, name = place(layer, direction), name_of(core)
    memory = curve.memory
    lags = list(range(len(curve.norms)))
    marks = {} if memory is None else {tr("memory length"): float(memory)}
    line = {f"|dh_T/dx_(T-k)| {home}": curve.norms}
    exact = curve.errors is None
    parts: list[Part] = [(Column("lag", tr("lag k"), "count"), lags), (Column("norm", "|dh_T/dx_(T-k)|"), curve.norms)]
    if curve.errors is not None:
        parts.append((Column("error", tr("error"), "diff", optional=True), curve.errors))
    shares = [norm / curve.peak if curve.peak else 0.0 for norm in curve.norms]
    parts.append((Column("share", tr("share of peak"), "bar", optional=True), shares))
    how = tr("exact") if exact else tr("estimated with {n} random directions, see the standard errors", n=PROBES)
    where = Message(
        f"{name} {home}: "
        + tr("Frobenius norm, mean over the batch (B={B}), {how}", B=core.calls[0].x.shape[1], how=how),
        name=f"{name}.{home}.memory",
    )
    series = Series(f"{name}.{home}.curve", lags, line, tr("lag k"), log_y=True, marks=marks)
    table = table_of(f"{name}.{home}", parts, cut_rows=SHOWN)
    return [where, *([series] if len(lags) >= CHART_FROM else []), table]


def _sentence(curve: Curve, core: CoreTrace) -> str:
    memory, longest = curve.memory, len(curve.norms) - 1
    if memory is None:
        return tr("Unknown: the gradients are 0 or not finite.")
    if not CELLS[core.spec.cell].stateful:
        return tr("Not at all, 0 steps: without W_hh only the current x matters.")
    share = percent(SHARE)
    if len(curve.norms) < core.num_steps:
        return _sentence_of_some(memory, longest, share)
    if memory == longest:
        return trn(
            "At least {n} step, the whole sequence: at lag {n} the influence of x is still {share} of the peak or "
            "more.",
            "At least {n} steps, the whole sequence: at lag {n} the influence of x is still {share} of the peak or "
            "more.",
            n=memory,
            share=share,
        )
    return trn(
        "{n} step of {longest}: from lag {next} on the influence of x is below {share} of the peak.",
        "{n} steps of {longest}: from lag {next} on the influence of x is below {share} of the peak.",
        n=memory,
        longest=longest,
        next=memory + 1,
        share=share,
    )


def _sentence_of_some(memory: int, longest: int, share: str) -> str:
    """The verdict for the first lags only: beyond them the gradient may be larger."""
    if memory == longest:
        return tr("More than {n} steps, the largest lag computed: there the influence of x is still {share} of "
"the peak or more.",
                  n=memory, share=share)  # fmt: skip
    return trn(
        "Among the lags up to {longest}, {n} step: from lag {next} on the influence of x is below {share} of the peak.",
        "Among the lags up to {longest}, {n} steps: from lag {next} on the influence of x is below {share} of the "
        "peak.",
        n=memory,
        longest=longest,
        next=memory + 1,
        share=share,
    )


def _closed_form(core: CoreTrace, layer: int, direction: int, curve: Curve) -> list[Check]:
    """Check of the first lags, in float64, as a product of single-step Jacobians: dh_T/dh_(T-1) ... dh_(T-k)/dx_(T-k).

    For the lowest layer of a module that ran once over whole sequences: there x reaches h_T on one path. The tolerance
    is propagated too: each slope has a rounding error, which the product carries on.
    """
    H = core.spec.state_size
    if layer > 0 or len(core.calls) > 1 or core.lengths is not None or H > EXACT or curve.memory is None:
        return []
    lags = min(CHECKED, len(curve.norms))
    w, eps = weights_of(exact_copy(core.module), layer, direction), eps_of(core)
    beside = _beside_closed_form if bounded_by_norms(core.spec) else _beside_moved
    diff, tol = beside(core, w, layer, direction, curve.first[:lags], eps, 0.0)
    if not diff <= tol:  # autograd ran the sequence again and may have reached different states
        call = core.calls[0]
        costs = sequence_rounding(core.module, core.spec, call.x.detach(), call.initial, None, eps)
        drift = max(float(cost.max()) for cost in costs)
        diff, tol = beside(core, w, layer, direction, curve.first[:lags], eps, drift)
    text = trn(
        "{core} {home}: product of step Jacobians = autograd ({n} lag)",
        "{core} {home}: product of step Jacobians = autograd ({n} lags)",
        core=name_of(core),
        home=place(layer, direction),
        n=lags,
    )
    return [Check(f"{name_of(core)}-{place(layer, direction)}-closed-form", diff <= tol, text, diff, tol)]


def _beside_closed_form(
    core: CoreTrace, w: Weights, layer: int, direction: int, norms: list[float], eps: float, drift: float
) -> Found:
    """norms: by autograd, per lag. drift: possible deviation of its states from the recorded ones."""
    found: list[Found] = []
    after = _first_states(core, w)
    by_input, by_state_before = (0.0 if t is None else float(t.detach().norm()) for t in (w.weight_ih, w.weight_hh))
    cost = 0.0  # rounding error of `after`
    for k, norm in enumerate(norms):
        by_state, by_x, own = _step_jacobians(core, w, layer, direction, k, eps)
        own += drift * (1 + by_state_before)  # slopes depend on the states
        size = float(after.norm())
        allowed = cost * float(by_x.norm()) + size * own * (1 + by_input)
        found.append((abs(float((after @ by_x).norm()) - norm), allowed))
        cost = cost * float(torch.linalg.matrix_norm(by_state, 2)) + size * own * (1 + by_state_before)
        after = after @ by_state
    return max(found, key=ratio)


def _first_states(core: CoreTrace, w: Weights) -> Tensor:
    """dh_T / d(states after step T): selects h, (H, S) of all states."""
    states = sum(map(math.prod, core.spec.states.values()))
    return torch.eye(states).to(next(iter(w.values())))[: core.spec.state_size]


def _beside_moved(
    core: CoreTrace, w: Weights, layer: int, direction: int, norms: list[float], eps: float, drift: float
) -> Found:
    """The same for a cell without rounding bounds: perturb its weights by a few units in the last place, and by drift,
    and compute the product again."""

    def products(w: Weights) -> list[float]:
        after, found = _first_states(core, w), []
        for k in range(len(norms)):
            by_state, by_x, _ = _step_jacobians(core, w, layer, direction, k, eps)
            found.append(float((after @ by_x).norm()))
            after = after @ by_state
        return found

    true, generator = products(w), torch.Generator().manual_seed(0)
    moves = [0.0] * len(norms)
    for _ in range(COPIES):
        moved = w.replaced(**{name: tensor.detach().clone() for name, tensor in w.items()})
        for tensor in moved.values():
            perturb_(tensor, PERTURBATION * eps + drift, generator)
        moves = [max(move, abs(a - b)) for move, a, b in zip(moves, products(moved), true, strict=True)]
    return max(
        ((abs(a - b), FACTOR * eps * a + SAFE * move) for a, b, move in zip(true, norms, moves, strict=True)), key=ratio
    )


def _step_jacobians(
    core: CoreTrace, w: Weights, layer: int, direction: int, lag: int, eps: float
) -> tuple[Tensor, Tensor, float]:
    """The step `lag` steps before the last one, of the first row in float64: d(state after)/d(state before), (S, S),
    and d(state after)/dx, (S, I); S = all states. Also the rounding tolerance of a slope of that step, relative to its
    weights."""
    spec, run = core.spec, core.spec.step
    t = lag if direction else core.num_steps - 1 - lag
    record: LayerRecord = core.calls[0].layers[layer, direction]
    before = t + 1 if direction else t - 1
    outside = before < 0 or before >= core.num_steps
    states: State = record.initial if outside else tuple(record.steps[name][before] for name in spec.states)
    like = next(iter(w.values()))
    rows = tuple(state[:1].detach().to(like) for state in states)
    x = core.calls[0].x[t, :1].detach().to(like)
    shapes = list(spec.states.values())

    def step(state: Tensor, x: Tensor) -> Tensor:
        parts = torch.split(state, [math.prod(shape) for shape in shapes])
        given = tuple(part.view(1, *shape) for part, shape in zip(parts, shapes, strict=True))
        after, _ = run(x, given, w)
        return torch.cat([part[0].flatten() for part in after])

    by_state, by_x = torch.autograd.functional.jacobian(step, (torch.cat([row.flatten() for row in rows]), x))
    own = max(float(part.max()) for part in step_rounding(spec, w, x, rows, eps))
    return by_state.detach(), by_x[:, 0].detach(), own + FACTOR * eps

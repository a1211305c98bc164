"""A replay against the torch module it stood in for, or against a closed form where torch has no such module."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnncli import records
from rnncli.cells import CELLS, NONLINEARITIES, CoreSpec, State, quiet_projections, weights_of
from rnncli.locale import tr
from rnncli.replay.loop import Call, CoreTrace, run_core, run_layer

GRADIENT_STEPS = 64  # the gradient check replays at most the first so many steps: its cost stays bounded


def tolerance(dtype: torch.dtype, width: int, scale: float = 1.0) -> float:
    """What rounding may differ by, for sums of `width` terms of size about `scale`: 1e-6 for small float32 cores."""
    base = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 2e-2, torch.float16: 4e-3}[dtype]
    return base * max(1.0, math.sqrt(width / 64)) * max(1.0, scale)


def compare(core: CoreTrace) -> list[records.Check]:
    """Replay against the torch module: outputs and last states of every call, gradients over the first steps."""
    module, spec = core.module, core.spec
    other = _name_of_reference(module, spec)
    where = f"{core.path}: " if core.path else ""
    width = spec.hidden_size + spec.input_size
    with torch.no_grad(), _exact_cudnn(), _trainable(module):
        outputs, states = [0.0], [0.0]
        for call in _joined(core):
            output, last = _reference(module, spec, call.x.detach(), call.initial, call.lengths)
            outputs.append(difference(call.output, output))
            states += [difference(a, b) for a, b in zip(call.last, last, strict=True)]
    with _exact_cudnn():
        gradients, steps = _gradient_difference(core)
    tol = tolerance(core.calls[0].x.dtype, width)
    prefix = f"{core.path}-" if core.path else ""
    texts = {
        "outputs": (tr("{where}replay = {other}: outputs", where=where, other=other), max(outputs), tol),
        "states": (tr("{where}replay = {other}: last states", where=where, other=other), max(states), tol),
        "gradients": (
            tr("{where}replay = {other}: gradients ({n} steps)", where=where, other=other, n=steps),
            gradients,
            10 * tol,
        ),
    }
    return [
        records.Check(f"{prefix}replay-{name}", diff <= allowed, text, diff, allowed)
        for name, (text, diff, allowed) in texts.items()
    ]


def _name_of_reference(module: nn.Module, spec: CoreSpec) -> str:
    if isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
        return f"nn.{type(module).__name__}"
    return tr("the closed form") if _has_closed_form(spec) else tr("the loop unrecorded")


def _has_closed_form(spec: CoreSpec) -> bool:
    return spec.nonlinearity in CELLS[spec.cell].closed_form


def _joined(core: CoreTrace) -> list[Call]:
    """The calls of a cell as one batch of B·T single steps, so that torch's cell runs once; else the calls."""
    if not isinstance(core.module, nn.RNNCellBase):
        return core.calls
    return [
        Call(
            x=torch.cat([call.x for call in core.calls], dim=1),  # (1, T·B, I)
            xs=core.calls[0].xs,
            initial=tuple(torch.cat(parts, dim=1) for parts in zip(*(c.initial for c in core.calls), strict=True)),
            lengths=None,
            output=torch.cat([call.output for call in core.calls], dim=1),
            last=tuple(torch.cat(parts, dim=1) for parts in zip(*(c.last for c in core.calls), strict=True)),
            layers={},
        )
    ]


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference of two tensors, relative to the largest number where that is above 1. NaN equals NaN."""
    if ours.numel() == 0:
        return 0.0
    apart = (ours.detach() - theirs.detach()).abs()
    apart = apart.masked_fill(ours.isnan() & theirs.isnan() | (ours.detach() == theirs.detach()), 0.0)
    finite = theirs.detach().abs()
    scale = float(finite[finite.isfinite()].max()) if bool(finite.isfinite().any()) else 1.0
    return float(apart.max()) / max(1.0, scale)


def _reference(
    module: nn.Module, spec: CoreSpec, x: Tensor, state: State, lengths: Tensor | None
) -> tuple[Tensor, State]:
    """The same function by something that is not this loop: torch's own module, or a closed form. A cell that has
    neither is held against the loop without a recording; its equations are held against others by its tests."""
    if isinstance(module, nn.RNNCellBase):
        hx = tuple(tensor[0] for tensor in state)
        out = module(x[0], hx if len(hx) > 1 else hx[0])
        last: State = tuple(out) if isinstance(out, tuple) else (out,)
        return last[0].unsqueeze(0), tuple(t.unsqueeze(0) for t in last)
    if not isinstance(module, nn.RNNBase):
        compute = closed_form if _has_closed_form(spec) else _unrecorded
        return compute(module, spec, x, state, lengths)
    hx_ = state if len(state) > 1 else state[0]
    with _batch_first(module, False), quiet_projections(spec):
        if lengths is None:
            output, after = module(x, hx_)
        else:
            packed = pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
            output, after = module(packed, hx_)
            output, _ = pad_packed_sequence(output, total_length=x.shape[0])
    return output, (tuple(after) if isinstance(after, tuple) else (after,))


def _unrecorded(
    module: nn.Module, spec: CoreSpec, x: Tensor, state: State, lengths: Tensor | None
) -> tuple[Tensor, State]:
    return run_core(module, x, state, lengths)


def closed_form(
    module: nn.Module, spec: CoreSpec, x: Tensor, state: State, lengths: Tensor | None
) -> tuple[Tensor, State]:
    """Cores that no torch module computes, without a loop over steps: all steps at once.

    feedforward: tanh(W_ih x + b) on all T·B rows together. rnn without nonlinearity: h_t = W^t h_0 + sum_k W^(t-k) a_k,
    a_k = W_ih x_k + b, by powers of W = W_hh. x: (T, B, I); returns output (T, B, D·H) and h (L·D, B, H).
    """
    T, B = x.shape[:2]
    lengths = torch.full((B,), T) if lengths is None else lengths.cpu()
    inside = (torch.arange(T).unsqueeze(1) < lengths.unsqueeze(0)).unsqueeze(2).to(x.device)  # (T, B, 1)
    last: list[Tensor] = []
    for layer in range(spec.num_layers):
        outputs: list[Tensor] = []
        for direction in range(spec.num_directions):
            w = weights_of(module, layer, direction)
            h0 = state[0][layer * spec.num_directions + direction]  # (B, H)
            a = F.linear(x, w.weight_ih, w.bias_ih)
            a = a if w.bias_hh is None else a + w.bias_hh  # (T, B, H)
            a = a * inside
            if w.weight_hh is None:
                h = NONLINEARITIES[spec.nonlinearity](a) * inside
                end = h[0] if direction else h[lengths - 1, torch.arange(B)]
            else:
                a = a.flip(0) if direction else a
                powers = [torch.eye(spec.hidden_size, dtype=x.dtype, device=x.device)]
                for _ in range(T):
                    powers.append(w.weight_hh @ powers[-1])
                W = torch.stack(powers)  # (T+1, H, H): W^0 ... W^T
                lag = torch.arange(T).unsqueeze(1) - torch.arange(T).unsqueeze(0)  # (T, T): t - k
                M = W[lag.clamp(min=0)] * (lag >= 0)[:, :, None, None].to(x.device, x.dtype)  # (T, T, H, H)
                h = torch.einsum("tkij,kbj->tbi", M, a)
                # h_0 counts from the first step that was really made: step T - length in reverse, 0 otherwise
                start = (T - lengths) if direction else torch.zeros(B, dtype=torch.long)
                since = torch.arange(T).unsqueeze(1) - start.unsqueeze(0) + 1  # (T, B) steps made so far
                h = h + torch.einsum("tbij,bj->tbi", W[since.clamp(min=0)], h0)
                h = h.flip(0) if direction else h
                end = h[0] if direction else h[lengths - 1, torch.arange(B)]
                h = h * inside
            outputs.append(h)
            last.append(end)
        x = torch.cat(outputs, dim=2)
    return x, (torch.stack(last),)


def _gradient_difference(core: CoreTrace) -> tuple[float, int]:
    """The largest relative difference of d(random functional)/d(x, h_0, c_0, weights), and over how many steps."""
    module, spec, call = core.module, core.spec, core.calls[0]
    if isinstance(module, nn.RNNCellBase):
        call = _joined(core)[0]
    T = min(call.x.shape[0], GRADIENT_STEPS)
    lengths = None if call.lengths is None else call.lengths.clamp(max=T)
    generator = torch.Generator().manual_seed(0)
    parameters = [p for p in module.parameters() if p.requires_grad]
    found: list[tuple[Tensor, ...]] = []
    weights: list[Tensor] = []
    with _trainable(module), torch.enable_grad():
        for ours in (True, False):
            x = call.x[:T].detach().clone().requires_grad_()
            state = tuple(t.detach().clone().requires_grad_() for t in call.initial)
            if not ours:
                output, last = _reference(module, spec, x, state, lengths)
            elif isinstance(module, nn.RNNCellBase):
                flat = tuple(t[0] for t in state)
                outs, after = run_layer(CELLS[spec.cell].step, weights_of(module), [x[0]], flat)
                output, last = outs[0].unsqueeze(0), tuple(t.unsqueeze(0) for t in after)
            else:
                output, last = run_core(module, x, state, lengths)
            if not weights:
                weights = [torch.randn(t.shape, generator=generator).to(t) for t in (output, *last)]
            loss = sum((w * t).sum() for w, t in zip(weights, (output, *last), strict=True))
            assert isinstance(loss, Tensor)
            wanted = [x, *state, *parameters]
            grads = torch.autograd.grad(loss, wanted, allow_unused=True)
            found.append(tuple(torch.zeros_like(t) if g is None else g for t, g in zip(wanted, grads, strict=True)))
    return max(difference(a, b) for a, b in zip(*found, strict=True)), call.x.shape[1] if T == 1 else T


@contextmanager
def _trainable(module: nn.Module) -> Iterator[None]:
    """Training mode without dropout: cuDNN refuses a backward pass in eval mode."""
    training, dropout = module.training, getattr(module, "dropout", None)
    module.training = True
    if dropout is not None:
        module.dropout = 0.0  # type: ignore[assignment]
    try:
        yield
    finally:
        module.training = training
        if dropout is not None:
            module.dropout = dropout


@contextmanager
def _batch_first(module: nn.RNNBase, value: bool) -> Iterator[None]:
    before = module.batch_first
    module.batch_first = value
    try:
        yield
    finally:
        module.batch_first = before


@contextmanager
def _exact_cudnn() -> Iterator[None]:
    """cuDNN computes recurrent layers in TF32 by default, three digits; the comparison wants all of float32."""
    with ExitStack() as stack:
        if torch.cuda.is_available():
            before = torch.backends.cudnn.allow_tf32
            torch.backends.cudnn.allow_tf32 = False
            stack.callback(setattr, torch.backends.cudnn, "allow_tf32", before)
        yield

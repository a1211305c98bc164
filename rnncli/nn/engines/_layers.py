"""Code shared by engines that process whole sequences: layers, directions, sequences of different lengths, and the
input's part of every sum. Each engine provides the recurrence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from rnncli.cells import CoreSpec, State, Weights, weights_of
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.nn.engines._base import Sequence
from rnncli.nn.frontends import Rows
from rnncli.replay import initial_state


@dataclass(frozen=True)
class Span:
    """The ends of a padded batch's sequences. inside: (T, B, 1), 1 inside a sequence, 0 after it. ends: (B,), each
    one's last step. order: (T·B,), the index of every (t, b) when each sequence is reversed."""

    inside: Tensor
    ends: Tensor
    order: Tensor

    @classmethod
    def of(cls, lengths: Tensor, T: int, like: Tensor) -> Span:
        """lengths: (B,), each at least 1. like: for dtype and device."""
        B = len(lengths)
        t, b = torch.arange(T).unsqueeze(1), torch.arange(B).unsqueeze(0)
        inside = t < lengths  # (T, B)
        order = torch.where(inside, lengths - 1 - t, t) * B + b
        return cls(inside.unsqueeze(2).to(like), (lengths - 1).to(like.device), order.flatten().to(like.device))

    def last(self, h: Tensor) -> Tensor:
        """(B, H): each sequence's h at its last step. h: (T, B, H)."""
        return h[self.ends, torch.arange(h.shape[1], device=h.device)]


Recurrence = Callable[[CoreSpec, Weights, Tensor, State, bool], State]
CellFunctions = tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]  # autograd's, untyped in torch


def run_layers(
    module: torch.nn.Module, spec: CoreSpec, given: Sequence, recurrence: Recurrence
) -> tuple[Tensor, State]:
    """Run a core over a batch, layer by layer, each direction with `recurrence`. x may be rows of a table.

    recurrence: (spec, weights, sums of the input's part (T, B, G·H), states before (B, H) each, whether products may be
    in bfloat16) -> the states after every step, (T, B, H) each. It may overwrite the sums.
    """
    x = given.x
    T, B = x.numbers.shape if isinstance(x, Rows) else x.shape[:2]
    like = weights_of(module).like
    half = torch.is_autocast_enabled(like.device.type)
    state = initial_state(spec, B, like) if given.state is None else given.state
    span = None if given.lengths is None else Span.of(given.lengths, T, like)
    last: list[State] = []
    for layer in range(spec.num_layers):
        outputs: list[Tensor] = []
        for direction in range(spec.num_directions):
            row = layer * spec.num_directions + direction
            before = tuple(tensor[row].to(like.dtype) for tensor in state)  # under autocast torch's may be bfloat16
            w = weights_of(module, layer, direction)
            sums = input_sums(spec, w, rows_turned(x, span) if direction else x)
            if half:
                with torch.autocast(like.device.type, enabled=False):
                    steps = recurrence(spec, w, sums.to(like.dtype), before, half)
            else:
                steps = recurrence(spec, w, sums, before, half)  # h, and c of an lstm, (T, B, H) each
            last.append(tuple(part[-1] if span is None else span.last(part) for part in steps))
            output = steps[0] if span is None else steps[0] * span.inside
            outputs.append(_turned(output, span) if direction else output)
        x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
        if given.dropout and layer < spec.num_layers - 1:
            x = F.dropout(x, given.dropout)
    assert isinstance(x, Tensor)
    return x, tuple(torch.stack(rows) for rows in zip(*last, strict=True))


def by_cell(functions: CellFunctions, spec: CoreSpec, w: Weights, sums: Tensor, before: State, *more: bool) -> State:
    """The states after every step, (T, B, H) each, by the function of torch's rnn, gru or lstm. more: its last
    arguments."""
    (rnn, gru, lstm), W = functions, w.weight_hh
    if spec.torch_class is torch.nn.RNN:
        return (rnn(sums, *before, W, spec.nonlinearity == "relu", *more),)
    if spec.torch_class is torch.nn.GRU:
        H = spec.hidden_size
        b_n = sums.new_zeros(H) if w.bias_hh is None else w.bias_hh[2 * H :]
        return (gru(sums, *before, W, b_n, *more),)
    states: State = lstm(sums, *before, W, *more)
    return states


def rows_turned(x: Tensor | Rows, span: Span | None) -> Tensor | Rows:
    if isinstance(x, Rows):
        return replace(x, numbers=_turned(x.numbers.unsqueeze(2), span).squeeze(2))
    return _turned(x, span)


def _turned(x: Tensor, span: Span | None) -> Tensor:
    """Reverse each sequence, leaving its padding in place; its own inverse. x: (T, B, .)."""
    return x.flip(0) if span is None else _TURN(x, span.order)


class Context(Protocol):
    """autograd's context, with the fields that these functions add."""

    order: Tensor
    relu: bool
    half: bool
    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]
    save_for_backward: Callable[..., None]
    mark_dirty: Callable[[Tensor], None]
    set_materialize_grads: Callable[[bool], None]


class _Turn(torch.autograd.Function):
    """A permutation of the (t, b) that is its own inverse: the same indexing reverses its gradient."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, order: Tensor) -> Tensor:
        ctx.order = order
        return x.flatten(0, 1).index_select(0, order).view_as(x)

    @staticmethod
    def backward(ctx: Context, d_x: Tensor) -> tuple[Tensor, None]:
        return d_x.flatten(0, 1).index_select(0, ctx.order).view_as(d_x), None


def input_sums(spec: CoreSpec, w: Weights, x: Tensor | Rows) -> Tensor:
    """The input's part of every gate's sum and the biases, (T, B, G·H), in newly allocated memory. Without a gru's
    b_hn, which is inside the brackets of r ⊙ (W_hn h + b_hn)."""
    bias = w.bias_ih
    if bias is not None and w.bias_hh is not None:
        H = spec.hidden_size
        bias = bias + (F.pad(w.bias_hh[: 2 * H], (0, H)) if spec.torch_class is torch.nn.GRU else w.bias_hh)
    if not isinstance(x, Rows):
        return F.linear(x, w.weight_ih, bias)
    if x.table is not None:
        return x.look_up(F.linear(x.table, w.weight_ih, bias))
    return x.look_up(w.weight_ih.t() if bias is None else w.weight_ih.t() + bias)


def refuses(engine: str, spec: CoreSpec) -> str:
    """Why such an engine cannot run a core, "" if it can: they implement the equations of torch's modules."""
    if spec.torch_class is not None and not spec.proj_size:
        return ""
    what = tr("projections") if spec.proj_size and not spec.options else spec.with_options
    if spec.nonlinearity == "none":
        what = tr("nonlinearity none")
    return tr("engine {engine} does not support {what}", engine=engine, what=what)


def first_derivative_only(engine: str) -> None:
    """Autograd enables gradients in backward only for a second derivative, which is not implemented here."""
    if torch.is_grad_enabled():
        raise UsageError(
            tr("engine {engine} has no second derivative", engine=engine),
            where="model.engine",
            todo=tr("use engine: torch, or loop"),
        )


def weight_gradient(d_a: Tensor, h: Tensor, h_0: Tensor, half: bool) -> Tensor:
    """sum over t of d_a_tᵀ h_(t-1), (rows of W, H): one product, without shifting a copy of h."""
    found = d_a[0].t() @ h_0
    if len(h) > 1:
        later, before = d_a[1:].flatten(0, 1).t(), h[:-1].flatten(0, 1)
        if half:
            found += later.bfloat16() @ before.bfloat16()
        else:
            found.addmm_(later, before)
    return found


_TURN: Callable[[Tensor, Tensor], Tensor] = _Turn.apply  # untyped in torch

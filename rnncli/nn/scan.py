"""The scan engine: backpropagation through time, written out over the whole sequence.

torch's own nn.RNN and nn.GRU let autograd walk back through every small operation of every step. Here one
autograd.Function per cell holds the whole sequence, and does what can be done for all steps at once outside the loop:

- forward: the input's part of every sum, W_ih x_t + b for all t, is one product, (T·B, I) x (I, G·H), written into
  the buffer in which the loop then adds W_hh h_(t-1) and applies the nonlinearity in place.
- backward: the factors that do not depend on dL/dh_t (derivatives of the nonlinearities) are computed for all t at
  once; the loop only carries dL/dh back: scale, multiply by W_hh, add. Each weight's gradient is one product after it.

Notation: `d_h` is dL/dh. T steps, B rows, I inputs, H units. Rows of different lengths are padded: the loop runs over
the padding too, what it makes there is set to 0, and no gradient comes from there. Werbos 1990, "Backpropagation
through time: what it does and how to do it"; the cells are those of rnncli.cells, where each equation has its source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rnncli.cells import CoreSpec, State, weights_of
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.replay import initial_state


@dataclass(frozen=True)
class Span:
    """Where the rows of a padded batch end. inside: (T, B, 1), 1 within a row, 0 behind it. ends: (B,), each row's last
    step. order: (T·B,), the place of every (t, b) when each row is read from its end to its start."""

    inside: Tensor
    ends: Tensor
    order: Tensor

    @classmethod
    def of(cls, lengths: Tensor, x: Tensor) -> Span:
        """lengths: (B,), each at least 1. x: (T, B, .), for dtype and device."""
        T, B = x.shape[:2]
        t, b = torch.arange(T).unsqueeze(1), torch.arange(B).unsqueeze(0)
        inside = t < lengths  # (T, B)
        order = torch.where(inside, lengths - 1 - t, t) * B + b
        return cls(inside.unsqueeze(2).to(x), (lengths - 1).to(x.device), order.flatten().to(x.device))

    def reverse(self, x: Tensor) -> Tensor:
        """Each row from its end to its start, its padding left where it is. (T, B, .); its own inverse."""
        return x.flatten(0, 1).index_select(0, self.order).view_as(x)

    def last(self, h: Tensor) -> Tensor:
        """(B, .): every row's h at its last step."""
        return h[self.ends, torch.arange(h.shape[1], device=h.device)]


def scan(
    module: torch.nn.Module, spec: CoreSpec, x: Tensor, lengths: Tensor | None, state: State | None, dropout: float
) -> tuple[Tensor, State]:
    """A core over a batch. Arguments and results as `rnncli.nn.recurrent.run` has them."""
    state = initial_state(spec, x.shape[1], x) if state is None else state
    span = None if lengths is None else Span.of(lengths, x)
    last: list[State] = []
    for layer in range(spec.num_layers):
        outputs: list[Tensor] = []
        for direction in range(spec.num_directions):
            row = layer * spec.num_directions + direction
            w = weights_of(module, layer, direction)
            before = tuple(tensor[row] for tensor in state)
            assert w.weight_hh is not None
            arguments = (x, *before, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh)
            how = How(span, direction == 1, spec.nonlinearity == "relu")
            output, *after = FUNCTIONS[spec.cell].apply(*arguments, how)
            outputs.append(output)
            last.append(tuple(after))
        x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
        if dropout and layer < spec.num_layers - 1:
            x = F.dropout(x, dropout)
    return x, tuple(torch.stack(rows) for rows in zip(*last, strict=True))


@dataclass(frozen=True)
class How:
    """What a scan needs beside tensors. span: None where every row has T steps."""

    span: Span | None
    reverse: bool
    relu: bool = False

    def turn(self, x: Tensor) -> Tensor:
        """x as the loop reads it: as it is, or from the end to the start. Its own inverse. (T, B, .)"""
        if not self.reverse:
            return x
        return x.flip(0) if self.span is None else self.span.reverse(x)

    def ended(self, h: Tensor) -> Tensor:
        """h with 0 behind every row's end, in place. (T, B, .)"""
        return h if self.span is None else h.mul_(self.span.inside)

    def last(self, h: Tensor) -> Tensor:
        return h[-1].clone() if self.span is None else self.span.last(h)

    def gradient(self, d_output: Tensor | None, d_last: Tensor | None, like: Tensor) -> Tensor:
        """dL/dh of every step as far as it comes from outside the loop, (T, B, H): a buffer of its own."""
        if d_output is None:
            d_h = torch.zeros_like(like)
        else:
            d_h = self.turn(d_output)
            d_h = d_h.clone(memory_format=torch.contiguous_format) if d_h is d_output else d_h
            d_h = self.ended(d_h)
        if d_last is not None and self.span is None:
            d_h[-1] += d_last
        elif d_last is not None and self.span is not None:
            d_h[self.span.ends, torch.arange(d_h.shape[1], device=d_h.device)] += d_last
        return d_h


def _first_derivative_only() -> None:
    """Autograd enables gradients in backward only when asked for a second derivative, which is not written here."""
    if torch.is_grad_enabled():
        raise UsageError(
            tr("engine scan has no second derivative"), where="model.engine", todo=tr("take engine: torch, or cell")
        )


def _sum_of_biases(b_ih: Tensor | None, b_hh: Tensor | None, like: Tensor) -> Tensor:
    return like.new_zeros(like.shape[0]) if b_ih is None or b_hh is None else b_ih + b_hh


def _before(h: Tensor, h_0: Tensor, d: Tensor) -> Tensor:
    """sum over t of d_t' h_(t-1), (rows of d, H): a weight's gradient as one product, without shifting a copy of h."""
    found = d[0].t() @ h_0
    if len(h) > 1:
        found.addmm_(d[1:].flatten(0, 1).t(), h[:-1].flatten(0, 1))
    return found


class RnnScan(torch.autograd.Function):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or relu."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h_0: Tensor, W_ih: Tensor, W_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None, how: How
    ) -> tuple[Tensor, Tensor]:
        """x: (T, B, I); h_0: (B, H). Returns output (T, B, H) and the last h (B, H)."""
        x = how.turn(x)
        T, B, _ = x.shape
        # tanh(a) = 2 sigmoid(2a) - 1: on a CPU torch's sigmoid is several times as fast as its tanh.
        double = 1 if how.relu else 2
        b = _sum_of_biases(b_ih, b_hh, W_ih)
        h = torch.addmm(b, x.flatten(0, 1), W_ih.t(), beta=double, alpha=double).view(T, B, -1)  # (T, B, H)
        W, h_before, minus_one, one = W_hh.t(), h_0, -torch.ones_like(h_0), torch.ones_like(h_0)
        for h_t in h.unbind(0):
            h_t.addmm_(h_before, W, alpha=double)
            if how.relu:
                h_t.clamp_min_(0)
            else:
                torch.lerp(minus_one, one, h_t.sigmoid_(), out=h_t)
            h_before = h_t
        h = how.ended(h)
        ctx.save_for_backward(x, h_0, W_ih, W_hh, h)
        ctx.how, ctx.has_bias = how, b_ih is not None
        ctx.set_materialize_grads(False)
        return how.turn(h), how.last(h)

    @staticmethod
    def backward(ctx: Any, d_output: Tensor | None, d_last: Tensor | None) -> tuple[Tensor | None, ...]:
        _first_derivative_only()
        x, h_0, W_ih, W_hh, h = ctx.saved_tensors
        how = ctx.how
        slope = (h > 0).to(h) if how.relu else 1 - h * h  # of the nonlinearity, by its value, (T, B, H)
        d_a = how.gradient(d_output, d_last, h)  # dL/dh, and in the loop dL/da, a the sum inside
        steps = list(zip(d_a.unbind(0), slope.unbind(0), strict=True))
        for t in range(len(steps) - 1, -1, -1):
            d_a_t, slope_t = steps[t]
            d_a_t.mul_(slope_t)
            if t:
                steps[t - 1][0].addmm_(d_a_t, W_hh)
        flat = d_a.flatten(0, 1)  # (T·B, H)
        needs = ctx.needs_input_grad
        d_x = how.turn((flat @ W_ih).view_as(x)) if needs[0] else None
        d_h_0 = d_a[0] @ W_hh if needs[1] else None
        d_W_ih = flat.t() @ x.flatten(0, 1) if needs[2] else None
        d_W_hh = _before(h, h_0, d_a) if needs[3] else None
        d_b = flat.sum(0) if ctx.has_bias else None
        return d_x, d_h_0, d_W_ih, d_W_hh, d_b, d_b, None


class GruScan(torch.autograd.Function):
    """r, z = sigmoid(...); n = tanh(W_in x_t + b_in + r ⊙ (W_hn h_(t-1) + b_hn)); h_t = (1 - z) ⊙ n + z ⊙ h_(t-1)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h_0: Tensor, W_ih: Tensor, W_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None, how: How
    ) -> tuple[Tensor, Tensor]:
        """x: (T, B, I); h_0: (B, H). Returns output (T, B, H) and the last h (B, H)."""
        x = how.turn(x)
        T, B, _ = x.shape
        H = h_0.shape[1]
        flat = x.flatten(0, 1)  # (T·B, I)
        b = _sum_of_biases(b_ih, b_hh, W_ih)
        gates = x.new_empty(T, B, 3 * H)  # r | z | q
        torch.addmm(b[: 2 * H], flat, W_ih[: 2 * H].t(), out=gates.flatten(0, 1)[:, : 2 * H])
        gates[:, :, 2 * H :] = 0 if b_hh is None else b_hh[2 * H :]
        # n is kept doubled until its tanh, 2 sigmoid(2a) - 1: see RnnScan
        b_in = x.new_zeros(H) if b_ih is None else b_ih[2 * H :]
        n = torch.addmm(b_in, flat, W_ih[2 * H :].t(), beta=2, alpha=2).view(T, B, H)
        h = torch.empty_like(n)
        W, h_before, minus_one, one = W_hh.t(), h_0, -torch.ones_like(h_0), torch.ones_like(h_0)
        sigmoids = gates[:, :, : 2 * H].unbind(0)
        r, z, q = (part.unbind(0) for part in torch.split(gates, H, dim=2))
        for t, (gates_t, n_t, h_t) in enumerate(zip(gates.unbind(0), n.unbind(0), h.unbind(0), strict=True)):
            gates_t.addmm_(h_before, W)
            sigmoids[t].sigmoid_()
            n_t.addcmul_(r[t], q[t], value=2)
            torch.lerp(minus_one, one, n_t.sigmoid_(), out=n_t)
            torch.lerp(n_t, h_before, z[t], out=h_t)
            h_before = h_t
        h = how.ended(h)
        ctx.save_for_backward(x, h_0, W_ih, W_hh, gates, n, h)
        ctx.how, ctx.has_bias = how, b_ih is not None
        ctx.set_materialize_grads(False)
        return how.turn(h), how.last(h)

    @staticmethod
    def backward(ctx: Any, d_output: Tensor | None, d_last: Tensor | None) -> tuple[Tensor | None, ...]:
        _first_derivative_only()
        x, h_0, W_ih, W_hh, gates, n, h = ctx.saved_tensors
        how = ctx.how
        T, B, H = h.shape
        r, z, q = torch.split(gates, H, dim=2)  # each (T, B, H)
        h_before = torch.cat((h_0.unsqueeze(0), h[:-1]))
        # d_a = d_h ⊙ slope, for the sums inside r, z and (as W_hh sees it) n; slope does not depend on d_h
        slope_n = (1 - z) * (1 - n * n)
        d_a = torch.empty_like(gates)  # (T, B, 3H), first the slopes
        torch.mul(slope_n * q, r * (1 - r), out=d_a[:, :, :H])
        torch.mul(h_before - n, z * (1 - z), out=d_a[:, :, H : 2 * H])
        torch.mul(slope_n, r, out=d_a[:, :, 2 * H :])
        d_h = how.gradient(d_output, d_last, h)  # (T, B, H)
        wide, kept = d_a.view(T, B, 3, H).unbind(0), z.unbind(0)
        steps = list(zip(d_h.unbind(0), d_h.unsqueeze(2).unbind(0), d_a.unbind(0), strict=True))
        for t in range(T - 1, -1, -1):
            d_h_t, column, d_a_t = steps[t]
            wide[t].mul_(column)
            if t:
                steps[t - 1][0].addcmul_(d_h_t, kept[t]).addmm_(d_a_t, W_hh)
        needs = ctx.needs_input_grad
        d_h_0 = torch.addmm(d_h[0] * z[0], d_a[0], W_hh) if needs[1] else None
        d_W_hh = _before(h, h_0, d_a) if needs[3] else None
        d_b_hh = d_a.sum((0, 1)) if ctx.has_bias else None
        torch.mul(d_h, slope_n, out=d_a[:, :, 2 * H :])  # what W_ih sees of n has no r before it
        flat = d_a.flatten(0, 1)  # (T·B, 3H)
        d_x = how.turn((flat @ W_ih).view_as(x)) if needs[0] else None
        d_W_ih = flat.t() @ x.flatten(0, 1) if needs[2] else None
        d_b_ih = flat.sum(0) if ctx.has_bias else None
        return d_x, d_h_0, d_W_ih, d_W_hh, d_b_ih, d_b_hh, None


class LstmScan(torch.autograd.Function):
    """i, f, o = sigmoid(...); g = tanh(...); c_t = f ⊙ c_(t-1) + i ⊙ g; h_t = o ⊙ tanh(c_t)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h_0: Tensor,
        c_0: Tensor,
        W_ih: Tensor,
        W_hh: Tensor,
        b_ih: Tensor | None,
        b_hh: Tensor | None,
        how: How,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x: (T, B, I); h_0, c_0: (B, H). Returns output (T, B, H), the last h and the last c (B, H)."""
        x = how.turn(x)
        T, B, _ = x.shape
        H = h_0.shape[1]
        b = _sum_of_biases(b_ih, b_hh, W_ih)
        gates = torch.addmm(b, x.flatten(0, 1), W_ih.t()).view(T, B, 4 * H)  # i | f | g | o
        c = x.new_empty(T, B, H)
        tanh_c, h = torch.empty_like(c), torch.empty_like(c)
        W, h_before, c_before = W_hh.t(), h_0, c_0
        i, f, g, o = (part.unbind(0) for part in torch.split(gates, H, dim=2))
        i_f = gates[:, :, : 2 * H].unbind(0)
        buffers = zip(gates.unbind(0), c.unbind(0), tanh_c.unbind(0), h.unbind(0), strict=True)
        for t, (gates_t, c_t, tanh_c_t, h_t) in enumerate(buffers):
            gates_t.addmm_(h_before, W)
            i_f[t].sigmoid_()
            g[t].tanh_()
            o[t].sigmoid_()
            torch.mul(f[t], c_before, out=c_t).addcmul_(i[t], g[t])
            torch.tanh(c_t, out=tanh_c_t)
            torch.mul(o[t], tanh_c_t, out=h_t)
            h_before, c_before = h_t, c_t
        h = how.ended(h)
        ctx.save_for_backward(x, h_0, c_0, W_ih, W_hh, gates, c, tanh_c, h)
        ctx.how, ctx.has_bias = how, b_ih is not None
        ctx.set_materialize_grads(False)
        return how.turn(h), how.last(h), how.last(c)

    @staticmethod
    def backward(
        ctx: Any, d_output: Tensor | None, d_last: Tensor | None, d_last_c: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        _first_derivative_only()
        x, h_0, c_0, W_ih, W_hh, gates, c, tanh_c, h = ctx.saved_tensors
        how = ctx.how
        T, B, H = h.shape
        i, f, g, o = torch.split(gates, H, dim=2)  # each (T, B, H)
        c_before = torch.cat((c_0.unsqueeze(0), c[:-1]))
        # d_c = d_h ⊙ through_h + what comes from the next step; d_a = (d_c, d_c, d_c, d_h) ⊙ slope
        through_h = o * (1 - tanh_c * tanh_c)
        d_a = torch.empty_like(gates)  # (T, B, 4H), first the slopes
        torch.mul(g * i, 1 - i, out=d_a[:, :, :H])
        torch.mul(c_before * f, 1 - f, out=d_a[:, :, H : 2 * H])
        torch.mul(i, 1 - g * g, out=d_a[:, :, 2 * H : 3 * H])
        torch.mul(tanh_c * o, 1 - o, out=d_a[:, :, 3 * H :])
        d_h = how.gradient(d_output, d_last, h)  # (T, B, H)
        d_c = how.gradient(None, d_last_c, h)  # (T, B, H)
        i_f_g = d_a.view(T, B, 4, H)[:, :, :3].unbind(0)
        outs, forget, opened = d_a[:, :, 3 * H :].unbind(0), f.unbind(0), through_h.unbind(0)
        d_hs, d_cs, columns, d_as = d_h.unbind(0), d_c.unbind(0), d_c.unsqueeze(2).unbind(0), d_a.unbind(0)
        for t in range(T - 1, -1, -1):
            d_cs[t].addcmul_(d_hs[t], opened[t])
            i_f_g[t].mul_(columns[t])
            outs[t].mul_(d_hs[t])
            if t:
                d_cs[t - 1].addcmul_(d_cs[t], forget[t])
                d_hs[t - 1].addmm_(d_as[t], W_hh)
        flat = d_a.flatten(0, 1)  # (T·B, 4H)
        needs = ctx.needs_input_grad
        d_x = how.turn((flat @ W_ih).view_as(x)) if needs[0] else None
        d_h_0 = d_a[0] @ W_hh if needs[1] else None
        d_c_0 = d_c[0] * f[0] if needs[2] else None
        d_W_ih = flat.t() @ x.flatten(0, 1) if needs[3] else None
        d_W_hh = _before(h, h_0, d_a) if needs[4] else None
        d_b = flat.sum(0) if ctx.has_bias else None
        return d_x, d_h_0, d_c_0, d_W_ih, d_W_hh, d_b, d_b, None


FUNCTIONS: dict[str, Any] = {"rnn": RnnScan, "gru": GruScan, "lstm": LstmScan}

"""bptt: backpropagation through time, written out over the whole sequence, for torch's rnn, gru and lstm.

torch's nn.RNN and nn.GRU let autograd go back through every small operation of every step. Here one autograd.Function
per cell contains only the recurrence, over all steps; the rest is done for all steps at once:

- before it: the input's part of every sum, W_ih x_t + b for all t, is one product. If the x are rows of a table
  (embeddings of characters or words), it is a product with that table, and a lookup.
- forward: the loop adds W_hh h_(t-1) and applies the nonlinearity, in place.
- backward: the factors that do not depend on dL/dh_t (derivatives of the nonlinearities) are computed for all t at
  once; the loop only propagates dL/dh: scale, multiply by W_hh, add. Each weight's gradient is one product after it.

tanh(a) = 2 σ(2a) - 1, and on a CPU torch's sigmoid is faster than its tanh. So the loops of rnn and gru
carry h/2 = σ(2a) - 1/2, with W_hh doubled.

Notation: `d_h` is dL/dh. T steps, B batch, I inputs, H units, G gates. Werbos 1990, "Backpropagation through time: what
it does and how to do it"; the cells are those of rnncli.cells, where each equation has its source.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from rnncli.cells import CoreSpec, State, Weights
from rnncli.nn.engines import Engine, Sequence, Work
from rnncli.nn.engines._layers import Context, by_cell, first_derivative_only, refuses, run_layers, weight_gradient
from rnncli.nn.engines._measured import times_torch


def run(module: torch.nn.Module, spec: CoreSpec, given: Sequence) -> tuple[Tensor, State]:
    """Run a core over a batch. x may be rows of a table."""
    return run_layers(module, spec, given, _states)


SHORTEST = 10  # steps from which it is faster than torch's modules: the work around its loop has a fixed cost


def worth(spec: CoreSpec, work: Work) -> bool:
    """In training, over enough steps: without gradients torch's module has less to do, but this engine does not."""
    return work.T >= SHORTEST and work.gradients


def faster(spec: CoreSpec, work: Work) -> float:
    return times_torch("bptt", spec, work) if worth(spec, work) else 0.0


def _states(spec: CoreSpec, w: Weights, sums: Tensor, before: State, half: bool) -> State:
    """The states after every step, (T, B, H) each. half: products in bfloat16."""
    return by_cell((RnnBptt.apply, GruBptt.apply, LstmBptt.apply), spec, w, sums, before, half)


class RnnBptt(torch.autograd.Function):
    """h_t = tanh(sum_t + W h_(t-1)), or relu."""

    @staticmethod
    def forward(ctx: Context, sums: Tensor, h_0: Tensor, W: Tensor, relu: bool, half: bool) -> Tensor:
        """sums: (T, B, H), overwritten; h_0: (B, H); W: (H, H). Returns h, (T, B, H)."""
        if relu:
            h, add, h_before = sums, adder(W, len(h_0), half), h_0
            for h_t in h.unbind(0):
                add(h_t, h_before)
                h_before = h_t.clamp_min_(0)
        else:
            half_h, add, half_h_before = sums.mul_(2), adder(4 * W, len(h_0), half), h_0 / 2
            for half_h_t in half_h.unbind(0):
                add(half_h_t, half_h_before)
                half_h_before = half_h_t.sigmoid_().sub_(0.5)
            h = half_h.mul_(2)
        ctx.mark_dirty(sums)
        ctx.save_for_backward(h_0, W, h)
        ctx.relu, ctx.half = relu, half
        return h

    @staticmethod
    def backward(ctx: Context, d_output: Tensor) -> tuple[Tensor | None, ...]:
        first_derivative_only("bptt")
        h_0, W, h = ctx.saved_tensors
        slope = (h > 0).to(h) if ctx.relu else torch.addcmul(h.new_ones(()), h, h, value=-1)  # (T, B, H)
        d_a = d_output.clone(memory_format=torch.contiguous_format)  # dL/dh, and in the loop dL/dsum
        add = adder(W.t(), len(h_0), ctx.half)
        after = None
        for d_a_t, slope_t in zip(reversed(d_a.unbind(0)), reversed(slope.unbind(0)), strict=True):
            if after is not None:
                add(d_a_t, after)
            after = d_a_t.mul_(slope_t)
        return d_a, d_a[0] @ W, weight_gradient(d_a, h, h_0, ctx.half), None, None


class GruBptt(torch.autograd.Function):
    """r, z = σ(sum + W h_(t-1)); n = tanh(sum_n + r ⊙ q), q = W_n h_(t-1) + b_n; h_t = (1 - z) ⊙ n + z ⊙ h_(t-1)."""

    @staticmethod
    def forward(ctx: Context, sums: Tensor, h_0: Tensor, W: Tensor, b_n: Tensor, half: bool) -> Tensor:
        """sums: (T, B, 3H), r | z | n; h_0: (B, H); W: (3H, H); b_n: (H,). Returns h, (T, B, H)."""
        T, B, H = *sums.shape[:2], h_0.shape[1]
        # q | r | z | n, sums of q and n doubled: h enters q r z, x enters r z n. At the end, n's slot holds n / 2
        gates = sums.new_empty(T, B, 4 * H)
        doubled = sums.new_tensor((2, 1, 1)).repeat_interleave(H)  # (3H,), for q r z
        W = _q_first(W) * doubled.unsqueeze(1)
        torch.mul(sums, doubled.flip(0), out=gates[:, :, H:])
        gates[:, :, :H] = 2 * b_n
        q_r_z, r_z = (gates[:, :, a * H : b * H].unbind(0) for a, b in ((0, 3), (1, 3)))
        q, r, z, n = (part.unbind(0) for part in torch.split(gates, H, dim=2))
        half_h = sums.new_empty(T, B, H)
        half_h_before = h_0 / 2
        add = adder(2 * W, B, half)
        for t, half_h_t in enumerate(half_h.unbind(0)):
            add(q_r_z[t], half_h_before)
            r_z[t].sigmoid_()
            n[t].addcmul_(r[t], q[t]).sigmoid_().sub_(0.5)
            half_h_before = torch.lerp(n[t], half_h_before, z[t], out=half_h_t)
        h = half_h.mul_(2)
        ctx.save_for_backward(h_0, W, gates, h)
        ctx.half = half
        return h

    @staticmethod
    def backward(ctx: Context, d_output: Tensor) -> tuple[Tensor | None, ...]:
        first_derivative_only("bptt")
        h_0, W, gates, h = ctx.saved_tensors
        T, B, H = h.shape
        q, r, z, half_n = torch.split(gates, H, dim=2)  # each (T, B, H), q doubled
        n = half_n * 2
        # d_a = d_h ⊙ slope, for the sums of q (doubled), r, z and n; slope does not depend on d_h
        d_a = torch.empty_like(gates)  # (T, B, 4H), first the slopes
        slope_q, slope_r, slope_z, slope_n = torch.split(d_a, H, dim=2)
        torch.mul(1 - z, torch.addcmul(n.new_ones(()), n, n, value=-1), out=slope_n)
        torch.mul(slope_n, r, out=slope_q).mul_(0.5)
        torch.mul(slope_q * q, 1 - r, out=slope_r)
        torch.sub(h_0, n[0], out=slope_z[0])
        torch.sub(h[:-1], n[1:], out=slope_z[1:])
        slope_z.mul_(torch.addcmul(z, z, z, value=-1))
        d_h = d_output.clone(memory_format=torch.contiguous_format)  # (T, B, H)
        add = adder(W.t(), len(h_0), ctx.half)
        d_hs, columns, gates_of = d_h.unbind(0), d_h.unsqueeze(2).unbind(0), d_a.view(T, B, 4, H).unbind(0)
        q_r_z, kept = d_a[:, :, : 3 * H].unbind(0), z.unbind(0)
        for t in range(T - 1, -1, -1):
            gates_of[t].mul_(columns[t])
            if t:
                add(d_hs[t - 1].addcmul_(d_hs[t], kept[t]), q_r_z[t])
        d_h_0 = torch.addmm(d_h[0] * z[0], q_r_z[0], W)
        d_W = weight_gradient(d_a[:, :, : 3 * H], h, h_0, ctx.half)  # q | r | z
        d_W, d_b_n = torch.cat((d_W[H:], 2 * d_W[:H])), 2 * d_a[:, :, :H].sum((0, 1))
        return d_a[:, :, H:], d_h_0, d_W, d_b_n, None


def _q_first(W: Tensor) -> Tensor:
    """The rows r, z, n of a gru's W_hh as n, r, z, so that the gates with a term in h are contiguous, and those with
    one in x."""
    H = W.shape[1]
    return torch.cat((W[2 * H :], W[: 2 * H]))


class LstmBptt(torch.autograd.Function):
    """i, f, o = σ(sum + W h_(t-1)); g = tanh(...); c_t = f ⊙ c_(t-1) + i ⊙ g; h_t = o ⊙ tanh(c_t)."""

    @staticmethod
    def forward(ctx: Context, sums: Tensor, h_0: Tensor, c_0: Tensor, W: Tensor, half: bool) -> tuple[Tensor, Tensor]:
        """sums: (T, B, 4H), i | f | g | o, overwritten; h_0, c_0: (B, H); W: (4H, H). Returns h and c, (T, B, H)."""
        T, B, H = *sums.shape[:2], h_0.shape[1]
        gates = sums.detach()  # the same memory, owned by this function
        gates[:, :, 2 * H : 3 * H] *= 2
        doubled = sums.new_tensor((1, 1, 2, 1)).repeat_interleave(H).unsqueeze(1)  # (4H, 1)
        c = sums.new_empty(T, B, H)
        tanh_c, h = torch.empty_like(c), torch.empty_like(c)
        one = torch.ones_like(h_0)
        minus_one = -one
        i, f, g, o = (part.unbind(0) for part in torch.split(gates, H, dim=2))
        add = adder(doubled * W, B, half)
        h_before, c_before = h_0, c_0
        steps = zip(gates.unbind(0), c.unbind(0), tanh_c.unbind(0), h.unbind(0), strict=True)
        for t, (gates_t, c_t, tanh_c_t, h_t) in enumerate(steps):
            add(gates_t, h_before)
            gates_t.sigmoid_()
            torch.lerp(minus_one, one, g[t], out=g[t])
            torch.mul(f[t], c_before, out=c_t).addcmul_(i[t], g[t])
            torch.lerp(minus_one, one, torch.mul(c_t, 2, out=tanh_c_t).sigmoid_(), out=tanh_c_t)
            h_before, c_before = torch.mul(o[t], tanh_c_t, out=h_t), c_t
        ctx.save_for_backward(h_0, c_0, W, gates, c, tanh_c, h)
        ctx.half = half
        ctx.set_materialize_grads(False)
        return h, c

    @staticmethod
    def backward(ctx: Context, d_output: Tensor | None, d_c_output: Tensor | None) -> tuple[Tensor | None, ...]:
        first_derivative_only("bptt")
        h_0, c_0, W, gates, c, tanh_c, h = ctx.saved_tensors
        T, B, H = h.shape
        i, f, g, o = torch.split(gates, H, dim=2)  # each (T, B, H)
        # d_c = d_h ⊙ through_h + the next step's part; d_a = (d_c, d_c, d_c, d_h) ⊙ slope
        through_h = torch.addcmul(o.new_ones(()), tanh_c, tanh_c, value=-1).mul_(o)
        d_a = torch.empty_like(gates)  # (T, B, 4H), first the slopes
        slope_i, slope_f, slope_g, slope_o = torch.split(d_a, H, dim=2)
        torch.mul(g * i, 1 - i, out=slope_i)
        torch.mul(c_0 * f[0], 1 - f[0], out=slope_f[0])
        torch.mul(c[:-1] * f[1:], 1 - f[1:], out=slope_f[1:])
        torch.mul(i, torch.addcmul(g.new_ones(()), g, g, value=-1), out=slope_g)
        torch.mul(tanh_c * o, 1 - o, out=slope_o)
        d_h, d_c = (
            torch.zeros_like(h) if d is None else d.clone(memory_format=torch.contiguous_format)
            for d in (d_output, d_c_output)
        )
        d_hs, d_cs, columns = d_h.unbind(0), d_c.unbind(0), d_c.unsqueeze(2).unbind(0)
        i_f_g, outs, d_as = d_a.view(T, B, 4, H)[:, :, :3].unbind(0), slope_o.unbind(0), d_a.unbind(0)
        forget, opened = f.unbind(0), through_h.unbind(0)
        add = adder(W.t(), len(h_0), ctx.half)
        for t in range(T - 1, -1, -1):
            d_cs[t].addcmul_(d_hs[t], opened[t])
            i_f_g[t].mul_(columns[t])
            outs[t].mul_(d_hs[t])
            if t:
                d_cs[t - 1].addcmul_(d_cs[t], forget[t])
                add(d_hs[t - 1], d_as[t])
        return d_a, d_a[0] @ W, d_c[0] * f[0], weight_gradient(d_a, h, h_0, ctx.half), None


def adder(W: Tensor, rows: int, half: bool) -> Callable[[Tensor, Tensor], object]:
    """`add(into, x)`: into += x Wᵀ, in place, for the same W (N, K) and number of rows at every step.

    For few rows and a large W, oneDNN with a prepacked W is faster than mm, which packs it again at every step, and
    more so in bfloat16; for a small W (up to about 256 x 256) its calls cost more than that. Its operators are
    undocumented in torch, so their existence is checked first.
    """
    W_t = W.t()
    if W.device.type != "cpu":
        return (lambda into, x: into.add_(x.bfloat16() @ W_t.bfloat16())) if half else _plain(W_t)
    if W.numel() < ONEDNN_FROM or rows < 8 or not _has_onednn(W, half):
        return _plain(W_t)
    packed = torch.ops.mkldnn._reorder_linear_weight((W.bfloat16() if half else W).contiguous())
    dtype, linear = packed.dtype, torch.ops.mkldnn._linear_pointwise
    return lambda into, x: into.add_(linear(x.to(dtype), packed, None, "none", [], ""))


ONEDNN_FROM = 512 * 512  # elements of W


def _plain(W_t: Tensor) -> Callable[[Tensor, Tensor], object]:
    return lambda into, x: into.addmm_(x, W_t)


def _has_onednn(W: Tensor, half: bool) -> bool:
    names = ("_reorder_linear_weight", "_linear_pointwise", "_is_mkldnn_bf16_supported")
    if W.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
        return False
    if not all(hasattr(torch.ops.mkldnn, name) for name in names):
        return False
    return not half or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


ENGINE = Engine(run, partial(refuses, "bptt"), faster, worth, reads_tables=True)

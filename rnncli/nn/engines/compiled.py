"""compiled: the time loops of rnn, gru and lstm, compiled by numba around torch's matrix products.

The same algorithm as bptt, in machine code: no Python calls within a sequence, and the batch is divided among threads,
each running all T steps of its rows. Weight gradients are one product each after the loop.

It needs numba (`pip install 'rnncli[fast]'`), which is imported when this engine first runs. The loops are compiled
then, too, and cached on disk; see `_loops.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from rnncli.cells import CoreSpec, State, Weights, weights_of
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.nn.engines import Engine, Sequence, Work
from rnncli.nn.engines._layers import (
    Context,
    by_cell,
    first_derivative_only,
    input_sums,
    refuses,
    rows_turned,
    run_layers,
    weight_gradient,
)
from rnncli.nn.engines._measured import times_torch
from rnncli.nn.engines._products import Product, product_of
from rnncli.nn.engines._threads import run_on_threads
from rnncli.nn.frontends import Rows
from rnncli.replay import initial_state

SHORTEST, SMALLEST = 10, 16  # steps and units from which `auto` uses it in training
TURN_FROM = 4  # steps
SHARE = 1 << 20  # multiplications that justify another thread
PACK_STEPS, PACK_FROM = 16, 1 << 18  # steps and weights from which packing the weights first pays off
ONCE_FROM = 1 << 14  # input weights from which several threads multiply all steps' inputs at once, not in shares
TYPES = (torch.float32, torch.float64)


def run(module: torch.nn.Module, spec: CoreSpec, given: Sequence) -> tuple[Tensor, State]:
    """Run a core over a batch. x may be rows of a table. Raises UsageError: not on a CPU, or unsupported dtype."""
    like = weights_of(module).like
    if like.device.type != "cpu" or like.dtype not in TYPES:
        what = f"{like.device.type}, {str(like.dtype).removeprefix('torch.')}"
        raise UsageError(
            tr("engine compiled runs on a CPU, in float32 and float64, not here: {what}", what=what),
            where="model.engine",
            todo=tr("use engine: auto"),
        )
    if torch.is_grad_enabled() or given.lengths is not None or torch.is_autocast_enabled("cpu"):
        return run_layers(module, spec, given, _states)
    return _answers(module, spec, given)


def worth(spec: CoreSpec, work: Work) -> bool:
    """In training, wherever it runs; forward only, unless it was measured to be slower than torch's module."""
    if work.device != "cpu" or work.dtype not in TYPES:
        return False
    return work.gradients or times_torch("compiled", spec, work) >= 1


def faster(spec: CoreSpec, work: Work) -> float:
    """Training small cores, or over few steps, does not justify waiting for the compiler."""
    short = work.gradients and (spec.hidden_size < SMALLEST or work.T < SHORTEST)
    if short or not worth(spec, work):
        return 0.0
    return times_torch("compiled", spec, work)


def _states(spec: CoreSpec, w: Weights, sums: Tensor, before: State, half: bool) -> State:
    """The states after every step, (T, B, H) each. Products are in the weights' own dtype even under autocast."""
    return by_cell((RnnCompiled.apply, GruCompiled.apply, LstmCompiled.apply), spec, w, sums, before)


def _answers(module: torch.nn.Module, spec: CoreSpec, given: Sequence) -> tuple[Tensor, State]:
    """Without gradients: one call per layer and direction, which keeps only outputs and last states."""
    x, D = given.x, spec.num_directions
    B = (x.numbers if isinstance(x, Rows) else x).shape[1]
    before = given.state or initial_state(spec, B, weights_of(module).like)
    h_0 = before[0].contiguous()
    c = before[1].clone(memory_format=torch.contiguous_format) if len(before) > 1 else h_0  # c_0, later c_T
    last: list[Tensor] = []
    for layer in range(spec.num_layers):
        outputs: list[Tensor] = []
        for direction in range(D):
            row = layer * D + direction
            h = _answer(
                spec, weights_of(module, layer, direction), rows_turned(x, None) if direction else x, h_0, c, row
            )
            last.append(h[-1])
            outputs.append(h.flip(0) if direction else h)
        x = outputs[0] if D == 1 else torch.cat(outputs, dim=2)
        if given.dropout and layer < spec.num_layers - 1:
            x = F.dropout(x, given.dropout)
    assert isinstance(x, Tensor)
    h_n = last[0].clone().unsqueeze(0) if len(last) == 1 else torch.stack(last)
    return x, (h_n, c) if len(before) > 1 else (h_n,)


def _answer(spec: CoreSpec, w: Weights, x: Tensor | Rows, h_0: Tensor, c: Tensor, row: int) -> Tensor:
    """h of every step, (T, B, H). x: (T, B, I), or rows of a table. h_0, c: (L·D, B, H), of which `row` is read, and
    overwritten in c."""
    assert w.weight_hh is not None
    H, product = spec.hidden_size, product_of(w.weight_hh.dtype)
    inputs = 0 if isinstance(x, Rows) else x.shape[2]
    T, B = (x.numbers if isinstance(x, Rows) else x).shape[:2]
    shares = shares_of(product, T, B, spec.num_gates * H * (inputs + H))
    if isinstance(x, Rows) or (shares > 1 and w.weight_ih.numel() >= ONCE_FROM):
        x, inputs = input_sums(spec, w, x), 0
    x = x.contiguous()
    double = x.dtype == torch.float64
    W_hh, turned = forward_weights(w.weight_hh, T)
    W_ih = w.weight_ih.contiguous() if product.gemm else _lying(w.weight_ih)
    b_ih, b_hh = w.bias_ih, w.bias_hh
    if b_ih is None or b_hh is None:
        b_ih = b_hh = x.new_zeros(spec.num_gates * H)
    h = x.new_empty(T, B, H)
    skipped = row * B * H * (8 if double else 4)
    addresses = [tensor.data_ptr() for tensor in (x, W_ih, b_ih, W_hh, b_hh)]
    states = h_0.data_ptr() + skipped, c.data_ptr() + skipped, h.data_ptr()
    kind = spec.num_gates, spec.nonlinearity == "relu", turned, inputs
    _run("answer", x.dtype, H, spec.num_gates * H, shares, (T, B, H), (*addresses, *states, *kind))
    return h


def _lying(W: Tensor) -> Tensor:
    """The layout of a product's weights for loops without a BLAS."""
    return W.t().clone(memory_format=torch.contiguous_format)


def shares_of(product: Product, T: int, B: int, work: int) -> int:
    """The number of shares of a batch, one per thread. work: multiplications per row and step."""
    if not product.threads and product.gemm:
        return 1
    return max(1, min(torch.get_num_threads(), B, T * B * work // SHARE))


def _run(
    name: str, dtype: torch.dtype, k: int, n: int, shares: int, sizes: tuple[int, int, int], rest: Iterable[int]
) -> None:
    """k, n: sizes of the recurrent weights, (., k) by (k, n). sizes: T, B, H. rest: the arguments in the loop's
    docstring."""
    from rnncli.nn.engines import _loops

    product, double = product_of(dtype), dtype == torch.float64
    T, B, _ = sizes
    packed = [0, 0, 0, 0]
    if product.packing is not None and T >= PACK_STEPS and k * n >= PACK_FROM:
        each = product.packing.room(-(-B // shares), k, n)
        room = torch.empty(shares * each, dtype=torch.uint8)
        packed = [product.packing.pack, product.packing.compute, room.data_ptr(), each]
    head = *sizes, 8 if double else 4, product.threads, product.gemm, *packed
    run_on_threads(_loops.loop(name, double), (*head, shares, 0, *rest), shares)


def run_loop(name: str, arrays: Iterable[Tensor], *numbers: int, W: Tensor) -> None:
    """Run a loop over contiguous tensors, the first (T, B, .). W: the recurrent weights, its last argument except for a
    bias; separate, because our own product reads them transposed."""
    tensors = list(arrays)
    T, B = tensors[0].shape[:2]
    k, n = W.shape if name.endswith("backward") else W.shape[::-1]
    shares = shares_of(product_of(W.dtype), T, B, W.numel())
    _run(name, W.dtype, k, n, shares, (T, B, W.shape[1]), (*(tensor.data_ptr() for tensor in tensors), *numbers))


def forward_weights(W: Tensor, T: int) -> tuple[Tensor, bool]:
    """W_hh in the layout fastest for T products, and whether that is its transpose, (H, G·H), which is copied first."""
    if T < TURN_FROM and product_of(W.dtype).gemm:
        return W.contiguous(), False
    return _lying(W), True


class RnnCompiled(torch.autograd.Function):
    """h_t = tanh(sum_t + W h_(t-1)), or relu."""

    @staticmethod
    def forward(ctx: Context, sums: Tensor, h_0: Tensor, W: Tensor, relu: bool) -> Tensor:
        """sums: (T, B, H), overwritten; h_0: (B, H); W: (H, H). Returns h, (T, B, H)."""
        # The same memory, owned by this function. As `sums` itself, which is a view, autograd would copy it.
        h = sums.contiguous().data
        laid, turned = forward_weights(W, len(h))
        # without an input of its own, only h, W_hh and h_0 are read
        run_loop("answer", (h, h, h, laid, h, h_0.contiguous(), h, h), 1, relu, turned, 0, W=W)
        ctx.save_for_backward(h_0, W, h)
        ctx.relu = relu
        return h

    @staticmethod
    def backward(ctx: Context, d_output: Tensor) -> tuple[Tensor | None, ...]:
        first_derivative_only("compiled")
        h_0, W, h = ctx.saved_tensors
        d_a = d_output.clone(memory_format=torch.contiguous_format)  # dL/dh, then dL/dsum
        run_loop("rnn_backward", (d_a, h, W.contiguous()), ctx.relu, W=W)
        d_h_0 = d_a[0] @ W if ctx.needs_input_grad[1] else None
        return d_a, d_h_0, weight_gradient(d_a, h, h_0, False), None


class GruCompiled(torch.autograd.Function):
    """r, z = σ(sum + W h_(t-1)); n = tanh(sum_n + r ⊙ q), q = W_n h_(t-1) + b_n; h_t = (1 - z) ⊙ n + z ⊙ h_(t-1)."""

    @staticmethod
    def forward(ctx: Context, sums: Tensor, h_0: Tensor, W: Tensor, b_n: Tensor) -> Tensor:
        """sums: (T, B, 3H), r | z | n; h_0: (B, H); W: (3H, H); b_n: (H,). Returns h, (T, B, H)."""
        T, B, H = *sums.shape[:2], h_0.shape[1]
        W = torch.cat((W[2 * H :], W[: 2 * H]))  # q | r | z: the gates with a term in h are contiguous
        gates = sums.new_empty(T, B, 4 * H)  # q | r | z | n
        h = sums.new_empty(T, B, H)
        laid, turned = forward_weights(W, T)
        arrays = sums.contiguous(), gates, h, h_0.contiguous(), laid, b_n.contiguous()
        run_loop("gru_forward", arrays, turned, W=W)
        ctx.save_for_backward(h_0, W, gates, h)
        return h

    @staticmethod
    def backward(ctx: Context, d_output: Tensor) -> tuple[Tensor | None, ...]:
        first_derivative_only("compiled")
        h_0, W, gates, h = ctx.saved_tensors
        H = h_0.shape[1]
        d_h, d_a = d_output.clone(memory_format=torch.contiguous_format), torch.empty_like(gates)
        run_loop("gru_backward", (d_h, d_a, gates, h, h_0.contiguous(), W), W=W)
        d_q_r_z = d_a[:, :, : 3 * H]
        d_W = weight_gradient(d_q_r_z, h, h_0, False)
        d_h_0 = None
        if ctx.needs_input_grad[1]:
            d_h_0 = torch.addmm(d_h[0] * gates[0, :, 2 * H : 3 * H], d_q_r_z[0], W)
        return d_a[:, :, H:], d_h_0, torch.cat((d_W[H:], d_W[:H])), d_a[:, :, :H].sum((0, 1))


class LstmCompiled(torch.autograd.Function):
    """i, f, o = σ(sum + W h_(t-1)); g = tanh(...); c_t = f ⊙ c_(t-1) + i ⊙ g; h_t = o ⊙ tanh(c_t)."""

    @staticmethod
    def forward(ctx: Context, sums: Tensor, h_0: Tensor, c_0: Tensor, W: Tensor) -> tuple[Tensor, Tensor]:
        """sums: (T, B, 4H), i | f | g | o, overwritten; h_0, c_0: (B, H); W: (4H, H). Returns h and c, (T, B, H)."""
        T, B, H = *sums.shape[:2], h_0.shape[1]
        gates = sums.detach().contiguous()  # the same memory, owned by this function
        c, tanh_c, h = (sums.new_empty(T, B, H) for _ in range(3))
        laid, turned = forward_weights(W, T)
        run_loop("lstm_forward", (gates, c, tanh_c, h, h_0.contiguous(), c_0.contiguous(), laid), turned, W=W)
        ctx.save_for_backward(h_0, c_0, W, gates, c, tanh_c, h)
        ctx.set_materialize_grads(False)
        return h, c

    @staticmethod
    def backward(ctx: Context, d_output: Tensor | None, d_c_output: Tensor | None) -> tuple[Tensor | None, ...]:
        first_derivative_only("compiled")
        h_0, c_0, W, gates, c, tanh_c, h = ctx.saved_tensors
        H = h_0.shape[1]
        d_h, d_c = (
            torch.zeros_like(h) if d is None else d.clone(memory_format=torch.contiguous_format)
            for d in (d_output, d_c_output)
        )
        d_a = torch.empty_like(gates)
        run_loop("lstm_backward", (d_h, d_c, d_a, gates, c, tanh_c, c_0.contiguous(), W.contiguous()), W=W)
        d_h_0 = d_a[0] @ W if ctx.needs_input_grad[1] else None
        return d_a, d_h_0, d_c[0] * gates[0, :, H : 2 * H], weight_gradient(d_a, h, h_0, False)


ENGINE = Engine(run, partial(refuses, "compiled"), faster, worth, reads_tables=True, needs=("numba",), extra="fast")

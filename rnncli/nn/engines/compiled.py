"""compiled: the time loops of rnn, gru and lstm compiled by numba around torch's own matrix products.

The same algorithm as bptt, in machine code: no call from Python within a sequence, and the rows of a batch shared out
among threads, each of which runs all T steps of its rows. Weights' gradients are one product after the loop.

It needs numba (`pip install 'rnncli[fast]'`), which is imported when this engine first runs. The loops are compiled
then as well, and kept on disk; see `_loops.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from rnncli.cells import CoreSpec, State, Weights
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.nn.engines import Engine, Sequence, Work
from rnncli.nn.engines._layers import Context, first_derivative_only, refuses, run_layers, weight_gradient
from rnncli.nn.engines._products import product_of

SHORTEST, SMALLEST = 10, 16  # steps and units from which on `auto` takes it
SHARE = 1 << 20  # multiplications that are worth another thread
TYPES = (torch.float32, torch.float64)


def run(module: torch.nn.Module, spec: CoreSpec, given: Sequence) -> tuple[Tensor, State]:
    """A core over a batch. x may be rows of a table. Raises UsageError: not on a CPU, or in another type."""
    like = next(module.parameters())
    if like.device.type != "cpu" or like.dtype not in TYPES:
        what = f"{like.device.type}, {str(like.dtype).removeprefix('torch.')}"
        raise UsageError(
            tr("engine compiled runs on a CPU, in float32 and float64, not here: {what}", what=what),
            where="model.engine",
            todo=tr("take engine: auto"),
        )
    return run_layers(module, spec, given, _states)


def worth(work: Work) -> bool:
    return work.device == "cpu" and work.dtype in TYPES


def faster(spec: CoreSpec, work: Work) -> float:
    """Beside torch's module by one thread's processor time (`tests/evidence/compiled.json`), training, forward alone:

    - rnn: 1.3 to 5.5 of its rate, 1.2 to 2.4; level at B=512.
    - gru: 1.3 to 7.8, 0.8 to 3.2.
    - lstm: 0.9 to 1.1, 0.7 to 1.0: torch's is oneDNN's; but not in float64, nor for rows of different lengths, which it
      packs.

    Small cores are not worth the wait for the compiler.
    """
    if not worth(work) or work.T < SHORTEST or spec.hidden_size < SMALLEST:
        return 0.0
    if spec.torch_class is not torch.nn.LSTM:
        return 3.0
    return 3.0 if work.gradients and (work.padded or work.dtype == torch.float64) else 0.5


def _states(spec: CoreSpec, w: Weights, sums: Tensor, before: State, half: bool) -> State:
    """The states after every step, (T, B, H) each. Products are in the weights' own type under autocast too."""
    assert w.weight_hh is not None
    h_0 = before[0]
    if spec.torch_class is torch.nn.RNN:
        return (_RNN(sums, h_0, w.weight_hh, spec.nonlinearity == "relu"),)
    if spec.torch_class is torch.nn.GRU:
        H = spec.hidden_size
        b_n = sums.new_zeros(H) if w.bias_hh is None else w.bias_hh[2 * H :]
        return (_GRU(sums, h_0, w.weight_hh, b_n),)
    return _LSTM(sums, h_0, before[1], w.weight_hh)


def compiled_loop(name: str, like: Tensor, W: Tensor) -> Callable[..., None]:
    """The loop of that name for such sequences: tensors and truth values in, nothing out. like: (T, B, .), W: of the
    products."""
    from rnncli.nn.engines import _loops

    product = product_of(like.dtype)
    shares = 1
    if product.threads or not product.gemm:
        T, B = like.shape[:2]
        shares = max(1, min(torch.get_num_threads(), B, T * B * W.numel() // SHARE))
    if shares > 1:
        _loops.run_several(shares)
    found = _loops.loop(name, like.dtype == torch.float64, shares > 1)

    def run(*given: Tensor | bool) -> None:
        arrays = (value.numpy() if isinstance(value, Tensor) else value for value in given)
        found(*arrays, product.gemm, product.threads, shares)

    return run


class RnnCompiled(torch.autograd.Function):
    """h_t = tanh(sum_t + W h_(t-1)), or relu."""

    @staticmethod
    def forward(ctx: Context, sums: Tensor, h_0: Tensor, W: Tensor, relu: bool) -> Tensor:
        """sums: (T, B, H), overwritten; h_0: (B, H); W: (H, H). Returns h, (T, B, H)."""
        h = sums.contiguous()
        compiled_loop("rnn_forward", h, W)(h, h_0.contiguous(), W.t().contiguous(), relu)
        if h is sums:
            ctx.mark_dirty(sums)
        ctx.save_for_backward(h_0, W, h)
        ctx.relu = relu
        return h

    @staticmethod
    def backward(ctx: Context, d_output: Tensor) -> tuple[Tensor | None, ...]:
        first_derivative_only("compiled")
        h_0, W, h = ctx.saved_tensors
        d_a = d_output.clone(memory_format=torch.contiguous_format)  # dL/dh, then dL/dsum
        compiled_loop("rnn_backward", d_a, W)(d_a, h, W.contiguous(), ctx.relu)
        return d_a, d_a[0] @ W, weight_gradient(d_a, h, h_0, False), None


class GruCompiled(torch.autograd.Function):
    """r, z = σ(sum + W h_(t-1)); n = tanh(sum_n + r ⊙ q), q = W_n h_(t-1) + b_n; h_t = (1 - z) ⊙ n + z ⊙ h_(t-1)."""

    @staticmethod
    def forward(ctx: Context, sums: Tensor, h_0: Tensor, W: Tensor, b_n: Tensor) -> Tensor:
        """sums: (T, B, 3H), r | z | n; h_0: (B, H); W: (3H, H); b_n: (H,). Returns h, (T, B, H)."""
        T, B, H = *sums.shape[:2], h_0.shape[1]
        W = torch.cat((W[2 * H :], W[: 2 * H]))  # q | r | z: what h has a part in lies together
        gates = sums.new_empty(T if any(ctx.needs_input_grad) else 1, B, 4 * H)  # q | r | z | n
        h = sums.new_empty(T, B, H)
        run = compiled_loop("gru_forward", h, W)
        run(sums.contiguous(), gates, h, h_0.contiguous(), W.t().contiguous(), b_n.contiguous())
        ctx.save_for_backward(h_0, W, gates, h)
        return h

    @staticmethod
    def backward(ctx: Context, d_output: Tensor) -> tuple[Tensor | None, ...]:
        first_derivative_only("compiled")
        h_0, W, gates, h = ctx.saved_tensors
        H = h_0.shape[1]
        d_h, d_a = d_output.clone(memory_format=torch.contiguous_format), torch.empty_like(gates)
        compiled_loop("gru_backward", d_h, W)(d_h, d_a, gates, h, h_0.contiguous(), W)
        d_q_r_z = d_a[:, :, : 3 * H]
        d_W = weight_gradient(d_q_r_z, h, h_0, False)
        d_h_0 = torch.addmm(d_h[0] * gates[0, :, 2 * H : 3 * H], d_q_r_z[0], W)
        return d_a[:, :, H:], d_h_0, torch.cat((d_W[H:], d_W[:H])), d_a[:, :, :H].sum((0, 1))


class LstmCompiled(torch.autograd.Function):
    """i, f, o = σ(sum + W h_(t-1)); g = tanh(...); c_t = f ⊙ c_(t-1) + i ⊙ g; h_t = o ⊙ tanh(c_t)."""

    @staticmethod
    def forward(ctx: Context, sums: Tensor, h_0: Tensor, c_0: Tensor, W: Tensor) -> tuple[Tensor, Tensor]:
        """sums: (T, B, 4H), i | f | g | o, overwritten; h_0, c_0: (B, H); W: (4H, H). Returns h and c, (T, B, H)."""
        T, B, H = *sums.shape[:2], h_0.shape[1]
        gates = sums.detach().contiguous()  # the same memory: it is this function's own
        W_t = W.t().clone(memory_format=torch.contiguous_format)  # of a single unit it would be W itself
        W_t[:, 2 * H : 3 * H] *= 2  # g = tanh(a) = 2 σ(2a) - 1: one pass of σ over all four
        c, h = sums.new_empty(T, B, H), sums.new_empty(T, B, H)
        tanh_c = sums.new_empty(T if any(ctx.needs_input_grad) else 1, B, H)
        compiled_loop("lstm_forward", h, W)(gates, c, tanh_c, h, h_0.contiguous(), c_0.contiguous(), W_t)
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
        compiled_loop("lstm_backward", d_h, W)(d_h, d_c, d_a, gates, c, tanh_c, c_0.contiguous(), W.contiguous())
        return d_a, d_a[0] @ W, d_c[0] * gates[0, :, H : 2 * H], weight_gradient(d_a, h, h_0, False)


_RNN: Callable[[Tensor, Tensor, Tensor, bool], Tensor] = RnnCompiled.apply  # torch leaves it without types
_GRU: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] = GruCompiled.apply
_LSTM: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] = LstmCompiled.apply

ENGINE = Engine(run, partial(refuses, "compiled"), faster, worth, reads_tables=True, needs=("numba",), extra="fast")

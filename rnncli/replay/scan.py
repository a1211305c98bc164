"""A prefix scan over time: all h_t = a_t ⊙ h_(t-1) + b_t without T sequential operations.

Two such steps compose to one of the same form, (a', b') ∘ (a, b) = (a' a, a' b + b'), so they can be grouped freely
(Blelloch 1990, "Prefix sums and their applications"). Here in chunks of √(T/2) steps: every chunk's own a and b, all
chunks at once; then the h before every chunk, chunk by chunk; then the steps of all chunks at once. These are about
√(8T) operations, and three passes over the data.

Feng et al. 2024 (arXiv:2410.01201), appendix B, sum logarithms of h instead (Heinsen 2023, arXiv:2311.06281), since the
closed form divides by products of a, which underflow. This scan needs neither divisions nor logarithms: h may have any
sign, and no precision is lost as the sum of log a grows with T.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isqrt
from typing import Protocol

import torch
from torch import Tensor

WIDE = 8192  # values per step above which, on a CPU, a second pass costs more than the calls it saves


def scan(a: Tensor, b: Tensor, h_0: Tensor) -> Tensor:
    """All h_t = a_t ⊙ h_(t-1) + b_t. a, b: (T, B, H); h_0: (B, H), of the same dtype. Returns h, (T, B, H).

    It has derivatives of any order. If a chunk starts from a non-finite value, steps are computed one by one, so that
    NaN and infinity propagate as in a loop.
    """
    return _FORWARDS(a, b, h_0)


def _solve(a: Tensor, b: Tensor, start: Tensor, h: Tensor, back: bool = False) -> None:
    """The same into h, without a graph; back: h_t = a_t ⊙ h_(t+1) + b_t instead, with start as the h after the last."""
    T = len(b)
    L = _chunk(T, start.numel(), start.device.type)
    C = T // L if L else 0
    if C > 1:
        main = slice(T - C * L, None) if back else slice(0, C * L)
        parts = [tensor[main].unflatten(0, (C, L)) for tensor in (a, b, h)]  # (C, L, B, H) each
        if not _chunks(start, back, *(_in_order(part.unbind(1), back) for part in parts)):
            C = 0
    done = C * L if C > 1 else 0
    if done:
        start = h[T - done] if back else h[done - 1]
    rest = slice(0, T - done) if back else slice(done, None)
    _steps(start, *(_in_order(tensor[rest].unbind(0), back) for tensor in (a, b, h)))


def _chunk(T: int, width: int, device: str) -> int:
    """L, the number of steps per chunk; T if chunks gain nothing."""
    return T if T < 16 or (device == "cpu" and width >= WIDE) else isqrt(T // 2)


def _in_order(steps: Sequence[Tensor], back: bool) -> Sequence[Tensor]:
    return steps[::-1] if back else steps


def _chunks(start: Tensor, back: bool, *steps: Sequence[Tensor]) -> bool:
    """Process C chunks of L steps. steps: for a, b and h each L tensors (C, B, H), in order; h is filled. Returns False
    if a chunk would start from NaN or infinity."""
    a, b, _ = steps
    whole_a, whole_b = a[0].clone(), b[0].clone()  # (C, B, H): a chunk as one step
    for a_t, b_t in zip(a[1:], b[1:], strict=True):
        torch.addcmul(b_t, a_t, whole_b, out=whole_b)
        whole_a.mul_(a_t)
    starts = torch.empty_like(whole_b)  # (C, B, H): the h before each chunk
    befores = _in_order(starts.unbind(0), back)
    befores[0].copy_(start)
    chunks = (_in_order(whole.unbind(0), back)[:-1] for whole in (whole_a, whole_b))
    _steps(start, *chunks, befores[1:])
    if not bool(starts.isfinite().all()):
        return False
    _steps(starts, *steps)
    return True


def _steps(start: Tensor, *steps: Sequence[Tensor]) -> None:
    """Process a, b and h step by step; h is filled."""
    for a_t, b_t, h_t in zip(*steps, strict=True):
        start = torch.addcmul(b_t, a_t, start, out=h_t)


class _Context(Protocol):
    saved_tensors: tuple[Tensor, ...]
    save_for_backward: Callable[..., None]


class _Forwards(torch.autograd.Function):
    """h of a, b, h_0. With d_h = dL/dh through all later steps: dL/db = d_h, dL/da_t = d_h_t ⊙ h_(t-1)."""

    @staticmethod
    def forward(ctx: _Context, a: Tensor, b: Tensor, h_0: Tensor) -> Tensor:
        a, h = a.contiguous(), torch.empty_like(b, memory_format=torch.contiguous_format)
        _solve(a, b.contiguous(), h_0, h)
        ctx.save_for_backward(a, h_0, h)
        return h

    @staticmethod
    def backward(ctx: _Context, d_output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, h_0, h = ctx.saved_tensors
        d_h = _BACKWARDS(a, d_output)
        if torch.is_grad_enabled():  # for a second derivative
            return d_h * torch.cat((h_0.unsqueeze(0), h[:-1])), d_h, d_h[0] * a[0]
        d_a = torch.empty_like(h)
        torch.mul(d_h[0], h_0, out=d_a[0])
        torch.mul(d_h[1:], h[:-1], out=d_a[1:])
        return d_a, d_h, d_h[0] * a[0]


class _Backwards(torch.autograd.Function):
    """d_h_t = d_t + a_(t+1) ⊙ d_h_(t+1), from the last step to the first; a_0 is unused."""

    @staticmethod
    def forward(ctx: _Context, a: Tensor, d: Tensor) -> Tensor:
        d, d_h = d.contiguous(), torch.empty_like(d, memory_format=torch.contiguous_format)
        d_h[-1] = d[-1]
        _solve(a[1:], d[:-1], d[-1], d_h[:-1], back=True)
        ctx.save_for_backward(a, d_h)
        return d_h

    @staticmethod
    def backward(ctx: _Context, d_output: Tensor) -> tuple[Tensor, Tensor]:
        a, d_h = ctx.saved_tensors
        d_d = _FORWARDS(a, d_output, torch.zeros_like(d_output[0]))
        return torch.cat((torch.zeros_like(a[:1]), d_d[:-1] * d_h[1:])), d_d


_FORWARDS: Callable[[Tensor, Tensor, Tensor], Tensor] = _Forwards.apply  # untyped in torch
_BACKWARDS: Callable[[Tensor, Tensor], Tensor] = _Backwards.apply

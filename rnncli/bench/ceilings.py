"""Limits of this machine: the rate of matrix products, torch's and oneDNN's, and the overhead of a call.

The ceiling of a row is the better of the two on a large square product; the serial ceiling is the better of the two on
one step's product, (B, H) x (H, G·H), an upper bound for a loop over time steps.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rnncli.bench.measure import rate_moved

Product = Callable[[Tensor, Tensor], Tensor]  # x (n, k), W (m, k) -> x W', (n, m)

SQUARE = 1024
_TRIES = 7


@dataclass(frozen=True)
class Ceiling:
    """rate: FLOP/s. path: the implementation."""

    rate: float
    path: str


@dataclass(frozen=True)
class Around:
    """The ceiling just before and just after a row was timed."""

    before: Ceiling
    after: Ceiling

    @property
    def rate(self) -> float:
        return (self.before.rate + self.after.rate) / 2

    @property
    def moved(self) -> bool:
        """Whether the rate changed, so that shares of it are unreliable."""
        return rate_moved(self.before.rate, self.after.rate)


def has_one_dnn(device: torch.device) -> bool:
    available: bool = torch.backends.mkldnn.is_available()
    return available and device.type == "cpu"


def products(dtype: torch.dtype, device: torch.device) -> dict[str, Product]:
    """Name -> x W' for every implementation available here. oneDNN's is used only if its results equal torch's."""
    found: dict[str, Product] = {"torch.mm": lambda x, W: torch.mm(x, W.t())}
    operator = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if operator is None or not has_one_dnn(device):
        return found

    def one_dnn(x: Tensor, W: Tensor) -> Tensor:
        result: Tensor = operator(x, W, None, "none", [], "")
        return result

    x, W = torch.randn(3, 5).to(dtype), torch.randn(4, 5).to(dtype)
    try:
        agrees = torch.allclose(one_dnn(x, W).float(), (x @ W.t()).float(), rtol=1e-2, atol=1e-2)
    except (RuntimeError, TypeError):  # no kernel for this dtype or processor, or a different signature
        return found
    return found | {"oneDNN": one_dnn} if agrees else found


def product_rate(n: int, k: int, m: int, dtype: torch.dtype, device: torch.device) -> Ceiling:
    """The best rate of (n, k) x (k, m) over a few alternating runs of each implementation."""
    x = torch.randn(n, k, device=device).to(dtype)
    W = torch.randn(m, k, device=device).to(dtype)
    flops = 2.0 * n * k * m
    repeat = max(1, min(100, round(2e7 / flops)))
    seconds: dict[str, float] = {}
    with torch.no_grad():
        ways = products(dtype, device)
        for way in ways.values():
            way(x, W)
        for _ in range(_TRIES):
            for name, way in ways.items():
                synchronize(device)
                start = time.perf_counter()
                for _ in range(repeat):
                    way(x, W)
                synchronize(device)
                once = (time.perf_counter() - start) / repeat
                seconds[name] = min(once, seconds.get(name, once))
    best = min(seconds, key=lambda name: seconds[name])
    return Ceiling(flops / seconds[best], best)


def square_ceiling(dtype: torch.dtype, device: torch.device) -> Ceiling:
    return product_rate(SQUARE, SQUARE, SQUARE, dtype, device)


def call_seconds() -> float:
    """Seconds of one call of a torch operation with almost nothing to compute."""
    names = {"torch": torch, "x": torch.zeros(1, 2), "out": torch.zeros(1, 2)}
    with torch.no_grad():
        return min(timeit.repeat("torch.tanh(x, out=out)", repeat=_TRIES, number=1000, globals=names)) / 1000


def synchronize(device: torch.device) -> None:
    """Wait for a GPU to finish; does nothing on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()

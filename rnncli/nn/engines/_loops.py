"""The time loops of the compiled engine: numba functions around a matrix product that somebody else brings.

The rows of a batch are independent of each other, so the batch is cut into shares, and one thread runs all T steps of a
share: nobody waits within a sequence. What h_(t-1) adds to the sums of step t is a product of a BLAS, called by its
address (`_products.py`); nonlinearities are polynomials that become vector code.

Every function exists twice: for several shares at once (`prange`), and for one, where the pool of threads sleeps.
All arrays are C-contiguous, of one type, float32 or float64. T steps, B rows, H units, G gates. Compiled code is kept
on disk, so this file holds all that is compiled: numba sees a change in the file of a function, not in others.

numba is imported here, and here alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from llvmlite.binding import set_option
from numba import config, njit, prange, set_num_threads, types
from numba.core import cgutils, event
from numba.extending import intrinsic, overload

from rnncli.data.progress import say
from rnncli.files import cache_folder
from rnncli.locale import tr

# No "nnan": a run that diverges must show its NaN.
FAST = {"contract", "nsz", "arcp"}
_part = njit(fastmath=FAST, error_model="numpy")  # of the loops, compiled into each


@intrinsic
def _call_gemm(typing, address, n, rows, k, W, ldw, x, ldx, out, ldo, like):
    """The BLAS function at `address`, s- or dgemm by the type of `like`: out (rows, n) += x (rows, k) W (k, n), all
    row-major, which is outᵀ += Wᵀ xᵀ as Fortran sees it. W, x, out: addresses; ld*: elements from row to row.

    Sizes are handed over as 64-bit numbers, which a BLAS of 32-bit ones reads right too: little end first.
    """
    number = ir.FloatType() if like == types.float32 else ir.DoubleType()

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte, long = ir.IntType(8), ir.IntType(64)
        pointer = byte.as_pointer()

        def place(kind: Any, value: Any) -> Any:
            slot = cgutils.alloca_once(builder, kind)
            builder.store(value, slot)
            return builder.bitcast(slot, pointer)

        address, n, rows, k, W, ldw, x, ldx, out, ldo, _ = args
        letter = place(byte, ir.Constant(byte, ord("N")))
        one = place(number, ir.Constant(number, 1.0))
        n, rows, k, ldw, ldx, ldo = (place(long, value) for value in (n, rows, k, ldw, ldx, ldo))
        W, x, out = (builder.inttoptr(value, pointer) for value in (W, x, out))
        function = builder.inttoptr(address, ir.FunctionType(ir.VoidType(), [pointer] * 13).as_pointer())
        builder.call(function, [letter, letter, n, rows, k, one, W, ldw, x, ldx, one, out, ldo])
        return context.get_dummy_value()

    long = types.int64
    return types.void(long, long, long, long, long, long, long, long, long, long, like), generate


@intrinsic
def _call_threads(typing, address, count):
    """MKL_Set_Num_Threads_Local(count) at `address`: threads of the products that this thread asks for. Returns what
    it was before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = ir.IntType(32)
        function = builder.inttoptr(args[0], ir.FunctionType(number, [number]).as_pointer())
        return builder.call(function, [args[1]])

    return types.int32(types.int64, types.int32), generate


@intrinsic
def _power_of_two(typing, n):
    """2^n by its bits, a float32 for an int32 and a float64 for an int64."""
    single = n == types.int32
    bits, bias, number = (23, 127, ir.FloatType()) if single else (52, 1023, ir.DoubleType())

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = ir.IntType(32 if single else 64)
        shifted = builder.shl(builder.add(args[0], ir.Constant(whole, bias)), ir.Constant(whole, bits))
        return builder.bitcast(shifted, number)

    return (types.float32 if single else types.float64)(n), generate


def _sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)). exp by Cephes' coefficients (Moshier), expf.c and exp.c."""
    raise NotImplementedError


def _tanh(x: float) -> float:
    """2 σ(2x) - 1; for small x, where little would be left of that, by Cephes' coefficients, tanhf.c and tanh.c."""
    raise NotImplementedError


def _rest(x: float) -> float:
    """1 - x."""
    raise NotImplementedError


@overload(_sigmoid)
def _(x):
    f, i = (np.float32, np.int32) if x == types.float32 else (np.float64, np.int64)
    one, half = f(1.0), f(0.5)

    def single(x):
        y = -x
        y = f(87.0) if y > f(87.0) else (f(-87.0) if y < f(-87.0) else y)  # a NaN stays one
        n = np.rint(y * f(1.44269504088896341))
        y = y - n * f(0.693359375)
        y = y - n * f(-2.12194440e-4)
        p = f(1.9875691500e-4)
        p = p * y + f(1.3981999507e-3)
        p = p * y + f(8.3334519073e-3)
        p = p * y + f(4.1665795894e-2)
        p = p * y + f(1.6666665459e-1)
        p = p * y + half
        e = (p * y * y + y + one) * _power_of_two(i(n))
        return one / (one + e) if x == x else x

    def double(x):
        y = -x
        y = f(708.0) if y > f(708.0) else (f(-708.0) if y < f(-708.0) else y)
        n = np.rint(y * f(1.4426950408889634073599))
        y = y - n * f(6.93145751953125e-1)
        y = y - n * f(1.42860682030941723212e-6)
        z = y * y
        p = y * ((f(1.26177193074810590878e-4) * z + f(3.02994407707441961300e-2)) * z + f(9.99999999999999999910e-1))
        q = (f(3.00198505138664455042e-6) * z + f(2.52448340349684104192e-3)) * z + f(2.27265548208155028766e-1)
        q = q * z + f(2.0)
        e = (one + f(2.0) * (p / (q - p))) * _power_of_two(i(n))
        return one / (one + e) if x == x else x

    return single if x == types.float32 else double


@overload(_tanh)
def _(x):
    f = np.float32 if x == types.float32 else np.float64
    edge, one, two = f(0.625), f(1.0), f(2.0)

    def single(x):
        z = x * x
        p = f(-5.70498872745e-3) * z + f(2.06390887954e-2)
        p = p * z + f(-5.37397155531e-2)
        p = p * z + f(1.33314422036e-1)
        p = p * z + f(-3.33332819422e-1)
        small = p * z * x + x
        return small if abs(x) < edge else two * _sigmoid(two * x) - one

    def double(x):
        z = x * x
        p = (f(-9.64399179425052238628e-1) * z + f(-9.92877231001918586564e1)) * z + f(-1.61468768441708447952e3)
        q = ((z + f(1.12811678491632931402e2)) * z + f(2.23548839060100448583e3)) * z + f(4.84406305325125486048e3)
        small = x * z * (p / q) + x
        return small if abs(x) < edge else two * _sigmoid(two * x) - one

    return single if x == types.float32 else double


@overload(_rest)
def _(x):
    one = (np.float32 if x == types.float32 else np.float64)(1.0)

    def rest(x):
        return one - x

    return rest


@_part
def _add_product(gemm, n, x, W, out):
    """out (rows, n at least) += x W, in the first n columns of out, or of x where W has fewer rows than x columns.

    gemm: address of s- or dgemm; 0: a compiled loop. x: (rows, K or more), W: (K, n).
    """
    rows, K = x.shape[0], W.shape[0]
    if gemm != 0:
        step = out.itemsize
        _call_gemm(
            gemm, n, rows, K, W.ctypes.data, n, x.ctypes.data, x.strides[0] // step,
            out.ctypes.data, out.strides[0] // step, W[0, 0],
        )  # fmt: skip
        return
    for r in range(rows):
        for k in range(K):
            factor = x[r, k]
            for j in range(n):
                out[r, j] += factor * W[k, j]


@_part
def _sigmoids(x):
    for j in range(x.shape[0]):
        x[j] = _sigmoid(x[j])


@_part
def _tanhs(out, x):
    for j in range(x.shape[0]):
        out[j] = _tanh(x[j])


@_part
def _tanhs_in_place(x):
    for j in range(x.shape[0]):
        x[j] = _tanh(x[j])


@_part
def _doubled(x):
    for j in range(x.shape[0]):
        x[j] += x[j]


@_part
def _widened(x):
    for j in range(x.shape[0]):
        x[j] = x[j] - _rest(x[j])


@_part
def _candidate(out, s, r, q):
    for j in range(out.shape[0]):
        out[j] = _tanh(s[j] + r[j] * q[j])


@_part
def _between(out, n, past, z):
    for j in range(out.shape[0]):
        out[j] = n[j] + z[j] * (past[j] - n[j])


@_part
def _new_cell(out, i, f, g, past):
    for j in range(out.shape[0]):
        out[j] = f[j] * past[j] + i[j] * g[j]


@_part
def _multiplied(out, a, b):
    for j in range(out.shape[0]):
        out[j] = a[j] * b[j]


@_part
def _products_alone(threads):
    """Keep this thread's products on this thread, where `threads` is the address of MKL's function for it; returns what
    it was before."""
    return _call_threads(threads, np.int32(1)) if threads != 0 else np.int32(0)


@_part
def _products_as(threads, before):
    if threads != 0:
        _call_threads(threads, before)


def _rnn_forward(h, h_0, W, relu, gemm, threads, shares):
    """h: (T, B, H), the sums of the input's part, overwritten by h_t. h_0: (B, H). W: (H, H), W_hhᵀ."""
    T, B, H = h.shape
    zero = h.dtype.type(0)
    for share in prange(shares):
        first, stop = B * share // shares, B * (share + 1) // shares
        before = _products_alone(threads)
        for t in range(T):
            out = h[t, first:stop]
            _add_product(gemm, H, h_0[first:stop] if t == 0 else h[t - 1, first:stop], W, out)
            if relu:
                for r in range(stop - first):
                    for j in range(H):
                        out[r, j] = zero if out[r, j] <= zero else out[r, j]  # a NaN stays one
            else:
                _tanhs_in_place(out.reshape(-1))
        _products_as(threads, before)


def _rnn_backward(d, h, W, relu, gemm, threads, shares):
    """d: (T, B, H), dL/dh of every step's output alone, overwritten by dL/dsum. W: (H, H), W_hh."""
    T, B, H = h.shape
    zero = h.dtype.type(0)
    for share in prange(shares):
        first, stop = B * share // shares, B * (share + 1) // shares
        before = _products_alone(threads)
        for t in range(T - 1, -1, -1):
            out, now = d[t, first:stop], h[t, first:stop]
            if t < T - 1:
                _add_product(gemm, H, d[t + 1, first:stop], W, out)
            if relu:
                for r in range(stop - first):
                    for j in range(H):
                        out[r, j] = zero if now[r, j] <= zero else out[r, j]
            else:
                for r in range(stop - first):
                    for j in range(H):
                        out[r, j] *= _rest(now[r, j] * now[r, j])
        _products_as(threads, before)


def _gru_forward(sums, gates, h, h_0, W, b_n, gemm, threads, shares):
    """sums: (T, B, 3H), r | z | n of the input's part. gates: (T, B, 4H), where q | r | z | n are put, q = W_n h + b_n;
    or (1, B, 4H), where nobody wants them. h: (T, B, H), to be filled. W: (H, 3H), q | r | z of W_hhᵀ."""
    T, B, H = h.shape
    kept = gates.shape[0]
    for share in prange(shares):
        first, stop = B * share // shares, B * (share + 1) // shares
        before = _products_alone(threads)
        for t in range(T):
            g, s, out = gates[t % kept, first:stop], sums[t, first:stop], h[t, first:stop]
            past = h_0[first:stop] if t == 0 else h[t - 1, first:stop]
            for r in range(stop - first):
                for j in range(H):
                    g[r, j] = b_n[j]
                for j in range(2 * H):
                    g[r, H + j] = s[r, j]
            _add_product(gemm, 3 * H, past, W, g)
            for r in range(stop - first):
                _sigmoids(g[r, H : 3 * H])
                _candidate(g[r, 3 * H :], s[r, 2 * H :], g[r, H : 2 * H], g[r, :H])
                _between(out[r], g[r, 3 * H :], past[r], g[r, 2 * H : 3 * H])
        _products_as(threads, before)


def _gru_backward(d, d_a, gates, h, h_0, W, gemm, threads, shares):
    """d: (T, B, H), dL/dh of every step's output alone, overwritten by dL/dh. d_a: (T, B, 4H), to be filled with
    dL/dsum of q | r | z | n. W: (3H, H), q | r | z of W_hh."""
    T, B, H = h.shape
    for share in prange(shares):
        first, stop = B * share // shares, B * (share + 1) // shares
        before = _products_alone(threads)
        for t in range(T - 1, -1, -1):
            g, a, out = gates[t, first:stop], d_a[t, first:stop], d[t, first:stop]
            past = h_0[first:stop] if t == 0 else h[t - 1, first:stop]
            for r in range(stop - first):
                for j in range(H):
                    reset, z, n = g[r, H + j], g[r, 2 * H + j], g[r, 3 * H + j]
                    d_n = out[r, j] * _rest(z) * _rest(n * n)
                    a[r, j] = d_n * reset
                    a[r, H + j] = d_n * g[r, j] * reset * _rest(reset)
                    a[r, 2 * H + j] = out[r, j] * (past[r, j] - n) * z * _rest(z)
                    a[r, 3 * H + j] = d_n
            if t > 0:
                earlier = d[t - 1, first:stop]
                for r in range(stop - first):
                    for j in range(H):
                        earlier[r, j] += out[r, j] * g[r, 2 * H + j]
                _add_product(gemm, H, a, W, earlier)
        _products_as(threads, before)


def _lstm_forward(gates, c, tanh_c, h, h_0, c_0, W, gemm, threads, shares):
    """gates: (T, B, 4H), the sums of the input's part, overwritten by i | f | g | o. c, h: (T, B, H), to be filled;
    tanh_c: likewise, or (1, B, H) where nobody wants it. W: (H, 4H), W_hhᵀ."""
    T, B, H = h.shape
    kept = tanh_c.shape[0]
    for share in prange(shares):
        first, stop = B * share // shares, B * (share + 1) // shares
        before = _products_alone(threads)
        for t in range(T):
            gate, cell, squashed, out = (
                gates[t, first:stop], c[t, first:stop], tanh_c[t % kept, first:stop], h[t, first:stop],
            )  # fmt: skip
            past = c_0[first:stop] if t == 0 else c[t - 1, first:stop]
            for r in range(stop - first):
                _doubled(gate[r, 2 * H : 3 * H])
            _add_product(gemm, 4 * H, h_0[first:stop] if t == 0 else h[t - 1, first:stop], W, gate)
            _sigmoids(gate.reshape(-1))
            for r in range(stop - first):
                _widened(gate[r, 2 * H : 3 * H])
                _new_cell(cell[r], gate[r, :H], gate[r, H : 2 * H], gate[r, 2 * H : 3 * H], past[r])
            _tanhs(squashed.reshape(-1), cell.reshape(-1))
            for r in range(stop - first):
                _multiplied(out[r], gate[r, 3 * H :], squashed[r])
        _products_as(threads, before)


def _lstm_backward(d, d_c, d_a, gates, c, tanh_c, c_0, W, gemm, threads, shares):
    """d, d_c: (T, B, H), dL/dh and dL/dc of every step's outputs alone, overwritten by those of all. d_a: (T, B, 4H),
    to be filled with dL/dsum of i | f | g | o. W: (4H, H), W_hh."""
    T, B, H = c.shape
    for share in prange(shares):
        first, stop = B * share // shares, B * (share + 1) // shares
        before = _products_alone(threads)
        for t in range(T - 1, -1, -1):
            gate, a, out = gates[t, first:stop], d_a[t, first:stop], d[t, first:stop]
            d_cell, squashed = d_c[t, first:stop], tanh_c[t, first:stop]
            past = c_0[first:stop] if t == 0 else c[t - 1, first:stop]
            for r in range(stop - first):
                for j in range(H):
                    i, f, g, o = gate[r, j], gate[r, H + j], gate[r, 2 * H + j], gate[r, 3 * H + j]
                    now = squashed[r, j]
                    d_now = d_cell[r, j] + out[r, j] * o * _rest(now * now)
                    d_cell[r, j] = d_now
                    a[r, j] = d_now * g * i * _rest(i)
                    a[r, H + j] = d_now * past[r, j] * f * _rest(f)
                    a[r, 2 * H + j] = d_now * i * _rest(g * g)
                    a[r, 3 * H + j] = out[r, j] * now * o * _rest(o)
            if t > 0:
                earlier = d_c[t - 1, first:stop]
                for r in range(stop - first):
                    for j in range(H):
                        earlier[r, j] += d_cell[r, j] * gate[r, H + j]
                _add_product(gemm, H, a, W, d[t - 1, first:stop])
        _products_as(threads, before)


# What each loop is given: the dimensions of its arrays, then numbers (b: a truth value).
LOOPS: dict[str, tuple[Callable[..., None], tuple[int, ...], str]] = {
    "rnn_forward": (_rnn_forward, (3, 2, 2), "b"),
    "rnn_backward": (_rnn_backward, (3, 3, 2), "b"),
    "gru_forward": (_gru_forward, (3, 3, 3, 2, 2, 1), ""),
    "gru_backward": (_gru_backward, (3, 3, 3, 3, 2, 2), ""),
    "lstm_forward": (_lstm_forward, (3, 3, 3, 3, 2, 2, 2), ""),
    "lstm_backward": (_lstm_backward, (3, 3, 3, 3, 3, 3, 2, 2), ""),
}


class _Says(event.Listener):
    """Tells, once in a process, that compiling has begun; what is on the disk is not compiled."""

    said = False

    def on_start(self, event: Any) -> None:
        if not _Says.said:
            _Says.said = True
            say(tr("engine compiled: its loops are compiled, once on this machine; some 10 seconds"))

    def on_end(self, event: Any) -> None:
        pass


@cache
def loop(name: str, double: bool, several: bool) -> Callable[..., None]:
    """The loop of that name, compiled: for float64 or float32, for several shares at once or for one."""
    function, arrays, numbers = LOOPS[name]
    kind = types.float64 if double else types.float32
    given = [types.Array(kind, dimensions, "C") for dimensions in arrays]
    given += [types.boolean] * len(numbers) + [types.int64] * 3  # gemm, threads, shares
    with _lean_loops(), event.install_listener("numba:compile", _Says()):
        return _dispatcher(function, types.void(*given), several)


def _dispatcher(function: Callable[..., None], signature: Any, several: bool) -> Callable[..., None]:
    """Compiled, or taken from the cache; in memory alone where no cache can be written."""
    kept, config.CACHE_DIR = config.CACHE_DIR, str(cache_folder() / "loops")
    options = {"parallel": several, "fastmath": FAST, "error_model": "numpy"}
    try:
        found: Callable[..., None] = njit([signature], cache=True, **options)(function)
    except (RuntimeError, OSError):  # no folder that can be written
        found = njit([signature], **options)(function)
    finally:
        config.CACHE_DIR = kept
    return found


@contextmanager
def _lean_loops() -> Iterator[None]:
    """One vector at a time in a loop: LLVM would take four, so that a loop over 32 units has none, and runs number by
    number. The option is numba's LLVM's, for all; it is as it was afterwards."""
    set_option("rnncli", "-force-vector-interleave=1")
    try:
        yield
    finally:
        set_option("rnncli", "-force-vector-interleave=0")


def run_several(shares: int) -> None:
    """Let so many threads run the loops to come. Threads sleep while they have nothing to do."""
    set_num_threads(max(1, min(shares, config.NUMBA_NUM_THREADS)))

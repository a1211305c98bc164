"""The time loops of the compiled engine: numba functions around an external matrix product.

The rows of a batch are independent of each other, so the batch is split into shares, and a thread runs all T steps of
a share: no thread waits within a sequence. The recurrent part of the sums of step t is a BLAS product, called by its
address (`_products.py`); elementwise work is in `_vectors.py`.

A loop is a C function of one argument, an array of 64-bit integers: `HEAD`, then what its docstring names. Arrays are
passed as addresses: contiguous, of one type, `size` bytes per element. T steps, B batch, H units, G gates, I inputs.
Every thread calls the same function, which processes shares until none is left, so any thread pool can run it
(`_threads.py`). Compiled code is cached on disk, keyed by the source of these files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from llvmlite import ir
from numba import cfunc, config, njit, types
from numba.core import cgutils, event
from numba.extending import intrinsic

from rnncli.data.progress import say
from rnncli.files import cache_folder
from rnncli.locale import tr
from rnncli.nn.engines import _vectors as vectors
from rnncli.nn.engines._vectors import Value

_part = njit(error_model="numpy")  # parts of the loops, compiled into each

_tanh_backward = vectors.kernel(vectors.rnn_tanh_backward, 1, 1)
_relu_backward = vectors.kernel(vectors.rnn_relu_backward, 1, 1)
_bias = vectors.kernel(vectors.bias, 1, 0, 0)
_gru_bias = vectors.kernel(vectors.gru_bias, 3, 0, 0)
_gru = vectors.kernel(vectors.gru, 4, 3, 1, 1, 0)
_gru_answer = vectors.kernel(vectors.gru_answer, 3, 3, 1, 1, 0)
_gru_backward = vectors.kernel(vectors.gru_backward, 4, 4, 1, 1)
_gru_carried = vectors.kernel(vectors.gru_carried, 4, 1, 1)
_lstm = vectors.kernel(vectors.lstm, 4, 1, 1, 1, 1)
_lstm_answer = vectors.kernel(vectors.lstm_answer, 4, 1, 1)
_lstm_backward = vectors.kernel(vectors.lstm_backward, 4, 4, 1, 1, 1, 1)
_lstm_carried = vectors.kernel(vectors.lstm_carried, 4, 1, 1)
_zeros = vectors.kernel(vectors.zeros, 1)
_tanh_answer = vectors.kernel(vectors.tanh_answer, 1, 1)
_relu_answer = vectors.kernel(vectors.relu_answer, 1, 1)
_product_row = vectors.kernel(vectors.product_row, 1, 1, 0)


@intrinsic(prefer_literal=True)
def _call_blas(typing, address, kinds, arguments, like):
    """The BLAS function at `address`. kinds: a letter for each of its parameters. Of `arguments`, 64-bit integers: `a`
    an address; `i` an integer, `c` a character and `n` a number of the type of `like`, whose address is passed. Of
    itself: `1` that number, a capital letter the character.

    A 32-bit BLAS also reads 64-bit integers correctly on little-endian machines.
    """
    number = ir.FloatType() if like == types.float32 else ir.DoubleType()

    def generate(context: Value, builder: Value, signature: Value, args: Value) -> Value:
        byte = ir.IntType(8)
        rest = iter(cgutils.unpack_tuple(builder, args[2]))

        def passed(kind: str) -> Value:
            if kind.isupper() or kind == "1":
                value = ir.Constant(byte, ord(kind)) if kind.isupper() else ir.Constant(number, 1.0)
            else:
                value = next(rest)
            if kind == "a":
                return builder.inttoptr(value, byte.as_pointer())
            if kind in "cn":
                value = builder.trunc(value, byte) if kind == "c" else builder.sitofp(value, number)
            return builder.bitcast(cgutils.alloca_once_value(builder, value), byte.as_pointer())

        pointers = [passed(kind) for kind in kinds.literal_value]
        function = ir.FunctionType(ir.VoidType(), [byte.as_pointer()] * len(pointers))
        builder.call(builder.inttoptr(args[0], function.as_pointer()), pointers)
        return context.get_dummy_value()

    return types.void(types.int64, types.literal(kinds.literal_value), arguments, like), generate


@intrinsic
def _call_threads(typing, address, count):
    """MKL_Set_Num_Threads_Local(count) at `address`: thread count of this thread's products. Returns the previous
    one."""

    def generate(context: Value, builder: Value, signature: Value, args: Value) -> Value:
        number = ir.IntType(32)
        function = builder.inttoptr(args[0], ir.FunctionType(number, [number]).as_pointer())
        return builder.call(function, [args[1]])

    return types.int32(types.int64, types.int32), generate


@_part
def _product(blas, rows, k, n, x, ldx, W, transposed, onto, out, ldo, size, like):
    """out (rows, n) = x (rows, k) W (k, n), or added to out, all row-major, which is outᵀ = Wᵀ xᵀ as Fortran sees it.
    transposed: W is stored as (n, k), supported only by a BLAS. W, x, out: addresses; ld*: row strides in elements."""
    gemm, compute, packed = blas
    if packed != 0:
        _call_blas(compute, "PNiiiaiainai", (n, rows, k, packed, n, x, ldx, int(onto), out, ldo), like)
        return
    if gemm != 0:
        way, ldw = (ord("T"), k) if transposed else (ord("N"), n)
        _call_blas(gemm, "cNiii1aiainai", (way, n, rows, k, W, ldw, x, ldx, int(onto), out, ldo), like)
        return
    for r in range(rows):
        to, row = out + r * ldo * size, x + r * ldx * size
        if not onto:
            _zeros((to,), 1, n, like)
        for i in range(k):
            _product_row((to, W + i * n * size, row + i * size), 1, n, like)


# size: bytes per element. threads, gemm, pack, compute: addresses, see `_products.py`. room: buffer with `each` bytes
# for packed weights per share, or 0.
HEAD = ("T", "B", "H", "size", "threads", "gemm", "pack", "compute", "room", "each", "shares", "begun")
BEGUN, OWN = len(HEAD) - 1, len(HEAD)  # index of `begun`, and of the first argument of a loop's own


def _place(builder: Value, arguments: Value, index: int) -> Value:
    """The address of arguments[index]."""
    long = ir.IntType(64)
    return builder.gep(builder.bitcast(arguments, long.as_pointer()), [ir.Constant(long, index)])


@intrinsic(prefer_literal=True)
def _numbers(typing, arguments, first, count):
    """The `count` arguments from index `first`."""
    first, count = first.literal_value, count.literal_value

    def generate(context: Value, builder: Value, signature: Value, args: Value) -> Value:
        values = [builder.load(_place(builder, args[0], first + index)) for index in range(count)]
        return context.make_tuple(builder, signature.return_type, values)

    return types.UniTuple(types.int64, count)(arguments, types.literal(first), types.literal(count)), generate


@intrinsic
def _like(typing, arguments):
    """An element of the arrays' type, from the type of the pointer."""

    def generate(context: Value, builder: Value, signature: Value, args: Value) -> Value:
        return context.get_constant(signature.return_type, 0.0)

    return arguments.dtype(arguments), generate


@intrinsic
def _begin(typing, arguments):
    """The index of the next share that no thread has started."""

    def generate(context: Value, builder: Value, signature: Value, args: Value) -> Value:
        place = _place(builder, args[0], BEGUN)
        return builder.atomic_rmw("add", place, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(arguments), generate


@_part
def _shares(arguments, k, n, W, like):
    """(first row, number of rows, BLAS) of every share of this thread, for products with W (k, n), which is packed if
    there is room for it. MKL's products stay on this thread until the last share is done."""
    _, B, _, _, threads, gemm, pack, compute, room, each, shares = _numbers(arguments, 0, BEGUN)
    before = _call_threads(threads, np.int32(1)) if threads != 0 else np.int32(0)
    share = _begin(arguments)
    while share < shares:
        first = B * share // shares
        rows = B * (share + 1) // shares - first
        packed = room + share * each if room != 0 else 0
        if packed != 0:
            _call_blas(pack, "ANiii1aia", (n, rows, k, W, n, packed), like)
        yield first, rows, (gemm, compute, packed)
        share = _begin(arguments)
    if threads != 0:
        _call_threads(threads, before)


def _rnn_backward(arguments):
    """d: (T, B, H), the direct dL/dh of every step, overwritten with dL/dsum. W: W_hh."""
    T, B, H, size = _numbers(arguments, 0, 4)
    d, h, W, relu = _numbers(arguments, OWN, 4)
    like = _like(arguments)
    for first, rows, blas in _shares(arguments, H, H, W, like):
        for t in range(T - 1, -1, -1):
            here = (t * B + first) * H * size
            if t < T - 1:
                _product(blas, rows, H, H, d + here + B * H * size, H, W, False, True, d + here, H, size, like)
            if relu:
                _relu_backward((d + here, h + here), 1, rows * H, like)
            else:
                _tanh_backward((d + here, h + here), 1, rows * H, like)


def _gru_forward(arguments):
    """sums: (T, B, 3H), r | z | n, the input's part. gates: (T, B, 4H), to be filled with q | r | z | n, q = W_n h +
    b_n. h: (T, B, H), to be filled. W: q | r | z of W_hh; turned: the transpose."""
    T, B, H, size = _numbers(arguments, 0, 4)
    sums, gates, h, h_0, W, b_n, turned = _numbers(arguments, OWN, 7)
    like = _like(arguments)
    for first, rows, blas in _shares(arguments, H, 3 * H, W, like):
        past = h_0 + first * H * size
        for t in range(T):
            row = (t * B + first) * H * size
            g, out = gates + 4 * row, h + row
            _product(blas, rows, H, 3 * H, past, H, W, not turned, False, g, 4 * H, size, like)
            _gru((g, sums + 3 * row, past, out, b_n), rows, H, like)
            past = out


def _gru_backward_loop(arguments):
    """d: (T, B, H), the direct dL/dh of every step, overwritten with the full dL/dh. d_a: (T, B, 4H), to be filled with
    dL/dsum of q | r | z | n. W: q | r | z of W_hh."""
    T, B, H, size = _numbers(arguments, 0, 4)
    d, d_a, gates, h, h_0, W = _numbers(arguments, OWN, 6)
    like = _like(arguments)
    for first, rows, blas in _shares(arguments, 3 * H, H, W, like):
        for t in range(T - 1, -1, -1):
            row = (t * B + first) * H * size
            g, a, out = gates + 4 * row, d_a + 4 * row, d + row
            earlier = row - B * H * size
            _gru_backward((g, a, h + earlier if t > 0 else h_0 + first * H * size, out), rows, H, like)
            if t > 0:
                _gru_carried((g, out, d + earlier), rows, H, like)
                _product(blas, rows, 3 * H, H, a, 4 * H, W, False, True, d + earlier, H, size, like)


def _lstm_forward(arguments):
    """gates: (T, B, 4H), the input's part of the sums, overwritten with i | f | g | o. c, tanh_c, h: (T, B, H), to be
    filled. W: W_hh; turned: its transpose."""
    T, B, H, size = _numbers(arguments, 0, 4)
    gates, c, tanh_c, h, h_0, c_0, W, turned = _numbers(arguments, OWN, 8)
    like = _like(arguments)
    for first, rows, blas in _shares(arguments, H, 4 * H, W, like):
        past, cell = h_0 + first * H * size, c_0 + first * H * size
        for t in range(T):
            row = (t * B + first) * H * size
            g, out = gates + 4 * row, h + row
            _product(blas, rows, H, 4 * H, past, H, W, not turned, True, g, 4 * H, size, like)
            _lstm((g, cell, c + row, tanh_c + row, out), rows, H, like)
            past, cell = out, c + row


def _lstm_backward_loop(arguments):
    """d, d_c: (T, B, H), the direct dL/dh and dL/dc of every step, overwritten with the full ones. d_a: (T, B, 4H),
    to be filled with dL/dsum of i | f | g | o. W: W_hh."""
    T, B, H, size = _numbers(arguments, 0, 4)
    d, d_c, d_a, gates, c, tanh_c, c_0, W = _numbers(arguments, OWN, 8)
    like = _like(arguments)
    for first, rows, blas in _shares(arguments, 4 * H, H, W, like):
        for t in range(T - 1, -1, -1):
            row = (t * B + first) * H * size
            g, a, earlier = gates + 4 * row, d_a + 4 * row, row - B * H * size
            past = c + earlier if t > 0 else c_0 + first * H * size
            _lstm_backward((g, a, past, tanh_c + row, d + row, d_c + row), rows, H, like)
            if t > 0:
                _lstm_carried((g, d_c + row, d_c + earlier), rows, H, like)
                _product(blas, rows, 4 * H, H, a, 4 * H, W, False, True, d + earlier, H, size, like)


# This many values of the input's part are computed ahead of the steps that read them, so that they stay in the cache;
# but at least this many rows, since a product with few rows is slow.
AT_ONCE, ROWS_AT_ONCE = 1 << 15, 192


@_part
def _ahead(x, W, first, rows, t, steps, B, inputs, n, blas, out, size, like):
    """out: (steps, rows, n) += W x for the steps from t on, for a share's rows: x (T, B, I)."""
    turned, plain = blas[0] != 0, (blas[0], 0, 0)
    if rows == B:
        at = x + t * B * inputs * size
        _product(plain, steps * B, inputs, n, at, inputs, W, turned, True, out, n, size, like)
        return
    for k in range(steps):
        row = x + ((t + k) * B + first) * inputs * size
        _product(plain, rows, inputs, n, row, inputs, W, turned, True, out + k * rows * n * size, n, size, like)


def _answer(arguments):
    """Forward, keeping only h (T, B, H), all that an rnn's backward reads. x: (T, B, I); if I is 0, the input's part of
    the sums with biases, overwritten; for an rnn it may be h itself. c: (B, H), an lstm's c_0, overwritten with c_T.
    cell: its number of gates, 1 rnn, 3 gru, 4 lstm. turned: W_hh is stored as its transpose."""
    T, B, H, size = _numbers(arguments, 0, 4)
    x, W_ih, b_ih, W_hh, b_hh, h_0, c, h, cell, relu, turned, inputs = _numbers(arguments, OWN, 12)
    like = _like(arguments)
    n = cell * H
    for first, rows, blas in _shares(arguments, H, n, W_hh, like):
        block = max(1, min(T, max(AT_ONCE // (rows * n), ROWS_AT_ONCE // rows)))
        ahead = np.empty(block * rows * n * size if inputs > 0 else 1, np.uint8)
        of_h = np.empty(rows * n * size if cell == 3 else 1, np.uint8)
        past, state = h_0 + first * H * size, c + first * H * size
        for t in range(T):
            out = h + (t * B + first) * H * size
            sums = x + (t * B + first) * n * size
            if inputs > 0:
                k = t % block
                sums = ahead.ctypes.data + k * rows * n * size
                if k == 0:
                    steps = min(block, T - t)
                    if cell == 3:
                        _gru_bias((sums, b_ih, b_hh), steps * rows, H, like)
                    else:
                        _bias((sums, b_ih, b_hh), steps * rows, n, like)
                    _ahead(x, W_ih, first, rows, t, steps, B, inputs, n, blas, sums, size, like)
            if cell == 3:
                scratch = of_h.ctypes.data
                _product(blas, rows, H, n, past, H, W_hh, not turned, False, scratch, n, size, like)
                _gru_answer((scratch, sums, past, out, b_hh), rows, H, like)
            else:
                _product(blas, rows, H, n, past, H, W_hh, not turned, True, sums, n, size, like)
                if cell == 4:
                    _lstm_answer((sums, state, out), rows, H, like)
                elif relu:
                    _relu_answer((out, sums), 1, rows * H, like)
                else:
                    _tanh_answer((out, sums), 1, rows * H, like)
            past = out


LOOPS: dict[str, Callable[[Value], None]] = {
    "rnn_backward": _rnn_backward,
    "gru_forward": _gru_forward,
    "gru_backward": _gru_backward_loop,
    "lstm_forward": _lstm_forward,
    "lstm_backward": _lstm_backward_loop,
    "answer": _answer,
}


class _Says(event.Listener):
    """Announces, once per process, that compilation has started; cached loops are not compiled."""

    said = False

    def on_start(self, event: Value) -> None:
        if not _Says.said:
            _Says.said = True
            say(tr("engine compiled: compiling its loops, once on this machine; about 10 seconds"))

    def on_end(self, event: Value) -> None:
        pass


@cache
def loop(name: str, double: bool) -> int:
    """The address of that loop as a C function of one pointer, compiled for float64 or float32."""
    signature = types.void(types.CPointer(types.float64 if double else types.float32))
    with event.install_listener("numba:run_pass", _Says()):
        _COMPILED.append(_compiled(LOOPS[name], signature))
    return int(_COMPILED[-1].address)


_COMPILED: list[Value] = []  # numba frees the code of a function that nothing refers to


@cache
def _version() -> str:
    """Hash of the compiled code's source: numba notices a change in a function's own file, not in what it calls."""
    source = b"".join(Path(file).read_bytes() for file in (__file__, vectors.__file__))
    return hashlib.sha256(source).hexdigest()[:16]


def _compiled(function: Callable[[Value], None], signature: Value) -> Value:
    """Compile with the cache on disk if it is writable, else in memory."""
    kept, config.CACHE_DIR = config.CACHE_DIR, str(cache_folder() / "loops" / _version())
    try:
        return cfunc(signature, cache=True, error_model="numpy")(function)
    except (RuntimeError, OSError):  # no writable folder
        return cfunc(signature, error_model="numpy")(function)
    finally:
        config.CACHE_DIR = kept

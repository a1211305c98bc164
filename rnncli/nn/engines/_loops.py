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

_tanh = vectors.kernel(vectors.rnn_tanh, 1)
_relu = vectors.kernel(vectors.rnn_relu, 1)
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


@intrinsic
def _call_gemm(typing, address, transposed, n, rows, k, W, ldw, x, ldx, onto, out, ldo, like):
    """The BLAS function at `address`, s- or dgemm by the type of `like`: out (rows, n) = x (rows, k) W (k, n), all
    row-major, which is outᵀ = Wᵀ xᵀ as Fortran sees it. transposed: W is stored as (n, k). onto: add to out. W, x, out:
    addresses; ld*: row strides in elements.

    Sizes are passed as 64-bit integers, which a 32-bit BLAS also reads correctly on little-endian machines.
    """
    number = ir.FloatType() if like == types.float32 else ir.DoubleType()

    def generate(context: Value, builder: Value, signature: Value, args: Value) -> Value:
        byte, long = ir.IntType(8), ir.IntType(64)

        def either(flag: Value, kind: Value, yes: float, no: float) -> Value:
            return _stored(builder, kind, builder.select(flag, ir.Constant(kind, yes), ir.Constant(kind, no)))

        address, transposed, n, rows, k, W, ldw, x, ldx, onto, out, ldo, _ = args
        letter, beta = either(transposed, byte, ord("T"), ord("N")), either(onto, number, 1.0, 0.0)
        plain = _stored(builder, byte, ir.Constant(byte, ord("N")))
        one = _stored(builder, number, ir.Constant(number, 1.0))
        n, rows, k, ldw, ldx, ldo = (_stored(builder, long, value) for value in (n, rows, k, ldw, ldx, ldo))
        W, x, out = (builder.inttoptr(value, byte.as_pointer()) for value in (W, x, out))
        _call(builder, address, [letter, plain, n, rows, k, one, W, ldw, x, ldx, beta, out, ldo])
        return context.get_dummy_value()

    long, truth = types.int64, types.boolean
    return types.void(long, truth, long, long, long, long, long, long, long, truth, long, long, like), generate


@intrinsic
def _call_pack(typing, address, n, rows, k, W, packed):
    """MKL's sgemm_pack at `address`: W (k, n), row-major, in the layout for products with x (rows, k), into
    `packed`."""

    def generate(context: Value, builder: Value, signature: Value, args: Value) -> Value:
        address, n, rows, k, W, packed = args
        letters = [_stored(builder, ir.IntType(8), ir.Constant(ir.IntType(8), ord(letter))) for letter in "AN"]
        one = _stored(builder, ir.FloatType(), ir.Constant(ir.FloatType(), 1.0))
        n, rows, k = (_stored(builder, ir.IntType(64), value) for value in (n, rows, k))
        W, packed = (builder.inttoptr(value, ir.IntType(8).as_pointer()) for value in (W, packed))
        _call(builder, address, [*letters, n, rows, k, one, W, n, packed])
        return context.get_dummy_value()

    long = types.int64
    return types.void(long, long, long, long, long, long), generate


@intrinsic
def _call_packed(typing, address, n, rows, k, packed, x, ldx, onto, out, ldo):
    """MKL's sgemm_compute at `address`: `_call_gemm` with a W that `_call_pack` packed."""

    def generate(context: Value, builder: Value, signature: Value, args: Value) -> Value:
        address, n, rows, k, packed, x, ldx, onto, out, ldo = args
        letters = [_stored(builder, ir.IntType(8), ir.Constant(ir.IntType(8), ord(letter))) for letter in "PN"]
        beta = _stored(builder, ir.FloatType(), builder.uitofp(onto, ir.FloatType()))
        n, rows, k, ldx, ldo = (_stored(builder, ir.IntType(64), value) for value in (n, rows, k, ldx, ldo))
        packed, x, out = (builder.inttoptr(value, ir.IntType(8).as_pointer()) for value in (packed, x, out))
        _call(builder, address, [*letters, n, rows, k, packed, n, x, ldx, beta, out, ldo])
        return context.get_dummy_value()

    long, truth = types.int64, types.boolean
    return types.void(long, long, long, long, long, long, long, truth, long, long), generate


def _stored(builder: Value, kind: Value, value: Value) -> Value:
    """A stack variable with that value, since Fortran passes arguments by reference."""
    slot = cgutils.alloca_once(builder, kind)
    builder.store(value, slot)
    return builder.bitcast(slot, ir.IntType(8).as_pointer())


def _call(builder: Value, address: Value, arguments: list[Value]) -> None:
    pointers = [ir.IntType(8).as_pointer()] * len(arguments)
    builder.call(builder.inttoptr(address, ir.FunctionType(ir.VoidType(), pointers).as_pointer()), arguments)


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
def _pack(blas, rows, k, n, W):
    """Pack W (k, n) for the products of a share, if there is room for it."""
    _, pack, _, packed = blas
    if packed != 0:
        _call_pack(pack, n, rows, k, W, packed)


@_part
def _product(blas, rows, k, n, x, ldx, W, transposed, onto, out, ldo, size, like):
    """out (rows, n) = x W, or added to out. transposed: W is stored as (n, k), supported only by a BLAS."""
    gemm, _, compute, packed = blas
    if packed != 0:
        _call_packed(compute, n, rows, k, packed, x, ldx, onto, out, ldo)
        return
    if gemm != 0:
        _call_gemm(gemm, transposed, n, rows, k, W, k if transposed else n, x, ldx, onto, out, ldo, like)
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
def _shares(arguments):
    """(first row, number of rows, BLAS) of every share of this thread."""
    _, B, _, _, _, gemm, pack, compute, room, each, shares = _numbers(arguments, 0, BEGUN)
    share = _begin(arguments)
    while share < shares:
        first = B * share // shares
        packed = room + share * each if room != 0 else 0
        yield first, B * (share + 1) // shares - first, (gemm, pack, compute, packed)
        share = _begin(arguments)


@_part
def _products_alone(threads):
    """Restrict this thread's products to this thread, if `threads` is the address of MKL's function; returns the
    previous setting."""
    return _call_threads(threads, np.int32(1)) if threads != 0 else np.int32(0)


@_part
def _products_as(threads, before):
    if threads != 0:
        _call_threads(threads, before)


def _rnn_forward(arguments):
    """h: (T, B, H), the input's part of the sums, overwritten with h_t. h_0: (B, H). W: W_hh; turned: its transpose."""
    T, B, H, size, threads = _numbers(arguments, 0, 5)
    h, h_0, W, relu, turned = _numbers(arguments, OWN, 5)
    like = _like(arguments)
    before = _products_alone(threads)
    for first, rows, blas in _shares(arguments):
        _pack(blas, rows, H, H, W)
        past = h_0 + first * H * size
        for t in range(T):
            out = h + (t * B + first) * H * size
            _product(blas, rows, H, H, past, H, W, not turned, True, out, H, size, like)
            if relu:
                _relu((out,), 1, rows * H, like)
            else:
                _tanh((out,), 1, rows * H, like)
            past = out
    _products_as(threads, before)


def _rnn_backward(arguments):
    """d: (T, B, H), the direct dL/dh of every step, overwritten with dL/dsum. W: W_hh."""
    T, B, H, size, threads = _numbers(arguments, 0, 5)
    d, h, W, relu = _numbers(arguments, OWN, 4)
    like = _like(arguments)
    before = _products_alone(threads)
    for first, rows, blas in _shares(arguments):
        _pack(blas, rows, H, H, W)
        for t in range(T - 1, -1, -1):
            here = (t * B + first) * H * size
            if t < T - 1:
                _product(blas, rows, H, H, d + here + B * H * size, H, W, False, True, d + here, H, size, like)
            if relu:
                _relu_backward((d + here, h + here), 1, rows * H, like)
            else:
                _tanh_backward((d + here, h + here), 1, rows * H, like)
    _products_as(threads, before)


def _gru_forward(arguments):
    """sums: (T, B, 3H), r | z | n, the input's part. gates: (T, B, 4H), to be filled with q | r | z | n, q = W_n h +
    b_n. h: (T, B, H), to be filled. W: q | r | z of W_hh; turned: the transpose."""
    T, B, H, size, threads = _numbers(arguments, 0, 5)
    sums, gates, h, h_0, W, b_n, turned = _numbers(arguments, OWN, 7)
    like = _like(arguments)
    before = _products_alone(threads)
    for first, rows, blas in _shares(arguments):
        _pack(blas, rows, H, 3 * H, W)
        past = h_0 + first * H * size
        for t in range(T):
            row = (t * B + first) * H * size
            g, out = gates + 4 * row, h + row
            _product(blas, rows, H, 3 * H, past, H, W, not turned, False, g, 4 * H, size, like)
            _gru((g, sums + 3 * row, past, out, b_n), rows, H, like)
            past = out
    _products_as(threads, before)


def _gru_backward_loop(arguments):
    """d: (T, B, H), the direct dL/dh of every step, overwritten with the full dL/dh. d_a: (T, B, 4H), to be filled with
    dL/dsum of q | r | z | n. W: q | r | z of W_hh."""
    T, B, H, size, threads = _numbers(arguments, 0, 5)
    d, d_a, gates, h, h_0, W = _numbers(arguments, OWN, 6)
    like = _like(arguments)
    before = _products_alone(threads)
    for first, rows, blas in _shares(arguments):
        _pack(blas, rows, 3 * H, H, W)
        for t in range(T - 1, -1, -1):
            row = (t * B + first) * H * size
            g, a, out = gates + 4 * row, d_a + 4 * row, d + row
            earlier = row - B * H * size
            _gru_backward((g, a, h + earlier if t > 0 else h_0 + first * H * size, out), rows, H, like)
            if t > 0:
                _gru_carried((g, out, d + earlier), rows, H, like)
                _product(blas, rows, 3 * H, H, a, 4 * H, W, False, True, d + earlier, H, size, like)
    _products_as(threads, before)


def _lstm_forward(arguments):
    """gates: (T, B, 4H), the input's part of the sums, overwritten with i | f | g | o. c, tanh_c, h: (T, B, H), to be
    filled. W: W_hh; turned: its transpose."""
    T, B, H, size, threads = _numbers(arguments, 0, 5)
    gates, c, tanh_c, h, h_0, c_0, W, turned = _numbers(arguments, OWN, 8)
    like = _like(arguments)
    before = _products_alone(threads)
    for first, rows, blas in _shares(arguments):
        _pack(blas, rows, H, 4 * H, W)
        past, cell = h_0 + first * H * size, c_0 + first * H * size
        for t in range(T):
            row = (t * B + first) * H * size
            g, out = gates + 4 * row, h + row
            _product(blas, rows, H, 4 * H, past, H, W, not turned, True, g, 4 * H, size, like)
            _lstm((g, cell, c + row, tanh_c + row, out), rows, H, like)
            past, cell = out, c + row
    _products_as(threads, before)


def _lstm_backward_loop(arguments):
    """d, d_c: (T, B, H), the direct dL/dh and dL/dc of every step, overwritten with the full ones. d_a: (T, B, 4H),
    to be filled with dL/dsum of i | f | g | o. W: W_hh."""
    T, B, H, size, threads = _numbers(arguments, 0, 5)
    d, d_c, d_a, gates, c, tanh_c, c_0, W = _numbers(arguments, OWN, 8)
    like = _like(arguments)
    before = _products_alone(threads)
    for first, rows, blas in _shares(arguments):
        _pack(blas, rows, 4 * H, H, W)
        for t in range(T - 1, -1, -1):
            row = (t * B + first) * H * size
            g, a, earlier = gates + 4 * row, d_a + 4 * row, row - B * H * size
            past = c + earlier if t > 0 else c_0 + first * H * size
            _lstm_backward((g, a, past, tanh_c + row, d + row, d_c + row), rows, H, like)
            if t > 0:
                _lstm_carried((g, d_c + row, d_c + earlier), rows, H, like)
                _product(blas, rows, 4 * H, H, a, 4 * H, W, False, True, d + earlier, H, size, like)
    _products_as(threads, before)


# This many values of the input's part are computed ahead of the steps that read them, so that they stay in the cache;
# but at least this many rows, since a product with few rows is slow.
AT_ONCE, ROWS_AT_ONCE = 1 << 15, 192


@_part
def _ahead(x, W, first, rows, t, steps, B, inputs, n, blas, out, size, like):
    """out: (steps, rows, n) += W x for the steps from t on, for a share's rows: x (T, B, I)."""
    turned, plain = blas[0] != 0, (blas[0], 0, 0, 0)
    if rows == B:
        at = x + t * B * inputs * size
        _product(plain, steps * B, inputs, n, at, inputs, W, turned, True, out, n, size, like)
        return
    for k in range(steps):
        row = x + ((t + k) * B + first) * inputs * size
        _product(plain, rows, inputs, n, row, inputs, W, turned, True, out + k * rows * n * size, n, size, like)


def _answer(arguments):
    """Forward only, keeping only h (T, B, H). x: (T, B, I); if I is 0, the input's part of the sums with biases,
    overwritten. c: (B, H), an lstm's c_0, overwritten with c_T. cell: its number of gates, 1 rnn, 3 gru, 4 lstm.
    turned: W_hh is stored as its transpose."""
    T, B, H, size, threads = _numbers(arguments, 0, 5)
    x, W_ih, b_ih, W_hh, b_hh, h_0, c, h, cell, relu, turned, inputs = _numbers(arguments, OWN, 12)
    like = _like(arguments)
    n = cell * H
    before = _products_alone(threads)
    for first, rows, blas in _shares(arguments):
        _pack(blas, rows, H, n, W_hh)
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
    _products_as(threads, before)


LOOPS: dict[str, Callable[[Value], None]] = {
    "rnn_forward": _rnn_forward,
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

"""Elementwise operations of the compiled loops as vector code: sigmoid, tanh, and each cell's equations.

LLVM's vectorizer fails on a loop over H = 32 units: it first checks every pair of arrays for overlap, and unrolls by
several vectors. So each kernel is written here with explicit vectors: rows of H units, 16 values at a time, then 4,
then one. A kernel is a function of `Vectors` whose lines are the equations.

numba is imported only here and in `_loops.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

Value = Any  # from llvmlite and numba, which are untyped: mostly a value, or a vector of values, in the generated code

FLAGS = ("contract", "nsz")  # no "nnan": a diverging run must show its NaN
LANES = (16, 4, 1)


class Vectors:
    """Values of one row, `lanes` at a time, float32 or float64. `v[k, gate]` is array k's value for that gate; an array
    has `widths[k]` gates of H units in each row."""

    def __init__(self, builder: Value, number: Value, lanes: int, places: Callable[[int, int], Value]) -> None:
        self._b, self._number, self._lanes, self._places = builder, number, lanes, places
        self.type = ir.VectorType(number, lanes) if lanes > 1 else number
        self.double = number == ir.DoubleType()
        self._align = 8 if self.double else 4
        whole = ir.IntType(8 * self._align)
        self._whole_type = ir.VectorType(whole, lanes) if lanes > 1 else whole

    def __getitem__(self, key: tuple[int, int]) -> Value:
        return self._b.load(self._pointer(key), align=self._align)

    def __setitem__(self, key: tuple[int, int], value: Value) -> None:
        self._b.store(value, self._pointer(key), align=self._align)

    def same(self, array: int) -> Value:
        """The first value of an array, in every lane."""
        first = self._b.load(self._b.bitcast(self._places(array, -1), self._number.as_pointer()), align=self._align)
        if self._lanes == 1:
            return first
        one = self._b.insert_element(ir.Constant(self.type, ir.Undefined), first, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self._lanes), [0] * self._lanes)
        return self._b.shuffle_vector(one, ir.Constant(self.type, ir.Undefined), zeros)

    def _pointer(self, key: tuple[int, int]) -> Value:
        return self._b.bitcast(self._places(*key), self.type.as_pointer())

    def __call__(self, value: float) -> Value:
        """The same value in every lane."""
        return ir.Constant(self.type, [float(value)] * self._lanes if self._lanes > 1 else float(value))

    def whole(self, value: int) -> Value:
        return ir.Constant(self._whole_type, [value] * self._lanes if self._lanes > 1 else value)

    def add(self, a: Value, b: Value) -> Value:
        return self._b.fadd(a, b, flags=FLAGS)

    def sub(self, a: Value, b: Value) -> Value:
        return self._b.fsub(a, b, flags=FLAGS)

    def mul(self, *factors: Value) -> Value:
        found = factors[0]
        for factor in factors[1:]:
            found = self._b.fmul(found, factor, flags=FLAGS)
        return found

    def div(self, a: Value, b: Value) -> Value:
        return self._b.fdiv(a, b, flags=FLAGS)

    def rest(self, x: Value) -> Value:
        """1 - x."""
        return self.sub(self(1.0), x)

    def where(self, a: Value, sign: str, b: Value, then: Value, otherwise: Value) -> Value:
        """`then` in the lanes where a < b (or another comparison); NaN compares false and gives `otherwise`."""
        return self._b.select(self._b.fcmp_ordered(sign, a, b), then, otherwise)

    def clamp(self, x: Value, limit: float) -> Value:
        """Clamp to [-limit, limit]; NaN stays NaN."""
        x = self.where(x, ">", self(limit), self(limit), x)
        return self.where(x, "<", self(-limit), self(-limit), x)

    def polynomial(self, x: Value, *coefficients: float) -> Value:
        """Horner's method, highest power first."""
        found = self(coefficients[0])
        for coefficient in coefficients[1:]:
            found = self.add(self.mul(found, x), self(coefficient))
        return found

    def exp(self, x: Value) -> Value:
        """exp for arguments within +-87 (+-708). Cephes' coefficients (Moshier), expf.c and exp.c.

        x = n log 2 + y: n is read from the last bits of x / log 2 + 1.5 * 2^23 (2^52), and 2^n is built from its bits.
        """
        bits, bias = (52, 1023) if self.double else (23, 127)
        magic = self(1.5 * 2**bits)
        shifted = self.add(self.mul(x, self(1.44269504088896340736)), magic)
        n = self.sub(shifted, magic)
        if self.double:
            y = self.sub(x, self.mul(n, self(6.93145751953125e-1)))
            y = self.sub(y, self.mul(n, self(1.42860682030941723212e-6)))
            z = self.mul(y, y)
            p = self.mul(y, self.polynomial(z, 1.26177193074810590878e-4, 3.02994407707441961300e-2, 1.0))
            q = self.polynomial(z, 3.00198505138664455042e-6, 2.52448340349684104192e-3, 2.27265548208155028766e-1, 2.0)
            found = self.add(self(1.0), self.mul(self(2.0), self.div(p, self.sub(q, p))))
        else:
            y = self.sub(x, self.mul(n, self(0.693359375)))
            y = self.sub(y, self.mul(n, self(-2.12194440e-4)))
            p = self.polynomial(
                y, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1
            )
            found = self.add(self.mul(p, y, y), self.add(y, self(1.0)))
        raised = self._b.shl(self._b.bitcast(shifted, self._whole_type), self.whole(bits))
        power = self._b.bitcast(self._b.add(raised, self.whole(bias << bits)), self.type)
        return self.mul(found, power)

    def sigmoid(self, x: Value) -> Value:
        """1 / (1 + exp(-x))."""
        limit = 708.0 if self.double else 87.0
        return self.div(self(1.0), self.add(self(1.0), self.exp(self.sub(self(-0.0), self.clamp(x, limit)))))

    def tanh(self, x: Value) -> Value:
        """float32: a rational approximation with Eigen's coefficients (generic_fast_tanh_float), one division. float64:
        1 - 2 / (exp(2x) + 1), and for small x, where that would cancel, Cephes' coefficients, tanh.c."""
        if not self.double:
            x = self.clamp(x, 7.90531110763549805)  # beyond it, tanh is 1
            z = self.mul(x, x)
            p = self.polynomial(
                z, -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-8,
                1.48572235717979e-5, 6.37261928875436e-4, 4.89352455891786e-3,
            )  # fmt: skip
            q = self.polynomial(z, 1.19825839466702e-6, 1.18534705686654e-4, 2.26843463243900e-3, 4.89352518554385e-3)
            return self.div(self.mul(x, p), q)
        z = self.mul(x, x)
        p = self.polynomial(z, -9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3)
        q = self.polynomial(z, 1.0, 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3)
        small = self.add(self.mul(x, z, self.div(p, q)), x)
        large = self.sub(
            self(1.0), self.div(self(2.0), self.add(self.exp(self.clamp(self.add(x, x), 708.0)), self(1.0)))
        )
        return self.where(x, "<", self(0.625), self.where(x, ">", self(-0.625), small, large), large)


def tanh_answer(v: Vectors) -> None:
    """h, to be filled; sums."""
    v[0, 0] = v.tanh(v[1, 0])


def relu_answer(v: Vectors) -> None:
    """h, to be filled; sums. NaN stays NaN."""
    a = v[1, 0]
    v[0, 0] = v.where(a, "<=", v(0.0), v(0.0), a)


def zeros(v: Vectors) -> None:
    v[0, 0] = v(0.0)


def rnn_tanh_backward(v: Vectors) -> None:
    """d, h: dL/dh -> dL/dsum."""
    h = v[1, 0]
    v[0, 0] = v.mul(v[0, 0], v.rest(v.mul(h, h)))


def rnn_relu_backward(v: Vectors) -> None:
    """d, h: dL/dh -> dL/dsum."""
    v[0, 0] = v.where(v[1, 0], "<=", v(0.0), v(0.0), v[0, 0])


def bias(v: Vectors) -> None:
    """sums, to be filled; b_ih; b_hh."""
    v[0, 0] = v.add(v[1, 0], v[2, 0])


def gru_bias(v: Vectors) -> None:
    """sums of r | z | n, to be filled; b_ih; b_hh, where n's is inside the brackets of r ⊙ (W_hn h + b_hn)."""
    v[0, 0], v[0, 1], v[0, 2] = v.add(v[1, 0], v[2, 0]), v.add(v[1, 1], v[2, 1]), v[1, 2]


def gru(v: Vectors) -> None:
    """gates, with W_hh h for q | r | z, to be filled with q | r | z | n; sums of r | z | n by x; h_(t-1); h_t, to be
    filled; b_hn."""
    q = v.add(v[0, 0], v[4, 0])
    r, z = v.sigmoid(v.add(v[0, 1], v[1, 0])), v.sigmoid(v.add(v[0, 2], v[1, 1]))
    n = v.tanh(v.add(v[1, 2], v.mul(r, q)))
    v[0, 0], v[0, 1], v[0, 2], v[0, 3] = q, r, z, n
    v[3, 0] = v.add(n, v.mul(z, v.sub(v[2, 0], n)))


def gru_answer(v: Vectors) -> None:
    """The same without storing the gates. W_hh h for r | z | q; sums by x; h_(t-1); h_t, to be filled; b_hh."""
    r, z = v.sigmoid(v.add(v[0, 0], v[1, 0])), v.sigmoid(v.add(v[0, 1], v[1, 1]))
    n = v.tanh(v.add(v[1, 2], v.mul(r, v.add(v[0, 2], v[4, 2]))))
    v[3, 0] = v.add(n, v.mul(z, v.sub(v[2, 0], n)))


def gru_backward(v: Vectors) -> None:
    """gates; dL/dsum of q | r | z | n, to be filled; h_(t-1); dL/dh_t, of which z's share is passed on to h_(t-1)."""
    q, r, z, n, d = v[0, 0], v[0, 1], v[0, 2], v[0, 3], v[3, 0]
    d_n = v.mul(d, v.rest(z), v.rest(v.mul(n, n)))
    v[1, 0] = v.mul(d_n, r)
    v[1, 1] = v.mul(d_n, q, r, v.rest(r))
    v[1, 2] = v.mul(d, v.sub(v[2, 0], n), z, v.rest(z))
    v[1, 3] = d_n


def gru_carried(v: Vectors) -> None:
    """gates, dL/dh_t, dL/dh_(t-1): the gradient that bypasses the gates, h_t = ... + z h_(t-1)."""
    v[2, 0] = v.add(v[2, 0], v.mul(v[1, 0], v[0, 2]))


def lstm(v: Vectors) -> None:
    """gates, the sums of i | f | g | o; c_(t-1); c_t, tanh c_t and h_t, to be filled."""
    i, f, g, o = v.sigmoid(v[0, 0]), v.sigmoid(v[0, 1]), v.tanh(v[0, 2]), v.sigmoid(v[0, 3])
    v[0, 0], v[0, 1], v[0, 2], v[0, 3] = i, f, g, o
    c = v.add(v.mul(f, v[1, 0]), v.mul(i, g))
    squashed = v.tanh(c)
    v[2, 0], v[3, 0], v[4, 0] = c, squashed, v.mul(o, squashed)


def lstm_answer(v: Vectors) -> None:
    """The same without storing the gates: sums of i | f | g | o; c_(t-1) -> c_t; h_t, to be filled."""
    i, f, g, o = v.sigmoid(v[0, 0]), v.sigmoid(v[0, 1]), v.tanh(v[0, 2]), v.sigmoid(v[0, 3])
    c = v.add(v.mul(f, v[1, 0]), v.mul(i, g))
    v[1, 0], v[2, 0] = c, v.mul(o, v.tanh(c))


def lstm_backward(v: Vectors) -> None:
    """gates; dL/dsum of i | f | g | o, to be filled; c_(t-1); tanh c_t; dL/dh_t; the direct dL/dc_t -> the full one."""
    i, f, g, o, squashed, d = v[0, 0], v[0, 1], v[0, 2], v[0, 3], v[3, 0], v[4, 0]
    d_c = v.add(v[5, 0], v.mul(d, o, v.rest(v.mul(squashed, squashed))))
    v[5, 0] = d_c
    v[1, 0] = v.mul(d_c, g, i, v.rest(i))
    v[1, 1] = v.mul(d_c, v[2, 0], f, v.rest(f))
    v[1, 2] = v.mul(d_c, i, v.rest(v.mul(g, g)))
    v[1, 3] = v.mul(d, squashed, o, v.rest(o))


def lstm_carried(v: Vectors) -> None:
    """gates, dL/dc_t, dL/dc_(t-1): c_t = f c_(t-1) + ..."""
    v[2, 0] = v.add(v[2, 0], v.mul(v[1, 0], v[0, 1]))


def product_row(v: Vectors) -> None:
    """out += factor W, for a row of W; used without a BLAS."""
    v[0, 0] = v.add(v[0, 0], v.mul(v.same(2), v[1, 0]))


def _generated(
    module: Value, name: str, number: Value, widths: Sequence[int], body: Callable[[Vectors], None]
) -> Value:
    """The kernel as a function of that module: addresses of the arrays, rows, H. Created once."""
    long, byte = ir.IntType(64), ir.IntType(8)
    found = module.globals.get(name)
    if found is not None:
        return found
    kind = ir.FunctionType(ir.VoidType(), [long] * (len(widths) + 2))
    function = ir.Function(module, kind, name)
    function.linkage = "internal"
    *addresses, rows, units = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    size = ir.Constant(long, 8 if number == ir.DoubleType() else 4)
    bases = [builder.inttoptr(address, byte.as_pointer()) for address in addresses]

    def through(start: Value, stop: Value, step: int, inside: Callable[[Value], None]) -> Value:
        """A loop; yields its end. start, stop: values; it ends before a whole step would exceed stop."""
        head, again, after = (builder.append_basic_block(part) for part in ("head", "body", "after"))
        entry = builder.block
        builder.branch(head)
        builder.position_at_end(head)
        at = builder.phi(long)
        at.add_incoming(start, entry)
        beyond = builder.add(at, ir.Constant(long, step))
        builder.cbranch(builder.icmp_signed("<=", beyond, stop), again, after)
        builder.position_at_end(again)
        inside(at)
        at.add_incoming(beyond, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return at

    def row(r: Value) -> None:
        starts = [builder.mul(builder.mul(r, ir.Constant(long, width)), units) for width in widths]

        def part(lanes: int) -> Callable[[Value], None]:
            def inside(j: Value) -> None:
                def place(array: int, gate: int) -> Value:
                    if gate < 0:
                        return bases[array]
                    unit = builder.add(starts[array], builder.mul(ir.Constant(long, gate), units))
                    return builder.gep(bases[array], [builder.mul(builder.add(unit, j), size)])

                body(Vectors(builder, number, lanes, place))

            return inside

        at: Value = ir.Constant(long, 0)
        for lanes in LANES:
            at = through(at, units, lanes, part(lanes))

    through(ir.Constant(long, 0), rows, 1, row)
    builder.ret_void()
    return function


def kernel(body: Callable[[Vectors], None], *widths: int) -> Value:
    """A function for compiled loops: (addresses, rows, H, like), float32 or float64 by the type of `like`. widths: of
    each array, in units of H; 0: shared by all rows. Arrays are row-major."""

    def call(typing: Value, addresses: Value, rows: Value, units: Value, like: Value) -> Value:
        number = ir.FloatType() if like == types.float32 else ir.DoubleType()
        name = f"rnncli_{body.__name__}_{like}"

        def generate(context: Value, builder: Value, signature: Value, args: Value) -> Value:
            function = _generated(builder.module, name, number, widths, body)
            packed, rows, units, _ = args
            given = [builder.extract_value(packed, k) for k in range(len(widths))]
            builder.call(function, [*given, rows, units])
            return context.get_dummy_value()

        long = types.int64
        return types.void(types.UniTuple(long, len(widths)), long, long, like), generate

    return intrinsic(call)

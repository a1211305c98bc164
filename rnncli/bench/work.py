"""One benchmark row prepared for the engines: a core, its input, the pass and its checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from rnncli.bench.ceilings import Product, has_one_dnn, products, synchronize
from rnncli.bench.measure import Arm, median_of, take_turns, warm_up
from rnncli.bench.sizes import Pass, Row
from rnncli.cells import CELLS, CoreSpec, State
from rnncli.errors import CheckFailed, RnncliError
from rnncli.locale import tr
from rnncli.nn.engines import ENGINES
from rnncli.nn.recurrent import Core, make_core, run_by
from rnncli.replay.rounding import FACTOR, Found, unit

ROUNDED = 16  # units in the last place by which two correct results may differ, however short the sums
ORDER = ("loop", "torch", "bptt", "compiled", "parallel")
TINY = 2  # H of a run whose products cost nothing, so its time is the overhead of the calls


@dataclass(frozen=True)
class Setting:
    """Settings shared by all rows of a benchmark."""

    what: Pass
    dtype: torch.dtype
    device: torch.device


@dataclass
class Prepared:
    """A row with its weights and data, the same for every engine. x: (T, B, I), or (1, B, I) for one streamed step.
    d_output: (T, B, H), the gradient of the output in training."""

    row: Row
    setting: Setting
    core: Core
    x: Tensor
    d_output: Tensor
    state: State | None = None

    def once(self, engine: str) -> State | tuple[Tensor, ...]:
        """Run this pass once; returns its results, for `agree`."""
        match self.setting.what:
            case "train":
                for parameter in self.core.parameters():
                    parameter.grad = None
                self.x.grad = None
                output, last = run_by(engine, self.core, self.x)
                output.backward(self.d_output)
                gradients = [parameter.grad for parameter in (*self.core.parameters(), self.x)]
                result = (output, *last, *(gradient for gradient in gradients if gradient is not None))
            case "forward":
                with torch.no_grad():
                    output, last = run_by(engine, self.core, self.x)
                result = (output, *last)
            case "step":
                with torch.no_grad():
                    output, self.state = run_by(engine, self.core, self.x, state=self.state)
                result = (output, *self.state)
        synchronize(self.setting.device)
        return result


def spec_of_row(row: Row) -> CoreSpec:
    return CoreSpec(row.cell, "tanh", row.inputs, row.H)


def make(row: Row, setting: Setting, seed: int = 0) -> Prepared:
    """Weights with torch's initialization; x and the gradient from a normal distribution."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        core = make_core(spec_of_row(row)).to(setting.device, setting.dtype)
        T = 1 if setting.what == "step" else row.T
        x = torch.randn(T, row.B, row.inputs).to(setting.device, setting.dtype)
        d_output = torch.randn(T, row.B, row.H).to(setting.device, setting.dtype)
    core.train(setting.what == "train")
    return Prepared(row, setting, core, x.requires_grad_(setting.what == "train"), d_output)


def in_order() -> list[str]:
    """The engines in table order: each is compared with the previous one."""
    return [*ORDER, *(name for name in ENGINES if name not in ORDER)]


def engines_here(cell: str, setting: Setting) -> list[str]:
    """The engines that can run this cell, dtype and device: each is tested on a tiny row."""
    found = []
    for engine in in_order():
        made = make(Row(cell, TINY, 1, 1), setting)
        try:
            made.once(engine)
        except (RnncliError, ValueError, NotImplementedError):
            continue
        found.append(engine)
    return found


def allowed(dtype: torch.dtype, steps: int, width: int) -> float:
    """Tolerance for rounding between two ways to do the same work, relative to the largest value: over this many time
    steps, with sums of `width` products, which low precision accumulates in float32.

    For freshly initialized weights, which do not amplify differences from step to step.
    """
    added = torch.float64 if dtype == torch.float64 else torch.float32
    return ROUNDED * unit(dtype) + FACTOR * unit(added) * (steps + width)


def agree(made: Prepared, engines: Sequence[str]) -> Found:
    """The largest difference of any engine's results from the first one's, relative to the largest value, and the
    tolerance for rounding.

    Raises CheckFailed, naming the engine, if it is exceeded: a wrong result is not worth timing.
    """
    row = made.row
    tolerance = allowed(made.setting.dtype, row.T, row.inputs + row.H)
    expected: list[Tensor] = []
    largest = 0.0
    for engine in engines:
        made.state = None
        found = [tensor.detach().double().cpu() for tensor in made.once(engine)]
        expected = expected or found
        largest = max(largest, require_equal(expected, found, engine, tolerance))
    made.state = None
    return largest, tolerance


def require_equal(expected: Sequence[Tensor], found: Sequence[Tensor], name: str, tolerance: float) -> float:
    """The largest difference relative to the largest expected value. Raises CheckFailed beyond the tolerance."""
    if [tensor.shape for tensor in expected] != [tensor.shape for tensor in found]:
        raise CheckFailed(tr("{name} returned results of other shapes", name=name), todo=tr("it is not timed"))
    difference = 0.0
    for one, other in zip(expected, found, strict=True):
        if one.numel():
            apart = float((one - other).abs().max()) / max(float(one.abs().max()), 1e-30)
            difference = max(difference, apart if apart == apart else float("inf"))
    if difference > tolerance:
        raise CheckFailed(
            tr("{name} computes something else: relative difference {diff}", name=name, diff=difference),
            todo=tr("tolerance {tol}; a wrong result is not timed", tol=f"{tolerance:.1e}"),
        )
    return difference


def path_of(row: Row, setting: Setting, engine: str) -> str:
    """Which kernels run: rnncli's loop, bptt, or, for engine torch, torch's choice here."""
    if engine != "torch":
        return engine
    if setting.device.type == "cuda":
        cudnn: bool = torch.backends.cudnn.is_available()
        return "cuDNN" if cudnn and torch.backends.cudnn.enabled else "native"
    fused = spec_of_row(row).torch_class is torch.nn.LSTM and setting.dtype in (torch.float32, torch.bfloat16)
    return "oneDNN" if fused and has_one_dnn(setting.device) else "native"


@dataclass
class Bound:
    """Shares of a row's time. calls: time of the same engine for the same number of steps on tiny tensors. products:
    time of this row's matrix products alone, minus their calls. rest: everything else, such as tanh and memory
    access."""

    calls: float
    products: float

    @property
    def rest(self) -> float:
        return max(0.0, 1.0 - self.calls - self.products)

    @property
    def by(self) -> str:
        shares = {"calls": self.calls, "products": self.products, "elements": self.rest}
        return max(shares, key=lambda name: shares[name])


def bounds(made: Prepared, engines: Sequence[str], rounds: int, budget: float) -> dict[str, Bound]:
    """What bounds each engine on this row, with the current thread count: the row, the same number of steps at tiny
    size, and the products alone are timed in turn, and their shares paired by round."""
    row, setting = made.row, made.setting
    if (row.H, row.B) == (TINY, 1):  # this row is the reference itself
        return {engine: Bound(1.0, 0.0) for engine in engines}
    tiny = make(Row(row.cell, TINY, 1, row.T), setting)
    whole = {engine: Arm(engine, partial(made.once, engine)) for engine in engines}
    calls = {engine: Arm(f"{engine} calls", partial(tiny.once, engine)) for engine in engines}
    alone, empty = Arm("products", products_alone(row, setting)), Arm("empty", products_alone(tiny.row, setting))
    arms = [*whole.values(), *calls.values(), alone, empty]
    warm_up(arms)
    take_turns(arms, rounds, budget)
    net = [product - call for product, call in zip(alone.times, empty.times, strict=True)]
    found = {}
    for engine in engines:
        share = median_of([a / b for a, b in zip(calls[engine].times, whole[engine].times, strict=True)]).value
        product = median_of([a / b for a, b in zip(net, whole[engine].times, strict=True)]).value
        found[engine] = Bound(min(1.0, share), min(1.0, max(0.0, product)))
    return found


def products_alone(row: Row, setting: Setting) -> Callable[[], object]:
    """Only the matrix products of a row, with the faster implementation: the input product for all steps at once, the
    state product step by step, and in training their gradients likewise."""
    B, H, inputs, rows = row.B, row.H, row.inputs, CELLS[row.cell].num_gates * row.H
    T = 1 if setting.what == "step" else row.T
    steps = T if CELLS[row.cell].recurrent_weight else 0

    def numbers(*shape: int) -> Tensor:
        return torch.randn(*shape, device=setting.device).to(setting.dtype)

    x, h, gates = numbers(T * B, inputs), numbers(B, H), numbers(B, rows)
    all_h, all_gates = numbers(T * B, H), numbers(T * B, rows)
    W_ih, W_hh = numbers(rows, inputs), numbers(rows, H)
    W_ih_t, W_hh_t = W_ih.t().contiguous(), W_hh.t().contiguous()

    def once(product: Product) -> None:
        with torch.no_grad():
            product(x, W_ih)
            for _ in range(steps):
                product(h, W_hh)
            if setting.what == "train":
                for _ in range(steps):
                    product(gates, W_hh_t)
                product(all_gates, W_ih_t)
                product(all_gates.t(), x.t())
                if steps:
                    product(all_gates.t(), all_h.t())
        synchronize(setting.device)

    ways = [Arm(name, partial(once, product)) for name, product in products(setting.dtype, setting.device).items()]
    warm_up(ways)
    take_turns(ways, 3)
    return min(ways, key=lambda arm: min(arm.times)).run


def arm_of(made: Prepared, engine: str, threads: int, several: bool) -> Arm:
    """An arm that runs this row with an engine. several: thread counts are compared, so each turn sets its own,
    followed by an untimed run that starts the threads."""

    def before() -> None:
        torch.set_num_threads(threads)
        made.once(engine)

    return Arm(f"{engine}/{threads}", partial(made.once, engine), before if several else None)

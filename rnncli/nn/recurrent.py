"""Recurrent cores and their engines: one set of weights, under torch's names, and several ways to run them.

Engines (`rnncli/nn/engines/`): `loop`, the Python loop over the steps of cells/, which supports recording; `torch`,
nn.RNN, nn.LSTM and nn.GRU; `bptt`, backpropagation through time written out over the whole sequence; `compiled`, the
same in machine code; `parallel`, a prefix scan over time, for cells whose state is linear in itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rnncli.cells import CELLS, CoreSpec, State, parameter_of, spec_of, torch_module
from rnncli.nn.engines import ENGINES, Sequence, Work, call, check_engine, engine_of
from rnncli.nn.frontends import Rows
from rnncli.replay import is_recording, run_core
from rnncli.replay.reference import Bare

if TYPE_CHECKING:  # it imports pydantic, which demo does not need
    from rnncli.recipe import CoreSection


class PlainCore(Bare):
    """A core that torch has no module for: any cell but rnn, lstm and gru, or an rnn without nonlinearity.
    Parameters have the cell's names with torch's suffixes, `_l0`, and the cell's initialization."""

    def __init__(self, spec: CoreSpec, dropout: float = 0.0) -> None:
        super().__init__(spec, {name: torch.empty(shape) for name, shape in spec.all_shapes().items()})
        self.dropout = dropout
        with torch.no_grad():
            for name, parameter in _parameters(self, spec):
                CELLS[spec.cell].draw(name, parameter, spec)

    def forward(self, x: Tensor, hx: Tensor | State | None = None) -> tuple[Tensor, Tensor | State]:
        """x (T, B, I), h_0 (L·D, B, H) -> output (T, B, D·H), h_n (L·D, B, H); for a cell with several states, all of
        them."""
        output, last = run_core(self, x, (hx,) if isinstance(hx, Tensor) else hx, training=self.training)
        return output, last if len(last) > 1 else last[0]


Core = nn.RNNBase | PlainCore


def make_core(spec: CoreSpec, dropout: float = 0.0) -> Core:
    """A core with fresh weights: torch's own module if there is one, so a bare torch script gets the same weights."""
    # torch warns if dropout has no effect; recipe validation already rejects that
    return torch_module(spec, dropout if spec.num_layers > 1 else 0.0) or PlainCore(spec, dropout)


def core_of_section(section: CoreSection, input_size: int) -> tuple[Core, CoreSpec]:
    """The core that a recipe's `model:` describes, with fresh weights, and its spec."""
    spec = spec_of_section(section, input_size)
    return make_core(spec, section.dropout), spec


def spec_of_section(section: CoreSection, input_size: int) -> CoreSpec:
    """The spec of the core that a recipe's `model:` describes."""
    return CoreSpec(
        cell=section.cell,
        nonlinearity=section.nonlinearity,
        input_size=input_size,
        hidden_size=section.hidden_size,
        num_layers=section.num_layers,
        bidirectional=section.bidirectional,
        proj_size=section.proj_size,
        bias=section.bias,
        options=tuple(section.cell_options().items()),
    )


@torch.no_grad()
def keep_state(core: Core) -> None:
    """Change fresh weights as the cell defines, so that states are initially kept and gradients reach far back."""
    spec = spec_of(core)
    assert spec is not None
    for name, parameter in _parameters(core, spec):
        CELLS[spec.cell].keep(name, parameter, spec)


def _parameters(core: nn.Module, spec: CoreSpec) -> Iterator[tuple[str, Tensor]]:
    """Each parameter with its name in the cell, in initialization order."""
    for layer, direction in spec.places:
        for name in spec.parameter_shapes(layer):
            yield name, parameter_of(core, name, layer, direction)


def choose_engine(
    spec: CoreSpec,
    dtype: torch.dtype,
    device: str,
    *,
    T: int,
    B: int = 32,
    padded: bool = False,
    gradients: bool = True,
    threads: int = 1,
) -> str:
    """The choice of `engine: auto`, a pure function of its arguments: the engine measured to be fastest for such work.

    device: its type. T: time steps. B: batch size. padded: whether sequences differ in length. gradients: whether they
    are needed. threads: of torch. `rnncli bench` measures the engines on this machine.
    """
    return _fastest(spec, Work(dtype, device, T, padded, gradients, B, threads))


def _fastest(spec: CoreSpec, work: Work) -> str:
    able = [name for name in ENGINES if ENGINES[name].can(spec)]
    return max(able, key=lambda name: ENGINES[name].faster(spec, work))


@lru_cache(4096)
def _runs(engine: str, spec: CoreSpec, work: Work) -> str:
    """The engine that runs such work when `engine` is asked for. Cached: used in every forward pass."""
    if engine == "auto":
        engine = _fastest(spec, work)
    chosen = engine_of(engine)
    # without gradients, torch also replaces an engine that is not installed: a trained model runs anywhere
    replaced = not work.gradients if chosen.missing() else not chosen.worth(spec, work)
    return "torch" if replaced and not chosen.refuses(spec) else engine


def reads_tables(engine: str) -> bool:
    """Whether this engine accepts x as rows of a table."""
    return engine != "auto" and engine_of(engine).reads_tables


def run(
    core: Core, x: Tensor | Rows, lengths: Tensor | None = None, state: State | None = None, *, engine: str = "auto"
) -> tuple[Tensor, State]:
    """Run a core over a batch as a model does: with `engine`, but with torch's module if the engine cannot be faster,
    such as bptt without gradients or over fewer than 10 steps. Arguments and results: `run_by`."""
    spec = spec_of(core)
    assert spec is not None
    like, (T, B) = (x.like, x.numbers.shape) if isinstance(x, Rows) else (x, x.shape[:2])
    gradients, threads = torch.is_grad_enabled(), torch.get_num_threads()
    work = Work(like.dtype, like.device.type, T, lengths is not None, gradients, B, threads)
    return run_by(_runs(engine, spec, work), core, x, lengths, state)


def run_by(
    engine: str, core: Core, x: Tensor | Rows, lengths: Tensor | None = None, state: State | None = None
) -> tuple[Tensor, State]:
    """Run a core over a batch with one engine.

    x: (T, B, I), or rows of a table. lengths: (B,) if sequences differ, each at least 1; outputs after a sequence's end
    are 0, and its last state is that of its last step (of its first, in the reverse direction). state: h_0 (L·D, B, H
    or P) and the cell's other states, such as an lstm's c_0; zeros if None. Returns output (T, B, D·H or D·P), and the
    last states, shaped like the initial ones. During a trace, its recording loop replaces every engine.
    """
    spec = spec_of(core)
    assert spec is not None
    if lengths is not None:
        lengths = lengths.cpu()
        if int(lengths.min()) < 1:
            raise ValueError("a sequence of the batch has no steps")
        if bool((lengths == (x.numbers if isinstance(x, Rows) else x).shape[0]).all()):
            lengths = None
    dropout = float(core.dropout) if core.training and spec.num_layers > 1 else 0.0
    given = Sequence(x, lengths, state, dropout, core.training)
    if is_recording():
        return call(core, spec, given)
    check_engine(spec, engine)
    return engine_of(engine).run(core, spec, given)

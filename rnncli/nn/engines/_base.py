"""What an engine file defines (`Engine`), and the engines by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from operator import attrgetter

import torch
from torch import Tensor, nn

from rnncli.cells import CoreSpec, State
from rnncli.errors import Missing, UsageError
from rnncli.locale import tr
from rnncli.names import ENGINE_ALIASES
from rnncli.nn.frontends import Rows
from rnncli.registry import Registry
from rnncli.replay.reference import run_module, time_first


@dataclass(frozen=True)
class Sequence:
    """The input of an engine. lengths: (B,) on the CPU, None if all sequences have T steps. state: h_0 and the cell's
    other states, (L·D, B, ...), zeros if None. dropout: between layers. training: whether the core's recurrent
    regularizers are active."""

    x: Tensor | Rows  # (T, B, I), or rows of a table
    lengths: Tensor | None
    state: State | None
    dropout: float
    training: bool = False

    @property
    def tensor(self) -> Tensor:
        """x itself, (T, B, I)."""
        return self.x.tensor() if isinstance(self.x, Rows) else self.x


@dataclass(frozen=True)
class Work:
    """What the choice of an engine depends on. padded: whether sequences of a batch differ in length. gradients:
    whether they are needed, as in training. B: batch size. threads: of torch."""

    dtype: torch.dtype
    device: str
    T: int
    padded: bool = False
    gradients: bool = True
    B: int = 32
    threads: int = 1


@dataclass(frozen=True)
class Engine:
    """The definition of an engine, `ENGINE` in its file.

    run: a core over a sequence -> output (T, B, D·H or D·P), 0 after a sequence's end, and the last states, shaped like
        the initial ones; each sequence's at its own last step (its first, in the reverse direction).
    refuses: why it cannot run a core, "" if it can.
    faster: measured speedup over torch's module (or the loop, if torch has none) for such work, 0 if not measured.
        `engine: auto` chooses the highest; `rnncli bench` measures them here.
    worth: whether it can be faster for some work; if not, torch's module runs instead.
    reads_tables: whether x may be rows of a table. needs: required modules, installed by the extra `extra`.
    """

    run: Callable[[nn.Module, CoreSpec, Sequence], tuple[Tensor, State]]
    refuses: Callable[[CoreSpec], str]
    faster: Callable[[CoreSpec, Work], float]
    worth: Callable[[CoreSpec, Work], bool] = lambda spec, work: True
    reads_tables: bool = False
    needs: tuple[str, ...] = ()
    extra: str = ""

    def can(self, spec: CoreSpec) -> bool:
        return _fits(self, spec) and not self.missing()

    def missing(self) -> list[str]:
        """The required modules that are not installed."""
        return [name for name in self.needs if not _installed(name)]


@lru_cache(4096)
def _fits(engine: Engine, spec: CoreSpec) -> bool:
    """Cached: used in every forward pass."""
    return not engine.refuses(spec)


@cache
def _installed(name: str) -> bool:
    """Cached: used in every forward pass."""
    return find_spec(name) is not None


ENGINES: Registry[Engine] = Registry("rnncli.nn.engines", attrgetter("ENGINE"))


def engine_of(name: str) -> Engine:
    """The engine of that name, current or former. Raises ValueError."""
    name = ENGINE_ALIASES.get(name, name)
    if name not in ENGINES:
        raise ValueError(f"no engine {name!r}")
    return ENGINES[name]


def check_engine(spec: CoreSpec, engine: str) -> None:
    """Raise UsageError if `engine` cannot run this core, Missing if a required module is not installed."""
    found = engine_of(engine)
    if not _fits(found, spec):
        raise UsageError(found.refuses(spec), todo=tr("use engine: auto or engine: loop"))
    if found.missing():
        names = ", ".join(found.missing())
        todo = f"pip install 'rnncli[{found.extra}]'" if found.extra else ""
        raise Missing(tr("engine {engine} needs {names}", engine=engine, names=names), todo=todo)


def call(core: nn.Module, spec: CoreSpec, given: Sequence) -> tuple[Tensor, State]:
    """The core's own forward: the fused torch module, or, inside `trace`, the loop that replaces it."""
    with time_first(core):
        return run_module(core, spec, given.tensor, given.state, given.lengths)

"""What a logger is, and what it is told of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import ClassVar

from rnncli.errors import Missing
from rnncli.locale import tr
from rnncli.records import HeatMap
from rnncli.registry import Registry


@dataclass(frozen=True)
class LoggedRun:
    """A run that is logged.

    name: of its folder. folder: its own, which a logger writes nothing into. out: the folder for the logger's files,
    which need not exist yet. settings: dotted key -> value of the recipe, lists as text. started: in Unix seconds.
    """

    name: str
    folder: Path
    out: Path
    settings: Mapping[str, bool | int | float | str]
    started: float


@dataclass(frozen=True)
class LoggedEpoch:
    """The end of an epoch.

    number: from 1. step: updates so far. seconds: of training so far. values: `loss` (of training), `lr`, and the
    metrics of the held-out part, `validation/accuracy`; NaN and infinities among them. answers: the epoch preview, ""
    where the task has none.
    """

    number: int
    step: int
    seconds: float
    values: Mapping[str, float]
    answers: str = ""


@dataclass(frozen=True)
class LoggedResult:
    """The end of a run, with the weights of its best epoch.

    epoch: which one that is. seconds: of training. metrics: of the held-out part. texts: what the model wrote, by name.
    states: h of the first held-out sample, units as rows and time steps as columns, by layer and direction.
    """

    epoch: int
    seconds: float
    metrics: Mapping[str, float]
    texts: Mapping[str, str] = field(default_factory=dict)
    states: Sequence[HeatMap] = ()


class Logger:
    """A tool that results go to: a subclass overrides what the tool has a place for.

    One is made for each run, and is told of it in this order: begin, epoch after every epoch, end where the run ends
    with a result, close. Whatever it raises during training is said once; the run goes on without it. needs: the
    modules that must be installed; extra: of rnncli, with which they are, or "".
    """

    needs: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""

    def begin(self, run: LoggedRun, epochs: Sequence[LoggedEpoch]) -> None:
        """The run starts, or resumes after these epochs, of which an interrupted run may have logged more."""

    def epoch(self, epoch: LoggedEpoch) -> None:
        """An epoch has ended."""

    def end(self, result: LoggedResult) -> None:
        """The run has ended."""

    def close(self) -> None:
        """Nothing more comes: the run has ended, or was interrupted."""

    @classmethod
    def command(cls, folder: Path) -> str:
        """The command that shows the runs logged under this folder, "" if there is none."""
        return ""


def _logger(module: ModuleType) -> type[Logger]:
    found: type[Logger] = module.LOGGER
    return found


LOGGERS: Registry[type[Logger]] = Registry("rnncli.loggers", _logger)


def require(name: str, where: str) -> None:
    """Raises Missing where what a logger needs is not installed. name: one of LOGGERS. where: it was named."""
    logger = LOGGERS[name]
    lacks = [module for module in logger.needs if find_spec(module) is None]
    if lacks:
        install = f"'rnncli[{logger.extra}]'" if logger.extra else " ".join(lacks)
        what = tr("logging to {name} needs {names}", name=name, names=", ".join(lacks))
        raise Missing(what, where=where, todo=f"pip install {install}")

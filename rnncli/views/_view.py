"""The View protocol, the registry of views, and their options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, cast

from rnncli.errors import UsageError, checked_number
from rnncli.locale import tr
from rnncli.names import did_you_mean
from rnncli.records import Record
from rnncli.registry import Registry

if TYPE_CHECKING:
    from rnncli.views._subject import Subject


@dataclass(frozen=True)
class Options:
    """Options of a view. None is the view's default.

    steps, units: slice of time steps; hidden units. layer: 0 is the lowest. direction: fwd or bwd. core: name in the
    model. loss: last (last step only) or all. variant: a variant defined by the view. lags: number of steps back.
    change: changes of `what-if`, `h[3]@5:=0`. from_input: another input from which a change takes values. step, unit:
    those of the opened cell. animate: animate the saved drawing.
    """

    steps: slice | None = None
    units: tuple[int, ...] | None = None
    layer: int | None = None
    direction: Literal["fwd", "bwd"] | None = None
    core: str | None = None
    loss: Literal["last", "all"] | None = None
    variant: str | None = None
    lags: int | None = None
    change: tuple[str, ...] | None = None
    from_input: str | None = None
    step: int | None = None
    unit: int | None = None
    animate: bool | None = None

    def __post_init__(self) -> None:
        for name, least in (("layer", 0), ("lags", 1), ("step", 0), ("unit", 0)):
            object.__setattr__(self, name, checked_number(f"--{name}", getattr(self, name), least))
        for step in (self.steps.start, self.steps.stop) if self.steps is not None else ():
            checked_number("--steps", step)

    def given(self) -> list[str]:
        """Names of the options that are set."""
        return [name for name, value in vars(self).items() if value is not None]


class View(Protocol):
    """Names that a view file defines, in this order.

    GROUP: the heading under which it is listed, one of GROUPS or another. ABOUT: one line of help. NEEDS: what a
    subject must have: "tokens" (a vocabulary), "attention", "crf" or "automaton" (a regular language). OPTIONS: the
    supported fields of Options and batch options ("sample", "input", "batch_size"); others are rejected. ROWS: default
    of --batch-size.
    """

    GROUP: str
    ABOUT: str
    NEEDS: frozenset[str]
    OPTIONS: frozenset[str]
    ROWS: int

    def compute(self, subject: Subject, options: Options = ...) -> list[Record]:
        """The view's records. Raises UsageError if the subject does not support it."""
        ...


PROTOCOL = ("GROUP", "ABOUT", "NEEDS", "OPTIONS", "ROWS", "compute")
GROUPS = ("what is in it", "what it does", "how far back", "is it right")  # in display order
BATCH = frozenset({"sample", "input", "batch_size"})  # options of a view that runs the model


VIEWS: Registry[View] = Registry("rnncli.views", lambda module: cast(View, module))


def view_names() -> list[str]:
    """The names after `inspect TARGET`."""
    return list(VIEWS)


def about_views() -> dict[str, list[tuple[str, str]]]:
    """Group -> (name, description) of its views, without loading them."""
    found: dict[str, list[tuple[str, str]]] = {group: [] for group in GROUPS}
    for name in VIEWS:
        said = VIEWS.constants(name)
        found.setdefault(said.get("GROUP", ""), []).append((name, said.get("ABOUT", "")))
    return found


def load_view(name: str) -> View:
    """The view of that name. Raises UsageError, suggesting the nearest name."""
    if name not in VIEWS:
        todo = did_you_mean(name, view_names(), tr("views: {names}", names=", ".join(view_names())))
        raise UsageError(tr("unknown view {name!r}", name=name), todo=todo)
    return VIEWS[name]


def refuse_unread(name: str, given: Sequence[str]) -> None:
    """Raise UsageError for an option that this view does not support."""
    view = load_view(name)
    for option in given:
        if option not in view.OPTIONS:
            known = ", ".join(f"--{other.replace('_', '-')}" for other in sorted(view.OPTIONS))
            raise UsageError(
                tr("view {view} does not support --{option}", view=name, option=option.replace("_", "-")),
                todo=tr("it supports {options}", options=known),
            )

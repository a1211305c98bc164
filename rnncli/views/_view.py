"""What a view file holds, which views there are, and what can be asked of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Literal, Protocol, cast

from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.names import nearest
from rnncli.records import Record
from rnncli.registry import Registry

if TYPE_CHECKING:
    from rnncli.views._subject import Subject


@dataclass(frozen=True)
class Options:
    """What of a view is shown. None is the view's own choice.

    steps, units: of the time axis and of the hidden state. layer: 0 is the lowest. direction: fwd or bwd. core: a name
    in the model. loss: last (asked at the last step) or all. variant: another form of the same, as the view has it.
    lags: how many steps back. change: what `what-if` changes, `h[3]@5:=0`. from_input: another input, of which a change
    takes values.
    lags: how many steps back. step, unit: the one that is opened. animate: a file of it moves from step to step.
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

    def given(self) -> list[str]:
        """The names of the options that were set."""
        return [name for name, value in vars(self).items() if value is not None]


class View(Protocol):
    """What a view file holds, in this order.

    GROUP: the question it helps with, under which it is listed, one of GROUPS or another. ABOUT: one line of help.
    NEEDS: what a subject must have: "tokens" (a vocabulary), "attention", "crf" or "automaton" (a regular language).
    OPTIONS: the options that it reads, of Options and of what chooses a batch ("sample", "input", "batch_size"); any
    other is refused. ROWS: how many samples it looks at unless --batch-size says otherwise.
    """

    GROUP: str
    ABOUT: str
    NEEDS: frozenset[str]
    OPTIONS: frozenset[str]
    ROWS: int

    def compute(self, subject: Subject, options: Options = ...) -> list[Record]:
        """What the view shows. Raises UsageError where the subject cannot show it."""
        ...


PROTOCOL = ("GROUP", "ABOUT", "NEEDS", "OPTIONS", "ROWS", "compute")
GROUPS = ("what is in it", "what it does", "how far back", "is it right")  # in the order in which they are listed
BATCH = frozenset({"sample", "input", "batch_size"})  # options of a view that runs the model


def _view(module: ModuleType) -> View:
    return cast(View, module)


VIEWS: Registry[View] = Registry("rnncli.views", _view)


def view_names() -> list[str]:
    """The names after `inspect TARGET`."""
    return list(VIEWS)


def about_views() -> dict[str, list[tuple[str, str]]]:
    """Group -> (name, one line) of its views, without loading them."""
    found: dict[str, list[tuple[str, str]]] = {group: [] for group in GROUPS}
    for name in VIEWS:
        said = VIEWS.constants(name)
        found.setdefault(said.get("GROUP", ""), []).append((name, said.get("ABOUT", "")))
    return found


def load_view(name: str) -> View:
    """The view of that name. Raises UsageError with the nearest name."""
    if name not in VIEWS:
        near = nearest(name, view_names())
        todo = tr("did you mean {name}?", name=near) if near else tr("there are {names}", names=", ".join(view_names()))
        raise UsageError(tr("there is no view {name!r}", name=name), todo=todo)
    return VIEWS[name]


def refuse_unread(name: str, given: Sequence[str]) -> None:
    """UsageError where an option was given that this view does not read."""
    view = load_view(name)
    for option in given:
        if option not in view.OPTIONS:
            known = ", ".join(f"--{other.replace('_', '-')}" for other in sorted(view.OPTIONS))
            raise UsageError(
                tr("the view {view} does not read --{option}", view=name, option=option.replace("_", "-")),
                todo=tr("it reads {options}", options=known),
            )

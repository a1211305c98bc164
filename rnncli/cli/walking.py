"""The keys of the step-through screen and the lines that it shows, independent of any terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from rnncli.locale import tr
from rnncli.records import Check, Position, Stop
from rnncli.render.lines import Line, View, cells, pad, wrap
from rnncli.render.stepping import Look, Shown, cut, keys_line, screen

if TYPE_CHECKING:
    from rnncli.replay.walk import Walk

_PANES: tuple[Shown, ...] = ("both", "drawing", "sums")
PAGE = 5  # lines that PgDn scrolls


class Walker:
    """The state of the step-through screen. Keys are characters or names such as `left` and `ctrl+c`."""

    def __init__(self, walk: Walk, at: Position, encoding: str = "utf-8") -> None:
        self.walk, self.at = walk, at
        self.look = Look("h")
        self.encoding = encoding
        self.helping = False
        self.going = ""  # "step" or "unit" while the user types its number
        self.typed = ""
        self.failed: Check | None = next((check for check in walk.checks if not check.ok), None)
        self._seen: tuple[Position, Stop] | None = None

    def stop(self) -> Stop:
        if self._seen is None or self._seen[0] != self.at:
            found, check = self.walk.stop(self.at)
            self.failed = self.failed or (None if check.ok else check)
            self._seen = self.at, found
        return self._seen[1]

    # --- keys

    def press(self, key: str) -> bool:
        """Handle a key; returns False to quit."""
        if key in ("q", "ctrl+c", "ctrl+q", "ctrl+d"):
            return False
        if self.going:
            self._type(key)
        elif self.helping:
            self.helping = False
        else:
            self._act(key)
        return True

    def _act(self, key: str) -> None:
        keys: dict[str, Callable[[], None]] = {
            "left": lambda: self._move(step=-1),
            "right": lambda: self._move(step=1),
            "space": lambda: self._move(step=1),
            "enter": lambda: self._move(step=1),
            "home": lambda: self._to(step=0),
            "end": lambda: self._to(step=self.sizes.step - 1),
            "up": lambda: self._choose(-1),
            "down": lambda: self._choose(1),
            "tab": lambda: self._choose(1, named=True),
            "shift+tab": lambda: self._choose(-1, named=True),
            "[": lambda: self._move(unit=-1),
            "]": lambda: self._move(unit=1),
            "l": lambda: self._to(layer=(self.at.layer + 1) % self.sizes.layer),
            "d": lambda: self._to(direction=(self.at.direction + 1) % self.sizes.direction),
            "c": self._next_core,
            "v": lambda: self._show(_PANES[(_PANES.index(self.look.shown) + 1) % len(_PANES)]),
            "pageup": lambda: self._scroll(-PAGE),
            "pagedown": lambda: self._scroll(PAGE),
            "g": lambda: self._ask("step"),
            "u": lambda: self._ask("unit"),
            "?": self._help,
        }
        if key in keys:
            keys[key]()

    @property
    def sizes(self) -> Position:
        return self.walk.sizes(self.at.core)

    def _move(self, step: int = 0, unit: int = 0) -> None:
        self._to(step=self.at.step + step, unit=self.at.unit + unit)

    def _to(self, **where: int) -> None:
        wanted, sizes = replace(self.at, **where), self.sizes
        step, unit = min(max(wanted.step, 0), sizes.step - 1), min(max(wanted.unit, 0), sizes.unit - 1)
        self.at = replace(wanted, step=step, unit=unit)

    def _next_core(self) -> None:
        core = (self.at.core + 1) % self.sizes.core
        sizes = self.walk.sizes(core)
        step, unit = min(self.at.step, sizes.step - 1), min(self.at.unit, sizes.unit - 1)
        self.at = Position(core, min(self.at.layer, sizes.layer - 1), 0, step, unit)

    def _choose(self, by: int, named: bool = False) -> None:
        """Select the next box of the opened cell; named: the next gate or new state."""
        cell = self.stop().picture.opened[self.at.step]
        names = [box.name for box in cell.boxes if not named or box.kind in ("gate", "state")]
        here = names.index(self.look.chosen) if self.look.chosen in names else -1 if by > 0 else 0
        self.look = replace(self.look, chosen=names[(here + by) % len(names)], scroll=0)

    def _show(self, shown: Shown) -> None:
        self.look = replace(self.look, shown=shown, scroll=0)

    def _scroll(self, by: int) -> None:
        self.look = replace(self.look, scroll=max(0, self.look.scroll + by))

    def _ask(self, what: str) -> None:
        self.going, self.typed = what, ""

    def _help(self) -> None:
        self.helping = True

    def _type(self, key: str) -> None:
        if key.isdecimal() and key.isascii() and len(self.typed) < 9:
            self.typed += key
        elif key in ("backspace", "ctrl+h"):
            self.typed = self.typed[:-1]
        elif key == "enter" and self.typed:
            self._to(**{self.going: int(self.typed)})
            self.going = ""
        elif key in ("escape", "enter"):
            self.going = ""

    # --- the screen

    def lines(self, width: int, height: int) -> list[Line]:
        """The whole screen, exactly `height` lines."""
        view = View(max(width, 2), self.encoding)
        stop = self.stop()
        if self.helping:
            found = self._help_lines(view, height)
        else:
            look, boxes = self.look, stop.picture.opened[self.at.step].boxes
            if all(box.name != look.chosen for box in boxes):  # differs between cores
                look = replace(look, chosen=boxes[-1].name)
            found, scroll = screen(stop, look, view, height, self._foot(view))
            self.look = replace(look, scroll=scroll)
        return [cut(line, width) for line in found]

    def _foot(self, view: View) -> list[Line]:
        if self.going:
            last = (self.sizes.step if self.going == "step" else self.sizes.unit) - 1
            prompt = tr("go to step") if self.going == "step" else tr("go to unit")
            return [[(view.fit(f"{prompt} (0-{last}): "), "title"), (self.typed, ""), (" ", "reverse")]]
        found: list[Line] = []
        if self.failed is not None:
            found.append([(view.fit(f"{tr('FAILED')}  {self.failed.text}"), "failed")])
        return [*found, keys_line([(key, word) for key, word, _ in self._keys()], view)]

    def _keys(self) -> list[tuple[str, str, str]]:
        """(keys, short label, description), most important first."""
        sizes = self.sizes
        found = [
            ("←→", tr("step"), tr("previous and next time step; Space and Enter: next; Home, End: first and last")),
            ("↑↓", tr("part"), tr("part of the cell whose sums are shown; Tab: the next gate or state")),
            ("[ ]", tr("unit"), tr("previous and next unit; u: go to a unit")),
        ]
        if sizes.layer > 1:
            found.append(("l", tr("layer"), tr("next layer")))
        if sizes.direction > 1:
            found.append(("d", tr("direction"), tr("forward or backward")))
        if sizes.core > 1:
            found.append(("c", tr("RNN module"), tr("next RNN module")))
        found.append(("g", tr("go to"), tr("go to a time step")))
        found.append(("v", tr("view"), tr("drawing and sums, drawing alone, sums alone; PgUp, PgDn: scroll the sums")))
        return [*found, ("?", tr("keys"), tr("show this list; any key closes it")), ("q", tr("quit"), tr("quit"))]

    def _help_lines(self, view: View, height: int) -> list[Line]:
        keys = [(view.fit(key), view.fit(line)) for key, _, line in self._keys()]
        left = max(cells(key) for key, _ in keys) + 2
        lines: list[Line] = [[(view.fit(tr("keys")), "title")], []]
        for key, line in keys:
            for k, text in enumerate(wrap(line, max(8, view.width - left))):
                lines.append([(pad("" if k else key, left), "command"), (text, "")])
        return (lines + [[]] * height)[:height]

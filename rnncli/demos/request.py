"""A demo requested by the command or the call: options are validated together first. No torch before the page is
made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from rnncli.demos.settings import DemoOptions, Settings, Shown, options_of
from rnncli.errors import UsageError, reject_unused
from rnncli.locale import tr

if TYPE_CHECKING:
    from rnncli.demos.user_values import File
    from rnncli.records import Page, Position
    from rnncli.replay.walk import Walk


@dataclass(frozen=True)
class DemoRequest:
    """asked: sizes and so on. cells: empty, the one to show, or several to compare. options: values of cell
    options. file: the user's numbers, read from `source`. script: --code or --classic, which print a script instead of
    a page.

    Raises UsageError for options that cannot be combined, so that none is silently ignored.
    """

    asked: DemoOptions
    shown: Shown
    cells: Sequence[str] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    file: File | None = None
    source: str | None = None
    script: str = ""

    def __post_init__(self) -> None:
        self._check_picture()
        self._check_sums()
        if len(self.cells) < 2:
            return
        asked, shown, several = self.asked, self.shown, f"--cell {','.join(self.cells)}"
        one_cell = {"--from": self.source, "--input": asked.input, "--num-layers": asked.num_layers}
        one_cell |= {"--bidirectional": asked.bidirectional, "--step-through": shown.walking}
        reject_unused(several, True, one_cell | self._pages())

    def _pages(self) -> dict[str, object]:
        """Each option that selects a different page -> whether it is given."""
        shown = self.shown
        return {
            "--explain": shown.explain,
            "--explain-backward": shown.explain_backward,
            "--draw": shown.draw,
            "--proofs": shown.proofs,
            "--code": self.script == "--code",
            "--classic": self.script == "--classic",
        }

    def _check_picture(self) -> None:
        one_of(self._pages())
        shown = self.shown
        opened = {"--step": shown.step, "--unit": shown.unit, "--layer": shown.layer, "--direction": shown.direction}
        for name, given in {**opened, "--animate": shown.moving or None}.items():
            if given is not None and not shown.draw and (name == "--animate" or not shown.walking):
                raise UsageError(tr("{flag} needs --draw or --step-through", flag=name))
        if shown.direction not in (None, "fwd", "bwd"):
            raise UsageError(tr("the direction must be fwd or bwd"), where="--direction")
        reject_unused("--draw", shown.draw, {"--units": shown.units, "--step-through": shown.walking})
        reject_unused("--step-through", shown.walking, {"--units": shown.units})

    def _check_sums(self) -> None:
        shown = self.shown
        one_of({"--blanks": shown.blanks, "--check": shown.check})
        one_of({"--title": shown.title, "--check": shown.check})
        others = {"--steps": shown.steps, "--step-through": shown.walking}
        for flag, page in self._pages().items():
            reject_unused(
                flag, page and flag != "--draw", others | ({"--units": shown.units} if flag == "--proofs" else {})
            )
        of_sums = (("--blanks", shown.blanks), (f"--check {shown.check}", shown.check))
        for flag, given in (*of_sums, (f"--title {shown.title!r}", shown.title)):
            if given and not (shown.explain or shown.explain_backward):
                raise UsageError(
                    tr("{flag} needs --explain or --explain-backward", flag=flag.partition(" ")[0]),
                    todo=tr("for example: rnncli demo --nice --explain all {flag}", flag=flag),
                )
        if shown.tolerance is not None and not shown.check:
            raise UsageError(tr("--tolerance needs --check"))

    @cached_property
    def settings(self) -> Settings:
        """Settings of the first cell. Raises UsageError, and DataError for the user's numbers."""
        asked = self._asked(self.cells[0] if self.cells else None)
        if self.file is None:
            return asked.settings()
        from rnncli.demos.shaped import settings_of

        return settings_of(asked, self.file, self.source or "")

    def _asked(self, cell: str | None) -> DemoOptions:
        return replace(self.asked, cell=cell, options=options_of(cell or Settings.cell, self.options) or None)

    def page(self, *, whole: bool) -> Page:
        """The page, schema rnncli/trace/1. whole: include all tensors. Raises UsageError, Missing (a device or
        memory)."""
        from rnncli.demos.compare import compare_page
        from rnncli.demos.page import demo_page

        if len(self.cells) > 1:
            return compare_page([self._asked(cell).settings() for cell in self.cells], self.shown)
        return demo_page(self.settings, self.shown, self.file, whole=whole)

    def walk(self) -> tuple[Walk, Position]:
        """The walk through the steps, and its start. Raises the errors of `page`."""
        from rnncli.demos.page import demo_walk

        return demo_walk(self.settings, self.shown, self.file)


def one_of(options: Mapping[str, object]) -> None:
    """Raise UsageError if two of the options are given."""
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        raise UsageError(tr("{first} and {second} cannot be combined", first=given[0], second=given[1]))

"""Records that cannot be used: counted and named, and then either the end (stop) or left out and said (skip)."""

from __future__ import annotations

from typing import Literal

from rnncli.errors import DataError
from rnncli.locale import tr

OnBad = Literal["stop", "skip"]
NAMED = 3  # how many bad records a message names


class Skipped:
    """What one reading of a source came upon. what: the records' name for readers, such as "rows".

    A reader calls `good()` or `bad(...)` for each record and `finish()` at the end, so that with on_bad="stop" too all
    bad records are counted before the reading ends with a DataError.
    """

    def __init__(self, on_bad: OnBad = "stop", what: str = "records") -> None:
        self.on_bad = on_bad
        self.what = what
        self.total = 0
        self.count = 0
        self.first: list[tuple[str, str]] = []  # (where, why) of the first few bad ones
        self.notes: list[str] = []  # what else the reader should know, such as columns that are not read

    def good(self) -> None:
        self.total += 1

    def bad(self, where: str, why: str) -> None:
        self.total += 1
        self.count += 1
        if len(self.first) < NAMED:
            self.first.append((where, why))

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def sentence(self) -> str:
        """ "12 of 3,000 rows cannot be used; first: names.csv:7: ...", or "" where all were good."""
        if not self.count:
            return ""
        where, why = self.first[0]
        return tr(
            "{bad} of {total} {what} cannot be used; first: {where}: {why}",
            bad=f"{self.count:,}",
            total=f"{self.total:,}",
            what=self.what,
            where=where,
            why=why,
        )

    def finish(self, source: str) -> None:
        """DataError where bad records must stop the reading, and where no good one is left."""
        if self.count and self.on_bad == "stop":
            where, why = self.first[0]
            if self.count == 1:
                raise DataError(why, where=where, todo=tr("on_bad: skip leaves such {what} out", what=self.what))
            named = "".join(f"\n  {where}: {why}" for where, why in self.first)
            raise DataError(
                tr("{bad} of {total} {what} cannot be used", bad=self.count, total=self.total, what=self.what),
                where=source,
                todo=tr("the first:{named}\non_bad: skip leaves such {what} out", named=named, what=self.what),
            )
        if self.count == self.total:
            todo = f"{self.first[0][0]}: {self.first[0][1]}" if self.first else ""
            raise DataError(tr("there are no usable {what} in it", what=self.what), where=source, todo=todo)

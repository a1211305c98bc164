"""Unusable records: counted and listed; then either an error (stop) or skipped with a note (skip)."""

from __future__ import annotations

from typing import Literal

from rnncli.errors import DataError
from rnncli.locale import tr

OnBad = Literal["stop", "skip"]
NAMED = 3  # number of bad records that a message lists


class Skipped:
    """Bad records found while reading a source. what: what the records are called, such as "rows".

    A reader calls `good()` or `bad(...)` for each record and `finish()` at the end, so that even with on_bad="stop" all
    bad records are counted before DataError is raised.
    """

    def __init__(self, on_bad: OnBad = "stop", what: str = "records") -> None:
        self.on_bad = on_bad
        self.what = what
        self.total = 0
        self.count = 0
        self.first: list[tuple[str, str]] = []  # (where, why) of the first few bad records
        self.notes: list[str] = []  # further notes for the user, such as ignored columns

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
        """ "12 of 3,000 rows cannot be used; first: names.csv:7: ...", or "" if all were good."""
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

    def all_notes(self) -> list[str]:
        """The sentence on bad records, if there are any, and the further notes."""
        return [note for note in (self.sentence(), *self.notes) if note]

    def finish(self, source: str) -> None:
        """Raise DataError if bad records must stop the read, or if no good one is left."""
        if self.count and self.on_bad == "stop":
            where, why = self.first[0]
            if self.count == 1:
                raise DataError(why, where=where, todo=tr("set data.on_bad to skip such {what}", what=self.what))
            named = "".join(f"\n  {where}: {why}" for where, why in self.first)
            raise DataError(
                tr("{bad} of {total} {what} cannot be used", bad=self.count, total=self.total, what=self.what),
                where=source,
                todo=tr("the first:{named}\nset data.on_bad to skip such {what}", named=named, what=self.what),
            )
        if self.count == self.total:
            todo = f"{self.first[0][0]}: {self.first[0][1]}" if self.first else ""
            raise DataError(tr("contains no usable {what}", what=self.what), where=source, todo=todo)

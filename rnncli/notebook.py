"""Display of results in notebooks and at Python's prompt, rendered by `render`."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from os import PathLike, fspath
from pathlib import PurePath

from rnncli import render
from rnncli.files import write_output
from rnncli.records import Entry, Json, Page, Table


class Displayed(ABC):
    """A result with a page: shown in notebooks, and written by `save`."""

    @abstractmethod
    def page(self) -> Page:
        """The records to show."""

    def _repr_html_(self) -> str:
        return render.to_html(self.page())

    def save(self, path: str | PathLike[str]) -> None:
        """Write the page to a file in the format of its suffix: .json .csv .npz .yaml contain all values in full
        precision; .svg .md .png .html .tex what is shown. Raises UsageError (unknown suffix), Missing (.png without the
        extra plot), CannotWrite."""
        write_output(fspath(path), render.render_file(self.page(), PurePath(path).suffix))


@dataclass(frozen=True, repr=False)
class TableView(Table):
    """A table of a result, for notebooks and Python's prompt.

    `columns` and `rows` are its values, complete and in full precision; pass `to_dicts()` to `pandas.DataFrame`.
    """

    @classmethod
    def of(cls, table: Table) -> TableView:
        return cls(**{field.name: getattr(table, field.name) for field in fields(table)})

    def to_dicts(self) -> list[dict[str, Entry]]:
        """A dict for each row: column name -> value, None for an empty cell."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def _page(self) -> Page:
        return Page("", "", [Table(**vars(self))])

    def __repr__(self) -> str:
        return _text(self._page())

    def _repr_html_(self) -> str:
        return render.to_html(self._page())


@dataclass(frozen=True, repr=False)
class PageView(Page, Displayed):
    """A page of results, such as a view of `inspect`: a screen at Python's prompt, tables and charts in a notebook.

    `tables` are its tables by name; `checks()` and `ok()` its checks; `to_json()` returns the document of --json, and
    `save(path)` writes a file like --save.
    """

    @classmethod
    def of(cls, page: Page) -> PageView:
        return cls(**{field.name: getattr(page, field.name) for field in fields(page)})

    def page(self) -> Page:
        """Itself."""
        return self

    @property
    def tables(self) -> Mapping[str, TableView]:
        """Its tables, by name."""
        return {record.name: TableView.of(record) for record in self.records if isinstance(record, Table)}

    def to_json(self) -> dict[str, Json]:
        """The complete page in full precision: plain dicts, lists and numbers; NaN and infinity as strings."""
        return render.to_json(self)

    def __repr__(self) -> str:
        return _text(self)


def _text(page: Page) -> str:
    """The screen, as wide as the terminal, without the trailing newline."""
    return render.to_text(page, width=shutil.get_terminal_size().columns).rstrip("\n")

"""What an exported script reads of series: the columns and delimiter of the run's own file, and how its dates are
written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rnncli.data.cells import MISSING, NUMBER
from rnncli.data.date_forms import Written
from rnncli.data.dates import Dates
from rnncli.data.table import date_keys, open_table
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.tasks.inputs.series import series_of
from rnncli.tasks.inputs.series_columns import Data
from rnncli.tasks.inputs.sources import sources

_READ = {"Y": "%Y", "M": "%m", "D": "%d", "h": "%H", "m": "%M", "s": "%S"}
_NAMES = {"Y": "year", "M": "month", "D": "day", "h": "hour", "m": "minute", "s": "second"}


@dataclass(frozen=True)
class DateForm:
    """read: a format of strptime. write: a format whose {0} is a datetime. The rest: the step, as Step has it."""

    read: str
    write: str
    step_name: str
    months: int
    microseconds: int
    weekdays: tuple[int, ...]


def table_values(data: Data, names: Sequence[str]) -> dict[str, Any]:
    """What forecasting.jinja reads of the run's own file. names: of the columns that are forecast.

    Raises DataError: it is not there; UsageError: it is of a kind that a script does not read.
    """
    source = next(iter(sources(data).values()))[0]
    table = open_table(source, header=data.header, delimiter=data.delimiter)
    if table.kind != "text":
        raise UsageError(tr("its data is {kind}, and a script reads CSV alone", kind=table.kind))

    def named(keys: list[str | int]) -> list[str | int]:
        places = [table.index(key) for key in keys]
        return [table.columns[place] for place in places] if data.header else list(places)

    ids, dated = named(data.ids()), named(date_keys(data.date))
    dates = series_of(data, source, [])[0].dates
    form = None if dates is None or dates.step is None else _form(dates)
    na_values = {str(value).lower() for value in data.na_values}
    return {
        "delimiter": table.delimiter,
        "decimal": data.decimal,
        "thousands": data.thousands,
        "missing_cells": sorted(MISSING | na_values),
        "na_numbers": [float(value) for value in data.na_values if NUMBER.fullmatch(str(value))],
        "missing": data.missing,
        "header": data.header,
        "ids": ids,
        "dates": dated,
        "heading": [*ids, *(dated or [tr("step")]), *names],
        "columns": named([*data.targets(), *data.past, *data.future]),
        "future": len(data.future),
        "window": data.window,
        "horizon": data.horizon,
        "form": form,
    }


def _form(dates: Dates) -> DateForm:
    form, style, step = dates.form, dates.style, dates.step
    assert step is not None
    spans = form.spans(style.example) if isinstance(form, Written) else {}
    parts = spans.keys() - {"sep", "k"}
    short_year = "Y" in spans and spans["Y"][1] - spans["Y"][0] != 4
    if not isinstance(form, Written) or dates.zone or style.midnight or short_year or parts - _READ.keys():
        raise UsageError(tr("a script cannot read dates such as {date}", date=style.example))
    read = write = style.example
    for part in sorted(parts, key=spans.__getitem__, reverse=True):
        start, end = spans[part]
        wide = ":04" if part == "Y" else ":02" if form.is_wide(part, style) else ""
        read = read[:start] + _READ[part] + read[end:]
        write = f"{write[:start]}{{0.{_NAMES[part]}{wide}}}{write[end:]}"
    return DateForm(read, write, step.name, step.months, step.microseconds, tuple(map(int, step.weekmask)))

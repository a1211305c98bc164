"""What an exported script reads of series: the columns and delimiter of the run's own file, and how its dates are
written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rnncli.data.date_forms import DAY, Counted, Written
from rnncli.data.dates import Dates
from rnncli.data.table import date_keys, open_table
from rnncli.locale import tr
from rnncli.standalone import Code, copied
from rnncli.tasks.base import Script
from rnncli.tasks.inputs.series import series_of
from rnncli.tasks.inputs.series_columns import Data
from rnncli.tasks.inputs.sources import sources

_READ = {"Y": "%Y", "M": "%m", "D": "%d", "h": "%H", "m": "%M", "s": "%S"}
_NAMES = {"Y": "year", "M": "month", "D": "day", "h": "hour", "m": "minute", "s": "second"}


@dataclass(frozen=True)
class DateForm:
    """How dates are read and written. read: a format of strptime. write: a format whose {0} is a datetime. Where these
    cannot say it: made, an expression of the form, and source, our own code for it; zoned: whether cells name a UTC
    offset. The rest: the step, as Step has it."""

    step_name: str
    months: int
    microseconds: int
    weekdays: tuple[int, ...]
    read: str = ""
    write: str = ""
    made: str = ""
    source: str = ""
    zoned: bool = False
    imports: frozenset[str] = frozenset()

    @property
    def whole_days(self) -> bool:
        return bool(self.months) or self.microseconds % DAY == 0


def script_of(data: Data, names: Sequence[str]) -> Script:
    """What a script reads of the run's own file. names: of the columns that are forecast. Raises DataError: it is not
    there."""
    source = next(iter(sources(data).values()))[0]
    table = open_table(source, header=data.header, delimiter=data.delimiter)
    header = data.header or table.kind != "text"

    def named(keys: list[str | int]) -> list[str | int]:
        places = [table.index(key) for key in keys]
        return [table.columns[place] for place in places] if header else list(places)

    ids, dated = named(data.ids()), named(date_keys(data.date))
    dates = series_of(data, source, [])[0].dates
    form = None if dates is None or dates.step is None else _form(dates)
    na_values = [str(value) for value in data.na_values]
    imports, numbers = copied("rnncli.data.cells", ["number", *(["is_missing"] if na_values else [])])
    values = {
        "kind_of_file": table.kind,
        "delimiter": table.delimiter,
        "decimal": data.decimal,
        "thousands": data.thousands,
        "numbers": Code(numbers.strip()),
        "na_values": na_values,
        "missing": data.missing,
        "header": header,
        "ids": ids,
        "dates": dated,
        "heading": [*ids, *(dated or [tr("step")]), *names],
        "columns": named([*data.targets(), *data.past, *data.future]),
        "future": len(data.future),
        "window": data.window,
        "horizon": data.horizon,
        "form": form,
    }
    needs = [*(["numpy"] if form and form.zoned else []), *(["duckdb"] if table.kind == "parquet" else [])]
    return Script("forecasting.jinja", values, needs, imports | (form.imports if form else set()))


def _form(dates: Dates) -> DateForm:
    form, style, step = dates.form, dates.style, dates.step
    assert step is not None
    plain = DateForm(step.name, step.months, step.microseconds, tuple(map(int, step.weekmask)))
    spans = form.spans(style.example) if isinstance(form, Written) else {}
    parts = spans.keys() - {"sep", "k"}
    short_year = "Y" in spans and spans["Y"][1] - spans["Y"][0] != 4
    if not isinstance(form, Written) or dates.zone or style.midnight or short_year or parts - _READ.keys():
        return _carried(dates, plain)
    read = write = style.example
    for part in sorted(parts, key=spans.__getitem__, reverse=True):
        start, end = spans[part]
        wide = ":04" if part == "Y" else ":02" if form.is_wide(part, style) else ""
        read = read[:start] + _READ[part] + read[end:]
        write = f"{write[:start]}{{0.{_NAMES[part]}{wide}}}{write[end:]}"
    return replace(plain, read=read, write=write)


def _carried(dates: Dates, plain: DateForm) -> DateForm:
    """A form that strptime lacks, by the code that `predict` reads it with."""
    form = dates.form
    if isinstance(form, Written):
        made = f"Written({form.name!r}, {form.regex.pattern!r}, padded={form.pads})"
    else:
        assert isinstance(form, Counted)
        made = f"Counted({form.name!r}, {form.regex.pattern!r}, {form.unit}, since={form.since})"
    wanted = ("rnncli.data.date_forms", [type(form).__name__, "style_of", "EPOCH", "SECOND"])
    zones = [("rnncli.data.zones", ["zone_of"])] if dates.zone else []
    imports, source = copied(*wanted, *zones)
    return replace(plain, made=made, source=source.strip(), zoned=bool(zones), imports=frozenset(imports))

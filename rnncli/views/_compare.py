"""Two pages of one view side by side: `--with`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnncli.locale import tr
from rnncli.records import (
    Check,
    Checks,
    ColouredText,
    Column,
    Commands,
    Diagram,
    Entry,
    HeatMap,
    Message,
    Page,
    Record,
    Series,
    Table,
)

KEYS = ("text", "code", "count", "shape")  # kinds of columns that identify a row


def side_by_side(first: Page, second: Page, names: tuple[str, str]) -> Page:
    """One page of both. names: their labels.

    Curves share a chart; tables with the same row keys share their first columns; other tables, heat maps and texts
    follow one another, each under its name; identical records appear once.
    """
    if names[0] == names[1]:
        names = (f"{names[0]} 1", f"{names[1]} 2")
    records: list[Record] = []
    left, right = list(first.records), list(second.records)
    for record in left:
        other = next((r for r in right if type(r) is type(record) and r.name == record.name), None)
        if other is not None:
            right.remove(other)
        records += _both(record, other, names)
    for record in right:
        records += _both(None, record, names)
    return Page(
        schema=first.schema,
        title=tr("{first}   compared with   {second}", first=first.title, second=second.title),
        records=records,
        config={names[0]: first.config, names[1]: second.config},
        seed=first.seed,
        device=first.device,
        dtype=first.dtype if first.dtype == second.dtype else f"{first.dtype}, {second.dtype}",
        torch=first.torch,
    )


def _both(a: Record | None, b: Record | None, names: tuple[str, str]) -> list[Record]:
    if isinstance(a, Commands) or isinstance(b, Commands):
        return [record for record in (a,) if record is not None]
    if a is None or b is None:
        return [_named(record, name) for record, name in ((a, names[0]), (b, names[1])) if record is not None]
    if isinstance(a, Message) and isinstance(b, Message):
        return [a if a.text == b.text else replace(a, text=f"{names[0]}: {a.text}\n{names[1]}: {b.text}")]
    if isinstance(a, Series) and isinstance(b, Series):
        return [_series(a, b, names)]
    if isinstance(a, Checks) and isinstance(b, Checks):
        return [Checks([*_checks(a, names[0]), *_checks(b, names[1])], a.name, a.title)]
    if isinstance(a, Table) and isinstance(b, Table):
        joined = _joined(a, b, names)
        if joined is not None:
            return [joined]
    return [_named(a, names[0]), _named(b, names[1])]


def _named(record: Record, name: str) -> Record:
    if isinstance(record, Message):
        return replace(record, text=f"{name}: {record.text}", name=f"{name}.{record.name}")
    if isinstance(record, Checks):
        return replace(record, checks=_checks(record, name))
    if isinstance(record, Table | HeatMap | Diagram | ColouredText | Series):
        title = f"{name}: {record.title}" if record.title else name
        return replace(record, title=title, name=f"{name}.{record.name}")
    return record


def _checks(record: Checks, name: str) -> list[Check]:
    return [replace(check, name=f"{name}.{check.name}", text=f"{name}: {check.text}") for check in record.checks]


def _series(a: Series, b: Series, names: tuple[str, str]) -> Series:
    """All curves on one axis, with nan for missing points."""
    x = sorted({*a.x, *b.x})
    lines: dict[str, list[float]] = {}
    marks: dict[str, float] = {}
    for record, name in ((a, names[0]), (b, names[1])):
        for label, values in record.lines.items():
            found = dict(zip(record.x, values, strict=True))
            lines[f"{name}: {label}"] = [found.get(place, float("nan")) for place in x]
        marks |= {f"{name}: {label}": place for label, place in record.marks.items()}
    return replace(a, x=x, lines=lines, marks=marks, band=None)


def _joined(a: Table, b: Table, names: tuple[str, str]) -> Table | None:
    """One table with shared key columns; None if the rows have different keys."""
    keys = _key_count(a.columns)
    if not keys or list(a.columns[:keys]) != list(b.columns[:keys]) or a.title != b.title:
        return None
    if [row[:keys] for row in map(list, a.rows)] != [row[:keys] for row in map(list, b.rows)]:
        return None
    columns: list[Column] = list(a.columns[:keys])
    for table, name in ((a, names[0]), (b, names[1])):
        columns += [_beside(column, name) for column in table.columns[keys:]]
    rows = [[*one, *list(two)[keys:]] for one, two in zip(map(list, a.rows), b.rows, strict=True)]
    total: list[Entry] | None = None
    if a.total is not None and b.total is not None:
        total = [*a.total, *list(b.total)[keys:]]
    caption = a.caption if a.caption == b.caption else ""
    return replace(a, columns=columns, rows=rows, total=total, caption=caption)


def _beside(column: Column, name: str) -> Column:
    """A column grouped under the name of its target; bars become shares, because two bars are too wide."""
    group = f"{name}: {column.group}" if column.group else name
    kind = "percent" if column.kind == "bar" else column.kind
    return replace(column, name=f"{name}.{column.name}", group=group, kind=kind)


def _key_count(columns: Sequence[Column]) -> int:
    for k, column in enumerate(columns):
        if column.kind not in KEYS:
            return k
    return 0

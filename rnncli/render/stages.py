"""Split a page into stages, one for each time step, to reveal them one by one."""

from __future__ import annotations

from dataclasses import replace

from rnncli.records import Page, Table, Unrolled


def stages(page: Page) -> list[Page]:
    """The header, then every step, then everything below the steps. A stage is a drawing of a step with the tables
    after it, or without drawings the rows of one step or a table of sums."""
    if any(isinstance(record, Unrolled) for record in page.records):
        return _drawn(page)
    where = [k for k, record in enumerate(page.records) if isinstance(record, Table)]
    if not where:
        return [page]
    first, end = where[0], where[-1] + 1
    tables = [record for record in page.records[first:end] if isinstance(record, Table)]
    rest = page.records[end:]
    bare = _bare(page)
    parts = [replace(page, records=page.records[:first])]
    by_step = [table for table in tables if table.columns and table.columns[0].name == "t"]
    others = [table for table in tables if table not in by_step]
    steps = list(dict.fromkeys(row[0] for table in by_step for row in table.rows))
    for t in steps:
        parts.append(replace(bare, records=[_only(table, t) for table in by_step]))
    parts += [replace(bare, records=[table]) for table in others]
    return [*parts, replace(bare, records=rest)] if rest else parts


def _drawn(page: Page) -> list[Page]:
    records, bare = list(page.records), _bare(page)
    starts = [k for k, record in enumerate(records) if isinstance(record, Unrolled)]
    end = 1 + max(k for k, record in enumerate(records) if isinstance(record, Unrolled | Table))
    parts = [replace(page, records=records[: starts[0]])]
    parts += [replace(bare, records=records[a:b]) for a, b in zip(starts, [*starts[1:], end], strict=True)]
    return [*parts, replace(bare, records=records[end:])] if records[end:] else parts


def _bare(page: Page) -> Page:
    return replace(page, title="", seed=None, device="", dtype="", torch="", tensors=())


def _only(table: Table, t: object) -> Table:
    """The rows of each step."""
    return replace(table, rows=[row for row in table.rows if row[0] == t], total=None)

"""--pause: a page in parts, one for each step, as a lecturer uncovers it."""

from __future__ import annotations

from dataclasses import replace

from rnncli import records


def stages(page: records.Page) -> list[records.Page]:
    """The header, then every step, then all that stands below the tables. Tables of sums are a stage each."""
    where = [k for k, record in enumerate(page.records) if isinstance(record, records.Table)]
    if not where:
        return [page]
    first, end = where[0], where[-1] + 1
    tables = [record for record in page.records[first:end] if isinstance(record, records.Table)]
    rest = page.records[end:]
    bare = replace(page, title="", seed=None, device="", dtype="", torch="", tensors=())
    parts = [replace(page, records=page.records[:first])]
    by_step = [table for table in tables if table.columns and table.columns[0].name == "t"]
    others = [table for table in tables if table not in by_step]
    steps = list(dict.fromkeys(row[0] for table in by_step for row in table.rows))
    for t in steps:
        parts.append(replace(bare, records=[_only(table, t) for table in by_step]))
    parts += [replace(bare, records=[table]) for table in others]
    return [*parts, replace(bare, records=rest)] if rest else parts


def _only(table: records.Table, t: object) -> records.Table:
    """The rows of one step."""
    return replace(table, rows=[row for row in table.rows if row[0] == t], total=None)

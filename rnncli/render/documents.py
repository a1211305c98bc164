"""Pages as data: JSON, YAML, CSV, NPZ. In full precision, never truncated or translated."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, TypeVar

from rnncli.records import (
    ColouredText,
    Column,
    Diagram,
    Entry,
    HeatMap,
    Json,
    Message,
    OpenedCell,
    Page,
    Series,
    Table,
    Unrolled,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

R = TypeVar("R")


def strict(value: object) -> Json:
    """A JSON value with non-finite floats as "nan", "inf", "-inf", and tuples as lists. Raises TypeError for other
    types."""
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, Mapping):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
    if value is None or isinstance(value, (str, int)):
        return value
    raise TypeError(f"{type(value).__name__} is not JSON")


def to_json(page: Page) -> dict[str, Json]:
    """The envelope: schema, torch, seed, device, dtype, config, then the page's content, then checks.

    tensors: name, axes, shape, values. rows: one object per table row, keys are column names; if the page has several
    tables, each row begins with "table". totals: total rows by table. series, heatmaps, texts: by record. checks: name,
    ok, max_abs_diff, tol.
    """
    document: dict[str, Json] = {
        "schema": page.schema,
        "torch": page.torch,
        "seed": page.seed,
        "device": page.device,
        "dtype": page.dtype,
        "config": strict(page.config),
    }
    if page.tensors:
        document["tensors"] = [
            {"name": t.name, "axes": list(t.axes), "shape": list(t.shape), "values": strict(t.values)}
            for t in page.tensors
        ]
    tables = _of(page, Table)
    if tables:
        named = len(tables) > 1
        document["rows"] = [
            {**({"table": table.name} if named else {}), **_row(table, row)} for table in tables for row in table.rows
        ]
        totals = {table.name: _row(table, table.total) for table in tables if table.total is not None}
        if totals:
            document["totals"] = totals
    pictures = {
        "series": [_series(record) for record in _of(page, Series)],
        "heatmaps": [_heatmap(record) for record in _of(page, HeatMap)],
        "diagrams": [_diagram(record) for record in _of(page, Diagram)],
        "drawings": [_drawing(record) for record in _of(page, Unrolled)],
        "texts": [_text(record) for record in _of(page, ColouredText)],
    }
    document.update({key: found for key, found in pictures.items() if found})
    document["checks"] = [
        {"name": check.name, "ok": check.ok, "max_abs_diff": strict(check.diff), "tol": strict(check.tol)}
        for check in page.checks()
    ]
    return document


def _of(page: Page, kind: type[R]) -> list[R]:
    return [record for record in page.records if isinstance(record, kind)]


def _row(table: Table, row: Sequence[Entry]) -> dict[str, Json]:
    return {column.name: strict(value) for column, value in zip(table.columns, row, strict=True)}


def _series(record: Series) -> Json:
    return {
        "name": record.name,
        "x": strict(record.x),
        "lines": strict(record.lines),
        "marks": strict(record.marks),
        **({"band": list(record.band)} if record.band else {}),
        **({"ticks": list(record.ticks)} if record.ticks else {}),
    }


def _heatmap(record: HeatMap) -> Json:
    return {
        "name": record.name,
        "rows": list(record.row_labels),
        "columns": list(record.column_labels),
        "values": strict(record.values),
    }


def _diagram(record: Diagram) -> Json:
    states = zip(record.labels, record.notes, record.centres, record.points, strict=True)
    return {
        "name": record.name,
        "states": [
            {"label": label, "note": note, "centre": strict(centre), "points": strict(points)}
            for label, note, centre, points in states
        ],
        "moves": [[*move, text] for move, text in record.moves.items()],
    }


def _drawing(record: Unrolled) -> Json:
    return {
        "name": record.name,
        "steps": list(record.steps),
        "inputs": list(record.inputs),
        "answers": list(record.heads),
        "answer": record.answer,
        "rows": [{"name": row.name, "values": strict(row.values)} for row in record.grid],
        "place": record.place,
        "opened": [_opened(cell) for _, cell in sorted(record.opened.items())],
    }


def _opened(cell: OpenedCell) -> Json:
    """The graph: a node per box, and an edge from each box that one of its lines reads."""
    return {
        "step": cell.step,
        "unit": cell.unit,
        "nodes": [
            {
                "name": box.name,
                "title": box.title,
                "kind": box.kind,
                "values": strict(box.lines[-1].values),
                "lines": [
                    {
                        "formula": line.text,
                        "role": line.role,
                        "values": strict(line.values),
                        "products": strict(line.products),
                    }
                    for line in box.lines
                ],
            }
            for box in cell.boxes
        ],
        "edges": [
            {"from": name, "to": box.name, "line": k, "values": strict(line.values)}
            for box in cell.boxes
            for k, line in enumerate(box.lines)
            for name in line.sources
            if name != box.name
        ],
    }


def _text(record: ColouredText) -> Json:
    return {
        "name": record.name,
        "tokens": list(record.tokens),
        "values": strict(record.values),
        "low": strict(record.low),
        "high": strict(record.high),
    }


def dump_json(page: Page | Json, file: IO[str]) -> None:
    """Write a page, or any plain object, as one strict JSON document on one line, with characters escaped if the
    stream's encoding is not Unicode."""
    encoding = (getattr(file, "encoding", None) or "utf-8").lower().replace("-", "")
    document = to_json(page) if isinstance(page, Page) else strict(page)
    file.write(_dumps(document, escaped=not encoding.startswith("utf")) + "\n")


def json_text(page: Page) -> str:
    """The JSON file with one item per line, for reading and diffing."""
    document = to_json(page)
    parts = []
    for key, value in document.items():
        if isinstance(value, list) and value:
            items = ",\n    ".join(_dumps(item) for item in value)
            parts.append(f"  {_dumps(key)}: [\n    {items}\n  ]")
        else:
            parts.append(f"  {_dumps(key)}: {_dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _dumps(value: Json, escaped: bool = False) -> str:
    """A lone surrogate is legal in a Python string and in escaped JSON, but not in UTF-8."""
    text = json.dumps(value, ensure_ascii=escaped, allow_nan=False)
    alone = not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)
    return json.dumps(value, allow_nan=False) if alone else text


def yaml_text(page: Page) -> str:
    import yaml

    # Flow style below the top level, so that a matrix of a thousand numbers does not take a thousand lines.
    return yaml.safe_dump(to_json(page), allow_unicode=True, sort_keys=False, default_flow_style=None, width=120)


def csv_text(page: Page) -> str:
    """The page's tables; if there are none, its series, or else its heat maps, texts, drawings or tensors, one value
    per line.

    A vector has one column per number, `h[0]`, `h[1]`, ...; an interval `ratio`, `ratio_low`, `ratio_high`. Several
    tables share one header, with the table's name in the first column.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    header, rows = _csv_rows(page)
    writer.writerow(header)
    writer.writerows(rows)
    return file.getvalue()


def _csv_rows(page: Page) -> tuple[list[str], list[list[str | float]]]:
    tables = _of(page, Table)
    if tables:
        records = []
        for table in tables:
            for row in table.rows:
                flat: dict[str, str | float] = {"table": table.name} if len(tables) > 1 else {}
                for column, value in zip(table.columns, row, strict=True):
                    flat.update(_flat(column, value))
                records.append(flat)
        header = list(dict.fromkeys(key for record in records for key in record))
        header = header or [column.name for table in tables for column in table.columns]
        return header, [[record.get(key, "") for key in header] for record in [*_sheet_head(page, tables), *records]]
    if series := _of(page, Series):
        return ["series", "line", "x", "y"], [
            [record.name, label, _cell(x), _cell(y)]
            for record in series
            for label, values in record.lines.items()
            for x, y in zip(record.x, values, strict=True)
        ]
    if heatmaps := _of(page, HeatMap):
        return ["heatmap", "row", "column", "value"], [
            [record.name, row_label, column_label, _cell(value)]
            for record in heatmaps
            for row_label, row in zip(record.row_labels, record.values, strict=True)
            for column_label, value in zip(record.column_labels, row, strict=True)
        ]
    if texts := _of(page, ColouredText):
        return ["text", "position", "token", "value"], [
            [record.name, k, token, _cell(value)]
            for record in texts
            for k, (token, value) in enumerate(zip(record.tokens, record.values, strict=True))
        ]
    if drawings := _of(page, Unrolled):
        return ["step", "node", "formula", "role", "index", "value"], [
            [cell.step, box.name, line.text, line.role, k, _cell(value)]
            for record in drawings
            for _, cell in sorted(record.opened.items())
            for box in cell.boxes
            for line in box.lines
            for k, value in enumerate(line.values)
        ]
    if page.tensors:
        return ["tensor", "index", "value"], [
            [tensor.name, " ".join(map(str, index)), _cell(value)]
            for tensor in page.tensors
            for index, value in _elements(tensor.values)
        ]
    return ["check", "ok", "max_abs_diff", "tol"], [
        [check.name, check.ok, _cell(check.diff), _cell(check.tol)] for check in page.checks()
    ]


def _sheet_head(page: Page, tables: Sequence[Table]) -> list[dict[str, str | float]]:
    """Above an exercise its title, a cell for a name, and its formulas."""
    if not any(table.sheet for table in tables):
        return []
    formulas = [record.text for record in page.records if isinstance(record, Message) and record.kind == "formula"]
    lines = [line for text in formulas for line in text.split("\n")]
    rows: list[dict[str, str | float]] = [{"term": "title", "written": _cell(page.title)}, {"term": "name"}]
    rows += [{"term": "formula", "written": line} for line in lines]
    return rows


def _flat(column: Column, value: Entry) -> dict[str, str | float]:
    if column.kind in ("vector", "spark"):
        return {f"{column.name}[{k}]": _cell(number) for k, number in enumerate(_numbers(value))}
    if column.kind == "interval":
        parts = _numbers(value) or (None, None, None)
        return dict(zip((column.name, f"{column.name}_low", f"{column.name}_high"), map(_cell, parts), strict=True))
    return {column.name: _cell(value)}


def _numbers(value: Entry) -> Sequence[float]:
    """The numbers of a vector, interval or spark; empty for an empty cell."""
    return () if value is None or isinstance(value, str | int | float) else value


def _cell(value: object) -> str | float:
    if value is None:
        return ""
    if isinstance(value, str):  # lone surrogates are not allowed in UTF-8
        return value.encode("utf-8", "backslashreplace").decode()
    found = strict(value)
    return found if isinstance(found, str | int | float) else str(found)


def _elements(values: Json, index: tuple[int, ...] = ()) -> list[tuple[tuple[int, ...], Json]]:
    if not isinstance(values, list):
        return [(index, values)]
    return [pair for k, item in enumerate(values) for pair in _elements(item, (*index, k))]


def npz_bytes(page: Page) -> bytes:
    """Arrays by name: tensors by their names; `TABLE.COLUMN`, `SERIES.x`, `SERIES.LINE`, `HEATMAP.values`.

    `page` is the rest of the envelope as JSON text. Contains no pickle; open it with numpy.load.
    """
    import numpy as np

    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for tensor in page.tensors:
        arrays[tensor.name] = _array(tensor.values, page.dtype).reshape(tuple(tensor.shape))
    for record in page.records:
        if isinstance(record, Table):
            for k, column in enumerate(record.columns):
                arrays[f"{record.name}.{column.name}"] = _column_array(column, [row[k] for row in record.rows])
        elif isinstance(record, Series):
            arrays[f"{record.name}.x"] = np.asarray(record.x, dtype=np.float64)
            for label, values in record.lines.items():
                arrays[f"{record.name}.{label}"] = np.asarray(values, dtype=np.float64)
        elif isinstance(record, Diagram):
            arrays[f"{record.name}.centres"] = np.asarray(record.centres, dtype=np.float64).reshape(-1, 2)
        elif isinstance(record, HeatMap | ColouredText):
            arrays[f"{record.name}.values"] = np.asarray(record.values, dtype=np.float64)
    rest = {key: value for key, value in to_json(page).items() if key not in ("tensors", "rows", "series", "heatmaps")}
    arrays["page"] = np.asarray(json.dumps(rest, allow_nan=False))
    # Names of archive members cannot contain a path separator: numpy would not find them again.
    file = io.BytesIO()
    named = {name.replace("/", "_"): array for name, array in arrays.items()}
    np.savez_compressed(file, **named)  # type: ignore[arg-type]  # numpy < 2.1 would save an allow_pickle as an array
    return file.getvalue()


def _array(values: Json, dtype: str) -> npt.NDArray[np.generic]:
    import numpy as np

    array = np.asarray(values)
    if array.dtype.kind == "f":  # float32 numbers were converted to Python floats: convert back without loss
        return array.astype({"float32": np.float32, "bfloat16": np.float32}.get(dtype, np.float64))
    return array


def _column_array(column: Column, values: Sequence[Entry]) -> npt.NDArray[np.generic]:
    """Numbers as float64 (an empty cell is nan), text as text, vectors as a matrix padded with nan."""
    import numpy as np

    if column.kind in ("text", "formula", "code", "shape"):
        return np.asarray(["" if value is None else str(value) for value in values], dtype=str)
    if column.kind in ("vector", "interval", "spark"):
        vectors = [_numbers(value) for value in values]
        matrix = np.full((len(values), max(map(len, vectors), default=0)), np.nan)
        for k, vector in enumerate(vectors):
            matrix[k, : len(vector)] = vector
        return matrix
    return np.asarray([math.nan if value is None else value for value in values], dtype=np.float64)

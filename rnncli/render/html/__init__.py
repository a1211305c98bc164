"""A web page of records and recordings: one self-contained file with interactive charts.

The charts are drawn by Plotly (plotly.js, MIT licence, kept since 2015), whose Python package carries the library and
needs two small packages. Only its JavaScript file is used (importing `plotly` takes 0.05 s): 4.6 MiB, embedded gzipped
as 1.9 MiB and unpacked by the browser (all since 2023 can). Alternatives considered: Bokeh (BSD; 1.2 MiB, 0.5 MiB
gzipped; but nine packages, a server among them, for a page without one, and its charts are one canvas that neither a
screen reader nor a test can read) and Altair (BSD; Vega's page needs a compiled converter).

The page's Content-Security-Policy allows no connections and only its own two scripts, by hash: text from a data file or
a recipe can never be executed.

page.html, page.css, page.js: the page. viewer.html, viewer.js: states and gates of every step of a recording. The other
templates: a section, a figure; and in fragment.css's classes a kind of record each.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
import sys
from array import array
from collections.abc import Sequence
from functools import cache
from importlib import resources
from itertools import groupby
from typing import TYPE_CHECKING

from rnncli.errors import Missing
from rnncli.locale import language, tr
from rnncli.records import (
    Column,
    CoreSteps,
    HeatMap,
    Json,
    Kind,
    Record,
    Recording,
    Section,
    Series,
    Table,
    WebPage,
)
from rnncli.render import charts, symbols
from rnncli.render.html import records, templates
from rnncli.render.html.templates import as_it_is, read

if TYPE_CHECKING:
    from markupsafe import Markup

GENERATOR = "rnncli report"  # in the page's <meta>: marks files that may be overwritten
WRITTEN = 2000  # charts with at most this many values also get a table, for accessibility


def render(page: WebPage) -> str:
    """The page as HTML. Raises Missing if plotly is not installed."""
    library, hash_of_library = _library()
    script = read("page.js").replace("begin().catch", f"{read('viewer.js')}\nbegin().catch")
    figures: list[Json] = []
    sections = [_section(section, figures) for section in page.sections]
    if page.recordings:
        names = [section.name for section in page.sections]
        at = names.index(page.viewer_after) + 1 if page.viewer_after in names else 0
        sections.insert(at, {"name": "viewer", "title": tr("step by step"), "folded": False, "body": _viewer()})
    recordings = [_recording(recording) for recording in page.recordings]
    text = templates.render(
        "page.html",
        language=language(),
        policy=f"default-src 'none'; script-src '{_hash(script)}' '{hash_of_library}'; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'",
        generator=GENERATOR,
        title=page.title,
        style=as_it_is(read("page.css")),
        about=page.about,
        sections=sections,
        noscript=tr("the charts need JavaScript; the tables do not"),
        data=_embedded({"words": _words(), "figures": figures, "recordings": recordings}),
        library=as_it_is(library),
        script=as_it_is(script),
    )
    return f"{text}\n"


def require_library() -> None:
    """Raises Missing if plotly is not installed; call before making a page."""
    _library()


# ------------------------------------------------------------------------------------------------------------- records


def _section(section: Section, figures: list[Json]) -> dict[str, object]:
    """Context for page.html. groups: (whether they are curves, drawn records)."""
    groups = [
        (curves, [_record(record, figures) for record in group])
        for curves, group in groupby(section.records, lambda record: isinstance(record, Series))
    ]
    body = templates.render("section.html", groups=groups)
    return {"name": section.name, "title": section.title, "folded": section.folded, "body": body}


def _record(record: Record, figures: list[Json]) -> Markup:
    if isinstance(record, Series):
        return _series(record, figures)
    if isinstance(record, HeatMap):
        return _heatmap(record, figures)
    return _figure(record=record)


def _series(record: Series, figures: list[Json]) -> Markup:
    lines = {label: [_finite(value) for value in values] for label, values in record.lines.items()}
    if not any(value is not None for values in lines.values() for value in values):
        return _figure(record.title, note=tr("(no values)"))
    table = _table_of_series(record)
    if len(record.x) == 1 and table is not None:  # a curve needs at least two points
        return _figure(record.title, table)
    figures.append(
        {
            "kind": "series",
            "x": [_finite(x) for x in record.x],
            "lines": {symbols.fit(label): values for label, values in lines.items()},
            "x_label": symbols.fit(record.x_label),
            "y_label": symbols.fit(record.y_label),
            "log_y": record.log_y,
            "marks": {symbols.fit(label): x for label, x in record.marks.items()},
            "band": [symbols.fit(label) for label in record.band or ()],
            "ticks": [symbols.fit(text) for text in record.ticks],
        }
    )
    return _figure(record.title or record.y_label, table, number=len(figures) - 1)


def _heatmap(record: HeatMap, figures: list[Json]) -> Markup:
    columns = max((len(row) for row in record.values), default=0)
    if not columns:
        return _figure(record.title, note=tr("(no values)"))
    rows = len(record.values)
    figures.append(
        {
            "kind": "heatmap",
            "values": _packed([[*row, *[math.nan] * (columns - len(row))] for row in record.values]),
            "row_labels": [symbols.fit(charts.label_of(record.row_labels, k)) for k in range(rows)],
            "column_labels": [symbols.fit(charts.label_of(record.column_labels, k)) for k in range(columns)],
            "row_axis": symbols.fit(record.row_axis),
            "column_axis": symbols.fit(record.column_axis),
            "square": record.square,
        }
    )
    return _figure(record.title, _table_of_heatmap(record, columns), number=len(figures) - 1)


def _figure(title: str = "", record: Record | None = None, *, note: str = "", number: int | None = None) -> Markup:
    """A chart with its table, a single record, or a note, under a heading."""
    return templates.render(
        "figure.html",
        title=title,
        note=note,
        number=number,
        spoken=title or tr("chart"),
        summary=tr("the numbers"),
        drawn=None if record is None else records.draw(record),
    )


def _table_of_series(record: Series) -> Table | None:
    if len(record.x) * len(record.lines) > WRITTEN:
        return None
    columns = [Column("x", record.x_label or "x"), *(Column(f"y{k}", label) for k, label in enumerate(record.lines))]
    whole = all(float(x).is_integer() for x in record.x)
    columns[0] = Column("x", record.x_label or "x", "text" if record.ticks else "count" if whole else "number")
    rows = [[x, *values] for x, *values in zip(record.ticks or record.x, *record.lines.values(), strict=True)]
    return Table("numbers", columns, rows)


def _table_of_heatmap(record: HeatMap, columns: int) -> Table | None:
    if len(record.values) * columns > WRITTEN:
        return None
    kind: Kind = "number" if record.cells == "shade" else record.cells
    heads = [Column(f"c{k}", charts.label_of(record.column_labels, k), kind) for k in range(columns)]
    rows = [
        [charts.label_of(record.row_labels, k), *row, *[None] * (columns - len(row))]
        for k, row in enumerate(record.values)
    ]
    return Table("numbers", [Column("row", record.row_axis or " ", "text"), *heads], rows)


# ---------------------------------------------------------------------------------------------------------- the viewer


def _viewer() -> Markup:
    return templates.render(
        "viewer.html",
        about=tr("every unit at every step: point at a cell for its numbers, click to keep it"),
        keys=tr("the arrow keys move: left and right a step, up and down a unit"),
        coloured=tr("the text, coloured by the chosen unit; below each token its sign and size, 0 to 9"),
    )


def _recording(recording: Recording) -> Json:
    return {
        "target": symbols.fit(recording.target),
        "sample": symbols.fit(recording.sample),
        "cores": [_core(core) for core in recording.cores],
    }


def _core(core: CoreSteps) -> Json:
    answers = None
    if core.answers is not None:
        answers = [
            [symbols.token(given), _finite(probability), symbols.token(asked) if asked else ""]
            for given, probability, asked in core.answers
        ]
    return {
        "name": symbols.fit(core.name),
        "about": symbols.fit(core.about),
        "num_steps": core.num_steps,
        "num_units": core.num_units,
        "tokens": None if core.tokens is None else [symbols.token(token) for token in core.tokens],
        "answers": answers,
        "words": {name: symbols.fit(text) for name, text in core.words.items()},
        "values": {name: _packed(values) for name, values in core.values.items()},
    }


def _words() -> dict[str, Json]:
    """Texts of the scripts."""
    return {
        "target": tr("run"),
        "sample": tr("sample"),
        "core": tr("core"),
        "layer": tr("layer"),
        "direction": tr("direction"),
        "quantity": tr("quantity"),
        "unit": tr("unit"),
        "fwd": tr("forward"),
        "bwd": tr("backward"),
        "reads": tr("reads"),
        "answers": tr("answers"),
        "asked": tr("target"),
        "cut_steps": tr("the first {n} of {all} steps"),
        "cut_units": tr("the first {n} of {all} units"),
        "all": tr("all of them: rnncli inspect TARGET steps --save steps.npz"),
        "trouble": tr("the charts cannot be drawn; this page needs a browser of 2023 or newer:"),
    }


# ------------------------------------------------------------------------------------------------------- what is packed


def _packed(values: Sequence[Sequence[float]]) -> dict[str, Json]:
    """[row][column] as little-endian float32 in base64: exact for float32 networks, and compact."""
    flat = array("f", (value for row in values for value in row))
    if flat.itemsize != 4:
        raise AssertionError("a C float has 4 bytes wherever CPython runs")
    if sys.byteorder == "big":
        flat.byteswap()
    return {
        "rows": len(values),
        "columns": len(values[0]) if values else 0,
        "data": base64.b64encode(flat.tobytes()).decode("ascii"),
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _embedded(value: Json) -> Markup:
    """JSON for <script>, escaped so that it cannot end the element or start a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return as_it_is(text)


def _hash(script: str) -> str:
    """Hash of a script for the Content-Security-Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


@cache
def _library() -> tuple[str, str]:
    """plotly.js gzipped, in base64, and its hash."""
    try:
        file = resources.files("plotly") / "package_data" / "plotly.min.js"
        content = file.read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        raise Missing(tr("a report needs plotly"), todo="pip install 'rnncli[report]'") from None
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii"), _hash(content.decode("utf-8"))

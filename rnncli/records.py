"""Displayable results as plain records, created by library code and rendered only by `rnncli.render`.

No torch, no rich: values are Python numbers, strings and nested lists. A `Page` is one result: a header, records from
top to bottom, and data only for JSON and data files (complete tensors in full precision).

Every record has a `name`, a stable identifier for JSON and tests, the same in every language; displayed texts (`title`,
`label`, `text`) are translated by `rnncli.locale.tr`. In one file because every renderer handles all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rnncli.locale import tr

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"  # when read: list and dict
Entry: TypeAlias = "str | float | Sequence[float] | None"  # a table entry; formatted by the column's kind


def json_object(value: object) -> Mapping[str, Json]:
    """The value, checked to be a JSON object. Raises ValueError, like json_list and json_number."""
    if not isinstance(value, Mapping):
        raise ValueError(tr("{value} is not a JSON object", value=f"{value!r:.40}"))
    return value


def json_list(value: object) -> Sequence[Json]:
    """The value, checked to be a JSON list."""
    if not isinstance(value, list | tuple):
        raise ValueError(tr("{value} is not a JSON list", value=f"{value!r:.40}"))
    return value


def json_number(value: object) -> float:
    """The value, checked to be a number; NaN and infinity, missing in JSON, are strings ("nan")."""
    if not isinstance(value, int | float | str):
        raise ValueError(tr("{value} is not a number", value=f"{value!r:.40}"))
    return float(value)


# text: left-aligned words. formula: the same, typeset as a formula if possible. code: a token or other text of the
# data, shown with visible white space. count: an integer with separators. number: a float, 4 decimals. vector: a list
# of floats in one cell, shortened if too long ("8 of 64"). diff: a difference, `9e-08`. percent: a fraction, 0.12 ->
# 12%. seconds: a duration. bytes: a size. shape: text such as (T=3, B=1, I=4), never wrapped. bar: a fraction drawn as
# a bar, with its value. interval: (value, low, high) with two decimals, 1.52 [1.48 1.54]. spark: a list of counts or
# fractions, one character each, with height relative to the largest.
Kind = Literal[
    "text",
    "formula",
    "code",
    "count",
    "number",
    "vector",
    "diff",
    "percent",
    "seconds",
    "bytes",
    "shape",
    "bar",
    "interval",
    "spark",
]


@dataclass(frozen=True)
class Column:
    """name: key in JSON. label: displayed heading. kind: how values are formatted. optional: dropped first if space is
    short.

    group: a heading above this one, shared by adjacent columns of the same group. once: a value equal to the one above
    it is blank on the screen (JSON has it in every row).
    """

    name: str
    label: str
    kind: Kind = "number"
    optional: bool = False
    group: str = ""
    once: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under columns; a row is one value per column, or None for an empty cell.

    total: a last row below a rule. caption: one line below. If all labels are empty there is no heading line: a list of
    names and values. If vectors do not fit the width, the table is rendered tall (one line per column below each row's
    first cell) instead of wrapping. cut_rows: rows beyond this number are cut in the middle, with a note (`--full`
    shows all); JSON and data files are complete. sheet: an exercise, printed on its own page with lines in empty cells.
    """

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Entry]]
    title: str = ""
    total: Sequence[Entry] | None = None
    caption: str = ""
    cut_rows: int | None = None
    sheet: bool = False
    turned: bool = False  # a terminal shows rows as columns if they fit


@dataclass(frozen=True)
class Series:
    """Curves over a common axis: a chart in a terminal, a plot in a picture. lines: label -> y values, len(x) each.

    band: the labels of two consecutive lines in `lines`, lower first; the area between them is shaded if possible.
    ticks: labels of x instead of numbers, such as dates."""

    name: str
    x: Sequence[float]
    lines: Mapping[str, Sequence[float]]
    x_label: str = ""
    y_label: str = ""
    title: str = ""
    log_y: bool = False
    marks: Mapping[str, float] = field(default_factory=dict)  # label -> x of a vertical mark
    band: tuple[str, str] | None = None
    ticks: Sequence[str] = ()


@dataclass(frozen=True)
class HeatMap:
    """values[row][column]; signed values use a color scale symmetric about zero. cut_rows: as in Table.
    square: an image, whose pixels are square. cells: shades, or the numbers themselves (percent: of shares)."""

    name: str
    values: Sequence[Sequence[float]]
    row_labels: Sequence[str]
    column_labels: Sequence[str]
    row_axis: str = ""
    column_axis: str = ""
    title: str = ""
    cut_rows: int | None = None
    square: bool = False
    cells: Literal["shade", "count", "percent"] = "shade"


@dataclass(frozen=True)
class Diagram:
    """States in a plane, and the transitions between them.

    centres: position of each state, (x, y). labels, notes: its name, and text below it. points: where it was visited.
    moves: (from, to), indices of states -> label of the transition.
    """

    name: str
    centres: Sequence[tuple[float, float]]
    labels: Sequence[str]
    notes: Sequence[str]
    points: Sequence[Sequence[tuple[float, float]]]
    moves: Mapping[tuple[int, int], str]
    title: str = ""


@dataclass(frozen=True)
class BoxLine:
    """A value of an opened cell. text: its formula, `W_ii·x_2` or `f·c_1`. values: its number; several for a vector.

    sources: the boxes that it reads. products: for a sum of products its factors, weight first. role: a term of the sum
    below it, that sum, an intermediate step, or the result of the box. numbers: the text with numbers instead of names,
    `tanh(0.4622)`, for formulas of single numbers other than sums and products.
    """

    text: str
    values: Sequence[float]
    sources: Sequence[str] = ()
    products: Sequence[tuple[float, float]] = ()
    role: Literal["term", "sum", "step", "result"] = "step"
    numbers: str = ""


@dataclass(frozen=True)
class Box:
    """A named part of an opened cell: an input, a gate, a state. name: `x`, `before.h`, `gate.i`, `h`.

    title: `h_2`. about: short description.
    """

    name: str
    title: str
    kind: Literal["input", "between", "gate", "state"]
    lines: Sequence[BoxLine]
    about: str = ""


@dataclass(frozen=True)
class OpenedCell:
    """One step of one cell as a graph of boxes, in topological order. step: of the sequence. unit: the unit traced
    back."""

    step: int
    unit: int
    boxes: Sequence[Box]


@dataclass(frozen=True)
class GridRow:
    """One layer in one direction of an unrolled network. name: `l0.fwd`. values: state -> one number per step."""

    name: str
    label: str
    reverse: bool
    values: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Unrolled:
    """A network unrolled over time, with opened cells.

    steps: the drawn steps of the sequence; num_steps: of all. inputs: of each step; heads: output of each step, "" if
    none; answer: single output after the last step. grid: from the lowest layer up. place: the row whose cells are
    opened. opened: by step; step: the one shown in still pictures. moving: animated over the steps if possible. notes:
    lines below.
    """

    name: str
    steps: Sequence[int]
    num_steps: int
    inputs: Sequence[str]
    heads: Sequence[str]
    grid: Sequence[GridRow]
    place: str
    opened: Mapping[int, OpenedCell]
    step: int
    answer: str = ""
    moving: bool = False
    title: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Position:
    """A position in a recorded network: indices of core, layer, direction, time step and unit."""

    core: int = 0
    layer: int = 0
    direction: int = 0
    step: int = 0
    unit: int = 0


@dataclass(frozen=True)
class Stop:
    """One stop of a walk through a recorded network.

    at: its position; sizes: the number of each. title: of the network. core: its name and cell. picture: the steps
    around, with the cell at `at` opened. h: of every unit. changes: a table of the unit's states and gates, with their
    previous values.
    """

    at: Position
    sizes: Position
    title: str
    core: str
    picture: Unrolled
    h: Sequence[float]
    changes: Table


@dataclass(frozen=True)
class ColouredText:
    """Tokens, each colored by a value in [low, high]; without colors, with a digit 0-9 below each."""

    name: str
    tokens: Sequence[str]
    values: Sequence[float]
    low: float = -1.0
    high: float = 1.0
    title: str = ""
    separator: str = ""  # between tokens: "" for characters, " " for words


@dataclass(frozen=True)
class Check:
    """A verified statement about the shown numbers. ok: whether it passed. diff, tol: the largest difference and the
    tolerance."""

    name: str
    ok: bool
    text: str
    diff: float | None = None
    tol: float | None = None


@dataclass(frozen=True)
class Checks:
    checks: Sequence[Check]
    name: str = "checks"
    title: str = ""


@dataclass(frozen=True)
class Message:
    """A line or paragraph. kind: answer (a sentence, the first record: above the header) | plain | note | formula |
    warning | code (printed verbatim)."""

    text: str
    kind: Literal["answer", "plain", "note", "formula", "warning", "code"] = "plain"
    name: str = "message"


@dataclass(frozen=True)
class Commands:
    """Suggested commands: (command, description) pairs under a short title such as "next"."""

    title: str
    commands: Sequence[tuple[str, str]]
    name: str = "next"


Record = Table | Series | HeatMap | Diagram | Unrolled | ColouredText | Checks | Message | Commands


@dataclass(frozen=True)
class Tensor:
    """A named tensor for JSON and data files: nested lists in full precision, one axis letter per dimension."""

    name: str
    axes: Sequence[str]
    shape: Sequence[int]
    values: Json


@dataclass(frozen=True)
class Page:
    """One result.

    schema: "rnncli/NAME/VERSION", of rnncli.schemas; "" for screens without a document. title: left side of the header
    line. seed, device, dtype, torch: its right side, and in JSON. config: the settings that produced it. tensors: only
    in JSON and data files.
    """

    schema: str
    title: str
    records: Sequence[Record]
    config: Mapping[str, Json] = field(default_factory=dict)
    tensors: Sequence[Tensor] = ()
    seed: int | None = None
    device: str = ""
    dtype: str = ""
    torch: str = ""

    def checks(self) -> list[Check]:
        return [check for record in self.records if isinstance(record, Checks) for check in record.checks]

    def ok(self) -> bool:
        return all(check.ok for check in self.checks())


@dataclass(frozen=True)
class Section:
    """Records of a web page under a heading. name: of its anchor. folded: initially collapsed."""

    name: str
    title: str
    records: Sequence[Record]
    folded: bool = False


@dataclass(frozen=True)
class CoreSteps:
    """The recording of one recurrent core at every step of one sample.

    name: in the model. about: its cell and sizes. values: `l0.fwd.h`, `l0.fwd.gate.f` ... -> [step][unit], named as in
    a Trace. num_steps, num_units: before any cut. tokens: the input of each step (for a decoder: the target); answers:
    the model's prediction, its probability, and the target ("" if none). words: `h`, `gate.f` ... -> description.
    """

    name: str
    about: str
    values: Mapping[str, Sequence[Sequence[float]]]
    num_steps: int
    num_units: int
    tokens: Sequence[str] | None = None
    answers: Sequence[tuple[str, float, str]] | None = None
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recording:
    """One network's recording of one sample, for the viewer of a web page. target: name of the network; sample: label
    of the sample."""

    target: str
    sample: str
    cores: Sequence[CoreSteps]


@dataclass(frozen=True)
class WebPage:
    """The page of `rnncli report`: sections from top to bottom, and a viewer of recordings after the section
    `viewer_after`. about: lines below the title."""

    title: str
    sections: Sequence[Section]
    about: Sequence[Message] = ()
    recordings: Sequence[Recording] = ()
    viewer_after: str = ""

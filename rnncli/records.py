"""What can be shown: plain records, made by library code, drawn by `rnncli.render` and by nothing else.

No torch, no rich: values are Python numbers, strings and nested lists. A `Page` is one result: a header, records from
top to bottom, and what only JSON and data files get (the tensors, whole and in full precision).

Every record has a `name`, a stable identifier that JSON and tests use and that no language changes; what a person
reads (`title`, `label`, `text`) has been through `rnncli.locale.tr`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rnncli.locale import tr

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"  # read: list and dict
Entry: TypeAlias = "str | float | Sequence[float] | None"  # of a table: what a column's kind writes


def json_object(value: object) -> Mapping[str, Json]:
    """The value of a document, which has to be an object. Raises ValueError, as json_list and json_number do."""
    if not isinstance(value, Mapping):
        raise ValueError(tr("{value} is not a JSON object", value=f"{value!r:.40}"))
    return value


def json_list(value: object) -> Sequence[Json]:
    """The value of a document, which has to be a list."""
    if not isinstance(value, list | tuple):
        raise ValueError(tr("{value} is not a JSON list", value=f"{value!r:.40}"))
    return value


def json_number(value: object) -> float:
    """The value of a document, which has to be a number: those that JSON lacks are written as texts ("nan")."""
    if not isinstance(value, int | float | str):
        raise ValueError(tr("{value} is no number", value=f"{value!r:.40}"))
    return float(value)


# text: left-aligned words. formula: the same, set as a formula where that can be. code: a token or other text of the
# data, shown with its white space made visible. count: an integer with separators. number: a float, 4 decimals. vector:
# a list of floats, one cell, cut at its edges when it is too long ("8 of 64"). diff: a difference, `9e-08`. percent: a
# share, 0.12 -> 12%. seconds: a duration. bytes: a size. shape: text such as (T=3, B=1, I=4), never wrapped. bar: a
# share drawn as a bar, with its number. interval: (value, low, high) with two decimals, 1.52 [1.48 1.54]. spark: a list
# of counts or shares, one character for each, its height relative to the largest.
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
    """name: key in JSON. label: heading shown. kind: how a value is written. optional: dropped first when narrow.

    group: a heading above this one, shared by neighbours that name the same. once: a value equal to the one above it
    is left blank on the screen (JSON has it in every row).
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

    total: a last row under a rule. caption: one line below. Where all labels are empty there is no heading line: a list
    of names and values. Where vectors do not fit the width, render goes tall (one line per column under each row's
    first cell) rather than wrap one. cut_rows: more rows than this are cut in the middle, and said so (`--full` shows
    all); JSON and data files are never cut. sheet: an exercise: a printed page of its own, empty cells ruled.
    """

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Entry]]
    title: str = ""
    total: Sequence[Entry] | None = None
    caption: str = ""
    cut_rows: int | None = None
    sheet: bool = False


@dataclass(frozen=True)
class Series:
    """Curves over a common axis: a chart in a terminal, a plot in a picture. lines: label -> y values, len(x) each.

    band: the labels of two lines, one after the other in `lines`, lower first; the ground between them is shaded where
    that can be drawn. ticks: what is written at each x in place of its number, such as a date."""

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
    """values[row][column]; signed values are drawn on a scale that is symmetric about zero. cut_rows: as in Table.

    square: a picture, whose points are as wide as they are high.
    """

    name: str
    values: Sequence[Sequence[float]]
    row_labels: Sequence[str]
    column_labels: Sequence[str]
    row_axis: str = ""
    column_axis: str = ""
    title: str = ""
    cut_rows: int | None = None
    square: bool = False


@dataclass(frozen=True)
class Diagram:
    """States in a plane, and the moves between them.

    centres: where each state is, (x, y). labels, notes: its name, and what is written below it. points: where it was
    visited. moves: (from, to), numbers of states -> what leads there.
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
    """A value of an opened cell. text: how it follows, `W_ii·x_2` or `f·c_1`. values: its number; several of a vector.

    sources: the boxes that it reads. products: of a sum of products its factors, weight first. role: a term of the sum
    below it, that sum, a step on the way, or the result of the box. numbers: the text with numbers in place of names,
    `tanh(0.4622)`, where it is a formula of single numbers other than a sum or product.
    """

    text: str
    values: Sequence[float]
    sources: Sequence[str] = ()
    products: Sequence[tuple[float, float]] = ()
    role: Literal["term", "sum", "step", "result"] = "step"
    numbers: str = ""


@dataclass(frozen=True)
class Box:
    """A named part of an opened cell: what goes in, a gate, a state. name: `x`, `before.h`, `gate.i`, `h`.

    title: `h_2`. about: what it is in a word or two.
    """

    name: str
    title: str
    kind: Literal["input", "between", "gate", "state"]
    lines: Sequence[BoxLine]
    about: str = ""


@dataclass(frozen=True)
class OpenedCell:
    """One step of one cell as a graph of boxes, givers first. step: of the sequence. unit: the one that is followed."""

    step: int
    unit: int
    boxes: Sequence[Box]


@dataclass(frozen=True)
class GridRow:
    """One layer in one direction of an unrolled network. name: `l0.fwd`. values: state -> a number at each step."""

    name: str
    label: str
    reverse: bool
    values: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Unrolled:
    """A network drawn over time, and a cell of it opened.

    steps: of the sequence, those that are drawn; num_steps: all. inputs: what each of them reads; heads: what the
    network answers there, "" where it does not; answer: what it answers once, after all. grid: from the lowest layer
    up. place: the row whose cells are opened. opened: by step; step: which one is shown where nothing moves.
    moving: the picture goes from step to step where it can. notes: lines below.
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
    """Where a walk through a recorded network is: numbers of a core, layer, direction, time step and unit."""

    core: int = 0
    layer: int = 0
    direction: int = 0
    step: int = 0
    unit: int = 0


@dataclass(frozen=True)
class Stop:
    """One place of a walk through a recorded network.

    at: where it is; sizes: how many there are of each. title: of the network. core: its name and cell. picture: its
    steps around, the cell at `at` opened. h: of every unit. changes: a table of the unit's states and gates, with what
    they were a step before.
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
    """Tokens, each coloured by one value in [low, high]; where there is no colour, a digit 0-9 stands below each."""

    name: str
    tokens: Sequence[str]
    values: Sequence[float]
    low: float = -1.0
    high: float = 1.0
    title: str = ""
    separator: str = ""  # between tokens: "" for characters, " " for words


@dataclass(frozen=True)
class Check:
    """A statement about the shown numbers. ok: it held. diff, tol: the largest difference and what is allowed."""

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
    """A line or paragraph. kind: answer (a sentence, the first record: above the header) | plain | note |
    formula | warning | code (printed exactly as it is)."""

    text: str
    kind: Literal["answer", "plain", "note", "formula", "warning", "code"] = "plain"
    name: str = "message"


@dataclass(frozen=True)
class Commands:
    """What to type next: (command, what it does) pairs under a short title such as "next"."""

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

    schema: "rnncli/NAME/VERSION", of rnncli.schemas; "" where only a screen shows it. title: left of the header line.
    seed, device, dtype, torch: its right side, and in JSON. config: the settings that made it. tensors: only JSON and
    data files show them.
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
    """Records of a web page under a heading of their own. name: of its anchor. folded: shown when it is asked for."""

    name: str
    title: str
    records: Sequence[Record]
    folded: bool = False


@dataclass(frozen=True)
class CoreSteps:
    """What one recurrent core did at every step of one sample.

    name: in the model. about: its cell and sizes. values: `l0.fwd.h`, `l0.fwd.gate.f` ... -> [step][unit], as a Trace
    names them. num_steps, num_units: as they were before any cut. tokens: what each step reads (a decoder: is to
    write); answers: what the model answers there, its probability, and what is asked for ("" where nothing is).
    words: `h`, `gate.f` ... -> what it is.
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
    """One sample as one network reads it, for the viewer of a web page. target: whose network; sample: which one."""

    target: str
    sample: str
    cores: Sequence[CoreSteps]


@dataclass(frozen=True)
class WebPage:
    """What `rnncli report` writes: sections from top to bottom, and a viewer of recordings after the one that
    `viewer_after` names. about: lines under the title."""

    title: str
    sections: Sequence[Section]
    about: Sequence[Message] = ()
    recordings: Sequence[Recording] = ()
    viewer_after: str = ""

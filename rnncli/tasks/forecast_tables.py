"""The forecast shown at the end of a run, as a table and as a curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan

from rnncli.locale import tr
from rnncli.records import Column, Entry, Series, Table
from rnncli.tasks.inputs.series_columns import Data

SHOWN_STEPS = 12


def sample_table(
    data: Data,
    title: str,
    dates: Sequence[str],
    truth: Sequence[float | None],
    found: Mapping[str, Sequence[float]],
    season: Sequence[float],
) -> Table:
    """The forecast step by step. found: forecast, and lower and upper if there is an interval."""
    forecast = found["forecast"]
    missed = [None if true is None else guess - true for guess, true in zip(forecast, truth, strict=True)]
    columns: list[tuple[Column, Sequence[Entry]]] = [
        (Column("date", tr("date"), "text"), dates),
        (Column("truth", tr("truth")), truth),
        (Column("forecast", tr("forecast")), forecast),
    ]
    words = {"lower": tr("lower"), "upper": tr("upper")}
    columns += [(Column(name, words[name]), found[name]) for name in words if name in found]
    columns.append((Column("error", tr("error")), missed))
    before = tr("last value") if data.season == 1 else tr("one season before")
    columns.append((Column("naive", before, optional=True), season))
    rows = [list(row) for row in zip(*(values for _, values in columns), strict=True)]
    return Table("sample", [column for column, _ in columns], rows, title=title, cut_rows=SHOWN_STEPS)


def forecast_curve(
    name: str,
    history: Sequence[float],
    truth: Sequence[float | None],
    found: Mapping[str, Sequence[float]],
    dates: Sequence[str],
) -> Series:
    """From before the origin to the horizon's end, with the interval as a band. dates: of all of these; none where the
    series has none."""
    past = [nan] * (len(history) - 1)
    joined = {kind: [*past, history[-1], *values] for kind, values in found.items()}
    lines = {
        tr("history"): [*history, *[nan] * len(truth)],
        tr("forecast"): joined["forecast"],
        tr("truth"): [*past, history[-1], *(nan if true is None else true for true in truth)],
    }
    band = None
    if "lower" in joined:
        band = (tr("lower"), tr("upper"))
        lines |= dict(zip(band, (joined["lower"], joined["upper"]), strict=True))
    x = [float(k) for k in range(1 - len(history), len(truth) + 1)]
    x_label = tr("date") if dates else tr("steps from the origin")
    return Series("forecast", x, lines, x_label=x_label, y_label=name, band=band, ticks=dates)

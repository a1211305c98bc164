"""Time series from tables: a date column and numeric columns in regular steps; one series or several."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rnncli.data.batch import Batch
from rnncli.data.dates import OutOfOrder
from rnncli.data.series import RegularSeries, regular
from rnncli.data.skipped import Skipped
from rnncli.data.source import fingerprint_of
from rnncli.data.splits import split_in_order
from rnncli.data.table import NoColumn, date_keys, open_table, read_panel
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.recipe.parse import flow_text
from rnncli.tasks.base import Splits
from rnncli.tasks.inputs.scaled import Fitted, Ints, Part, Scaled, fit, scaled
from rnncli.tasks.inputs.series_columns import Data, id_columns, suggest_columns
from rnncli.tasks.inputs.sources import WHOLE, Stretch, divide, files_of, sources

if TYPE_CHECKING:
    from torch import Tensor

LISTED = 5  # series named in a note


def read_series(data: Data) -> Splits[Fitted, Part]:
    """Raises DataError."""
    given = sources(data)
    notes: list[str] = []
    whole = {name: _first_series(data, files[0], notes) for name, files in given.items()}
    stretches, how = _divided(data, given, whole, notes)
    fitted = fit(stretches["train"], len(data.targets()), data.season)
    tables = {name: scaled(series, fitted, data.window, data.season) for name, series in whole.items()}
    parts = {
        name: _part(data, tables.get(name, next(iter(tables.values()))), found, name, 1 if name == "train" else 0)
        for name, found in stretches.items()
    }
    return Splits(
        parts=parts,
        fitted=fitted,
        counts={name: _counts(data, parts[name], found) for name, found in stretches.items()},
        fingerprint=fingerprint_of(files_of(given)),
        how=how,
        notes=notes,
    )


def _counts(data: Data, part: Part, found: Sequence[Stretch[RegularSeries]]) -> dict[str, int]:
    counts = {"windows": len(part.origins), "steps": sum(map(len, found))}
    return {"series": len(set(part.of.tolist())), **counts} if data.ids() else counts


def _divided(
    data: Data, given: dict[str, list[str]], whole: dict[str, list[RegularSeries]], notes: list[str]
) -> tuple[dict[str, list[Stretch[RegularSeries]]], str]:
    """The splits of every series, and how they were chosen. If there are several series, those too short for all splits
    are skipped with a note."""
    fractions = data.split.fractions()
    found: dict[str, list[Stretch[RegularSeries]]] = {}
    short: list[DataError] = []
    how = ""
    lists = [{name: one} for name, series in whole.items() for one in series]
    for one in [{name: series[0] for name, series in whole.items()}] if not data.ids() else lists:
        stretches = {name: Stretch.all_of(series) for name, series in one.items()}
        try:
            parts, how = divide(stretches, given, lambda rows: split_in_order(len(rows), fractions), tr("rows"))
            if data.ids():
                for name, part in parts.items():
                    _require_a_window(data, part, name)
        except DataError as error:
            if not data.ids():
                raise
            short.append(DataError(error.what, where=next(iter(one.values())).title, todo=error.todo))
            continue
        for name, part in parts.items():
            found.setdefault(name, []).append(part)
    if short and (not found or set(given) - {WHOLE} - set(found)):
        raise short[0]
    if short:
        notes.append(_too_short(short))
    if data.ids() and WHOLE in given:
        how = tr("each series in order, its last rows for {parts}", parts=" + ".join(map(tr, fractions)))
    return found, how


def _too_short(errors: Sequence[DataError]) -> str:
    return trn(
        "skipping {n} series that is too short: {first}: {why}",
        "skipping {n} series that are too short, first {first}: {why}",
        n=len(errors),
        first=errors[0].where,
        why=errors[0].what,
    )


def read_new_series(data: Data, fitted: Fitted, path: str) -> tuple[Part, list[str]]:
    """A new file as one split, scaled like the run's training split, with notes. Raises DataError."""
    notes: list[str] = []
    found = [Stretch.all_of(one) for one in series_of(data, path, notes)]
    if data.ids():
        found = [one for one in found if len(one) >= data.window + data.horizon] or found[:1]
    table = _scaled_anew(data, fitted, [one.whole for one in found], notes)
    return _part(data, table, found, found[0].whole.name, 0), notes


def _scaled_anew(data: Data, fitted: Fitted, series: Sequence[RegularSeries], notes: list[str]) -> Scaled:
    """Like `scaled`, with a note on series not seen in training."""
    known = fitted.scales()
    new = [one for one in series if one.id not in known]
    if new:
        notes.append(
            trn(
                "{n} series not seen in training is scaled by its first window: {first}",
                "{n} series not seen in training are scaled by their first windows, first {first}",
                n=len(new),
                first=" / ".join(new[0].id),
            )
        )
    return scaled(series, fitted, data.window, data.season)


def _first_series(data: Data, source: str, notes: list[str]) -> list[RegularSeries]:
    """The series that a recipe reads. If the file's columns have other names, the error suggests settings."""
    try:
        return series_of(data, source, notes)
    except NoColumn as error:
        columns = open_table(source, header=data.header, delimiter=data.delimiter).columns
        try:
            found = suggest_columns(source, data)
        except DataError:
            raise error from None
        missing: dict[str, Sequence[str | int]] = {"data.date": date_keys(data.date), "data.target": data.targets()}
        sets = [
            shlex.join(["--set", f"{key}={flow_text(found[key])}"])
            for key, named in missing.items()
            if not all(name in (None, *columns) for name in named)
        ]
        if not sets or not data.header:
            raise
        copying = shlex.join(["rnncli", "recipes", "copy", "forecasting", "my.yaml", "--data", _short(source)])
        todo = tr("{sets}, or {command}", sets=" ".join(sets), command=copying)
        raise DataError(error.what, where=error.where, todo=todo) from error


def _short(path: str) -> str:
    """The path as typed from the current folder."""
    beside = os.path.relpath(path)
    return path if beside.startswith(os.pardir) else beside


def series_of(data: Data, source: str, notes: list[str]) -> list[RegularSeries]:
    """Every series of a file, in order of first appearance. Raises DataError; if dates restart, it names the column
    that looks like a series id."""
    skipped = Skipped(data.on_bad, tr("rows"))
    columns = [*data.targets(), *data.past, *data.future]
    files = read_panel(
        source,
        data.ids(),
        data.date,
        columns,
        skipped,
        header=data.header,
        delimiter=data.delimiter,
        numbers=data.numbers(),
    )
    try:
        found = [regular(file, len(data.targets()), data.missing) for file in files]
    except OutOfOrder as error:
        told = [] if data.ids() else id_columns(source, data, error.lines)
        if not told:
            raise
        what = tr("{what}; column {name} looks like a series id", what=error.what, name=", ".join(told))
        todo = shlex.join(["--set", f"data.id={flow_text(told[0] if len(told) == 1 else told)}"])
        raise DataError(what, where=error.where, todo=todo) from error
    notes += [*_notes_of(found), *skipped.notes]
    if skipped.count:
        notes.append(skipped.sentence())
    return found


def _notes_of(found: Sequence[RegularSeries]) -> list[str]:
    """The notes of a single series; for several, their number, the notes of the first, and differences."""
    first = found[0]
    if not first.id:
        return list(first.notes)
    said = [trn("{n} series", "{n} series", n=len(found))]
    said += [tr("first series, {name}: {note}", name=" / ".join(first.id), note=note) for note in first.notes]
    filled = {" / ".join(one.id): int((~one.known).sum()) for one in found}
    if sum(filled.values()) and len(found) > 1:
        said.append(
            trn(
                "{n} missing value filled in total: {names}",
                "{n} missing values filled in total: {names}",
                n=sum(filled.values()),
                names=_most(filled),
            )
        )
    steps = [one.dates.step if one.dates is not None else None for one in found]
    other = [one for one, step in zip(found, steps, strict=True) if step != steps[0]]
    if other:
        name = " / ".join(other[0].id)
        said.append(
            trn(
                "{n} series has a different step from the first: {name}",
                "{n} series have a different step from the first, including {name}",
                n=len(other),
                name=name,
            )
        )
    return said


def _most(counts: Mapping[str, int]) -> str:
    """`north 12, south 3 ...`: the largest first, at most LISTED."""
    largest = sorted(((n, name) for name, n in counts.items() if n), key=lambda one: -one[0])
    return ", ".join(f"{name} {n:,}" for n, name in largest[:LISTED]) + (" ..." if len(largest) > LISTED else "")


def _origins(data: Data, one: Stretch[RegularSeries], every: int) -> Ints:
    """Forecast origins inside the stretch; a window may start before it. every: steps between origins."""
    first = max(one.rows.start, data.window) - 1
    there = one.whole.known[:, : len(data.targets())].any(axis=1)
    known = np.concatenate(([0], np.cumsum(there)))  # rows with truth before each row
    origins = np.arange(first, max(first, one.rows.stop - data.horizon), every)
    return origins[known[origins + 1 + data.horizon] > known[origins + 1]]


def _require_a_window(data: Data, one: Stretch[RegularSeries], name: str) -> None:
    """Raise DataError if no window with its forecast fits into the stretch."""
    if len(_origins(data, one, 1)):
        return
    start = one.rows.start
    needed = data.horizon + (data.window if start == 0 else max(0, data.window - start))
    raise DataError(
        trn(
            "{part} has {n} step; a window with its forecast needs {needed}",
            "{part} has {n} steps; a window with its forecast needs {needed}",
            part=tr(name),
            n=len(one),
            needed=needed,
        ),
        where=one.whole.title,
        todo=tr("lower data.window or data.horizon, or give {part} a larger share", part=name),
    )


def _part(data: Data, table: Scaled, found: Sequence[Stretch[RegularSeries]], name: str, every: int) -> Part:
    """The windows whose forecasts are inside the stretches. every: steps between origins; 0: data.stride."""
    numbers = {id(one): number for number, one in enumerate(table.series)}
    origins = [_origins(data, one, every or data.stride) for one in found]
    if not any(map(len, origins)):
        _require_a_window(data, max(found, key=len), name)
    of = [np.full(len(there), numbers[id(one.whole)]) for one, there in zip(found, origins, strict=True)]
    number = np.concatenate(of)
    return Part(table, np.concatenate(origins) + table.first[number], number)


def windows(data: Data, part: Part, rows: Sequence[int]) -> Batch:
    """inputs (window, B, I); targets (horizon, B, N), NaN without truth; extra future (horizon, B, F), offset (1, B,
    N): mean divided by standard deviation of each window's series."""
    import torch

    table, now = part.table, torch.as_tensor(part.origins[rows], dtype=torch.int64)  # (B,)
    seen = now + torch.arange(1 - data.window, 1)[:, None]  # (window, B)
    ahead = now + torch.arange(1, data.horizon + 1)[:, None]  # (horizon, B)
    F = len(data.future)
    extra = {"future": table.values[ahead][..., -F:]} if F else {}
    extra["offset"] = _offset(table)[:, part.of[rows]]
    return Batch(table.values[seen], None, table.truth[ahead], extra, rows)


def _offset(table: Scaled) -> Tensor:
    """(1, S, N) float32."""
    import torch

    return torch.from_numpy(table.mean / table.std).float()[None]


def last_windows(
    data: Data, fitted: Fitted, found: Sequence[RegularSeries], notes: list[str]
) -> tuple[Scaled, Batch, list[RegularSeries]]:
    """The last window of each series of a file, (window, S, I), the known future columns after it, and the scaled
    series. If there are several series, those shorter than a window are skipped with a note. Raises DataError."""
    import torch

    long = [one for one in found if len(one) >= data.window]
    short = [one for one in found if len(one) < data.window]
    if short:
        error = DataError(
            trn(
                "has {n} step; the model's window is {window}",
                "has {n} steps; the model's window is {window}",
                n=len(short[0]),
                window=data.window,
            ),
            where=short[0].title,
        )
        if not long:
            raise error
        notes.append(_too_short([error] * len(short)))
    table = _scaled_anew(data, fitted, long, notes)
    ends = torch.as_tensor(table.first + np.array([len(one) for one in long]))  # (S,)
    inputs = table.values[ends + torch.arange(-data.window, 0)[:, None]]  # (window, S, I)
    extra = {"offset": _offset(table)}
    if data.future:
        extra["future"] = torch.stack([_ahead(data, fitted, one) for one in long], dim=1)  # (horizon, S, F)
    return table, Batch(inputs, extra=extra), long


def _ahead(data: Data, fitted: Fitted, series: RegularSeries) -> Tensor:
    """The file's future columns, (horizon, F) float32, scaled."""
    import torch

    F = len(data.future)
    mean, std = np.array(fitted.mean), np.array(fitted.std)
    ahead = ((series.ahead[: data.horizon] - mean) / std)[:, -F:].astype(np.float32)
    if len(ahead) < data.horizon or np.isnan(ahead).any():
        raise DataError(
            trn(
                "the file lacks the next {n} step of {columns}",
                "the file lacks the next {n} steps of {columns}",
                n=data.horizon,
                columns=", ".join(map(str, data.future)),
            ),
            where=series.title,
            todo=tr("add rows after the last one, with these columns filled in and the target empty"),
        )
    return torch.from_numpy(ahead)

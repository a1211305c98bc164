"""Data that a program holds (texts, rows, columns, arrays) as a file that the tasks read."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from datetime import date
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from rnncli.errors import UsageError
from rnncli.files import write_output
from rnncli.locale import tr
from rnncli.records import Json


@runtime_checkable
class Frame(Protocol):
    """A data frame, as pandas has it. A Series has no columns: it is a list of its values."""

    index: Any

    @property
    def columns(self) -> object: ...

    def reset_index(self) -> Frame: ...

    def to_dict(self, orient: Any) -> Any: ...


@runtime_checkable
class _Scalar(Protocol):
    """A number of numpy or torch."""

    def item(self) -> object: ...


Values: TypeAlias = "Frame | Mapping[str, Any] | Iterable[Any]"
Data: TypeAlias = "str | PathLike[str] | Values"


def path_of(data: Data, folder: Path) -> str:
    """A path as it is; values written to `folder`, into a file that is called by its content.

    Texts (a list, an array, a Series) become a text file, a line each; rows (dicts, a data frame, or a dict of columns)
    JSON Lines; a dict of arrays with more than one axis an .npz. Raises UsageError: anything else; CannotWrite.
    """
    if isinstance(data, str | PathLike):
        return fspath(data)
    suffix, content = _written(data)
    path = folder / f"{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_output(path, content)
    return str(path)


def _written(values: Values) -> tuple[str, bytes]:
    if isinstance(values, Frame):
        frame = values.reset_index() if values.index.name is not None else values  # a column of dates, named
        return _rows(frame.to_dict("records"))
    if isinstance(values, Mapping):
        if any(_axes(value) > 1 for value in values.values()):
            return _arrays(values)
        columns = {name: list(column) for name, column in values.items()}
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise UsageError(tr("the columns differ in length: {lengths}", lengths=lengths), where="data")
        return _rows(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    given: list[object] = list(values)
    if given and all(isinstance(one, str) for one in given):
        return ".txt", "".join(f"{text}\n" for text in given).encode("utf-8")
    rows = [one for one in given if isinstance(one, Mapping)]
    if rows and len(rows) == len(given):
        return _rows(rows)
    if given and all(_is_number(one) for one in given):
        raise UsageError(
            tr("a list of numbers has no column name"),
            where="data",
            todo=tr("give a dict of columns, such as {example}", example='{"value": [1.5, 2.5]}'),
        )
    other = next((one for one in given if not isinstance(one, str)), None)
    kind = type(other).__name__ if given else tr("nothing")
    raise UsageError(
        tr("data from {kind} cannot be read", kind=kind),
        where="data",
        todo=tr("give texts, or rows as dicts, such as {example}", example='[{"text": "...", "label": "..."}]'),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) or (isinstance(value, _Scalar) and _axes(value) == 0)


def _axes(value: object) -> int:
    shape = vars(type(value)).get("shape")
    return 0 if shape is None else len(value.shape)  # type: ignore[attr-defined]  # an array


def _rows(rows: Iterable[Mapping[object, object]]) -> tuple[str, bytes]:
    lines = (json.dumps({str(key): _cell(value) for key, value in row.items()}, ensure_ascii=False) for row in rows)
    return ".jsonl", "".join(f"{line}\n" for line in lines).encode("utf-8")


def _cell(value: object) -> Json:
    """A number, a text, a date as a text; None where a cell is empty."""
    if isinstance(value, date):  # a Timestamp is one
        return value.isoformat()
    if isinstance(value, _Scalar):
        value = value.item()
    if value != value:  # NaN, and pandas's NaT
        return None
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def _arrays(values: Mapping[str, object]) -> tuple[str, bytes]:
    import numpy as np

    arrays = {name: np.asarray(value) for name, value in values.items()}
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy < 2.1 would save an allow_pickle as an array
    return ".npz", file.getvalue()

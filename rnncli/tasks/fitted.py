"""Preprocessing state fitted on the training split: dataclasses stored in vocab.json."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from rnncli.data.vocab import WRITTEN, Kind, Vocab
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.records import Json


@dataclass(frozen=True)
class FittedState:
    """Everything fitted on the training split (tokens, labels, scaling): a run stores it in vocab.json, and `build` and
    `predict` need nothing else from the data.

    Each task defines a frozen dataclass whose fields, in order, are the keys of vocab.json: Vocab, str, numbers,
    Literal, lists of these, dataclasses of these, and `... | None` for optional keys.
    """

    def to_json(self) -> dict[str, Json]:
        hints = get_type_hints(type(self))
        found = {}
        for name, value in vars(self).items():
            if value is not None:
                found[name] = WRITTEN.get(value, value) if hints[name] == Kind else _to_json(value)
        return found

    @classmethod
    def from_json(cls, value: Json, *, where: str = "") -> Self:
        """Inverse of to_json. Raises DataError: a key is missing or has a value of the wrong type."""
        return _from_json(cls, value, "", where)  # type: ignore[no-any-return]


def _to_json(value: Any) -> Json:
    if isinstance(value, Vocab | FittedState):
        return value.to_json()
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    return dict(vars(value)) if is_dataclass(value) else value


def _from_json(hint: Any, value: Json, key: str, where: str) -> Any:
    """Convert a JSON value to a field's type. key: its location, for error messages."""
    kind, arguments = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        (inner,) = (arm for arm in arguments if arm is not NoneType)
        return None if value is None else _from_json(inner, value, key, where)
    if hint == Kind and isinstance(value, str):
        value = next((kind for kind, written in WRITTEN.items() if written == value), value)
    if hint is Vocab:
        return Vocab.from_json(value, where=where)
    if is_dataclass(hint) and isinstance(value, dict):
        hints = get_type_hints(hint)
        names = [field.name for field in fields(hint)]
        inside = {name: _from_json(hints[name], value.get(name), f"{key}.{name}".lstrip("."), where) for name in names}
        return hint(**inside)  # type: ignore[operator]
    if kind is list and isinstance(value, list):
        return [_from_json(arguments[0], item, f"{key}[{n}]", where) for n, item in enumerate(value)]
    fits = value in arguments if kind is Literal and isinstance(value, str) else isinstance(value, str) and hint is str
    if isinstance(value, int | float) and not isinstance(value, bool):
        fits = hint is float or (hint is int and isinstance(value, int))
    if not fits:
        why = f"{key or 'vocab.json'}: {value!r:.60}"
        raise DataError(tr("this file does not match the run's recipe: {why}", why=why), where=where)
    return value

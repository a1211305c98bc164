"""What the training part taught a task's reader: dataclasses that go to vocab.json and come back."""

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
    """All that the training part taught the reader (tokens, labels, scaling): a run keeps it in vocab.json, and `build`
    and `predict` need nothing else of the data.

    A task's own is a frozen dataclass whose fields, in their order, are the keys of vocab.json: Vocab, text, numbers,
    Literal, lists of these, dataclasses of these, and `... | None` for a key that need not be there.
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
        """What to_json made. Raises DataError: a key is missing, or what it holds is of another kind."""
        return _from_json(cls, value, "", where)  # type: ignore[no-any-return]


def _to_json(value: Any) -> Json:
    if isinstance(value, Vocab | FittedState):
        return value.to_json()
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    return dict(vars(value)) if is_dataclass(value) else value


def _from_json(hint: Any, value: Json, key: str, where: str) -> Any:
    """A JSON value as the type of a field. key: where it stands, for the error."""
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
        raise DataError(tr("this file does not fit the run's recipe: {why}", why=why), where=where)
    return value

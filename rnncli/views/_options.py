"""Parse the options of a view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rnncli.errors import UsageError, checked_number
from rnncli.locale import tr
from rnncli.views._view import Options

Steps = str | int | slice | range
Units = str | int | Sequence[int]


def parse_options(
    *,
    steps: Steps | None,
    units: Units | None,
    layer: int | None,
    direction: str | None,
    core: str | None,
    loss: str | None,
    variant: str | None,
    lags: int | None = None,
    change: str | Sequence[str] = (),
    from_input: str | None = None,
) -> Options:
    """Parse options given as text: steps such as 0:20, units such as 0-7,12. Raises UsageError."""
    if direction not in (None, "fwd", "bwd"):
        raise UsageError(tr("the direction must be fwd or bwd"), where="--direction")
    if loss not in (None, "last", "all"):
        raise UsageError(tr("the loss must be last or all"), where="--loss")
    return Options(
        steps=None if steps is None else _steps(steps),
        units=None if units is None else _units(units),
        layer=layer,
        direction=direction,  # type: ignore[arg-type]
        core=core,
        loss=loss,  # type: ignore[arg-type]
        variant=variant,
        lags=lags,
        change=((change,) if isinstance(change, str) else tuple(change)) or None,
        from_input=from_input,
    )


def _steps(text: Steps) -> slice:
    """0:20, :20, -10:, 7 -> a slice of the time axis."""
    if isinstance(text, slice | range):
        if text.step not in (None, 1):
            raise UsageError(tr("steps must be contiguous: {steps}", steps=text), where="--steps")
        return slice(text.start, text.stop)
    start, colon, stop = str(text).partition(":")
    try:
        if not colon:
            one = int(start)
            return slice(one, one + 1 or None)
        return slice(int(start) if start else None, int(stop) if stop else None)
    except ValueError as error:
        raise UsageError(
            tr("not a valid step range: {text!r}", text=text), where="--steps", todo=tr("for example 0:20, -10: or 7")
        ) from error


def units_of(given: int | Iterable[int]) -> tuple[int, ...]:
    """A unit, or several, as plain numbers. Raises UsageError."""
    several: list[int]
    try:
        several = list(given)  # type: ignore[arg-type]
    except TypeError:  # a number, also of numpy or torch
        several = [given]  # type: ignore[list-item]
    return tuple(checked_number("--units", unit) for unit in several)


def _units(text: Units) -> tuple[int, ...]:
    """0-7,12 -> 0 ... 7, 12."""
    if not isinstance(text, str):
        return units_of(text)
    found: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            begin, end = int(first), int(last if dash else first)
            if end < begin or end - begin > 100_000:
                raise ValueError(part)
            found += range(begin, end + 1)
    except ValueError as error:
        raise UsageError(
            tr("not a valid list of units: {text!r}", text=text),
            where="--units",
            todo=tr("for example 7, 0-7 or 0-3,12"),
        ) from error
    return tuple(dict.fromkeys(found))

"""Settings of a demo: the article's variables and a few more, validated before torch is imported."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from rnncli import names
from rnncli.cells import CoreSpec, checked_options
from rnncli.errors import RecipeError, UsageError, checked_number
from rnncli.locale import tr
from rnncli.names import OptionValue, option_text
from rnncli.recipe.parse import parse
from rnncli.records import Json

WRITTEN = {"weight_ih": "W_ih", "weight_hh": "W_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}  # weights in equations
WITH_INPUT_HIDDEN = 4  # --input: hidden size of the recipe `hello`, so that the numbers match
_MOST = 2**63 - 1  # largest size that torch accepts
TOLERANCE = 0.01  # accepts sums of numbers rounded to two or three digits
Value = str | int | bool | tuple[tuple[str, OptionValue], ...]
_SIZES = ("seq_len", "batch_size", "input_size", "hidden_size", "num_layers")


@dataclass(frozen=True)
class Settings:
    """Settings of a demo. The defaults are the article's.

    nice: easy numbers, multiples of 0.5. input: a text read character by character instead of random numbers. source:
    the file of --from, with some of x, h_0, c_0 and the weights. options: (name, value) of the cell's options that
    differ from their defaults.
    """

    seq_len: int = 3
    batch_size: int = 1
    input_size: int = 4
    hidden_size: int = 2
    num_layers: int = 1
    bidirectional: bool = False
    cell: str = "rnn"
    nonlinearity: str = "tanh"
    bias: bool = True
    seed: int = 0
    dtype: str = "float32"
    device: str = "cpu"
    nice: bool = False
    input: str | None = None
    source: str | None = None
    options: tuple[tuple[str, OptionValue], ...] = ()

    def __post_init__(self) -> None:
        for name in _SIZES:
            n, flag = getattr(self, name), option(name)
            object.__setattr__(self, name, checked_number(flag, n))
            if n < 1:
                raise UsageError(tr("{option} is {n}, but must be at least 1", option=flag, n=n))
            if n > _MOST:
                raise UsageError(tr("{option} is too large", option=flag))
        for name, known in (
            ("cell", names.CELLS),
            ("nonlinearity", names.NONLINEARITIES),
            ("dtype", names.DTYPES),
            ("device", names.DEVICES),
        ):
            require_known(option(name), getattr(self, name), known)
        if self.nonlinearity not in names.CELLS[self.cell].nonlinearities:
            raise UsageError(
                tr("--nonlinearity {name} is not available for {cell}", name=self.nonlinearity, cell=self.cell),
                todo=tr("its nonlinearities are fixed; --cell rnn and feedforward support a choice"),
            )
        spec = spec_for(self)
        object.__setattr__(self, "options", spec.options)
        for name, what in names.CELLS[self.cell].fits(spec.all_options, self.hidden_size).items():
            raise UsageError(what, where=f"--set {name}")
        object.__setattr__(self, "seed", checked_number("--seed", self.seed))
        if not -(2**63) <= self.seed < 2**64:
            raise UsageError(tr("--seed does not fit in 64 bits"))

    @property
    def single(self) -> bool:
        """Whether there is one layer and direction, as in torch's *Cell classes."""
        return self.num_layers == 1 and not self.bidirectional

    def command(self, *more: str) -> str:
        """The command line of this demo, followed by `more`."""
        words = ["rnncli", "demo"]
        default = Settings() if self.input is None else Settings(hidden_size=WITH_INPUT_HIDDEN)
        # Settings implied by the file or text are omitted.
        inferred: tuple[str, ...] = ()
        if self.source is not None:
            inferred = (*_SIZES, "bidirectional", "cell", "nonlinearity", "bias", "options")
        elif self.input is not None:
            inferred = ("seq_len", "batch_size", "input_size")
        for field in fields(self):
            if field.name not in inferred and getattr(self, field.name) != getattr(default, field.name):
                words += self.flags(field.name)
        return " ".join([*words, *more])

    def flags(self, name: str) -> list[str]:
        """The options that give this field, or this option of the cell, its value, as typed."""
        options = dict(self.options)
        if name in options:
            return [f"--set {shlex.quote(f'{name}={option_text(options[name])}')}"]
        if name == "options":
            return [flag for key in options for flag in self.flags(key)]
        if name == "bias":
            return ["--no-bias"]
        value = getattr(self, name)
        return [option(name) if isinstance(value, bool) else f"{option(name)} {shlex.quote(str(value))}"]

    def config(self) -> dict[str, Json]:
        """Settings for JSON, except those already in the envelope."""
        apart = ("seed", "dtype", "device", "options") + (() if self.nice else ("nice",))
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in apart}
        values |= {name: list(value) if isinstance(value, tuple) else value for name, value in self.options}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class DemoOptions:
    """The options as typed; None if not typed, so that a file or text can determine them."""

    seq_len: int | None = None
    batch_size: int | None = None
    input_size: int | None = None
    hidden_size: int | None = None
    num_layers: int | None = None
    bidirectional: bool | None = None
    cell: str | None = None
    nonlinearity: str | None = None
    bias: bool | None = None
    seed: int | None = None
    dtype: str | None = None
    device: str | None = None
    nice: bool | None = None
    input: str | None = None
    options: tuple[tuple[str, OptionValue], ...] | None = None

    def typed(self) -> dict[str, Value]:
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}

    def settings(self) -> Settings:
        """The typed settings with defaults for the rest. Raises UsageError."""
        typed = self.typed()
        if self.input is None:
            return with_values(Settings(), typed)
        if not self.input:
            raise UsageError(tr("--input must not be empty"), todo=tr("for example: --input hello"))
        sizes = {"seq_len": len(self.input), "batch_size": 1, "input_size": len(characters_of(self.input))}
        for name, size in sizes.items():
            if typed.get(name, size) != size:
                what = tr("{option} {n} does not match --input, whose {name} is {size}",
                          option=option(name), n=typed[name], name=name, size=size)  # fmt: skip
                raise UsageError(what, todo=tr("omit {option}", option=option(name)))
        return with_values(Settings(hidden_size=WITH_INPUT_HIDDEN), typed | sizes)


@dataclass(frozen=True)
class Shown:
    """What to show of a demo. explain: a step, `all`, or None. explain_backward: a step, or None.

    blanks: leave results empty, below a name line and the equations. title: of a worksheet and its key. check: a
    filled-in worksheet to grade within tolerance (None: TOLERANCE). steps, units: as typed, such as 0:20 and 0-7. draw:
    draw the network, with the cell of that layer, direction and step opened at one unit; moving: animate it when saved.
    walking: draw every step.
    """

    explain: str | None = None
    explain_backward: str | None = None
    blanks: bool = False
    title: str = ""
    check: str | None = None
    tolerance: float | None = None
    proofs: bool = False
    steps: str | None = None
    units: str | None = None
    full: bool = False
    draw: bool = False
    moving: bool = False
    step: int | None = None
    unit: int | None = None
    layer: int | None = None
    direction: str | None = None
    walking: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "tolerance", checked_number("--tolerance", self.tolerance, 0, whole=False))
        for name in ("step", "unit", "layer"):
            object.__setattr__(self, name, checked_number(f"--{name}", getattr(self, name), 0))


def typed_options(sets: Sequence[str], cells: Sequence[str]) -> dict[str, object]:
    """The values by name. Raises UsageError if one cannot be parsed, or like `known_options`."""
    return known_options(parsed_options(sets), cells)


def parsed_options(sets: Sequence[str]) -> dict[str, object]:
    """Parse `KEY=VALUE` texts of --set like a recipe. Raises UsageError."""
    found = dict[str, object]()
    for text in sets:
        name, equals, written = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(
                tr("--set takes KEY=VALUE, got {text!r}", text=text),
                todo=tr("for example --set {key}", key="peephole=true"),
            )
        name = name.strip().removeprefix("model.")
        try:
            found[name] = parse(written, "--set")[0].value()
        except RecipeError:
            found[name] = written
    return found


def known_options(values: Mapping[str, object], cells: Sequence[str]) -> dict[str, object]:
    """The values by name. Raises UsageError if one is not an option of any of these cells."""
    known = [names.CELLS[cell].options for cell in cells if cell in names.CELLS]
    for name in values:
        if not any(name in options for options in known):
            checked_options(cells[0], {name: values[name]})
    return dict(values)


def options_of(cell: str, values: Mapping[str, object]) -> tuple[tuple[str, OptionValue], ...]:
    """The values that are options of this cell, converted to their types. Raises UsageError."""
    known = names.CELLS[cell].options if cell in names.CELLS else {}
    own = {name: value for name, value in values.items() if name in known}
    return tuple(checked_options(cell, own).items()) if own else ()


def with_values(settings: Settings, values: Mapping[str, Value]) -> Settings:
    """A validated copy of the settings with some fields replaced."""
    return replace(settings, **values)  # type: ignore[arg-type]  # names and types are the fields' own


def spec_for(settings: Settings) -> CoreSpec:
    return CoreSpec(
        cell=settings.cell,
        nonlinearity=settings.nonlinearity,
        input_size=settings.input_size,
        hidden_size=settings.hidden_size,
        num_layers=settings.num_layers,
        bidirectional=settings.bidirectional,
        bias=settings.bias,
        options=settings.options,
    )


def characters_of(text: str) -> list[str]:
    """The distinct characters of a text, sorted: the vocabulary of --input."""
    return sorted(set(text))


def option(name: str) -> str:
    """hidden_size -> --hidden-size; source -> --from."""
    return "--from" if name == "source" else f"--{name.replace('_', '-')}"


def require_known(what: str, name: str, known: Collection[str]) -> None:
    """Raise UsageError, with the nearest name, if `name` is unknown."""
    if name in known:
        return
    near = names.nearest(name, known)
    raise UsageError(
        tr("unknown {what} {name!r}", what=what, name=name),
        todo=tr("did you mean {near}? Known: {known}", near=near, known=", ".join(known))
        if near
        else tr("known: {known}", known=", ".join(known)),
    )


def choose(text: str | None, size: int, flag: str) -> list[int]:
    """`0:20` (end exclusive), `0-7` (inclusive), `3`, or a comma-separated list -> indices below `size`.

    None selects all. Raises UsageError if the text cannot be parsed or is out of range.
    """
    if text is None:
        return list(range(size))
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(?:(\d+)|(\d+)\s*-\s*(\d+)|(\d*)\s*:\s*(\d*))\s*", part)
        if match is None or len(part) > 40:
            raise UsageError(
                tr("not a valid {flag}: {text!r}", flag=flag, text=text[:40]),
                todo=tr("for example {flag} 3, {flag} 0-7, {flag} 0:20 or {flag} 0,2,5", flag=flag),
            )
        one, first, last, start, stop = match.groups()
        if one is not None:
            begin, end = int(one), int(one) + 1
        elif first is not None:
            begin, end = int(first), int(last) + 1
        else:
            begin, end = int(start or 0), int(stop) if stop else size
        if begin >= size or begin >= end:
            raise UsageError(
                tr("{flag} {text} is out of range: 0 to {last}", flag=flag, text=part.strip(), last=size - 1),
            )
        found += range(begin, min(end, size))
    return list(dict.fromkeys(found))

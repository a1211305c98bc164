"""What a sweep runs: the varying values, as typed; the resulting trials; the folder of each run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from rnncli.errors import Fault, RecipeError, UsageError, checked_number
from rnncli.locale import tr
from rnncli.recipe.document import typed_of
from rnncli.recipe.parse import flow_text, yaml_value
from rnncli.recipe.show import labels_of, leaves, plain
from rnncli.records import Json
from rnncli.tasks import Recipe, load_recipe

MOST_RUNS = 10_000
LONGEST_NAME = 100
# A sweep compares its own trials: no run trains a second network for comparison unless requested.
_ALONE: dict[str, object] = {"train.control": False, "train.compare": []}
Flags = Mapping[str, tuple[str, object]]


@dataclass(frozen=True)
class Space:
    """A search space. kind: log and float are ranges of numbers, int of integers; choice has `choices`."""

    kind: str
    low: float = 0.0
    high: float = 0.0
    choices: tuple[str, ...] = ()
    text: str = ""  # as typed

    def ends(self) -> tuple[str, ...]:
        """Values to validate a recipe with: if these are valid, those in between are, too."""
        return self.choices if self.kind == "choice" else (value_text(self.low), value_text(self.high))


@dataclass(frozen=True)
class Trial:
    """settings: dotted key -> its text, as for --set. name: of its folder."""

    settings: Mapping[str, str]
    name: str


@dataclass(frozen=True)
class Plan:
    """A requested sweep. target, sets, flags: as for load_recipe. recipe: of its first trial. base: the recipe's fixed
    values. grid: key -> its texts; search: key -> its space; one of the two is empty."""

    target: str
    sets: tuple[str, ...]
    flags: Flags
    recipe: Recipe
    base: Mapping[str, Json]
    grid: Mapping[str, tuple[str, ...]]
    search: Mapping[str, Space]
    seeds: tuple[int, ...]
    match_params: int | None = None
    trials: int = 0

    @property
    def metric(self) -> str:
        return self.recipe.config.train.best_by

    @property
    def lower(self) -> bool:
        """Whether a lower score is better."""
        return self.recipe.task.METRICS[self.metric] == "lower"

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.grid or self.search)

    def load(self, settings: Mapping[str, str], seed: int | None = None) -> Recipe:
        """The recipe of a trial."""
        return load_recipe(self.target, self.sets_of(settings), self.flags_of(seed))

    def sets_of(self, settings: Mapping[str, str]) -> list[str]:
        return [*self.sets, *(f"{key}={value}" for key, value in settings.items())]

    def flags_of(self, seed: int | None) -> dict[str, tuple[str, object]]:
        return {**self.flags, **({} if seed is None else {"train.seed": ("--seeds", seed)})}

    def cells(self) -> list[Trial]:
        """The trials of a grid, the last key varying fastest."""
        return [Trial(settings, trial_name(settings)) for settings in combinations(self.grid)]


def make_plan(
    target: str,
    sets: Sequence[str],
    flags: Flags,
    *,
    grid: Sequence[str] | Mapping[str, Iterable[object]] = (),
    search: Sequence[str] | Mapping[str, str | Iterable[object]] = (),
    seeds: int = 1,
    match_params: int | None = None,
    trials: int | None = None,
) -> Plan:
    """Parse and check the command line. grid, search: `key=...` texts, or key -> values.

    Raises UsageError, and RecipeError with the errors of all trials: nothing starts before all trials are valid.
    """
    if grid and search:
        raise UsageError(
            tr("--grid and --search cannot be combined"),
            todo=tr("a search supports choices, too: --search model.cell=rnn,gru"),
        )
    if not grid and not search:
        raise UsageError(
            tr("nothing to vary"),
            where="rnncli sweep",
            todo=tr("for example: --grid model.cell=rnn,gru,lstm --seeds 3"),
        )
    seeds, trials = checked_number("--seeds", seeds, 1, 1000), checked_number("--trials", trials, 1)
    match_params = checked_number("--match-params", match_params, 1)
    if trials is not None and not search:
        raise UsageError(tr("--trials requires --search"), todo=tr("a grid runs every combination"))
    values = {key: grid_values(key, given) for key, given in _by_key("--grid", grid).items()}
    spaces = {key: parse_space(key, given) for key, given in _by_key("--search", search).items()}
    typed = set(typed_of(sets)) | set(flags)
    _check_keys([*values, *spaces], typed, match_params)
    option, n_trials = ("--grid", 0) if values else ("--search", 50 if trials is None else trials)
    alone = {key: (option, value) for key, value in _ALONE.items() if key not in typed and key not in values | spaces}
    tried = values or {key: space.ends() for key, space in spaces.items()}
    count = seeds * (n_trials or prod(map(len, tried.values())))
    if count > MOST_RUNS or prod(map(len, tried.values())) > MOST_RUNS:
        raise UsageError(tr("more than {n} runs", n=f"{MOST_RUNS:,}"), todo=tr("use fewer values or seeds"))
    recipe = _check_trials(target, sets, {**flags, **alone}, tried, option)
    plan = Plan(target, tuple(sets), {**flags, **alone}, recipe, {}, values, spaces, (), match_params, n_trials)
    began = plan.recipe.config.train.seed
    left_out = {*plan.keys, "train.seed", *(["model.hidden_size"] if match_params else [])}
    base = {key: value for key, value in leaves(plain(plan.recipe.config)) if not _under(key, left_out)}
    return replace(plan, base=base, seeds=tuple(range(began, began + seeds)))


Given = str | Iterable[object]  # the values of a key: as typed, or one by one


def _by_key(option: str, texts: Sequence[str] | Mapping[str, Given]) -> Mapping[str, Given]:
    if isinstance(texts, Mapping):
        return texts
    found: dict[str, Given] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not all(key.split(".")) or not value.strip():
            such = "--grid model.cell=rnn,gru" if option == "--grid" else "--search train.lr=log:1e-4..1e-1"
            raise UsageError(
                tr("{option} takes KEY=VALUES, got {text!r}", option=option, text=text),
                todo=tr("for example {x}", x=such),
            )
        if key in found:
            raise UsageError(tr("{key} is given twice", key=key), where=option, todo=tr("give its values once, a,b,c"))
        found[key] = value.strip()
    return found


def _check_keys(keys: Sequence[str], typed: set[str], match_params: int | None) -> None:
    fixed = {  # these would make trials incomparable
        "task": tr("use one sweep per task"),
        "format": tr("omit it"),
        "train.seed": tr("use --seeds 5, counting up from --seed"),
        "train.best_by": tr("use --set train.best_by=METRIC, the same for every trial"),
    }
    for key in keys:
        if key in fixed:
            raise UsageError(tr("{key} cannot vary within a sweep", key=key), todo=fixed[key])
        if key in typed:
            raise UsageError(tr("{key} is both set and varied", key=key), todo=tr("omit one of them"))
        if any(other.startswith(f"{key}.") for other in keys):
            raise UsageError(tr("both {key} and one of its keys vary", key=key), todo=tr("omit one of them"))
    if match_params is not None and "model.hidden_size" in {*keys, *typed}:
        raise UsageError(
            tr("--match-params chooses model.hidden_size"), todo=tr("omit model.hidden_size or --match-params")
        )


def _check_trials(
    target: str, sets: Sequence[str], flags: Flags, tried: Mapping[str, Sequence[str]], option: str
) -> Recipe:
    """Check that every combination is a valid recipe and no two are equal; returns the first. A search is checked at
    the ends of its ranges."""
    faults: list[Fault] = []
    seen: dict[str, str] = {}
    first: Recipe | None = None
    for settings in combinations(tried):
        try:
            recipe = load_recipe(target, [*sets, *(f"{key}={text}" for key, text in settings.items())], flags)
        except RecipeError as error:
            if not error.faults:
                raise
            faults += [_placed(fault, settings, option) for fault in error.faults]
            continue
        first = first or recipe
        one, other = seen.setdefault(repr(recipe.config), described(settings)), described(settings)
        if one != other and option == "--grid":
            raise UsageError(tr("{one} and {other} are the same recipe", one=one, other=other), where=option)
    if faults or first is None:
        unique = list(dict.fromkeys(faults))
        raise RecipeError(tr("not every trial is a valid recipe"), unique[:20], where=target)
    return first


def _placed(fault: Fault, settings: Mapping[str, str], option: str) -> Fault:
    if fault.key in settings and fault.where == "--set":
        return replace(fault, where=f"{option} {fault.key}={settings[fault.key]}")
    return fault


def combinations(grid: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    """Every choice of one value per key, the last key varying fastest."""
    return (dict(zip(grid, values, strict=True)) for values in product(*grid.values()))


def grid_values(key: str, given: Given) -> tuple[str, ...]:
    """The texts of `a,b,c`, or of values; commas inside brackets or quotes do not separate. Raises UsageError."""
    if isinstance(given, str):
        text, parts = given, [part.strip() for part in _split(given)]
    else:
        plain = [yaml_value(value, key) for value in given]
        parts = [value if isinstance(value, str) else flow_text(value) for value in plain]
        text = ",".join(parts)
    if not parts:
        raise UsageError(tr("{key} has an empty list of values", key=key), todo=tr("give one or more values"))
    if not all(parts):
        raise UsageError(
            tr("{key} has an empty value in {text!r}", key=key, text=text), todo=tr("separate values by commas: a,b,c")
        )
    double = next((part for part in parts if parts.count(part) > 1), None)
    if double is not None:
        raise UsageError(tr("{key} has {value} twice", key=key, value=double), todo=tr("omit one of them"))
    return tuple(parts)


def _split(text: str) -> list[str]:
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"" and not parts[-1].strip():
            quote = character
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        elif character == "," and depth <= 0:
            parts.append("")
            continue
        parts[-1] += character
    return parts


_RANGE = re.compile(r"(?:(log|int):)?([^,:]+?)\.\.([^,:]+)")


def parse_space(key: str, given: Given) -> Space:
    """`log:1e-4..1e-1`, `0..0.5`, `int:8..128`, or choices `a,b,c`. Raises UsageError."""
    text = given if isinstance(given, str) else ",".join(grid_values(key, given))
    found = _RANGE.fullmatch(text)
    if found is None:
        if (re.match(r"\w+:", text) and ".." in text) or len(grid_values(key, text)) < 2:
            raise UsageError(
                tr("{text!r} is neither a range nor a list of choices", text=text),
                where=f"--search {key}",
                todo=tr("log:1e-4..1e-1, 0..0.5, int:8..128, or a,b,c"),
            )
        return Space("choice", choices=grid_values(key, text), text=text)
    kind = found[1] or "float"
    try:
        low, high = (int(part) if kind == "int" else float(part) for part in found.groups()[1:])
    except ValueError:
        low = high = float("nan")
    if not (abs(low) < 1e300 and abs(high) < 1e300 and low < high and (kind != "log" or low > 0)):
        raise UsageError(
            tr("{text!r} is not a range: needs two numbers, the smaller one first", text=text),
            where=f"--search {key}",
            todo=tr("log: needs positive numbers, int: integers"),
        )
    return Space(kind, low, high, text=text)


def value_text(value: float | str) -> str:
    """A value in --set syntax: integers without a decimal point, others with all digits."""
    return value if isinstance(value, str) else repr(value)


def trial_name(settings: Mapping[str, str]) -> str:
    """The folder name of a trial, a function of its settings alone: keys by their last component if unambiguous, as in
    version 0.1. Readable for short values; if characters had to be removed or the name is long, a hash of the settings
    keeps it unique."""
    ends = [key.rpartition(".")[2] for key in settings]
    parts = zip(settings.items(), ends, strict=True)
    name = ",".join(f"{end if ends.count(end) == 1 else key}={value}" for (key, value), end in parts)
    safe = re.sub(r"[^\w.=,+-]+", "-", name, flags=re.ASCII)
    if safe == name and len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(repr(sorted(settings.items())).encode("utf-8", "replace")).hexdigest()[:8]
    return f"{safe[:LONGEST_NAME]}-{digest}"


def described(settings: Mapping[str, str]) -> str:
    """`cell=lstm,hidden_size=16`: keys without their section if unambiguous."""
    labels = labels_of(tuple(settings))
    return ",".join(f"{labels[key]}={value}" for key, value in settings.items())


def _under(key: str, keys: set[str]) -> bool:
    return any(key == other or key.startswith(f"{other}.") for other in keys)

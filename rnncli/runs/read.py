"""Reads run folders without torch: settings, metrics, time, and whether they are still running."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rnncli.errors import DataError, RecipeError, RnncliError
from rnncli.files import FolderLock, atomic_write, read_json, read_lines, shown
from rnncli.locale import tr
from rnncli.recipe.parse import parse
from rnncli.recipe.show import leaves
from rnncli.records import Json, json_number, json_object
from rnncli.runs.manifest import MANIFEST

DEPTH = 4  # maximum depth below the given folder: sweeps/NAME-001/TRIAL/seed-0
MOST_FOLDERS = 10_000  # maximum number of non-run folders to search
ENDED = "ended.json"  # in a run that a sweep ended without a result: the reason
State = Literal["finished", "running", "stopped", "diverged", "pruned", "broken"]


@dataclass(frozen=True)
class RunSummary:
    """settings: dotted key -> value. metrics: of the best epoch, on split `on`. epochs: the lines of metrics.jsonl.
    seconds: training time. note: why it is broken, or ended early. modified: Unix time in seconds. last_epoch: of
    training. data: its hash, if known."""

    folder: Path
    state: State
    settings: Mapping[str, Json] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    on: str = ""
    best_epoch: int = 0
    epochs: Sequence[Mapping[str, Json]] = field(default_factory=list)
    seconds: float | None = None
    note: str = ""
    modified: float = 0.0
    last_epoch: int = 0
    data: str = ""

    @property
    def best_by(self) -> str:
        return str(self.settings.get("train.best_by", "loss"))

    @property
    def score(self) -> float | None:
        """The metric that selected the kept epoch."""
        return self.metrics.get(self.best_by)


def find_runs(folder: Path) -> tuple[list[Path], bool]:
    """(every run folder at or below `folder`, sorted by name; whether the search was complete: after MOST_FOLDERS other
    folders it goes no deeper). Raises DataError: no such folder, or unreadable."""
    if not os.path.isdir(folder):
        what = tr("this is a file; expected a folder") if os.path.exists(folder) else tr("no such folder")
        raise DataError(what, where=shown(folder), todo=tr("give a folder that contains runs"))
    try:
        os.listdir(folder)
    except OSError as error:
        raise DataError(tr("cannot be read: {why}", why=error.strerror or str(error)), where=shown(folder)) from error
    found: list[Path] = []
    level, looked = [folder], 0
    for depth in range(DEPTH + 1):
        below: list[Path] = []
        for one in level:
            if any(os.path.isfile(one / name) for name in ("recipe.yaml", MANIFEST)):
                found.append(one)
                continue
            if looked == MOST_FOLDERS:
                return sorted(found), False
            looked += 1
            if depth < DEPTH:
                below += _inner(one)
        level = below
    return sorted(found), True


def _inner(folder: Path) -> list[Path]:
    """Its subfolders, sorted by name, without links and hidden ones."""
    try:
        with os.scandir(folder) as entries:
            inner = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:  # treat an unreadable folder as empty
        return []
    return [folder / name for name in inner if not name.startswith(".")]


def read_run(folder: Path, *, curves: bool = True) -> RunSummary:
    """The current state of a run, broken or not: bad file contents raise nothing. curves: read every epoch, not only
    the last."""
    try:
        dated = (folder / name for name in ("recipe.yaml", "metrics.jsonl", "result.json"))
        modified = max(path.stat().st_mtime for path in dated if os.path.exists(path))
    except (OSError, ValueError):
        modified = 0.0
    settings: dict[str, Json] = {}
    try:
        settings = read_recipe(folder)
        result = read_json(folder / "result.json") if os.path.exists(folder / "result.json") else {}
        ended = read_json(folder / ENDED) if os.path.exists(folder / ENDED) else {}
        epochs = read_log(folder / "metrics.jsonl") if curves or not result else []
        timing = read_log(folder / "timing.jsonl")
        with blaming("timing.jsonl"):
            seconds = json_number(timing[-1]["seconds"]) if timing else None
        with blaming("result.json" if result else "metrics.jsonl"):
            on, metrics, best = _figures(result, epochs)
            last = int(json_number(result["epochs"])) if result else best
    except RnncliError as error:
        if pid := FolderLock.holder(folder):  # it has just started
            return RunSummary(folder, "running", settings, note=tr("process {pid}", pid=pid))
        return RunSummary(folder, "broken", settings, note=_why(error), modified=modified)
    note = ""
    if result:
        state: State = "finished"
    elif pid := FolderLock.holder(folder):
        state, note = "running", tr("process {pid}", pid=pid)
    elif (end := ended.get("state")) == "diverged" or end == "pruned":
        state, note = end, str(ended.get("what", ""))
    else:
        state = "stopped"
    data = fingerprint_of(folder)
    return RunSummary(folder, state, settings, metrics, on, best, epochs, seconds, note, modified, last, data)


def fingerprint_of(folder: Path) -> str:
    """Hash of a run's data; empty if unknown."""
    try:
        return str(read_json(folder / "environment.json").get("data_sha256") or "")
    except RnncliError:
        return ""


@contextmanager
def blaming(name: str) -> Iterator[None]:
    """Convert errors in a file's values to a DataError that names the file."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
        raise DataError(tr("this file is damaged: {why}", why=why), where=name) from error


def _why(error: RnncliError) -> str:
    """The file, and what is wrong with it."""
    fault = error.faults[0] if isinstance(error, RecipeError) and error.faults else None
    where = os.path.basename(error.where or (fault.where if fault else ""))
    return ": ".join(part for part in (where, fault.what if fault else error.what) if part)


def read_recipe(folder: Path) -> dict[str, Json]:
    """Dotted key -> value of a run's recipe.yaml. Raises RnncliError: unreadable, or not a recipe."""
    path = folder / "recipe.yaml"
    text = "".join(line + "\n" for _, line in read_lines(path))
    root, faults = parse(text, shown(path), str(folder), lines=False)
    values = root.value()
    if faults or not isinstance(values, dict) or not all(isinstance(values.get(k), dict) for k in ("model", "train")):
        raise DataError(tr("this is not a recipe"), where=shown(path))
    return dict(leaves(values))


def _figures(result: Mapping[str, Json], epochs: Sequence[Mapping[str, Json]]) -> tuple[str, dict[str, float], int]:
    """(split, metrics, epoch): from the result, or from the last epoch of an unfinished run."""
    if result:
        return str(result["on"]), numbers(result["metrics"]), int(json_number(result["best_epoch"]))
    if not epochs:
        return "", {}, 0
    last = epochs[-1]
    on = next((name for name in ("validation", "train") if isinstance(last.get(name), dict)), "")
    return on, numbers(last.get(on, {})), int(json_number(last["epoch"]))


def numbers(metrics: Json) -> dict[str, float]:
    """The metrics of a result or an epoch. Raises ValueError."""
    return {name: json_number(value) for name, value in json_object(metrics).items()}


def read_log(path: Path) -> list[dict[str, Json]]:
    """The lines of metrics.jsonl or timing.jsonl; an incomplete last line is ignored. Raises DataError for a damaged
    file."""
    if not os.path.exists(path):
        return []
    try:
        found = [json.loads(line) for _, line in read_lines(path, raw=True) if line.endswith("\n")]
    except (ValueError, RecursionError) as error:
        raise DataError(tr("this file is damaged: {why}", why=error), where=shown(path)) from error
    if not all(isinstance(line, dict) for line in found):
        raise DataError(tr("this file is damaged: {why}", why=tr("not a JSON object")), where=shown(path))
    return found


def curve(run: RunSummary, part: str, name: str) -> dict[int, float]:
    """Epoch -> a value of metrics.jsonl: of split `part`, or the training loss if part is ""; skips non-numbers."""
    found: dict[int, float] = {}
    for line in run.epochs:
        inner = line if not part else line.get(part)
        value = inner.get(name) if isinstance(inner, dict) else None
        epoch = line.get("epoch")
        if isinstance(value, int | float | str) and isinstance(epoch, int):
            try:
                found[epoch] = float(value)
            except ValueError:
                continue
    return found


def end_early(folder: Path, state: State, what: str) -> None:
    """Record why a sweep's run has no result, so that the sweep does not retry it."""
    atomic_write(folder / ENDED, json.dumps({"state": state, "what": what}, ensure_ascii=False) + "\n")

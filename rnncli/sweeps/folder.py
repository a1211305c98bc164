"""The folder of a sweep: sweep.json stores its settings, so that the same command resumes it and another one is
rejected. A sweep may grow (more seeds, values or trials); nothing else may change.

    sweeps/hello-001/sweep.json                           the settings
    sweeps/hello-001/cell=gru,hidden_size=16/seed-0/      a run folder, like those of `rnncli train`
    sweeps/hello-001/study.journal                        the trials of a search
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rnncli.errors import DataError, UsageError
from rnncli.files import FolderLock, atomic_write, read_json
from rnncli.locale import tr
from rnncli.records import Json, json_list, json_number, json_object
from rnncli.render.documents import strict
from rnncli.runs.folder import SWEEP, create_errors, number_of, numbered_folder
from rnncli.sweeps.plan import Plan

SWEEPS = "sweeps"
SCHEMA = "rnncli/sweep-folder/1"
WAIT = 10.0  # seconds to wait for another process that is creating a folder here


@dataclass(frozen=True)
class Settings:
    """The stored settings, as in Plan."""

    recipe: str
    base: Mapping[str, Json]
    grid: Mapping[str, Sequence[str]]
    search: Mapping[str, str]
    seeds: Sequence[int]
    trials: int
    match_params: Json

    def to_json(self) -> dict[str, Json]:
        return {"schema": SCHEMA, **asdict(self)}


def settings_of(plan: Plan) -> Settings:
    """The settings that identify the sweep."""
    return Settings(
        plan.recipe.name,
        json_object(strict(plan.base)),
        {key: list(values) for key, values in plan.grid.items()},
        {key: space.text for key, space in plan.search.items()},
        list(plan.seeds),
        plan.trials,
        plan.match_params,
    )


def open_folder(plan: Plan, out: str | None) -> tuple[Path, bool]:
    """(the sweep's folder, whether it existed): `out`, or the one under sweeps/ that contains this sweep or a subset of
    it, else a new one. Raises UsageError, with the differences, if `out` contains something else."""
    root = Path(SWEEPS) if out is None else Path(out)
    with create_errors(str(root)):
        root.mkdir(parents=True, exist_ok=True)
    with FolderLock(root, patience=WAIT):  # one process at a time assigns folders
        found = find_folder(plan, out)
        folder = found or root
        if found is None and out is None:
            folder = numbered_folder(root, plan.recipe.name)
        elif found is None and any(path.name != FolderLock.NAME for path in root.iterdir()):
            raise UsageError(
                tr("this folder is not empty and does not contain a sweep"),
                where=str(folder),
                todo=tr("choose another with --out"),
            )
        text = json.dumps(settings_of(plan).to_json(), indent=1, ensure_ascii=False) + "\n"
        atomic_write(folder / SWEEP, text)
        return folder, found is not None


def find_folder(plan: Plan, out: str | None) -> Path | None:
    """The folder that open_folder resumes, None if it creates one. Raises UsageError as it does."""
    wanted = settings_of(plan)
    folders = reversed(_numbered(Path(SWEEPS), plan.recipe.name)) if out is None else [Path(out)]
    for folder in folders:
        found = read_settings(folder)
        if found is None:
            continue
        what = differences(found, wanted)
        if not what:
            return folder
        if out is not None:
            shown = what[:10] + ([tr(" and {n} more", n=len(what) - 10).strip()] if len(what) > 10 else [])
            raise UsageError(
                tr("this folder contains a different sweep: {what}", what="; ".join(shown)),
                where=str(folder),
                todo=tr("choose another with --out; a sweep can only be resumed with more seeds, values or trials"),
            )
    return None


def differences(found: Settings, wanted: Settings) -> list[str]:
    """Differences between `wanted` and the existing sweep, as `key: old -> new`."""
    what = [*_differences(found.base, wanted.base)]
    for key in dict.fromkeys((*found.grid, *wanted.grid)):
        old, new = found.grid.get(key, []), wanted.grid.get(key, [])
        if not old or set(old) - set(new):
            what.append(_changed(key, ",".join(old) or None, ",".join(new) or None))
    what += _differences(found.search, wanted.search)
    if found.match_params != wanted.match_params:
        what.append(_changed("--match-params", found.match_params, wanted.match_params))
    if set(found.seeds) - set(wanted.seeds):
        what.append(_changed("--seeds", *(",".join(map(str, value.seeds)) for value in (found, wanted))))
    if found.trials > wanted.trials:
        what.append(_changed("--trials", found.trials, wanted.trials))
    return what


def _differences(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[str]:
    keys = [key for key in dict.fromkeys((*before, *after)) if before.get(key) != after.get(key)]
    return [_changed(key, before.get(key), after.get(key)) for key in keys]


def _changed(key: str, old: Json, new: Json) -> str:
    words = (tr("nothing") if value is None else str(value) for value in (old, new))
    return f"{key}: {' -> '.join(words)}"


def read_settings(folder: Path) -> Settings | None:
    """sweep.json of a folder; None if missing. Raises DataError: not written by rnncli."""
    if not os.path.isfile(folder / SWEEP):  # does not raise for invalid file names
        return None
    found = read_json(folder / SWEEP)
    try:
        if found.get("schema") != SCHEMA:
            raise ValueError
        return Settings(
            str(found["recipe"]),
            json_object(found["base"]),
            {key: [str(value) for value in json_list(values)] for key, values in json_object(found["grid"]).items()},
            {key: str(space) for key, space in json_object(found["search"]).items()},
            [int(json_number(seed)) for seed in json_list(found["seeds"])],
            int(json_number(found["trials"])),
            found["match_params"],
        )
    except (ValueError, LookupError) as error:
        raise DataError(tr("damaged: not the settings of a sweep"), where=str(folder / SWEEP)) from error


def _numbered(root: Path, name: str) -> list[Path]:
    """sweeps/NAME-001 etc., sorted by number."""
    return sorted((path for path in root.glob("*-*") if number_of(path, name)), key=lambda path: number_of(path, name))

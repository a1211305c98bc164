"""Where runs lie. No torch here: `rnncli runs` only reads what stands in their files."""

from __future__ import annotations

import os
from pathlib import Path

from rnncli.errors import UsageError
from rnncli.locale import tr

RUNS = "runs"


def runs_here() -> list[Path]:
    """The run folders under runs/, by name."""
    return sorted(path for path in Path(RUNS).glob("*") if os.path.isfile(path / "recipe.yaml"))


def find_run(name: str) -> Path:
    """A run's folder: a path, `last` (the newest under runs/), or a name under runs/. Raises UsageError."""
    if name == "last":
        runs = runs_here()
        if not runs:
            raise UsageError(tr("there is no run yet under {folder}/", folder=RUNS), todo="rnncli train hello")
        return max(runs, key=lambda path: ((path / "recipe.yaml").stat().st_mtime_ns, path.name))
    for folder in (Path(name), Path(RUNS) / name):
        if os.path.isfile(folder / "recipe.yaml"):  # does not raise for a name that no file can have
            return folder
    raise UsageError(tr("no run is called {name!r}", name=name), todo=tr("see: ls {folder}", folder=RUNS))

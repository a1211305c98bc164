"""Locations and numbering of run folders. No torch here: `rnncli runs` only reads files."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnncli.errors import DataError, UsageError
from rnncli.files import write_errors
from rnncli.locale import tr
from rnncli.runs.unfinished import clear_unfinished

RUNS = "runs"
SWEEP = "sweep.json"  # of a sweep, two folders above each of its runs


def runs_here() -> list[Path]:
    """The run folders under runs/, sorted by name."""
    return sorted(path for path in Path(RUNS).glob("*") if os.path.isfile(path / "recipe.yaml"))


def number_of(folder: Path, name: str) -> int:
    """7 for NAME-007; 0 for other names."""
    start, _, number = folder.name.rpartition("-")
    return int(number) if start == name and number.isdigit() else 0


@contextmanager
def create_errors(folder: str) -> Iterator[None]:
    """Convert an OSError of creating this folder to a UsageError or a CannotWrite."""
    with write_errors(folder):
        try:
            yield
        except (FileExistsError, NotADirectoryError) as error:
            raise UsageError(tr("this is a file, not a folder"), where=folder) from error


def find_run(name: str) -> Path:
    """A run's folder: a path, `last` (the newest under runs/), or a name under runs/. Raises UsageError (no such run),
    DataError (the folder is not readable)."""
    if name == "last":
        runs = runs_here()
        if not runs:
            raise UsageError(tr("no runs yet under {folder}/", folder=RUNS), todo="rnncli train hello")
        return max(runs, key=lambda path: ((path / "recipe.yaml").stat().st_mtime_ns, path.name))
    for folder in (Path(name), Path(RUNS) / name):
        if os.path.isfile(folder / "recipe.yaml"):  # does not raise for invalid file names
            return folder
        if os.path.isdir(folder) and not os.access(folder, os.X_OK):
            raise DataError(tr("cannot be read: permission denied"), where=str(folder))
    raise UsageError(tr("no run named {name!r}", name=name), todo=tr("see: rnncli runs list"))


def typed_run(folder: Path) -> str:
    """A run as typed in a shell: `last` if it is the newest under runs/, else its path."""
    if runs_here() and find_run("last").resolve() == folder.resolve():
        return "last"
    path = str(folder)
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def new_folder(name: str, out: str | None = None) -> Path:
    """`runs/NAME-001`, counting up, or `out`, which must be empty or not exist yet. Raises UsageError, CannotWrite."""
    if out is not None:
        return make_folder(out, resumable=True)
    with create_errors(RUNS):
        Path(RUNS).mkdir(exist_ok=True)
        return numbered_folder(Path(RUNS), name)


def numbered_folder(root: Path, name: str) -> Path:
    """`NAME-001` in a folder, counting up. Raises OSError."""
    number = 1 + max((number_of(path, name) for path in root.iterdir()), default=0)
    while True:
        folder = root / f"{name}-{number:03d}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:  # another process created it
            number += 1


def require_free(out: str | None) -> None:
    """Raise UsageError if `out` cannot become a run folder, like `new_folder`, without creating it."""
    if out is not None and os.path.exists(out):
        make_folder(out, resumable=True)


def make_folder(out: str, *, resumable: bool = False) -> Path:
    """The folder `out`, created if necessary; it must be empty except for leftovers of an interrupted command.
    resumable: mention that a run in it could be resumed instead. Raises UsageError, CannotWrite."""
    folder = Path(out)
    with create_errors(out):
        folder.mkdir(parents=True, exist_ok=True)
        clear_unfinished(folder)
        if any(folder.iterdir()):
            todo = tr("choose another")
            if resumable and (folder / "recipe.yaml").is_file():
                todo = tr(
                    "choose another, or resume this run: {command}", command=f"rnncli train --resume {shlex.quote(out)}"
                )
            raise UsageError(tr("this folder is not empty"), where=out, todo=todo)
    return folder

"""Folders in which a command of ours was stopped too early to be of use: what it left is known, and cleared away.

Nothing else is ever removed: only files that a list written beforehand names, and only folders that are then empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rnncli.errors import DataError
from rnncli.files import FolderLock, atomic_write, cannot_write, inside, read_lines
from rnncli.runs.manifest import MANIFEST, listed_files

EXPORTING = ".exporting"  # in a folder while it is filled: the names of the files that go there, a line each
_HALF = re.compile(r"^\.(?P<name>.+)\.\d+\.tmp$")  # a file that was being written


def clear_unfinished(folder: Path) -> None:
    """Empty a folder that holds nothing but what a stopped `train` left before its run began, or a stopped `export`.

    Any other folder, and one in which a process is working, stays as it is. Raises CannotWrite.
    """
    files = _files_of_ours(folder)
    found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    if (folder / "recipe.yaml").exists() or set(found) - set(files) or FolderLock.holder(folder):
        return
    _remove(files, [folder / "resume"])


def remove_if_not_begun(folder: Path, made: Sequence[Path]) -> None:
    """A run that failed before its first epoch, and before a checkpoint later than the one it began with, leaves no
    files behind, and no folder of `made`, those made for it. The recipe is written right after that first checkpoint.
    """
    recipe, state = folder / "recipe.yaml", folder / "resume" / "state.safetensors"
    went_on = recipe.exists() and state.exists() and state.stat().st_mtime_ns > recipe.stat().st_mtime_ns
    if not went_on and not (folder / "metrics.jsonl").exists():
        _remove(_files_of_ours(folder), [folder / "resume", *made])


def folders_to_make(out: str) -> list[Path]:
    """The folders on the way to `out` that are not there yet, the innermost first."""
    path = Path(out)
    return [folder for folder in (path, *path.parents) if not folder.exists()]


@contextmanager
def filling(folder: Path, names: Iterable[str]) -> Iterator[None]:
    """A folder that is whole afterwards: until then a mark in it says what is being written."""
    atomic_write(folder / EXPORTING, "".join(f"{name}\n" for name in names))
    yield
    try:
        (folder / EXPORTING).unlink()
    except OSError as error:
        raise cannot_write(folder, error) from error


def _files_of_ours(folder: Path) -> list[Path]:
    """Those that a manifest or a mark in the folder lists, these two, the lock, and what was half written of them."""
    names = {MANIFEST, EXPORTING, FolderLock.NAME}
    try:
        if (folder / MANIFEST).exists():
            names |= set(listed_files(folder))
        if (folder / EXPORTING).exists():
            names |= {line for _, line in read_lines(inside(folder, EXPORTING))}
    except DataError:  # not of ours
        names = set()
    found = []
    for path in folder.rglob("*"):
        half = _HALF.match(path.name)
        whole = path.with_name(half["name"]) if half else path
        if whole.relative_to(folder).as_posix() in names and (path.is_symlink() or not path.is_dir()):
            found.append(path)
    return found


def _remove(files: Iterable[Path], folders: Iterable[Path]) -> None:
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:  # not empty, or not there
            return

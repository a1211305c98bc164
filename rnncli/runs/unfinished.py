"""Cleans up folders left by commands that were interrupted too early to be useful.

Only files listed beforehand are ever removed, and only folders that are then empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rnncli.errors import DataError
from rnncli.files import FolderLock, atomic_write, inside, read_lines, write_errors
from rnncli.runs.manifest import MANIFEST, listed_files

EXPORTING = ".exporting"  # in a folder being filled: names of the files to be written, one per line
_HALF = re.compile(r"^\.(?P<name>.+)\.\d+\.tmp$")  # a partially written file


def clear_unfinished(folder: Path) -> None:
    """Empty a folder that contains only leftovers of an interrupted `train` (before its run started) or `export`.

    Any other folder, and one in use by a process, is left unchanged. Raises CannotWrite.
    """
    files = _our_files(folder)
    found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    if (folder / "recipe.yaml").exists() or set(found) - set(files) or FolderLock.holder(folder):
        return
    _remove(files, [folder / "resume"])


def remove_if_not_started(folder: Path, made: Sequence[Path]) -> None:
    """A run that fails before its first epoch and before a second checkpoint leaves no files behind, and none of the
    folders in `made`, which were created for it. The recipe is written right after the first checkpoint.
    """
    recipe, state = folder / "recipe.yaml", folder / "resume" / "state.safetensors"
    went_on = recipe.exists() and state.exists() and state.stat().st_mtime_ns > recipe.stat().st_mtime_ns
    if not went_on and not (folder / "metrics.jsonl").exists():
        _remove(_our_files(folder), [folder / "resume", *made])


def folders_to_make(out: str) -> list[Path]:
    """The missing parent folders of `out`, innermost first."""
    path = Path(out)
    return [folder for folder in (path, *path.parents) if not folder.exists()]


@contextmanager
def filling(folder: Path, names: Iterable[str]) -> Iterator[None]:
    """A context in which a folder is filled completely; until then a marker lists what is being written."""
    atomic_write(folder / EXPORTING, "".join(f"{name}\n" for name in names))
    yield
    with write_errors(folder):
        (folder / EXPORTING).unlink()


def _our_files(folder: Path) -> list[Path]:
    """Files listed by the folder's manifest or marker, these two, the lock, and partially written ones."""
    names = {MANIFEST, EXPORTING, FolderLock.NAME}
    try:
        if (folder / MANIFEST).exists():
            names |= set(listed_files(folder))
        if (folder / EXPORTING).exists():
            names |= {line for _, line in read_lines(inside(folder, EXPORTING))}
    except DataError:  # not created by rnncli
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
        with write_errors(path):
            path.unlink(missing_ok=True)
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:  # not empty, or missing
            return

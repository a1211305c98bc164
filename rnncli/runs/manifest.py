"""manifest.json of a folder: size and sha256 of each of its files, checked on opening."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from rnncli.errors import DataError
from rnncli.files import atomic_write, inside, read_json, require_regular, shown
from rnncli.locale import tr, trn
from rnncli.records import Json, json_list, json_number, json_object

MANIFEST = "manifest.json"
_State = tuple[int, str] | None  # size and sha256 of a file on disk; None: missing


class Manifest:
    """Writes a folder's files and records their size and sha256 in manifest.json.

    A file about to be replaced is listed in its old and new state, so that a process killed at any moment leaves a
    folder that `check_manifest` accepts. Names are relative to the folder, with /. Every method raises CannotWrite.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.states: dict[str, list[_State]] = {}

    def load(self) -> None:
        """Continue the folder's existing manifest. Raises DataError."""
        self.states = _read_manifest(self.folder)

    def write(self, files: Mapping[str, bytes | str]) -> None:
        """Replace these files atomically, in this order."""
        raw = {name: data.encode("utf-8") if isinstance(data, str) else data for name, data in files.items()}
        new: dict[str, _State] = {
            name: (len(data), hashlib.sha256(data, usedforsecurity=False).hexdigest()) for name, data in raw.items()
        }
        for name, state in new.items():
            self.states[name] = list(dict.fromkeys([*self.states.get(name, [None]), state]))
        self._save()
        for name, data in raw.items():
            atomic_write(self.folder / name, data)
        fresh = any(None in self.states[name] for name in new)
        self.states |= {name: [state] for name, state in new.items()}
        if fresh:  # from here on they must exist
            self._save()

    def seal(self, names: Iterable[str]) -> None:
        """Record files written by others in their current state; they must not change before `release`."""
        for name in names:
            self.states[name] = [_state(self.folder / name)]
        self._save()

    def release(self, names: Iterable[str]) -> None:
        """Stop recording these files: they may change or be removed."""
        for name in names:
            self.states.pop(name, None)
        self._save()

    def _save(self) -> None:
        files = {
            name: [None if state is None else {"size": state[0], "sha256": state[1]} for state in states]
            for name, states in sorted(self.states.items())
        }
        atomic_write(self.folder / MANIFEST, json.dumps({"format": 1, "files": files}, indent=1) + "\n")


def check_manifest(folder: str | Path, names: Iterable[str] | None = None) -> list[str]:
    """Verify a folder's files against its manifest: those of `names` that it lists, all if None.

    Raises DataError: no manifest, or a file that is missing, truncated, changed, or points outside the folder.
    """
    while True:
        listed = _read_manifest(Path(folder))
        checked = [name for name in (listed if names is None else names) if name in listed]
        faults = (fault for name in checked if (fault := _fault(inside(folder, name), listed[name])) is not None)
        fault = next(faults, None)
        if fault is None:
            return checked
        if _read_manifest(Path(folder)) == listed:  # else a process training here has just written
            raise fault


def listed_files(folder: Path) -> list[str]:
    """The names in the folder's manifest, relative to it. Raises DataError."""
    return list(_read_manifest(folder))


def _fault(path: Path, states: list[_State]) -> DataError | None:
    found = _state(path)
    if found in states:
        return None
    if found is None:
        return _damaged(path, tr("this file of the folder is missing"))
    sizes = [state[0] for state in states if state is not None]
    if found[0] not in sizes:
        return wrong_size(path, found[0], max(sizes, default=0))
    return _damaged(
        path, tr("has changed since it was written: its sha256 does not match {manifest}", manifest=MANIFEST)
    )


def wrong_size(path: Path, found: int, written: int) -> DataError:
    """Why a file of another size than was written cannot be used; in bytes."""
    what = trn(
        "has {n} byte, but had {size} when it was written",
        "has {n} bytes, but had {size} when it was written",
        n=found,
        size=written,
    )
    return _damaged(path, what)


def _damaged(path: Path, what: str) -> DataError:
    return DataError(what, where=shown(path), todo=tr("restore the file from a backup"))


def _listed(found: Mapping[str, Json]) -> _State:
    return int(json_number(found["size"])), str(found["sha256"])


def _read_manifest(folder: Path) -> dict[str, list[_State]]:
    where = folder / MANIFEST
    entries = read_json(inside(folder, MANIFEST)).get("files")
    try:
        return {
            name: [None if state is None else _listed(json_object(state)) for state in json_list(states)]
            for name, states in json_object(entries).items()
        }
    except (ValueError, KeyError, OverflowError) as error:
        raise DataError(tr("damaged: it does not list files"), where=shown(where)) from error


def _state(path: Path) -> _State:
    """State of the file on disk, compressed or not."""
    try:
        require_regular(path)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except DataError as error:
        raise _damaged(path, error.what) from error
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(tr("cannot be read: {why}", why=error.strerror or str(error)), where=shown(path)) from error

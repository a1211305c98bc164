"""What the calls take: runs and data."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rnncli.data.values import Data, path_of
from rnncli.targets import target_of

if TYPE_CHECKING:
    from rnncli.runs.open import Run

RunLike: TypeAlias = "str | PathLike[str] | Run"
Flags = dict[str, tuple[str, object]]
HERE = Path("runs", "data")  # where training data that is given as values is kept, for the run to find again


def run_of(given: RunLike) -> Run:
    """The run, opened, if it is not. Raises UsageError (no such run, a recipe), DataError (a damaged one)."""
    return target_of(given).run


def data_flags(data: Data | None) -> Flags:
    return {} if data is None else {"data.path": ("data", path_of(data, HERE))}

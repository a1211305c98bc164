"""Arguments of the calls: runs and data."""

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
HERE = Path("runs", "data")  # where training data given as values is stored, for later use by the run


def run_of(given: RunLike) -> Run:
    """The run, opened if necessary. Raises UsageError (no such run, a recipe), DataError (damaged)."""
    return target_of(given).run


def data_flags(data: Data | None) -> Flags:
    return {} if data is None else {"data.path": ("data", path_of(data, HERE))}

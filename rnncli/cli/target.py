"""TARGET of a command, with a note on how it was interpreted."""

from __future__ import annotations

from collections.abc import Sequence

from rnncli.cli.out import note
from rnncli.targets import Target, find_target


def target_named(word: str, *, sets: Sequence[str] = (), seed: int | None = None) -> Target:
    """The result of find_target; its note goes to stderr."""
    target = find_target(word, sets=sets, seed=seed)
    note(target.note)
    return target

"""TARGET of a command, with a note on how it was interpreted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rnncli.cli.out import note
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.targets import Target, find_target


def target_named(word: str, *, sets: Sequence[str] = (), seed: int | None = None) -> Target:
    """The result of find_target. Its note, and one on weights of a run that has not ended, go to stderr."""
    target = find_target(word, sets=sets, seed=seed)
    note(target.note)
    if target.kind == "run":
        note(_early_weights(Path(target.path)))
    return target


def _early_weights(folder: Path) -> str:
    """What the weights of a run that has not ended are; "" if it has, or if its checkpoint does not say."""
    from rnncli.runs.manifest import listed_files

    try:
        if "result.json" in listed_files(folder):
            return ""
        from rnncli.runs.checkpoint import best_epoch_in  # torch is imported only for a run that has not ended
        from rnncli.runs.writer import CHECKPOINT

        epoch = best_epoch_in(folder / CHECKPOINT)
    except DataError:
        return ""
    if not epoch:
        return tr("training has not ended, and no epoch has been saved yet: these are untrained weights")
    return tr("training has not ended: these are the weights of epoch {n}, the best one saved so far", n=epoch)

"""A run's predictions for new input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from rnncli.errors import DataError
from rnncli.files import shown
from rnncli.runs.open import Run
from rnncli.tasks import Prediction, PredictOptions


def predictions(
    run: Run, inputs: Iterable[str], options: PredictOptions, on_error: Callable[[DataError], None] | None = None
) -> Iterator[Prediction]:
    """Predictions for texts, or for files if the task reads files, in order, as they are computed.

    on_error: called with the error of an unusable file, after which the next files follow; None: the error is raised.
    Raises DataError; UsageError: an option that the task does not support.
    """
    if run.task.input_kind(run.config) == "text":
        yield from run.task.predict(run.config, run.model, run.fitted, inputs, options)
        return
    for path in inputs:
        try:
            yield from run.task.predict(run.config, run.model, run.fitted, [path], options)
        except DataError as error:
            if on_error is None:
                raise
            on_error(error)
            yield Prediction("", {"file": shown(path), "error": error.what}, row={})


def joined(pieces: Iterable[Prediction]) -> Iterator[Prediction]:
    """Joins predictions that a task yields in pieces (to keep long ones out of memory)."""
    texts: list[str] = []
    notes: list[str] = []
    for piece in pieces:
        texts.append(piece.text)
        notes += piece.notes
        if not piece.more:
            yield replace(piece, text="".join(texts), notes=tuple(notes))
            texts, notes = [], []

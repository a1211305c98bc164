"""A run's answers to new input."""

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
    """The answers to texts, or to files where the task reads such, in order, as they are made.

    on_error: told of a file that cannot be used, and the next ones follow; None: it is raised. Raises DataError;
    UsageError: an option that the task does not read.
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
    """Each answer as one: what a task gives piece by piece, so that a long answer need not be held, is put together."""
    texts: list[str] = []
    notes: list[str] = []
    for piece in pieces:
        texts.append(piece.text)
        notes += piece.notes
        if not piece.more:
            yield replace(piece, text="".join(texts), notes=tuple(notes))
            texts, notes = [], []

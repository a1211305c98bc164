"""`rnncli predict`: apply a run to new input."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnncli import render
from rnncli.cli.live import waiting
from rnncli.cli.out import hand_over, note, tell
from rnncli.cli.settings import settings
from rnncli.errors import DataError, UsageError
from rnncli.locale import tr, trn

if TYPE_CHECKING:
    from rnncli.runs.open import Run
    from rnncli.tasks import Prediction, PredictOptions

MOST_NOTES = 10  # the rest are only counted
MOST_SHOWN = 60  # characters of an input within a command


def predict(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Run folder, name under runs/, or last.")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT...]", help="Text; or files, for series, audio and images; - reads standard input."
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file", metavar="FILE", help="Read inputs from a file: one per line, or CoNLL-U; - is standard input."
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(
            "--top-k", min=1, help="Show the K most likely predictions, or sample from the K most likely tokens."
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", min=0.0, help="Sampling temperature; 0 always takes the most likely token."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=2**63 - 1, help="Random seed; default: the run's.")
    ] = None,
    beam: Annotated[int | None, typer.Option("--beam", min=1, help="Beam width; 1 is greedy search.")] = None,
    length: Annotated[int | None, typer.Option("--length", min=0, help="Number of tokens to generate.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document per line.")] = False,
    csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="Print a CSV with a header and a row for each input, or for each step of a forecast."
        ),
    ] = False,
) -> None:
    """Predict with a run: continue text, tag, classify, forecast, transcribe, translate."""
    from rnncli.cli.target import target_named

    found = target_named(target)
    folder = found.folder
    given = list(inputs or ())
    if json and csv:
        raise UsageError(tr("--json and --csv cannot be combined"), where="--csv", todo=tr("omit one"))
    if given == ["-"]:
        if file not in (None, "-"):
            raise UsageError(tr("- and --file cannot be combined"), where="--file", todo=tr("omit one"))
        given, file = [], "-"
    elif "-" in given:
        raise UsageError(tr("- (standard input) cannot be combined with other inputs"), where="rnncli predict")
    elif bool(given) == (file is not None):
        raise _no_input(target, folder)
    from rnncli.tasks import PredictOptions

    with waiting(tr("loading {run} ...", run=target), quiet=json):
        run = found.run.with_threads(1)
    for text in given if run.task.input_kind(run.config) == "text" else ():
        if os.path.isfile(text):
            note(tr("{name} is treated as text; to read the file: --file {name}", name=text))
    options = PredictOptions(top_k, temperature, seed, beam, length)
    failed: list[DataError] = []
    predictions = (
        _predict_inputs(run, given, options, failed) if file is None else _from_lines(run, file, options, failed)
    )
    rows = _rows(predictions) if csv else predictions
    _write(_awaited(rows, quiet=json or file == "-"), json)  # a user who types the lines knows
    if not failed and sys.stdout.isatty() and sys.stderr.isatty() and not (json or settings.quiet):
        tell(f"{tr('next')}  {_more(target, given)}")
    if failed:
        raise typer.Exit(failed[0].exit_code)


def _awaited(predictions: Iterable[Prediction], quiet: bool) -> Iterator[Prediction]:
    """The same predictions, with a waiting line until the first: the results may go to the same terminal."""
    answers = iter(predictions)
    with waiting(tr("predicting ..."), quiet=quiet):
        first = next(answers, None)
    if first is not None:
        yield first
        yield from answers


def _more(target: str, given: list[str]) -> str:
    """The command that shows how the first answer came about."""
    words = ["rnncli", "inspect", target, "steps"]
    short = bool(given) and len(given[0]) <= MOST_SHOWN and not given[0].startswith("-")
    return shlex.join([*words, "--input", given[0]] if short else words)


def _no_input(target: str, folder: Path) -> UsageError:
    """The inputs for the run's task: texts, files or lines."""
    from rnncli.tasks import load_recipe

    recipe = load_recipe(str(folder / "recipe.yaml"))
    path = recipe.task.input_kind(recipe.config) == "path"
    return UsageError(
        tr("give one or more FILEs") if path else tr("give TEXT, --file FILE, or - for standard input"),
        where="rnncli predict",
        todo=tr(
            "for example: rnncli predict {target} {input}",
            target=shlex.quote(target),
            input="FILE" if path else "hello",
        ),
    )


def _predict_inputs(
    run: Run, inputs: Iterable[str], options: PredictOptions, failed: list[DataError]
) -> Iterator[Prediction]:
    """Predictions for texts or files, each ending in a newline. An unusable file is reported and added to `failed`."""
    from rnncli.cli import print_error
    from rnncli.runs.prediction import predictions

    def unusable(error: DataError) -> None:
        failed.append(error)
        print_error(error)

    for found in predictions(run, inputs, options, unusable):
        whole = found.more or found.row == {}
        yield found if whole else replace(found, text=found.text + "\n")


def _from_lines(run: Run, file: str, options: PredictOptions, failed: list[DataError]) -> Iterator[Prediction]:
    from rnncli.files import read_lines

    lines = _stdin_lines() if file == "-" else (line for _, line in read_lines(file, raw=True))
    if run.task.input_kind(run.config) == "text":
        yield from run.task.predict_lines(run.config, run.model, run.fitted, lines, options)
        return
    if file != "-":
        raise UsageError(
            tr("this task takes files as arguments, not --file"),
            where="--file",
            todo=tr("rnncli predict RUN {file}", file=shlex.quote(file)),
        )
    paths = (line.rstrip("\r\n") for line in lines)
    yield from _predict_inputs(run, (path for path in paths if path), options, failed)


def _rows(predictions: Iterable[Prediction]) -> Iterator[Prediction]:
    """The same predictions with a CSV row as text, after a header row, or with their own table. Predictions without a
    row (unusable files) are omitted."""
    import csv

    names: list[str] = []
    for found in predictions:
        if found.csv is not None:
            yield replace(found, text=found.csv + "\n")
            continue
        if found.row is None:
            raise UsageError(
                tr("predictions of this task are not table rows"), where="--csv", todo=tr("omit it, or use --json")
            )
        text = StringIO()
        writer = csv.DictWriter(text, names or list(found.row), restval="", lineterminator="\n")
        if found.row and not names:
            names = list(found.row)
            writer.writeheader()
        if found.row:
            writer.writerow(found.row)
        yield replace(found, text=text.getvalue())


def _stdin_lines() -> Iterator[str]:
    """Lines as they arrive, with their line ends. UTF-8; for a terminal, its own encoding."""
    if sys.stdin is None:
        return
    if sys.stdin.isatty() or not hasattr(sys.stdin, "buffer"):
        yield from sys.stdin
        return
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                tr("byte {byte} is not UTF-8", byte=f"0x{line[error.start]:02x}"),
                where=f"-:{number}",
                todo=tr("convert it, for instance: iconv -f LATIN1 -t UTF-8"),
            ) from error


def _write(predictions: Iterable[Prediction], json: bool) -> None:
    """Print each prediction as soon as it is available; notes go to standard error."""
    count = 0
    for found in predictions:
        if not json:
            hand_over(found.text)
        elif found.json is not None:
            json_ = found.json
            if found.notes and isinstance(json_, dict):
                json_ = {**json_, "notes": list(found.notes)}
            render.dump_json(json_, sys.stdout)
        sys.stdout.flush()
        for text in found.notes:
            count += 1
            if count <= MOST_NOTES:
                note(text)
    if count > MOST_NOTES and not settings.quiet:
        tell(trn("and {n} more note", "and {n} more notes", n=count - MOST_NOTES))
